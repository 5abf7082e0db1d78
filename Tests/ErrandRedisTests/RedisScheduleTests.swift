// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import RedisWire
import TestServers
import Testing

@_spi(Benchmarks) @testable import ErrandRedis

@Suite("Schedules on Redis", .timeLimit(.minutes(2)))
struct RedisScheduleTests {
    @Test("what cannot be read is left out, and named when it is asked for alone")
    func damaged() async throws {
        let bench = try Bench()
        let store = try bench.openManual()
        let records = ["a", "b", "c"].map { bench.schedule($0) }
        let rows = [0, 1].map { bench.row(records[2], $0) }
        _ = try await store.changeSchedules(records.map { ScheduleChange(id: $0.id, expected: 0, record: $0) })
        _ = try await store.changeSchedules([bench.change(records[2], rows.map { ScheduleChange.Entry($0) })])
        let client = try bench.client()
        for (key, field) in [("N:body", "b"), ("N:body", "a"), ("K:c", rows[0].key.rawValue)] {
            _ = try await client.send(RedisCommand("HSET", "{errand:\(bench.name)}:\(key)", field, "{"))
        }
        for request in [ScheduleRequest.due(limit: 1), .page(limit: 1), .ids(["a", "b", "c"])] {
            #expect(try await store.schedules(request).schedules.map(\.record.id) == ["c"], "\(request)")
        }
        let problem = await failure { _ = try await store.schedules(.ids(["b"])) }
        #expect(problem?.code == .corrupt)
        #expect(problem?.message.contains("'b'") == true)
        let span = bench.clock.now...(bench.clock.now + .hours(1))
        #expect(try await store.ticks(TickRequest("c", .span(span, after: nil))) == [rows[1]])
        #expect(await failure { _ = try await store.ticks(TickRequest("c", .keys([rows[0].key]))) }?.code == .corrupt)
        await client.close()
        try await store.close()
    }

    @Test("a thousand schedules that are due at once are read and decided in few scripts")
    func thousand() async throws {
        let bench = try Bench()
        let store = try bench.openManual()
        let records = (0..<1000).map { bench.schedule(ScheduleID("s\($0)")) }
        _ = try await store.changeSchedules(records.map { ScheduleChange(id: $0.id, expected: 0, record: $0) })
        var (seen, mark) = ([ScheduleRecord](), ScheduleMark?.none)
        let before = store.callCount
        while true {
            let page = try await store.schedules(.due(limit: 100, after: mark)).schedules.map(\.record)
            guard let last = page.last, let due = last.dueAt else { break }
            seen += page
            mark = ScheduleMark(dueAt: due, id: last.id)
        }
        #expect(seen.map(\.id) == records.map(\.id).sorted())
        let changes = seen.map { bench.change($0, [bench.entry($0, 0)], dueIn: .hours(1)) }
        #expect(try await store.changeSchedules(changes) == changes.map { .stored($0.entries.map(\.row)) })
        #expect(store.callCount - before <= 80)
        let answer = try await store.schedules(.due(limit: 9))
        #expect(answer.schedules.isEmpty)
        #expect(answer.nextDue == bench.clock.now + .hours(1))
        #expect(try await store.counts().count(.ready) == 1000)
        try await store.close()
    }

    @Test("processes that decide the same ticks at once, with keys and without, enqueue one job for each")
    func race() async throws {
        let bench = try Bench()
        let stores = [try bench.openManual(), try bench.openManual(), try bench.openManual()]
        let records = (0..<60).map { bench.schedule(ScheduleID("s\($0)")) }
        _ = try await stores[0].changeSchedules(records.map { ScheduleChange(id: $0.id, expected: 0, record: $0) })
        // Each decides by itself, with jobs of its own; every third shares its unique key with a neighbour.
        let decisions = stores.map { _ in
            records.enumerated()
                .map { index, record in
                    var entry = bench.entry(record, 0)
                    if index % 3 > 0 { entry.job?.unique = UniqueRule(key: "k\(index / 3)", scope: .untilDone) }
                    return bench.change(record, [entry], dueIn: .hours(1))
                }
        }
        let answers = try await withThrowingTaskGroup(of: [ScheduleChangeAnswer].self) { group in
            for (store, changes) in zip(stores, decisions) {
                for some in changes.bites(of: 7) {
                    group.addTask { try await store.changeSchedules(Array(some)) }
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        let rows = answers.compactMap { answer in
            if case .stored(let rows) = answer { rows.first ?? nil } else { TickRecord?.none }
        }
        #expect(rows.count == 60)
        #expect(rows.count { $0.decision == .enqueued } == 40)
        #expect(rows.count { $0.decision == .duplicate } == 20)
        #expect(Set(rows.compactMap(\.job)).count == 40)
        #expect(try await stores[0].counts().count(.ready) == 40)
        for store in stores { try await store.close() }
    }

    @Test(
        "more decisions than one look reads come in order, some of one instant among them",
        arguments: [7, 500, 2000]
    )
    func pages(_ limit: Int) async throws {
        let bench = try Bench()
        let store = try bench.openManual()
        let record = bench.schedule("a")
        var rows = (0..<1200).map { bench.row(record, $0) }
        rows += (0..<30).map { bench.row(record, 600, TickKey(rawValue: "trig:\($0)")) }
        var long = bench.row(record, -50, TickKey(rawValue: "long"))
        (long.through, long.count) = (long.nominal + .seconds(50), 9)
        var change = ScheduleChange(id: "a", expected: 0, record: record)
        change.entries = (rows + [long]).shuffled().map { ScheduleChange.Entry($0) }
        _ = try await store.changeSchedules([change])
        let span = bench.clock.now...(bench.clock.now + .hours(1))
        var seen: [TickRecord] = []
        while true {
            let some = try await store.ticks(TickRequest("a", .span(span, after: seen.last), limit: limit))
            if some.isEmpty { break }
            #expect(some.count <= limit)
            seen += some
        }
        #expect(seen == rows.sorted { ($0.nominal, $0.key) > ($1.nominal, $1.key) } + [long])
        let keys = rows.map(\.key)
        #expect(Set(try await store.ticks(TickRequest("a", .keys(keys), limit: 5000))) == Set(rows))
        try await store.close()
    }
}

extension Bench {
    /// A schedule that is due now.
    fileprivate func schedule(_ id: ScheduleID) -> ScheduleRecord {
        let definition = ScheduleRecord.Definition(trigger: .every(.hours(1)), job: job())
        return ScheduleRecord(id: id, source: .code, definition: definition, hash: "h", at: clock.now)
    }

    /// The decision on a tick so many seconds after now.
    fileprivate func row(_ record: ScheduleRecord, _ second: Int, _ key: TickKey? = nil) -> TickRecord {
        let nominal = clock.now + .seconds(second)
        return TickRecord(
            schedule: record.id,
            key: key ?? .tick(nominal),
            nominal: nominal,
            kind: .regular,
            decision: .skippedOverlap,
            decidedAt: clock.now,
            decidedBy: "bench",
            revision: 1
        )
    }

    /// A decision that enqueues a job.
    fileprivate func entry(_ record: ScheduleRecord, _ second: Int) -> ScheduleChange.Entry {
        let job = job()
        var row = row(record, second)
        (row.decision, row.job) = (.enqueued, job.id)
        return ScheduleChange.Entry(row, job: job)
    }

    /// The change to the next version of a schedule.
    fileprivate func change(
        _ record: ScheduleRecord,
        _ entries: [ScheduleChange.Entry],
        dueIn: Duration = .zero
    ) -> ScheduleChange {
        var after = record
        after.version += 1
        after.dueAt = clock.now + dueIn
        return ScheduleChange(id: record.id, expected: record.version, record: after, entries: entries)
    }
}
