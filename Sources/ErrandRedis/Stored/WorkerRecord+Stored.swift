// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore

extension WorkerRegistration {
    /// What it said, behind when it said so first.
    func bytes(startedAt: Timestamp) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.write(startedAt)
        buffer.write(host)
        buffer.writeInteger(Int64(pid))
        buffer.write(version)
        buffer.writeInteger(UInt32(clamping: names.count))
        for (name, version) in names {
            buffer.write(name.rawValue)
            buffer.writeInteger(Int64(version))
        }
        buffer.writeInteger(UInt32(clamping: slots.count))
        for (queue, count) in slots {
            buffer.write(queue.rawValue)
            buffer.writeInteger(Int64(count))
        }
        return buffer
    }
}

extension WorkerRecord {
    init(_ id: WorkerID, stored: ByteBuffer, lastSeen: Timestamp?, running: Int) throws(StoreError) {
        var buffer = stored
        let startedAt = try buffer.instant()
        let host = try buffer.text()
        let pid = Int(try buffer.number(Int64.self))
        let version = try buffer.text()
        var names: [JobName: Int] = [:]
        for _ in 0..<(try buffer.count()) {
            let name = JobName(try buffer.text())
            names[name] = Int(try buffer.number(Int64.self))
        }
        var slots: [QueueName: Int] = [:]
        for _ in 0..<(try buffer.count()) {
            let queue = QueueName(try buffer.text())
            slots[queue] = Int(try buffer.number(Int64.self))
        }
        let registration = WorkerRegistration(
            id: id,
            host: host,
            pid: pid,
            version: version,
            names: names,
            slots: slots
        )
        self.init(
            registration: registration,
            startedAt: startedAt,
            lastSeen: lastSeen ?? startedAt,
            running: running
        )
    }
}

extension Pause {
    /// The field under which it is kept.
    static func field(of scope: Scope) -> String {
        switch scope {
        case .everything: "e"
        case .queue(let queue): "q" + queue.rawValue
        case .name(let name): "n" + name.rawValue
        }
    }

    /// Its end first, which scripts read.
    var bytes: ByteBuffer {
        var buffer = ByteBuffer()
        buffer.write(until)
        buffer.write(since)
        buffer.write(actor)
        buffer.write(reason)
        return buffer
    }

    init(field: String, stored: ByteBuffer) throws(StoreError) {
        var buffer = stored
        let scope: Scope
        let name = String(decoding: field.utf8.dropFirst(), as: UTF8.self)
        switch field.utf8.first {
        case UInt8(ascii: "e"): scope = .everything
        case UInt8(ascii: "q"): scope = .queue(QueueName(name))
        case UInt8(ascii: "n"): scope = .name(JobName(name))
        default: throw StoreError.unreadable
        }
        let until = try buffer.optionalInstant()
        let since = try buffer.instant()
        self.init(scope: scope, actor: try buffer.text(), reason: try buffer.text(), since: since, until: until)
    }
}
