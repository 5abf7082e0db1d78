// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension SQLiteStore {
    public func ticks(_ request: TickRequest) async throws -> [TickRecord] {
        try await read { session, _ in try session.ticks(request) }
    }
}

extension SQLiteSession {
    /// What ``readTicks(_:limit:)`` reads.
    static let tickColumns =
        "schedule, key, nominal, through, count, kind, decision, job, decided_at, decided_by, revision, note"

    func ticks(_ request: TickRequest) throws -> [TickRecord] {
        switch request.selection {
        case .keys(let keys):
            var rows: [TickRecord] = []
            let find = try command(.tickByKey)
            find.bind(1, request.schedule.rawValue)
            for key in keys where rows.count < request.limit {
                find.bind(2, key.rawValue)
                rows += try readTicks(find, limit: 1)
            }
            return rows
        case .span(let span, let last):
            let within = try spanCommand(.ticksWithin, span, of: request.schedule, after: last)
            let rows = try readTicks(within, limit: request.limit)
            guard rows.count < request.limit else { return rows }
            // Those that begin before the span have earlier nominal times than all others.
            let into = try spanCommand(.ticksInto, span, of: request.schedule, after: last)
            return rows + (try readTicks(into, limit: request.limit - rows.count))
        }
    }

    private func spanCommand(
        _ query: SQLiteQuery,
        _ span: ClosedRange<Timestamp>,
        of schedule: ScheduleID,
        after last: TickRecord?
    ) throws -> SQLiteCommand {
        let find = try command(query)
        find.bind(1, schedule.rawValue)
        find.bind(2, span.lowerBound.microseconds)
        find.bind(3, span.upperBound.microseconds)
        find.bind(4, last?.nominal.microseconds ?? .max)
        find.bind(5, last?.key.rawValue ?? "")
        return find
    }

    /// Reads the decisions that a statement finds, as many as are wanted; those that cannot be read are noted and left
    /// out.
    private func readTicks(_ find: SQLiteCommand, limit: Int) throws -> [TickRecord] {
        defer { find.reset() }
        var rows: [TickRecord] = []
        while rows.count < limit, try find.step() {
            let (schedule, key) = (ScheduleID(find.text(0)), TickKey(rawValue: find.text(1)))
            guard let kind = TickKind(rawValue: find.text(5)), let decision = TickDecision(rawValue: find.text(6))
            else {
                options.unreadable.note(
                    "decision \(key.rawValue) of schedule \(schedule)",
                    StoreError.unreadable("decision").message
                )
                continue
            }
            var row = TickRecord(
                schedule: schedule,
                key: key,
                nominal: Timestamp(microseconds: find.int64(2)),
                kind: kind,
                decision: decision,
                job: find.halves(7).map { JobID(high: $0.high, low: $0.low) },
                decidedAt: Timestamp(microseconds: find.int64(8)),
                decidedBy: find.text(9),
                revision: find.int(10),
                note: find.optionalText(11)
            )
            row.through = Timestamp(microseconds: find.int64(3))
            row.count = find.amount(4)
            rows.append(row)
        }
        return rows
    }

    /// Whether a schedule has a decision under this key.
    func hasTick(_ key: TickKey, of schedule: ScheduleID) throws -> Bool {
        let find = try command(.tickByKey)
        find.bind(1, schedule.rawValue)
        find.bind(2, key.rawValue)
        return try find.first { _ in true } ?? false
    }

    /// Writes a decision in place of the one that was there.
    func put(_ row: TickRecord) throws {
        let put = try command(.putTick)
        put.bind(1, row.schedule.rawValue)
        put.bind(2, row.key.rawValue)
        put.bind(3, row.nominal.microseconds)
        put.bind(4, row.through.microseconds)
        put.bind(5, row.count)
        put.bind(6, row.kind.rawValue)
        put.bind(7, row.decision.rawValue)
        if let job = row.job { put.bind(8, high: job.high, low: job.low) } else { put.bind(8, nil as Int64?) }
        put.bind(9, row.decidedAt.microseconds)
        put.bind(10, row.decidedBy)
        put.bind(11, row.revision)
        put.bind(12, row.note)
        try put.run()
    }

    /// Forgets decisions and schedules that were kept for long enough.
    /// - Returns: How many.
    func sweepSchedules(limit: Int, at now: Timestamp) throws -> Int {
        let edge = (now - ScheduleRecord.kept).microseconds
        return try delete(.oldTicks, edge, limit: limit) + delete(.oldSchedules, edge, limit: limit)
    }
}
