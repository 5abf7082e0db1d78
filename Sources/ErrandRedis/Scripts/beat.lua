-- Notes that a worker lives, and looks after the leases that it holds.
-- ARGV: time, worker, then in turn a job and its epoch.
-- Answers: time, whether the worker is known, how many jobs are in its name, a letter for each lease (h it holds, l it is
-- lost), and the number and the extras of each job that has some.

local worker, ids, letters, extras = ARGV[2], {}, {}, {}
if call('HEXISTS', P .. 'w', worker) == 0 then return { string.format('%.0f', now), 0, 0, '' } end
call('HSET', P .. 's', worker, string.format('%.0f', now))
for index = 3, #ARGV, 2 do ids[#ids + 1] = ARGV[index] end
for index, head in ipairs(getAll(P .. 'j', ids)) do
    local isHeld = isWhole(head) and byte(head, 1) == 4 and sub(head, 22, 37) == worker
        and sub(head, 10, 17) == ARGV[2 * index + 2]
    letters[index] = isHeld and 'h' or 'l'
    if isHeld and has(byte(head, 46), 2) then
        extras[#extras + 1] = index
        extras[#extras + 1] = call('HGET', P .. 'x', ids[index]) or ''
    end
end
local answer = { string.format('%.0f', now), 1, call('SCARD', P .. 'h:' .. worker), table.concat(letters) }
for index = 1, #extras do answer[4 + index] = extras[index] end
return answer
