// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension SQLiteStore {
    public func schedules(_ request: ScheduleRequest) async throws -> ScheduleAnswer {
        try await read { session, now in try session.schedules(request, at: now) }
    }

    public func changeSchedules(_ changes: [ScheduleChange]) async throws -> [ScheduleChangeAnswer] {
        guard !changes.isEmpty else { return [] }
        // Written as JSON here, and not by the one thread that writes.
        let bodies = try changes.map { try $0.record?.body() }
        let rows = changes.reduce(changes.count) { $0 + $1.entries.count }
        return try await write(rows: rows) { session, now in
            try zip(changes, bodies).map { change, body in try session.apply(change, body: body, at: now) }
        }
    }
}

extension SQLiteSession {
    func schedules(_ request: ScheduleRequest, at now: Timestamp) throws -> ScheduleAnswer {
        let records: [ScheduleRecord]
        var nextDue: Timestamp?
        switch request {
        case .due(let limit, let mark):
            records = try dueSchedules(limit: limit, after: mark, at: now)
            let next = try command(.nextSchedule)
            next.bind(1, now.microseconds)
            nextDue = try next.first { Timestamp(microseconds: $0.int64(0)) }
        case .ids(let ids): records = try schedules(ids)
        case .page(let last, let limit):
            let find = try command(.schedulesAfter)
            find.bind(1, last?.rawValue ?? "")
            records = try readSchedules(find, limit: limit)
        }
        return ScheduleAnswer(at: now, schedules: try records.map(standing), nextDue: nextDue)
    }

    /// First those whose time has come, then those whose cursor is ahead of the clock: their time has not.
    private func dueSchedules(limit: Int, after mark: ScheduleMark?, at now: Timestamp) throws -> [ScheduleRecord] {
        let due = try command(.dueSchedules)
        due.bind(1, now.microseconds)
        due.bind(2, mark?.dueAt.microseconds ?? .min)
        due.bind(3, mark?.id.rawValue ?? "")
        let records = try readSchedules(due, limit: limit)
        guard records.count < limit else { return records }
        let ahead = try command(.schedulesAhead)
        ahead.bind(1, now.microseconds)
        ahead.bind(2, mark?.dueAt.microseconds ?? .min)
        ahead.bind(3, mark?.id.rawValue ?? "")
        ahead.bind(4, (now + ScheduleRecord.clockTolerance).microseconds)
        return records + (try readSchedules(ahead, limit: limit - records.count))
    }

    /// - Throws: `corrupt` for the one schedule that is asked for; of several the others are answered.
    private func schedules(_ ids: [ScheduleID]) throws -> [ScheduleRecord] {
        let find = try command(.scheduleByID)
        if let id = ids.first, ids.count == 1 {
            find.bind(1, id.rawValue)
            return try find.all { try ScheduleRecord(id, body: $0.text(1)) }
        }
        return try ids.flatMap { id in
            find.bind(1, id.rawValue)
            return try readSchedules(find, limit: 1)
        }
    }

    private func standing(of record: ScheduleRecord) throws -> ScheduleStanding {
        var standing = ScheduleStanding(record: record)
        let find = try command(.endOfJob)
        for job in record.unfinished {
            find.bind(1, high: job.id.high, low: job.id.low)
            let found = try find.first { row -> ScheduleStanding.JobEnd? in
                JobState(rawValue: row.int(0))
                    .map { .init(state: $0, finishedAt: row.optionalInt64(1).map(Timestamp.init(microseconds:))) }
            }
            standing.jobs[job.id] = found ?? nil
        }
        return standing
    }

    func apply(_ change: ScheduleChange, body: String?, at now: Timestamp) throws -> ScheduleChangeAnswer {
        guard try version(of: change.id) == change.expected else { return .stale }
        let rows = try change.entries.map { entry -> TickRecord? in
            guard try entry.replaces || !hasTick(entry.row.key, of: entry.row.schedule) else { return nil }
            var row = entry.row
            if let job = entry.job, let answer = try insert([job], offer: nil, at: now).first {
                row = row.answered(answer)
            }
            try put(row)
            return row
        }
        try put(change.record, body: body, as: change.id)
        if let line = change.audit { try write(line) }
        if change.wakesSchedulers { effects.controls = true }
        return .stored(rows)
    }
}
