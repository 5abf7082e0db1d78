// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension SQLiteSession {
    /// A job for somebody who goes on with the others when this one cannot be read; it is held then, all it says is
    /// kept, and `nil` is answered.
    func jobOrHold(row: Int64, withPayload: Bool = false, at now: Timestamp) throws -> SQLiteRow? {
        do {
            if let job = try job(row: row, withPayload: withPayload) { return job }
            try setAside(row, because: "its details are missing", at: now)
        } catch let error as StoreError where error.code == .corrupt {
            try setAside(row, because: error.message, at: now)
        }
        return nil
    }

    /// A job for somebody who only looks: `nil` when it cannot be read, which is noted.
    func jobOrNote(row: Int64, withPayload: Bool) throws -> SQLiteRow? {
        do {
            return try job(row: row, withPayload: withPayload)
        } catch let error as StoreError where error.code == .corrupt {
            options.unreadable.note("row \(row)", error.message)
            return nil
        }
    }

    /// Takes a row out of the indexes that workers and maintenance look at, without reading it: a job that runs or
    /// waits is held, an ended one is no longer pruned.
    private func setAside(_ row: Int64, because why: String, at now: Timestamp) throws {
        let find = try command(.placeOfRow)
        find.bind(1, row)
        guard let (lane, state) = try find.first({ ($0.int64(0), $0.int(1)) }) else { return }
        let set = try command(.setAside)
        set.bind(1, row)
        set.bind(2, Hold(actor: "errand", reason: why, since: now, until: nil).stored)
        try set.run()
        if state == JobState.running.rawValue {
            effects.tally(lane: lane, .running, -1)
            effects.tally(lane: lane, .ready, 1)
        }
        held[row] = nil
        try write(
            AuditEntry(at: now, actor: "errand", action: "hold", target: "row \(row)", reason: why, changed: 1)
        )
        options.unreadable.note("row \(row)", why)
    }
}
