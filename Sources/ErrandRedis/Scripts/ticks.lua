-- Reads decisions of one schedule.
-- ARGV: time, schedule, the most, then `keys` and keys; or `span`, the first and the last nominal time, and nominal time and
-- key of the one to go on behind, or nothing.
-- Answers: time, and for each its key, its nominal time, or nothing, and the row, or nothing. Those of a span are the newest
-- first; behind those that begin in it come the last ones about several ticks that begin before it and may reach into it.

local schedule, most, keys, times = ARGV[2], tonumber(ARGV[3]), {}, {}

local function readSpan(lower, upper, time, name)
    local set = P .. 'Kn:' .. schedule
    local first, last = call('ZCOUNT', set, '-inf', '(' .. lower), call('ZCOUNT', set, '-inf', upper)
    if name then last = math.min(last, inFront(set, time, name)) end
    first = math.max(first, last - most)
    if last > first then
        local found = call('ZRANGE', set, first, last - 1, 'WITHSCORES')
        for index = #found - 1, 1, -2 do
            keys[#keys + 1], times[#times + 1] = found[index], found[index + 1]
        end
    end
    if #keys == most then return end
    local found = call('ZREVRANGEBYSCORE', P .. 'Kr:' .. schedule, '(' .. lower, '-inf', 'WITHSCORES', 'LIMIT', 0, 8)
    for index = 1, #found, 2 do
        keys[#keys + 1], times[#times + 1] = found[index], found[index + 1]
    end
end

if ARGV[4] == 'span' then
    readSpan(ARGV[5], ARGV[6], ARGV[7], ARGV[8])
else
    for index = 5, #ARGV do keys[index - 4] = ARGV[index] end
end

local answer, rows = { string.format('%.0f', now) }, getAll(P .. 'K:' .. schedule, keys)
for index, key in ipairs(keys) do
    answer[3 * index - 1], answer[3 * index], answer[3 * index + 1] = key, times[index] or '', rows[index]
end
return answer
