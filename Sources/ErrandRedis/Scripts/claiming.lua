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
            local key = lane(kind, unpackBytes('>I4', head, 110), byte(head, 47))
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
                        bias = priority * 300000000, from = 0, at = 1, size = 0, width = width, passed = 0, taken = 0,
                    }
                end
            end
        end
    end
    return lanes
end

-- What the first 46 places of a head say, which jobs that came in one state have in common: whether it can run, what there
-- is about it elsewhere, and what stands there once it runs under a lease of `holder`.

local fronts, holder = {}, NOBODY

local function frontOf(text)
    local front = sub(text, 1, 46)
    local found = fronts[front]
    if not found then
        local flags = byte(front, 46) or 0
        found = { isReady = byte(front, 1) == 3, flags = flags, isTimed = has(flags, 32), isNew = sub(front, 2, 9) == NONE }
        fronts[front] = found
        if found.isReady and #front == 46 then
            local epoch, attempt = unpackBytes('>i8I4', front, 10)
            found.running = '\4' .. instant(now) .. pack('>i8I4', epoch + 1, attempt + 1) .. holder .. sub(front, 38)
        end
    end
    return found
end

-- The next members of a lane, read ahead in pieces; false at its end.
local function readAhead(entry)
    if entry.isOver then return false end
    local members = call('ZRANGE', entry.key, entry.from, entry.from + entry.width - 1)
    local size = #members
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
    local ids = {}
    for index = 1, size do ids[index] = sub(members[index], 9) end
    entry.from, entry.at, entry.size = entry.from + size, 1, size
    entry.members, entry.ids, entry.heads = members, ids, getAll(P .. 'j', ids)
    return true
end

local function isLate(text, isNew)
    local startBy, deadline = sub(text, 64, 71), sub(text, 72, 79)
    if startBy ~= NONE and isNew and unpackBytes('>i8', startBy) <= now then return true end
    return deadline ~= NONE and unpackBytes('>i8', deadline) <= now
end

-- Whether a lane has a job that can be taken: the one at `at`. Late jobs on the way are noted for whoever expires them, and
-- passed.
local function hasNext(entry)
    while entry.at <= entry.size or readAhead(entry) do
        local at = entry.at
        local text = entry.heads[at]
        local front = isWhole(text) and frontOf(text)
        if not front or not front.isReady then
            -- Nothing that can run: out of the lane with it, where it would be met again and again.
            call('ZREM', entry.key, entry.members[at])
            entry.at, entry.from = at + 1, entry.from - 1
        elseif not front.isTimed or not isLate(text, front.isNew) then
            entry.front = front
            return true
        else
            if patience == 0 then return false end
            patience = patience - 1
            late[#late + 1] = entry.ids[at]
            entry.at, entry.passed = at + 1, entry.passed + 1
        end
    end
    return false
end

-- The lane whose next job goes first.
local function best(lanes)
    if #lanes == 1 then return hasNext(lanes[1]) and lanes[1] or nil end
    local chosen, rank
    for index = 1, #lanes do
        local entry = lanes[index]
        if hasNext(entry) then
            local other = unpackBytes('>i8', entry.heads[entry.at], 48) - entry.bias
            local isEarlier = not chosen or other < rank
            if chosen and other == rank then
                isEarlier = unpackBytes('>i8', entry.members[entry.at]) < unpackBytes('>i8', chosen.members[chosen.at])
            end
            if isEarlier then chosen, rank = entry, other end
        end
    end
    if patience == 0 then return nil end
    return chosen
end

-- Jobs that were taken: for each its id, its head, what the front of it says, and its lane.

local function newList() return { size = 0, ids = {}, heads = {}, fronts = {}, lanes = {} } end

-- Takes the next job of a lane into a list.
local function take(entry, list)
    local at, size = entry.at, list.size + 1
    list.ids[size], list.heads[size], list.fronts[size], list.lanes[size] = entry.ids[at], entry.heads[at], entry.front, entry
    list.size, entry.at = size, at + 1
end

-- Leaves jobs where they are, from this one on.
local function drop(list, from)
    for index = list.size, from, -1 do
        list.ids[index], list.heads[index], list.fronts[index], list.lanes[index] = nil, nil, nil, nil
    end
    list.size = from - 1
end

-- The key of a job whose key is free once it starts.
local function freeKey(id, text)
    local key = keyOf(text)
    local entry = call('HGET', P .. 'u', key)
    if entry and sub(entry, 1, 16) == id and sub(entry, 17, 32) == NOBODY then
        call('HDEL', P .. 'u', key)
        call('ZREM', P .. 'k', key)
    end
end

-- Starts jobs that were taken, under leases of the holder; their heads are then those of running jobs.
local function start(list)
    if list.size == 0 then return end
    local ids, heads, written, timed, groups, waits, since = list.ids, list.heads, {}, {}, {}, {}, {}
    for index = 1, list.size do
        local text, front, entry = heads[index], list.fronts[index], list.lanes[index]
        if front.isNew and byte(text, 109) == 1 then freeKey(ids[index], text) end
        if front.isTimed then timed[#timed + 1] = ids[index] end
        if entry.taken == 0 then
            entry.kind = kindOf(text)
            groups[#groups + 1] = entry
            waits[entry] = {}
        end
        entry.taken = entry.taken + 1
        local runAt, waited = sub(text, 48, 55), waits[entry]
        if not since[runAt] then since[runAt] = bucket(now - unpackBytes('>i8', runAt)) end
        waited[since[runAt]] = (waited[since[runAt]] or 0) + 1
        text = front.running .. sub(text, 47)
        heads[index], written[2 * index - 1], written[2 * index] = text, ids[index], text
    end
    callAll('HSET', P .. 'j', written, 2)
    callAll('SADD', P .. 'h:' .. holder, ids, 1)
    call('SADD', P .. 'h', holder)
    if #timed > 0 then callAll('ZREM', P .. 'e', timed, 1) end
    for _, entry in ipairs(groups) do
        tally(entry.kind, 3, -entry.taken)
        tally(entry.kind, 4, entry.taken)
        count(entry.kind, 1, 0, entry.taken)
        for wait, times in pairs(waits[entry]) do count(entry.kind, 9, wait, times) end
        if entry.passed == 0 then
            call('ZREMRANGEBYRANK', entry.key, 0, entry.taken - 1)
        else
            local members = {}
            for index = 1, list.size do
                if list.lanes[index] == entry then members[#members + 1] = sub(heads[index], -8) .. ids[index] end
            end
            callAll('ZREM', entry.key, members, 1)
        end
    end
end
