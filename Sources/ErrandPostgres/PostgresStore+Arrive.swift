// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

// What comes with jobs of another store: their parts and their unique keys.

/// A unique key that came from another store.
struct ArrivedKey {
    var key: String
    var job: JobID
    /// When a key with a time to live is free again.
    var end: Timestamp?
    var state: JobState
}

extension PostgresSession {
    /// Stores what is kept beside the rows.
    func putParts(of records: [JobRecord]) throws {
        let tags = records.flatMap { record in record.tags.map { (record.id, $0) } }
        if !tags.isEmpty { try query(.putTagsOfJobs, [.texts(tags.map(\.1)), .uuids(tags.map(\.0))]) }
        let attempts = records.flatMap { record in record.attempts.suffix(Attempt.kept).map { (record.id, $0) } }
        if !attempts.isEmpty {
            try query(
                .putAttempts,
                [
                    .uuids(attempts.map(\.0)), .ints(attempts.map(\.1.epoch)), .ints(attempts.map { Int64($0.1.run) }),
                    .ints(attempts.map { Int64($0.1.number) }),
                    .uuids(attempts.map { JobID(bytes: $0.1.worker.bytes) }),
                    .ints(attempts.map(\.1.startedAt.microseconds)), .ints(attempts.map(\.1.endedAt.microseconds)),
                    .texts(attempts.map(\.1.ending.rawValue)), .texts(attempts.map { $0.1.error?.stored }),
                ]
            )
        }
        let lines = records.flatMap { record in
            record.log.suffix(LogLine.kept).enumerated().map { (record.id, Int64($0.offset + 1), $0.element) }
        }
        if !lines.isEmpty {
            try query(
                .putAllLines,
                [
                    .uuids(lines.map(\.0)), .ints(lines.map(\.1)), .ints(lines.map(\.2.at.microseconds)),
                    .blobs(lines.map { Array($0.2.level.utf8) }), .blobs(lines.map { Array($0.2.message.utf8) }),
                ]
            )
        }
        let checkpoints = records.flatMap { record in record.checkpoints.map { (record.id, $0.key, $0.value) } }
        if !checkpoints.isEmpty {
            try query(
                .putCheckpoints,
                [
                    .uuids(checkpoints.map(\.0)), .blobs(checkpoints.map { Array($0.1.utf8) }),
                    .ints(checkpoints.map { Int64($0.2.version) }), .texts(checkpoints.map { $0.2.format.stored }),
                    .blobs(checkpoints.map(\.2.bytes)),
                ]
            )
        }
        try putResults(of: records)
    }

    private func putResults(of records: [JobRecord]) throws {
        let results = records.compactMap { record -> (id: JobID, until: Timestamp, value: Payload)? in
            guard let value = record.result, let end = record.finishedAt else { return nil }
            let until = end + record.resultTTL
            return until > now ? (record.id, until, value) : nil
        }
        guard !results.isEmpty else { return }
        try query(
            .putResults,
            [
                .uuids(results.map(\.id)), .ints(results.map(\.until.microseconds)),
                .ints(results.map { Int64($0.value.version) }), .texts(results.map { $0.value.format.stored }),
                .blobs(results.map(\.value.bytes)),
            ]
        )
    }

    /// Gives keys to those who had them elsewhere, as far as they are free here.
    /// - Returns: The jobs that have theirs now.
    func put(_ keys: [ArrivedKey]) throws -> Set<JobID> {
        guard !keys.isEmpty else { return [] }
        func put(_ keys: [ArrivedKey]) throws -> Set<JobID> {
            let put = try query(
                .putKeys,
                [
                    .texts(keys.map(\.key)), .uuids(keys.map(\.job)), .ints(keys.map { $0.end?.microseconds }),
                    .ints(keys.map { Int64($0.state.rawValue) }),
                ]
            )
            return Set((0..<put.count).compactMap { put.id($0, 0) })
        }
        var placed = try put(keys)
        for key in keys where !placed.contains(key.job) {
            // It may be one whose time is over.
            if try currentKey(key.key) == nil { placed.formUnion(try put([key])) }
        }
        return placed
    }

    /// Gives rows that came in the keys that they had, or the place of the follow-up.
    /// - Returns: Those that have neither, because other jobs have them.
    func takeKeys(_ arrived: [(row: PostgresRow, role: ExportedJob.KeyRole?)]) throws -> [JobID] {
        var holders: [ArrivedKey] = []
        for case (let row, .holder?) in arrived {
            guard let rule = row.record.unique else { continue }
            let end = rule.scope.ttl.map { row.record.createdAt + $0 }
            // A key whose time was over before it came is no loss.
            if let end, end <= now { continue }
            holders.append(ArrivedKey(key: rule.key, job: row.record.id, end: end, state: row.record.state))
        }
        let placed = try put(holders)
        var keyless = Set(holders.map(\.job)).subtracting(placed)
        for case (var row, .followUp?) in arrived {
            if try !takePlace(&row) { keyless.insert(row.record.id) }
        }
        return keyless.isEmpty ? [] : arrived.map(\.row.record.id).filter(keyless.contains)
    }

    /// - Returns: False when another job has what the follow-up had.
    private func takePlace(_ job: inout PostgresRow) throws -> Bool {
        guard let rule = job.record.unique else { return true }
        let isOver = rule.scope.ttl.map { job.record.createdAt + $0 <= now } ?? false
        guard let entry = try currentKey(rule.key) else {
            if !isOver { try giveKey(rule, to: job.record.id, storedAt: job.record.createdAt, job.record.state) }
            try change(&job) { $0.takeKey(at: now) }
            return true
        }
        if entry.followUp == nil, try query(.placeOfJob, [.uuid(entry.holder)]).count > 0 {
            try setFollowUp(job.record.id, of: rule.key)
            return true
        }
        try change(&job) { $0.takeKey(at: now) }
        return isOver
    }
}
