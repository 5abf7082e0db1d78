// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension PostgresQuery {
    /// Jobs on their way to and from other stores.
    enum Moves {
        static let lockMoves =
            "SELECT pg_advisory_xact_lock('errand.exports'::regclass::oid::bigint)"
        static let openExport =
            "SELECT id, batch FROM errand.exports"
        static let putExport =
            "INSERT INTO errand.exports (id, destination, at, batch) VALUES ($1, $2, $3, $4)"
        static let deleteExport =
            "DELETE FROM errand.exports WHERE id = $1"
        static let readyLanes =
            """
            SELECT l.lane FROM errand.lanes AS l WHERE EXISTS \
            (SELECT FROM errand.jobs AS j WHERE j.lane = l.lane AND j.state = 3 AND j.hold IS NULL)
            """
        static let readyAfter =
            "SELECT r_id, r_lane, r_rank, r_place, r_bytes FROM errand.ready_after_1($1, $2, $3, $4)"
        static let glancesAfter =
            """
            SELECT j.id, j.state, j.place, octet_length(j.payload) FROM errand.jobs AS j \
            WHERE ($1::uuid IS NULL OR j.id > $1) ORDER BY j.id LIMIT $2
            """
        static let waitersOfJobs =
            """
            SELECT k.follow_up FROM errand.jobs AS j JOIN errand.unique_keys AS k ON k.key = j.unique_key \
            WHERE j.id = ANY ($1) AND k.follow_up IS NOT NULL
            """
        static let keyRows =
            "SELECT key, job, follow_up FROM errand.unique_keys WHERE key = ANY ($1)"
        static let deleteKeys =
            "DELETE FROM errand.unique_keys WHERE key = ANY ($1)"
        static let noteEarly =
            """
            INSERT INTO errand.early (lane, rank) SELECT DISTINCT j.lane, j.rank FROM errand.jobs AS j \
            WHERE j.id = ANY ($1) AND j.state + 0 = 3 AND j.hold IS NULL AND j.rank < errand.head_1(j.lane)
            """
        static let putDepartures =
            """
            INSERT INTO errand.departures (job, at) SELECT unnest($2::uuid[]), $1 \
            ON CONFLICT (job) DO UPDATE SET at = excluded.at
            """
        static let deleteDepartures =
            "DELETE FROM errand.departures WHERE job = ANY ($1)"
        static let putImport =
            "INSERT INTO errand.imports (id, at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING"
        // Only a key with a time outlives its job; what is left beside them belongs to jobs that run.
        static let orphanedKeys =
            """
            SELECT k.key, k.job, k.expires_at, k.last_state FROM errand.unique_keys AS k \
            WHERE k.expires_at IS NOT NULL AND k.follow_up IS NULL \
            AND NOT EXISTS (SELECT FROM errand.jobs AS j WHERE j.id = k.job) \
            ORDER BY k.expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
            """
        static let takeAudit =
            """
            WITH gone AS (DELETE FROM errand.audit WHERE entry = ANY (ARRAY( \
            SELECT entry FROM errand.audit ORDER BY at, entry LIMIT $1)) RETURNING *) \
            SELECT at, actor, action, target, reason, changed FROM gone ORDER BY at, entry
            """
        static let lockDeltas =
            "SELECT pg_advisory_xact_lock('errand.deltas'::regclass::oid::bigint)"
        static let takeCounters =
            """
            WITH gone AS (DELETE FROM errand.counters WHERE ctid = ANY (ARRAY( \
            SELECT ctid FROM errand.counters ORDER BY minute, lane, metric, bucket LIMIT $1)) RETURNING *) \
            SELECT minute, lane, metric, bucket, value FROM gone ORDER BY minute, lane, metric, bucket
            """
        static let putJobs =
            PostgresArrivals.sql
        static let putKeys =
            """
            INSERT INTO errand.unique_keys (key, job, expires_at, last_state) \
            SELECT key, job, expires_at, state \
            FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[]) AS k (key, job, expires_at, state) ORDER BY key \
            ON CONFLICT (key) DO NOTHING RETURNING job
            """
        static let putAttempts =
            """
            INSERT INTO errand.attempts (job, epoch, run, number, worker, started_at, ended_at, ending, error) \
            SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::uuid[], $6::bigint[], \
            $7::bigint[], $8::text[], $9::text[]) ON CONFLICT (job, epoch) DO NOTHING
            """
        static let putAllLines =
            """
            INSERT INTO errand.job_log (job, line, at, level, message) \
            SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bytea[]) ON CONFLICT DO NOTHING
            """
        static let putCheckpoints =
            """
            INSERT INTO errand.checkpoints (job, name, version, format, bytes) \
            SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::bigint[], $4::text[], $5::bytea[]) ON CONFLICT DO NOTHING
            """
        static let putResults =
            """
            INSERT INTO errand.results (job, expires_at, version, format, bytes) \
            SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::bytea[]) ON CONFLICT DO NOTHING
            """
        static let putTagsOfJobs =
            """
            INSERT INTO errand.job_tags (tag, job) SELECT * FROM unnest($1::text[], $2::uuid[]) ON CONFLICT DO NOTHING
            """
        static let putAuditLines =
            """
            INSERT INTO errand.audit (at, actor, action, target, reason, changed) \
            SELECT at, actor, action, target, reason, changed \
            FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[]) WITH ORDINALITY \
            AS a (at, actor, action, target, reason, changed, n) ORDER BY n
            """
        static let putPauses =
            """
            INSERT INTO errand.controls (scope, actor, reason, since, until) \
            SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[]) ON CONFLICT DO NOTHING
            """
    }
}
