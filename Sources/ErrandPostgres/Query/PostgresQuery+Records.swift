// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension PostgresQuery {
    /// Workers and what they hold.
    enum Workers {
        static let putWorker =
            """
            INSERT INTO errand.workers (id, host, pid, version, names, slots, started_at, last_seen) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (id) DO UPDATE SET host = excluded.host, \
            pid = excluded.pid, version = excluded.version, names = excluded.names, slots = excluded.slots, \
            last_seen = excluded.last_seen
            """
        static let touchWorker =
            "UPDATE errand.workers SET last_seen = $2 WHERE id = $1 AND dead_at IS NULL"
        static let buryWorker =
            "UPDATE errand.workers SET dead_at = $2 WHERE id = $1 AND dead_at IS NULL"
        static let deleteWorkers =
            "DELETE FROM errand.workers WHERE id = ANY ($1)"
        static let allWorkers =
            """
            SELECT w.id, w.host, w.pid, w.version, w.names, w.slots, w.started_at, w.last_seen, w.dead_at, \
            CASE WHEN $1 THEN (SELECT count(*) FROM errand.jobs AS j WHERE j.worker = w.id AND j.state = 4) ELSE 0 END \
            FROM errand.workers AS w ORDER BY w.started_at, w.id
            """
        static let holders =
            "WITH RECURSIVE \(PostgresQuery.holders(besides: "SELECT unnest($1::uuid[])")) SELECT worker FROM holders"
        static let runningOfWorker =
            "SELECT id FROM errand.jobs WHERE worker = $1 AND state = 4 ORDER BY place LIMIT $2"
    }

    /// Pauses and the audit.
    enum Records {
        static let allControls =
            "SELECT scope, actor, reason, since, until FROM errand.controls"
        static let putControl =
            """
            INSERT INTO errand.controls (scope, actor, reason, since, until) VALUES ($1, $2, $3, $4, $5) \
            ON CONFLICT (scope) DO UPDATE SET actor = excluded.actor, reason = excluded.reason, since = excluded.since, \
            until = excluded.until
            """
        static let deleteControl =
            "DELETE FROM errand.controls WHERE scope = $1"
        static let putAudit =
            """
            INSERT INTO errand.audit (at, actor, action, target, reason, changed, idempotency_key, report) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            """
        static let auditByKey =
            "SELECT report FROM errand.audit WHERE idempotency_key = $1"
        static let newestAudit =
            """
            SELECT at, actor, action, target, reason, changed FROM errand.audit ORDER BY at DESC, entry DESC LIMIT $1
            """
    }

    /// Counts.
    enum Numbers {
        static let addDeltas =
            """
            INSERT INTO errand.deltas (n, minute, lane, kind, bucket) \
            SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
            """
        static let tallies =
            """
            SELECT lane, state, sum(n)::bigint FROM (SELECT lane, state, n FROM errand.tallies UNION ALL \
            SELECT lane, kind, n FROM errand.deltas WHERE kind < 16) AS t GROUP BY lane, state HAVING sum(n) <> 0
            """
        static let recount =
            """
            WITH missing AS (SELECT lane, state, sum(n)::bigint AS n FROM ( \
            SELECT lane, state, -n AS n FROM errand.tallies UNION ALL \
            SELECT lane, kind, -n FROM errand.deltas WHERE kind < 16 UNION ALL \
            SELECT lane, state, count(*) FROM errand.jobs GROUP BY lane, state) AS t \
            GROUP BY lane, state HAVING sum(n) <> 0) \
            INSERT INTO errand.deltas (n, minute, lane, kind, bucket) SELECT n, 0, lane, state, 0 FROM missing
            """
        static let counters =
            """
            SELECT minute, lane, metric, bucket, sum(value)::bigint FROM ( \
            SELECT minute, lane, metric, bucket, value FROM errand.counters WHERE minute >= $1 AND minute < $2 UNION ALL \
            SELECT minute, lane, kind - 16, bucket, n FROM errand.deltas \
            WHERE kind >= 16 AND minute >= $1 AND minute < $2) AS c \
            GROUP BY minute, lane, metric, bucket ORDER BY minute, lane, metric, bucket
            """
        static let oldestReady =
            """
            SELECT rank, run_at FROM errand.jobs WHERE lane = $1 AND state = 3 AND hold IS NULL \
            AND rank >= least($3, (SELECT min(rank) FROM errand.early WHERE lane = $1)) ORDER BY rank, place LIMIT $2
            """
        static let readyOfLane =
            """
            SELECT count(*) FROM (SELECT FROM errand.jobs WHERE lane = $1 AND state = 3 AND hold IS NULL LIMIT $2) AS r
            """
        static let manyDeltas =
            "SELECT count(*) FROM (SELECT FROM errand.deltas LIMIT $1) AS d"
    }

    /// Pages of jobs.
    enum Lists {
        static let glances =
            "\(PostgresQuery.glance) FROM errand.jobs AS j WHERE ($1::uuid IS NULL OR j.id < $1) ORDER BY j.id DESC LIMIT $2"
        static let glancesOfTag =
            """
            \(PostgresQuery.glance) FROM errand.job_tags AS t JOIN errand.jobs AS j ON j.id = t.job \
            WHERE t.tag = $3 AND ($1::uuid IS NULL OR t.job < $1) ORDER BY t.job DESC LIMIT $2
            """
        static let glancesFailed =
            """
            \(PostgresQuery.glance) FROM errand.jobs AS j \
            WHERE j.reason IS NOT NULL AND ($1::uuid IS NULL OR j.id < $1) ORDER BY j.id DESC LIMIT $2
            """
        static let glancesRunning =
            """
            \(PostgresQuery.glance) FROM errand.jobs AS j \
            WHERE j.state = 4 AND ($1::uuid IS NULL OR j.id < $1) ORDER BY j.id DESC LIMIT $2
            """
    }
}

extension PostgresQuery {
    /// A table of the workers that hold jobs, but for some: those are jumped over, because an index that nobody may clean up
    /// has an entry for everything that a worker ever held.
    static func holders(besides known: String) -> String {
        let found = { (gap: String) in
            """
            FROM \(gap) CROSS JOIN LATERAL (SELECT j.worker FROM errand.jobs AS j \
            WHERE j.state = 4 AND j.worker > \(gap).worker AND j.worker < \(gap).next ORDER BY j.worker LIMIT 1) AS f
            """
        }
        return """
            gaps AS (SELECT worker, lead(worker, 1, 'ffffffff-ffff-ffff-ffff-ffffffffffff') OVER (ORDER BY worker) AS next \
            FROM (SELECT '00000000-0000-0000-0000-000000000000'::uuid UNION \(known)) AS k (worker)), \
            holders AS (SELECT f.worker, gaps.next \(found("gaps")) UNION ALL \
            SELECT f.worker, holders.next \(found("holders")))
            """
    }
}
