// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import RedisWire

/// The three scripts in a job's life on the store's keys, each with the counts that belong to them.
enum PlainRedisScripts {
    /// What their heads have in common, their ids in one piece, and the arguments of each.
    static let insert = make(
        "plain-insert",
        """
        local heads, arguments, names, members, head, some = {}, {}, {}, {}, ARGV[4], ARGV[5]
        local n = #ARGV - 5
        local place = call('INCRBY', P .. 'S', n) - n
        for at = 1, n do
            local id, order = string.sub(some, 16 * at - 15, 16 * at), struct.pack('>i8', place + at)
            heads[2 * at - 1], heads[2 * at] = id, head .. order
            arguments[2 * at - 1], arguments[2 * at] = id, ARGV[at + 5]
            names[2 * at - 1], names[2 * at] = '0', id
            members[2 * at - 1], members[2 * at] = now, order .. id
        end
        call('HSET', P .. 'j', unpack(heads))
        call('HSET', P .. 'a', unpack(arguments))
        call('ZADD', P .. 'i', unpack(names))
        call('ZADD', lane, unpack(members))
        tally(3, n)
        count('0:0', n)
        say('w' .. worker)
        return n
        """
    )

    /// How many; answers with id, head and arguments of each.
    static let claim = make(
        "plain-claim",
        """
        local members, ids = call('ZRANGE', lane, 0, ARGV[4] - 1), {}
        local n = #members
        if n == 0 then return {} end
        for at = 1, n do ids[at] = string.sub(members[at], 9) end
        local heads, arguments = call('HMGET', P .. 'j', unpack(ids)), call('HMGET', P .. 'a', unpack(ids))
        local lease, written, answer = struct.pack('>i8i8I4', now, 1, 1) .. worker, {}, {}
        for at = 1, n do
            local head = '\\4' .. lease .. string.sub(heads[at], 38)
            written[2 * at - 1], written[2 * at] = ids[at], head
            answer[3 * at - 2], answer[3 * at - 1], answer[3 * at] = ids[at], head, arguments[at]
        end
        call('HSET', P .. 'j', unpack(written))
        call('SADD', P .. 'h:' .. worker, unpack(ids))
        call('SADD', P .. 'h', worker)
        call('ZREMRANGEBYRANK', lane, 0, n - 1)
        tally(3, -n)
        tally(4, n)
        count('1:0', n)
        count('9:0', n)
        return answer
        """
    )

    /// The ids in one piece; answers with how many it held.
    static let finish = make(
        "plain-finish",
        """
        local ids, written, ended, some = {}, {}, {}, ARGV[4]
        for at = 1, #some, 16 do ids[#ids + 1] = string.sub(some, at, at + 15) end
        local heads, n, time = call('HMGET', P .. 'j', unpack(ids)), 0, struct.pack('>i8', now)
        for at = 1, #ids do
            local head = heads[at]
            if string.byte(head, 1) == 4 and string.sub(head, 10, 17) == '\\0\\0\\0\\0\\0\\0\\0\\1'
                and string.sub(head, 22, 37) == worker then
                written[2 * n + 1] = ids[at]
                written[2 * n + 2] = '\\5' .. string.sub(head, 2, 37) .. time .. string.sub(head, 46)
                ended[2 * n + 1], ended[2 * n + 2] = now, ids[at]
                n = n + 1
            end
        end
        call('HSET', P .. 'j', unpack(written))
        call('ZADD', P .. 'n:plain\\0005', unpack(ended))
        call('SREM', P .. 'h:' .. worker, unpack(ids))
        tally(4, -n)
        tally(5, n)
        count('2:0', n)
        count('10:0', n)
        say('f' .. worker .. some)
        return n
        """
    )

    /// Time, minute and worker stand in front of the arguments.
    private static func make(_ name: String, _ body: String) -> RedisScript {
        RedisScript(
            name: name,
            source: """
                #!lua flags=allow-oom
                local P, now, minute, worker, call = KEYS[1], ARGV[1], ARGV[2], ARGV[3], redis.call
                local lane = P .. 'l:plain\\0no-op\\0001\\0005'
                local function tally(state, change) call('HINCRBY', P .. 'c', 'plain\\0no-op\\000' .. state, change) end
                local function count(metric, times) call('HINCRBY', P .. 'm:' .. minute, 'plain\\0no-op\\000' .. metric, times) end
                local function say(message) call('PUBLISH', P .. 'wake', message) end
                call('ZADD', P .. 'm', minute, minute)
                call('INCR', P .. 'V')
                \(body)
                """
        )
    }
}
