-- What all scripts share; it stands in front of each of them. KEYS[1] is the prefix of all keys of the deployment, its
-- hash tag included; ARGV[1] is the time in microseconds, or empty for the server's own.
--
-- A job is a head in the hash `j` (what changes while it lives, at fixed places), its arguments in `a`, a large payload
-- apart in `b`, and what few jobs have (hold, cancel request, error, progress) in `x`. Payloads are never looked into.
--
-- Places in a head, counted from 1; numbers are big-endian, an instant that is not there is NONE:
--   1 state   2 startedAt   10 epoch   18 attempt   22 worker   38 finishedAt   46 flags   47 priority
--   48 runAt   56 createdAt   64 startBy   72 deadline   80 failures   84 crashes   88 releases   92 snoozes
--   96 run   100 revision   104 stamp   108 reason   109 scope   110 version   114 resultTTL
--   122 length of kind   124 kind (queue, NUL, name), then the unique key, and in the last 8 places the sequence
-- The sequence is last because what is in front of it is the same for jobs of a kind that are stored together.
-- Flags: 1 held, 2 has extras, 4 attempts, 8 log, 16 checkpoints, 32 timed, 64 payload apart, 128 tags.
-- States: 0 waiting, 1 scheduled, 2 retrying, 3 ready, 4 running, 5 succeeded, 6 failed, 7 cancelled, 8 expired, 9 skipped.
-- Of moves there are the batch that is on its way (`X` says which, `X:pieces` is what is in it) and the sets `D` and `M`: jobs
-- that left and batches that were taken in, by when.

local P = KEYS[1]
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end

local NONE = '\128\0\0\0\0\0\0\0'
local NOBODY = string.rep('\0', 16)
local MOST = 9007199254740992
local call, pack, unpackBytes, sub, byte = redis.call, struct.pack, struct.unpack, string.sub, string.byte
local floor, frexp = math.floor, math.frexp

-- The bytes of an instant; what is behind the year 2255 is never.
local function instant(time)
    if time >= MOST then return '\127\255\255\255\255\255\255\255' end
    return pack('>i8', time)
end

local function has(flags, flag) return floor(flags / flag) % 2 == 1 end

-- Calls a command with a list of words that may be long.
local function callAll(command, key, words, width)
    local most = 2000 - 2000 % width
    for start = 1, #words, most do
        call(command, key, unpack(words, start, math.min(start + most - 1, #words)))
    end
end

local function getAll(key, fields)
    if #fields <= 2000 then
        if #fields == 0 then return {} end
        return call('HMGET', key, unpack(fields))
    end
    local values = {}
    for start = 1, #fields, 2000 do
        local part = call('HMGET', key, unpack(fields, start, math.min(start + 1999, #fields)))
        for index = 1, #part do values[start + index - 1] = part[index] end
    end
    return values
end

-- What stands in a field of a hash, an empty string for none; or when a member came into one of the two sets of moves (`D`, jobs that
-- left; `M`, batches that were taken in); or the oldest lines of the audit, `field` of them.
local function standing(key, field)
    if key == 'D' or key == 'M' then return call('ZSCORE', P .. key, field) or '' end
    if key == 'y' then return table.concat(call('LRANGE', P .. 'y', -tonumber(field), -1)) end
    return call('HGET', P .. key, field) or ''
end

-- Kept counts and counters of the minute: gathered, and written once.

local tallies, counters = {}, {}

local function tally(kind, state, change)
    local field = kind .. '\0' .. state
    tallies[field] = (tallies[field] or 0) + change
end

local function count(kind, metric, bucket, times)
    local field = kind .. '\0' .. metric .. ':' .. bucket
    counters[field] = (counters[field] or 0) + times
end

-- 0 for less than a millisecond, then one per doubling, at most 24.
local function bucket(microseconds)
    local milliseconds = floor(microseconds / 1000)
    if milliseconds <= 0 then return 0 end
    local _, exponent = frexp(milliseconds)
    return math.min(exponent, 24)
end

local function writeCounts()
    for field, change in pairs(tallies) do
        if change ~= 0 and call('HINCRBY', P .. 'c', field, change) == 0 then call('HDEL', P .. 'c', field) end
    end
    if next(counters) then
        local minute, isNew = string.format('%.0f', floor(now / 60000000)), false
        for field, times in pairs(counters) do
            if call('HINCRBY', P .. 'm:' .. minute, field, times) == times then isNew = true end
        end
        -- A minute that is not yet known has no counter either.
        if isNew then call('ZADD', P .. 'm', minute, minute) end
    end
    call('INCR', P .. 'V')
end

local function say(message) call('PUBLISH', P .. 'wake', message) end

-- Lanes: the ready jobs of one queue, name, version and priority, by the time they became ready. The hash `v:QUEUE` says
-- for each name which there are, as `;VERSION.PRIORITY;VERSION.PRIORITY;`.

local registered = {}

local function lane(kind, version, priority)
    local key = P .. 'l:' .. kind .. '\0' .. version .. '\0' .. priority
    if not registered[key] then
        registered[key] = true
        local split = string.find(kind, '\0', 1, true) or #kind + 1
        local queue, name, word = sub(kind, 1, split - 1), sub(kind, split + 1), version .. '.' .. priority .. ';'
        local known = call('HGET', P .. 'v:' .. queue, name) or ';'
        if not string.find(known, ';' .. word, 1, true) then
            call('HSET', P .. 'v:' .. queue, name, known .. word)
            call('SADD', P .. 'q', queue)
        end
    end
    return key
end

local function kindOf(head)
    return sub(head, 124, 123 + unpackBytes('>I2', head, 122))
end

local function keyOf(head)
    return sub(head, 124 + unpackBytes('>I2', head, 122), -9)
end

local function queueOf(kind)
    return sub(kind, 1, (string.find(kind, '\0', 1, true) or #kind + 1) - 1)
end

-- Whether a head has all its places. One that was damaged must not stop the scripts that meet it.
local function isWhole(head) return head and #head > 132 end
