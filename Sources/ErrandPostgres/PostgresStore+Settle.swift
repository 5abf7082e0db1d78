// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension PostgresStore {
    public func settle(_ settlements: [Settlement]) async throws -> [SettleAnswer] {
        guard !settlements.isEmpty else { return [] }
        var answers: [SettleAnswer?] = Array(repeating: nil, count: settlements.count)
        let simple = settlements.indices.filter { settlements[$0].isSimple }
        if !simple.isEmpty {
            let missed = try await succeed(simple.map { settlements[$0] })
            var finished: [JobID] = []
            for index in simple where !missed.contains(settlements[index].lease.job) {
                answers[index] = .applied(.succeeded)
                finished.append(settlements[index].lease.job)
            }
            var effects = PostgresEffects()
            effects.finished = finished
            publish(effects)
        }
        let rest = settlements.indices.filter { answers[$0] == nil }
        if !rest.isEmpty {
            let chosen = rest.map { settlements[$0] }
            try await makeLanes(for: chosen.flatMap(\.followUps))
            let found = try await write { session in try session.settle(chosen) }
            for (index, answer) in zip(rest, found) { answers[index] = answer }
        }
        return answers.map { $0 ?? .leaseLost }
    }

    /// Ends successes on which nothing has to be decided; answers with the jobs that are to be decided after all.
    private func succeed(_ settlements: [Settlement]) async throws -> Set<JobID> {
        let results = settlements.compactMap { settlement -> (JobID, Payload)? in
            guard case .succeeded(let result?) = settlement.outcome else { return nil }
            return (settlement.lease.job, result)
        }
        var values: [PostgresValue] = [
            moment, .uuids(settlements.map(\.lease.job)), .ints(settlements.map(\.lease.epoch)),
            .uuids(settlements.map { JobID(bytes: $0.lease.worker.bytes) }),
        ]
        if results.isEmpty {
            values += [.uuids(nil), .ints(nil), .texts(nil), .blobs(nil)]
        } else {
            values += [
                .uuids(results.map(\.0)), .ints(results.map { Int64($0.1.version) }),
                .texts(results.map { $0.1.format.stored }), .blobs(results.map(\.1.bytes)),
            ]
        }
        return try await commit { [values] link, shared in
            let result = try link.query(shared.statements[PostgresQuery.succeed.rawValue], values)
            return Set((0..<result.count).compactMap { result.isNull($0, 1) ? nil : result.id($0, 1) })
        }
    }

    public func note(_ notes: [LeaseNote]) async throws -> [Bool] {
        guard !notes.isEmpty else { return [] }
        return try await write { session in
            let locked = try session.lock(notes.map(\.lease.job))
            return try notes.map { note in
                guard case .success(let job) = locked[note.lease.job], job.record.isHeld(by: note.lease) else {
                    return false
                }
                try session.keep(note)
                return true
            }
        }
    }
}

extension Settlement {
    /// Whether `succeed_1` can end it when the row allows it.
    fileprivate var isSimple: Bool {
        guard case .succeeded = outcome else { return false }
        return followUps.isEmpty
    }
}

extension PostgresSession {
    /// Ends attempts one by one, each with its follow-ups or not at all.
    func settle(_ settlements: [Settlement]) throws -> [SettleAnswer] {
        var locked = try lock(settlements.map(\.lease.job))
        return try settlements.map { settlement in
            let id = settlement.lease.job
            if settlement.followUps.isEmpty { return try end(settlement, &locked[id]) }
            let before = (effects, locked[id])
            try link.run("SAVEPOINT errand_item")
            var answer = try end(settlement, &locked[id])
            if case .applied = answer, let error = try store(settlement.followUps) {
                try link.run("ROLLBACK TO errand_item")
                (effects, locked[id]) = before
                answer = .refused(error)
            }
            try link.run("RELEASE errand_item")
            return answer
        }
    }

    /// Stores follow-ups.
    /// - Returns: Why one of them was refused.
    private func store(_ jobs: [NewJob]) throws -> StoreError? {
        for case .refused(let error) in try insert(jobs) { return error }
        return nil
    }

    /// Stores jobs in this transaction, with and without unique keys.
    func insert(_ jobs: [NewJob]) throws -> [InsertAnswer] {
        var answers: [InsertAnswer] = jobs.map { .stored($0.id) }
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
        let base = try keyed.isEmpty || plain.isEmpty ? nil : query(.nextBatch).int64(0, 0)
        if !plain.isEmpty {
            let chosen = plain.map { jobs[$0] }
            let insert = PostgresInsert(
                chosen,
                lanes: try chosen.map { try lane(of: $0.laneKey) },
                base: base,
                places: base == nil ? nil : plain.map(Int64.init),
                isWaiting: false
            )
            try query(.insert, insert.values(at: .int(now.microseconds)))
            effects.work.formUnion(chosen.map(\.queue))
        }
        if !keyed.isEmpty {
            let items = keyed.map { Keyed(place: base == nil ? nil : Int64($0), job: jobs[$0]) }
            for (index, answer) in zip(keyed, try insert(items, base: base)) { answers[index] = answer }
        }
        return answers
    }

    private func end(_ settlement: Settlement, _ locked: inout Locked?) throws -> SettleAnswer {
        switch locked {
        case .failure(let error): return .refused(error)
        case nil: return .leaseLost
        case .success(var job):
            guard job.record.isHeld(by: settlement.lease) else { return .leaseLost }
            try settle(&job, settlement.outcome)
            locked = .success(job)
            return .applied(job.record.state)
        }
    }

    /// Ends the attempt of a running row.
    func settle(_ job: inout PostgresRow, _ outcome: Outcome) throws {
        let ran = job.record.startedAt.map { now - $0 } ?? .zero
        let settled = try change(&job) { $0.settle(outcome, at: now) }
        effects.count(.run, lane: job.lane, bucket: SeriesMetric.bucket(of: ran), at: now)
        // The state's own metric was counted by the change, as for every other way to become final.
        for metric in SeriesMetric.counted(by: outcome, leaving: .running) {
            effects.count(metric, lane: job.lane, at: now)
        }
        try keep(settled, of: job)
    }

    /// Keeps what an attempt leaves behind besides the record.
    func keep(_ settled: JobRecord.Settled, of job: PostgresRow) throws {
        let id = job.record.id
        if let attempt = settled.attempt {
            try query(
                .putAttempt,
                [
                    .uuid(id), .int(attempt.epoch), .int(Int64(attempt.run)), .int(Int64(attempt.number)),
                    .uuid(JobID(bytes: attempt.worker.bytes)), .int(attempt.startedAt.microseconds),
                    .int(attempt.endedAt.microseconds), .text(attempt.ending.rawValue), .text(attempt.error?.stored),
                ]
            )
            if job.record.epoch > Int64(Attempt.kept) {
                try query(.trimAttempts, [.uuid(id), .int(Int64(Attempt.kept))])
            }
        }
        let until = now + job.record.resultTTL
        if let result = settled.result, job.record.state == .succeeded, until > now {
            try query(
                .putResult,
                [
                    .uuid(id), .int(until.microseconds), .int(Int64(result.version)), .text(result.format.stored),
                    .bytes(result.bytes),
                ]
            )
        }
    }

    func keep(_ note: LeaseNote) throws {
        let id = note.lease.job
        if let (fraction, message) = note.progress {
            let progress = JobProgress(fraction: fraction, message: message, at: now)
            try query(.setProgress, [.uuid(id), .text(progress.stored)])
        }
        let lines = note.lines.suffix(LogLine.kept)
        if !lines.isEmpty {
            try query(
                .putLines,
                [
                    .uuid(id), .ints(lines.map(\.at.microseconds)), .blobs(lines.map { Array($0.level.utf8) }),
                    .blobs(lines.map { Array($0.message.utf8) }),
                ]
            )
            try query(.trimLog, [.uuid(id), .int(Int64(LogLine.kept))])
        }
        for (name, value) in note.checkpoints {
            try query(
                .putCheckpoint,
                [
                    .uuid(id), .bytes(Array(name.utf8)), .int(Int64(value.version)), .text(value.format.stored),
                    .bytes(value.bytes),
                ]
            )
        }
    }
}

extension String {
    /// Without NUL, which PostgreSQL's texts cannot hold and which is shown as `␀`, as in errors.
    var storable: String { utf8.contains(0) ? String(map { $0 == "\0" ? "␀" : $0 }) : self }
}
