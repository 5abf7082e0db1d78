// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Foundation

/// The statements of an outbox, in whatever transaction they are called; each is atomic by itself.
enum PostgresOutboxTable {
    /// Makes the tables, unless they are there: whoever may only write rows needs no right to make tables.
    static func make(on link: PostgresLink) throws {
        guard try !link.query("SELECT to_regclass('errand_outbox') IS NOT NULL").bool(0, 0) else { return }
        try link.run("BEGIN")
        do {
            // Two that make the same table at once would meet in the catalogue; `IF NOT EXISTS` alone does not help.
            try link.query("SELECT pg_advisory_xact_lock(hashtextextended('errand_outbox', 0))")
            try link.run(String(decoding: PackageResources.outbox_sql, as: UTF8.self))
            try link.run("COMMIT")
        } catch {
            if !error.endsConnection { _ = try? link.run("ROLLBACK") }
            throw error
        }
    }

    static func add(_ jobs: [NewJob], on link: PostgresLink, limit: Int, at now: Timestamp) throws {
        let waiting = try waiting(on: link, atLeast: limit - jobs.count)
        guard waiting + jobs.count <= limit else {
            throw StoreError(
                .full,
                "\(waiting) jobs wait to be carried to their store and the limit is \(limit); see why the relay is behind"
            )
        }
        let encoder = JSONEncoder()
        let texts = try jobs.map { String(decoding: try encoder.encode($0), as: UTF8.self) }
        try link.query(
            """
            INSERT INTO errand_outbox (id, name, job, at)
            SELECT id, name, job, $4 FROM unnest($1::uuid[], $2::text[], $3::text[]) AS one (id, name, job)
            ON CONFLICT (id) DO NOTHING
            """,
            [.uuids(jobs.map(\.id)), .texts(jobs.map(\.name.rawValue)), .texts(texts), .int(now.microseconds)]
        )
    }

    /// How many entries wait: counted one by one only when there may be more than `bound`.
    private static func waiting(on link: PostgresLink, atLeast bound: Int) throws -> Int {
        // Entries leave from the oldest on, so no more wait than lie between the ends.
        let span = try link.query("SELECT coalesce(max(entry) - min(entry) + 1, 0) FROM errand_outbox").int(0, 0)
        return span <= bound ? span : try link.query("SELECT count(*) FROM errand_outbox").int(0, 0)
    }

    static func oldest(on link: PostgresLink, limit: Int) throws -> [OutboxEntry] {
        let rows = try link.query(
            """
            SELECT entry, at, id::text, name, payload::text, options::text, job
            FROM errand_outbox ORDER BY entry LIMIT $1
            """,
            [.int(Int64(limit))]
        )
        let decoder = JSONDecoder()
        return (0..<rows.count)
            .map { row in
                let found = OutboxRow(
                    id: rows.text(row, 2),
                    name: rows.text(row, 3),
                    payload: rows.optionalText(row, 4),
                    options: rows.optionalText(row, 5),
                    job: rows.optionalText(row, 6)
                )
                let job = found.read(
                    job: { try decoder.decode(NewJob.self, from: Data($0.utf8)) },
                    options: { try decoder.decode(OutboxOptions.self, from: Data($0.utf8)) }
                )
                return OutboxEntry(number: rows.int64(row, 0), job: job, addedAt: rows.instant(row, 1))
            }
    }

    static func remove(_ entries: [OutboxEntry], on link: PostgresLink) throws {
        try link.query("DELETE FROM errand_outbox WHERE entry = ANY ($1)", [.ints(entries.map(\.number))])
    }

    static func refuse(_ entry: OutboxEntry, because reason: StoreError, on link: PostgresLink, at now: Timestamp)
        throws
    {
        try link.query(
            """
            WITH gone AS (DELETE FROM errand_outbox WHERE entry = $1 RETURNING *)
            INSERT INTO errand_outbox_refused (entry, id, name, payload, options, job, at, refused_at, reason)
            SELECT entry, id, name, payload, options, job, at, $2, $3 FROM gone
            """,
            // PostgreSQL's text has no place for a zero.
            [.int(entry.number), .int(now.microseconds), .text(reason.description.replacing("\0", with: "\u{fffd}"))]
        )
    }

    static func count(on link: PostgresLink) throws -> (waiting: Int, refused: Int) {
        let counts = try link.query(
            "SELECT (SELECT count(*) FROM errand_outbox), (SELECT count(*) FROM errand_outbox_refused)"
        )
        return (counts.int(0, 0), counts.int(0, 1))
    }
}
