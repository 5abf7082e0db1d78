// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension SQLiteStore {
    public func `import`(_ batch: ExportBatch) async throws -> ImportAnswer {
        try await write(rows: batch.jobs.count) { session, now in try session.import(batch, at: now) }
    }
}

extension SQLiteSession {
    func `import`(_ batch: ExportBatch, at now: Timestamp) throws -> ImportAnswer {
        let find = try command(.importByID)
        find.bind(1, batch.id.bytes)
        if try find.first({ _ in true }) != nil { return ImportAnswer(isRepeat: true) }
        if try command(.openExport).first({ $0.bytes(0) }) == batch.id.bytes {
            throw StoreError(
                .invalid,
                "the batch is this store's own: jobs cannot be moved from a store to itself; name another destination"
            )
        }
        if let running = batch.jobs.first(where: { $0.record.state == .running }) {
            throw StoreError(
                .invalid,
                "job \(running.record.id) of the batch is running; a running job is not moved: wait for its end"
            )
        }
        var answer = ImportAnswer()
        try take(in: batch, &answer, at: now)
        let put = try command(.putImport)
        put.bind(1, batch.id.bytes)
        put.bind(2, now.microseconds)
        try put.run()
        return answer
    }

    /// Stores what is in a batch.
    func take(in batch: ExportBatch, _ answer: inout ImportAnswer, at now: Timestamp) throws {
        for job in batch.jobs { try take(job, &answer, at: now) }
        for key in batch.keys where key.expiresAt > now {
            guard try currentKey(key.key, at: now) == nil else { continue }
            let put = try command(.putKey)
            put.bind(1, key.key)
            put.bind(2, high: key.job.high, low: key.job.low)
            put.bind(3, key.expiresAt.microseconds)
            put.bind(4, key.lastState.rawValue)
            try put.run()
        }
        for line in batch.audit { try write(line) }
        for point in batch.series where point.value > 0 {
            effects.count(
                point.metric,
                lane: try lane(queue: point.queue, name: point.name, version: 1),
                bucket: point.bucket,
                at: Timestamp(microseconds: min(max(point.minute, 0), Int64.max / 60_000_000) * 60_000_000),
                times: min(point.value, SQLiteCommand.most)
            )
        }
        guard !batch.pauses.isEmpty else { return }
        let stored = Set(try storedPauses().map(\.scope))
        for pause in batch.pauses where !stored.contains(pause.scope) { try put(pause) }
    }

    private func take(_ job: ExportedJob, _ answer: inout ImportAnswer, at now: Timestamp) throws {
        let id = job.record.id
        guard try row(of: id) == nil else {
            answer.present.append(id)
            return
        }
        let delete = try command(.deleteDeparture)
        delete.bind(1, high: id.high, low: id.low)
        try delete.run()
        var stored = try add(moved: job.record)
        for attempt in job.record.attempts.suffix(Attempt.kept) { try put(attempt, row: stored.row) }
        if !job.record.log.isEmpty { try add(job.record.log.suffix(LogLine.kept), to: stored.row) }
        try put(job.record.checkpoints, row: stored.row)
        if let result = job.record.result, let end = job.record.finishedAt {
            try put(result, row: stored.row, until: end + job.record.resultTTL, at: now)
        }
        if try !takeKey(&stored, as: job.key, at: now) { answer.keyless.append(id) }
    }

    /// Gives a row that came in the key that it had, or the place of the follow-up.
    /// - Returns: False when another job has what it had.
    private func takeKey(_ job: inout SQLiteRow, as role: ExportedJob.KeyRole?, at now: Timestamp) throws -> Bool {
        guard let role, let rule = job.record.unique else { return true }
        // A key whose time was over before it came is no loss.
        let isOver = rule.scope.ttl.map { job.record.createdAt + $0 <= now } ?? false
        guard let entry = try currentKey(rule.key, at: now) else {
            if !isOver { try giveKey(rule, to: job.record.id, storedAt: job.record.createdAt, job.record.state) }
            if role == .followUp { try change(&job, at: now) { $0.takeKey(at: now) } }
            return true
        }
        guard role == .followUp else { return isOver }
        if entry.followUp == nil, try row(of: entry.holder) != nil {
            try setFollowUp(job.record.id, of: rule.key)
            return true
        }
        try change(&job, at: now) { $0.takeKey(at: now) }
        return isOver
    }

    // MARK: Departures

    /// Whether any job left this store lately.
    func hasDepartures() throws -> Bool { try command(.anyDeparture).first { _ in true } ?? false }

    /// Whether this job left this store lately.
    func hasDeparted(_ id: JobID) throws -> Bool {
        let find = try command(.departureByID)
        find.bind(1, high: id.high, low: id.low)
        return try find.first { _ in true } ?? false
    }

    /// Forgets departures and imports that were kept for long enough; not those of a batch that is still on its way.
    /// - Returns: How many.
    func sweepMoves(limit: Int, at now: Timestamp) throws -> Int {
        var count = try delete(.oldImports, (now - ExportBatch.importsKept).microseconds, limit: limit)
        if try command(.openExport).first({ _ in true }) == nil {
            count += try delete(.oldDepartures, (now - ExportBatch.departuresKept).microseconds, limit: limit)
        }
        return count
    }
}
