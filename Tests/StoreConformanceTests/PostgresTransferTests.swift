// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandPostgres
import ErrandSQLite
import ErrandTesting
import Foundation
import TestServers
import Testing

@Suite("Moving to PostgreSQL and back", .timeLimit(.minutes(5)))
struct PostgresTransferTests {
    /// A call of a move that goes wrong, and how.
    enum Stop: CaseIterable {
        case exportIsLost, importFails, importIsLost, endFails, endIsLost

        func plan(_ source: FaultyStore, _ destination: FaultyStore) {
            switch self {
            case .exportIsLost: source.plan(.loseAnswer, for: .export, number: 2)
            case .importFails: destination.plan(.unavailable, for: .import, number: 3)
            case .importIsLost: destination.plan(.loseAnswer, for: .import, number: 3)
            case .endFails: source.plan(.unavailable, for: .endExport, number: 2)
            case .endIsLost: source.plan(.loseAnswer, for: .endExport, number: 2)
            }
        }
    }

    /// A SQLite store, and what opens the same PostgreSQL store anew, as another process would.
    private func withStores(
        pooled: Bool,
        _ clock: any ErrandClock,
        _ body: (_ sqlite: SQLiteStore, _ postgres: @Sendable () throws -> PostgresStore) async throws -> Void
    ) async throws {
        let folder = URL(fileURLWithPath: NSTemporaryDirectory()).appendingPathComponent("errand-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var files = SQLiteConfiguration(durability: .processCrash)
        files.wakeUp = .poll
        let file = folder.appendingPathComponent("jobs.db").path
        let sqlite = try SQLiteStore(path: file, configuration: files, clock: clock)
        var configuration = PostgresConfiguration(schema: "move \(UUID().uuidString)")
        configuration.wakeUp = .poll
        configuration.connections = 2
        let url = pooled ? try PgBouncerServer.shared().url() : try PostgresServer.shared().url()
        try await body(sqlite) { [configuration] in
            try PostgresStore(url: url, configuration: configuration, clock: clock)
        }
        try await sqlite.close()
    }

    private func transfer(
        _ source: any JobStore,
        _ destination: any JobStore,
        _ clock: any ErrandClock
    ) -> StoreTransfer {
        var configuration = StoreTransferConfiguration()
        (configuration.batchLimit, configuration.patience) = (5, .zero)
        return StoreTransfer(from: source, to: destination, configuration: configuration, clock: clock)
    }

    private func same(_ one: StoreContents, _ other: StoreContents, _ when: String) {
        for difference in one.differences(from: other) { Issue.record("\(when): \(difference)") }
    }

    private func new(_ clock: ManualClock, unique: UniqueRule) -> NewJob {
        NewJob(
            id: Chance.system.jobID(at: clock.now),
            name: "mail",
            payload: Payload(bytes: [123, 125]),
            unique: unique
        )
    }

    @Test(
        "SQLite to PostgreSQL to SQLite: every row is the same, and the stores before have none",
        arguments: [false, true]
    )
    func chain(pooled: Bool) async throws {
        let clock = ManualClock()
        try await withStores(pooled: pooled, clock) { sqlite, open in
            let postgres = try open()
            try await StoreConformance.fill(sqlite, clock: clock)
            // A key that outlives its job, and a follow-up that waits for another one.
            let (outlived, again) = (
                UniqueRule(key: "outlived", scope: .forTTL(.hours(5))),
                UniqueRule(key: "again", conflict: .runAgainAfter)
            )
            let deleted = new(clock, unique: outlived)
            _ = try await sqlite.insert([deleted], offer: nil)
            let delete = Operation(.delete, on: .ids([deleted.id]), actor: "ada", reason: "test")
            #expect(try await sqlite.operate(delete).changed == [deleted.id])
            let before = try await StoreContents(of: sqlite)
            #expect(before.jobs.count > 15)
            #expect(before.jobs.contains { !$0.attempts.isEmpty } && before.jobs.contains { !$0.log.isEmpty })
            #expect(before.jobs.contains { $0.result != nil } && before.jobs.contains { !$0.checkpoints.isEmpty })
            #expect(!before.audit.isEmpty && !before.series.isEmpty && before.pauses.count == 2)
            let report = try await transfer(sqlite, postgres, clock).run()
            #expect(report.jobs == before.jobs.count)
            #expect((report.present, report.keyless, report.repeats, report.left) == (0, 0, 0, 0))
            same(before, try await StoreContents(of: postgres), "in PostgreSQL")
            #expect(try await sqlite.counts().rows.isEmpty)
            #expect(try await postgres.maintain(.recount).affected == 0)
            for (key, holder) in try keys(of: before) + [("outlived", deleted.id)] {
                let answer = try await postgres.insert([new(clock, unique: UniqueRule(key: key))], offer: nil).first
                guard case .duplicate(of: holder, _) = answer else {
                    Issue.record("the key '\(key)' of \(holder) in PostgreSQL: \(String(describing: answer))")
                    continue
                }
            }
            // The collisions changed nothing; the way back starts with what arrived.
            let there = try await StoreContents(of: postgres)
            let back = try await transfer(postgres, sqlite, clock).run()
            #expect((back.jobs, back.keyless, back.left) == (there.jobs.count, 0, 0))
            same(there, try await StoreContents(of: sqlite), "back in SQLite")
            #expect(try await postgres.counts().rows.isEmpty)
            #expect(try await postgres.maintain(.recount).affected == 0)
            for (key, holder) in try keys(of: there) + [("outlived", deleted.id)] {
                let answer = try await sqlite.insert([new(clock, unique: UniqueRule(key: key))], offer: nil).first
                guard case .duplicate(of: holder, _) = answer else {
                    Issue.record("the key '\(key)' of \(holder) in SQLite: \(String(describing: answer))")
                    continue
                }
            }
            let free = try await postgres.insert([new(clock, unique: again)], offer: nil).first
            if case .duplicate = free { Issue.record("a key stayed behind in PostgreSQL: \(free as Any)") }
            try await postgres.close()
        }
    }

    @Test(
        "workers, clients and the move at once, from and to PostgreSQL: every job runs once",
        arguments: [true, false]
    )
    func atWork(toPostgres: Bool) async throws {
        try await withStores(pooled: false, SystemClock.shared) { sqlite, open in
            let postgres = try open()
            try await toPostgres
                ? LiveTransferTests().move(from: sqlite, to: postgres)
                : LiveTransferTests().move(from: postgres, to: sqlite)
            #expect(try await postgres.maintain(.recount).affected == 0)
            try await postgres.close()
        }
    }

    /// The unique keys that are taken, with who has them.
    private func keys(of contents: StoreContents) throws -> [(String, JobID)] {
        let keys = contents.jobs.compactMap { job -> (String, JobID)? in
            guard let rule = job.unique, job.state != .waiting else { return nil }
            return job.state.isPending || rule.scope.ttl != nil ? (rule.key, job.id) : nil
        }
        try #require(keys.count >= 3)
        return keys
    }

    @Test(
        "killed between any two acts and begun again elsewhere, it loses and doubles nothing",
        arguments: Stop.allCases,
        [true, false]
    )
    func killed(_ stop: Stop, toPostgres: Bool) async throws {
        let clock = ManualClock()
        try await withStores(pooled: false, clock) { sqlite, open in
            var postgres = try open()
            let from: any JobStore = toPostgres ? sqlite : postgres
            try await StoreConformance.fill(from, clock: clock)
            let before = try await StoreContents(of: from)
            let to: any JobStore = toPostgres ? postgres : sqlite
            let (source, destination) = (FaultyStore(from, clock: clock), FaultyStore(to, clock: clock))
            stop.plan(source, destination)
            await #expect(throws: StoreError.self) { try await transfer(source, destination, clock).run() }
            #expect(try await from.counts().count() < before.jobs.count, "nothing had moved")
            #expect(try await from.counts().count() > 0, "everything had moved")
            // Whoever drove the move is gone; what goes on knows only what the stores know.
            try await postgres.close()
            postgres = try open()
            let (left, right): (any JobStore, any JobStore) = toPostgres ? (sqlite, postgres) : (postgres, sqlite)
            let report = try await transfer(left, right, clock).run()
            #expect(report.left == 0)
            same(before, try await StoreContents(of: right), "\(stop)")
            #expect(try await left.counts().rows.isEmpty)
            #expect(try await postgres.maintain(.recount).affected == 0)
            try await postgres.close()
        }
    }
}
