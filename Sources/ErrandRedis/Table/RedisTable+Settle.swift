// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension RedisTable {
    mutating func settle(_ settlement: Settlement) throws(Missing) -> SettleAnswer {
        let id = settlement.lease.job
        if let why = unreadable[id] { return .refused(StoreError(.corrupt, why)) }
        guard let row = try row(id), row.record.isHeld(by: settlement.lease) else { return .leaseLost }
        // Asked before anything is written: a part of a decision cannot be undone.
        if let refusal = try refusal(of: settlement, ending: row.record) { return .refused(refusal) }
        try settle(id, settlement.outcome)
        // Whatever key the job had is free by now, so a follow-up may have the same.
        for job in settlement.followUps { _ = try insert(job) }
        return .applied(try self.row(id)?.record.state ?? row.record.state)
    }

    /// Why a follow-up would be refused once the row has ended.
    private func refusal(of settlement: Settlement, ending record: JobRecord) throws(Missing) -> StoreError? {
        guard !settlement.followUps.isEmpty else { return nil }
        var ended = record
        _ = ended.settle(settlement.outcome, at: now)
        var stored: Set<JobID> = []
        var holders: [String: JobID] = [:]
        for job in settlement.followUps {
            if let problem = job.storeProblem { return StoreError(.invalid, problem) }
            guard try row(job.id) == nil, !departed.contains(job.id), stored.insert(job.id).inserted,
                let rule = job.unique
            else { continue }
            var taken = holders[rule.key]
            if taken == nil { taken = try holder(of: rule.key, after: ended) }
            if let holder = taken {
                if rule.conflict == .throwError { return Self.taken(by: holder, rule) }
            } else {
                holders[rule.key] = job.id
            }
        }
        return nil
    }

    /// Ends the attempt of a running row.
    mutating func settle(_ id: JobID, _ outcome: Outcome) throws(Missing) {
        guard let row = try row(id) else { return }
        let now = self.now
        let ran = row.record.startedAt.map { now - $0 } ?? .zero
        guard let settled = try change(id, { $0.settle(outcome, at: now) }) else { return }
        count(.run, of: row.record, bucket: SeriesMetric.bucket(of: ran))
        // The state's own metric was counted by the change, as for every other way to become final.
        for metric in SeriesMetric.counted(by: outcome, leaving: .running) { count(metric, of: row.record) }
        try keep(settled, of: id)
    }

    /// The worker of a running row is lost.
    mutating func rescue(_ id: JobID) throws(Missing) -> JobState? {
        let now = now
        guard let settled = try change(id, { $0.rescue(at: now) }), let row = try row(id) else { return nil }
        count(.crashed, of: row.record)
        try keep(settled, of: id)
        return row.record.state
    }

    /// The claim of a running row was never delivered.
    mutating func releaseUnlisted(_ id: JobID) throws(Missing) {
        let now = now
        guard let settled = try change(id, { $0.releaseUnlisted(at: now) }), let row = try row(id) else { return }
        count(.released, of: row.record)
        try keep(settled, of: id)
    }

    /// Keeps what an attempt leaves behind besides the record.
    private mutating func keep(_ settled: JobRecord.Settled, of id: JobID) throws(Missing) {
        guard var row = try row(id) else { return }
        if let attempt = settled.attempt { row.attempts.append(attempt) }
        if let result = settled.result, row.record.state == .succeeded {
            let until = now + row.record.resultTTL
            if until > now { row.result = (result, until) }
        }
        rows[id] = row
    }

    /// Writes what a running job said.
    /// - Returns: Whether the lease holds.
    mutating func note(_ note: LeaseNote) throws(Missing) -> Bool {
        guard var row = try row(note.lease.job), row.record.isHeld(by: note.lease) else { return false }
        if let progress = note.progress {
            row.record.progress = JobProgress(fraction: progress.fraction, message: progress.message, at: now)
        }
        row.lines.append(contentsOf: note.lines.suffix(LogLine.kept))
        if row.lines.count > LogLine.kept { row.lines.removeFirst(row.lines.count - LogLine.kept) }
        row.checkpoints.merge(note.checkpoints) { _, newer in newer }
        rows[note.lease.job] = row
        return true
    }
}
