// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import NIOCore
import RedisWire

extension RedisStore {
    /// Promotes and claims; see ``/ErrandCore/JobStore/claim(_:)``.
    ///
    /// A claim of many jobs is several scripts one after the other.
    /// - Throws: ``/ErrandCore/StoreError`` with code `notFound` for a worker that is not registered or was declared dead.
    public func claim(_ request: ClaimRequest) async throws -> ClaimAnswer {
        try await perform { () throws(StoreError) in try await claimAll(request) }
    }

    private func claimAll(_ request: ClaimRequest) async throws(StoreError) -> ClaimAnswer {
        var queues = request.queues
        var whole: ClaimAnswer?
        var promotions = max(request.promotionLimit, 1)
        while true {
            let limit = max(request.limit - (whole?.jobs.count ?? 0), 0)
            let wanted = min(limit, configuration.jobsPerScript)
            let part: ClaimAnswer
            do throws(StoreError) {
                part = try await claimSome(request, queues, limit: wanted, promotions: promotions)
            } catch {
                // What was claimed already is delivered; the trouble shows again soon enough.
                guard var whole else { throw error }
                whole.hasMore = true
                return whole
            }
            promotions = 1
            for index in queues.indices {
                queues[index].slots -= part.jobs.count { $0.record.queue == queues[index].name }
                queues[index].credit = part.credits[queues[index].name] ?? queues[index].credit
            }
            if whole == nil { whole = part } else { whole?.add(part) }
            let isDone = limit <= wanted || part.jobs.count < wanted || !part.hasMore
            if isDone, let whole { return whole }
        }
    }

    private func claimSome(
        _ request: ClaimRequest,
        _ queues: [ClaimRequest.Queue],
        limit: Int,
        promotions: Int
    ) async throws(StoreError) -> ClaimAnswer {
        let answer = try await run(RedisScripts.claim, capacity: 1024) { command in
            command.append(request.worker.bytes)
            command.append(limit)
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
        guard answer.count >= 5, (answer.count - 5).isMultiple(of: 5) else { throw StoreError.oddAnswer }
        let now = try Self.instant(answer[0])
        var claim = ClaimAnswer(jobs: [], nextDue: nil, hasMore: answer[1].integer == 1, at: now)
        if let due = answer[2].text, !due.isEmpty { claim.nextDue = Timestamp(microseconds: Int64(due) ?? .max) }
        let credits = (answer[4].text ?? "").split(separator: " ")
        for (queue, credit) in zip(queues, credits) { claim.credits[queue.name] = Int(credit) ?? 0 }
        claim.jobs.reserveCapacity(answer.count / 5)
        var unreadable: [JobID] = []
        for index in stride(from: 5, to: answer.count, by: 5) {
            guard let id = answer[index].buffer.flatMap({ JobID(bytes: $0.readableBytesView) }) else {
                throw StoreError.oddAnswer
            }
            do throws(StoreError) {
                let record = try Self.started(id, answer[(index + 1)...(index + 4)])
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

    private static func started(_ id: JobID, _ fields: ArraySlice<RESPValue>) throws(StoreError) -> JobRecord {
        let start = fields.startIndex
        guard let head = fields[start].buffer, let arguments = fields[start + 1].buffer else {
            throw StoreError.unreadable
        }
        let apart = fields[start + 2].buffer.flatMap { $0.readableBytes > 0 ? $0 : nil }
        return try StoredJob(id, head: head, arguments: arguments, body: apart, extras: fields[start + 3].buffer).record
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

extension ClaimAnswer {
    /// What a further script of the same claim brought.
    fileprivate mutating func add(_ part: ClaimAnswer) {
        jobs += part.jobs
        (nextDue, hasMore, credits, at) = (part.nextDue, part.hasMore, part.credits, part.at)
    }
}
