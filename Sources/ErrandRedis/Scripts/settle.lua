-- Ends attempts that succeeded and leave nothing else behind: most of them.
-- ARGV: time, origin, and for each its lease (id, epoch, 1 for the first attempt, worker) and its result, packed, or nothing.
-- Answers: time, and a letter for each: a applied, l the lease is lost, s there is more to it, nothing was written.

local origin, letters, ids, place = ARGV[2], {}, {}, 1
for index = 3, #ARGV, 2 do
    ids[place] = sub(ARGV[index], 1, 16)
    place = place + 1
end

local CLEAN = string.rep('\0', 15) .. '\1'
local heads, seen, written, gone = getAll(P .. 'j', ids), {}, {}, {}
local results, resultEnds, watched = {}, {}, {}
local nowBytes, nowText = instant(now), string.format('%.0f', now)
-- Jobs that were claimed together, or are of one kind, share these places of their heads: each is looked into once.
local kinds, facts, runs, simple = {}, {}, {}, {}

-- Extras, attempts and checkpoints are more than a script can do.
local function isSimple(flags)
    if simple[flags] == nil then simple[flags] = not (has(flags, 2) or has(flags, 4) or has(flags, 16)) end
    return simple[flags]
end

-- What the end of a head says, from its crashes on.
local function read(tail)
    local found = facts[tail]
    if found then return found end
    local kind = sub(tail, 41, 40 + unpackBytes('>I2', tail, 39))
    local known = kinds[kind]
    if not known then
        known = { queue = queueOf(kind), ids = {}, runs = {} }
        kinds[kind] = known
    end
    found = { isClean = sub(tail, 1, 16) == CLEAN, scope = byte(tail, 26), known = known }
    facts[tail] = found
    return found
end

for index, id in ipairs(ids) do
    local head, right, result, letter = heads[index], sub(ARGV[2 * index + 1], 17), ARGV[2 * index + 2], 'a'
    local front, fact
    if seen[id] then
        letter = seen[id] == 's' and 's' or 'l'
    elseif not head or byte(head, 1) ~= 4 then
        letter = 'l'
    else
        front = sub(head, 2, 37)
        if sub(front, 9) ~= right then
            -- A second try leaves a line in the history.
            local isHeld = sub(front, 9, 16) == sub(right, 1, 8) and sub(front, 21) == sub(right, 13)
            letter = isHeld and 's' or 'l'
        elseif not isWhole(head) or not isSimple(byte(head, 46)) then
            letter = 's'
        else
            fact = read(sub(head, 92))
            if not fact.isClean then
                letter = 's'
            elseif fact.scope ~= 0 then
                local key = sub(head, 132 + unpackBytes('>I2', head, 130))
                local entry = call('HGET', P .. 'u', key)
                if entry and sub(entry, 1, 16) == id then
                    if sub(entry, 17, 32) ~= NOBODY then
                        letter = 's'
                    elseif fact.scope ~= 3 then
                        call('HDEL', P .. 'u', key)
                    end
                end
            end
        end
    end
    if letter == 'a' then
        local known, ran, list = fact.known, runs[front], gone[right]
        written[#written + 1] = id
        written[#written + 1] = '\5' .. front .. nowBytes .. sub(head, 46)
        known.ids[#known.ids + 1] = nowText
        known.ids[#known.ids + 1] = id
        if not list then
            list = {}
            gone[right] = list
        end
        list[#list + 1] = id
        watched[#watched + 1] = id
        if not ran then
            ran = bucket(now - unpackBytes('>i8', front))
            runs[front] = ran
        end
        known.runs[ran] = (known.runs[ran] or 0) + 1
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
        if number > 0 then
            callAll('ZADD', P .. 'n:' .. known.queue .. '\0' .. 5, known.ids, 2)
            tally(kind, 4, -number)
            tally(kind, 5, number)
            count(kind, 2, 0, number)
            for ran, times in pairs(known.runs) do count(kind, 10, ran, times) end
        end
    end
    for right, list in pairs(gone) do callAll('SREM', P .. 'h:' .. sub(right, 13), list, 1) end
    if #results > 0 then
        callAll('HSET', P .. 'r', results, 2)
        callAll('ZADD', P .. 'z', resultEnds, 2)
    end
    writeCounts()
    say('f' .. origin .. table.concat(watched))
end
return { nowText, table.concat(letters) }
