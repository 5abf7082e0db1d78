// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension MemoryStore {
    /// Makes a worker known; see ``/ErrandCore/JobStore/register(_:)``.
    ///
    /// Rescues nobody: only silence tells of a death here.
    public func register(_ worker: WorkerRegistration) async throws -> MaintenanceReport {
        try act { table, now in
            if let known = table.workers[worker.id] {
                known.registration = worker
                known.lastSeen = now
            } else {
                table.workers[worker.id] = MemoryWorker(worker, at: now)
            }
            // Nobody else's death is certain: all workers live in this process.
            return MaintenanceReport()
        }
    }

    /// Removes a worker and gives its jobs back; see ``/ErrandCore/JobStore/retire(_:)``.
    public func retire(_ worker: WorkerID) async throws {
        try act { table, now in
            guard let known = table.workers[worker] else { return }
            for row in known.held.sorted(by: { $0.sequence < $1.sequence }) { table.settle(row, .released, at: now) }
            table.workers[worker] = nil
        }
    }

    /// Promotes and claims; see ``/ErrandCore/JobStore/claim(_:)``.
    /// - Throws: ``/ErrandCore/StoreError`` with code `notFound` for a worker that is not registered or was declared
    ///   dead.
    public func claim(_ request: ClaimRequest) async throws -> ClaimAnswer {
        try act { table, now throws(StoreError) in try table.claim(request, at: now) }
    }

    /// Keeps a worker alive; see ``/ErrandCore/JobStore/beat(_:)``.
    public func beat(_ beat: Beat) async throws -> BeatAnswer {
        try act { table, now in table.beat(beat, at: now) }
    }
}

/// The lanes of one queue that a worker can run.
struct MemoryCursor {
    var lanes: [MemoryLane]
    /// How many late jobs may still be expired on the way.
    var patience = 1000
}

extension MemoryTable {
    mutating func claim(_ request: ClaimRequest, at now: Timestamp) throws(StoreError) -> ClaimAnswer {
        guard let worker = workers[request.worker] else {
            throw StoreError(.notFound, "the worker \(request.worker) is not registered; register a fresh identity")
        }
        let promotesAll = promote(for: request, at: now)
        var cursors = request.queues.map { wanted in
            queues[wanted.name].map { cursor(over: $0, names: request.names, at: now) } ?? MemoryCursor(lanes: [])
        }
        var shares = QueueShares(order: request.order, queues: request.queues)
        var jobs: [ClaimedJob] = []
        while jobs.count < request.limit {
            let chosen = shares.next { head(of: &cursors[$0], at: now) != nil }
            guard let chosen, let row = head(of: &cursors[chosen], at: now) else { break }
            jobs.append(start(row, by: worker, at: now))
        }
        var hasMore = !promotesAll
        for index in cursors.indices where !hasMore {
            hasMore = head(of: &cursors[index], at: now) != nil || cursors[index].patience == 0
        }
        let nextDue = request.queues.compactMap { queues[$0.name]?.due.first()?.key }.min()
        return ClaimAnswer(
            jobs: jobs,
            nextDue: nextDue.map { Timestamp(microseconds: $0) },
            hasMore: hasMore,
            credits: shares.credits,
            at: now
        )
    }

    /// Makes due jobs ready, those of the worker's own queues first.
    /// - Returns: Whether none of those are left.
    private mutating func promote(for request: ClaimRequest, at now: Timestamp) -> Bool {
        var budget = max(request.promotionLimit, 1)
        let announced = effects.work
        defer { effects.resetWork(to: announced) }
        let own = request.queues.map(\.name)
        for name in own { promote(in: name, budget: &budget, at: now) }
        if budget == 0 {
            return own.allSatisfy { (queues[$0]?.due.first()?.key ?? .max) > now.microseconds }
        }
        let others = queues.values.filter { $0.due.live > 0 }.map(\.name).sorted()
        for name in others { promote(in: name, budget: &budget, at: now) }
        return true
    }

    private mutating func promote(in name: QueueName, budget: inout Int, at now: Timestamp) {
        guard let queue = queues[name] else { return }
        while budget > 0, let entry = queue.due.first(), entry.key <= now.microseconds {
            change(entry.row, at: now) { $0.promote(at: now) }
            budget -= 1
        }
    }

    /// The lanes of a queue with names and versions that are known and not paused.
    func cursor(over queue: MemoryQueue, names: [JobName: Int], at now: Timestamp) -> MemoryCursor {
        var cursor = MemoryCursor(lanes: [])
        for lane in queue.lanes.values where lane.order.live > 0 {
            guard let version = names[lane.key.name], lane.key.version <= version else { continue }
            if !isPaused(queue.name, lane.key.name, at: now) { cursor.lanes.append(lane) }
        }
        return cursor
    }

    func isPaused(_ queue: QueueName, _ name: JobName, at now: Timestamp) -> Bool {
        guard !pauses.isEmpty else { return false }
        return pauses.values.contains { $0.covers(queue: queue, name: name, at: now) }
    }

    /// The next row that may start, by rank over all lanes; late ones on the way become `expired`.
    mutating func head(of cursor: inout MemoryCursor, at now: Timestamp) -> MemoryRow? {
        while true {
            var best: MemoryOrder.Entry?
            for lane in cursor.lanes {
                guard let entry = lane.order.first() else { continue }
                if let earlier = best, earlier < entry { continue }
                best = entry
            }
            guard let row = best?.row else { return nil }
            guard row.record.isLate(at: now) else { return row }
            guard cursor.patience > 0 else { return nil }
            cursor.patience -= 1
            change(row, at: now) { $0.expire(at: now) }
        }
    }

    /// Starts a ready row under a new lease.
    mutating func start(_ row: MemoryRow, by worker: MemoryWorker, at now: Timestamp) -> ClaimedJob {
        let wait = now - row.record.runAt
        row.holder = worker
        let lease = change(row, at: now) { $0.claim(by: worker.registration.id, at: now) }
        row.tally.count(.started, at: now)
        row.tally.count(.wait, at: now, bucket: SeriesMetric.bucket(of: wait))
        return ClaimedJob(lease: lease, record: row.record)
    }

    mutating func beat(_ beat: Beat, at now: Timestamp) -> BeatAnswer {
        guard let worker = workers[beat.worker] else {
            return BeatAnswer(isKnown: false, lost: beat.held, at: now)
        }
        worker.lastSeen = now
        var answer = BeatAnswer(isKnown: true, at: now)
        var listed: Set<JobID> = []
        for lease in beat.held {
            guard let row = rows[lease.job], lease.worker == beat.worker, row.record.isHeld(by: lease) else {
                answer.lost.append(lease)
                continue
            }
            listed.insert(lease.job)
            if let request = row.record.cancelRequest { answer.cancels[lease.job] = request }
        }
        guard let accounted = beat.accountedThrough, worker.held.count > listed.count else { return answer }
        let orphans = worker.held.filter { row in
            !listed.contains(row.record.id)
                && row.record.startedAt.map { beat.accounts(for: $0, through: accounted, at: now) } == true
        }
        for row in orphans.sorted(by: { $0.sequence < $1.sequence }) {
            let settled = change(row, at: now) { $0.releaseUnlisted(at: now) }
            row.tally.count(.released, at: now)
            keep(settled, of: row, at: now)
            answer.released += 1
        }
        return answer
    }
}
