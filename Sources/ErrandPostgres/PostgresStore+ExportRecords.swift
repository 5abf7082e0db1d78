// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

// What a store holds that belongs to no job, on its way out.

extension PostgresSession {
    /// How many appended changes of the counts are added up at once, and how often in one call.
    private static let (foldBite, foldRounds) = (20_000, 5)

    func exportRecords(into batch: inout ExportBatch, limit: Int) throws {
        var room = limit
        room -= try exportKeys(into: &batch, limit: room)
        room -= try exportAudit(into: &batch, limit: room)
        let isRest = try exportCounters(into: &batch, limit: &room)
        if room <= 0 || !isRest { batch.next = "more" }
    }

    private func exportKeys(into batch: inout ExportBatch, limit: Int) throws -> Int {
        let found = try query(.orphanedKeys, [.int(Int64(limit))])
        batch.keys = try (0..<found.count)
            .map { row in
                guard let job = found.id(row, 1) else { throw StoreError.unreadable("unique key") }
                return ExportedKey(
                    key: found.text(row, 0),
                    job: job,
                    lastState: JobState(rawValue: found.int(row, 3)) ?? .succeeded,
                    expiresAt: found.instant(row, 2)
                )
            }
        if !batch.keys.isEmpty { try query(.deleteKeys, [.texts(batch.keys.map(\.key))]) }
        return batch.keys.count
    }

    private func exportAudit(into batch: inout ExportBatch, limit: Int) throws -> Int {
        guard limit > 0 else { return 0 }
        let found = try query(.takeAudit, [.int(Int64(limit))])
        batch.audit = (0..<found.count).map { auditEntry(found, $0) }
        return found.count
    }

    /// - Returns: Whether all that was counted so far has been looked at.
    private func exportCounters(into batch: inout ExportBatch, limit room: inout Int) throws -> Bool {
        guard room > 0 else { return false }
        try query(.lockDeltas)
        var rounds = 0
        var isFull = true
        while isFull && rounds < Self.foldRounds {
            isFull = try query(.fold, [.int(Int64(Self.foldBite))]).int(0, 0) == Self.foldBite
            rounds += 1
        }
        let found = try query(.takeCounters, [.int(Int64(room))])
        room -= found.count
        for row in 0..<found.count {
            guard let metric = SeriesMetric(rawValue: found.int(row, 2)), found.int64(row, 4) > 0,
                let lane = try lane(found.int64(row, 1))
            else { continue }
            batch.series.append(
                SeriesPoint(
                    minute: found.int64(row, 0),
                    queue: lane.queue,
                    name: lane.name,
                    metric: metric,
                    bucket: found.int(row, 3),
                    value: found.int(row, 4)
                )
            )
        }
        return !isFull
    }
}
