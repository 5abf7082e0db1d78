// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// How many jobs each queue of a claim gives, and in which order they start.
struct PostgresClaimPlan {
    private let request: ClaimRequest
    private var shares: QueueShares
    /// Which queue gives the next job, and what is carried over, as long as every queue gives what it promised.
    private let sequence: [Int]?
    private let after: QueueShares
    private let planned: [Int]
    private var jobs: [[(rank: Int64, place: Int64, job: ClaimedJob)]]

    /// - Parameter counts: How many jobs each queue could give, at least as far as the limit; `nil` for one queue, which
    ///   gives all.
    init(_ request: ClaimRequest, counts: [Int]?) {
        self.request = request
        shares = QueueShares(order: request.order, queues: request.queues)
        jobs = Array(repeating: [], count: request.queues.count)
        guard var counts, counts.count == request.queues.count else {
            planned = request.queues.map { min(max($0.slots, 0), max(request.limit, 0)) }
            sequence = nil
            after = shares
            return
        }
        var sequence: [Int] = []
        var planned = Array(repeating: 0, count: counts.count)
        var trial = shares
        while sequence.count < request.limit, let next = trial.next(available: { counts[$0] > 0 }) {
            sequence.append(next)
            counts[next] -= 1
            planned[next] += 1
        }
        self.sequence = sequence
        self.planned = planned
        after = trial
    }

    var isEmpty: Bool { jobs.allSatisfy(\.isEmpty) }

    /// Whether every queue gave what was planned.
    var isFull: Bool { zip(planned, jobs).allSatisfy { $0 <= $1.count } }

    /// What is still wanted of each queue.
    var quotas: [Int] { zip(planned, jobs).map { max($0 - $1.count, 0) } }

    mutating func add(_ job: ClaimedJob, place: Int64) {
        guard let queue = request.queues.firstIndex(where: { $0.name == job.record.queue }) else { return }
        jobs[queue].append((job.record.rank, place, job))
    }

    /// The jobs in the order in which they should start, and what the queues carry over.
    mutating func finish() -> (jobs: [ClaimedJob], credits: [QueueName: Int]) {
        for queue in jobs.indices { jobs[queue].sort { ($0.rank, $0.place) > ($1.rank, $1.place) } }
        var ordered: [ClaimedJob] = []
        let total = jobs.reduce(0) { $0 + $1.count }
        if let sequence, total == sequence.count {
            for queue in sequence {
                if let last = jobs[queue].popLast() { ordered.append(last.job) }
            }
            return (ordered, after.credits)
        }
        while let queue = shares.next(available: { !jobs[$0].isEmpty }), let last = jobs[queue].popLast() {
            ordered.append(last.job)
        }
        // Claimed beyond the slots cannot be; but nothing that is claimed may be left out.
        for queue in jobs.indices { ordered += jobs[queue].reversed().map(\.job) }
        return (ordered, shares.credits)
    }
}
