-- Ends attempts that succeeded and leave nothing else behind: most of them.
-- ARGV: time, origin, and for each group under leases that are the same but for the job the rest of the lease (epoch, 1 for
-- the first attempt, worker), the ids in one piece, and the number of results, which follow: none, or for each job its
-- result, packed, or nothing.
-- Answers: time, and a letter for each: a applied, l the lease is lost, s there is more to it, nothing was written.

local origin, ids, groups, place = ARGV[2], {}, {}, 3
while place <= #ARGV do
    local names, first = ARGV[place + 1], #ids
    for at = 1, #names, 16 do ids[#ids + 1] = sub(names, at, at + 15) end
    local group = { right = ARGV[place], first = first + 1, last = #ids, results = tonumber(ARGV[place + 2]), place = place + 2 - first }
    groups[#groups + 1] = group
    place = place + 3 + group.results
end

local CLEAN = string.rep('\0', 15) .. '\1'
local heads, letters, seen, written, ended, watched = getAll(P .. 'j', ids), {}, {}, {}, {}, {}
local results, resultEnds, places = {}, {}, 0
local nowBytes, nowText = instant(now), string.format('%.0f', now)
-- Jobs that were claimed together, or are of one kind, share these places of their heads: each is looked into once.
local kinds, facts, fronts = {}, {}, {}

-- What the start of a head says: whether the job runs, under which lease, since when, and what stands there afterwards.
-- Extras, attempts and checkpoints are more than a script can do.
local function frontOf(head)
    local front = sub(head, 1, 46)
    local found = fronts[front]
    if not found then
        local flags = byte(front, 46) or 2
        found = { runs = byte(front, 1) == 4, right = sub(front, 10, 37), times = 0 }
        if found.runs then
            found.isSimple = not (has(flags, 2) or has(flags, 4) or has(flags, 16))
            found.ran = #front == 46 and bucket(now - unpackBytes('>i8', front, 2))
            found.ended = '\5' .. sub(front, 2, 37) .. nowBytes .. sub(front, 46)
        end
        fronts[front] = found
    end
    return found
end

-- What the end of a head says, from its crashes on to its sequence.
local function read(head)
    local tail = sub(head, 84, -9)
    local found = facts[tail]
    if found then return found end
    local kind = kindOf(head)
    local known = kinds[kind]
    if not known then
        known = { queue = queueOf(kind), ids = {}, runs = {} }
        kinds[kind] = known
    end
    found = { isClean = sub(tail, 1, 16) == CLEAN, scope = byte(tail, 26), ids = known.ids, runs = known.runs }
    facts[tail] = found
    return found
end

-- Whether a job has its key to itself, or none, and can let go of it.
local function letGo(id, head, scope)
    if scope == 0 then return true end
    local key = keyOf(head)
    local entry = call('HGET', P .. 'u', key)
    if not entry or sub(entry, 1, 16) ~= id then return true end
    if sub(entry, 17, 32) ~= NOBODY then return false end
    if scope ~= 3 then call('HDEL', P .. 'u', key) end
    return true
end

local function keep(result, id, head)
    local till = now + unpackBytes('>i8', head, 114)
    if till <= now then return end
    results[#results + 1], results[#results + 2] = id, instant(till) .. result
    resultEnds[#resultEnds + 1], resultEnds[#resultEnds + 2] = string.format('%.0f', till), id
end

-- A second try leaves a line in the history.
local function isHeld(right, other)
    return sub(right, 1, 8) == sub(other, 1, 8) and sub(right, 13) == sub(other, 13)
end

for _, group in ipairs(groups) do
    local right, gone = group.right, {}
    for index = group.first, group.last do
        local id, head, letter = ids[index], heads[index], 'l'
        local front = head and frontOf(head)
        if seen[id] then
            if seen[id] == 's' then letter = 's' end
        elseif front and front.runs then
            if front.right ~= right then
                if isHeld(front.right, right) then letter = 's' end
            else
                local fact = front.isSimple and isWhole(head) and read(head)
                if fact and fact.isClean and letGo(id, head, fact.scope) then
                    letter, places = 'a', places + 1
                    local words, last = fact.ids, 2 * places
                    written[last - 1], written[last] = id, front.ended .. sub(head, 47)
                    words[#words + 1] = nowText
                    words[#words + 1] = id
                    gone[#gone + 1] = id
                    watched[places] = id
                    fact.runs[front.ran] = (fact.runs[front.ran] or 0) + 1
                    local result = group.results > 0 and ARGV[group.place + index] or ''
                    if result ~= '' then keep(result, id, head) end
                else
                    letter = 's'
                end
            end
        end
        seen[id] = letter
        letters[index] = letter
    end
    if #gone > 0 then callAll('SREM', P .. 'h:' .. sub(right, 13), gone, 1) end
end

if places > 0 then
    callAll('HSET', P .. 'j', written, 2)
    for kind, known in pairs(kinds) do
        local number = #known.ids / 2
        if number > 0 then
            callAll('ZADD', P .. 'n:' .. known.queue .. '\0' .. 5, known.ids, 2)
            tally(kind, 4, -number)
            tally(kind, 5, number)
            count(kind, 2, 0, number)
            for ran, times in pairs(known.runs) do count(kind, 10, ran, times) end
        end
    end
    if #results > 0 then
        callAll('HSET', P .. 'r', results, 2)
        callAll('ZADD', P .. 'z', resultEnds, 2)
    end
    writeCounts()
    say('f' .. origin .. table.concat(watched))
end
return { nowText, table.concat(letters) }
