// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore

extension RedisTable {
    /// Whether there is anything to write.
    var isChanged: Bool {
        !added.isEmpty || !removed.isEmpty || !extras.isEmpty || !counters.isEmpty
            || rows.values.contains { row in row.map(Self.isChanged) ?? false }
            || keys.contains { key, entry in entry?.bytes != (keysBefore[key] ?? nil) }
    }

    private static func isChanged(_ row: Row) -> Bool {
        row.before?.record != row.record || !row.lines.isEmpty || !row.checkpoints.isEmpty || !row.attempts.isEmpty
    }

    /// What must still be as it was read.
    var allConditions: [(hash: String, field: ByteBuffer, value: ByteBuffer)] {
        var all = conditions
        for (id, row) in rows {
            let was = row?.before?.head ?? removed[id]?.before?.head
            all.append(("j", ByteBuffer(bytes: id.bytes), was ?? ByteBuffer()))
        }
        for (place, was) in fields { all.append((place.key, place.field, was ?? ByteBuffer())) }
        for (key, was) in keysBefore { all.append(("u", ByteBuffer(string: key), was ?? ByteBuffer())) }
        return all
    }

    /// The commands that make the stored rows what they are here.
    func writes(origin: ByteBuffer) -> [RedisWrite] {
        var writer = RedisWriter()
        for row in removed.values { writer.remove(row) }
        for (index, id) in added.enumerated() {
            guard var row = rows[id] ?? nil else { continue }
            row.head.sequence = firstSequence + Int64(index)
            writer.write(row)
        }
        for case .some(let row) in rows.values where row.before != nil && Self.isChanged(row) { writer.write(row) }
        for (key, entry) in keys where entry?.bytes != (keysBefore[key] ?? nil) {
            writer.write(key, entry, had: keysBefore[key] ?? nil)
        }
        for (counter, times) in counters {
            writer.count(counter, times: times)
        }
        writer.writes += extras
        writer.say(effects, origin: origin)
        return writer.writes
    }
}
