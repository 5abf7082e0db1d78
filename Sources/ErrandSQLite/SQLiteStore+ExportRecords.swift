// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

// What a store holds that belongs to no job, on its way out.

extension SQLiteSession {
    func exportRecords(into batch: inout ExportBatch, limit: Int, at now: Timestamp) throws {
        var room = limit
        room -= try exportKeys(into: &batch, limit: room)
        room -= try exportAudit(into: &batch, limit: room)
        room -= try exportCounters(into: &batch, limit: room)
        if room <= 0 { batch.next = "more" }
    }

    private func exportKeys(into batch: inout ExportBatch, limit: Int) throws -> Int {
        let find = try command(.orphanedKeys)
        find.bind(1, limit)
        let keys = try find.all { row in
            guard let holder = row.halves(1) else { throw StoreError.unreadable("unique key") }
            return ExportedKey(
                key: row.text(0),
                job: JobID(high: holder.high, low: holder.low),
                lastState: JobState(rawValue: row.int(3)) ?? .succeeded,
                expiresAt: Timestamp(microseconds: row.int64(2))
            )
        }
        for key in keys {
            let delete = try command(.deleteKey)
            delete.bind(1, key.key)
            try delete.run()
        }
        batch.keys = keys
        return keys.count
    }

    private func exportAudit(into batch: inout ExportBatch, limit: Int) throws -> Int {
        guard limit > 0 else { return 0 }
        let find = try command(.oldestAudit)
        find.bind(1, limit)
        let lines = try find.all { row in
            let line = AuditEntry(
                at: Timestamp(microseconds: row.int64(1)),
                actor: row.text(2),
                action: row.text(3),
                target: row.text(4),
                reason: row.text(5),
                changed: row.int(6)
            )
            return (entry: row.int64(0), line: line)
        }
        for line in lines { try run(.deleteAudit, of: line.entry) }
        batch.audit = lines.map(\.line)
        return lines.count
    }

    private func exportCounters(into batch: inout ExportBatch, limit: Int) throws -> Int {
        guard limit > 0 else { return 0 }
        // Those of the calls that share this transaction are part of it.
        try writeCounts()
        let find = try command(.oldestCounters)
        find.bind(1, limit)
        let counters = try find.all { row in
            (minute: row.int64(0), lane: row.int64(1), metric: row.int(2), bucket: row.int(3), value: row.amount(4))
        }
        for counter in counters {
            let delete = try command(.deleteCounter)
            delete.bind(1, counter.minute)
            delete.bind(2, counter.lane)
            delete.bind(3, counter.metric)
            delete.bind(4, counter.bucket)
            try delete.run()
            guard let metric = SeriesMetric(rawValue: counter.metric), counter.value > 0 else { continue }
            let lane = try lane(counter.lane)
            batch.series.append(
                SeriesPoint(
                    minute: counter.minute,
                    queue: lane.queue,
                    name: lane.name,
                    metric: metric,
                    bucket: counter.bucket,
                    value: counter.value
                )
            )
        }
        return counters.count
    }
}
