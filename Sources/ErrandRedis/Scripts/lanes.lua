-- Every lane that has jobs, with how many and since when.
-- Answers: time, then for each lane queue, name, version, number of jobs and the time of the oldest.
-- There are as many as queues, names and versions that wait, not as many as jobs.

local answer, step = { string.format('%.0f', now) }, '0'
repeat
    local found = call('SSCAN', P .. 'q', step, 'COUNT', 500)
    step = found[1]
    for _, queue in ipairs(found[2]) do
        local names = call('HGETALL', P .. 'v:' .. queue)
        for index = 1, #names, 2 do
            for version, priority in string.gmatch(names[index + 1], '(%d+)%.(%d+);') do
                local key = P .. 'l:' .. queue .. '\0' .. names[index] .. '\0' .. version .. '\0' .. priority
                local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
                if first[2] then
                    local at = #answer
                    answer[at + 1], answer[at + 2], answer[at + 3] = queue, names[index], version
                    answer[at + 4], answer[at + 5] = call('ZCARD', key), first[2]
                end
            end
        end
    end
until step == '0'
return answer
