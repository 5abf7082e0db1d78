// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import NIOCore

/// The bytes of a new no-op job up to its sequence, as `JobHead` and `JobArguments` of the store write them.
enum PlainRedisHead {
    /// Of all that is asked for besides the payload.
    static let argumentsLength = 87

    static let kind = "plain\0no-op"

    static func write(at now: Timestamp, to buffer: inout ByteBuffer) {
        buffer.clear()
        // State, started at, lease, finished at; flags and priority.
        buffer.writeInteger(UInt8(3))
        buffer.writeInteger(Int64.min)
        buffer.writeRepeatingByte(0, count: 28)
        buffer.writeInteger(Int64.min)
        buffer.writeMultipleIntegers(UInt8(0), UInt8(5))
        buffer.writeMultipleIntegers(now.microseconds, now.microseconds, Int64.min, Int64.min)
        // The counts of attempts, run, revision, stamp, reason, scope; version, how long the result is kept, kind.
        buffer.writeRepeatingByte(0, count: 16)
        buffer.writeMultipleIntegers(UInt32(1), UInt32(1), UInt32(0), UInt8(0), UInt8(0))
        buffer.writeMultipleIntegers(UInt32(1), Int64(86_400_000_000), UInt16(kind.utf8.count))
        buffer.writeString(kind)
    }
}
