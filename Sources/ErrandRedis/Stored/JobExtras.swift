// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore

/// What few jobs have: a hold, a cancel request, an error, progress.
enum JobExtras {
    static func exist(in record: JobRecord) -> Bool {
        record.hold != nil || record.cancelRequest != nil || record.error != nil || record.fingerprint != nil
            || record.progress != nil
    }

    static func bytes(of record: JobRecord) -> ByteBuffer {
        var buffer = ByteBuffer()
        let marks: [Bool] = [
            record.hold != nil, record.cancelRequest != nil, record.error != nil, record.fingerprint != nil,
            record.progress != nil,
        ]
        buffer.writeInteger(marks.enumerated().reduce(UInt8(0)) { $1.element ? $0 | 1 << UInt8($1.offset) : $0 })
        if let hold = record.hold {
            buffer.write(hold.actor)
            buffer.write(hold.reason)
            buffer.write(hold.since)
            buffer.write(hold.until)
        }
        if let request = record.cancelRequest { write(request, to: &buffer) }
        if let error = record.error { buffer.write(error) }
        if let fingerprint = record.fingerprint { buffer.write(fingerprint) }
        if let progress = record.progress {
            buffer.writeInteger(progress.fraction.bitPattern)
            buffer.write(progress.message)
            buffer.write(progress.at)
        }
        return buffer
    }

    static func read(_ bytes: ByteBuffer, into record: inout JobRecord) throws(StoreError) {
        var buffer = bytes
        let marks = try buffer.number(UInt8.self)
        if marks & 1 != 0 {
            record.hold = Hold(
                actor: try buffer.text(),
                reason: try buffer.text(),
                since: try buffer.instant(),
                until: try buffer.optionalInstant()
            )
        }
        if marks & 2 != 0 {
            record.cancelRequest = CancelRequest(
                actor: try buffer.text(),
                reason: try buffer.text(),
                at: try buffer.instant()
            )
        }
        if marks & 4 != 0 { record.error = try buffer.error() }
        if marks & 8 != 0 { record.fingerprint = try buffer.text() }
        if marks & 16 != 0 {
            record.progress = JobProgress(
                fraction: Double(bitPattern: try buffer.number()),
                message: try buffer.text(),
                at: try buffer.instant()
            )
        }
    }

    /// The cancel request in these extras, if there is one.
    static func cancelRequest(in bytes: ByteBuffer) throws(StoreError) -> CancelRequest? {
        var buffer = bytes
        let marks = try buffer.number(UInt8.self)
        if marks & 1 != 0 {
            _ = try buffer.text()
            _ = try buffer.text()
            _ = try buffer.instant()
            _ = try buffer.instant()
        }
        guard marks & 2 != 0 else { return nil }
        return CancelRequest(actor: try buffer.text(), reason: try buffer.text(), at: try buffer.instant())
    }

    private static func write(_ request: CancelRequest, to buffer: inout ByteBuffer) {
        buffer.write(request.actor)
        buffer.write(request.reason)
        buffer.write(request.at)
    }
}
