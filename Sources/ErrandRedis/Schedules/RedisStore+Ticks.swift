// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import NIOCore
import RedisWire

extension RedisStore {
    /// How many decisions one look reads.
    private static let ticksPerLook = 500

    /// Reads decisions; see ``/ErrandCore/JobStore/ticks(_:)``.
    ///
    /// One that cannot be read is left out of a span; asked for by its key, it makes the call throw `corrupt`.
    public func ticks(_ request: TickRequest) async throws -> [TickRecord] {
        try await perform { () throws(StoreError) in
            switch request.selection {
            case .keys(let keys): try await ticks(of: request.schedule, under: keys, limit: request.limit)
            case .span(let span, let last):
                try await ticks(of: request.schedule, in: span, after: last, limit: request.limit)
            }
        }
    }

    private func ticks(
        of schedule: ScheduleID,
        under keys: [TickKey],
        limit: Int
    ) async throws(StoreError) -> [TickRecord] {
        var rows: [TickRecord] = []
        for bite in keys.bites(of: Self.ticksPerLook) where rows.count < limit {
            let answer = try await run(RedisScripts.ticks, writes: false) { command in
                command.append(schedule.rawValue)
                command.append(bite.count)
                command.append("keys")
                for key in bite { command.append(key.rawValue) }
            }
            for row in try StoredTick.all(in: answer, of: schedule) {
                if let row = try row.row?.get() { rows.append(row) }
            }
        }
        return Array(rows.prefix(limit))
    }

    private func ticks(
        of schedule: ScheduleID,
        in span: ClosedRange<Timestamp>,
        after last: TickRecord?,
        limit: Int
    ) async throws(StoreError) -> [TickRecord] {
        var rows: [TickRecord] = []
        var mark = last.map { (nominal: RedisScheduleWriter.score($0.nominal), key: $0.key.rawValue) }
        while true {
            let width = min(limit - rows.count, Self.ticksPerLook)
            let answer = try await run(RedisScripts.ticks, writes: false) { command in
                command.append(schedule.rawValue)
                command.append(width)
                command.append("span")
                command.append(RedisScheduleWriter.score(span.lowerBound))
                command.append(RedisScheduleWriter.score(span.upperBound))
                guard let mark else { return }
                command.append(mark.nominal)
                command.append(mark.key)
            }
            let found = try StoredTick.all(in: answer, of: schedule)
            for case .success(let row)? in found.map(\.row) {
                // Of what begins before the span the script does not know how far it reaches.
                let isBehind = last.map { (row.nominal, row.key) < ($0.nominal, $0.key) } ?? true
                if isBehind, row.through >= span.lowerBound { rows.append(row) }
            }
            // Behind those that begin in the span there is nothing more to come than what the look brought.
            guard found.count >= width, rows.count < limit, let end = found.last, let time = Double(end.nominal),
                time >= Double(RedisScheduleWriter.clamped(span.lowerBound))
            else { break }
            mark = (end.nominal, end.key)
        }
        return Array(rows.prefix(limit))
    }
}

/// A decision as a look found it.
private struct StoredTick {
    let key: String
    let nominal: String
    /// `nil` when there is none under this key; an error when it cannot be read.
    let row: Result<TickRecord, StoreError>?

    static func all(in answer: [RESPValue], of schedule: ScheduleID) throws(StoreError) -> [StoredTick] {
        guard (answer.count - 1).isMultiple(of: 3) else { throw StoreError.oddAnswer }
        let json = ScheduleJSON()
        var ticks: [StoredTick] = []
        for index in stride(from: 1, to: answer.count, by: 3) {
            guard let key = answer[index].text, let nominal = answer[index + 1].text else { throw StoreError.oddAnswer }
            let row = answer[index + 2].buffer
                .map { bytes in
                    Result { () throws(StoreError) in
                        try json.value(
                            TickRecord.self,
                            in: bytes,
                            "the decision '\(key)' of the schedule '\(schedule)'"
                        )
                    }
                }
            ticks.append(StoredTick(key: key, nominal: nominal, row: row))
        }
        return ticks
    }
}
