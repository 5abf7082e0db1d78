// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore

/// Gathers the commands of changed schedules and their decisions, indexes included; `ranks.lua` says what the keys are.
struct RedisScheduleWriter {
    private struct Place: Hashable {
        var word: String
        var key: String
    }

    private struct RowID: Hashable {
        var schedule: ScheduleID
        var key: TickKey
    }

    private var gathered: [Place: [ByteBuffer]] = [:]
    private var rows: [RowID: TickRecord] = [:]

    /// Writes a schedule as it is after a change, or deletes it; at most once for each.
    mutating func write(_ record: ScheduleRecord?, _ body: ByteBuffer?, as id: ScheduleID) {
        let name = ByteBuffer(string: id.rawValue)
        guard let record, let body else {
            for hash in ["N", "N:body"] { add("HDEL", hash, name) }
            for set in ["N:id", "N:due", "N:cursor", "N:end"] { add("ZREM", set, name) }
            return
        }
        add("HSET", "N", name, ByteBuffer(string: String(record.version)))
        add("HSET", "N:body", name, body)
        add("ZADD", "N:id", ByteBuffer(string: "0"), name)
        place(name, in: "N:due", at: record.dueAt)
        place(name, in: "N:cursor", at: record.dueAt == nil ? nil : record.cursor)
        place(name, in: "N:end", at: record.endedAt)
    }

    /// Writes a decision in the place of what is kept under its key.
    mutating func write(_ row: TickRecord) { rows[RowID(schedule: row.schedule, key: row.key)] = row }

    /// Whether a decision under this key is among those to write.
    func hasRow(_ key: TickKey, of schedule: ScheduleID) -> Bool {
        rows[RowID(schedule: schedule, key: key)] != nil
    }

    /// The commands.
    func writes(_ json: ScheduleJSON) throws(StoreError) -> [RedisWrite] {
        var all = self
        for row in rows.values {
            let (schedule, name) = (row.schedule.rawValue, ByteBuffer(string: row.key.rawValue))
            let body = try json.bytes(of: row, "the decision '\(row.key.rawValue)' of the schedule '\(schedule)'")
            all.add("HSET", Self.rows(of: row.schedule), name, body)
            all.place(name, in: "Kn:" + schedule, at: row.nominal)
            all.place(name, in: "Kr:" + schedule, at: row.through > row.nominal ? row.nominal : nil)
            all.place(ByteBuffer(string: schedule + "\0" + row.key.rawValue), in: "Kd", at: row.decidedAt)
        }
        // A script can hand about 8,000 words to a command; pairs stay together.
        return all.gathered.flatMap { place, words in
            words.bites(of: 2000)
                .map { RedisWrite([ByteBuffer(string: place.word), ByteBuffer(string: place.key)] + $0) }
        }
    }

    private mutating func place(_ name: ByteBuffer, in set: String, at time: Timestamp?) {
        if let time {
            add("ZADD", set, ByteBuffer(string: Self.score(time)), name)
        } else {
            add("ZREM", set, name)
        }
    }

    private mutating func add(_ word: String, _ key: String, _ words: ByteBuffer...) {
        gathered[Place(word: word, key: key), default: []] += words
    }

    // MARK: Places

    /// The hash in which the decisions of a schedule are.
    static func rows(of schedule: ScheduleID) -> String { "K:" + schedule.rawValue }

    /// A time as a score says it: exact until the year 2255, and what lies beyond is there.
    static func clamped(_ time: Timestamp) -> Int64 { min(max(time.microseconds, -1 << 53), 1 << 53) }

    /// A time as a score.
    static func score(_ time: Timestamp) -> String { String(clamped(time)) }
}
