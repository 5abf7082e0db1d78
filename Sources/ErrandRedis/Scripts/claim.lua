-- Makes due jobs ready, then starts ready ones by rank.
-- ARGV: time, worker, limit, promotion limit, order (w weighted, s strict), bytes, number of names, number of queues, then
-- each name with its version, then each queue with slots, weight and credit.
-- Answers: time, whether more is left, the next due time, the ids of late jobs, the credits, for each job that has such its
-- number, large payload and extras; and for each job its id, head and arguments.

local worker, limit, budget = ARGV[2], tonumber(ARGV[3]), math.max(tonumber(ARGV[4]), 1)
local order, most, nameCount, queueCount = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
if call('HEXISTS', P .. 'w', worker) == 0 then return redis.error_reply('NOWORKER it is not registered') end

local names, versions, queues, place = {}, {}, {}, 9
for index = 1, nameCount do
    names[index], versions[index] = ARGV[place], tonumber(ARGV[place + 1])
    place = place + 2
end
for index = 1, queueCount do
    queues[index] = { name = ARGV[place], slots = tonumber(ARGV[place + 1]), weight = tonumber(ARGV[place + 2]),
        credit = tonumber(ARGV[place + 3]) }
    place = place + 4
end

local hasMore = false
for _, queue in ipairs(queues) do
    if budget > 0 then
        budget = budget - promote(queue.name, budget)
    end
    queue.lanes = cursor(queue.name, names, versions, math.max(math.min(limit, queue.slots, 250), 0) + 1)
end

-- Smooth weighted round robin, as QueueShares does it.
local function nextQueue()
    local candidates, total = {}, 0
    for index, queue in ipairs(queues) do
        if queue.slots > 0 and best(queue.lanes) then candidates[#candidates + 1] = index end
    end
    local chosen = candidates[1]
    if not chosen then return nil end
    if order == 'w' and #candidates > 1 then
        for _, index in ipairs(candidates) do
            local queue = queues[index]
            queue.credit = queue.credit + queue.weight
            total = total + queue.weight
            if queue.credit > queues[chosen].credit then chosen = index end
        end
        queues[chosen].credit = queues[chosen].credit - total
    end
    queues[chosen].slots = queues[chosen].slots - 1
    return queues[chosen]
end

holder = worker
local list = newList()
if queueCount == 1 then
    local queue = queues[1]
    local wanted = math.min(limit, queue.slots)
    while list.size < wanted do
        local entry = best(queue.lanes)
        if not entry then break end
        take(entry, list)
    end
else
    while list.size < limit do
        local queue = nextQueue()
        if not queue then break end
        take(best(queue.lanes), list)
    end
end
for _, queue in ipairs(queues) do
    if best(queue.lanes) then hasMore = true end
end
if patience == 0 then hasMore = true end

-- Large payloads: what does not fit into one answer stays where it is.
local arguments, bodies, bytes = {}, {}, 0
for first = 1, list.size, 50 do
    local last, some = math.min(first + 49, list.size), {}
    for index = first, last do some[#some + 1] = list.ids[index] end
    some = getAll(P .. 'a', some)
    for index = first, last do
        local text = some[index - first + 1] or ''
        if has(list.fronts[index].flags, 64) then
            local size = call('HSTRLEN', P .. 'b', list.ids[index])
            if index == 1 or bytes + size <= most then bodies[index] = call('HGET', P .. 'b', list.ids[index]) end
            bytes = bytes + size
        end
        bytes = bytes + #text
        if index > 1 and bytes > most then
            drop(list, index)
            hasMore = true
            break
        end
        arguments[index] = text
    end
    if list.size < last then break end
end
start(list)

-- What only few have goes apart: the number of the job, its large payload and its extras.
local answer, others, at = { '', '', '', '', '', '' }, {}, 6
for index = 1, list.size do
    local id, flags = list.ids[index], list.fronts[index].flags
    answer[at + 1], answer[at + 2], answer[at + 3] = id, list.heads[index], arguments[index]
    at = at + 3
    if flags ~= 0 and (has(flags, 64) or has(flags, 2)) then
        local n = #others
        others[n + 1], others[n + 2] = index, bodies[index] or ''
        others[n + 3] = has(flags, 2) and call('HGET', P .. 'x', id) or ''
    end
end

local nextDue
for _, queue in ipairs(queues) do
    local first = call('ZRANGE', P .. 'd:' .. queue.name, 0, 0, 'WITHSCORES')
    if first[2] then
        local time = tonumber(first[2])
        if budget <= 0 and time <= now then hasMore = true end
        if not nextDue or time < nextDue then nextDue = time end
    end
end
if list.size > 0 or next(tallies) then writeCounts() end

local credits = {}
for index, queue in ipairs(queues) do credits[index] = string.format('%.0f', queue.credit) end
answer[1] = string.format('%.0f', now)
answer[2] = hasMore and 1 or 0
answer[3] = nextDue and string.format('%.0f', nextDue) or ''
answer[4] = table.concat(late)
answer[5] = table.concat(credits, ' ')
answer[6] = others
return answer
