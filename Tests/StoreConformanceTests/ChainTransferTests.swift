// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandPostgres
import ErrandRedis
import ErrandSQLite
import ErrandTesting
import Foundation
import TestServers
import Testing

@Suite("Moving through every store", .timeLimit(.minutes(5)))
struct ChainTransferTests {
    @Test(
        "SQLite to PostgreSQL to Redis and back the same way: every row is the same each time, and nothing stays behind"
    )
    func everyStore() async throws {
        let clock = ManualClock()
        let folder = URL(fileURLWithPath: NSTemporaryDirectory()).appendingPathComponent("errand-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let sqlite = try SQLiteStore(
            path: folder.appendingPathComponent("jobs.db").path,
            configuration: SQLiteConfiguration(durability: .processCrash),
            clock: clock
        )
        var inPostgres = PostgresConfiguration(schema: "chain \(UUID().uuidString)")
        inPostgres.connections = 2
        let postgres = try PostgresStore(url: PostgresServer.shared().url(), configuration: inPostgres, clock: clock)
        let inRedis = RedisStoreConfiguration(name: UUID().uuidString)
        let redis = try RedisStore(url: RedisServer.shared().url, configuration: inRedis, time: clock)

        try await StoreConformance.fill(sqlite, clock: clock)
        let before = try await StoreContents(of: sqlite)
        #expect(before.jobs.count > 15)
        let road: [(name: String, store: any JobStore)] = [
            ("SQLite", sqlite), ("PostgreSQL", postgres), ("Redis", redis), ("PostgreSQL again", postgres),
            ("SQLite again", sqlite),
        ]
        for (from, to) in zip(road, road.dropFirst()) {
            var configuration = StoreTransferConfiguration()
            configuration.batchLimit = 7
            let report = try await StoreTransfer(
                from: from.store,
                to: to.store,
                configuration: configuration,
                clock: clock
            )
            .run()
            #expect(report.jobs == before.jobs.count, "\(to.name)")
            #expect((report.present, report.keyless, report.repeats, report.left) == (0, 0, 0, 0), "\(to.name)")
            let arrived = try await StoreContents(of: to.store)
            for difference in before.differences(from: arrived) { Issue.record("in \(to.name): \(difference)") }
            let left = try await StoreContents(of: from.store)
            #expect(left.jobs.isEmpty && left.audit.isEmpty && left.series.isEmpty, "what stays in \(from.name)")
            #expect(try await to.store.maintain(.recount).affected == 0, "the counts in \(to.name)")
        }
        for store in [sqlite, postgres, redis] as [any JobStore] { try await store.close() }
    }
}
