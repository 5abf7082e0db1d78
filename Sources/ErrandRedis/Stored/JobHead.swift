// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore

/// What changes of a job while it lives, at fixed places in a short string, so that a script reads and writes a place of it
/// without looking at the rest. `library.lua` has the table of places.
struct JobHead: Equatable {
    /// What there is about the job elsewhere.
    struct Flags: OptionSet {
        let rawValue: UInt8
        static let held = Flags(rawValue: 1)
        static let extras = Flags(rawValue: 2)
        static let attempts = Flags(rawValue: 4)
        static let log = Flags(rawValue: 8)
        static let checkpoints = Flags(rawValue: 16)
        static let timed = Flags(rawValue: 32)
        static let bodyApart = Flags(rawValue: 64)
        static let tags = Flags(rawValue: 128)
    }

    var flags: Flags
    /// The order in which the store took it; breaks ties of rank.
    var sequence: Int64
    /// Raised by every change decided outside of a script, so that two of them cannot pass unseen.
    var stamp: UInt32

    /// Where the length of the kind stands.
    static let kindPlace = 121

    /// The bytes from `failures` to the unique key, which are the same for all new jobs of a kind that have no such key.
    static func writeTail(of job: NewJob, to buffer: inout ByteBuffer) {
        buffer.writeRepeatingByte(0, count: 16)
        buffer.writeMultipleIntegers(UInt32(1), UInt32(1), UInt32(0), UInt8(0))
        buffer.writeInteger(job.unique?.scope.number ?? 0)
        buffer.writeInteger(UInt32(clamping: job.payload.version))
        buffer.writeInteger(job.resultTTL.wholeMicroseconds)
        writeKind(job.queue, job.name, job.unique, to: &buffer)
    }

    private static func writeKind(
        _ queue: QueueName,
        _ name: JobName,
        _ unique: UniqueRule?,
        to buffer: inout ByteBuffer
    ) {
        buffer.writeInteger(UInt16(clamping: queue.rawValue.utf8.count + 1 + name.rawValue.utf8.count))
        buffer.writeString(queue.rawValue)
        buffer.writeInteger(UInt8(0))
        buffer.writeString(name.rawValue)
        if let unique { buffer.writeString(unique.key) }
    }

    /// The head of a record.
    func bytes(of record: JobRecord) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(200)
        buffer.writeInteger(UInt8(record.state.rawValue))
        buffer.write(record.startedAt)
        buffer.writeMultipleIntegers(record.epoch, UInt32(clamping: record.attempt))
        if let worker = record.worker {
            buffer.writeBytes(worker.bytes)
        } else {
            buffer.writeRepeatingByte(0, count: 16)
        }
        buffer.write(record.finishedAt)
        buffer.writeMultipleIntegers(flags.rawValue, UInt8(record.priority.level))
        buffer.writeMultipleIntegers(record.runAt.microseconds, record.createdAt.microseconds)
        buffer.write(record.startBy)
        buffer.write(record.deadline)
        buffer.writeMultipleIntegers(UInt32(clamping: record.failures), UInt32(clamping: record.crashes))
        buffer.writeMultipleIntegers(UInt32(clamping: record.releases), UInt32(clamping: record.snoozes))
        buffer.writeMultipleIntegers(UInt32(clamping: record.run), UInt32(clamping: record.revision), stamp)
        let reason = record.reason.flatMap { FailureReason.allCases.firstIndex(of: $0) }.map { UInt8($0 + 1) } ?? 0
        buffer.writeMultipleIntegers(reason, record.unique?.scope.number ?? 0, UInt32(clamping: record.payload.version))
        buffer.writeInteger(record.resultTTL.wholeMicroseconds)
        Self.writeKind(record.queue, record.name, record.unique, to: &buffer)
        buffer.writeInteger(sequence)
        return buffer
    }
}

extension UniqueRule.Scope {
    /// The number in a head.
    var number: UInt8 {
        switch self {
        case .untilStart: 1
        case .untilDone: 2
        case .forTTL: 3
        }
    }
}

/// A job as its head, arguments and extras tell.
struct StoredJob {
    var head: JobHead
    var record: JobRecord

    /// Reads a job; its payload is empty when `body` is.
    init(
        _ id: JobID,
        head bytes: ByteBuffer,
        arguments: ByteBuffer,
        body: ByteBuffer?,
        extras: ByteBuffer?
    ) throws(StoreError) {
        var (buffer, asked) = (bytes, arguments)
        guard let state = JobState(rawValue: Int(try buffer.number(UInt8.self))) else { throw StoreError.unreadable }
        let startedAt = try buffer.optionalInstant()
        let (epoch, attempt) = (try buffer.number(Int64.self), try buffer.count())
        let worker = try buffer.worker()
        let finishedAt = try buffer.optionalInstant()
        let flags = JobHead.Flags(rawValue: try buffer.number())
        let priority = JobPriority(Int(try buffer.number(UInt8.self)))
        let runAt = try buffer.instant()
        let createdAt = try buffer.instant()
        let (startBy, deadline) = (try buffer.optionalInstant(), try buffer.optionalInstant())
        let (failures, crashes) = (try buffer.count(), try buffer.count())
        let (releases, snoozes) = (try buffer.count(), try buffer.count())
        let (run, revision) = (try buffer.count(), try buffer.count())
        let stamp = try buffer.number(UInt32.self)
        let reason = Int(try buffer.number(UInt8.self))
        let scope = try buffer.number(UInt8.self)
        let version = try buffer.count()
        let resultTTL = Duration.microseconds(try buffer.number(Int64.self))
        let kind = Int(try buffer.number(UInt16.self))
        guard let words = buffer.readSlice(length: kind),
            let split = words.readableBytesView.firstIndex(of: 0)
        else { throw StoreError.unreadable }
        guard let key = buffer.readSlice(length: max(buffer.readableBytes - 8, 0)) else { throw StoreError.unreadable }
        let sequence = try buffer.number(Int64.self)
        let queue = String(decoding: words.readableBytesView[..<split], as: UTF8.self)
        let name = String(decoding: words.readableBytesView[(split + 1)...], as: UTF8.self)
        let facts = try JobArguments(reading: &asked)
        let rest = body ?? asked
        let payload = Payload(bytes: Array(buffer: rest), format: facts.format, version: version)
        let job = NewJob(
            id: id,
            name: JobName(name),
            payload: payload,
            queue: QueueName(queue),
            priority: priority,
            timeout: facts.timeout,
            retry: facts.retry,
            crashesAllowed: facts.crashesAllowed,
            unique: try facts.rule(scope, key: key),
            tags: facts.tags,
            headers: facts.headers,
            trace: facts.trace,
            resultTTL: resultTTL
        )
        record = JobRecord(job, at: createdAt)
        record.state = state
        record.runAt = runAt
        record.rank = priority.rank(readyAt: runAt)
        (record.startBy, record.deadline) = (startBy, deadline)
        (record.startedAt, record.finishedAt) = (startedAt, finishedAt)
        (record.epoch, record.attempt) = (epoch, attempt)
        // No worker has the identity zero.
        record.worker = worker.isNobody ? nil : worker
        (record.failures, record.crashes, record.releases, record.snoozes) = (failures, crashes, releases, snoozes)
        (record.run, record.revision) = (run, revision)
        if reason > 0 {
            guard reason <= FailureReason.allCases.count else { throw StoreError.unreadable }
            record.reason = FailureReason.allCases[reason - 1]
        }
        head = JobHead(flags: flags, sequence: sequence, stamp: stamp)
        if let extras, extras.readableBytes > 0 { try JobExtras.read(extras, into: &record) }
    }
}

extension WorkerID {
    private static let nobody = WorkerID(bytes: [UInt8](repeating: 0, count: 16))

    /// Whether this stands for none.
    fileprivate var isNobody: Bool { self == Self.nobody }
}
