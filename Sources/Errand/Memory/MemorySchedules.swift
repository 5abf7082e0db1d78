// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import DequeModule
import ErrandCore

/// The schedules of a memory store, and what became of their ticks.
struct MemorySchedules {
    private(set) var records: [ScheduleID: ScheduleRecord] = [:]
    private var rows: [ScheduleID: [TickKey: TickRecord]] = [:]
    /// Rows in the order in which they were written, for forgetting them.
    private var written: Deque<(schedule: ScheduleID, key: TickKey, at: Timestamp)> = []

    /// Those that are due, behind the mark.
    func due(at now: Timestamp, after mark: ScheduleMark?) -> [ScheduleRecord] {
        let edge = now + ScheduleRecord.clockTolerance
        return records.values
            .filter { record in
                guard (record.dueAt.map { $0 <= now } ?? false) || (record.cursor > edge && record.dueAt != nil) else {
                    return false
                }
                return mark.map { ($0.dueAt, $0.id) < (record.dueAt ?? .distantFuture, record.id) } ?? true
            }
            .sorted { ($0.dueAt ?? .distantFuture, $0.id) < ($1.dueAt ?? .distantFuture, $1.id) }
    }

    /// When the next one is due that is not due yet.
    func nextDue(after now: Timestamp) -> Timestamp? {
        records.values.compactMap(\.dueAt).filter { $0 > now }.min()
    }

    mutating func put(_ record: ScheduleRecord?, as id: ScheduleID) { records[id] = record }

    /// Whether a row under this key may be written.
    func mayWrite(_ entry: ScheduleChange.Entry) -> Bool {
        entry.replaces || rows[entry.row.schedule]?[entry.row.key] == nil
    }

    mutating func write(_ row: TickRecord) {
        rows[row.schedule, default: [:]][row.key] = row
        written.append((row.schedule, row.key, row.decidedAt))
    }

    /// The decisions that a request means.
    func ticks(_ request: TickRequest) -> [TickRecord] {
        let rows = rows[request.schedule] ?? [:]
        switch request.selection {
        case .keys(let keys): return Array(keys.compactMap { rows[$0] }.prefix(request.limit))
        case .span(let span, let last):
            let found = rows.values
                .filter { row in
                    row.nominal <= span.upperBound && row.through >= span.lowerBound
                        && (last.map { (row.nominal, row.key) < ($0.nominal, $0.key) } ?? true)
                }
                .sorted { ($0.nominal, $0.key) > ($1.nominal, $1.key) }
            return Array(found.prefix(request.limit))
        }
    }

    /// Forgets what is older than is kept; answers how much.
    mutating func sweep(at now: Timestamp, most: Int) -> Int {
        var count = 0
        while count < most, let first = written.first, first.at + ScheduleRecord.kept <= now {
            written.removeFirst()
            guard rows[first.schedule]?[first.key]?.decidedAt == first.at else { continue }
            rows[first.schedule]?[first.key] = nil
            if rows[first.schedule]?.isEmpty ?? false { rows[first.schedule] = nil }
            count += 1
        }
        for record in records.values where count < most && record.isForgotten(at: now) {
            records[record.id] = nil
            count += 1
        }
        return count
    }
}
