// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension SQLiteStore {
    public func settle(_ settlements: [Settlement]) async throws -> [SettleAnswer] {
        guard !settlements.isEmpty else { return [] }
        return try await write(rows: settlements.count) { session, now in
            let succeeded = try session.succeed(settlements, at: now)
            return try settlements.indices.map { index in
                succeeded.contains(index) ? .applied(.succeeded) : try session.settle(settlements[index], at: now)
            }
        }
    }

    public func note(_ notes: [LeaseNote]) async throws -> [Bool] {
        guard !notes.isEmpty else { return [] }
        return try await write(rows: notes.count) { session, now in try notes.map { try session.note($0, at: now) } }
    }
}

extension SQLiteSession {
    /// Ends one attempt and stores its follow-ups, both or neither.
    func settle(_ settlement: Settlement, at now: Timestamp) throws -> SettleAnswer {
        if settlement.followUps.isEmpty { return try end(settlement, at: now) }
        let before = effects
        try command(.itemSavepoint).run()
        var answer = try end(settlement, at: now)
        if case .applied = answer {
            for case .refused(let error) in try insert(settlement.followUps, offer: nil, at: now) {
                try command(.rollbackToItem).run()
                effects = before
                forget()
                answer = .refused(error)
                break
            }
        }
        try command(.releaseItem).run()
        return answer
    }

    private func end(_ settlement: Settlement, at now: Timestamp) throws -> SettleAnswer {
        let found: SQLiteRow?
        do {
            found = try heldJob(settlement.lease)
        } catch let error as StoreError where error.code == .corrupt {
            return .refused(error)
        }
        guard var job = found else { return .leaseLost }
        try settle(&job, settlement.outcome, at: now)
        return .applied(job.record.state)
    }

    /// The job that this lease holds; `nil` when the lease is old.
    func heldJob(_ lease: Lease) throws -> SQLiteRow? {
        // A lease of another store, or one that was written down, has no row.
        guard let job = try job(row: lease.row).flatMap({ $0.record.id == lease.job ? $0 : nil }) ?? job(lease.job),
            job.record.isHeld(by: lease)
        else { return nil }
        return job
    }

    /// Ends the attempt of a running row.
    func settle(_ job: inout SQLiteRow, _ outcome: Outcome, at now: Timestamp) throws {
        let ran = job.record.startedAt.map { now - $0 } ?? .zero
        let settled = try change(&job, at: now) { $0.settle(outcome, at: now) }
        effects.count(.run, lane: job.lane, bucket: SeriesMetric.bucket(of: ran), at: now)
        // The state's own metric was counted by the change, as for every other way to become final.
        for metric in SeriesMetric.counted(by: outcome, leaving: .running) {
            effects.count(metric, lane: job.lane, at: now)
        }
        try keep(settled, of: job, at: now)
    }

    /// Keeps what an attempt leaves behind besides the record.
    func keep(_ settled: JobRecord.Settled, of job: SQLiteRow, at now: Timestamp) throws {
        if let attempt = settled.attempt {
            try put(attempt, row: job.row)
            if job.record.epoch > Int64(Attempt.kept) {
                let trim = try command(.trimAttempts)
                trim.bind(1, job.row)
                trim.bind(2, Attempt.kept)
                try trim.run()
            }
        }
        if let result = settled.result, job.record.state == .succeeded {
            try put(result, row: job.row, until: now + job.record.resultTTL, at: now)
        }
    }

    func put(_ attempt: Attempt, row: Int64) throws {
        let put = try command(.putAttempt)
        put.bind(1, row)
        put.bind(2, attempt.epoch)
        put.bind(3, attempt.run)
        put.bind(4, attempt.number)
        put.bind(5, try addNumber(of: attempt.worker))
        put.bind(6, attempt.startedAt.microseconds)
        put.bind(7, attempt.endedAt.microseconds)
        put.bind(8, attempt.ending.rawValue)
        put.bind(9, attempt.error?.stored)
        try put.run()
    }

    func put(_ result: Payload, row: Int64, until: Timestamp, at now: Timestamp) throws {
        guard until > now else { return }
        let put = try command(.putResult)
        put.bind(1, row)
        put.bind(2, until.microseconds)
        put.bind(3, result.version)
        put.bind(4, result.format.stored)
        put.bind(5, result.bytes)
        try put.run()
    }

    func note(_ note: LeaseNote, at now: Timestamp) throws -> Bool {
        let found: SQLiteRow?
        do {
            found = try heldJob(note.lease)
        } catch let error as StoreError where error.code == .corrupt {
            return false
        }
        guard let job = found else { return false }
        if let (fraction, message) = note.progress {
            let set = try command(.setProgress)
            set.bind(1, job.row)
            set.bind(2, JobProgress(fraction: fraction, message: message, at: now).stored)
            try set.run()
        }
        if !note.lines.isEmpty { try add(note.lines.suffix(LogLine.kept), to: job.row) }
        if !note.checkpoints.isEmpty {
            // Its end has to delete them.
            held[job.row] = nil
            try put(note.checkpoints, row: job.row)
        }
        return true
    }

    func put(_ checkpoints: [String: Payload], row: Int64) throws {
        for (name, value) in checkpoints {
            let put = try command(.putCheckpoint)
            put.bind(1, row)
            put.bind(2, name)
            put.bind(3, value.version)
            put.bind(4, value.format.stored)
            put.bind(5, value.bytes)
            try put.run()
        }
    }

    func add(_ lines: ArraySlice<LogLine>, to row: Int64) throws {
        let find = try command(.lastLine)
        find.bind(1, row)
        var number = try find.first { Int64($0.amount(0)) } ?? 0
        for line in lines {
            number += 1
            let put = try command(.putLine)
            put.bind(1, row)
            put.bind(2, number)
            put.bind(3, line.at.microseconds)
            put.bind(4, line.level)
            put.bind(5, line.message)
            try put.run()
        }
        if number > Int64(LogLine.kept) {
            let trim = try command(.trimLog)
            trim.bind(1, row)
            trim.bind(2, number - Int64(LogLine.kept))
            try trim.run()
        }
    }
}
