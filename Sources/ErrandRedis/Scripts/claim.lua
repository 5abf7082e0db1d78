-- Makes due jobs ready, then starts ready ones by rank.
-- ARGV: time, worker, limit, promotion limit, order (w weighted, s strict), bytes, number of names, number of queues, then
-- each name with its version, then each queue with slots, weight and credit.
-- Answers: time, whether more is left, the next due time, the ids of late jobs, the credits, and for each job its id, head,
-- arguments, large payload and extras.

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

local list = {}
if queueCount == 1 then
    local queue = queues[1]
    local wanted = math.min(limit, queue.slots)
    while #list < wanted do
        local entry = best(queue.lanes)
        if not entry then break end
        take(entry, list)
    end
else
    while #list < limit do
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
local answer, bytes = { '', '', '', '', '' }, 0
for first = 1, #list, 50 do
    local last, ids, apart = math.min(first + 49, #list), {}, {}
    for index = first, last do ids[#ids + 1] = list[index].id end
    local arguments = getAll(P .. 'a', ids)
    for index = first, last do
        local job = list[index]
        job.arguments, job.body = arguments[index - first + 1] or '', ''
        local flags = byte(job.head, 46)
        if flags ~= 0 and has(flags, 64) then
            local size = call('HSTRLEN', P .. 'b', job.id)
            if index == 1 or bytes + size <= most then job.body = call('HGET', P .. 'b', job.id) or '' end
            bytes = bytes + size
        end
        bytes = bytes + #job.arguments
        if index > 1 and bytes > most then
            for index = #list, index, -1 do list[index] = nil end
            hasMore = true
            break
        end
    end
    if #list < last then break end
end
start(list, worker)
local at = #answer
for _, job in ipairs(list) do
    local flags = byte(job.head, 46)
    answer[at + 1], answer[at + 2], answer[at + 3], answer[at + 4] = job.id, job.head, job.arguments, job.body
    answer[at + 5] = flags ~= 0 and has(flags, 2) and call('HGET', P .. 'x', job.id) or ''
    at = at + 5
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
if #list > 0 or next(tallies) then writeCounts() end

local credits = {}
for index, queue in ipairs(queues) do credits[index] = string.format('%.0f', queue.credit) end
answer[1] = string.format('%.0f', now)
answer[2] = hasMore and 1 or 0
answer[3] = nextDue and string.format('%.0f', nextDue) or ''
answer[4] = table.concat(late)
answer[5] = table.concat(credits, ' ')
return answer
