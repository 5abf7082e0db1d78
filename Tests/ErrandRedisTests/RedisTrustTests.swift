// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandRedis
import RedisWire
import TestServers
import Testing

@Suite("Which servers are trusted with jobs, and what they are said to be", .timeLimit(.minutes(2)))
struct RedisTrustTests {
    @Test("a server that may delete keys is refused until it may not", arguments: ["allkeys-lru", "volatile-ttl"])
    func eviction(_ policy: String) async throws {
        let server = try RedisServer(.init(["maxmemory-policy": policy]))
        defer { server.kill() }
        let bench = try Bench(server)
        let store = try bench.open()
        let error = await failure { try await store.open() }
        #expect(error?.code == .incompatible)
        #expect(error?.message.contains("noeviction") == true)
        #expect(error?.message.contains(policy) == true)
        #expect(await failure { _ = try await store.insert([bench.job()], offer: nil) }?.code == .incompatible)
        let client = try bench.client()
        #expect(try await client.send(RedisCommand("KEYS", "*")).elements?.isEmpty == true)
        _ = try await client.send(RedisCommand("CONFIG", "SET", "maxmemory-policy", "noeviction"))
        try await store.open()
        await client.close()
        try await store.close()
    }

    @Test(
        "durability is what the server says",
        arguments: [
            (["appendonly": "yes", "appendfsync": "always"], StoreDescription.Durability.powerLoss, 0),
            (["appendonly": "yes", "appendfsync": "everysec"], .processCrash, 0),
            (["appendonly": "yes", "appendfsync": "no"], .processCrash, 1),
            (["appendonly": "no", "save": "3600 1"], .none, 1), (["appendonly": "no", "save": ""], .none, 1),
        ]
    )
    func durability(_ settings: [String: String], _ wanted: StoreDescription.Durability, _ warnings: Int) async throws {
        let server = try RedisServer(.init(settings))
        defer { server.kill() }
        let store = try Bench(server).open()
        let description = await store.describe()
        #expect(description.engine == "redis" || description.engine == "valkey")
        #expect(description.durability == wanted)
        #expect(description.warnings.count == warnings, "\(description.warnings)")
        #expect(!description.hasTransactions)
        #expect(description.isShared)
        try await store.close()
    }

    @Test("a user without CONFIG gets by, and the description says what is not known")
    func restricted() async throws {
        let server = try RedisServer()
        defer { server.kill() }
        let bench = try Bench(server)
        let client = try bench.client()
        let rules = [
            "ACL", "SETUSER", "app", "on", ">pw", "~{errand:*", "&{errand:*", "+@all", "-@admin", "-@dangerous",
            "+info",
        ]
        _ = try await client.send(RedisCommand(rules))
        let store = try bench.open("redis://app:pw@127.0.0.1:\(server.port)")
        _ = try await store.insert([bench.job()], offer: nil)
        let description = await store.describe()
        #expect(description.durability == .processCrash)
        #expect(description.warnings.contains { $0.contains("CONFIG") })
        try await store.close()
        _ = try await client.send(RedisCommand("ACL", "SETUSER", "app", "-info"))
        let blind = try bench.open("redis://app:pw@127.0.0.1:\(server.port)")
        let error = await failure { try await blind.open() }
        #expect(error?.code == .incompatible)
        #expect(error?.message.contains("+info") == true)
        try await blind.close()
        _ = try await client.send(RedisCommand("ACL", "SETUSER", "app", "+info", "-evalsha", "-eval"))
        let mute = try bench.open("redis://app:pw@127.0.0.1:\(server.port)")
        let refused = await failure { _ = try await mute.insert([bench.job()], offer: nil) }
        #expect(refused?.code == .unavailable)
        #expect(refused?.message.contains("ACL SETUSER") == true)
        try await mute.close()
        await client.close()
    }

    @Test("data of a newer build is refused")
    func newer() async throws {
        let bench = try Bench()
        let client = try bench.client()
        _ = try await client.send(RedisCommand("HSET", "{errand:\(bench.name)}:meta", "schema", "99"))
        let store = try bench.open()
        #expect(await failure { try await store.open() }?.code == .incompatible)
        #expect(await store.describe().schemaVersion == 99)
        try await store.close()
        await client.close()
    }

    @Test("what is wrong is said with what to do")
    func sentences() async throws {
        let server = try RedisServer(.init(["requirepass": "pw"]))
        defer { server.kill() }
        let bench = try Bench(server)
        let nobody = try ReservedPort()
        for (url, words) in [
            ("redis://:no@127.0.0.1:\(server.port)", "password"),
            ("redis://127.0.0.1:\(server.port)", "asks for a password"),
            ("redis://127.0.0.1:\(nobody.number)", "cannot be reached"),
            ("redis://no-such-host.invalid:6379", "cannot be reached"),
        ] {
            let store = try bench.open(url)
            let error = await failure { try await store.open() }
            #expect(error?.code == .unavailable)
            #expect(error?.message.contains(words) == true, "\(String(describing: error))")
            #expect(error?.description.contains(":no@") == false)
            #expect(await store.describe().warnings.count == 1)
            try await store.close()
        }
        #expect(throws: StoreError.self) { try RedisStore(url: "http://h") }
        #expect(throws: StoreError.self) { try RedisStore(url: server.url, configuration: .init(name: "a}b")) }
    }

    @Test("a server that is older than 7.0 is refused, with what to do")
    func oldServer() async throws {
        let server = try RedisServer.shared()
        let proxy = try await FaultProxy.start(to: .port(server.port))
        for major in ["7", "8"] { try proxy.rewrite("redis_version:\(major).", as: "redis_version:6.") }
        let store = try Bench(server).open("redis://127.0.0.1:\(proxy.port)")
        let error = await failure { try await store.open() }
        #expect(error?.code == .incompatible)
        #expect(error?.message.contains("needs Redis 7.0") == true)
        try await store.close()
        try await proxy.close()
    }

    @Test("when the memory is full nothing is stored and nothing is lost, and what is there can be worked off")
    func full() async throws {
        let server = try RedisServer()
        defer { server.kill() }
        let bench = try Bench(server)
        let store = try bench.open()
        let worker = try await bench.worker(in: store)
        _ = try await store.insert((0..<20).map { _ in bench.job() }, offer: nil)
        let client = try bench.client()
        _ = try await client.send(RedisCommand("CONFIG", "SET", "maxmemory", "1"))
        let error = await failure { _ = try await store.insert([bench.job()], offer: nil) }
        #expect(error?.code == .full)
        let rule = UniqueRule(key: "k", conflict: .runAgainAfter)
        #expect(
            await failure { _ = try await store.insert([bench.job { $0.unique = rule }], offer: nil) }?.code == .full
        )
        let claimed = try await store.claim(bench.request(worker, limit: 20)).jobs
        #expect(claimed.count == 20)
        let ends = claimed.enumerated()
            .map { index, job in
                let error = StoredError(type: "Oops", message: "")
                return Settlement(
                    lease: job.lease,
                    outcome: index.isMultiple(of: 2)
                        ? .succeeded(result: nil) : .failed(.permanent, error: error, timedOut: false)
                )
            }
        #expect(try await store.settle(ends).allSatisfy { $0 != .leaseLost })
        _ = try await store.maintain(.prune(RetentionPolicy(ages: [:], maximum: 0)))
        #expect(try await store.counts().count() == 0)
        _ = try await client.send(RedisCommand("CONFIG", "SET", "maxmemory", "0"))
        _ = try await store.insert([bench.job()], offer: nil)
        await client.close()
        try await store.close()
    }

    @Test("a replica is refused with what to do")
    func replica() async throws {
        let primary = try RedisServer()
        defer { primary.kill() }
        let server = try RedisServer(.init(["replicaof": "127.0.0.1 \(primary.port)"]))
        defer { server.kill() }
        let bench = try Bench(server)
        let store = try bench.open()
        let error = await failure { _ = try await store.insert([bench.job()], offer: nil) }
        #expect(error?.code == .unavailable)
        #expect(error?.message.contains("primary") == true)
        try await store.close()
    }
}
