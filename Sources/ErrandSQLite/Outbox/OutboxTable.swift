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
        let decoder = JSONDecoder()
        return try Row.fetchAll(find, arguments: [limit])
            .map { row in
                let found = OutboxRow(
                    id: row["id"],
                    name: row["name"],
                    payload: row["payload"],
                    options: row["options"],
                    job: row["job"]
                )
                let job = found.read(
                    job: { try decoder.decode(NewJob.self, from: Data($0.utf8)) },
                    options: { try decoder.decode(OutboxOptions.self, from: Data($0.utf8)) }
                )
                return OutboxEntry(number: row["entry"], job: job, addedAt: Timestamp(microseconds: row["at"]))
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
