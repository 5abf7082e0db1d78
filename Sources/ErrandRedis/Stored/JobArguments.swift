// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore

/// What was asked for and seldom changes: written once, and read by no script but for its length and the tags.
///
/// The length of all but the payload, the tags, the rest, and then the payload unless it is kept apart.
struct JobArguments {
    /// Payloads of more bytes are kept apart, so that lists and short looks do not drag them along.
    static let longestInline = 4096

    var tags: [String]
    var format: Payload.Format
    var retry: RetryPolicy
    var crashesAllowed: Int
    var timeout: Duration?
    var conflict: UInt8
    var fields: UInt8
    var ttl: Duration?
    var headers: [String: String]
    var trace: [String: String]

    init(_ job: NewJob) {
        tags = job.tags
        format = job.payload.format
        retry = job.retry
        crashesAllowed = job.crashesAllowed
        timeout = job.timeout
        (conflict, fields) = job.unique?.conflict.numbers ?? (0, 0)
        ttl = job.unique?.scope.ttl
        headers = job.headers
        trace = job.trace
    }

    init(_ record: JobRecord) {
        tags = record.tags
        format = record.payload.format
        retry = record.retry
        crashesAllowed = record.crashesAllowed
        timeout = record.timeout
        (conflict, fields) = record.unique?.conflict.numbers ?? (0, 0)
        ttl = record.unique?.scope.ttl
        headers = record.headers
        trace = record.trace
    }

    func write(to buffer: inout ByteBuffer) {
        let start = buffer.writerIndex
        buffer.writeInteger(UInt32(0))
        buffer.writeInteger(UInt16(clamping: tags.count))
        for tag in tags {
            buffer.writeInteger(UInt16(clamping: tag.utf8.count))
            buffer.writeString(tag)
        }
        let isJSON = format == .json
        buffer.writeInteger(UInt8(isJSON ? 0 : 1))
        if !isJSON { buffer.write(format.rawValue) }
        write(retry, to: &buffer)
        buffer.writeInteger(Int64(crashesAllowed))
        buffer.write(timeout)
        buffer.writeMultipleIntegers(conflict, fields)
        buffer.write(ttl)
        buffer.write(headers)
        buffer.write(trace)
        buffer.setInteger(UInt32(buffer.writerIndex - start - 4), at: start)
    }

    private func write(_ policy: RetryPolicy, to buffer: inout ByteBuffer) {
        let (curve, number): (UInt8, Double) =
            switch policy.backoff.curve {
            case .fixed: (0, 0)
            case .linear: (1, 0)
            case .exponential(let factor): (2, factor)
            case .polynomial(let power): (3, power)
            }
        buffer.writeMultipleIntegers(Int64(policy.maxAttempts), curve, UInt8(policy.followsCode ? 1 : 0))
        let backoff = policy.backoff
        buffer.writeMultipleIntegers(number.bitPattern, backoff.jitter.bitPattern)
        buffer.writeMultipleIntegers(backoff.base.wholeMicroseconds, backoff.cap.wholeMicroseconds)
    }

    /// Reads all but the payload, which is left in the buffer.
    init(reading buffer: inout ByteBuffer) throws(StoreError) {
        let length = try buffer.count()
        guard buffer.readableBytes >= length else { throw StoreError.unreadable }
        tags = []
        for _ in 0..<(try buffer.number(UInt16.self)) {
            guard let tag = buffer.readString(length: Int(try buffer.number(UInt16.self))) else {
                throw StoreError.unreadable
            }
            tags.append(tag)
        }
        format = try buffer.number(UInt8.self) == 0 ? .json : Payload.Format(rawValue: try buffer.text())
        retry = try Self.policy(reading: &buffer)
        crashesAllowed = Int(try buffer.number(Int64.self))
        timeout = try buffer.optionalDuration()
        (conflict, fields) = (try buffer.number(), try buffer.number())
        ttl = try buffer.optionalDuration()
        headers = try buffer.words()
        trace = try buffer.words()
    }

    private static func policy(reading buffer: inout ByteBuffer) throws(StoreError) -> RetryPolicy {
        let attempts = try buffer.number(Int64.self)
        let (curve, follows) = (try buffer.number(UInt8.self), try buffer.number(UInt8.self))
        let number = Double(bitPattern: try buffer.number())
        let jitter = Double(bitPattern: try buffer.number())
        let base = Duration.microseconds(try buffer.number(Int64.self))
        let cap = Duration.microseconds(try buffer.number(Int64.self))
        let shape: Backoff.Curve
        switch curve {
        case 0: shape = .fixed
        case 1: shape = .linear
        case 2: shape = .exponential(factor: number)
        case 3: shape = .polynomial(power: number)
        default: throw StoreError.unreadable
        }
        let backoff = Backoff(curve: shape, base: base, cap: cap, jitter: jitter)
        return RetryPolicy(maxAttempts: Int(attempts), backoff: backoff, followsCode: follows != 0)
    }

    /// The rule of a job whose head says this scope and whose key is this.
    func rule(_ scope: UInt8, key: ByteBuffer) throws(StoreError) -> UniqueRule? {
        let kept: UniqueRule.Scope
        switch scope {
        case 0: return nil
        case 1: kept = .untilStart
        case 2: kept = .untilDone
        case 3: kept = .forTTL(ttl ?? .zero)
        default: throw StoreError.unreadable
        }
        return UniqueRule(
            key: String(buffer: key),
            scope: kept,
            conflict: try UniqueRule.Conflict(numbers: conflict, fields)
        )
    }
}

extension UniqueRule.Conflict {
    /// The rule and its fields as they are stored.
    var numbers: (UInt8, UInt8) {
        switch self {
        case .returnExisting: (0, 0)
        case .throwError: (1, 0)
        case .runAgainAfter: (2, 0)
        case .replacePending(let fields): (3, UInt8(truncatingIfNeeded: fields.rawValue))
        }
    }

    init(numbers rule: UInt8, _ fields: UInt8) throws(StoreError) {
        switch rule {
        case 0: self = .returnExisting
        case 1: self = .throwError
        case 2: self = .runAgainAfter
        case 3: self = .replacePending(ReplaceableFields(rawValue: Int(fields)))
        default: throw StoreError.unreadable
        }
    }
}
