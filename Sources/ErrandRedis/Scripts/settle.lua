-- Ends attempts that succeeded and leave nothing else behind: most of them.
-- ARGV: time, origin, and for each its lease (id, worker, epoch) and its result, packed, or nothing.
-- Answers: time, and a letter for each: a applied, l the lease is lost, s there is more to it, nothing was written.

local origin, letters, ids, place = ARGV[2], {}, {}, 1
for index = 3, #ARGV, 2 do
    ids[place] = sub(ARGV[index], 1, 16)
    place = place + 1
end

local FIRST = '\0\0\0\1'
local CLEAN = string.rep('\0', 12) .. FIRST
local heads, seen, written, finished, gone = getAll(P .. 'j', ids), {}, {}, {}, {}
local results, resultEnds, watched = {}, {}, {}
local nowBytes, nowText = instant(now), string.format('%.0f', now)
local kinds, lastStart, lastBucket = {}, nil, nil

for index, id in ipairs(ids) do
    local lease, result = ARGV[2 * index + 1], ARGV[2 * index + 2]
    local head, letter = heads[index], 'a'
    local kind, entry
    if seen[id] then
        letter = seen[id] == 's' and 's' or 'l'
    elseif not head or byte(head, 1) ~= 4 or sub(head, 10, 17) ~= sub(lease, 33, 40)
        or sub(head, 22, 37) ~= sub(lease, 17, 32) then
        letter = 'l'
    else
        local flags = byte(head, 46) or 0
        -- Extras, attempts and checkpoints; a second try leaves a line in the history.
        if not isWhole(head) or has(flags, 2) or has(flags, 4) or has(flags, 16) or sub(head, 18, 21) ~= FIRST
            or sub(head, 92, 107) ~= CLEAN then
            letter = 's'
        elseif byte(head, 117) ~= 0 then
            local key = sub(head, 132 + unpackBytes('>I2', head, 130))
            entry = call('HGET', P .. 'u', key)
            if entry and sub(entry, 1, 16) == id then
                if sub(entry, 17, 32) ~= NOBODY then
                    letter = 's'
                elseif byte(head, 117) ~= 3 then
                    call('HDEL', P .. 'u', key)
                end
            end
        end
    end
    if letter == 'a' then
        kind = kindOf(head)
        local known = kinds[kind]
        if not known then
            known = { queue = queueOf(kind), ids = {}, runs = {} }
            kinds[kind] = known
        end
        written[#written + 1] = id
        written[#written + 1] = '\5' .. sub(head, 2, 37) .. nowBytes .. sub(head, 46)
        known.ids[#known.ids + 1] = nowText
        known.ids[#known.ids + 1] = id
        local worker = sub(lease, 17, 32)
        gone[worker] = gone[worker] or {}
        table.insert(gone[worker], id)
        watched[#watched + 1] = id
        local startedAt = sub(head, 2, 9)
        if startedAt ~= lastStart then
            lastStart, lastBucket = startedAt, bucket(now - unpackBytes('>i8', startedAt))
        end
        known.runs[lastBucket] = (known.runs[lastBucket] or 0) + 1
        if result ~= '' then
            local till = now + unpackBytes('>i8', head, 122)
            if till > now then
                results[#results + 1] = id
                results[#results + 1] = instant(till) .. result
                resultEnds[#resultEnds + 1] = string.format('%.0f', till)
                resultEnds[#resultEnds + 1] = id
            end
        end
    end
    seen[id] = letter
    letters[index] = letter
end

if #written > 0 then
    callAll('HSET', P .. 'j', written, 2)
    for kind, known in pairs(kinds) do
        local number = #known.ids / 2
        callAll('ZADD', P .. 'n:' .. known.queue .. '\0' .. 5, known.ids, 2)
        tally(kind, 4, -number)
        tally(kind, 5, number)
        count(kind, 2, 0, number)
        for ran, times in pairs(known.runs) do count(kind, 10, ran, times) end
    end
    for worker, list in pairs(gone) do callAll('SREM', P .. 'h:' .. worker, list, 1) end
    if #results > 0 then
        callAll('HSET', P .. 'r', results, 2)
        callAll('ZADD', P .. 'z', resultEnds, 2)
    end
    writeCounts()
    say('f' .. origin .. table.concat(watched))
end
return { nowText, table.concat(letters) }
