-- Deletes decisions, and schedules that are complete or retired, when their time is over. `ranks.lua` says where they are.
-- ARGV: time, the most of each, the latest time that is not kept.
-- Answers: how many were deleted, and whether there may be more.

local most = tonumber(ARGV[2])
local old = call('ZRANGEBYSCORE', P .. 'Kd', '-inf', ARGV[3], 'LIMIT', 0, most)
local keys = {}
for _, member in ipairs(old) do
    local split = string.find(member, '\0', 1, true) or #member + 1
    local id = sub(member, 1, split - 1)
    keys[id] = keys[id] or {}
    table.insert(keys[id], sub(member, split + 1))
end
for id, some in pairs(keys) do
    callAll('HDEL', P .. 'K:' .. id, some, 1)
    callAll('ZREM', P .. 'Kn:' .. id, some, 1)
    callAll('ZREM', P .. 'Kr:' .. id, some, 1)
end
callAll('ZREM', P .. 'Kd', old, 1)

local ended = call('ZRANGEBYSCORE', P .. 'N:end', '-inf', ARGV[3], 'LIMIT', 0, most)
for _, key in ipairs({ 'N', 'N:body' }) do callAll('HDEL', P .. key, ended, 1) end
for _, key in ipairs({ 'N:id', 'N:due', 'N:cursor', 'N:end' }) do callAll('ZREM', P .. key, ended, 1) end
return { #old + #ended, (#old == most or #ended == most) and 1 or 0 }
