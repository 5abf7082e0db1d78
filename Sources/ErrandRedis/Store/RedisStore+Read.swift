// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore
import RedisWire

/// A job as a look found it.
struct ReadJob: Sendable {
    let id: JobID
    /// Its bytes, by which a change notices another one.
    let head: ByteBuffer
    /// `nil` when there is none with this id; an error when it cannot be read.
    let job: Result<StoredJob, StoreError>?
    /// Whether it left for another store lately.
    var hasLeft = false
}

extension RedisStore {
    /// How many jobs one script reads.
    static let jobsPerLook = 200

    /// Reads jobs, some hundred in one look.
    func read(_ ids: [JobID], parts: JobParts) async throws(StoreError) -> (now: Timestamp, jobs: [ReadJob]) {
        let width = parts.isDisjoint(with: [.payload, .result, .log]) ? Self.jobsPerLook : 50
        let looks = (ids.count + width - 1) / width
        var found: [ReadJob] = []
        var now: Timestamp?
        // A few looks at a time: an answer may be large.
        for first in stride(from: 0, to: looks, by: 4) {
            let answers = try await run(RedisScripts.read, times: min(4, looks - first), writes: false) {
                index,
                command in
                command.append(parts.rawValue)
                let start = (first + index) * width
                for id in ids[start..<min(start + width, ids.count)] { command.append(id.bytes) }
            }
            for answer in answers {
                let read = try Self.jobs(in: answer, parts: parts)
                if now == nil { now = read.now }
                found += read.jobs
            }
        }
        guard let now else { return (try await fetch([]).now, []) }
        return (now, found)
    }

    /// Walks a set of ids from the newest to the oldest.
    func scan(
        _ set: String,
        after: JobID?,
        count: Int,
        parts: JobParts
    ) async throws(StoreError) -> (now: Timestamp, jobs: [ReadJob]) {
        let answer = try await run(RedisScripts.read, writes: false) { command in
            command.append(parts.rawValue)
            command.append("scan")
            command.append(set)
            command.append(after?.bytes ?? [])
            command.append(count)
        }
        return try Self.jobs(in: answer, parts: parts)
    }

    private static func jobs(
        in answer: [RESPValue],
        parts: JobParts
    ) throws(StoreError) -> (now: Timestamp, jobs: [ReadJob]) {
        guard let first = answer.first, !answer.count.isMultiple(of: 2) else { throw StoreError.oddAnswer }
        let now = try instant(first)
        var jobs: [ReadJob] = []
        for index in stride(from: 1, to: answer.count, by: 2) {
            guard let id = answer[index].buffer.flatMap({ JobID(bytes: $0.readableBytesView) }) else {
                throw StoreError.oddAnswer
            }
            guard let fields = answer[index + 1].elements else {
                jobs.append(ReadJob(id: id, head: ByteBuffer(), job: nil, hasLeft: answer[index + 1].buffer != nil))
                continue
            }
            guard fields.count == 8, let head = fields[0].buffer else { throw StoreError.oddAnswer }
            let job = Result { () throws(StoreError) in try self.job(id, fields, parts: parts, at: now) }
            jobs.append(ReadJob(id: id, head: head, job: job))
        }
        return (now, jobs)
    }

    private static func job(
        _ id: JobID,
        _ fields: [RESPValue],
        parts: JobParts,
        at now: Timestamp
    ) throws(StoreError) -> StoredJob {
        guard let head = fields[0].buffer, let arguments = fields[1].buffer else { throw StoreError.unreadable }
        var job = try StoredJob(
            id,
            head: head,
            arguments: arguments,
            body: fields[2].buffer,
            extras: fields[3].buffer
        )
        if var result = fields[4].buffer, result.readableBytes > 0 {
            let until = try result.instant()
            if until > now { job.record.result = try Payload(stored: result) }
        }
        for value in fields[5].elements ?? [] {
            if let bytes = value.buffer { job.record.attempts.append(try Attempt(stored: bytes)) }
        }
        for value in fields[6].elements ?? [] {
            if let bytes = value.buffer { job.record.log.append(try LogLine(stored: bytes)) }
        }
        let checkpoints = fields[7].elements ?? []
        for index in stride(from: 0, to: checkpoints.count - 1, by: 2) {
            guard let name = checkpoints[index].text, let bytes = checkpoints[index + 1].buffer else { continue }
            job.record.checkpoints[name] = try Payload(stored: bytes)
        }
        return job
    }
}
