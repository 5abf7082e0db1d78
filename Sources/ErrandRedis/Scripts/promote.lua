-- Makes due jobs ready in the queues that no worker serves, so that they are seen to wait.
-- ARGV: time, the most of each queue.

local step = '0'
repeat
    local found = call('SSCAN', P .. 'q', step, 'COUNT', 500)
    step = found[1]
    for _, queue in ipairs(found[2]) do promote(queue, tonumber(ARGV[2])) end
until step == '0'
if next(tallies) then writeCounts() end
return 1
