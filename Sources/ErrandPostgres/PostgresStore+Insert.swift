// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension PostgresStore {
    /// The most jobs and bytes of one statement.
    private static let chunkJobs = 5000
    private static let chunkBytes = 16 << 20

    public func insert(_ jobs: [NewJob], offer: ClaimOffer?) async throws -> [InsertAnswer] {
        guard !jobs.isEmpty else { return [] }
        let offer = offer.flatMap { $0.hasSlots ? $0 : nil }
        var answers = jobs.map { InsertAnswer.stored($0.id) }
        var plain: [Int] = []
        var keyed: [Int] = []
        for (index, job) in jobs.enumerated() {
            if let problem = PostgresInsert.problem(with: job) {
                answers[index] = .refused(StoreError(.invalid, problem))
            } else if job.unique == nil {
                plain.append(index)
            } else {
                keyed.append(index)
            }
        }
        try await makeLanes(for: jobs)
        // Places are those of the whole batch, although it is stored in parts.
        let base = keyed.isEmpty || plain.isEmpty ? nil : try await nextBatch()
        var claimed: [ClaimedJob] = []
        if let offer, keyed.isEmpty, plain.count <= Self.chunkJobs {
            claimed = try await insertPlain(plain.map { jobs[$0] }, offer: offer)
        } else {
            try await insertPlain(plain, of: jobs, base: base)
            // In a commit of their own: a key may be in the hands of a transaction that does not end.
            try await insertKeyed(keyed, of: jobs, base: base, into: &answers)
            if let offer { claimed = try await take(offer, answers, of: jobs) }
        }
        let places = claimed.isEmpty ? [:] : Dictionary(jobs.enumerated().map { ($1.id, $0) }) { first, _ in first }
        for job in claimed {
            if let index = places[job.lease.job] { answers[index] = .claimed(job) }
        }
        announce(jobs, answers)
        if offer != nil { raiseFloors() }
        return answers
    }

    /// Makes the lanes that are new, each in a commit of its own.
    func makeLanes(for jobs: [NewJob]) async throws { try await makeLanes(PostgresLanes.keys(of: jobs)) }

    func makeLanes(_ keys: Set<PostgresLanes.Key>) async throws {
        let missing = shared.lanes.unknown(of: keys)
        guard !missing.isEmpty else { return }
        let lanes = try await commit { link, shared in
            try missing.map { key in
                let values: [PostgresValue] = [
                    .text(key.queue.rawValue), .text(key.name.rawValue), .int(Int64(key.version)),
                ]
                let number = try link.query(shared.statements[PostgresQuery.laneOnItsOwn.rawValue], values).int64(0, 0)
                return PostgresLane(number: number, queue: key.queue, name: key.name, version: key.version)
            }
        }
        shared.lanes.remember(lanes)
    }

    private func nextBatch() async throws -> Int64 {
        try await look { session in try session.query(.nextBatch).int64(0, 0) }
    }

    /// Nobody has to be woken for work that already has its worker.
    private func announce(_ jobs: [NewJob], _ answers: [InsertAnswer]) {
        var effects = PostgresEffects()
        for (job, answer) in zip(jobs, answers) where job.unique == nil {
            if case .stored = answer { effects.work.insert(job.queue) }
        }
        publish(effects)
    }

    private func insertPlain(_ indices: [Int], of jobs: [NewJob], base: Int64?) async throws {
        var start = 0
        while start < indices.count {
            var end = start
            var bytes = 0
            while end < indices.count, end - start < Self.chunkJobs, bytes < Self.chunkBytes {
                bytes += jobs[indices[end]].payload.bytes.count
                end += 1
            }
            let chunk = indices[start..<end].map { jobs[$0] }
            let places = base.map { _ in indices[start..<end].map(Int64.init) }
            let moment = moment
            try await commit { link, shared in
                let insert = PostgresInsert(chunk, lanes: shared.lanes, base: base, places: places)
                try link.query(shared.statements[PostgresQuery.insert.rawValue], insert.values(at: moment))
            }
            start = end
        }
    }

    /// Stores jobs and gives the offered slots to them in one commit.
    private func insertPlain(_ jobs: [NewJob], offer: ClaimOffer) async throws -> [ClaimedJob] {
        guard !jobs.isEmpty else { return [] }
        let (moment, claims) = (moment, offer.values + shared.floors.values)
        return try await commit { link, shared in
            let insert = PostgresInsert(jobs, lanes: shared.lanes)
            let session = PostgresSession(link, shared, at: .epoch)
            let result = try session.query(.insertAndOffer, insert.values(at: moment) + claims)
            var claimed: [ClaimedJob] = []
            for row in 0..<result.count {
                switch try session.readJob(result, row) {
                case .success(let job):
                    claimed.append(job.claimed(by: offer.worker))
                    shared.floors.add([(job.lane, job.record.rank)])
                // The next beat gives it back.
                case .failure: shared.searches.isNeeded()
                }
            }
            return claimed
        }
    }

    private func take(_ offer: ClaimOffer, _ answers: [InsertAnswer], of jobs: [NewJob]) async throws -> [ClaimedJob] {
        let stored = zip(jobs, answers)
            .compactMap { job, answer -> JobID? in
                if case .stored(job.id) = answer { job.id } else { nil }
            }
        guard !stored.isEmpty else { return [] }
        // The jobs are stored: what goes wrong from here on only means that nobody claimed them yet.
        return (try? await write { session in try session.take(offer, stored) }) ?? []
    }

    /// Stores jobs with unique keys: all together, or each alone when a key is being written by a transaction that does
    /// not end.
    private func insertKeyed(
        _ indices: [Int],
        of jobs: [NewJob],
        base: Int64?,
        into answers: inout [InsertAnswer]
    ) async throws {
        guard !indices.isEmpty else { return }
        let items = indices.map { PostgresSession.Keyed(place: base == nil ? nil : Int64($0), job: jobs[$0]) }
        do {
            let found = try await store(items, base: base)
            for (index, answer) in zip(indices, found) { answers[index] = answer }
            return
        } catch let error as StoreError where error.isLockTimeout {}
        var busy: Set<String> = []
        for (index, item) in zip(indices, items) {
            guard let key = item.job.unique?.key, !busy.contains(key) else {
                answers[index] = .refused(.keyIsBusy)
                continue
            }
            do {
                if let answer = try await store([item], base: base).first { answers[index] = answer }
            } catch let error as StoreError where error.isLockTimeout {
                busy.insert(key)
                answers[index] = .refused(.keyIsBusy)
            }
        }
    }

    private func store(_ items: [PostgresSession.Keyed], base: Int64?) async throws -> [InsertAnswer] {
        try await write(lockTimeout: configuration.keyTimeout) { session in try session.insert(items, base: base) }
    }
}

extension StoreError {
    /// Whether another transaction held a lock for too long.
    var isLockTimeout: Bool { code == .unavailable && cause?.contains("[55P03]") == true }

    static let keyIsBusy = StoreError(
        .unavailable,
        "the unique key is being written by a transaction that is still open; try again when it has ended"
    )
}
