-- Stores new jobs; starts those that an offer takes.
-- ARGV: time, origin, number of jobs, number of tags, offering worker or nothing; groups of jobs of one kind that wish the
-- same, each its wishes, what stands in its heads from the failures to the key, its ids in one piece, and for each job its
-- arguments and, where the flags say so, its large payload; for each tag the tag and the job's number; then the offer: number
-- of names, of queues, each name with its version, each queue with its slots.
-- Wishes: flags, priority, and where there is more to say the kind of start (0 now, 1 after, 2 at), start, start-within,
-- deadline and the time of the unique key.
-- Answers: time, and a letter for each job: s stored, c stored and started, e there already or gone to another store, k its
-- key is taken.

local origin, n, tagCount, offering = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local ids, groups, place = {}, {}, 6
while #ids < n do
    local some, first = ARGV[place + 2], #ids
    for at = 1, #some, 16 do ids[#ids + 1] = sub(some, at, at + 15) end
    local group = { wishes = ARGV[place], tail = ARGV[place + 1], first = first + 1, last = #ids, place = place + 3,
        width = has(byte(ARGV[place], 1), 64) and 2 or 1 }
    groups[#groups + 1] = group
    place = group.place + (group.last - first) * group.width
end

local known, letters, seen = getAll(P .. 'j', ids), {}, {}
local heads, arguments, bodies, names = {}, {}, {}, {}
local lanes, timed, touched = {}, {}, {}
-- Numbers among the words of a command cost more than strings.
local nowText = string.format('%.0f', now)
local nowBytes = instant(now)
local still = NONE .. string.rep('\0', 28) .. NONE
local sequence = call('INCRBY', P .. 'S', n) - n
local stored = 0
local hasMoves = call('EXISTS', P .. 'D') == 1

local function isTaken(key)
    local entry = call('HGET', P .. 'u', key)
    if not entry or #entry < 41 then return false end
    local till = sub(entry, 33, 40)
    return till == NONE or unpackBytes('>i8', till) > now or sub(entry, 17, 32) ~= NOBODY
end

-- When jobs of these wishes start and end.
local function timesOf(wishes, scope)
    local runAt, startBy, deadline, expires, ttl = now, NONE, NONE, nil, nil
    if #wishes > 2 then
        local how, when = byte(wishes, 3), unpackBytes('>i8', wishes, 4)
        if how == 1 then runAt = math.max(now + when, now) elseif how == 2 then runAt = math.max(when, now) end
        if sub(wishes, 12, 19) ~= NONE then
            expires = now + unpackBytes('>i8', wishes, 12)
            startBy = instant(expires)
        end
        if sub(wishes, 20, 27) ~= NONE then
            local time = now + unpackBytes('>i8', wishes, 20)
            deadline = instant(time)
            if not expires or time < expires then expires = time end
        end
        if scope == 3 then ttl = now + unpackBytes('>i8', wishes, 28) end
    end
    return runAt, startBy, deadline, expires and string.format('%.0f', expires), ttl
end

for _, group in ipairs(groups) do
    local wishes, tail = group.wishes, group.tail
    local length = unpackBytes('>I2', tail, 43)
    local kind, scope = sub(tail, 45, 44 + length), byte(tail, 30)
    local queue, key = queueOf(kind), scope ~= 0 and sub(tail, 45 + length)
    local runAt, startBy, deadline, expires, ttl = timesOf(wishes, scope)
    local isReady, before = runAt <= now, stored
    local time = isReady and nowText or string.format('%.0f', runAt)
    local front = (isReady and '\3' or '\1') .. still .. sub(wishes, 1, 2) .. (isReady and nowBytes or instant(runAt)) .. nowBytes
        .. startBy .. deadline .. tail
    local members, size = nil, 0
    for index = group.first, group.last do
        local id, at = ids[index], group.place + (index - group.first) * group.width
        if known[index] or seen[id] or hasMoves and call('ZSCORE', P .. 'D', id) then
            letters[index] = 'e'
        elseif key and isTaken(key) then
            letters[index] = 'k'
        else
            if not members then
                local lane = isReady and lane(kind, unpackBytes('>I4', tail, 31), byte(wishes, 2)) or P .. 'd:' .. queue
                if not isReady then call('SADD', P .. 'q', queue) end
                members = lanes[lane] or {}
                lanes[lane] = members
                size = #members
            end
            stored = stored + 1
            local order, last = pack('>i8', sequence + index), 2 * stored
            heads[last - 1], heads[last] = id, front .. order
            arguments[last - 1], arguments[last] = id, ARGV[at]
            names[last - 1], names[last] = '0', id
            members[size + 1], members[size + 2] = time, order .. id
            size = size + 2
            if group.width == 2 then bodies[#bodies + 1], bodies[#bodies + 2] = id, ARGV[at + 1] end
            if expires then timed[#timed + 1], timed[#timed + 2] = expires, id end
            if key then
                call('HSET', P .. 'u', key, id .. NOBODY .. (ttl and instant(ttl) or NONE) .. (isReady and '\3' or '\1'))
                if ttl then
                    call('ZADD', P .. 'k', string.format('%.0f', ttl), key)
                else
                    call('ZREM', P .. 'k', key)
                end
            end
            letters[index] = 's'
            seen[id] = index
        end
    end
    if stored > before then
        tally(kind, isReady and 3 or 1, stored - before)
        count(kind, 0, 0, stored - before)
        touched[queue] = true
    end
end

if stored > 0 then
    callAll('HSET', P .. 'j', heads, 2)
    callAll('HSET', P .. 'a', arguments, 2)
    if #bodies > 0 then callAll('HSET', P .. 'b', bodies, 2) end
    callAll('ZADD', P .. 'i', names, 2)
    for key, members in pairs(lanes) do callAll('ZADD', key, members, 2) end
    if #timed > 0 then callAll('ZADD', P .. 'e', timed, 2) end
end
for index = 1, tagCount do
    local tag, number = ARGV[place], tonumber(ARGV[place + 1])
    place = place + 2
    if letters[number] == 's' then call('ZADD', P .. 't:' .. tag, 0, ids[number]) end
end

local started = 0
if offering ~= '' and stored > 0 and call('HEXISTS', P .. 'w', offering) == 1 then
    local nameCount, queueCount, versions, list = tonumber(ARGV[place]), tonumber(ARGV[place + 1]), {}, newList()
    names, place, holder = {}, place + 2, offering
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
    start(list)
    started = list.size
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
