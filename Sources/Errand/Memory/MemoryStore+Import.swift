// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import HeapModule

extension MemoryStore {
    /// Takes a batch in; see ``/ErrandCore/JobStore/import(_:)``.
    public func `import`(_ batch: ExportBatch) async throws -> ImportAnswer {
        try act { table, now throws(StoreError) in try table.import(batch, at: now) }
    }
}

extension MemoryTable {
    mutating func `import`(_ batch: ExportBatch, at now: Timestamp) throws(StoreError) -> ImportAnswer {
        if moves.imports[batch.id] != nil { return ImportAnswer(isRepeat: true) }
        if moves.open?.id == batch.id { throw .movesToItself }
        if let running = batch.jobs.first(where: { $0.record.state == .running }) {
            throw .isRunning(running.record.id)
        }
        var answer = ImportAnswer()
        take(in: batch, &answer, at: now)
        moves.imports[batch.id] = now
        return answer
    }

    /// Stores what is in a batch.
    mutating func take(in batch: ExportBatch, _ answer: inout ImportAnswer, at now: Timestamp) {
        for job in batch.jobs { take(job, &answer, at: now) }
        for key in batch.keys where key.expiresAt > now && currentKey(key.key, at: now) == nil {
            keys[key.key] = MemoryKey(key)
            keyEnds.heap.insert(.init(at: key.expiresAt, key: key.key))
        }
        if !batch.audit.isEmpty {
            // Stable: of lines of one instant the one written last stays the newest.
            let lines =
                audit.enumerated().map { ($0.element, $0.offset) }
                + batch.audit.enumerated().map { ($0.element, audit.count + $0.offset) }
            let sorted = lines.sorted { ($0.0.at, $0.1) < ($1.0.at, $1.1) }
            audit = .init(sorted.suffix(Self.keptLines).map(\.0))
        }
        for point in batch.series {
            obtainQueue(point.queue).tally(for: point.name).add(point)
        }
        for pause in batch.pauses where pauses[pause.scope] == nil {
            pauses[pause.scope] = pause
            effects.controls = true
        }
    }

    private mutating func take(_ job: ExportedJob, _ answer: inout ImportAnswer, at now: Timestamp) {
        let id = job.record.id
        guard rows[id] == nil else {
            answer.present.append(id)
            return
        }
        moves.departures[id] = nil
        var record = job.record
        // The parts are kept beside the record.
        (record.result, record.attempts, record.log, record.checkpoints) = (nil, [], [], [:])
        let row = add(record, at: now, countsAsEnqueued: false)
        row.attempts = Array(job.record.attempts.suffix(Attempt.kept))
        row.log = Array(job.record.log.suffix(LogLine.kept))
        row.checkpoints = job.record.checkpoints
        if let result = job.record.result, let end = record.finishedAt {
            keep(result, of: row, until: end + record.resultTTL, at: now)
        }
        if !takeKey(row, as: job.key, at: now) { answer.keyless.append(id) }
    }

    /// Gives a row that came in the key that it had, or the place of the follow-up.
    /// - Returns: False when another job has what it had.
    private mutating func takeKey(_ row: MemoryRow, as role: ExportedJob.KeyRole?, at now: Timestamp) -> Bool {
        guard let role, let rule = row.record.unique else { return true }
        // A key whose time was over before it came is no loss.
        let isOver = rule.scope.ttl.map { row.record.createdAt + $0 <= now } ?? false
        guard let entry = currentKey(rule.key, at: now) else {
            if !isOver { giveKey(to: row) }
            if role == .followUp { change(row, at: now) { $0.takeKey(at: now) } }
            return true
        }
        if role == .followUp, entry.followUp == nil, entry.row != nil {
            keys[rule.key]?.followUp = row
            row.isFollowUp = true
            return true
        }
        if role == .followUp { change(row, at: now) { $0.takeKey(at: now) } }
        return isOver
    }
}

extension StoreError {
    static let movesToItself = StoreError(
        .invalid,
        "the batch is this store's own: jobs cannot be moved from a store to itself; name another destination"
    )

    static func isRunning(_ job: JobID) -> StoreError {
        StoreError(.invalid, "job \(job) of the batch is running; a running job is not moved: wait for its end")
    }
}
