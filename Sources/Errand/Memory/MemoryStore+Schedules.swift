// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension MemoryStore {
    /// Reads schedules; see ``/ErrandCore/JobStore/schedules(_:)``. Looks at all of them for those that are due.
    public func schedules(_ request: ScheduleRequest) async throws -> ScheduleAnswer {
        try act { table, now in table.schedules(request, at: now) }
    }

    /// Changes schedules; see ``/ErrandCore/JobStore/changeSchedules(_:)``.
    public func changeSchedules(_ changes: [ScheduleChange]) async throws -> [ScheduleChangeAnswer] {
        try act { table, now in changes.map { table.change($0, at: now) } }
    }

    /// Reads decisions; see ``/ErrandCore/JobStore/ticks(_:)``. Looks at all of the schedule's for a span.
    public func ticks(_ request: TickRequest) async throws -> [TickRecord] {
        try act { table, _ in table.schedules.ticks(request) }
    }
}

extension MemoryTable {
    fileprivate func schedules(_ request: ScheduleRequest, at now: Timestamp) -> ScheduleAnswer {
        switch request {
        case .due(let limit, let mark):
            let due = schedules.due(at: now, after: mark).prefix(limit)
            return ScheduleAnswer(at: now, schedules: due.map(standing), nextDue: schedules.nextDue(after: now))
        case .ids(let ids):
            return ScheduleAnswer(at: now, schedules: ids.compactMap { schedules.records[$0] }.map(standing))
        case .page(let last, let limit):
            let ids = schedules.records.keys.filter { id in last.map { $0 < id } ?? true }.sorted().prefix(limit)
            return ScheduleAnswer(at: now, schedules: ids.compactMap { schedules.records[$0] }.map(standing))
        }
    }

    private func standing(of record: ScheduleRecord) -> ScheduleStanding {
        var standing = ScheduleStanding(record: record)
        for job in record.unfinished {
            guard let row = rows[job.id] else { continue }
            standing.jobs[job.id] = .init(state: row.record.state, finishedAt: row.record.finishedAt)
        }
        return standing
    }

    fileprivate mutating func change(_ change: ScheduleChange, at now: Timestamp) -> ScheduleChangeAnswer {
        guard (schedules.records[change.id]?.version ?? 0) == change.expected else { return .stale }
        let answers = change.entries.map { entry -> TickRecord? in
            guard schedules.mayWrite(entry) else { return nil }
            let row = entry.job.map { entry.row.answered(insert($0, at: now).answer) } ?? entry.row
            schedules.write(row)
            return row
        }
        schedules.put(change.record, as: change.id)
        if let line = change.audit { write(line) }
        if change.wakesSchedulers { effects.controls = true }
        return .stored(answers)
    }
}
