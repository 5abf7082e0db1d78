// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore
import RedisWire

/// New jobs that follow each other and differ in nothing but their arguments, as `insert.lua` takes them.
struct InsertGroup {
    private let wishes: ByteBuffer
    private let tail: ByteBuffer
    private let isApart: Bool
    private var jobs: [NewJob]

    init(_ job: NewJob) {
        isApart = job.payload.bytes.count > JobArguments.longestInline
        var wishes = ByteBuffer()
        var flags = JobHead.Flags()
        if job.startWithin != nil || job.deadline != nil { flags.insert(.timed) }
        if isApart { flags.insert(.bodyApart) }
        if !job.tags.isEmpty { flags.insert(.tags) }
        wishes.writeMultipleIntegers(flags.rawValue, UInt8(job.priority.level))
        if job.start != .now || flags.contains(.timed) || job.unique?.scope.ttl != nil {
            Self.writeWishes(of: job, to: &wishes)
        }
        self.wishes = wishes
        var tail = ByteBuffer()
        JobHead.writeTail(of: job, to: &tail)
        self.tail = tail
        jobs = [job]
    }

    /// Takes a job in.
    /// - Returns: False when it begins another group.
    mutating func add(_ job: NewJob) -> Bool {
        guard let first = jobs.first, job.hasSameHead(as: first),
            (job.payload.bytes.count > JobArguments.longestInline) == isApart
        else { return false }
        jobs.append(job)
        return true
    }

    func write(to command: inout RedisCommand, using scratch: inout ByteBuffer) {
        command.append(wishes)
        command.append(tail)
        scratch.clear()
        for job in jobs { scratch.write(job.id) }
        command.append(scratch)
        for job in jobs {
            scratch.clear()
            JobArguments(job).write(to: &scratch)
            if isApart {
                command.append(scratch)
                command.append(job.payload.bytes)
            } else {
                scratch.writeBytes(job.payload.bytes)
                command.append(scratch)
            }
        }
    }

    private static func writeWishes(of job: NewJob, to buffer: inout ByteBuffer) {
        switch job.start {
        case .now: buffer.writeMultipleIntegers(UInt8(0), Int64(0))
        case .after(let delay): buffer.writeMultipleIntegers(UInt8(1), delay.wholeMicroseconds)
        case .at(let instant): buffer.writeMultipleIntegers(UInt8(2), instant.microseconds)
        }
        buffer.write(job.startWithin)
        buffer.write(job.deadline)
        buffer.write(job.unique?.scope.ttl)
    }
}

extension NewJob {
    /// Whether all that a head says of a new job is the same for both. Each unique key makes a head of its own.
    fileprivate func hasSameHead(as other: NewJob) -> Bool {
        unique == nil && other.unique == nil && name == other.name && queue == other.queue && priority == other.priority
            && start == other.start && startWithin == other.startWithin && deadline == other.deadline
            && tags.isEmpty == other.tags.isEmpty && payload.version == other.payload.version
            && resultTTL == other.resultTTL
    }
}
