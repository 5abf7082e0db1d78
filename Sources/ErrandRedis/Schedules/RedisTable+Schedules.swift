// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore

/// A change with its schedule as it will be stored.
struct RedisScheduleChange: Sendable {
    let change: ScheduleChange
    /// `nil` when the schedule is deleted.
    let body: ByteBuffer?

    init(_ change: ScheduleChange, _ json: ScheduleJSON) throws(StoreError) {
        self.change = change
        body = try change.record.map { record throws(StoreError) in
            try json.bytes(of: record, "the schedule '\(change.id)'")
        }
    }

    /// Where the version is kept, and the decisions under the keys of the entries.
    var fields: [RedisField] {
        [RedisField(version: change.id)] + change.entries.map { RedisField($0.row) }
    }

    /// About how many bytes it takes.
    var size: Int {
        (body?.readableBytes ?? 0) + change.entries.reduce(0) { $0 + 500 + ($1.job?.payload.bytes.count ?? 0) }
    }
}

extension RedisField {
    init(version id: ScheduleID) { self.init(key: "N", field: ByteBuffer(string: id.rawValue)) }

    init(_ row: TickRecord) {
        self.init(key: RedisScheduleWriter.rows(of: row.schedule), field: ByteBuffer(string: row.key.rawValue))
    }
}

extension RedisTable {
    /// Changes a schedule, with its decisions and their jobs, if it is as the change's maker saw it.
    ///
    /// What is looked at here, the version and the rows, must still be so when it is written, as for jobs and keys.
    mutating func apply(
        _ prepared: RedisScheduleChange,
        _ writer: inout RedisScheduleWriter
    ) throws(Missing) -> ScheduleChangeAnswer {
        let change = prepared.change
        let version = try value(at: RedisField(version: change.id)).map { Int64(String(buffer: $0)) } ?? 0
        guard version == change.expected else { return .stale }
        var answers: [TickRecord?] = []
        for entry in change.entries {
            let isThere = try value(at: RedisField(entry.row)) != nil
            let isTaken = isThere || writer.hasRow(entry.row.key, of: entry.row.schedule)
            guard !isTaken || entry.replaces else {
                answers.append(nil)
                continue
            }
            var row = entry.row
            if let job = entry.job { row = row.answered(try insert(of: job)) }
            writer.write(row)
            answers.append(row)
        }
        writer.write(change.record, prepared.body, as: change.id)
        if let line = change.audit { extras += RedisWrite.audit(line) }
        if change.wakesSchedulers { effects.controls = true }
        return .stored(answers)
    }

    private func value(at place: RedisField) throws(Missing) -> ByteBuffer? { try field(place.key, place.field) }

    /// Stores the job of a tick as any other; one that is there already, though it cannot be read, is left alone.
    private mutating func insert(of job: NewJob) throws(Missing) -> InsertAnswer {
        unreadable[job.id] == nil ? try insert(job) : .stored(job.id)
    }
}
