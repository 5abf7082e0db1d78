-- Reads jobs with the parts that were asked for.
-- ARGV: time, parts (1 payload, 2 result, 4 attempts, 8 log, 16 checkpoints), then ids; or, with 'scan' in the place of the
-- first id, the set to walk, the id to go on behind or nothing, and how many.
-- Answers: time, then for each job its id and nothing, or D when it has left for another store, or a list of head,
-- arguments, payload, extras, result, attempts, log and checkpoints.

local parts, ids = tonumber(ARGV[2]), {}
if ARGV[3] == 'scan' then
    local from = ARGV[5] == '' and '+' or '(' .. ARGV[5]
    ids = call('ZREVRANGEBYLEX', P .. ARGV[4], from, '-', 'LIMIT', 0, ARGV[6])
else
    for index = 3, #ARGV do ids[index - 2] = ARGV[index] end
end

local heads, arguments = getAll(P .. 'j', ids), getAll(P .. 'a', ids)
local hasMoves
local answer = { string.format('%.0f', now) }
for index, id in ipairs(ids) do
    local head, job = heads[index], false
    if head then
        local flags, text = byte(head, 46) or 0, arguments[index] or ''
        local size, body = #text >= 4 and 4 + unpackBytes('>I4', text) or 0, ''
        if has(parts, 1) then
            body = has(flags, 64) and (call('HGET', P .. 'b', id) or '') or sub(text, size + 1)
        end
        job = {
            head, sub(text, 1, size), body, has(flags, 2) and call('HGET', P .. 'x', id) or '',
            has(parts, 2) and call('HGET', P .. 'r', id) or '',
            has(parts, 4) and has(flags, 4) and call('LRANGE', P .. 'A:' .. id, 0, -1) or {},
            has(parts, 8) and has(flags, 8) and call('LRANGE', P .. 'L:' .. id, 0, -1) or {},
            has(parts, 16) and has(flags, 16) and call('HGETALL', P .. 'C:' .. id) or {},
        }
        for part = 4, 5 do job[part] = job[part] or '' end
    else
        if hasMoves == nil then hasMoves = call('EXISTS', P .. 'D') == 1 end
        if hasMoves and call('ZSCORE', P .. 'D', id) then job = 'D' end
    end
    answer[2 * index], answer[2 * index + 1] = id, job
end
return answer
