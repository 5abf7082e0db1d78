// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandPostgres
import ErrandTesting
import TestServers
import Testing

@Suite("PostgreSQL: schedules", .timeLimit(.minutes(2)))
struct PostgresScheduleTests {
    private func record(_ id: String, at now: Timestamp) -> ScheduleRecord {
        let definition = ScheduleRecord.Definition(trigger: .every(.hours(1)), job: nil)
        return ScheduleRecord(id: ScheduleID(id), source: .dynamic, definition: definition, hash: "h", at: now)
    }

    private func entry(_ record: ScheduleRecord, _ nominal: Timestamp, _ job: NewJob) -> ScheduleChange.Entry {
        let row = TickRecord(
            schedule: record.id,
            key: .tick(nominal),
            nominal: nominal,
            kind: .regular,
            decision: .enqueued,
            job: job.id,
            decidedAt: nominal,
            decidedBy: "test",
            revision: 1
        )
        return ScheduleChange.Entry(row, job: job)
    }

    /// The change that enqueues one job.
    private func fire(_ record: ScheduleRecord, _ job: NewJob) -> ScheduleChange {
        var after = record
        after.version += 1
        return ScheduleChange(
            id: record.id,
            expected: record.version,
            record: after,
            entries: [entry(record, record.cursor, job)]
        )
    }

    private func add(_ records: [ScheduleRecord], to store: PostgresStore) async throws {
        let changes = records.map { ScheduleChange(id: $0.id, expected: 0, record: $0) }
        #expect(try await store.changeSchedules(changes) == changes.map { _ in .stored([]) })
    }

    @Test(
        "one that cannot be read is left out of lists, said so, and an error where it alone is asked for",
        arguments: ["'{}'", "'x'", "(SELECT body FROM SCHEMA.schedules WHERE id = 'a')"]
    )
    func unreadable(_ body: String) async throws {
        let bench = try PostgresBench()
        let store = try bench.open()
        let now = SystemClock.shared.now - .minutes(1)
        try await add(["a", "b", "c"].map { record($0, at: now) }, to: store)
        let damage = body.replacing("SCHEMA", with: bench.schema)
        try bench.server.psql("UPDATE \(bench.schema).schedules SET body = \(damage) WHERE id = 'b'")
        func ids(_ request: ScheduleRequest) async throws -> [ScheduleID] {
            try await store.schedules(request).schedules.map(\.record.id)
        }
        #expect(try await ids(.due(limit: 2)) == ["a", "c"])
        #expect(try await ids(.page(limit: 2)) == ["a", "c"])
        #expect(try await ids(.ids(["c", "b", "a", "a\0"])) == ["c", "a"])
        let error = await storeError("the damaged one") { _ = try await store.schedules(.ids(["b"])) }
        #expect(error?.code == .corrupt)
        #expect(await store.describe().warnings.contains { $0.contains("schedule b") })
        try await store.close()
    }

    @Test("of clients that make the same schedule at once one does, and each is answered")
    func together() async throws {
        let bench = try PostgresBench()
        let stores = try (0..<4).map { _ in try bench.open() }
        let now = SystemClock.shared.now
        let answers = try await withThrowingTaskGroup(of: [ScheduleChangeAnswer].self) { group in
            for (index, store) in stores.enumerated() {
                // Each has one of its own too, before and behind the common one.
                let records = [
                    record(index.isMultiple(of: 2) ? "a\(index)" : "z\(index)", at: now), record("m", at: now),
                ]
                let changes = records.map { ScheduleChange(id: $0.id, expected: 0, record: $0) }
                group.addTask { try await store.changeSchedules(changes) }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(answers.allSatisfy { $0.first == .stored([]) })
        #expect(answers.count { $0.last == .stored([]) } == 1)
        #expect(answers.count { $0.last == .stale } == 3)
        #expect(try await stores[0].schedules(.page(limit: 9)).schedules.count == 5)
        for store in stores { try await store.close() }
    }

    @Test("a schedule whose job waits for a key that a transaction holds is put off, and the others are not")
    func busy() async throws {
        let bench = try PostgresBench()
        let store = try bench.open { $0.keyTimeout = .milliseconds(50) }
        let connection = try await bench.connect()
        let now = SystemClock.shared.now
        let records = ["a", "b"].map { record($0, at: now) }
        try await add(records, to: store)
        let rule = UniqueRule(key: "k", scope: .untilDone, conflict: .returnExisting)
        let holder = bench.job(unique: rule)
        let changes = [fire(records[0], bench.job(unique: rule)), fire(records[1], bench.job())]
        try await connection.transaction { transaction in
            _ = try await transaction.insert([holder], into: store)
            let answers = try await store.changeSchedules(changes)
            #expect(answers == [.stale, .stored([changes[1].entries[0].row])])
            let error = await storeError("the busy one alone") { _ = try await store.changeSchedules([changes[0]]) }
            #expect(error?.code == .unavailable)
        }
        guard case .stored(let rows) = try await store.changeSchedules([changes[0]]).first else {
            Issue.record("the change is stale")
            return
        }
        #expect(rows.first??.decision == .duplicate)
        #expect(rows.first??.job == holder.id)
        #expect(try await store.counts().count(.ready) == 2)
        #expect(try await store.maintain(.recount).affected == 0)
        await connection.close()
        try await store.close()
    }

    @Test("thousands that are due at once are decided page by page, each once, by several schedulers")
    func thousands() async throws {
        let bench = try PostgresBench()
        let now = SystemClock.shared.now
        let records = (0..<2000).map { record("s\($0)", at: now) }
        let stores = try (0..<2).map { _ in try bench.open() }
        try await add(records, to: stores[0])
        let count = try await withThrowingTaskGroup(of: Int.self) { group in
            for store in stores {
                group.addTask {
                    var count = 0
                    while true {
                        let due = try await store.schedules(.due(limit: 100)).schedules.map(\.record)
                        if due.isEmpty { return count }
                        let changes = due.map { record in
                            var change = fire(record, bench.job())
                            change.record?.dueAt = now + .hours(1)
                            return change
                        }
                        count += try await store.changeSchedules(changes).count { $0 != .stale }
                    }
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(count == 2000)
        #expect(try await stores[0].counts().count(.ready) == 2000)
        #expect(try bench.server.psql("SELECT count(*) FROM \(bench.schema).ticks") == "2000")
        for store in stores { try await store.close() }
    }
}
