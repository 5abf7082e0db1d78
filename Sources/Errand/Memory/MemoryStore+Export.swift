// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import HeapModule

extension MemoryStore {
    /// Lets a batch of jobs go; see ``/ErrandCore/JobStore/export(_:)``.
    ///
    /// Looks at all rows for each batch.
    public func export(_ request: ExportRequest) async throws -> ExportBatch {
        try act { table, now throws(StoreError) in try table.export(request, at: now) }
    }

    /// Ends the open batch; see ``/ErrandCore/JobStore/endExport(_:as:)``.
    public func endExport(_ id: ExportID, as end: ExportEnd) async throws {
        try act { table, now in table.endExport(id, as: end, at: now) }
    }
}

/// What a store knows of jobs that moved out of it and into it.
struct MemoryMoves {
    /// The batch that is on its way to another store.
    var open: ExportBatch?
    /// Jobs that left, with when they did.
    var departures: [JobID: Timestamp] = [:]
    /// Batches that were taken in, with when they were.
    var imports: [ExportID: Timestamp] = [:]

    /// Forgets what was kept for long enough.
    /// - Returns: How much that was.
    mutating func sweep(at now: Timestamp) -> Int {
        let before = departures.count + imports.count
        let travelling = Set(open?.jobs.map(\.record.id) ?? [])
        departures = departures.filter { $0.value + ExportBatch.departuresKept > now || travelling.contains($0.key) }
        imports = imports.filter { $0.value + ExportBatch.importsKept > now }
        return before - departures.count - imports.count
    }
}

extension MemoryTable {
    mutating func export(_ request: ExportRequest, at now: Timestamp) throws(StoreError) -> ExportBatch {
        if let open = moves.open {
            guard open.destination == request.destination else { throw .exportIsOpen(open.destination) }
            return open
        }
        var batch = ExportBatch(id: request.id, destination: request.destination)
        switch request.part {
        case .pending: exportJobs(into: &batch, request, at: now) { $0.isPending }
        case .finished: exportJobs(into: &batch, request, at: now) { $0.isFinal }
        case .records: exportRecords(into: &batch, limit: request.limit, at: now)
        }
        if !batch.isEmpty { moves.open = batch }
        return batch
    }

    private mutating func exportJobs(
        into batch: inout ExportBatch,
        _ request: ExportRequest,
        at now: Timestamp,
        where isWanted: (JobState) -> Bool
    ) {
        let start = request.after.flatMap { Int($0) } ?? -1
        var oldest: Heap<MemoryOrder.Entry> = []
        for row in rows.values where row.sequence > start && isWanted(row.record.state) && !row.isFollowUp {
            oldest.insert(MemoryOrder.Entry(key: 0, sequence: row.sequence, stamp: 0, row: row))
            if oldest.count > request.limit + 1 { oldest.removeMax() }
        }
        var weight = 0
        while let entry = oldest.popMin() {
            depart(entry.row, into: &batch, weight: &weight, at: now)
            guard !oldest.isEmpty else { break }
            if batch.jobs.count >= request.limit || weight >= request.byteLimit {
                batch.next = "\(entry.sequence)"
                break
            }
        }
    }

    /// Takes a job out, with its key and with the follow-up that waits for it.
    private mutating func depart(
        _ row: MemoryRow,
        into batch: inout ExportBatch,
        weight: inout Int,
        at now: Timestamp
    ) {
        var role: ExportedJob.KeyRole?
        var followUp: MemoryRow?
        if let key = row.record.unique?.key, row.holdsKey, let entry = keys.removeValue(forKey: key) {
            (role, followUp) = (.holder, entry.followUp)
            row.holdsKey = false
        } else if row.isFollowUp {
            (role, row.isFollowUp) = (.followUp, false)
        }
        let job = ExportedJob(record: row.record(with: .all, at: now), key: role)
        batch.jobs.append(job)
        weight += job.weight
        moves.departures[row.record.id] = now
        remove(row, at: now)
        if let followUp { depart(followUp, into: &batch, weight: &weight, at: now) }
    }

    private mutating func exportRecords(into batch: inout ExportBatch, limit: Int, at now: Timestamp) {
        let orphans = keys.filter { $0.value.row == nil }.sorted { $0.key < $1.key }
        for (key, entry) in orphans.prefix(limit) {
            keys[key] = nil
            guard let end = entry.expiresAt, end > now else { continue }
            batch.keys.append(
                ExportedKey(key: key, job: entry.holder, lastState: entry.lastState, expiresAt: end)
            )
        }
        var room = limit - min(orphans.count, limit)
        let lines = audit.prefix(room)
        batch.audit = Array(lines)
        audit.removeFirst(lines.count)
        room -= lines.count
        for queue in queues.values.sorted(by: { $0.name < $1.name }) {
            for tally in queue.tallies.values.sorted(by: { $0.name < $1.name }) {
                let points = tally.takePoints(upTo: room)
                batch.series += points
                room -= points.count
            }
        }
        let isOver =
            orphans.count <= limit && audit.isEmpty
            && queues.values.allSatisfy {
                $0.tallies.values.allSatisfy(\.hasNoPoints)
            }
        batch.next = isOver ? nil : "more"
    }

    mutating func endExport(_ id: ExportID, as end: ExportEnd, at now: Timestamp) {
        guard let batch = moves.open, batch.id == id else { return }
        moves.open = nil
        guard end == .returned else { return }
        var answer = ImportAnswer()
        take(in: batch, &answer, at: now)
    }
}

extension StoreError {
    static func exportIsOpen(_ destination: String) -> StoreError {
        StoreError(
            .conflict,
            "a batch of jobs is on its way from this store to '\(destination)'; let that move go on, or cancel it, first"
        )
    }
}
