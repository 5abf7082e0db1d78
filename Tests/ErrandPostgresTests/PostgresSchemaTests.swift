// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandPostgres
import TestServers
import Testing

@Suite("PostgreSQL: schema", .timeLimit(.minutes(2)))
struct PostgresSchemaTests {
    @Test("processes that start together migrate once")
    func together() async throws {
        let bench = try PostgresBench()
        let stores = try (0..<8).map { _ in try bench.open() }
        try await withThrowingTaskGroup { group in
            for store in stores {
                group.addTask { _ = try await store.insert([bench.job()], offer: nil) }
            }
            try await group.waitForAll()
        }
        let numbers = try bench.server.psql(
            "SELECT string_agg(number::text, ' ' ORDER BY number) FROM \(bench.schema).migrations"
        )
        let version = await stores[0].describe().schemaVersion
        #expect(numbers == (1...version).map(String.init).joined(separator: " "))
        #expect(try await stores[0].counts().count(.ready) == 8)
        for store in stores { try await store.close() }
    }

    @Test(
        "deployments in one database do not see each other, whatever their names",
        arguments: ["Ünï \"code\"", "it's", "errand.x"]
    )
    func apart(_ name: String) async throws {
        let bench = try PostgresBench()
        let (one, other) = (try bench.open(), try bench.open { $0.schema = name })
        _ = try await other.insert([bench.job()], offer: nil)
        #expect(try await one.counts().rows.isEmpty)
        #expect(try await other.counts().count(.ready) == 1)
        let worker = try await bench.worker(in: other)
        let claimed = try await bench.claim(worker, in: other)
        let settled = try await other.settle(
            claimed.map { Settlement(lease: $0.lease, outcome: .succeeded(result: nil)) }
        )
        #expect(settled == [.applied(.succeeded)])
        let description = await other.describe()
        #expect(description.engine == "postgres")
        #expect(description.hasTransactions && description.isShared)
        try await one.close()
        try await other.close()
    }

    @Test("durability is what the server really has")
    func durability() async throws {
        let server = try PostgresServer()
        defer { server.remove() }
        let bench = try PostgresBench(server)
        let store = try bench.open()
        _ = try await store.counts()
        #expect(await store.describe().durability == .powerLoss)
        #expect(await store.describe().warnings.isEmpty)
        let lax = try bench.open(server.url() + "&options=-csynchronous_commit%3Doff")
        _ = try await lax.counts()
        #expect(await lax.describe().durability == .none)
        try server.psql("ALTER SYSTEM SET fsync = off")
        try server.psql("SELECT pg_reload_conf()")
        // The reload reaches a session between two statements, at the latest when it begins.
        let unsafe = try bench.open()
        while await unsafe.describe().durability != .processCrash {}
        for store in [store, lax, unsafe] { try await store.close() }
    }

    @Test("counts stay exact while their changes are folded in")
    func folding() async throws {
        let bench = try PostgresBench()
        let store = try bench.open { $0.connections = 4 }
        try await withThrowingTaskGroup { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<50 { _ = try await store.insert([bench.job()], offer: nil) }
                }
                group.addTask {
                    for _ in 0..<20 { _ = try await store.maintain(.sweep) }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await store.counts().count(.ready) == 200)
        #expect(try await store.maintain(.recount).affected == 0)
        _ = try await store.maintain(.sweep)
        #expect(try bench.server.psql("SELECT count(*) FROM \(bench.schema).deltas") == "0")
        #expect(try await store.counts().count(.ready) == 200)
        // A wrong number is repaired.
        try bench.server.psql("UPDATE \(bench.schema).tallies SET n = n + 5")
        #expect(try await store.maintain(.recount).affected == 1)
        #expect(try await store.counts().count(.ready) == 200)
        try await store.close()
    }
}
