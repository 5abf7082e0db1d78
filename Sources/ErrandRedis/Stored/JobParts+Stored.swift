// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore

// The parts of a job that are kept beside it.

extension Attempt {
    var bytes: ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeMultipleIntegers(UInt32(clamping: run), UInt32(clamping: number), epoch)
        buffer.writeBytes(worker.bytes)
        buffer.write(startedAt)
        buffer.write(endedAt)
        buffer.write(ending.rawValue)
        buffer.writeInteger(UInt8(error == nil ? 0 : 1))
        if let error { buffer.write(error) }
        return buffer
    }

    init(stored: ByteBuffer) throws(StoreError) {
        var buffer = stored
        let (run, number) = (try buffer.count(), try buffer.count())
        let epoch = try buffer.number(Int64.self)
        let worker = try buffer.worker()
        let (start, end) = (try buffer.instant(), try buffer.instant())
        guard let ending = Ending(rawValue: try buffer.text()) else { throw StoreError.unreadable }
        let error = try buffer.number(UInt8.self) == 0 ? nil : try buffer.error()
        self.init(
            run: run,
            number: number,
            epoch: epoch,
            worker: worker,
            startedAt: start,
            endedAt: end,
            ending: ending,
            error: error
        )
    }
}

extension LogLine {
    var bytes: ByteBuffer {
        var buffer = ByteBuffer()
        buffer.write(at)
        buffer.write(level)
        buffer.write(message)
        return buffer
    }

    init(stored: ByteBuffer) throws(StoreError) {
        var buffer = stored
        self.init(at: try buffer.instant(), level: try buffer.text(), message: try buffer.text())
    }
}

extension Payload {
    /// A result or a checkpoint, with what it is.
    var storedBytes: ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(bytes.count + 16)
        buffer.writeInteger(Int64(version))
        buffer.write(format.rawValue)
        buffer.writeBytes(bytes)
        return buffer
    }

    init(stored: ByteBuffer) throws(StoreError) {
        var buffer = stored
        let version = Int(try buffer.number(Int64.self))
        let format = Format(rawValue: try buffer.text())
        self.init(bytes: Array(buffer: buffer), format: format, version: version)
    }
}

extension AuditEntry {
    var bytes: ByteBuffer {
        var buffer = ByteBuffer()
        buffer.write(at)
        buffer.write(actor)
        buffer.write(action)
        buffer.write(target)
        buffer.write(reason)
        buffer.writeInteger(Int64(changed))
        return buffer
    }

    init(stored: ByteBuffer) throws(StoreError) {
        var buffer = stored
        self.init(
            at: try buffer.instant(),
            actor: try buffer.text(),
            action: try buffer.text(),
            target: try buffer.text(),
            reason: try buffer.text(),
            changed: Int(try buffer.number(Int64.self))
        )
    }
}

extension OperationReport {
    var bytes: ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeInteger(UInt32(clamping: changed.count))
        for id in changed { buffer.write(id) }
        buffer.writeInteger(Int64(unchanged))
        buffer.writeInteger(UInt32(clamping: refused.count))
        for (id, why) in refused {
            buffer.write(id)
            buffer.write(why)
        }
        buffer.writeInteger(UInt8(next == nil ? 0 : 1))
        if let next { buffer.write(next) }
        return buffer
    }

    init(stored: ByteBuffer) throws(StoreError) {
        var buffer = stored
        self.init()
        for _ in 0..<(try buffer.count()) { changed.append(try buffer.id()) }
        unchanged = Int(try buffer.number(Int64.self))
        for _ in 0..<(try buffer.count()) {
            let id = try buffer.id()
            refused[id] = try buffer.text()
        }
        next = try buffer.number(UInt8.self) == 0 ? nil : try buffer.id()
    }
}
