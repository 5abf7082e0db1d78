-- Deletes results, counters, remembered reports and what is known of moves, when their time is over.
-- ARGV: time, the most of each, the first minute that is kept, and the latest times that are not: of a report, of a job that
-- left, of a batch that was taken in.
-- Answers: how many were deleted, and whether there may be more.

local most, affected = tonumber(ARGV[2]), 0
local results = call('ZRANGEBYSCORE', P .. 'z', '-inf', now, 'LIMIT', 0, most)
if #results > 0 then
    callAll('HDEL', P .. 'r', results, 1)
    callAll('ZREM', P .. 'z', results, 1)
end
affected = #results
for _, minute in ipairs(call('ZRANGEBYSCORE', P .. 'm', '-inf', '(' .. ARGV[3], 'LIMIT', 0, 100)) do
    affected = affected + call('HLEN', P .. 'm:' .. minute)
    call('UNLINK', P .. 'm:' .. minute)
    call('ZREM', P .. 'm', minute)
end
local reports = call('ZRANGEBYSCORE', P .. 'G', '-inf', ARGV[4], 'LIMIT', 0, most)
if #reports > 0 then
    callAll('HDEL', P .. 'g', reports, 1)
    callAll('ZREM', P .. 'G', reports, 1)
    affected = affected + #reports
end
local hasMore = #results == most
-- As long as a batch is on its way nobody knows whether its jobs come back.
local isOpen = call('EXISTS', P .. 'X') == 1
for index, key in ipairs({ 'D', 'M' }) do
    if key == 'M' or not isOpen then
        local old = call('ZRANGEBYSCORE', P .. key, '-inf', ARGV[4 + index], 'LIMIT', 0, most)
        if #old > 0 then callAll('ZREM', P .. key, old, 1) end
        affected = affected + #old
        hasMore = hasMore or #old == most
    end
end
return { affected, hasMore and 1 or 0 }
