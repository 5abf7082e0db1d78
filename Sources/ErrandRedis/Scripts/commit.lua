-- Writes what was decided outside, if everything it was decided from is still so.
-- ARGV: the time of the decision, how old it may be in microseconds or nothing, the number of conditions, for each the
-- hash, the field and the value that must be there (empty for none); then commands as in fetch.lua, and with T a change of
-- the kept counts, with N one of the minute's counters, with S a message, with Y a line of the audit from another store,
-- oldest first.
-- Answers: 1, or 0 when something has changed and nothing was written.

if ARGV[2] ~= '' then
    local time = call('TIME')
    local age = time[1] * 1000000 + time[2] - now
    if age > tonumber(ARGV[2]) then return 0 end
end
local place = 4
for _ = 1, tonumber(ARGV[3]) do
    if standing(ARGV[place], ARGV[place + 1]) ~= ARGV[place + 2] then return 0 end
    place = place + 3
end

-- Puts lines of the audit where their instants belong in the list, which has the newest first.
local function putLines(lines)
    local function time(line) return #line >= 8 and unpackBytes('>i8', line) or -MOST end
    local first, newer, goesOn = time(lines[1]), {}, true
    while goesOn do
        local some = call('LRANGE', P .. 'y', #newer, #newer + 499)
        goesOn = #some == 500
        for _, line in ipairs(some) do
            if time(line) <= first then
                goesOn = false
                break
            end
            newer[#newer + 1] = line
        end
    end
    if #newer > 0 then call('LTRIM', P .. 'y', #newer, -1) end
    local merged, rest = {}, #newer
    for _, line in ipairs(lines) do
        while rest > 0 and time(newer[rest]) <= time(line) do
            merged[#merged + 1] = newer[rest]
            rest = rest - 1
        end
        merged[#merged + 1] = line
    end
    for index = rest, 1, -1 do merged[#merged + 1] = newer[index] end
    callAll('LPUSH', P .. 'y', merged, 1)
    call('LTRIM', P .. 'y', 0, 9999)
end

local messages, lines = {}, {}
while place <= #ARGV do
    local width, word = tonumber(ARGV[place]), ARGV[place + 1]
    if word == 'T' then
        tally(ARGV[place + 2], ARGV[place + 3], tonumber(ARGV[place + 4]))
    elseif word == 'N' then
        count(ARGV[place + 2], ARGV[place + 3], ARGV[place + 4], tonumber(ARGV[place + 5]))
    elseif word == 'S' then
        messages[#messages + 1] = ARGV[place + 2]
    elseif word == 'Y' then
        lines[#lines + 1] = ARGV[place + 2]
    elseif word == 'LANE' then
        call('ZADD', lane(ARGV[place + 2], ARGV[place + 3], ARGV[place + 4]), ARGV[place + 5], ARGV[place + 6])
    else
        call(word, P .. ARGV[place + 2], unpack(ARGV, place + 3, place + width))
    end
    place = place + width + 1
end
if #lines > 0 then putLines(lines) end
writeCounts()
for _, message in ipairs(messages) do say(message) end
return 1
