// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension SQLiteStore {
    public func insert(_ jobs: [NewJob], offer: ClaimOffer?) async throws -> [InsertAnswer] {
        guard !jobs.isEmpty else { return [] }
        return try await write(rows: jobs.count) { session, now in try session.insert(jobs, offer: offer, at: now) }
    }
}

extension SQLiteSession {
    /// Nothing larger fits a row; the client's own limit is far below.
    private static let largestPayload = 512 << 20

    func insert(_ jobs: [NewJob], offer: ClaimOffer?, at now: Timestamp) throws -> [InsertAnswer] {
        var answers: [InsertAnswer] = []
        answers.reserveCapacity(jobs.count)
        let hasMoves = try hasDepartures()
        guard let offer, let worker = try liveWorker(offer.worker) else {
            for job in jobs { answers.append(try insert(job, hasMoves: hasMoves, at: now).answer) }
            return answers
        }
        let earlier = effects.work
        var stored: [Int64: Int] = [:]
        for job in jobs {
            let (answer, row) = try insert(job, hasMoves: hasMoves, at: now)
            if let row { stored[row] = answers.count }
            answers.append(answer)
        }
        let taken = try claim(stored, offer: offer, worker: worker, at: now)
        for claimed in taken {
            if let index = stored[claimed.lease.row] { answers[index] = .claimed(claimed) }
        }
        // Nobody has to be woken for work that already has its worker.
        if taken.count == stored.count, stored.count == jobs.count { effects.work = earlier }
        return answers
    }

    /// Stores one job, unless its id or its unique key is there already.
    private func insert(
        _ job: NewJob,
        hasMoves: Bool,
        at now: Timestamp
    ) throws -> (answer: InsertAnswer, row: Int64?) {
        // The client that made the job has the limit of its payload; a store takes what it let pass.
        if let problem = job.problem(payloadLimit: Self.largestPayload) {
            return (.refused(StoreError(.invalid, problem)), nil)
        }
        // It is in another store by now, and this is a late repeat.
        if hasMoves, try hasDeparted(job.id) { return (.stored(job.id), nil) }
        if let rule = job.unique {
            if try row(of: job.id) != nil { return (.stored(job.id), nil) }
            if let entry = try currentKey(rule.key, at: now) { return try collide(job, rule, with: entry, at: now) }
        }
        let runAt = job.start.instant(from: now)
        let state: JobState = runAt > now ? .scheduled : .ready
        guard let row = try add(job, state: state, runAt: runAt, at: now) else { return (.stored(job.id), nil) }
        if let rule = job.unique { try giveKey(rule, to: job.id, storedAt: now, state) }
        return (.stored(job.id), row)
    }

    private func collide(
        _ job: NewJob,
        _ rule: UniqueRule,
        with entry: SQLiteKey,
        at now: Timestamp
    ) throws -> (InsertAnswer, Int64?) {
        let found: SQLiteRow?
        do {
            found = try row(of: entry.holder).flatMap { try self.job(row: $0, withPayload: true) }
        } catch let error as StoreError where error.code == .corrupt {
            return (.refused(error), nil)
        }
        guard var holder = found else {
            if rule.conflict == .throwError { return (.refused(taken(by: entry.holder, rule)), nil) }
            return (.duplicate(of: entry.holder, entry.lastState), nil)
        }
        if holder.record.isOverdue(at: now) {
            // It will not run: joined to it, the newcomer would not either.
            try change(&holder, at: now) { $0.expire(at: now) }
            return try insert(job, hasMoves: false, at: now)
        }
        let collision = try change(&holder, at: now) {
            $0.collide(with: job, at: now, hasFollowUp: entry.followUp != nil)
        }
        switch collision {
        case .refused:
            return (.refused(taken(by: entry.holder, rule)), nil)
        case .existing:
            return (.duplicate(of: entry.holder, holder.record.state), nil)
        case .replaced:
            return (.replaced(entry.holder), nil)
        case .followUp:
            if let id = entry.followUp, let row = try self.row(of: id),
                var followUp = try jobOrHold(row: row, withPayload: true, at: now)
            {
                try change(&followUp, at: now) { $0.adopt([.payload, .labels], of: job, at: now) }
                return (.replaced(id), nil)
            }
            guard let row = try add(job, state: .waiting, runAt: job.start.instant(from: now), at: now) else {
                return (.stored(job.id), nil)
            }
            try setFollowUp(job.id, of: rule.key)
            return (.stored(job.id), row)
        }
    }

    private func taken(by holder: JobID, _ rule: UniqueRule) -> StoreError {
        StoreError(.conflict, "the unique key '\(rule.key)' is taken by job \(holder); wait for it or change the key")
    }

    /// Gives the offered slots to new jobs that nothing else is ready before.
    private func claim(
        _ stored: [Int64: Int],
        offer: ClaimOffer,
        worker: Int64,
        at now: Timestamp
    ) throws -> [ClaimedJob] {
        guard !stored.isEmpty else { return [] }
        let pauses = try pauses(at: now)
        let due = try dueLanes()
        var taken: [ClaimedJob] = []
        for queue in offer.slots.keys.sorted() {
            guard var slots = offer.slots[queue] else { continue }
            let lanes = try allLanes().values
            // A due job that is not yet ready in name is ready in fact, and would be overtaken.
            if lanes.contains(where: { $0.queue == queue && due[$0.number].map { $0 <= now } == true }) { continue }
            var cursor = ClaimCursor(
                lanes: runnable(lanes, of: queue, names: offer.names, pauses: pauses, at: now),
                chunk: min(slots, stored.count)
            )
            while slots > 0, try findHead(of: &cursor, at: now), let head = cursor.head.take(), stored[head.row] != nil
            {
                taken.append(try start(head, by: offer.worker, number: worker, at: now))
                slots -= 1
            }
        }
        try write(startsOf: taken, by: worker, at: now)
        return taken
    }
}
