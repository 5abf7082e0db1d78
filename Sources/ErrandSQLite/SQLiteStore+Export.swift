// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import Foundation

extension SQLiteStore {
    public func export(_ request: ExportRequest) async throws -> ExportBatch {
        try await write(rows: request.limit) { session, now in try session.export(request, at: now) }
    }

    public func endExport(_ id: ExportID, as end: ExportEnd) async throws {
        try await write { session, now in try session.endExport(id, as: end, at: now) }
    }
}

extension SQLiteSession {
    /// The most rows a call looks at for its batch; the next call goes on behind them.
    private static let exportScan = 5000

    func export(_ request: ExportRequest, at now: Timestamp) throws -> ExportBatch {
        if let open = try openExport() {
            guard open.destination == request.destination else {
                throw StoreError(
                    .conflict,
                    "a batch of jobs is on its way from this store to '\(open.destination)'; let that move go on, or "
                        + "cancel it, first"
                )
            }
            return open
        }
        var batch = ExportBatch(id: request.id, destination: request.destination)
        switch request.part {
        case .pending: try exportJobs(into: &batch, request, at: now) { $0.isPending }
        case .finished: try exportJobs(into: &batch, request, at: now) { $0.isFinal }
        case .records: try exportRecords(into: &batch, limit: request.limit, at: now)
        }
        if !batch.isEmpty {
            let put = try command(.putExport)
            put.bind(1, batch.id.bytes)
            put.bind(2, batch.destination)
            put.bind(3, now.microseconds)
            put.bind(4, Array(try JSONEncoder().encode(batch)))
            try put.run()
        }
        return batch
    }

    /// The batch that is on its way.
    func openExport() throws -> ExportBatch? {
        guard let bytes = try command(.openExport).first({ $0.bytes(2) }) else { return nil }
        do {
            return try JSONDecoder().decode(ExportBatch.self, from: Data(bytes))
        } catch {
            throw StoreError(
                .corrupt,
                "the batch of jobs on its way to another store cannot be read; restore a backup",
                cause: error
            )
        }
    }

    func endExport(_ id: ExportID, as end: ExportEnd, at now: Timestamp) throws {
        guard let batch = try openExport(), batch.id == id else { return }
        let delete = try command(.deleteExport)
        delete.bind(1, id.bytes)
        try delete.run()
        guard end == .returned else { return }
        var answer = ImportAnswer()
        try take(in: batch, &answer, at: now)
    }

    // MARK: Jobs

    private func exportJobs(
        into batch: inout ExportBatch,
        _ request: ExportRequest,
        at now: Timestamp,
        where isWanted: (JobState) -> Bool
    ) throws {
        var last = request.after.flatMap { Int64($0) } ?? .min
        let find = try command(.rowsAfter)
        find.bind(1, last)
        find.bind(2, Self.exportScan)
        let places = try find.all { (row: $0.int64(0), state: JobState(rawValue: $0.int(1))) }
        var weight = 0
        var isFull = false
        for place in places {
            if batch.jobs.count >= request.limit || weight >= request.byteLimit {
                isFull = true
                break
            }
            last = place.row
            guard let state = place.state, isWanted(state) else { continue }
            try depart(place.row, into: &batch, weight: &weight, at: now)
        }
        if isFull || places.count == Self.exportScan { batch.next = "\(last)" }
    }

    /// Takes a job out, with its key and the follow-up that waits for it; leaves it when it cannot be read, is gone, or
    /// is a follow-up, which goes with its holder.
    private func depart(_ row: Int64, into batch: inout ExportBatch, weight: inout Int, at now: Timestamp) throws {
        guard let (job, whole) = try wholeJob(row, at: now) else { return }
        guard let key = job.record.unique?.key, let entry = try storedKey(key) else {
            return try depart(job, whole, nil, into: &batch, weight: &weight, at: now)
        }
        if entry.followUp == job.record.id { return }
        guard entry.holder == job.record.id else {
            return try depart(job, whole, nil, into: &batch, weight: &weight, at: now)
        }
        var followUp: (job: SQLiteRow, whole: JobRecord)?
        if let id = entry.followUp, let row = try self.row(of: id) {
            followUp = try wholeJob(row, at: now)
            // Without it the holder stays too: somebody has to let it go.
            if followUp == nil { return }
        }
        let delete = try command(.deleteKey)
        delete.bind(1, key)
        try delete.run()
        try depart(job, whole, .holder, into: &batch, weight: &weight, at: now)
        if let followUp { try depart(followUp.job, followUp.whole, .followUp, into: &batch, weight: &weight, at: now) }
    }

    private func depart(
        _ job: SQLiteRow,
        _ whole: JobRecord,
        _ role: ExportedJob.KeyRole?,
        into batch: inout ExportBatch,
        weight: inout Int,
        at now: Timestamp
    ) throws {
        let exported = ExportedJob(record: whole, key: role)
        batch.jobs.append(exported)
        weight += exported.weight
        try remove(job, at: now)
        let put = try command(.putDeparture)
        put.bind(1, high: whole.id.high, low: whole.id.low)
        put.bind(2, now.microseconds)
        try put.run()
    }

    /// A row with all its parts; `nil` when it cannot be read, which is noted.
    private func wholeJob(_ row: Int64, at now: Timestamp) throws -> (job: SQLiteRow, whole: JobRecord)? {
        do {
            guard let whole = try record(row: row, parts: .all, at: now), let job = try job(row: row) else {
                return nil
            }
            return (job, whole)
        } catch let error as StoreError where error.code == .corrupt {
            options.unreadable.note("row \(row)", error.message)
            return nil
        }
    }
}
