-- What a claim and an insert with an offer share.

local patience, late = 1000, {}

local pausesExist = call('EXISTS', P .. 'p') == 1

local function isPaused(scope)
    if not pausesExist then return false end
    local pause = call('HGET', P .. 'p', scope)
    if not pause then return false end
    local till = sub(pause, 1, 8)
    return till == NONE or unpackBytes('>i8', till) > now
end

-- Makes due jobs of a queue ready, at most `budget`, and says how many.
local function promote(queue, budget)
    local due = call('ZRANGEBYSCORE', P .. 'd:' .. queue, '-inf', now, 'LIMIT', 0, budget)
    if #due == 0 then return 0 end
    local ids = {}
    for index, member in ipairs(due) do ids[index] = sub(member, 9) end
    local heads, written, lanes = getAll(P .. 'j', ids), {}, {}
    for index, head in ipairs(heads) do
        local state = isWhole(head) and byte(head, 1)
        if state == 1 or state == 2 then
            local kind = kindOf(head)
            local key = lane(kind, unpackBytes('>I4', head, 118), byte(head, 47))
            lanes[key] = lanes[key] or {}
            table.insert(lanes[key], string.format('%.0f', unpackBytes('>i8', head, 48)))
            table.insert(lanes[key], due[index])
            table.insert(written, ids[index])
            table.insert(written, '\3' .. sub(head, 2))
            tally(kind, state, -1)
            tally(kind, 3, 1)
        end
    end
    callAll('HSET', P .. 'j', written, 2)
    for key, members in pairs(lanes) do callAll('ZADD', key, members, 2) end
    callAll('ZREM', P .. 'd:' .. queue, due, 1)
    return #due
end

-- The lanes of a queue with names and versions that are known and not paused.
local function cursor(queue, names, versions, width)
    local lanes = {}
    if #names == 0 or isPaused('e') or isPaused('q' .. queue) then return lanes end
    local known = getAll(P .. 'v:' .. queue, names)
    for index, text in ipairs(known) do
        if text and not isPaused('n' .. names[index]) then
            for version, priority in string.gmatch(text, '(%d+)%.(%d+);') do
                if tonumber(version) <= versions[index] then
                    local key = P .. 'l:' .. queue .. '\0' .. names[index] .. '\0' .. version .. '\0' .. priority
                    lanes[#lanes + 1] = {
                        key = key, queue = queue, name = names[index], word = version .. '.' .. priority .. ';',
                        bias = priority * 300000000, from = 0, at = 1, size = 0, width = width, passed = 0, taken = {}, waits = {},
                    }
                end
            end
        end
    end
    return lanes
end

-- The next member of a lane, read ahead in pieces; nil at its end.
local function head(entry)
    if entry.at <= entry.size then return true end
    if entry.isOver then return false end
    local found = call('ZRANGE', entry.key, entry.from, entry.from + entry.width - 1, 'WITHSCORES')
    local size = #found / 2
    if size < entry.width then entry.isOver = true end
    if entry.from == 0 and size == 0 then
        local known = call('HGET', P .. 'v:' .. entry.queue, entry.name) or ';'
        local start, last = string.find(known, ';' .. entry.word, 1, true)
        if start then known = sub(known, 1, start) .. sub(known, last + 1) end
        if known == ';' then
            call('HDEL', P .. 'v:' .. entry.queue, entry.name)
        else
            call('HSET', P .. 'v:' .. entry.queue, entry.name, known)
        end
    end
    if size == 0 then return false end
    entry.from, entry.at, entry.size = entry.from + size, 1, size
    entry.members, entry.times, entry.ids = {}, {}, {}
    for index = 1, size do
        entry.members[index] = found[2 * index - 1]
        entry.times[index] = tonumber(found[2 * index])
        entry.ids[index] = sub(found[2 * index - 1], 9)
    end
    entry.heads = getAll(P .. 'j', entry.ids)
    return true
end

local function isLate(text)
    if not has(byte(text, 46), 32) then return false end
    local startBy, deadline = sub(text, 72, 79), sub(text, 80, 87)
    if startBy ~= NONE and sub(text, 2, 9) == NONE and unpackBytes('>i8', startBy) <= now then return true end
    return deadline ~= NONE and unpackBytes('>i8', deadline) <= now
end

-- The lane whose next job goes first; late jobs on the way are noted for whoever expires them, and passed.
local function best(lanes)
    while true do
        local chosen, rank
        if #lanes == 1 then
            local only = lanes[1]
            if only.at <= only.size or head(only) then chosen = only end
        end
        for index = 1, #lanes > 1 and #lanes or 0 do
            local entry = lanes[index]
            if head(entry) then
                local other = entry.times[entry.at] - entry.bias
                local isEarlier = not chosen or other < rank
                if chosen and other == rank then
                    isEarlier = unpackBytes('>i8', entry.members[entry.at])
                        < unpackBytes('>i8', chosen.members[chosen.at])
                end
                if isEarlier then chosen, rank = entry, other end
            end
        end
        if not chosen then return nil end
        local text = chosen.heads[chosen.at]
        if not isWhole(text) or byte(text, 1) ~= 3 then
            -- Nothing that can run: out of the lane with it, where it would be met again and again.
            call('ZREM', chosen.key, chosen.members[chosen.at])
            chosen.at, chosen.from = chosen.at + 1, chosen.from - 1
        else
            if byte(text, 46) == 0 or not isLate(text) then return chosen end
            if patience == 0 then return nil end
            patience = patience - 1
            late[#late + 1] = chosen.ids[chosen.at]
            chosen.at, chosen.passed = chosen.at + 1, chosen.passed + 1
        end
    end
end

-- Takes the next job of a lane into a list.
local function take(entry, list)
    local at = entry.at
    list[#list + 1] = { id = entry.ids[at], head = entry.heads[at], since = entry.times[at], lane = entry,
        member = entry.members[at] }
    entry.at = at + 1
end

-- Starts jobs that were taken, under leases of `worker`.
local function start(list, worker)
    if #list == 0 then return end
    local heads, ids, timed = {}, {}, {}
    local instantNow = instant(now)
    -- What is the same for many jobs is made once.
    local leases, lastSince, lastWait = {}, nil, nil
    for index, job in ipairs(list) do
        local text = job.head
        local before = sub(text, 10, 21)
        local lease = leases[before]
        if not lease then
            local epoch, attempt = unpackBytes('>i8I4', before)
            lease = '\4' .. instantNow .. pack('>i8I4', epoch + 1, attempt + 1) .. worker
            leases[before] = lease
        end
        if byte(text, 117) == 1 and sub(text, 2, 9) == NONE then
            local key = sub(text, 132 + unpackBytes('>I2', text, 130))
            local entry = call('HGET', P .. 'u', key)
            if entry and sub(entry, 1, 16) == job.id and sub(entry, 17, 32) == NOBODY then
                call('HDEL', P .. 'u', key)
                call('ZREM', P .. 'k', key)
            end
        end
        local flags = byte(text, 46)
        if flags ~= 0 and has(flags, 32) then timed[#timed + 1] = job.id end
        job.head = lease .. sub(text, 38)
        heads[2 * index - 1], heads[2 * index] = job.id, job.head
        ids[index] = job.id
        if not job.lane.kind then job.lane.kind = kindOf(text) end
        if job.since ~= lastSince then lastSince, lastWait = job.since, bucket(now - job.since) end
        local entry = job.lane
        entry.waits[lastWait] = (entry.waits[lastWait] or 0) + 1
        entry.taken[#entry.taken + 1] = job.member
    end
    callAll('HSET', P .. 'j', heads, 2)
    callAll('SADD', P .. 'h:' .. worker, ids, 1)
    call('SADD', P .. 'h', worker)
    if #timed > 0 then callAll('ZREM', P .. 'e', timed, 1) end
    for _, job in ipairs(list) do
        local entry = job.lane
        if #entry.taken > 0 then
            tally(entry.kind, 3, -#entry.taken)
            tally(entry.kind, 4, #entry.taken)
            count(entry.kind, 1, 0, #entry.taken)
            for wait, times in pairs(entry.waits) do count(entry.kind, 9, wait, times) end
            entry.waits = {}
            if entry.passed == 0 then
                call('ZREMRANGEBYRANK', entry.key, 0, #entry.taken - 1)
            else
                callAll('ZREM', entry.key, entry.taken, 1)
            end
            entry.taken = {}
        end
    end
end
