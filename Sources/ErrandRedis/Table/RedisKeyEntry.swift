// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore

/// Who has a unique key. For a key with a TTL it may outlive its job.
struct RedisKeyEntry: Equatable {
    var holder: JobID
    /// The one job that waits for the holder.
    var followUp: JobID?
    /// When a key with a TTL is free again.
    var expiresAt: Timestamp?
    /// What the holder last was, for when its row is gone.
    var lastState: JobState

    /// That of a key whose job is gone.
    init(_ key: ExportedKey) {
        (holder, followUp, expiresAt, lastState) = (key.job, nil, key.expiresAt, key.lastState)
    }

    init(_ record: JobRecord) {
        holder = record.id
        lastState = record.state
        expiresAt = record.unique?.scope.ttl.map { record.createdAt + $0 }
    }

    init(stored: ByteBuffer) throws(StoreError) {
        var buffer = stored
        holder = try buffer.id()
        let other = try buffer.id()
        followUp = other == JobID(high: 0, low: 0) ? nil : other
        expiresAt = try buffer.optionalInstant()
        guard let state = JobState(rawValue: Int(try buffer.number(UInt8.self))) else { throw StoreError.unreadable }
        lastState = state
    }

    var bytes: ByteBuffer {
        var buffer = ByteBuffer()
        buffer.write(holder)
        buffer.write(followUp ?? JobID(high: 0, low: 0))
        buffer.write(expiresAt)
        buffer.writeInteger(UInt8(lastState.rawValue))
        return buffer
    }
}
