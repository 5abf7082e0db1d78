-- Runs commands that only read, in one look.
-- ARGV: time, then for each command how many words it has, the command, its key without the prefix, and the rest.
-- Answers: time, then the answer of each.

local answer, place = { string.format('%.0f', now) }, 2
while place <= #ARGV do
    local width = tonumber(ARGV[place])
    answer[#answer + 1] = call(ARGV[place + 1], P .. ARGV[place + 2], unpack(ARGV, place + 3, place + width))
    place = place + width + 1
end
return answer
