// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// A job as it is read: the record, its lane, and its place among those of the same rank.
struct PostgresRow {
    var lane: Int64
    var place: Int64
    var hasCheckpoints: Bool
    var record: JobRecord

    /// The largest counter that is believed; beyond it a row is damaged, and adding to it could overflow.
    static let largest: Int64 = 1 << 62

    private static let names = [
        "id", "lane", "state", "rank", "run_at", "priority", "epoch", "attempt", "failures", "crashes", "releases",
        "snoozes",
        "run", "revision", "worker", "created_at", "started_at", "finished_at", "start_by", "deadline", "unique_scope",
        "hold",
        "cancel", "reason", "fingerprint", "progress", "retry", "crashes_allowed", "timeout", "result_ttl",
        "unique_key",
        "unique_ttl", "unique_conflict", "tags", "headers", "trace", "error", "format", "place", "has_checkpoints",
    ]

    /// What every read of a record selects; the payload, or NULL, comes behind.
    static func columns(of table: String) -> String {
        names.map { "\(table).\($0)" }.joined(separator: ", ")
    }
}

extension PostgresSession {
    /// The rows of these jobs without locks, in the order of the ids; those that cannot be read are noted and left out.
    func read(_ ids: [JobID], withPayload: Bool) throws -> [PostgresRow] {
        guard !ids.isEmpty else { return [] }
        let result = try query(withPayload ? .jobsWithPayload : .jobs, [.uuids(ids)])
        var found: [JobID: PostgresRow] = [:]
        for index in 0..<result.count {
            switch try readJob(result, index) {
            case .success(let row): found[row.record.id] = row
            case .failure(let error):
                shared.unreadable.note(result.id(index, 0).map { "job \($0)" } ?? "a row", error.message)
            }
        }
        return ids.compactMap { found[$0] }
    }

    /// Reads ``PostgresRow/columns(of:)`` from `column` on, and the payload behind them.
    ///
    /// - Throws: What the connection met; a row that cannot be read is the answer's failure.
    func readJob(
        _ result: PostgresResult,
        _ row: Int,
        from column: Int = 0
    ) throws -> Result<PostgresRow, StoreError> {
        let lane = try lane(result.int64(row, column + 1))
        do {
            return .success(try Self.decode(result, row, column, lane))
        } catch {
            return .failure(error)
        }
    }

    private static func decode(
        _ result: PostgresResult,
        _ row: Int,
        _ first: Int,
        _ lane: PostgresLane?
    ) throws(StoreError) -> PostgresRow {
        func at(_ offset: Int) -> Int { first + offset }
        func counter(_ offset: Int) throws(StoreError) -> Int {
            let value = result.int64(row, at(offset))
            guard (0...PostgresRow.largest).contains(value) else { throw .unreadable("counter") }
            return Int(value)
        }
        func text(_ offset: Int) -> String? { result.optionalText(row, at(offset)) }
        func instant(_ offset: Int) -> Timestamp? { result.optionalInstant(row, at(offset)) }
        guard let lane else { throw StoreError(.corrupt, "the lane of a job is missing; restore a backup") }
        guard let id = result.id(row, at(0)), let state = JobState(rawValue: result.int(row, at(2))) else {
            throw .unreadable("job")
        }
        let payload = Payload(
            bytes: result.bytes(row, at(40)),
            format: text(37).map(Payload.Format.init) ?? .json,
            version: lane.version
        )
        let asked = NewJob(
            id: id,
            name: lane.name,
            payload: payload,
            queue: lane.queue,
            priority: JobPriority(result.int(row, at(5))),
            timeout: result.optionalInt64(row, at(28)).map { .microseconds($0) },
            retry: try policy(text(26)),
            crashesAllowed: result.int(row, at(27)),
            unique: text(30)
                .map { key in
                    UniqueRule(
                        key: key,
                        scope: UniqueRule.Scope(
                            stored: result.int64(row, at(20)),
                            ttl: result.optionalInt64(row, at(31)) ?? 0
                        ),
                        conflict: UniqueRule.Conflict(stored: result.int64(row, at(32)))
                    )
                },
            tags: try text(33).map { text throws(StoreError) in try read(text, FlatJSON.list) } ?? [],
            headers: try text(34).map { text throws(StoreError) in try read(text, FlatJSON.dictionary) } ?? [:],
            trace: try text(35).map { text throws(StoreError) in try read(text, FlatJSON.dictionary) } ?? [:],
            resultTTL: .microseconds(result.int64(row, at(29)))
        )
        var record = JobRecord(asked, at: result.instant(row, at(15)))
        record.state = state
        record.rank = result.int64(row, at(3))
        record.runAt = result.instant(row, at(4))
        record.epoch = Int64(try counter(6))
        record.attempt = try counter(7)
        record.failures = try counter(8)
        record.crashes = try counter(9)
        record.releases = try counter(10)
        record.snoozes = try counter(11)
        record.run = try counter(12)
        record.revision = try counter(13)
        record.worker = result.id(row, at(14)).flatMap { WorkerID(bytes: $0.bytes) }
        record.startedAt = instant(16)
        record.finishedAt = instant(17)
        record.startBy = instant(18)
        record.deadline = instant(19)
        record.hold = try text(21).map { text throws(StoreError) in try Hold(stored: read(text, FlatJSON.list)) }
        record.cancelRequest = try text(22)
            .map { text throws(StoreError) in try CancelRequest(stored: read(text, FlatJSON.list)) }
        record.reason = text(23).flatMap(FailureReason.init)
        record.fingerprint = text(24)
        record.progress = try text(25)
            .map { text throws(StoreError) in try JobProgress(stored: read(text, FlatJSON.list)) }
        record.error = try text(36)
            .map { text throws(StoreError) in try StoredError(stored: read(text, FlatJSON.list)) }
        return PostgresRow(
            lane: result.int64(row, at(1)),
            place: result.int64(row, at(38)),
            hasCheckpoints: result.bool(row, at(39)),
            record: record
        )
    }

    static let defaultPolicy = RetryPolicy(PostgresSession.defaultPolicyText) ?? .default

    private static func policy(_ stored: String?) throws(StoreError) -> RetryPolicy {
        guard let stored else { return defaultPolicy }
        guard let policy = RetryPolicy(stored) else { throw .unreadable("retry policy") }
        return policy
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
