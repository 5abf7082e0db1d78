-- Deletes results, counters and remembered reports whose time is over.
-- ARGV: time, the most of each, the first minute that is kept, the latest time of a report that is not.
-- Answers: how many were deleted, and whether there may be more results.

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
return { affected, #results == most and 1 or 0 }
