// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension MemoryStore {
    /// Stores jobs in this process; see ``/ErrandCore/JobStore/insert(_:offer:)``.
    ///
    /// Costs no more with many rows than with few.
    public func insert(_ jobs: [NewJob], offer: ClaimOffer?) async throws -> [InsertAnswer] {
        try act { table, now in table.insert(jobs, offer: offer, at: now) }
    }
}

extension MemoryTable {
    mutating func insert(_ jobs: [NewJob], offer: ClaimOffer?, at now: Timestamp) -> [InsertAnswer] {
        rows.reserveCapacity(rows.count + jobs.count)
        guard let offer, let worker = workers[offer.worker] else { return jobs.map { insert($0, at: now).answer } }
        var answers: [InsertAnswer] = []
        var stored: [JobID: Int] = [:]
        for job in jobs {
            let (answer, row) = insert(job, at: now)
            if row != nil { stored[job.id] = answers.count }
            answers.append(answer)
        }
        let earlier = effects.work
        let taken = claim(stored, offer: offer, worker: worker, at: now)
        for claimed in taken {
            if let index = stored[claimed.record.id] { answers[index] = .claimed(claimed) }
        }
        if taken.count == stored.count, stored.count == jobs.count {
            effects.resetWork()
        } else {
            effects.resetWork(to: earlier.union(effects.work))
        }
        return answers
    }

    /// Stores one job, unless its id or its unique key is there already.
    mutating func insert(_ job: NewJob, at now: Timestamp) -> (answer: InsertAnswer, row: MemoryRow?) {
        // The client that made the job has the limit of its payload; a store takes what it let pass.
        if let problem = job.problem(payloadLimit: .max) { return (.refused(StoreError(.invalid, problem)), nil) }
        if rows[job.id] != nil { return (.stored(job.id), nil) }
        // It is in another store by now, and this is a late repeat.
        if !moves.departures.isEmpty, moves.departures[job.id] != nil { return (.stored(job.id), nil) }
        if let rule = job.unique, let entry = currentKey(rule.key, at: now) {
            return collide(job, rule, with: entry, at: now)
        }
        let row = add(JobRecord(job, at: now), at: now)
        giveKey(to: row)
        return (.stored(job.id), row)
    }

    private mutating func collide(
        _ job: NewJob,
        _ rule: UniqueRule,
        with entry: MemoryKey,
        at now: Timestamp
    ) -> (InsertAnswer, MemoryRow?) {
        guard let holder = entry.row else {
            if rule.conflict == .throwError { return (.refused(taken(by: entry.holder, rule)), nil) }
            return (.duplicate(of: entry.holder, entry.lastState), nil)
        }
        if holder.record.isOverdue(at: now) {
            // It will not run: joined to it, the newcomer would not either.
            change(holder, at: now) { $0.expire(at: now) }
            return insert(job, at: now)
        }
        let followUp = entry.followUp
        let collision = change(holder, at: now) {
            $0.collide(with: job, at: now, hasFollowUp: followUp != nil)
        }
        switch collision {
        case .refused:
            return (.refused(taken(by: entry.holder, rule)), nil)
        case .existing:
            return (.duplicate(of: entry.holder, holder.record.state), nil)
        case .replaced:
            return (.replaced(entry.holder), nil)
        case .followUp:
            if let followUp {
                change(followUp, at: now) { $0.adopt([.payload, .labels], of: job, at: now) }
                return (.replaced(followUp.record.id), nil)
            }
            var record = JobRecord(job, at: now)
            record.waitForKey()
            let row = add(record, at: now)
            row.isFollowUp = true
            keys[rule.key]?.followUp = row
            return (.stored(job.id), nil)
        }
    }

    func taken(by holder: JobID, _ rule: UniqueRule) -> StoreError {
        StoreError(.conflict, "the unique key '\(rule.key)' is taken by job \(holder); wait for it or change the key")
    }

    /// Gives the offered slots to new jobs that nothing else is ready before.
    private mutating func claim(
        _ stored: [JobID: Int],
        offer: ClaimOffer,
        worker: MemoryWorker,
        at now: Timestamp
    ) -> [ClaimedJob] {
        var taken: [ClaimedJob] = []
        for name in offer.slots.keys.sorted() {
            guard var slots = offer.slots[name], let queue = queues[name] else { continue }
            // A due job that is not yet ready in name is ready in fact, and would be overtaken.
            if let due = queue.due.first(), due.key <= now.microseconds { continue }
            var cursor = cursor(over: queue, names: offer.names, at: now)
            while slots > 0, let row = head(of: &cursor, at: now), stored[row.record.id] != nil {
                taken.append(start(row, by: worker, at: now))
                slots -= 1
            }
        }
        return taken
    }
}
