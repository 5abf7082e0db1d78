// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Foundation
import GRDB

/// The statements of an outbox, in whatever transaction they are called.
enum OutboxTable {
    static func add(_ jobs: [NewJob], to db: Database, limit: Int, at now: Timestamp) throws {
        // Entries leave from the oldest on, so what lies between the ends is what waits.
        let (first, last) = (try end("min", of: db), try end("max", of: db))
        let waiting = first.flatMap { first in last.map { $0 - first + 1 } } ?? 0
        guard waiting + Int64(jobs.count) <= Int64(limit) else {
            throw StoreError(
                .full,
                "\(waiting) jobs wait to be carried to their store and the limit is \(limit); see why the relay is behind"
            )
        }
        let encoder = JSONEncoder()
        let insert = try db.cachedStatement(
            sql: "INSERT INTO errand_outbox (id, name, job, at) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
        )
        for job in jobs {
            let text = String(decoding: try encoder.encode(job), as: UTF8.self)
            try insert.execute(arguments: [job.id.description, job.name.rawValue, text, now.microseconds])
        }
    }

    private static func end(_ which: String, of db: Database) throws -> Int64? {
        try Int64.fetchOne(db.cachedStatement(sql: "SELECT \(which)(entry) FROM errand_outbox"))
    }

    static func oldest(in db: Database, limit: Int) throws -> [OutboxEntry] {
        let find = try db.cachedStatement(
            sql: "SELECT entry, id, name, payload, options, job, at FROM errand_outbox ORDER BY entry LIMIT ?"
        )
        return try Row.fetchAll(find, arguments: [limit])
            .map { row in
                OutboxEntry(
                    number: row["entry"],
                    job: job(of: row),
                    addedAt: Timestamp(microseconds: row["at"])
                )
            }
    }

    /// What a row asks for. It may be written by anybody, so anything may be in it.
    private static func job(of row: Row) -> Result<NewJob, StoreError> {
        let text: String = row["id"]
        guard let id = JobID(text) else {
            return .failure(StoreError(.invalid, "the id '\(text.prefix(40))' is no UUID"))
        }
        do {
            if let whole = row["job"] as String? {
                var job = try JSONDecoder().decode(NewJob.self, from: Data(whole.utf8))
                job.id = id
                return .success(job)
            }
            let options = try JSONDecoder()
                .decode(OutboxOptions.self, from: Data((row["options"] as String? ?? "{}").utf8))
            let payload: String = row["payload"] ?? "null"
            return .success(options.job(id: id, name: JobName(row["name"]), payload: Array(payload.utf8)))
        } catch {
            return .failure(StoreError(.invalid, "the row is no job; see its options", cause: error))
        }
    }

    static func remove(_ entries: [OutboxEntry], from db: Database) throws {
        let delete = try db.cachedStatement(sql: "DELETE FROM errand_outbox WHERE entry = ?")
        for entry in entries { try delete.execute(arguments: [entry.number]) }
    }

    static func refuse(_ entry: OutboxEntry, because reason: StoreError, in db: Database, at now: Timestamp) throws {
        try db.execute(
            sql: """
                INSERT INTO errand_outbox_refused (id, name, payload, options, job, at, refused_at, reason) \
                SELECT id, name, payload, options, job, at, ?, ? FROM errand_outbox WHERE entry = ?
                """,
            arguments: [now.microseconds, reason.description, entry.number]
        )
        try remove([entry], from: db)
    }

    static func count(in db: Database) throws -> (waiting: Int, refused: Int) {
        (
            try Int.fetchOne(db, sql: "SELECT count(*) FROM errand_outbox") ?? 0,
            try Int.fetchOne(db, sql: "SELECT count(*) FROM errand_outbox_refused") ?? 0
        )
    }
}
