// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension PostgresStore {
    public func ticks(_ request: TickRequest) async throws -> [TickRecord] {
        try await read { session in try session.ticks(request) }
    }
}

extension PostgresSession {
    func ticks(_ request: TickRequest) throws -> [TickRecord] {
        guard !request.schedule.rawValue.utf8.contains(0) else { return [] }
        let schedule = PostgresValue.text(request.schedule.rawValue)
        switch request.selection {
        case .keys(let keys):
            let found = try query(
                .ticksByKey,
                [schedule, .blobs(keys.map { Array($0.rawValue.utf8) }), .int(Int64(request.limit))]
            )
            return (0..<found.count).compactMap { readTick(found, $0) }
        case .span(let span, let last):
            let rows = try ticks(.ticksWithin, of: schedule, in: span, after: last, limit: request.limit)
            guard rows.count < request.limit else { return rows }
            // Those that begin before the span have earlier nominal times than all others.
            let rest = request.limit - rows.count
            return rows + (try ticks(.ticksInto, of: schedule, in: span, after: last, limit: rest))
        }
    }

    private func ticks(
        _ which: PostgresQuery,
        of schedule: PostgresValue,
        in span: ClosedRange<Timestamp>,
        after last: TickRecord?,
        limit: Int
    ) throws -> [TickRecord] {
        var mark = (nominal: last?.nominal.microseconds ?? .max, key: Array((last?.key.rawValue ?? "").utf8))
        var rows: [TickRecord] = []
        while true {
            let wanted = limit - rows.count
            let found = try query(
                which,
                [
                    schedule, .int(span.lowerBound.microseconds), .int(span.upperBound.microseconds),
                    .int(mark.nominal), .bytes(mark.key), .int(Int64(wanted)),
                ]
            )
            rows += (0..<found.count).compactMap { readTick(found, $0) }
            guard rows.count < limit, found.count == wanted else { return rows }
            // Some could not be read, and there are others behind them.
            mark = (found.int64(wanted - 1, 2), found.bytes(wanted - 1, 1))
        }
    }

    /// A decision; one that cannot be read is noted.
    private func readTick(_ found: PostgresResult, _ row: Int) -> TickRecord? {
        func text(_ column: Int) -> String { String(decoding: found.bytes(row, column), as: UTF8.self) }
        let (schedule, key) = (ScheduleID(found.text(row, 0)), TickKey(rawValue: text(1)))
        guard let kind = TickKind(rawValue: found.text(row, 5)),
            let decision = TickDecision(rawValue: found.text(row, 6))
        else {
            shared.unreadable.note(
                "decision \(key.rawValue) of schedule \(schedule)",
                StoreError.unreadable("decision").message
            )
            return nil
        }
        var tick = TickRecord(
            schedule: schedule,
            key: key,
            nominal: found.instant(row, 2),
            kind: kind,
            decision: decision,
            job: found.isNull(row, 7) ? nil : found.id(row, 7),
            decidedAt: found.instant(row, 8),
            decidedBy: text(9),
            revision: found.int(row, 10),
            note: found.isNull(row, 11) ? nil : text(11)
        )
        tick.through = found.instant(row, 3)
        tick.count = found.int(row, 4)
        return tick
    }

    /// Which of these places have a decision.
    func taken(_ places: [TickPlace]) throws -> Set<TickPlace> {
        guard !places.isEmpty else { return [] }
        let keys = places.map { Array($0.key.rawValue.utf8) }
        let found = try query(.takenTicks, [.texts(places.map(\.schedule.rawValue)), .blobs(keys)])
        return Set((0..<found.count).map { places[found.int($0, 0) - 1] })
    }

    /// Writes decisions in place of those that were there; each place once.
    func put(_ rows: [TickRecord]) throws {
        guard !rows.isEmpty else { return }
        try query(
            .putTicks,
            [
                .texts(rows.map(\.schedule.rawValue)), .blobs(rows.map { Array($0.key.rawValue.utf8) }),
                .ints(rows.map(\.nominal.microseconds)), .ints(rows.map(\.through.microseconds)),
                .ints(rows.map { Int64($0.count) }), .texts(rows.map(\.kind.rawValue)),
                .texts(rows.map(\.decision.rawValue)), .uuids(rows.map(\.job)),
                .ints(rows.map(\.decidedAt.microseconds)), .blobs(rows.map { Array($0.decidedBy.utf8) }),
                .ints(rows.map { Int64($0.revision) }), .blobs(rows.map { $0.note.map { Array($0.utf8) } }),
            ]
        )
    }
}
