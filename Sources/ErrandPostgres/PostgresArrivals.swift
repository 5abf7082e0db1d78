// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// The columns of rows that come from another store, exactly as their records say.
enum PostgresArrivals {
    private struct Column: Sendable {
        enum Value: Sendable {
            case number(@Sendable (PostgresRow) -> Int64?)
            case text(@Sendable (PostgresRow) -> String?)
            case id(@Sendable (PostgresRow) -> JobID?)
            case bytes(@Sendable (PostgresRow) -> [UInt8])
            case flag(@Sendable (PostgresRow) -> Bool)
        }

        var name: String
        var value: Value

        init(_ name: String, _ value: Value) { (self.name, self.value) = (name, value) }

        var type: String {
            switch value {
            case .number, .flag: "bigint"
            case .text: "text"
            case .id: "uuid"
            case .bytes: "bytea"
            }
        }

        /// What is selected of the array.
        var expression: String { if case .flag = value { "\(name) = 1" } else { name } }

        /// The column of all rows; NULL when it says nothing.
        func array(_ rows: [PostgresRow]) -> PostgresValue {
            switch value {
            case .number(let read):
                let values = rows.map(read)
                return .ints(values.contains { $0 != nil } ? values : nil)
            case .text(let read):
                let values = rows.map(read)
                return .texts(values.contains { $0 != nil } ? values : nil)
            case .id(let read): return .uuids(rows.map(read))
            case .bytes(let read): return .blobs(rows.map(read))
            case .flag(let read): return .ints(rows.map { read($0) ? 1 : 0 })
            }
        }
    }

    private static let columns: [Column] = [
        Column("id", .id { $0.record.id }), Column("place", .number { $0.place }), Column("lane", .number { $0.lane }),
        Column("state", .number { Int64($0.record.state.rawValue) }), Column("rank", .number { $0.record.rank }),
        Column("run_at", .number { $0.record.runAt.microseconds }),
        Column("priority", .number { Int64($0.record.priority.level) }), Column("epoch", .number { $0.record.epoch }),
        Column("attempt", .number { Int64($0.record.attempt) }),
        Column("failures", .number { Int64($0.record.failures) }),
        Column("crashes", .number { Int64($0.record.crashes) }),
        Column("releases", .number { Int64($0.record.releases) }),
        Column("snoozes", .number { Int64($0.record.snoozes) }), Column("run", .number { Int64($0.record.run) }),
        Column("revision", .number { Int64($0.record.revision) }),
        Column("worker", .id { $0.record.worker.flatMap { JobID(bytes: $0.bytes) } }),
        Column("created_at", .number { $0.record.createdAt.microseconds }),
        Column("started_at", .number { $0.record.startedAt?.microseconds }),
        Column("finished_at", .number { $0.record.finishedAt?.microseconds }),
        Column("start_by", .number { $0.record.startBy?.microseconds }),
        Column("deadline", .number { $0.record.deadline?.microseconds }),
        Column("due_at", .number { $0.record.dueAt?.microseconds }),
        Column("expires_at", .number { $0.record.expiresAt?.microseconds }),
        Column("hold", .text { $0.record.hold?.stored }),
        Column("hold_until", .number { $0.record.state.isPending ? $0.record.hold?.until?.microseconds : nil }),
        Column("timeout", .number { $0.record.timeout?.wholeMicroseconds }),
        Column("result_ttl", .number { $0.record.resultTTL.wholeMicroseconds }),
        Column("crashes_allowed", .number { Int64($0.record.crashesAllowed) }),
        Column("unique_key", .text { $0.record.unique?.key }),
        Column("unique_ttl", .number { $0.record.unique?.scope.ttl?.wholeMicroseconds }),
        Column("unique_scope", .number { $0.record.unique?.scope.stored }),
        Column("unique_conflict", .number { $0.record.unique?.conflict.stored }),
        Column("has_checkpoints", .flag { $0.hasCheckpoints }), Column("retry", .text { $0.record.retry.stored }),
        Column("cancel", .text { $0.record.cancelRequest?.stored }),
        Column("reason", .text { $0.record.reason?.rawValue }),
        Column("fingerprint", .text { $0.record.fingerprint?.storable }),
        Column("progress", .text { $0.record.progress?.stored }), Column("tags", .text { $0.record.tags.stored }),
        Column("headers", .text { $0.record.headers.stored }), Column("trace", .text { $0.record.trace.stored }),
        Column("error", .text { $0.record.error?.stored }),
        Column("format", .text { $0.record.payload.format.stored }),
        Column("payload", .bytes { $0.record.payload.bytes }),
    ]

    /// Stores rows and answers with the ids of those that were not there.
    static let sql: String = {
        let names = columns.map(\.name).joined(separator: ", ")
        let arrays = columns.enumerated().map { "$\($0.offset + 1)::\($0.element.type)[]" }.joined(separator: ", ")
        return "INSERT INTO errand.jobs (\(names)) SELECT \(columns.map(\.expression).joined(separator: ", ")) "
            + "FROM unnest(\(arrays)) AS a (\(names)) ON CONFLICT (id) DO NOTHING RETURNING id"
    }()

    static func values(_ rows: [PostgresRow]) -> [PostgresValue] { columns.map { $0.array(rows) } }

    /// What PostgreSQL's texts cannot hold of a job.
    static func problem(with record: JobRecord) -> String? {
        var formats = [record.payload.format] + record.checkpoints.values.map(\.format)
        if let result = record.result { formats.append(result.format) }
        guard formats.contains(where: { $0.rawValue.utf8.contains(0) }) else { return nil }
        return "a payload format of job \(record.id) holds NUL, which PostgreSQL cannot store; nothing was written"
    }
}
