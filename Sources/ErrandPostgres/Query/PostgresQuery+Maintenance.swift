// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension PostgresQuery {
    /// What maintenance looks for, and what it removes.
    enum Maintenance {
        static let isAnythingOver =
            """
            WITH t AS MATERIALIZED (SELECT errand.moment_1($1) AS now) \
            SELECT EXISTS (SELECT FROM errand.jobs WHERE expires_at <= (SELECT now FROM t)) \
            OR EXISTS (SELECT FROM errand.jobs WHERE hold_until <= (SELECT now FROM t)) \
            OR EXISTS (SELECT FROM errand.controls WHERE until <= (SELECT now FROM t))
            """
        static let isAnybodyLost =
            """
            WITH RECURSIVE t AS MATERIALIZED (SELECT errand.moment_1($1) AS now), \
            \(PostgresQuery.holders(besides: "SELECT id FROM errand.workers")) \
            SELECT EXISTS (SELECT FROM errand.workers AS w, t \
            WHERE w.dead_at IS NOT NULL OR w.last_seen > t.now OR t.now - w.last_seen > $2) \
            OR EXISTS (SELECT FROM holders)
            """
        static let lateJobs =
            "SELECT id FROM errand.jobs WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2"
        static let endedHolds =
            "SELECT id FROM errand.jobs WHERE hold_until <= $1 ORDER BY hold_until LIMIT $2"
        static let finishedBefore =
            """
            SELECT id, finished_at, place FROM errand.jobs \
            WHERE lane = $1 AND state = $2 AND finished_at <= $3 ORDER BY finished_at LIMIT $4
            """
        static let oldestFinished =
            """
            SELECT id, finished_at, place FROM errand.jobs \
            WHERE lane = $1 AND state = $2 AND finished_at IS NOT NULL ORDER BY finished_at LIMIT $3
            """
        static let dueLanes =
            """
            SELECT l.lane FROM errand.lanes AS l WHERE EXISTS \
            (SELECT FROM errand.jobs AS j WHERE j.lane = l.lane AND j.due_at <= $1)
            """
        static let promote =
            "SELECT errand.promote_1($1, $2::integer[], $3)"
        static let expiredResults =
            """
            DELETE FROM errand.results WHERE job = ANY (ARRAY( \
            SELECT job FROM errand.results WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED))
            """
        static let oldCounters =
            """
            DELETE FROM errand.counters WHERE ctid = ANY (ARRAY( \
            SELECT ctid FROM errand.counters WHERE minute < $1 LIMIT $2))
            """
        static let oldReports =
            """
            UPDATE errand.audit SET idempotency_key = NULL, report = NULL WHERE idempotency_key IS NOT NULL AND at <= $1
            """
        static let oldAudit =
            "DELETE FROM errand.audit WHERE entry <= (SELECT max(entry) FROM errand.audit) - $1"
        static let oldImports =
            """
            DELETE FROM errand.imports WHERE id = ANY (ARRAY( \
            SELECT id FROM errand.imports WHERE at <= $1 ORDER BY at LIMIT $2))
            """
        // Not while a batch is on its way: they may be its jobs.
        static let oldDepartures =
            """
            DELETE FROM errand.departures WHERE job = ANY (ARRAY( \
            SELECT job FROM errand.departures WHERE at <= $1 ORDER BY at LIMIT $2)) \
            AND NOT EXISTS (SELECT FROM errand.exports)
            """
    }
}
