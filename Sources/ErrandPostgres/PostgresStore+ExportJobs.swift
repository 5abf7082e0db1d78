// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

// Jobs on their way out.

extension PostgresSession {
    /// The most jobs that are locked and read at once.
    private static let exportBite = 200

    func exportJobs(
        into batch: inout ExportBatch,
        _ request: ExportRequest,
        where isWanted: (JobState) -> Bool
    ) throws {
        var walk = try PostgresExportWalk(request, in: self)
        var weight = 0
        var busy: [JobID] = []
        scan: while let window = try walk.next(in: self) {
            var rest = window[...]
            while !rest.isEmpty {
                var bytes = weight
                let bite = rest.prefix(min(request.limit - batch.jobs.count, Self.exportBite))
                    .prefix { glance in
                        defer { bytes += 512 + glance.bytes }
                        return bytes == weight || bytes < request.byteLimit
                    }
                rest = rest.dropFirst(bite.count)
                let (count, passed) = try depart(bite.map(\.id), into: &batch, request, &weight, where: isWanted)
                busy += passed
                if batch.jobs.count >= request.limit || weight >= request.byteLimit {
                    batch.next = bite.prefix(max(count, 1)).last?.after.description
                    break scan
                }
            }
            if walk.isBounded {
                batch.next = walk.cursor.description
                break
            }
        }
        // Whoever holds these will let them go; only when nothing else is there to do are they worth waiting for.
        guard batch.jobs.isEmpty, !busy.isEmpty else { return }
        let last = Array(busy.prefix(min(request.limit, Self.exportBite)))
        _ = try depart(last, passing: false, into: &batch, request, &weight, where: isWanted)
    }

    /// Takes jobs out, each with its key and the follow-up that waits for it, until the batch is full; leaves those that
    /// cannot be read, and follow-ups, which go with their holders.
    /// - Returns: How many of them were looked at, and those that others hold.
    private func depart(
        _ ids: [JobID],
        passing: Bool = true,
        into batch: inout ExportBatch,
        _ request: ExportRequest,
        _ weight: inout Int,
        where isWanted: (JobState) -> Bool
    ) throws -> (count: Int, busy: [JobID]) {
        let waiters = try query(.waitersOfJobs, [.uuids(ids)])
        let own = Set(ids)
        let others = Set((0..<waiters.count).compactMap { waiters.id($0, 0) }).subtracting(own)
        let locked = try lock(ids + others.sorted(), passing: passing, withPayload: true)
        let rows = readable(locked)
        let wholes = try wholes(of: rows)
        let keys = try keys(of: rows)
        var leaving: [PostgresRow] = []
        var freed: [String] = []
        var gone: Set<JobID> = []
        func leave(_ job: PostgresRow, _ whole: JobRecord, _ role: ExportedJob.KeyRole?) {
            let exported = ExportedJob(record: whole, key: role)
            batch.jobs.append(exported)
            weight += exported.weight
            leaving.append(job)
            gone.insert(whole.id)
        }
        var count = 0
        for id in ids where batch.jobs.count < request.limit && (weight == 0 || weight < request.byteLimit) {
            count += 1
            guard !gone.contains(id), let job = rows[id], let whole = wholes[id], isWanted(job.record.state) else {
                continue
            }
            guard let key = job.record.unique?.key, let entry = keys[key] else {
                leave(job, whole, nil)
                continue
            }
            if entry.followUp == id { continue }
            guard entry.holder == id else {
                leave(job, whole, nil)
                continue
            }
            let next = entry.followUp
            let followUp = next.flatMap { rows[$0] }
            let nextWhole = next.flatMap { wholes[$0] }
            if let next, followUp == nil || nextWhole == nil {
                // Without it the holder stays too: somebody has to let it go.
                if try query(.placeOfJob, [.uuid(next)]).count > 0 { continue }
            }
            freed.append(key)
            leave(job, whole, .holder)
            if let followUp, let nextWhole { leave(followUp, nextWhole, .followUp) }
        }
        if !freed.isEmpty { try query(.deleteKeys, [.texts(freed)]) }
        if !leaving.isEmpty {
            try delete(leaving)
            try query(.putDepartures, [.int(now.microseconds), .uuids(leaving.map(\.record.id))])
        }
        return (count, ids.filter { locked[$0] == nil })
    }

    private func readable(_ locked: [JobID: Locked]) -> [JobID: PostgresRow] {
        locked.reduce(into: [:]) { rows, found in
            switch found.value {
            case .success(let row): rows[found.key] = row
            case .failure(let error): shared.unreadable.note("job \(found.key)", error.message)
            }
        }
    }

    /// Rows with all their parts; those with parts that cannot be read are noted and left out.
    private func wholes(of rows: [JobID: PostgresRow]) throws -> [JobID: JobRecord] {
        var records = rows.mapValues(\.record)
        do {
            try add(.all, of: Array(rows.keys), to: &records)
            return records
        } catch let error as StoreError where error.code == .corrupt {
            guard rows.count <= 1 else {
                return try rows.reduce(into: [:]) { found, row in
                    found.merge(try wholes(of: [row.key: row.value])) { first, _ in first }
                }
            }
            for id in rows.keys { shared.unreadable.note("job \(id)", error.message) }
            return [:]
        }
    }

    /// Who has the keys of locked rows.
    private func keys(of rows: [JobID: PostgresRow]) throws -> [String: (holder: JobID?, followUp: JobID?)] {
        let keys = rows.values.compactMap { $0.record.unique?.key }
        guard !keys.isEmpty else { return [:] }
        let found = try query(.keyRows, [.texts(keys)])
        return (0..<found.count)
            .reduce(into: [:]) { entries, row in
                entries[found.text(row, 0)] = (found.id(row, 1), found.isNull(row, 2) ? nil : found.id(row, 2))
            }
    }
}
