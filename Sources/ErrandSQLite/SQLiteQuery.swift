// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Every statement of the store, so that one test can look at every plan.
///
/// `INDEXED BY` where a wrong plan would scan: SQLite then refuses to prepare the statement instead of choosing
/// another plan after somebody ran `ANALYZE` on a shared file.
enum SQLiteQuery: Int, CaseIterable {
    // Calls within a transaction
    case savepoint, rollbackToSavepoint, releaseSavepoint
    // Items of a call that are all or nothing; a name of their own, so that undoing the call undoes them
    case itemSavepoint, rollbackToItem, releaseItem

    // Catalogue
    case laneByKey, laneByNumber, lanesAfter, addLane
    case policyByText, policyByNumber, addPolicy
    case workerByID, workerByNumber, addWorkerID

    // Rows
    case insertJob, insertDetails, jobByRow, jobByID, jobWithPayload, rowByID
    case updateJob, updateDetails, updatePayload, claimRows, startedRow, succeedRows, succeededRows, setProgress,
        placeOfRow, setAside
    case deleteJob, deleteDetails, deleteResult, deleteAttempts, deleteLog, deleteCheckpoints

    // Claim
    case readyAfter, readyJobsAfter, dueRows, dueAfterLane, promoteRow

    // Unique keys
    case keyByText, putKey, setKeyFollowUp, setKeyState, deleteKey

    // Parts
    case putResult, resultByRow, putAttempt, trimAttempts, attemptsByRow
    case lastLine, putLine, trimLog, linesByRow, putCheckpoint, checkpointsByRow, putTag, deleteTag

    // Workers
    case putWorker, liveWorker, touchWorker, buryWorker, deleteWorker, allWorkers, runningOfWorker, runningAfter
    case countRunning, leaseByRow

    // Controls and audit
    case allControls, putControl, deleteControl, putAudit, auditByKey, newestAudit

    // Numbers
    case addTally, addCounter, allTallies, groupJobs, counters, oldestReady

    // Lists
    case newestJobs, newestJobsOfTag, newestFailed, runningJobs

    // Moves
    case openExport, putExport, deleteExport, rowsAfter
    case anyDeparture, departureByID, putDeparture, deleteDeparture, oldDepartures
    case importByID, putImport, oldImports
    case orphanedKeys, oldestAudit, deleteAudit, oldestCounters, deleteCounter

    // Schedules and decisions
    case scheduleByID, scheduleVersion, putSchedule, deleteSchedule, dueSchedules, schedulesAhead, nextSchedule,
        schedulesAfter, endOfJob
    case tickByKey, ticksWithin, ticksInto, putTick, oldTicks, oldSchedules

    // Maintenance
    case lateRows, endedHolds, finishedBefore, oldestFinished
    case expiredResults, expiredKeys, oldCounters, oldReports, oldAudit, readyOfLane

    var sql: String {
        switch self {
        case .savepoint: "SAVEPOINT errand_call"
        case .rollbackToSavepoint: "ROLLBACK TO errand_call"
        case .releaseSavepoint: "RELEASE errand_call"
        case .itemSavepoint: "SAVEPOINT errand_item"
        case .rollbackToItem: "ROLLBACK TO errand_item"
        case .releaseItem: "RELEASE errand_item"
        case .laneByKey: "SELECT lane FROM errand_lanes WHERE queue = ?1 AND name = ?2 AND version = ?3"
        case .laneByNumber: "SELECT lane, queue, name, version FROM errand_lanes WHERE lane = ?1"
        case .lanesAfter: "SELECT lane, queue, name, version FROM errand_lanes WHERE lane > ?1 ORDER BY lane"
        case .addLane: "INSERT INTO errand_lanes (queue, name, version) VALUES (?1, ?2, ?3)"
        case .policyByText: "SELECT policy FROM errand_retry_policies WHERE text = ?1"
        case .policyByNumber: "SELECT text FROM errand_retry_policies WHERE policy = ?1"
        case .addPolicy: "INSERT INTO errand_retry_policies (text) VALUES (?1)"
        case .workerByID: "SELECT worker FROM errand_worker_ids WHERE id = ?1"
        case .workerByNumber: "SELECT id FROM errand_worker_ids WHERE worker = ?1"
        case .addWorkerID: "INSERT INTO errand_worker_ids (id) VALUES (?1)"

        case .insertJob:
            """
            INSERT INTO errand_jobs (id, lane, state, rank, run_at, priority, epoch, attempt, worker, created_at, \
            started_at, start_by, deadline, unique_scope, due_at, expires_at) \
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) \
            ON CONFLICT (id) DO NOTHING
            """
        case .insertDetails:
            """
            INSERT INTO errand_details (row, retry, crashes_allowed, timeout, result_ttl, unique_key, unique_ttl, \
            unique_conflict, tags, headers, trace, format, payload) \
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
            """
        case .jobByRow: "SELECT \(SQLiteRow.columns), NULL \(SQLiteRow.tables) WHERE j.row = ?1"
        case .jobByID: "SELECT \(SQLiteRow.columns), NULL \(SQLiteRow.tables) WHERE j.id = ?1"
        case .jobWithPayload: "SELECT \(SQLiteRow.columns), d.payload \(SQLiteRow.tables) WHERE j.row = ?1"
        case .rowByID: "SELECT row FROM errand_jobs WHERE id = ?1"
        case .updateJob:
            """
            UPDATE errand_jobs SET lane = ?4, state = ?5, rank = ?6, run_at = ?7, priority = ?8, epoch = ?9, \
            attempt = ?10, failures = ?11, crashes = ?12, releases = ?13, snoozes = ?14, run = ?15, revision = ?16, \
            worker = ?17, started_at = ?18, finished_at = ?19, start_by = ?20, deadline = ?21, hold = ?22, \
            hold_until = ?23, cancel = ?24, reason = ?25, fingerprint = ?26, progress = ?27, \
            due_at = ?28, expires_at = ?29 \
            WHERE row = ?1 AND state = ?2 AND epoch = ?3
            """
        case .updateDetails: "UPDATE errand_details SET retry = ?2, tags = ?3, headers = ?4, error = ?5 WHERE row = ?1"
        case .updatePayload: "UPDATE errand_details SET format = ?2, payload = ?3 WHERE row = ?1"
        case .claimRows:
            """
            UPDATE errand_jobs SET state = 4, worker = ?2, epoch = epoch + 1, attempt = attempt + 1, started_at = ?3, \
            progress = NULL WHERE row IN (SELECT value FROM json_each(?1)) AND state = 3
            """
        case .startedRow: "UPDATE errand_jobs SET expires_at = NULL WHERE row = ?1"
        case .succeedRows:
            """
            UPDATE errand_jobs SET state = 5, finished_at = ?3, progress = NULL \
            WHERE row IN (SELECT value FROM json_each(?1)) \
            AND state = 4 AND epoch = 1 AND worker = ?2 AND cancel IS NULL
            """
        case .succeededRows:
            """
            SELECT row FROM errand_jobs WHERE row IN (SELECT value FROM json_each(?1)) \
            AND state = 5 AND epoch = 1 AND worker = ?2 AND finished_at = ?3
            """
        case .setProgress: "UPDATE errand_jobs SET progress = ?2 WHERE row = ?1"
        case .placeOfRow: "SELECT lane, state FROM errand_jobs WHERE row = ?1"
        case .setAside:
            // The epoch rises, so that whoever ran it is refused. What cannot be read may be the worker or the
            // progress, which nobody needs of a job that does not run; or the epoch, which then goes beyond any
            // that was.
            """
            UPDATE errand_jobs SET state = CASE state WHEN 4 THEN 3 ELSE state END, epoch = \
            CASE WHEN epoch BETWEEN 0 AND \(SQLiteCommand.most) THEN epoch + (state = 4) \
            ELSE \(SQLiteCommand.most / 2) END, \
            worker = NULL, progress = NULL, hold = CASE WHEN state < 5 THEN ?2 ELSE hold END, hold_until = NULL, \
            due_at = NULL, expires_at = NULL, finished_at = NULL WHERE row = ?1
            """
        case .deleteJob: "DELETE FROM errand_jobs WHERE row = ?1"
        case .deleteDetails: "DELETE FROM errand_details WHERE row = ?1"
        case .deleteResult: "DELETE FROM errand_results WHERE row = ?1"
        case .deleteAttempts: "DELETE FROM errand_attempts WHERE row = ?1"
        case .deleteLog: "DELETE FROM errand_job_log WHERE row = ?1"
        case .deleteCheckpoints: "DELETE FROM errand_checkpoints WHERE row = ?1"

        case .readyAfter:
            """
            SELECT rank, row FROM errand_jobs INDEXED BY errand_jobs_ready \
            WHERE lane = ?1 AND state = 3 AND hold IS NULL AND (rank, row) > (?2, ?3) ORDER BY rank, row LIMIT ?4
            """
        case .readyJobsAfter:
            """
            SELECT \(SQLiteRow.columns), d.payload FROM errand_jobs j INDEXED BY errand_jobs_ready \
            LEFT JOIN errand_details d ON d.row = j.row WHERE j.lane = ?1 AND j.state = 3 AND j.hold IS NULL \
            AND (j.rank, j.row) > (?2, ?3) ORDER BY j.rank, j.row LIMIT ?4
            """
        case .dueRows:
            """
            SELECT row, state, run_at, priority FROM errand_jobs INDEXED BY errand_jobs_due \
            WHERE lane = ?1 AND due_at <= ?2 ORDER BY due_at, row LIMIT ?3
            """
        case .dueAfterLane:
            """
            SELECT lane, due_at FROM errand_jobs INDEXED BY errand_jobs_due \
            WHERE lane > ?1 AND due_at IS NOT NULL ORDER BY lane, due_at LIMIT 1
            """
        case .promoteRow:
            "UPDATE errand_jobs SET state = 3, rank = ?2, due_at = NULL WHERE row = ?1 AND state IN (1, 2)"

        case .keyByText: "SELECT job, follow_up, expires_at, last_state FROM errand_unique_keys WHERE key = ?1"
        case .putKey:
            """
            INSERT OR REPLACE INTO errand_unique_keys (key, job, follow_up, expires_at, last_state) \
            VALUES (?1, ?2, NULL, ?3, ?4)
            """
        case .setKeyFollowUp: "UPDATE errand_unique_keys SET follow_up = ?2 WHERE key = ?1"
        case .setKeyState: "UPDATE errand_unique_keys SET last_state = ?2 WHERE key = ?1"
        case .deleteKey: "DELETE FROM errand_unique_keys WHERE key = ?1"

        case .putResult:
            """
            INSERT OR REPLACE INTO errand_results (row, expires_at, version, format, bytes) VALUES (?1, ?2, ?3, ?4, ?5)
            """
        case .resultByRow: "SELECT expires_at, version, format, bytes FROM errand_results WHERE row = ?1"
        case .putAttempt:
            """
            INSERT OR REPLACE INTO errand_attempts \
            (row, epoch, run, number, worker, started_at, ended_at, ending, error) \
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
            """
        case .trimAttempts:
            """
            DELETE FROM errand_attempts WHERE row = ?1 AND epoch <= \
            (SELECT epoch FROM errand_attempts WHERE row = ?1 ORDER BY epoch DESC LIMIT 1 OFFSET ?2)
            """
        case .attemptsByRow:
            """
            SELECT run, number, epoch, worker, started_at, ended_at, ending, error FROM errand_attempts \
            WHERE row = ?1 ORDER BY epoch
            """
        case .lastLine: "SELECT max(line) FROM errand_job_log WHERE row = ?1"
        case .putLine: "INSERT INTO errand_job_log (row, line, at, level, message) VALUES (?1, ?2, ?3, ?4, ?5)"
        case .trimLog: "DELETE FROM errand_job_log WHERE row = ?1 AND line <= ?2"
        case .linesByRow: "SELECT at, level, message FROM errand_job_log WHERE row = ?1 ORDER BY line"
        case .putCheckpoint:
            "INSERT OR REPLACE INTO errand_checkpoints (row, name, version, format, bytes) VALUES (?1, ?2, ?3, ?4, ?5)"
        case .checkpointsByRow: "SELECT name, version, format, bytes FROM errand_checkpoints WHERE row = ?1"
        case .putTag: "INSERT OR IGNORE INTO errand_job_tags (tag, job) VALUES (?1, ?2)"
        case .deleteTag: "DELETE FROM errand_job_tags WHERE tag = ?1 AND job = ?2"

        case .putWorker:
            """
            INSERT INTO errand_workers (worker, host, pid, version, names, slots, started_at, last_seen, is_locked) \
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8) ON CONFLICT (worker) DO UPDATE SET \
            host = ?2, pid = ?3, version = ?4, names = ?5, slots = ?6, last_seen = ?7, is_locked = ?8
            """
        case .liveWorker: "SELECT worker FROM errand_workers WHERE worker = ?1 AND dead_at IS NULL"
        case .touchWorker: "UPDATE errand_workers SET last_seen = ?2 WHERE worker = ?1 AND dead_at IS NULL"
        case .buryWorker: "UPDATE errand_workers SET dead_at = ?2 WHERE worker = ?1 AND dead_at IS NULL"
        case .deleteWorker: "DELETE FROM errand_workers WHERE worker = ?1"
        case .allWorkers:
            """
            SELECT w.worker, i.id, w.host, w.pid, w.version, w.names, w.slots, w.started_at, w.last_seen, \
            w.is_locked, w.dead_at FROM errand_workers w JOIN errand_worker_ids i ON i.worker = w.worker \
            ORDER BY w.started_at, w.worker
            """
        case .runningOfWorker:
            """
            SELECT row, id, epoch, started_at FROM errand_jobs INDEXED BY errand_jobs_running \
            WHERE worker = ?1 AND state = 4
            """
        case .runningAfter:
            """
            SELECT worker, row FROM errand_jobs INDEXED BY errand_jobs_running \
            WHERE state = 4 AND worker > ?1 ORDER BY worker LIMIT 1
            """
        case .countRunning:
            """
            SELECT count(*) FROM errand_jobs INDEXED BY errand_jobs_running WHERE worker = ?1 AND state = 4
            """
        case .leaseByRow: "SELECT id, epoch, worker, state, cancel FROM errand_jobs WHERE row = ?1"

        case .allControls: "SELECT scope, actor, reason, since, until FROM errand_controls"
        case .putControl:
            """
            INSERT OR REPLACE INTO errand_controls (scope, actor, reason, since, until) VALUES (?1, ?2, ?3, ?4, ?5)
            """
        case .deleteControl: "DELETE FROM errand_controls WHERE scope = ?1"
        case .putAudit:
            """
            INSERT INTO errand_audit (at, actor, action, target, reason, changed, idempotency_key, report) \
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
            """
        case .auditByKey: "SELECT report FROM errand_audit WHERE idempotency_key = ?1"
        case .newestAudit:
            """
            SELECT at, actor, action, target, reason, changed FROM errand_audit INDEXED BY errand_audit_at \
            ORDER BY at DESC, entry DESC LIMIT ?1
            """

        case .addTally:
            """
            INSERT INTO errand_tallies (lane, state, n) VALUES (?1, ?2, ?3) \
            ON CONFLICT (lane, state) DO UPDATE SET n = min(max(n, -\(SQLiteCommand.most)), \(SQLiteCommand.most)) + ?3
            """
        case .addCounter:
            """
            INSERT INTO errand_counters (minute, lane, metric, bucket, value) VALUES (?1, ?2, ?3, ?4, ?5) \
            ON CONFLICT (minute, lane, metric, bucket) DO UPDATE SET \
            value = min(max(value, -\(SQLiteCommand.most)), \(SQLiteCommand.most)) + ?5
            """
        case .allTallies: "SELECT lane, state, n FROM errand_tallies WHERE n <> 0"
        case .groupJobs: "SELECT lane, state, count(*) FROM errand_jobs GROUP BY lane, state"
        case .counters:
            """
            SELECT minute, lane, metric, bucket, value FROM errand_counters WHERE minute >= ?1 AND minute < ?2 \
            ORDER BY minute, lane, metric, bucket
            """
        case .oldestReady:
            """
            SELECT j.rank, j.run_at FROM errand_jobs j INDEXED BY errand_jobs_ready \
            WHERE j.lane = ?1 AND j.state = 3 AND j.hold IS NULL ORDER BY j.rank LIMIT ?2
            """

        case .newestJobs:
            """
            SELECT id, row, lane, state, created_at, fingerprint, hold IS NOT NULL \
            FROM errand_jobs WHERE id < ?1 ORDER BY id DESC LIMIT ?2
            """
        case .newestJobsOfTag:
            """
            SELECT j.id, j.row, j.lane, j.state, j.created_at, j.fingerprint, j.hold IS NOT NULL \
            FROM errand_job_tags t CROSS JOIN errand_jobs j ON j.id = t.job \
            WHERE t.tag = ?3 AND t.job < ?1 ORDER BY t.job DESC LIMIT ?2
            """
        case .newestFailed:
            """
            SELECT id, row, lane, state, created_at, fingerprint, hold IS NOT NULL \
            FROM errand_jobs INDEXED BY errand_jobs_reason WHERE reason IS NOT NULL AND id < ?1 ORDER BY id DESC LIMIT ?2
            """
        case .runningJobs:
            """
            SELECT id, row, lane, state, created_at, fingerprint, hold IS NOT NULL \
            FROM errand_jobs INDEXED BY errand_jobs_running WHERE state = 4 AND worker > -1 \
            AND id < ?1 ORDER BY id DESC LIMIT ?2
            """

        case .openExport: "SELECT id, destination, batch FROM errand_exports LIMIT 1"
        case .putExport: "INSERT INTO errand_exports (id, destination, at, batch) VALUES (?1, ?2, ?3, ?4)"
        case .deleteExport: "DELETE FROM errand_exports WHERE id = ?1"
        case .rowsAfter: "SELECT row, state FROM errand_jobs WHERE row > ?1 ORDER BY row LIMIT ?2"
        case .anyDeparture: "SELECT 1 FROM errand_departures LIMIT 1"
        case .departureByID: "SELECT 1 FROM errand_departures WHERE job = ?1"
        case .putDeparture: "INSERT OR REPLACE INTO errand_departures (job, at) VALUES (?1, ?2)"
        case .deleteDeparture: "DELETE FROM errand_departures WHERE job = ?1"
        case .oldDepartures:
            """
            DELETE FROM errand_departures WHERE job IN \
            (SELECT job FROM errand_departures INDEXED BY errand_departures_at WHERE at <= ?1 LIMIT ?2)
            """
        case .importByID: "SELECT 1 FROM errand_imports WHERE id = ?1"
        case .putImport: "INSERT INTO errand_imports (id, at) VALUES (?1, ?2)"
        case .oldImports:
            """
            DELETE FROM errand_imports WHERE id IN \
            (SELECT id FROM errand_imports INDEXED BY errand_imports_at WHERE at <= ?1 LIMIT ?2)
            """
        case .orphanedKeys:
            // Only a key with a time outlives its job; what is left beside them belongs to jobs that run.
            """
            SELECT key, job, expires_at, last_state FROM errand_unique_keys INDEXED BY errand_unique_keys_expires \
            WHERE expires_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM errand_jobs WHERE id = job) LIMIT ?1
            """
        case .oldestAudit:
            """
            SELECT entry, at, actor, action, target, reason, changed FROM errand_audit INDEXED BY errand_audit_at \
            ORDER BY at, entry LIMIT ?1
            """
        case .deleteAudit: "DELETE FROM errand_audit WHERE entry = ?1"
        case .oldestCounters:
            """
            SELECT minute, lane, metric, bucket, value FROM errand_counters \
            ORDER BY minute, lane, metric, bucket LIMIT ?1
            """
        case .deleteCounter:
            "DELETE FROM errand_counters WHERE minute = ?1 AND lane = ?2 AND metric = ?3 AND bucket = ?4"

        case .scheduleByID: "SELECT id, body FROM errand_schedules WHERE id = ?1"
        case .scheduleVersion: "SELECT version FROM errand_schedules WHERE id = ?1"
        case .putSchedule:
            """
            INSERT INTO errand_schedules (id, version, state, due_at, cursor, ended_at, body) \
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO UPDATE SET \
            version = ?2, state = ?3, due_at = ?4, cursor = ?5, ended_at = ?6, body = ?7
            """
        case .deleteSchedule: "DELETE FROM errand_schedules WHERE id = ?1"
        case .dueSchedules:
            """
            SELECT id, body FROM errand_schedules INDEXED BY errand_schedules_due \
            WHERE due_at <= ?1 AND (due_at, id) > (?2, ?3) ORDER BY due_at, id
            """
        case .schedulesAhead:
            """
            SELECT id, body FROM errand_schedules INDEXED BY errand_schedules_cursor \
            WHERE cursor > ?4 AND due_at > ?1 AND (due_at, id) > (?2, ?3) ORDER BY due_at, id
            """
        case .nextSchedule:
            """
            SELECT due_at FROM errand_schedules INDEXED BY errand_schedules_due WHERE due_at > ?1 ORDER BY due_at LIMIT 1
            """
        case .schedulesAfter: "SELECT id, body FROM errand_schedules WHERE id > ?1 ORDER BY id"
        case .endOfJob: "SELECT state, finished_at FROM errand_jobs WHERE id = ?1"
        case .tickByKey: "SELECT \(SQLiteSession.tickColumns) FROM errand_ticks WHERE schedule = ?1 AND key = ?2"
        case .ticksWithin:
            """
            SELECT \(SQLiteSession.tickColumns) FROM errand_ticks INDEXED BY errand_ticks_nominal \
            WHERE schedule = ?1 AND nominal >= ?2 AND nominal <= ?3 AND (nominal, key) < (?4, ?5) \
            ORDER BY nominal DESC, key DESC
            """
        case .ticksInto:
            """
            SELECT \(SQLiteSession.tickColumns) FROM errand_ticks INDEXED BY errand_ticks_long \
            WHERE schedule = ?1 AND nominal < ?2 AND through > nominal AND through >= ?2 AND nominal <= ?3 \
            AND (nominal, key) < (?4, ?5) ORDER BY nominal DESC, key DESC
            """
        case .putTick:
            """
            INSERT OR REPLACE INTO errand_ticks (\(SQLiteSession.tickColumns)) \
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
            """
        case .oldTicks:
            """
            DELETE FROM errand_ticks WHERE (schedule, key) IN \
            (SELECT schedule, key FROM errand_ticks INDEXED BY errand_ticks_decided WHERE decided_at <= ?1 LIMIT ?2)
            """
        case .oldSchedules:
            """
            DELETE FROM errand_schedules WHERE id IN \
            (SELECT id FROM errand_schedules INDEXED BY errand_schedules_ended WHERE ended_at <= ?1 LIMIT ?2)
            """

        case .lateRows:
            """
            SELECT row FROM errand_jobs INDEXED BY errand_jobs_expires \
            WHERE expires_at IS NOT NULL AND expires_at <= ?1 ORDER BY expires_at LIMIT ?2
            """
        case .endedHolds:
            """
            SELECT row FROM errand_jobs INDEXED BY errand_jobs_hold_until \
            WHERE hold_until IS NOT NULL AND hold_until <= ?1 ORDER BY hold_until LIMIT ?2
            """
        case .finishedBefore:
            """
            SELECT row, finished_at FROM errand_jobs INDEXED BY errand_jobs_finished \
            WHERE lane = ?1 AND state = ?2 AND finished_at <= ?3 ORDER BY finished_at LIMIT ?4
            """
        case .oldestFinished:
            """
            SELECT row, finished_at FROM errand_jobs INDEXED BY errand_jobs_finished \
            WHERE lane = ?1 AND state = ?2 AND finished_at IS NOT NULL ORDER BY finished_at LIMIT ?3
            """
        case .expiredResults:
            """
            DELETE FROM errand_results WHERE row IN \
            (SELECT row FROM errand_results INDEXED BY errand_results_expires WHERE expires_at <= ?1 LIMIT ?2)
            """
        case .expiredKeys:
            """
            SELECT key FROM errand_unique_keys INDEXED BY errand_unique_keys_expires \
            WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2
            """
        case .oldCounters:
            """
            DELETE FROM errand_counters WHERE (minute, lane, metric, bucket) IN \
            (SELECT minute, lane, metric, bucket FROM errand_counters WHERE minute < ?1 LIMIT ?2)
            """
        case .oldReports:
            """
            UPDATE errand_audit INDEXED BY errand_audit_reports SET idempotency_key = NULL, report = NULL \
            WHERE idempotency_key IS NOT NULL AND at <= ?1
            """
        case .oldAudit: "DELETE FROM errand_audit WHERE entry <= (SELECT max(entry) FROM errand_audit) - ?1"
        case .readyOfLane:
            """
            SELECT count(*) FROM (SELECT 1 FROM errand_jobs INDEXED BY errand_jobs_ready \
            WHERE lane = ?1 AND state = 3 AND hold IS NULL LIMIT ?2)
            """
        }
    }
}
