// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension MemoryStore {
    /// Ends attempts; see ``/ErrandCore/JobStore/settle(_:)``.
    public func settle(_ settlements: [Settlement]) async throws -> [SettleAnswer] {
        try act { table, now in settlements.map { table.settle($0, at: now) } }
    }

    /// Writes progress, log lines and checkpoints; see ``/ErrandCore/JobStore/note(_:)``.
    public func note(_ notes: [LeaseNote]) async throws -> [Bool] {
        try act { table, now in notes.map { table.note($0, at: now) } }
    }
}

extension MemoryTable {
    mutating func settle(_ settlement: Settlement, at now: Timestamp) -> SettleAnswer {
        guard let row = rows[settlement.lease.job], row.record.isHeld(by: settlement.lease) else { return .leaseLost }
        // Asked before anything is written: nothing here can be undone.
        if let refusal = refusal(of: settlement, ending: row, at: now) { return .refused(refusal) }
        settle(row, settlement.outcome, at: now)
        // Whatever key the job had is free by now, so a follow-up may have the same.
        for job in settlement.followUps { _ = insert(job, at: now) }
        return .applied(row.record.state)
    }

    /// Why a follow-up would be refused once the row has ended.
    private func refusal(of settlement: Settlement, ending row: MemoryRow, at now: Timestamp) -> StoreError? {
        guard !settlement.followUps.isEmpty else { return nil }
        var ended = row.record
        _ = ended.settle(settlement.outcome, at: now)
        var stored: Set<JobID> = []
        var holders: [String: JobID] = [:]
        for job in settlement.followUps {
            if let problem = job.problem(payloadLimit: .max) { return StoreError(.invalid, problem) }
            guard rows[job.id] == nil, moves.departures[job.id] == nil, stored.insert(job.id).inserted,
                let rule = job.unique
            else { continue }
            if let holder = holders[rule.key] ?? holder(of: rule.key, after: ended, at: now) {
                if rule.conflict == .throwError { return taken(by: holder, rule) }
            } else {
                holders[rule.key] = job.id
            }
        }
        return nil
    }

    /// Ends the attempt of a running row.
    mutating func settle(_ row: MemoryRow, _ outcome: Outcome, at now: Timestamp) {
        let ran = row.record.startedAt.map { now - $0 } ?? .zero
        let settled = change(row, at: now) { $0.settle(outcome, at: now) }
        row.tally.count(.run, at: now, bucket: SeriesMetric.bucket(of: ran))
        // The state's own metric was counted by the change, as for every other way to become final.
        for metric in SeriesMetric.counted(by: outcome, leaving: .running) { row.tally.count(metric, at: now) }
        keep(settled, of: row, at: now)
    }

    /// Keeps what an attempt leaves behind besides the record.
    mutating func keep(_ settled: JobRecord.Settled, of row: MemoryRow, at now: Timestamp) {
        if let attempt = settled.attempt {
            row.attempts.append(attempt)
            if row.attempts.count > Attempt.kept { row.attempts.removeFirst(row.attempts.count - Attempt.kept) }
        }
        guard let result = settled.result, row.record.state == .succeeded else { return }
        keep(result, of: row, until: now + row.record.resultTTL, at: now)
    }

    /// Keeps a result until its time is over.
    mutating func keep(_ result: Payload, of row: MemoryRow, until: Timestamp, at now: Timestamp) {
        guard until > now else { return }
        (row.result, row.resultUntil) = (result, until)
        results.add(row, key: until.microseconds)
    }

    mutating func note(_ note: LeaseNote, at now: Timestamp) -> Bool {
        guard let row = rows[note.lease.job], row.record.isHeld(by: note.lease) else { return false }
        if let progress = note.progress {
            row.record.progress = JobProgress(fraction: progress.fraction, message: progress.message, at: now)
        }
        row.log.append(contentsOf: note.lines.suffix(LogLine.kept))
        if row.log.count > LogLine.kept { row.log.removeFirst(row.log.count - LogLine.kept) }
        row.checkpoints.merge(note.checkpoints) { _, newer in newer }
        return true
    }
}
