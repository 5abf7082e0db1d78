-- Writes what was decided outside, if everything it was decided from is still so.
-- ARGV: the time of the decision, how old it may be in microseconds or nothing, the number of conditions, for each the
-- hash, the field and the value that must be there (empty for none); then commands as in fetch.lua, and with T a change of
-- the kept counts, with N one of the minute's counters, with S a message.
-- Answers: 1, or 0 when something has changed and nothing was written.

if ARGV[2] ~= '' then
    local time = call('TIME')
    local age = time[1] * 1000000 + time[2] - now
    if age > tonumber(ARGV[2]) then return 0 end
end
local place = 4
for _ = 1, tonumber(ARGV[3]) do
    local key, field, wanted = P .. ARGV[place], ARGV[place + 1], ARGV[place + 2]
    if (call('HGET', key, field) or '') ~= wanted then return 0 end
    place = place + 3
end
local messages = {}
while place <= #ARGV do
    local width, word = tonumber(ARGV[place]), ARGV[place + 1]
    if word == 'T' then
        tally(ARGV[place + 2], ARGV[place + 3], tonumber(ARGV[place + 4]))
    elseif word == 'N' then
        count(ARGV[place + 2], ARGV[place + 3], ARGV[place + 4], tonumber(ARGV[place + 5]))
    elseif word == 'S' then
        messages[#messages + 1] = ARGV[place + 2]
    elseif word == 'LANE' then
        call('ZADD', lane(ARGV[place + 2], ARGV[place + 3], ARGV[place + 4]), ARGV[place + 5], ARGV[place + 6])
    else
        call(word, P .. ARGV[place + 2], unpack(ARGV, place + 3, place + width))
    end
    place = place + width + 1
end
writeCounts()
for _, message in ipairs(messages) do say(message) end
return 1
