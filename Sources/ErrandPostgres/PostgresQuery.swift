// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The statements for the roads on which something is decided in Swift; the others are functions in the migrations.
///
/// `errand.` stands for the schema of the deployment.
enum PostgresQuery: Int, CaseIterable {
    // Catalogue
    case identity, allLanes, findLane, addLane, laneOnItsOwn, nextBatch

    // Functions
    case insert, claim, peek, offer, succeed, beat, fold

    // Rows
    case keysOfJobs, lockKeys, lockKeysFree, existingKeys
    case lockJobs, lockJobsWithPayload, lockJobsFree, lockJobsFreeWithPayload
    case jobs, jobsWithPayload, existingJobs, updateJob, updateDetails, updatePayload, placeOfJob, setAside
    case deleteJobs, deleteResults, deleteAttempts, deleteLog, deleteCheckpoints, deleteTagsOfJobs

    // Unique keys
    case takeKeys, keyByText, holderOfKey, putKey, setKeyFollowUp, setKeyState, deleteKey, expiredKeys

    // Parts
    case putResult, resultsOfJobs, putAttempt, trimAttempts, attemptsOfJobs, setProgress
    case putLines, trimLog, linesOfJobs, putCheckpoint, checkpointsOfJobs, putTags, deleteTags

    // Workers
    case putWorker, touchWorker, buryWorker, deleteWorkers, allWorkers, holders, runningOfWorker

    // Controls and audit
    case allControls, putControl, deleteControl, putAudit, auditByKey, newestAudit

    // Numbers
    case addDeltas, tallies, recount, counters, oldestReady, readyOfLane, manyDeltas

    // Lists
    case glances, glancesOfTag, glancesFailed, glancesRunning

    // Moves
    case lockMoves, openExport, putExport, deleteExport, readyLanes, readyAfter, glancesAfter, waitersOfJobs, keyRows
    case deleteKeys, putDepartures, deleteDepartures, putImport, orphanedKeys, takeAudit, lockDeltas, takeCounters
    case putJobs, putKeys, putAttempts, putAllLines, putCheckpoints, putResults, putTagsOfJobs, putAuditLines, putPauses

    // Maintenance
    case isAnythingOver, isAnybodyLost, lateJobs, endedHolds, finishedBefore, oldestFinished, dueLanes, promote
    case expiredResults, oldCounters, oldReports, oldAudit, oldImports, oldDepartures

    var sql: String {
        switch self {
        case .identity: "SELECT id FROM errand.identity"
        case .allLanes: "SELECT lane, queue, name, version FROM errand.lanes ORDER BY lane"
        case .findLane: "SELECT min(lane) FROM errand.lanes WHERE queue = $1 AND name = $2 AND version = $3"
        case .addLane: "INSERT INTO errand.lanes (queue, name, version) VALUES ($1, $2, $3) RETURNING lane"
        case .laneOnItsOwn: "SELECT errand.lane_1($1, $2, $3)"
        case .nextBatch: "SELECT nextval('errand.batches') << 16"

        case .insert:
            """
            SELECT errand.insert_2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, \
            $20, $21, $22, $23, $24, $25, $26)
            """
        case .claim:
            """
            SELECT r_kind, r_moment, r_next, r_more, \(PostgresRow.columns(of: "c")), c.payload \
            FROM errand.claim_1($1, $2, $3, $4, $5, $6, $7) AS c
            """
        case .peek: "SELECT unnest(errand.peek_1($1, $2, $3, $4, $5, $6))"
        case .offer:
            "SELECT \(PostgresRow.columns(of: "j")), j.payload FROM errand.offer_1($1, $2, $3, $4, $5, $6, $7) AS j"
        case .succeed:
            "SELECT r_moment, unnest(coalesce(r_missed, ARRAY[NULL]::uuid[])) FROM errand.succeed_1($1, $2, $3, $4, $5, $6, $7, $8)"
        case .beat: "SELECT r_kind, r_moment, r_place, r_id, r_cancel FROM errand.beat_1($1, $2, $3, $4, $5)"
        case .fold: "SELECT errand.fold_1($1)"

        case .keysOfJobs:
            "SELECT DISTINCT unique_key FROM errand.jobs WHERE id = ANY ($1) AND unique_key IS NOT NULL ORDER BY 1"
        case .lockKeys: "SELECT key FROM errand.unique_keys WHERE key = ANY ($1) ORDER BY key FOR UPDATE"
        case .lockKeysFree:
            "SELECT key FROM errand.unique_keys WHERE key = ANY ($1) ORDER BY key FOR UPDATE SKIP LOCKED"
        case .existingKeys: "SELECT key FROM errand.unique_keys WHERE key = ANY ($1)"
        case .lockJobs: "\(Self.select) WHERE j.id = ANY ($1) ORDER BY j.id FOR UPDATE"
        case .lockJobsWithPayload: "\(Self.selectAll) WHERE j.id = ANY ($1) ORDER BY j.id FOR UPDATE"
        case .lockJobsFree: "\(Self.select) WHERE j.id = ANY ($1) ORDER BY j.id FOR UPDATE SKIP LOCKED"
        case .lockJobsFreeWithPayload: "\(Self.selectAll) WHERE j.id = ANY ($1) ORDER BY j.id FOR UPDATE SKIP LOCKED"
        case .jobs: "\(Self.select) WHERE j.id = ANY ($1)"
        case .jobsWithPayload: "\(Self.selectAll) WHERE j.id = ANY ($1)"
        case .existingJobs:
            // Or existing elsewhere: jobs that left are as good as stored.
            """
            SELECT id FROM errand.jobs WHERE id = ANY ($1) UNION ALL \
            SELECT job FROM errand.departures WHERE job = ANY ($1)
            """
        case .updateJob:
            """
            UPDATE errand.jobs SET lane = $2, state = $3, rank = $4, run_at = $5, priority = $6, epoch = $7, \
            attempt = $8, failures = $9, crashes = $10, releases = $11, snoozes = $12, run = $13, revision = $14, \
            worker = $15, started_at = $16, finished_at = $17, start_by = $18, deadline = $19, hold = $20, \
            hold_until = $21, cancel = $22, reason = $23, fingerprint = $24, progress = $25, due_at = $26, \
            expires_at = $27 WHERE id = $1
            """
        case .updateDetails: "UPDATE errand.jobs SET retry = $2, tags = $3, headers = $4, error = $5 WHERE id = $1"
        case .updatePayload: "UPDATE errand.jobs SET format = $2, payload = $3 WHERE id = $1"
        case .placeOfJob: "SELECT lane, state FROM errand.jobs WHERE id = $1"
        case .setAside:
            // The epoch rises, so that whoever ran it is refused. What cannot be read may be the worker or the
            // progress, which nobody needs of a job that does not run; or the epoch, which then goes beyond any that was.
            """
            UPDATE errand.jobs SET state = CASE state WHEN 4 THEN 3 ELSE state END, \
            epoch = CASE WHEN epoch BETWEEN 0 AND \(PostgresRow.largest) THEN epoch + (state = 4)::int \
            ELSE \(PostgresRow.largest / 2) END, \
            worker = NULL, progress = NULL, hold = CASE WHEN state < 5 THEN $2 ELSE hold END, hold_until = NULL, \
            due_at = NULL, expires_at = NULL, finished_at = NULL WHERE id = $1
            """
        case .deleteJobs: "DELETE FROM errand.jobs WHERE id = ANY ($1)"
        case .deleteResults: "DELETE FROM errand.results WHERE job = ANY ($1)"
        case .deleteAttempts: "DELETE FROM errand.attempts WHERE job = ANY ($1)"
        case .deleteLog: "DELETE FROM errand.job_log WHERE job = ANY ($1)"
        case .deleteCheckpoints: "DELETE FROM errand.checkpoints WHERE job = ANY ($1)"
        case .deleteTagsOfJobs:
            "DELETE FROM errand.job_tags WHERE (tag, job) IN (SELECT * FROM unnest($1::text[], $2::uuid[]))"

        case .takeKeys:
            """
            INSERT INTO errand.unique_keys (key, job, expires_at, last_state) \
            SELECT k.key, k.job, errand.later_1($1, k.ttl), k.state \
            FROM unnest($2::text[], $3::uuid[], $4::bigint[], $5::bigint[]) AS k (key, job, ttl, state) ORDER BY k.key \
            ON CONFLICT (key) DO NOTHING RETURNING key
            """
        case .keyByText:
            "SELECT job, follow_up, expires_at, last_state FROM errand.unique_keys WHERE key = $1 FOR UPDATE"
        case .holderOfKey: "SELECT job, follow_up, expires_at, last_state FROM errand.unique_keys WHERE key = $1"
        case .putKey:
            """
            INSERT INTO errand.unique_keys (key, job, follow_up, expires_at, last_state) VALUES ($1, $2, NULL, $3, $4) \
            ON CONFLICT (key) DO UPDATE SET job = excluded.job, follow_up = NULL, expires_at = excluded.expires_at, \
            last_state = excluded.last_state
            """
        case .setKeyFollowUp: "UPDATE errand.unique_keys SET follow_up = $2 WHERE key = $1"
        case .setKeyState: "UPDATE errand.unique_keys SET last_state = $2 WHERE key = $1"
        case .deleteKey: "DELETE FROM errand.unique_keys WHERE key = $1"
        case .expiredKeys:
            """
            SELECT key FROM errand.unique_keys WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
            """

        case .putResult:
            """
            INSERT INTO errand.results (job, expires_at, version, format, bytes) VALUES ($1, $2, $3, $4, $5) \
            ON CONFLICT (job) DO UPDATE SET expires_at = excluded.expires_at, version = excluded.version, \
            format = excluded.format, bytes = excluded.bytes
            """
        case .resultsOfJobs:
            "SELECT job, version, format, bytes FROM errand.results WHERE job = ANY ($1) AND expires_at > $2"
        case .putAttempt:
            """
            INSERT INTO errand.attempts (job, epoch, run, number, worker, started_at, ended_at, ending, error) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (job, epoch) DO UPDATE SET run = excluded.run, \
            number = excluded.number, worker = excluded.worker, started_at = excluded.started_at, \
            ended_at = excluded.ended_at, ending = excluded.ending, error = excluded.error
            """
        case .trimAttempts:
            """
            DELETE FROM errand.attempts WHERE job = $1 AND epoch <= \
            (SELECT epoch FROM errand.attempts WHERE job = $1 ORDER BY epoch DESC LIMIT 1 OFFSET $2)
            """
        case .attemptsOfJobs:
            """
            SELECT job, run, number, epoch, worker, started_at, ended_at, ending, error FROM errand.attempts \
            WHERE job = ANY ($1) ORDER BY job, epoch
            """
        case .setProgress: "UPDATE errand.jobs SET progress = $2 WHERE id = $1"
        case .putLines:
            """
            INSERT INTO errand.job_log (job, line, at, level, message) \
            SELECT $1, (SELECT coalesce(max(line), 0) FROM errand.job_log WHERE job = $1) + l.n, l.at, l.level, l.message \
            FROM unnest($2::bigint[], $3::bytea[], $4::bytea[]) WITH ORDINALITY AS l (at, level, message, n)
            """
        case .trimLog:
            """
            DELETE FROM errand.job_log WHERE job = $1 \
            AND line <= (SELECT max(line) FROM errand.job_log WHERE job = $1) - $2
            """
        case .linesOfJobs:
            "SELECT job, at, level, message FROM errand.job_log WHERE job = ANY ($1) ORDER BY job, line"
        case .putCheckpoint:
            """
            WITH marked AS (UPDATE errand.jobs SET has_checkpoints = true WHERE id = $1 AND NOT has_checkpoints) \
            INSERT INTO errand.checkpoints (job, name, version, format, bytes) VALUES ($1, $2, $3, $4, $5) \
            ON CONFLICT (job, name) DO UPDATE SET version = excluded.version, format = excluded.format, \
            bytes = excluded.bytes
            """
        case .checkpointsOfJobs:
            "SELECT job, name, version, format, bytes FROM errand.checkpoints WHERE job = ANY ($1)"
        case .putTags:
            "INSERT INTO errand.job_tags (tag, job) SELECT tag, $1 FROM unnest($2::text[]) AS t (tag) ON CONFLICT DO NOTHING"
        case .deleteTags: "DELETE FROM errand.job_tags WHERE job = $1 AND tag = ANY ($2)"

        case .putWorker:
            """
            INSERT INTO errand.workers (id, host, pid, version, names, slots, started_at, last_seen) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (id) DO UPDATE SET host = excluded.host, \
            pid = excluded.pid, version = excluded.version, names = excluded.names, slots = excluded.slots, \
            last_seen = excluded.last_seen
            """
        case .touchWorker: "UPDATE errand.workers SET last_seen = $2 WHERE id = $1 AND dead_at IS NULL"
        case .buryWorker: "UPDATE errand.workers SET dead_at = $2 WHERE id = $1 AND dead_at IS NULL"
        case .deleteWorkers: "DELETE FROM errand.workers WHERE id = ANY ($1)"
        case .allWorkers:
            """
            SELECT w.id, w.host, w.pid, w.version, w.names, w.slots, w.started_at, w.last_seen, w.dead_at, \
            (SELECT count(*) FROM errand.jobs AS j WHERE j.worker = w.id AND j.state = 4) \
            FROM errand.workers AS w ORDER BY w.started_at, w.id
            """
        case .holders:
            """
            WITH RECURSIVE h AS ( \
            (SELECT worker FROM errand.jobs WHERE state = 4 ORDER BY worker LIMIT 1) UNION ALL \
            SELECT (SELECT j.worker FROM errand.jobs AS j WHERE j.state = 4 AND j.worker > h.worker ORDER BY j.worker LIMIT 1) \
            FROM h WHERE h.worker IS NOT NULL) SELECT worker FROM h WHERE worker IS NOT NULL
            """
        case .runningOfWorker: "SELECT id FROM errand.jobs WHERE worker = $1 AND state = 4 ORDER BY place LIMIT $2"

        case .allControls: "SELECT scope, actor, reason, since, until FROM errand.controls"
        case .putControl:
            """
            INSERT INTO errand.controls (scope, actor, reason, since, until) VALUES ($1, $2, $3, $4, $5) \
            ON CONFLICT (scope) DO UPDATE SET actor = excluded.actor, reason = excluded.reason, since = excluded.since, \
            until = excluded.until
            """
        case .deleteControl: "DELETE FROM errand.controls WHERE scope = $1"
        case .putAudit:
            """
            INSERT INTO errand.audit (at, actor, action, target, reason, changed, idempotency_key, report) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            """
        case .auditByKey: "SELECT report FROM errand.audit WHERE idempotency_key = $1"
        case .newestAudit:
            """
            SELECT at, actor, action, target, reason, changed FROM errand.audit ORDER BY at DESC, entry DESC LIMIT $1
            """

        case .addDeltas:
            """
            INSERT INTO errand.deltas (n, minute, lane, kind, bucket) \
            SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
            """
        case .tallies:
            """
            SELECT lane, state, sum(n)::bigint FROM (SELECT lane, state, n FROM errand.tallies UNION ALL \
            SELECT lane, kind, n FROM errand.deltas WHERE kind < 16) AS t GROUP BY lane, state HAVING sum(n) <> 0
            """
        case .recount:
            """
            WITH missing AS (SELECT lane, state, sum(n)::bigint AS n FROM ( \
            SELECT lane, state, -n AS n FROM errand.tallies UNION ALL \
            SELECT lane, kind, -n FROM errand.deltas WHERE kind < 16 UNION ALL \
            SELECT lane, state, count(*) FROM errand.jobs GROUP BY lane, state) AS t \
            GROUP BY lane, state HAVING sum(n) <> 0) \
            INSERT INTO errand.deltas (n, minute, lane, kind, bucket) SELECT n, 0, lane, state, 0 FROM missing
            """
        case .counters:
            """
            SELECT minute, lane, metric, bucket, sum(value)::bigint FROM ( \
            SELECT minute, lane, metric, bucket, value FROM errand.counters WHERE minute >= $1 AND minute < $2 UNION ALL \
            SELECT minute, lane, kind - 16, bucket, n FROM errand.deltas \
            WHERE kind >= 16 AND minute >= $1 AND minute < $2) AS c \
            GROUP BY minute, lane, metric, bucket ORDER BY minute, lane, metric, bucket
            """
        case .oldestReady:
            """
            SELECT rank, run_at FROM errand.jobs WHERE lane = $1 AND state = 3 AND hold IS NULL ORDER BY rank, place LIMIT $2
            """
        case .readyOfLane:
            """
            SELECT count(*) FROM (SELECT FROM errand.jobs WHERE lane = $1 AND state = 3 AND hold IS NULL LIMIT $2) AS r
            """
        case .manyDeltas: "SELECT count(*) FROM (SELECT FROM errand.deltas LIMIT $1) AS d"

        case .glances:
            "\(Self.glance) FROM errand.jobs AS j WHERE ($1::uuid IS NULL OR j.id < $1) ORDER BY j.id DESC LIMIT $2"
        case .glancesOfTag:
            """
            \(Self.glance) FROM errand.job_tags AS t JOIN errand.jobs AS j ON j.id = t.job \
            WHERE t.tag = $3 AND ($1::uuid IS NULL OR t.job < $1) ORDER BY t.job DESC LIMIT $2
            """
        case .glancesFailed:
            """
            \(Self.glance) FROM errand.jobs AS j \
            WHERE j.reason IS NOT NULL AND ($1::uuid IS NULL OR j.id < $1) ORDER BY j.id DESC LIMIT $2
            """
        case .glancesRunning:
            """
            \(Self.glance) FROM errand.jobs AS j \
            WHERE j.state = 4 AND ($1::uuid IS NULL OR j.id < $1) ORDER BY j.id DESC LIMIT $2
            """

        case .lockMoves: "SELECT pg_advisory_xact_lock('errand.exports'::regclass::oid::bigint)"
        case .openExport: "SELECT id, batch FROM errand.exports"
        case .putExport: "INSERT INTO errand.exports (id, destination, at, batch) VALUES ($1, $2, $3, $4)"
        case .deleteExport: "DELETE FROM errand.exports WHERE id = $1"
        case .readyLanes:
            """
            SELECT l.lane FROM errand.lanes AS l WHERE EXISTS \
            (SELECT FROM errand.jobs AS j WHERE j.lane = l.lane AND j.state = 3 AND j.hold IS NULL)
            """
        case .readyAfter: "SELECT r_id, r_lane, r_rank, r_place, r_bytes FROM errand.ready_after_1($1, $2, $3, $4)"
        case .glancesAfter:
            """
            SELECT j.id, j.state, j.place, octet_length(j.payload) FROM errand.jobs AS j \
            WHERE ($1::uuid IS NULL OR j.id > $1) ORDER BY j.id LIMIT $2
            """
        case .waitersOfJobs:
            """
            SELECT k.follow_up FROM errand.jobs AS j JOIN errand.unique_keys AS k ON k.key = j.unique_key \
            WHERE j.id = ANY ($1) AND k.follow_up IS NOT NULL
            """
        case .keyRows: "SELECT key, job, follow_up FROM errand.unique_keys WHERE key = ANY ($1)"
        case .deleteKeys: "DELETE FROM errand.unique_keys WHERE key = ANY ($1)"
        case .putDepartures:
            """
            INSERT INTO errand.departures (job, at) SELECT unnest($2::uuid[]), $1 \
            ON CONFLICT (job) DO UPDATE SET at = excluded.at
            """
        case .deleteDepartures: "DELETE FROM errand.departures WHERE job = ANY ($1)"
        case .putImport: "INSERT INTO errand.imports (id, at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING"
        case .orphanedKeys:
            // Only a key with a time outlives its job; what is left beside them belongs to jobs that run.
            """
            SELECT k.key, k.job, k.expires_at, k.last_state FROM errand.unique_keys AS k \
            WHERE k.expires_at IS NOT NULL AND k.follow_up IS NULL \
            AND NOT EXISTS (SELECT FROM errand.jobs AS j WHERE j.id = k.job) \
            ORDER BY k.expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
            """
        case .takeAudit:
            """
            WITH gone AS (DELETE FROM errand.audit WHERE entry = ANY (ARRAY( \
            SELECT entry FROM errand.audit ORDER BY at, entry LIMIT $1)) RETURNING *) \
            SELECT at, actor, action, target, reason, changed FROM gone ORDER BY at, entry
            """
        case .lockDeltas: "SELECT pg_advisory_xact_lock('errand.deltas'::regclass::oid::bigint)"
        case .takeCounters:
            """
            WITH gone AS (DELETE FROM errand.counters WHERE ctid = ANY (ARRAY( \
            SELECT ctid FROM errand.counters ORDER BY minute, lane, metric, bucket LIMIT $1)) RETURNING *) \
            SELECT minute, lane, metric, bucket, value FROM gone ORDER BY minute, lane, metric, bucket
            """
        case .putJobs: PostgresArrivals.sql
        case .putKeys:
            """
            INSERT INTO errand.unique_keys (key, job, expires_at, last_state) \
            SELECT key, job, expires_at, state \
            FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[]) AS k (key, job, expires_at, state) ORDER BY key \
            ON CONFLICT (key) DO NOTHING RETURNING job
            """
        case .putAttempts:
            """
            INSERT INTO errand.attempts (job, epoch, run, number, worker, started_at, ended_at, ending, error) \
            SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::uuid[], $6::bigint[], \
            $7::bigint[], $8::text[], $9::text[]) ON CONFLICT (job, epoch) DO NOTHING
            """
        case .putAllLines:
            """
            INSERT INTO errand.job_log (job, line, at, level, message) \
            SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bytea[]) ON CONFLICT DO NOTHING
            """
        case .putCheckpoints:
            """
            INSERT INTO errand.checkpoints (job, name, version, format, bytes) \
            SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::bigint[], $4::text[], $5::bytea[]) ON CONFLICT DO NOTHING
            """
        case .putResults:
            """
            INSERT INTO errand.results (job, expires_at, version, format, bytes) \
            SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::bytea[]) ON CONFLICT DO NOTHING
            """
        case .putTagsOfJobs:
            """
            INSERT INTO errand.job_tags (tag, job) SELECT * FROM unnest($1::text[], $2::uuid[]) ON CONFLICT DO NOTHING
            """
        case .putAuditLines:
            """
            INSERT INTO errand.audit (at, actor, action, target, reason, changed) \
            SELECT at, actor, action, target, reason, changed \
            FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[]) WITH ORDINALITY \
            AS a (at, actor, action, target, reason, changed, n) ORDER BY n
            """
        case .putPauses:
            """
            INSERT INTO errand.controls (scope, actor, reason, since, until) \
            SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[]) ON CONFLICT DO NOTHING
            """

        case .isAnythingOver:
            """
            WITH t AS MATERIALIZED (SELECT errand.moment_1($1) AS now) \
            SELECT EXISTS (SELECT FROM errand.jobs WHERE expires_at <= (SELECT now FROM t)) \
            OR EXISTS (SELECT FROM errand.jobs WHERE hold_until <= (SELECT now FROM t)) \
            OR EXISTS (SELECT FROM errand.controls WHERE until <= (SELECT now FROM t))
            """
        case .isAnybodyLost:
            """
            WITH RECURSIVE t AS MATERIALIZED (SELECT errand.moment_1($1) AS now), h AS ( \
            (SELECT worker FROM errand.jobs WHERE state = 4 ORDER BY worker LIMIT 1) UNION ALL \
            SELECT (SELECT j.worker FROM errand.jobs AS j WHERE j.state = 4 AND j.worker > h.worker ORDER BY j.worker LIMIT 1) \
            FROM h WHERE h.worker IS NOT NULL) \
            SELECT EXISTS (SELECT FROM errand.workers AS w, t \
            WHERE w.dead_at IS NOT NULL OR w.last_seen > t.now OR t.now - w.last_seen > $2) \
            OR EXISTS (SELECT FROM h WHERE h.worker IS NOT NULL AND NOT EXISTS (SELECT FROM errand.workers AS w WHERE w.id = h.worker))
            """
        case .lateJobs: "SELECT id FROM errand.jobs WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2"
        case .endedHolds: "SELECT id FROM errand.jobs WHERE hold_until <= $1 ORDER BY hold_until LIMIT $2"
        case .finishedBefore:
            """
            SELECT id, finished_at, place FROM errand.jobs \
            WHERE lane = $1 AND state = $2 AND finished_at <= $3 ORDER BY finished_at LIMIT $4
            """
        case .oldestFinished:
            """
            SELECT id, finished_at, place FROM errand.jobs \
            WHERE lane = $1 AND state = $2 AND finished_at IS NOT NULL ORDER BY finished_at LIMIT $3
            """
        case .dueLanes:
            """
            SELECT l.lane FROM errand.lanes AS l WHERE EXISTS \
            (SELECT FROM errand.jobs AS j WHERE j.lane = l.lane AND j.due_at <= $1)
            """
        case .promote: "SELECT errand.promote_1($1, $2::integer[], $3)"
        case .expiredResults:
            """
            DELETE FROM errand.results WHERE job = ANY (ARRAY( \
            SELECT job FROM errand.results WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED))
            """
        case .oldCounters:
            """
            DELETE FROM errand.counters WHERE ctid = ANY (ARRAY( \
            SELECT ctid FROM errand.counters WHERE minute < $1 LIMIT $2))
            """
        case .oldReports:
            """
            UPDATE errand.audit SET idempotency_key = NULL, report = NULL WHERE idempotency_key IS NOT NULL AND at <= $1
            """
        case .oldImports:
            """
            DELETE FROM errand.imports WHERE id = ANY (ARRAY( \
            SELECT id FROM errand.imports WHERE at <= $1 ORDER BY at LIMIT $2))
            """
        case .oldDepartures:
            // Not while a batch is on its way: they may be its jobs.
            """
            DELETE FROM errand.departures WHERE job = ANY (ARRAY( \
            SELECT job FROM errand.departures WHERE at <= $1 ORDER BY at LIMIT $2)) \
            AND NOT EXISTS (SELECT FROM errand.exports)
            """
        case .oldAudit: "DELETE FROM errand.audit WHERE entry <= (SELECT max(entry) FROM errand.audit) - $1"
        }
    }

    private static let select = "SELECT \(PostgresRow.columns(of: "j")), NULL::bytea FROM errand.jobs AS j"
    private static let selectAll = "SELECT \(PostgresRow.columns(of: "j")), j.payload FROM errand.jobs AS j"
    private static let glance =
        "SELECT j.id, j.lane, j.state, j.created_at, j.fingerprint, j.hold IS NOT NULL"

    /// All statements with the schema of a deployment in its quotes.
    static func statements(schema: String) -> [String] {
        allCases.map { PostgresMigrations.placed($0.sql, schema: schema) }
    }
}
