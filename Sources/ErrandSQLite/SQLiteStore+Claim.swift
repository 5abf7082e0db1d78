// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension SQLiteStore {
    public func claim(_ request: ClaimRequest) async throws -> ClaimAnswer {
        try await write(rows: request.limit) { session, now in try session.claim(request, at: now) }
    }
}

/// The heads of the lanes of one queue that a worker can run.
///
/// Of several lanes only the places in the index are read ahead, and a row when it is the next of its queue: nobody knows
/// how many of each will be taken. A lane that is alone is read with its rows.
struct ClaimCursor {
    /// A ready row.
    struct Place {
        let rank: Int64
        let row: Int64
        var job: SQLiteRow?
    }

    struct Lane {
        let number: Int64
        var ahead: [Place] = []
        /// The index of the next one.
        var next = 0
        var last: (rank: Int64, row: Int64) = (.min, .min)
        var isEmpty = false
    }

    var lanes: [Lane]
    /// How many places of a lane are read at once.
    let chunk: Int
    /// The next row, verified, and taken from its lane.
    var head: SQLiteRow?
    /// How many late jobs may still be expired on the way, or held because they cannot be read.
    var patience = 1000

    /// Rows are large: no more than this many wait in memory for their turn.
    private static let mostRows = 64

    init(lanes: [Int64], chunk: Int) {
        self.lanes = lanes.map { Lane(number: $0) }
        self.chunk = lanes.count == 1 ? min(max(chunk, 1), Self.mostRows) : max(chunk, 1)
    }

}

extension SQLiteSession {
    func claim(_ request: ClaimRequest, at now: Timestamp) throws -> ClaimAnswer {
        guard let worker = try liveWorker(request.worker) else {
            throw StoreError(.notFound, "the worker \(request.worker) is not registered; register a fresh identity")
        }
        let lanes = try allLanes()
        let own = Set(request.queues.map(\.name))
        let (nextDue, promotesAll) = try promote(for: own, lanes: lanes, limit: request.promotionLimit, at: now)
        let pauses = try pauses(at: now)
        var shares = QueueShares(order: request.order, queues: request.queues)
        var cursors = request.queues.map { queue in
            let runnable = runnable(lanes.values, of: queue.name, names: request.names, pauses: pauses, at: now)
            let chunk = min(request.limit, queue.slots) / max(runnable.count, 1) + 1
            return ClaimCursor(lanes: runnable, chunk: chunk)
        }
        var jobs: [ClaimedJob] = []
        var isAvailable = try cursors.indices.map { try findHead(of: &cursors[$0], at: now) }
        while jobs.count < request.limit, let chosen = shares.next(available: { isAvailable[$0] }),
            let job = cursors[chosen].head.take()
        {
            jobs.append(try start(job, by: request.worker, number: worker, at: now))
            isAvailable[chosen] = try findHead(of: &cursors[chosen], at: now)
        }
        try write(startsOf: jobs, by: worker, at: now)
        let hasMore = !promotesAll || isAvailable.contains(true) || cursors.contains { $0.patience == 0 }
        return ClaimAnswer(jobs: jobs, nextDue: nextDue, hasMore: hasMore, credits: shares.credits, at: now)
    }

    /// The number of a worker that is registered and was not declared dead.
    func liveWorker(_ id: WorkerID) throws -> Int64? {
        guard let number = try number(of: id) else { return nil }
        let find = try command(.liveWorker)
        find.bind(1, number)
        return try find.first { $0.int64(0) }
    }

    /// The lanes of a queue with names and versions that are known and not paused.
    func runnable(
        _ lanes: some Sequence<Lane>,
        of queue: QueueName,
        names: [JobName: Int],
        pauses: [Pause],
        at now: Timestamp
    ) -> [Int64] {
        lanes.filter { lane in
            guard lane.queue == queue, let version = names[lane.name], lane.version <= version else { return false }
            return !pauses.contains { $0.covers(queue: queue, name: lane.name, at: now) }
        }
        .map(\.number)
    }

    /// Reads the next row that may start, by rank over all lanes; late ones on the way become `expired`.
    /// - Returns: Whether there is one.
    func findHead(of cursor: inout ClaimCursor, at now: Timestamp) throws -> Bool {
        if cursor.head != nil { return true }
        while cursor.patience > 0 {
            var best: (rank: Int64, row: Int64, lane: Int)?
            for index in cursor.lanes.indices {
                var next = cursor.lanes[index].next
                if next == cursor.lanes[index].ahead.count {
                    try readAhead(&cursor.lanes[index], cursor.chunk, withJobs: cursor.lanes.count == 1)
                    next = 0
                }
                guard next < cursor.lanes[index].ahead.count else { continue }
                let (rank, row) = (cursor.lanes[index].ahead[next].rank, cursor.lanes[index].ahead[next].row)
                if let earlier = best, (earlier.rank, earlier.row) < (rank, row) { continue }
                best = (rank, row, index)
            }
            guard let best else { return false }
            let read = cursor.lanes[best.lane].ahead[cursor.lanes[best.lane].next].job.take()
            cursor.lanes[best.lane].next += 1
            guard var job = try read ?? jobOrHold(row: best.row, withPayload: true, at: now) else {
                cursor.patience -= 1
                continue
            }
            guard job.record.isLate(at: now) else {
                cursor.head = job
                return true
            }
            cursor.patience -= 1
            try change(&job, at: now) { $0.expire(at: now) }
        }
        return false
    }

    private func readAhead(_ lane: inout ClaimCursor.Lane, _ count: Int, withJobs: Bool) throws {
        lane.ahead.removeAll(keepingCapacity: true)
        lane.next = 0
        guard !lane.isEmpty else { return }
        let find = try command(withJobs ? .readyJobsAfter : .readyAfter)
        find.bind(1, lane.number)
        find.bind(2, lane.last.rank)
        find.bind(3, lane.last.row)
        find.bind(4, count)
        if withJobs {
            // One that cannot be read now cannot be read alone either, and then it is held.
            try find.walk { lane.ahead.append(.init(rank: $0.int64(4), row: $0.int64(0), job: try? readJob($0))) }
        } else {
            try find.walk { lane.ahead.append(.init(rank: $0.int64(0), row: $0.int64(1))) }
        }
        lane.isEmpty = lane.ahead.count < count
        guard let end = lane.ahead.indices.last else { return }
        lane.last = (lane.ahead[end].rank, lane.ahead[end].row)
    }

    /// Starts a ready row under a new lease, except for its state, which ``write(startsOf:by:at:)`` writes.
    func start(_ ready: consuming SQLiteRow, by worker: WorkerID, number: Int64, at now: Timestamp) throws -> ClaimedJob
    {
        var job = ready
        let lease = job.record.claim(by: worker, at: now, row: job.row)
        if job.record.startBy != nil || job.record.deadline != nil { try run(.startedRow, of: job.row) }
        effects.tally(lane: job.lane, .ready, -1)
        effects.tally(lane: job.lane, .running, 1)
        effects.count(.started, lane: job.lane, at: now)
        effects.count(.wait, lane: job.lane, bucket: SeriesMetric.bucket(of: now - job.record.runAt), at: now)
        if job.record.unique != nil {
            try updateKey(of: job.record, was: .ready, at: now)
        } else if lease.epoch == 1 {
            let facts = Held(
                job: lease.job,
                worker: number,
                lane: job.lane,
                startedAt: now,
                resultTTL: job.record.resultTTL
            )
            hold(job.row, facts)
        }
        return ClaimedJob(lease: lease, record: job.record)
    }

    /// Makes all rows that were started in a call running, in one statement: it takes half as long as one for each.
    func write(startsOf jobs: [ClaimedJob], by worker: Int64, at now: Timestamp) throws {
        guard !jobs.isEmpty else { return }
        let claim = try command(.claimRows)
        claim.bind(1, FlatJSON.text(jobs.map(\.lease.row)))
        claim.bind(2, worker)
        claim.bind(3, now.microseconds)
        let count = try claim.run()
        guard count == jobs.count else {
            throw StoreError(.corrupt, "\(jobs.count - count) rows are not ready although their index says so")
        }
    }

    /// When the next job of each lane is due; lanes without one are missing.
    ///
    /// One look per lane that has some.
    func dueLanes() throws -> [Int64: Timestamp] {
        var due: [Int64: Timestamp] = [:]
        var last: Int64 = .min
        while true {
            let find = try command(.dueAfterLane)
            find.bind(1, last)
            guard let next = try find.first({ ($0.int64(0), Timestamp(microseconds: $0.int64(1))) }) else { return due }
            due[next.0] = next.1
            last = next.0
        }
    }

    /// Makes due jobs ready, those of the worker's own queues first.
    /// - Returns: When the next one of those queues is due, and whether none of them was left for the next claim.
    private func promote(
        for own: Set<QueueName>,
        lanes: [Int64: Lane],
        limit: Int,
        at now: Timestamp
    ) throws -> (nextDue: Timestamp?, isDone: Bool) {
        var due = try dueLanes()
        let isOwn = { (lane: Int64) in lanes[lane].map { own.contains($0.queue) } ?? false }
        if due.values.contains(where: { $0 <= now }) {
            // Nobody has to be woken by a claim that is under way.
            let announced = effects.work
            var budget = max(limit, 1)
            let ripe = due.filter { $0.value <= now }.map(\.key)
            for lane in ripe.filter(isOwn).sorted() + ripe.filter({ !isOwn($0) }).sorted() where budget > 0 {
                budget -= try promote(lane: lane, limit: budget, at: now)
            }
            effects.work = announced
            due = try dueLanes()
        }
        let next = due.filter { isOwn($0.key) }.values.min()
        return (next, next.map { $0 > now } ?? true)
    }

    private func promote(lane: Int64, limit: Int, at now: Timestamp) throws -> Int {
        let find = try command(.dueRows)
        find.bind(1, lane)
        find.bind(2, now.microseconds)
        find.bind(3, limit)
        let rows = try find.all { row in
            (row: row.int64(0), state: row.int(1), runAt: Timestamp(microseconds: row.int64(2)), level: row.int(3))
        }
        for row in rows {
            let promote = try command(.promoteRow)
            promote.bind(1, row.row)
            promote.bind(2, JobPriority(row.level).rank(readyAt: row.runAt))
            guard try promote.run() == 1, let state = JobState(rawValue: row.state) else { continue }
            effects.tally(lane: lane, state, -1)
            effects.tally(lane: lane, .ready, 1)
        }
        return rows.count
    }
}
