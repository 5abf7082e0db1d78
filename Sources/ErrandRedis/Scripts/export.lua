-- Lets jobs and records go: takes out what is still as it was read, and keeps it as the batch that is on its way (`X` and
-- `X:pieces`).
-- ARGV: time, id of the batch, its destination, where the part goes on or nothing, the number of groups that go together or
-- stay; for each the numbers of its pieces, conditions, jobs and commands, the pieces, the conditions as in commit.lua, the
-- ids of the jobs, and the commands: HDEL, ZREM, SREM, UNLINK, LTRIM as in fetch.lua, and with T a change of the kept counts.
-- Answers: 1 and a letter for each group: t taken, s it stays; or 0 when a batch is open already.

if call('EXISTS', P .. 'X') == 1 then return { 0, '' } end
local letters, pieces, left, merged, others, names = {}, {}, {}, {}, {}, {}
local nowText = string.format('%.0f', now)

-- Commands that only take away come in any order, so those on one key become one.
local function keep(place, width)
    local word, key = ARGV[place + 1], ARGV[place + 2]
    if word == 'T' then
        tally(key, ARGV[place + 3], tonumber(ARGV[place + 4]))
    elseif word == 'LTRIM' or width == 2 then
        others[#others + 1] = { place, width }
    else
        local name = word .. ' ' .. key
        local found = merged[name]
        if not found then
            found = { word = word, key = key, words = {} }
            merged[name] = found
            names[#names + 1] = name
        end
        for index = place + 3, place + width do found.words[#found.words + 1] = ARGV[index] end
    end
end

local place = 6
for group = 1, tonumber(ARGV[5]) do
    local pieceCount, conditionCount = tonumber(ARGV[place]), tonumber(ARGV[place + 1])
    local jobCount, commandCount = tonumber(ARGV[place + 2]), tonumber(ARGV[place + 3])
    local firstPiece = place + 4
    place = firstPiece + pieceCount
    local holds = true
    for _ = 1, conditionCount do
        holds = holds and standing(ARGV[place], ARGV[place + 1]) == ARGV[place + 2]
        place = place + 3
    end
    letters[group] = holds and 't' or 's'
    if holds then
        for index = firstPiece, firstPiece + pieceCount - 1 do pieces[#pieces + 1] = ARGV[index] end
        for index = place, place + jobCount - 1 do
            left[#left + 1] = nowText
            left[#left + 1] = ARGV[index]
        end
    end
    place = place + jobCount
    for _ = 1, commandCount do
        local width = tonumber(ARGV[place])
        if holds then keep(place, width) end
        place = place + width + 1
    end
end
if #pieces == 0 then return { 1, table.concat(letters) } end

for _, name in ipairs(names) do
    local found = merged[name]
    callAll(found.word, P .. found.key, found.words, 1)
    if sub(found.key, 1, 2) == 'm:' and call('EXISTS', P .. found.key) == 0 then
        call('ZREM', P .. 'm', sub(found.key, 3))
    end
end
for _, other in ipairs(others) do
    local at, width = other[1], other[2]
    call(ARGV[at + 1], P .. ARGV[at + 2], unpack(ARGV, at + 3, at + width))
end
call('HSET', P .. 'X', 'id', ARGV[2], 'destination', ARGV[3], 'next', ARGV[4], 'at', nowText)
callAll('RPUSH', P .. 'X:pieces', pieces, 1)
if #left > 0 then callAll('ZADD', P .. 'D', left, 2) end
writeCounts()
return { 1, table.concat(letters) }
