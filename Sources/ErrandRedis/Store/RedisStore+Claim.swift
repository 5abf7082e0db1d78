// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import NIOCore
import RedisWire

extension RedisStore {
    /// Promotes and claims; see ``/ErrandCore/JobStore/claim(_:)``.
    ///
    /// A claim of many jobs is several scripts: one that finds out whether there are so many, and then the others, which
    /// follow each other without waiting where one queue is asked.
    /// - Throws: ``/ErrandCore/StoreError`` with code `notFound` for a worker that is not registered or was declared dead.
    public func claim(_ request: ClaimRequest) async throws -> ClaimAnswer {
        try await perform { () throws(StoreError) in try await claimAll(request) }
    }

    private func claimAll(_ request: ClaimRequest) async throws(StoreError) -> ClaimAnswer {
        var queues = request.queues
        let most = max(configuration.jobsPerScript, 1)
        var limits = [min(max(request.limit, 0), most)]
        var whole = try await claimSome(request, queues, limits: limits, promotions: max(request.promotionLimit, 1))
        var last = whole
        while whole.jobs.count < request.limit, last.jobs.count >= limits.reduce(0, +), last.hasMore {
            for index in queues.indices {
                let name = queues[index].name
                queues[index].slots -=
                    queues.count == 1 ? last.jobs.count : last.jobs.count { $0.record.queue == name }
                queues[index].credit = last.credits[queues[index].name] ?? queues[index].credit
            }
            let rest = request.limit - whole.jobs.count
            if queues.count == 1 {
                let room = min(rest, queues[0].slots)
                guard room > 0 else { break }
                limits = stride(from: 0, to: room, by: most).map { min(most, room - $0) }
            } else {
                limits = [min(rest, most)]
            }
            do throws(StoreError) {
                last = try await claimSome(request, queues, limits: limits, promotions: 1)
            } catch {
                // What was claimed already is delivered; the trouble shows again soon enough.
                whole.hasMore = true
                return whole
            }
            whole.add(last)
        }
        return whole
    }

    /// Runs a script for each limit, one behind the other.
    private func claimSome(
        _ request: ClaimRequest,
        _ queues: [ClaimRequest.Queue],
        limits: [Int],
        promotions: Int
    ) async throws(StoreError) -> ClaimAnswer {
        let answers = try await run(RedisScripts.claim, times: limits.count) { index, command in
            command.append(request.worker.bytes)
            command.append(limits[index])
            command.append(promotions)
            command.append(request.order == .weighted ? "w" : "s")
            command.append(configuration.bytesPerScript)
            command.append(request.names.count)
            command.append(queues.count)
            for (name, version) in request.names {
                command.append(name.rawValue)
                command.append(version)
            }
            for queue in queues {
                command.append(queue.name.rawValue)
                command.append(queue.slots)
                command.append(queue.weight)
                command.append(queue.credit)
            }
        }
        var whole: ClaimAnswer?
        for answer in answers {
            let part = try await read(answer, of: request, queues)
            if whole == nil { whole = part } else { whole?.add(part) }
        }
        guard let whole else { throw StoreError.oddAnswer }
        return whole
    }

    /// What a script answered; sets aside what cannot be read, and expires what was too late.
    private func read(
        _ answer: [RESPValue],
        of request: ClaimRequest,
        _ queues: [ClaimRequest.Queue]
    ) async throws(StoreError) -> ClaimAnswer {
        guard answer.count >= 6, answer.count.isMultiple(of: 3) else { throw StoreError.oddAnswer }
        let now = try Self.instant(answer[0])
        var claim = ClaimAnswer(jobs: [], nextDue: nil, hasMore: answer[1].integer == 1, at: now)
        if let due = answer[2].text, !due.isEmpty { claim.nextDue = Timestamp(microseconds: Int64(due) ?? .max) }
        let credits = (answer[4].text ?? "").split(separator: " ")
        for (queue, credit) in zip(queues, credits) { claim.credits[queue.name] = Int(credit) ?? 0 }
        let others = try ClaimExtras.all(in: answer[5])
        claim.jobs.reserveCapacity(answer.count / 3)
        var unreadable: [JobID] = []
        for index in stride(from: 6, to: answer.count, by: 3) {
            guard let id = answer[index].buffer.flatMap({ JobID(bytes: $0.readableBytesView) }) else {
                throw StoreError.oddAnswer
            }
            do throws(StoreError) {
                guard let head = answer[index + 1].buffer, let arguments = answer[index + 2].buffer else {
                    throw StoreError.unreadable
                }
                let apart = others[index / 3 - 1]
                let record =
                    try StoredJob(id, head: head, arguments: arguments, body: apart?.body, extras: apart?.extras).record
                let lease = Lease(job: id, worker: request.worker, epoch: record.epoch)
                claim.jobs.append(ClaimedJob(lease: lease, record: record))
            } catch {
                unreadable.append(id)
            }
        }
        try await expire(ids(in: answer[3].buffer))
        for id in unreadable { try await setAside(id, heldBy: request.worker) }
        return claim
    }

    /// Jobs that were too late when a claim met them.
    private func expire(_ ids: [JobID]) async throws(StoreError) {
        for start in stride(from: 0, to: ids.count, by: Self.jobsPerLook) {
            let some = Array(ids[start..<min(start + Self.jobsPerLook, ids.count)])
            try await decide(some) { table throws(Missing) in
                let now = table.now
                for id in some where try table.row(id)?.record.isOverdue(at: now) == true {
                    try table.change(id) { $0.expire(at: now) }
                }
            }
        }
    }

    private func ids(in buffer: ByteBuffer?) -> [JobID] {
        var (rest, ids) = (buffer ?? ByteBuffer(), [JobID]())
        while let high = rest.readInteger(as: UInt64.self), let low = rest.readInteger(as: UInt64.self) {
            ids.append(JobID(high: high, low: low))
        }
        return ids
    }
}

/// What only few of the jobs of a claim have.
private struct ClaimExtras {
    var body: ByteBuffer?
    var extras: ByteBuffer?

    /// By the number of the job, from 1.
    static func all(in value: RESPValue) throws(StoreError) -> [Int: ClaimExtras] {
        guard let words = value.elements, words.count.isMultiple(of: 3) else { throw StoreError.oddAnswer }
        var all: [Int: ClaimExtras] = [:]
        for index in stride(from: 0, to: words.count, by: 3) {
            guard let number = words[index].integer else { throw StoreError.oddAnswer }
            let body = words[index + 1].buffer.flatMap { $0.readableBytes > 0 ? $0 : nil }
            all[Int(number)] = ClaimExtras(body: body, extras: words[index + 2].buffer)
        }
        return all
    }
}

extension ClaimAnswer {
    /// What a further script of the same claim brought.
    fileprivate mutating func add(_ part: ClaimAnswer) {
        jobs += part.jobs
        (nextDue, hasMore, credits, at) = (part.nextDue, part.hasMore, part.credits, part.at)
    }
}
