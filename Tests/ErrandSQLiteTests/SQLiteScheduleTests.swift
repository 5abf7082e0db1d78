// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import GRDB
import Testing

@testable import ErrandSQLite

@Suite("SQLite: schedules", .timeLimit(.minutes(2)))
struct SQLiteScheduleTests {
    /// Three schedules that are due, the one in the middle damaged.
    private func damaged(_ store: SQLiteStore, _ sql: String, at now: Timestamp) async throws {
        let definition = ScheduleRecord.Definition(trigger: .every(.hours(1)), job: nil)
        let records = ["a", "b", "c"]
            .map {
                ScheduleRecord(id: ScheduleID($0), source: .dynamic, definition: definition, hash: "h", at: now)
            }
        let changes = records.map { ScheduleChange(id: $0.id, expected: 0, record: $0) }
        #expect(try await store.changeSchedules(changes) == changes.map { _ in .stored([]) })
        try await store.pool.write { try $0.execute(sql: sql) }
    }

    @Test(
        "one that cannot be read is left out of lists, said so, and an error where it alone is asked for",
        arguments: ["body = '{}'", "body = 'x'", "body = (SELECT body FROM errand_schedules WHERE id = 'a')"]
    )
    func unreadable(_ damage: String) async throws {
        let bench = try Bench()
        let store = try bench.open()
        try await damaged(store, "UPDATE errand_schedules SET \(damage) WHERE id = 'b'", at: bench.clock.now)
        func ids(_ request: ScheduleRequest) async throws -> [ScheduleID] {
            try await store.schedules(request).schedules.map(\.record.id)
        }
        #expect(try await ids(.due(limit: 2)) == ["a", "c"])
        #expect(try await ids(.page(limit: 2)) == ["a", "c"])
        #expect(try await ids(.ids(["c", "b", "a"])) == ["c", "a"])
        #expect(await code { _ = try await store.schedules(.ids(["b"])) } == .corrupt)
        #expect(await store.describe().warnings.contains { $0.contains("schedule b") })
        // Whoever asks for it by its version can still delete it.
        let gone = ScheduleChange(id: "b", expected: 1, record: nil)
        #expect(try await store.changeSchedules([gone]) == [.stored([])])
        #expect(try await ids(.ids(["b"])) == [])
        try await store.close()
    }

    @Test("a decision that cannot be read is left out, and the page is filled from behind it")
    func unreadableDecision() async throws {
        let bench = try Bench()
        let store = try bench.open()
        let now = bench.clock.now
        let entries = (0..<4)
            .map { second in
                let nominal = now + .seconds(second)
                let row = TickRecord(
                    schedule: "a",
                    key: .tick(nominal),
                    nominal: nominal,
                    kind: .regular,
                    decision: .skippedPaused,
                    decidedAt: now,
                    decidedBy: "test",
                    revision: 1
                )
                return ScheduleChange.Entry(row)
            }
        _ = try await store.changeSchedules([ScheduleChange(id: "a", expected: 0, record: nil, entries: entries)])
        let key = entries[2].row.key.rawValue
        try await store.pool.write {
            try $0.execute(sql: "UPDATE errand_ticks SET decision = 'guessed' WHERE key = ?", arguments: [key])
        }
        let request = TickRequest("a", .span(now...(now + .hours(1)), after: nil), limit: 2)
        #expect(try await store.ticks(request) == [entries[3].row, entries[1].row])
        #expect(await store.describe().warnings.contains { $0.contains("decision \(key)") })
        try await store.close()
    }

    @Test("a file of the release before gets the tables in place of the one that was kept for them")
    func migration() async throws {
        let bench = try Bench()
        let pool = try DatabasePool(path: bench.file)
        try await pool.write { try SQLiteMigrations.apply(to: $0, upTo: 2) }
        try pool.close()
        let store = try bench.open()
        try await damaged(store, "UPDATE errand_schedules SET due_at = NULL WHERE id = 'b'", at: bench.clock.now)
        #expect(try await store.schedules(.due(limit: 9)).schedules.map(\.record.id) == ["a", "c"])
        try await store.close()
    }
}
