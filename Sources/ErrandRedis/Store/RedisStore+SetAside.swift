// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore
import RedisWire

extension RedisStore {
    /// Takes a job that this build cannot read out of the indexes that workers look at, without reading it: it is held, and
    /// all it says is kept.
    ///
    /// It is in the name of a worker that does not know of it; when not even its head can be used, it only leaves that list.
    func setAside(_ id: JobID, heldBy holder: WorkerID) async throws(StoreError) {
        let name = ByteBuffer(bytes: id.bytes)
        let leave = RedisWrite(
            ByteBuffer(string: "SREM"),
            RedisWriter.part("h:", ByteBuffer(bytes: holder.bytes)),
            name
        )
        let look = [["HGET", "j"].map { ByteBuffer(string: $0) } + [name]]
        let found = try await fetch(look)
        guard var head = found.answers.first?.buffer, head.readableBytes > 46,
            head.getInteger(at: head.readerIndex, as: UInt8.self) == UInt8(JobState.running.rawValue),
            let flags = head.getInteger(at: head.readerIndex + 45, as: UInt8.self)
        else {
            _ = try await write([leave], conditions: [])
            return
        }
        let was = head
        head.setInteger(UInt8(JobState.ready.rawValue), at: head.readerIndex)
        let marks = flags | JobHead.Flags.held.rawValue | JobHead.Flags.extras.rawValue
        head.setInteger(marks, at: head.readerIndex + 45)
        let why = StoreError.unreadable.message
        let hold = Hold(actor: "errand", reason: why, since: found.now, until: nil)
        var extras = ByteBuffer(integer: UInt8(1))
        extras.write(hold.actor)
        extras.write(hold.reason)
        extras.write(hold.since)
        extras.write(hold.until)
        let line = AuditEntry(
            at: found.now,
            actor: "errand",
            action: "hold",
            target: "job \(id)",
            reason: why,
            changed: 1
        )
        var writes = [
            RedisWrite(ByteBuffer(string: "HSET"), ByteBuffer(string: "j"), name, head),
            RedisWrite(ByteBuffer(string: "HSET"), ByteBuffer(string: "x"), name, extras),
            leave,
        ]
        if let kind = Self.kind(in: head) {
            for (state, change) in [(JobState.running, "-1"), (.ready, "1")] {
                let number = ByteBuffer(string: String(state.rawValue))
                writes.append(RedisWrite(ByteBuffer(string: "T"), kind, number, ByteBuffer(string: change)))
            }
        }
        writes += RedisWrite.audit(line)
        _ = try await write(writes, conditions: [("j", name, was)])
    }

    /// Queue and name as the scripts find them.
    private static func kind(in head: ByteBuffer) -> ByteBuffer? {
        guard let length = head.getInteger(at: head.readerIndex + JobHead.kindPlace, as: UInt16.self) else {
            return nil
        }
        return head.getSlice(at: head.readerIndex + JobHead.kindPlace + 2, length: Int(length))
    }
}

extension RedisWrite {
    /// How many lines of the audit are kept.
    private static let keptLines = 10_000

    /// The commands that add a line to the audit.
    static func audit(_ entry: AuditEntry) -> [RedisWrite] {
        let list = ByteBuffer(string: "y")
        let end = ByteBuffer(string: String(keptLines - 1))
        return [
            RedisWrite(ByteBuffer(string: "LPUSH"), list, entry.bytes),
            RedisWrite(ByteBuffer(string: "LTRIM"), list, ByteBuffer(string: "0"), end),
        ]
    }
}
