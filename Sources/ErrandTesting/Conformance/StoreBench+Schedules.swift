// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension StoreBench {
    /// A schedule that is due so long after now.
    func schedule(_ id: ScheduleID, due: Duration? = .zero, _ change: (inout ScheduleRecord) -> Void = { _ in })
        -> ScheduleRecord
    {
        let template = job("mail")
        let definition = ScheduleRecord.Definition(trigger: .cron("*/5 * * * *", in: "Europe/Berlin"), job: template)
        var record = ScheduleRecord(id: id, source: .code, definition: definition, hash: "a1", build: 7, at: now)
        record.dueAt = due.map { now + $0 }
        record.next = record.dueAt
        change(&record)
        return record
    }

    /// Stores a schedule that must not be there.
    @discardableResult
    func add(_ record: ScheduleRecord) async throws -> ScheduleRecord {
        let change = ScheduleChange(id: record.id, expected: 0, record: record)
        equal(try await store.changeSchedules([change]), [.stored([])], "a new schedule")
        return record
    }

    /// The change from a record to the same one version later.
    func change(
        _ record: ScheduleRecord,
        _ entries: [ScheduleChange.Entry] = [],
        _ change: (inout ScheduleRecord) -> Void = { _ in }
    ) -> ScheduleChange {
        var after = record
        after.version += 1
        change(&after)
        return ScheduleChange(id: record.id, expected: record.version, record: after, entries: entries)
    }

    /// The decision on a tick so long after now.
    func row(
        _ record: ScheduleRecord,
        _ nominal: Duration,
        _ decision: TickDecision = .skippedOverlap,
        key: TickKey? = nil,
        through: Duration? = nil
    ) -> TickRecord {
        var row = TickRecord(
            schedule: record.id,
            key: key ?? .tick(now + nominal),
            nominal: now + nominal,
            kind: .regular,
            decision: decision,
            decidedAt: now,
            decidedBy: "bench",
            revision: record.revision,
            note: "ab\u{0}c 'é"
        )
        if let through { (row.through, row.count) = (now + through, 9) }
        return row
    }

    /// An entry whose decision enqueues a job.
    func run(_ record: ScheduleRecord, _ nominal: Duration, _ job: NewJob) -> ScheduleChange.Entry {
        var row = row(record, nominal, .enqueued)
        row.job = job.id
        return ScheduleChange.Entry(row, job: job)
    }

    /// The schedules that are due, by name.
    func due(limit: Int = 100, after mark: ScheduleMark? = nil) async throws -> [ScheduleID] {
        try await store.schedules(.due(limit: limit, after: mark)).schedules.map(\.record.id)
    }

    /// The one schedule of this name.
    func standing(_ id: ScheduleID) async throws -> ScheduleStanding {
        try need(try await store.schedules(.ids([id])).schedules.first, "schedule \(id)")
    }

    /// The rows of a schedule whose nominal times are in the span, which is counted from now.
    func rows(_ id: ScheduleID, _ span: ClosedRange<Duration>) async throws -> [TickRecord] {
        let span = (now + span.lowerBound)...(now + span.upperBound)
        return try await store.ticks(TickRequest(id, .span(span, after: nil)))
    }
}
