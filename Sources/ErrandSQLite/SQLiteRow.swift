// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// A job as it is read: the record and where it is.
struct SQLiteRow {
    var row: Int64
    var lane: Int64
    var record: JobRecord

    /// What every read of a record selects; the payload, or NULL, comes behind.
    static let columns = """
        j.row, j.id, j.lane, j.state, j.rank, j.run_at, j.priority, j.epoch, j.attempt, j.failures, j.crashes, \
        j.releases, j.snoozes, j.run, j.revision, j.worker, j.created_at, j.started_at, j.finished_at, j.start_by, \
        j.deadline, j.unique_scope, j.hold, j.cancel, j.reason, j.fingerprint, j.progress, d.retry, \
        d.crashes_allowed, d.timeout, d.result_ttl, d.unique_key, d.unique_ttl, d.unique_conflict, d.tags, \
        d.headers, d.trace, d.error, d.format
        """

    static let tables = "FROM errand_jobs j CROSS JOIN errand_details d ON d.row = j.row"
}

extension SQLiteSession {
    func job(row: Int64, withPayload: Bool = false) throws -> SQLiteRow? {
        let find = try command(withPayload ? .jobWithPayload : .jobByRow)
        find.bind(1, row)
        return try find.first(readJob)
    }

    func job(_ id: JobID) throws -> SQLiteRow? {
        let find = try command(.jobByID)
        find.bind(1, high: id.high, low: id.low)
        return try find.first(readJob)
    }

    func row(of id: JobID) throws -> Int64? {
        let find = try command(.rowByID)
        find.bind(1, high: id.high, low: id.low)
        return try find.first { $0.int64(0) }
    }

    /// Reads ``SQLiteRow/columns`` and the payload behind them.
    func readJob(_ row: SQLiteCommand) throws -> SQLiteRow {
        let number = row.int64(0)
        guard let halves = row.halves(1), let state = JobState(rawValue: row.int(3)) else {
            throw StoreError(.corrupt, "the row \(number) of a job cannot be read; restore a backup")
        }
        let lane = try lane(row.int64(2))
        let payload = Payload(
            bytes: row.bytes(39),
            format: row.optionalText(38).map(Payload.Format.init) ?? .json,
            version: lane.version
        )
        let asked = NewJob(
            id: JobID(high: halves.high, low: halves.low),
            name: lane.name,
            payload: payload,
            queue: lane.queue,
            priority: JobPriority(row.int(6)),
            timeout: row.optionalInt64(29).map { .microseconds($0) },
            retry: try policy(row.int64(27)),
            crashesAllowed: row.int(28),
            unique: try uniqueRule(row),
            tags: try row.optionalText(34).map { try Self.read($0, FlatJSON.list) } ?? [],
            headers: try row.optionalText(35).map { try Self.read($0, FlatJSON.dictionary) } ?? [:],
            trace: try row.optionalText(36).map { try Self.read($0, FlatJSON.dictionary) } ?? [:],
            resultTTL: .microseconds(row.int64(30))
        )
        var record = JobRecord(asked, at: Timestamp(microseconds: row.int64(16)))
        record.state = state
        record.rank = row.int64(4)
        record.runAt = Timestamp(microseconds: row.int64(5))
        record.epoch = Int64(try row.counter(7))
        record.attempt = try row.counter(8)
        record.failures = try row.counter(9)
        record.crashes = try row.counter(10)
        record.releases = try row.counter(11)
        record.snoozes = try row.counter(12)
        record.run = try row.counter(13)
        record.revision = try row.counter(14)
        record.worker = try row.optionalInt64(15).map(worker)
        record.startedAt = row.optionalInt64(17).map(Timestamp.init(microseconds:))
        record.finishedAt = row.optionalInt64(18).map(Timestamp.init(microseconds:))
        record.startBy = row.optionalInt64(19).map(Timestamp.init(microseconds:))
        record.deadline = row.optionalInt64(20).map(Timestamp.init(microseconds:))
        record.hold = try row.optionalText(22).map { try Hold(stored: Self.read($0, FlatJSON.list)) }
        record.cancelRequest = try row.optionalText(23).map { try CancelRequest(stored: Self.read($0, FlatJSON.list)) }
        record.reason = row.optionalText(24).flatMap(FailureReason.init)
        record.fingerprint = row.optionalText(25)
        record.progress = try row.optionalText(26).map { try JobProgress(stored: Self.read($0, FlatJSON.list)) }
        record.error = try row.optionalText(37).map { try StoredError(stored: Self.read($0, FlatJSON.list)) }
        return SQLiteRow(row: number, lane: lane.number, record: record)
    }

    private func uniqueRule(_ row: SQLiteCommand) throws -> UniqueRule? {
        guard let scope = row.optionalInt64(21) else { return nil }
        return UniqueRule(
            key: row.text(31),
            scope: UniqueRule.Scope(stored: scope, ttl: row.int64(32)),
            conflict: UniqueRule.Conflict(stored: row.int64(33))
        )
    }

    static func read<Value>(_ text: String, _ parse: (String) -> Value?) throws(StoreError) -> Value {
        guard let value = parse(text) else {
            throw StoreError(
                .corrupt,
                "a stored text is not what this build writes: \(text.prefix(80)); restore a backup"
            )
        }
        return value
    }
}
