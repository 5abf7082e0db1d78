// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension PostgresStore {
    public func `import`(_ batch: ExportBatch) async throws -> ImportAnswer {
        if let running = batch.jobs.first(where: { $0.record.state == .running }) {
            throw StoreError(
                .invalid,
                "job \(running.record.id) of the batch is running; a running job is not moved: wait for its end"
            )
        }
        for job in batch.jobs {
            if let problem = PostgresArrivals.problem(with: job.record) { throw StoreError(.invalid, problem) }
        }
        try await makeLanes(Set(batch.jobs.map(\.record.laneKey) + batch.series.map(\.laneKey)))
        return try await write { session in try session.import(batch) }
    }
}

extension PostgresSession {
    func `import`(_ batch: ExportBatch) throws -> ImportAnswer {
        // A second one with the same batch waits here for the end of the first.
        guard try query(.putImport, [.uuid(batch.id.stored), .int(now.microseconds)]).affected == 1 else {
            return ImportAnswer(isRepeat: true)
        }
        if try isOpen(batch.id) {
            throw StoreError(
                .invalid,
                "the batch is this store's own: jobs cannot be moved from a store to itself; name another destination"
            )
        }
        var answer = ImportAnswer()
        try take(in: batch, &answer)
        return answer
    }

    /// Stores what is in a batch.
    func take(in batch: ExportBatch, _ answer: inout ImportAnswer) throws {
        for start in stride(from: 0, to: batch.jobs.count, by: ExportRequest.largest) {
            try take(batch.jobs[start...].prefix(ExportRequest.largest), &answer)
        }
        let keys = batch.keys.filter { $0.expiresAt > now }
        _ = try put(keys.map { ArrivedKey(key: $0.key, job: $0.job, end: $0.expiresAt, state: $0.lastState) })
        if !batch.audit.isEmpty { try put(batch.audit) }
        for point in batch.series where point.value > 0 {
            effects.add(point, lane: try lane(of: point.laneKey))
        }
        if !batch.pauses.isEmpty { try put(batch.pauses) }
    }

    private func take(_ jobs: some Collection<ExportedJob>, _ answer: inout ImportAnswer) throws {
        let base = try query(.nextBatch).int64(0, 0)
        var rows: [PostgresRow] = []
        for (place, job) in jobs.enumerated() {
            rows.append(
                PostgresRow(
                    lane: try lane(of: job.record.laneKey),
                    place: base + Int64(place) + 1,
                    hasCheckpoints: !job.record.checkpoints.isEmpty,
                    record: job.record
                )
            )
        }
        let stored = try query(.putJobs, PostgresArrivals.values(rows))
        var fresh = Set((0..<stored.count).compactMap { stored.id($0, 0) })
        var arrived: [(row: PostgresRow, role: ExportedJob.KeyRole?)] = []
        for (row, job) in zip(rows, jobs) {
            // Taken out, so that the second of two with one id counts as there.
            if fresh.remove(row.record.id) != nil {
                arrived.append((row, job.key))
            } else {
                answer.present.append(row.record.id)
            }
        }
        guard !arrived.isEmpty else { return }
        try query(.noteEarly, [.uuids(arrived.map(\.row.record.id))])
        try query(.deleteDepartures, [.uuids(arrived.map(\.row.record.id))])
        for (row, _) in arrived {
            effects.tally(lane: row.lane, row.record.state, 1)
            let state = row.record.state
            if state.isPending, state != .waiting, row.record.hold == nil { effects.work.insert(row.record.queue) }
        }
        try putParts(of: arrived.map(\.row.record))
        answer.keyless += try takeKeys(arrived)
    }

    private func put(_ lines: [AuditEntry]) throws {
        try query(
            .putAuditLines,
            [
                .ints(lines.map(\.at.microseconds)), .texts(lines.map(\.actor.storable)),
                .texts(lines.map(\.action.storable)), .texts(lines.map(\.target.storable)),
                .texts(lines.map(\.reason.storable)), .ints(lines.map { Int64($0.changed) }),
            ]
        )
    }

    /// Puts the pauses of which none with their scope is stored.
    private func put(_ pauses: [Pause]) throws {
        let put = try query(
            .putPauses,
            [
                .texts(pauses.map(\.scope.stored)), .texts(pauses.map(\.actor.storable)),
                .texts(pauses.map(\.reason.storable)), .ints(pauses.map(\.since.microseconds)),
                .ints(pauses.map { $0.until?.microseconds }),
            ]
        )
        if put.affected > 0 { effects.controls = true }
    }
}

extension JobRecord {
    var laneKey: PostgresLanes.Key { .init(queue: queue, name: name, version: payload.version) }
}

extension SeriesPoint {
    /// Points know no version.
    var laneKey: PostgresLanes.Key { .init(queue: queue, name: name, version: 1) }
}
