-- Deletes the oldest finished jobs of one queue and state, with all their parts.
-- ARGV: time, queue, state, the latest end that is old enough or nothing, how many are kept or nothing, the most to delete.
-- Answers: how many were deleted, and whether there are more.

local state = ARGV[3]
local key = P .. 'n:' .. ARGV[2] .. '\0' .. state
local surplus = 0
if ARGV[4] ~= '' then surplus = call('ZCOUNT', key, '-inf', ARGV[4]) end
if ARGV[5] ~= '' then surplus = math.max(surplus, call('ZCARD', key) - tonumber(ARGV[5])) end
local size = math.min(surplus, tonumber(ARGV[6]))
if size <= 0 then return { 0, surplus > 0 and 1 or 0 } end

local ids = call('ZRANGE', key, 0, size - 1)
local heads, arguments = getAll(P .. 'j', ids), getAll(P .. 'a', ids)
local keys, bodies = {}, {}
for index, id in ipairs(ids) do
    local head, text = heads[index], arguments[index]
    if isWhole(head) then
        tally(kindOf(head), state, -1)
        local flags = byte(head, 46)
        if has(flags, 4) then keys[#keys + 1] = P .. 'A:' .. id end
        if has(flags, 8) then keys[#keys + 1] = P .. 'L:' .. id end
        if has(flags, 64) then bodies[#bodies + 1] = id end
        if has(flags, 128) and text then
            local tags, at = #text > 6 and unpackBytes('>I2', text, 5) or 0, 7
            for _ = 1, tags do
                if at + 1 > #text then break end
                local length = unpackBytes('>I2', text, at)
                call('ZREM', P .. 't:' .. sub(text, at + 2, at + 1 + length), id)
                at = at + 2 + length
            end
        end
        if byte(head, 109) == 3 then
            -- The key outlives its job, and says what became of it.
            local unique = keyOf(head)
            local entry = call('HGET', P .. 'u', unique)
            if entry and sub(entry, 1, 16) == id then
                call('HSET', P .. 'u', unique, sub(entry, 1, 40) .. string.char(state))
            end
        end
    end
end
callAll('HDEL', P .. 'j', ids, 1)
callAll('HDEL', P .. 'a', ids, 1)
callAll('HDEL', P .. 'x', ids, 1)
callAll('HDEL', P .. 'r', ids, 1)
callAll('ZREM', P .. 'i', ids, 1)
callAll('ZREM', P .. 'z', ids, 1)
callAll('ZREM', key, ids, 1)
if state == '6' then callAll('ZREM', P .. 'f', ids, 1) end
if #bodies > 0 then callAll('HDEL', P .. 'b', bodies, 1) end
for _, name in ipairs(keys) do call('UNLINK', name) end
writeCounts()
return { #ids, surplus > #ids and 1 or 0 }
