// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The three statements in a job's life on the shipped schema, each with the changes of the counts that belong to its rows.
/// A first attempt that succeeds leaves no row of its own.
struct PlainPostgresQueries {
    /// Times, place, ids, payloads.
    let insert: String
    /// Time, worker, how many; answers with ids and payloads.
    let claim: String
    /// Time, worker, ids; answers with how many.
    let finish: String

    /// The plans that the functions of the store ask for, too: the table has just been filled and has no statistics.
    static let settings = [
        "SET plan_cache_mode = force_generic_plan", "SET enable_seqscan = off", "SET enable_bitmapscan = off",
        "SET enable_hashjoin = off", "SET enable_mergejoin = off",
    ]

    init(schema: String, lane: Int) {
        let place = "\"\(schema)\""
        insert = """
            WITH added AS (
                INSERT INTO \(place).jobs (id, place, rank, run_at, created_at, lane, state, priority, timeout, result_ttl,
                    crashes_allowed, payload)
                SELECT a.id, $2 + a.n, $1 - 1500000000, $1, $1, \(lane), 3, 5, 900000000, 86400000000, 2, a.payload
                FROM unnest($3, $4) WITH ORDINALITY AS a (id, payload, n)
                RETURNING 1)
            INSERT INTO \(place).deltas (n, minute, lane, kind, bucket)
            SELECT s.n, d.minute, \(lane), d.kind, 0 FROM (SELECT count(*) AS n FROM added) AS s
            CROSS JOIN (VALUES (0, 3), ($1 / 60000000, 16)) AS d (minute, kind)
            """
        claim = """
            WITH started AS (
                UPDATE \(place).jobs AS j SET state = 4, worker = $2, epoch = j.epoch + 1, attempt = j.attempt + 1,
                    started_at = $1
                WHERE j.ctid = ANY (ARRAY(
                    SELECT ctid FROM \(place).jobs WHERE lane = \(lane) AND state = 3 AND hold IS NULL
                    ORDER BY rank, place LIMIT $3 FOR UPDATE SKIP LOCKED))
                RETURNING j.id, j.payload
            ), noted AS (
                INSERT INTO \(place).deltas (n, minute, lane, kind, bucket)
                SELECT d.sign * s.n, d.minute, \(lane), d.kind, 0 FROM (SELECT count(*) AS n FROM started) AS s
                CROSS JOIN (VALUES (-1, 0, 3), (1, 0, 4), (1, $1 / 60000000, 17), (1, $1 / 60000000, 25))
                    AS d (sign, minute, kind))
            SELECT id, payload FROM started
            """
        finish = """
            WITH ended AS (
                UPDATE \(place).jobs AS j SET state = 5, finished_at = $1
                FROM unnest($3) AS a (id)
                WHERE j.id = a.id AND j.state + 0 = 4 AND j.epoch = 1 AND j.worker = $2
                RETURNING 1
            ), noted AS (
                INSERT INTO \(place).deltas (n, minute, lane, kind, bucket)
                SELECT d.sign * s.n, d.minute, \(lane), d.kind, 0 FROM (SELECT count(*) AS n FROM ended) AS s
                CROSS JOIN (VALUES (-1, 0, 4), (1, 0, 5), (1, $1 / 60000000, 18), (1, $1 / 60000000, 26))
                    AS d (sign, minute, kind))
            SELECT count(*) FROM ended
            """
    }
}
