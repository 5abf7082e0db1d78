-- Stores new jobs; starts those that an offer takes.
-- ARGV: time, origin, number of jobs, number of tags, offering worker or nothing; for each job its id, its wishes, the end
-- of its head, its arguments and its large payload; for each tag the tag and the job's number; then the offer: number of
-- names, of queues, each name with its version, each queue with its slots.
-- Wishes: flags, priority, and where there is more to say the kind of start (0 now, 1 after, 2 at), start, start-within,
-- deadline and the time of the unique key.
-- Answers: time, and a letter for each job: s stored, c stored and started, e there already or gone to another store, k its
-- key is taken.

local origin, n, tagCount, offering = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local ids, place = {}, 6
for index = 1, n do ids[index] = ARGV[place + 5 * (index - 1)] end

local known, letters, seen, facts = getAll(P .. 'j', ids), {}, {}, {}
local heads, arguments, bodies, names = {}, {}, {}, {}
local groups, timed, touched, used = {}, {}, {}, {}
-- Numbers among the words of a command cost more than strings.
local nowText = string.format('%.0f', now)
local nowBytes = instant(now)
local still = '\3' .. NONE .. string.rep('\0', 28) .. NONE
local delayed = '\1' .. sub(still, 2)
local sequence = call('INCRBY', P .. 'S', n) - n
local stored = 0

-- What the end of a head says; the same for all jobs of a kind without unique keys.
local function read(tail)
    local found = facts[tail]
    if found then return found end
    local length = unpackBytes('>I2', tail, 43)
    local kind = sub(tail, 45, 44 + length)
    found = { kind = kind, queue = queueOf(kind), version = unpackBytes('>I4', tail, 31), scope = byte(tail, 30), lanes = {},
        ready = 0, delayed = 0 }
    if found.scope == 0 then
        facts[tail] = found
    else
        found.key = sub(tail, 45 + length)
    end
    return found
end

local hasMoves = call('EXISTS', P .. 'D') == 1

local function isTaken(key)
    local entry = call('HGET', P .. 'u', key)
    if not entry or #entry < 41 then return false end
    local till = sub(entry, 33, 40)
    return till == NONE or unpackBytes('>i8', till) > now or sub(entry, 17, 32) ~= NOBODY
end

for index = 1, n do
    local at = place + 5 * (index - 1)
    local id, wishes, tail = ids[index], ARGV[at + 1], ARGV[at + 2]
    local fact = nil
    if known[index] or seen[id] or hasMoves and call('ZSCORE', P .. 'D', id) then
        letters[index] = 'e'
    else
        fact = read(tail)
        if fact.key and isTaken(fact.key) then
            letters[index] = 'k'
            fact = nil
        end
    end
    if fact then
        local flags, priority = byte(wishes, 1), byte(wishes, 2)
        local runAt, startBy, deadline, ttl = now, NONE, NONE, nil
        if #wishes > 2 then
            local how, when = byte(wishes, 3), unpackBytes('>i8', wishes, 4)
            if how == 1 then runAt = math.max(now + when, now) elseif how == 2 then runAt = math.max(when, now) end
            local expires
            if sub(wishes, 12, 19) ~= NONE then
                expires = now + unpackBytes('>i8', wishes, 12)
                startBy = instant(expires)
            end
            if sub(wishes, 20, 27) ~= NONE then
                local time = now + unpackBytes('>i8', wishes, 20)
                deadline = instant(time)
                if not expires or time < expires then expires = time end
            end
            if expires then
                timed[#timed + 1] = string.format('%.0f', expires)
                timed[#timed + 1] = id
            end
            if fact.scope == 3 then ttl = now + unpackBytes('>i8', wishes, 28) end
        end
        local isReady = runAt <= now
        local order = pack('>i8', sequence + index)
        local member = order .. id
        heads[2 * stored + 1] = id
        heads[2 * stored + 2] = (isReady and still or delayed) .. (#wishes == 2 and wishes or sub(wishes, 1, 2)) .. (isReady and nowBytes or instant(runAt))
            .. order .. nowBytes .. startBy .. deadline .. tail
        arguments[2 * stored + 1], arguments[2 * stored + 2] = id, ARGV[at + 3]
        names[2 * stored + 1], names[2 * stored + 2] = '0', id
        if flags ~= 0 and has(flags, 64) then
            bodies[#bodies + 1] = id
            bodies[#bodies + 1] = ARGV[at + 4]
        end
        local key
        if isReady then
            key = fact.lanes[priority]
            if not key then
                key = lane(fact.kind, fact.version, priority)
                fact.lanes[priority] = key
            end
        else
            key = P .. 'd:' .. fact.queue
            call('SADD', P .. 'q', fact.queue)
        end
        local group = groups[key]
        if not group then
            group = {}
            groups[key] = group
        end
        group[#group + 1] = isReady and nowText or string.format('%.0f', runAt)
        group[#group + 1] = member
        if fact.key then
            call('HSET', P .. 'u', fact.key, id .. NOBODY .. (ttl and instant(ttl) or NONE) .. (isReady and '\3' or '\1'))
            if ttl then
                call('ZADD', P .. 'k', string.format('%.0f', ttl), fact.key)
            else
                call('ZREM', P .. 'k', fact.key)
            end
        end
        if isReady then fact.ready = fact.ready + 1 else fact.delayed = fact.delayed + 1 end
        used[fact] = true
        letters[index] = 's'
        seen[id] = index
        stored = stored + 1
    end
end
place = place + 5 * n
for fact in pairs(used) do
    tally(fact.kind, 3, fact.ready)
    tally(fact.kind, 1, fact.delayed)
    count(fact.kind, 0, 0, fact.ready + fact.delayed)
    touched[fact.queue] = true
end

if stored > 0 then
    callAll('HSET', P .. 'j', heads, 2)
    callAll('HSET', P .. 'a', arguments, 2)
    if #bodies > 0 then callAll('HSET', P .. 'b', bodies, 2) end
    callAll('ZADD', P .. 'i', names, 2)
    for key, members in pairs(groups) do callAll('ZADD', key, members, 2) end
    if #timed > 0 then callAll('ZADD', P .. 'e', timed, 2) end
end
for index = 1, tagCount do
    local tag, number = ARGV[place], tonumber(ARGV[place + 1])
    place = place + 2
    if letters[number] == 's' then call('ZADD', P .. 't:' .. tag, 0, ids[number]) end
end

local started = 0
if offering ~= '' and stored > 0 and call('HEXISTS', P .. 'w', offering) == 1 then
    local nameCount, queueCount, versions, list = tonumber(ARGV[place]), tonumber(ARGV[place + 1]), {}, {}
    names, place = {}, place + 2
    for index = 1, nameCount do
        names[index], versions[index] = ARGV[place], tonumber(ARGV[place + 1])
        place = place + 2
    end
    for index = 1, queueCount do
        local queue, slots = ARGV[place], tonumber(ARGV[place + 1])
        place = place + 2
        -- A due job that is not yet ready in name is ready in fact, and would be overtaken.
        local due = call('ZRANGEBYSCORE', P .. 'd:' .. queue, '-inf', now, 'LIMIT', 0, 1)
        if touched[queue] and #due == 0 then
            local lanes = cursor(queue, names, versions, math.min(slots, 250) + 1)
            while slots > 0 do
                local entry = best(lanes)
                local number = entry and seen[entry.ids[entry.at]]
                if not number then break end
                take(entry, list)
                letters[number] = 'c'
                slots = slots - 1
            end
        end
    end
    start(list, offering)
    started = #list
end

if stored > 0 then
    writeCounts()
    if started < stored then
        local queues = {}
        for queue in pairs(touched) do queues[#queues + 1] = queue end
        say('w' .. origin .. table.concat(queues, '\0'))
    end
end
return { nowText, table.concat(letters) }
