// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension PostgresStore {
    /// How often a claim goes back because what it met was late.
    private static let mostRounds = 20

    public func claim(_ request: ClaimRequest) async throws -> ClaimAnswer {
        var plan = PostgresClaimPlan(request, counts: try await peek(request))
        var answer = ClaimAnswer(jobs: [], nextDue: nil, hasMore: false, at: .epoch)
        for round in 0..<Self.mostRounds {
            let claimed: PostgresClaimRound
            do {
                claimed = try await claim(request, quotas: plan.quotas)
            } catch  where !plan.isEmpty {
                // What was claimed before must reach its worker; the trouble will be there for the next call.
                answer.hasMore = true
                break
            }
            (answer.at, answer.nextDue, answer.hasMore) = (claimed.at, claimed.nextDue, claimed.hasMore)
            for row in claimed.jobs { plan.add(row.0, place: row.1) }
            guard !claimed.undecided.isEmpty else { break }
            let worker = request.worker
            // Not claimed yet: what goes wrong here leaves them for the next call.
            let started = try? await write { session in try session.startOrExpire(claimed.undecided, worker) }
            for row in started ?? [] { plan.add(row.0, place: row.1) }
            if started == nil || plan.isFull || round == Self.mostRounds - 1 {
                answer.hasMore = answer.hasMore || started == nil || !plan.isFull
                break
            }
        }
        raiseFloors()
        (answer.jobs, answer.credits) = plan.finish()
        return answer
    }

    /// What each queue could give; nobody has to know when there is only one.
    private func peek(_ request: ClaimRequest) async throws -> [Int]? {
        guard request.queues.count > 1 else { return nil }
        let limits = request.queues.map { Int64(min(max($0.slots, 0), max(request.limit, 0))) }
        let values: [PostgresValue] =
            [moment, .texts(request.queues.map(\.name.rawValue)), .ints(limits)] + request.known
            + [.int(Int64(max(request.promotionLimit, 1)))]
        return try await commit { link, shared in
            let result = try link.query(shared.statements[PostgresQuery.peek.rawValue], values + shared.floors.values)
            return (0..<result.count).map { result.int($0, 0) }
        }
    }

    private func claim(_ request: ClaimRequest, quotas: [Int]) async throws -> PostgresClaimRound {
        let values: [PostgresValue] =
            [
                moment, .uuid(JobID(bytes: request.worker.bytes)), .texts(request.queues.map(\.name.rawValue)),
                .ints(quotas.map(Int64.init)),
            ] + request.known + [.int(Int64(max(request.promotionLimit, 1)))]
        return try await commit { link, shared in
            let session = PostgresSession(link, shared, at: .epoch)
            let result = try session.query(.claim, values + shared.floors.values)
            var round = PostgresClaimRound()
            var places: [(lane: Int64, rank: Int64)] = []
            for row in 0..<result.count {
                switch result.int(row, 0) {
                case 1:
                    switch try session.readJob(result, row, from: 4) {
                    case .success(let job):
                        round.jobs.append((job.claimed(by: request.worker), job.place))
                        places.append((job.lane, job.record.rank))
                    case .failure(let error):
                        // It runs now, for a worker that does not know: the next beat gives it back, and it is held.
                        shared.searches.isNeeded()
                        shared.unreadable.note(result.id(row, 4).map { "job \($0)" } ?? "a row", error.message)
                    }
                case 2: if let id = result.id(row, 4) { round.undecided.append(id) }
                case 0:
                    round.at = result.instant(row, 1)
                    round.nextDue = result.optionalInstant(row, 2)
                    round.hasMore = result.bool(row, 3)
                default:
                    throw StoreError(
                        .notFound,
                        "the worker \(request.worker) is not registered; register a fresh identity"
                    )
                }
            }
            shared.floors.add(places)
            return round
        }
    }
}

/// What one call of `claim_1` gave.
struct PostgresClaimRound: Sendable {
    var jobs: [(ClaimedJob, Int64)] = []
    /// Ready jobs on whose way to running something has to be decided.
    var undecided: [JobID] = []
    var nextDue: Timestamp?
    var hasMore = false
    var at = Timestamp.epoch
}

extension ClaimRequest {
    /// The names and versions as a function takes them.
    var known: [PostgresValue] { names.known }
}

extension ClaimOffer {
    var hasSlots: Bool { slots.contains { $0.value > 0 } }

    /// The worker, what it offers and what it knows, as a function takes them.
    var values: [PostgresValue] {
        let free = slots.filter { $0.value > 0 }.sorted { $0.key < $1.key }
        return [
            .uuid(JobID(bytes: worker.bytes)), .texts(free.map(\.key.rawValue)), .ints(free.map { Int64($0.value) }),
        ] + names.known
    }
}

extension [JobName: Int] {
    var known: [PostgresValue] {
        let sorted = sorted { $0.key < $1.key }
        return [.texts(sorted.map(\.key.rawValue)), .ints(sorted.map { Int64($0.value) })]
    }
}

extension PostgresRow {
    /// The job as its worker gets it, read back after its claim.
    func claimed(by worker: WorkerID) -> ClaimedJob {
        ClaimedJob(lease: Lease(job: record.id, worker: worker, epoch: record.epoch), record: record)
    }
}

extension PostgresSession {
    /// Gives offered slots to jobs that were just stored.
    func take(_ offer: ClaimOffer, _ ids: [JobID]) throws -> [ClaimedJob] {
        guard offer.hasSlots else { return [] }
        let values = [.int(now.microseconds)] + offer.values + [.uuids(ids)] + shared.floors.values
        let result = try query(.offer, values)
        let jobs: [PostgresRow] = try (0..<result.count)
            .map { row in
                let job = try readJob(result, row).get()
                if job.record.unique != nil { try updateKey(of: job.record, was: .ready) }
                return job
            }
        shared.floors.add(jobs.map { ($0.lane, $0.record.rank) })
        return jobs.map { $0.claimed(by: offer.worker) }
    }

    /// Claims ready jobs that free a unique key when they start, and expires those that are late.
    /// - Returns: The claimed ones, with their places.
    func startOrExpire(_ ids: [JobID], _ worker: WorkerID) throws -> [(ClaimedJob, Int64)] {
        var started: [(ClaimedJob, Int64)] = []
        var hasLate = false
        for var job in try lockOrHold(ids, passing: true, withPayload: true) {
            guard job.record.state == .ready, job.record.hold == nil else { continue }
            if job.record.isLate(at: now) {
                try change(&job) { $0.expire(at: now) }
                hasLate = true
                continue
            }
            let waited = now - job.record.runAt
            let lease = try change(&job) { $0.claim(by: worker, at: now) }
            effects.count(.started, lane: job.lane, at: now)
            effects.count(.wait, lane: job.lane, bucket: SeriesMetric.bucket(of: waited), at: now)
            started.append((ClaimedJob(lease: lease, record: job.record), job.place))
        }
        // Late jobs come in crowds: the others of the crowd would stop the next claims one by one.
        if hasLate { try expireLate(limit: Self.bite) }
        return started
    }
}
