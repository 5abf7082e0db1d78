// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension PostgresQuery {
    /// What there is: the schema and its lanes.
    enum Catalogue {
        static let identity =
            "SELECT id FROM errand.identity"
        static let allLanes =
            "SELECT lane, queue, name, version FROM errand.lanes ORDER BY lane"
        static let findLane =
            "SELECT min(lane) FROM errand.lanes WHERE queue = $1 AND name = $2 AND version = $3"
        static let addLane =
            "INSERT INTO errand.lanes (queue, name, version) VALUES ($1, $2, $3) RETURNING lane"
        static let laneOnItsOwn =
            "SELECT errand.lane_1($1, $2, $3)"
        static let nextBatch =
            "SELECT nextval('errand.batches') << 16"
    }

    /// The functions of the migrations.
    enum Functions {
        static let insert =
            """
            SELECT errand.insert_2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, \
            $20, $21, $22, $23, $24, $25, $26)
            """
        /// One statement, one round trip, one commit: what the first function stored the second one sees.
        static let insertAndOffer =
            """
            SELECT \(PostgresRow.columns(of: "j")), j.payload \
            FROM errand.insert_2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, \
            $20, $21, $22, $23, $24, $25, $26) AS i (moment) \
            CROSS JOIN LATERAL errand.offer_2(i.moment, $27, $28, $29, $30, $31, $4, $32, $33, $34) AS j
            """
        static let claim =
            """
            SELECT r_kind, r_moment, r_next, r_more, \(PostgresRow.columns(of: "c")), c.payload \
            FROM errand.claim_2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) AS c
            """
        static let peek =
            "SELECT unnest(errand.peek_2($1, $2, $3, $4, $5, $6, $7, $8, $9))"
        static let offer =
            """
            SELECT \(PostgresRow.columns(of: "j")), j.payload \
            FROM errand.offer_2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) AS j
            """
        static let rise =
            "SELECT r_server, r_writers, r_lane, r_floor, r_head FROM errand.rise_1($1, $2, $3, $4, $5, $6, $7)"
        static let succeed =
            "SELECT r_moment, unnest(coalesce(r_missed, ARRAY[NULL]::uuid[])) FROM errand.succeed_1($1, $2, $3, $4, $5, $6, $7, $8)"
        static let beat =
            "SELECT r_kind, r_moment, r_place, r_id, r_cancel FROM errand.beat_1($1, $2, $3, $4, $5)"
        static let fold =
            "SELECT errand.fold_1($1)"
    }

    /// Rows of jobs.
    enum Rows {
        static let keysOfJobs =
            "SELECT DISTINCT unique_key FROM errand.jobs WHERE id = ANY ($1) AND unique_key IS NOT NULL ORDER BY 1"
        static let lockKeys =
            "SELECT key FROM errand.unique_keys WHERE key = ANY ($1) ORDER BY key FOR UPDATE"
        static let lockKeysFree =
            "SELECT key FROM errand.unique_keys WHERE key = ANY ($1) ORDER BY key FOR UPDATE SKIP LOCKED"
        static let existingKeys =
            "SELECT key FROM errand.unique_keys WHERE key = ANY ($1)"
        static let lockJobs =
            "\(PostgresQuery.select) WHERE j.id = ANY ($1) ORDER BY j.id FOR UPDATE"
        static let lockJobsWithPayload =
            "\(PostgresQuery.selectAll) WHERE j.id = ANY ($1) ORDER BY j.id FOR UPDATE"
        static let lockJobsFree =
            "\(PostgresQuery.select) WHERE j.id = ANY ($1) ORDER BY j.id FOR UPDATE SKIP LOCKED"
        static let lockJobsFreeWithPayload =
            "\(PostgresQuery.selectAll) WHERE j.id = ANY ($1) ORDER BY j.id FOR UPDATE SKIP LOCKED"
        static let jobs =
            "\(PostgresQuery.select) WHERE j.id = ANY ($1)"
        static let jobsWithPayload =
            "\(PostgresQuery.selectAll) WHERE j.id = ANY ($1)"
        // Or existing elsewhere: jobs that left are as good as stored.
        static let existingJobs =
            """
            SELECT id FROM errand.jobs WHERE id = ANY ($1) UNION ALL \
            SELECT job FROM errand.departures WHERE job = ANY ($1)
            """
        static let updateJob =
            """
            UPDATE errand.jobs SET lane = $2, state = $3, rank = $4, run_at = $5, priority = $6, epoch = $7, \
            attempt = $8, failures = $9, crashes = $10, releases = $11, snoozes = $12, run = $13, revision = $14, \
            worker = $15, started_at = $16, finished_at = $17, start_by = $18, deadline = $19, hold = $20, \
            hold_until = $21, cancel = $22, reason = $23, fingerprint = $24, progress = $25, due_at = $26, \
            expires_at = $27 WHERE id = $1
            """
        static let updateDetails =
            "UPDATE errand.jobs SET retry = $2, tags = $3, headers = $4, error = $5 WHERE id = $1"
        static let updatePayload =
            "UPDATE errand.jobs SET format = $2, payload = $3 WHERE id = $1"
        static let placeOfJob =
            "SELECT lane, state FROM errand.jobs WHERE id = $1"
        // The epoch rises, so that whoever ran it is refused. What cannot be read may be the worker or the
        // progress, which nobody needs of a job that does not run; or the epoch, which then goes beyond any that was.
        static let setAside =
            """
            UPDATE errand.jobs SET state = CASE state WHEN 4 THEN 3 ELSE state END, \
            epoch = CASE WHEN epoch BETWEEN 0 AND \(PostgresRow.largest) THEN epoch + (state = 4)::int \
            ELSE \(PostgresRow.largest / 2) END, \
            worker = NULL, progress = NULL, hold = CASE WHEN state < 5 THEN $2 ELSE hold END, hold_until = NULL, \
            due_at = NULL, expires_at = NULL, finished_at = NULL WHERE id = $1
            """
        static let deleteJobs =
            "DELETE FROM errand.jobs WHERE id = ANY ($1)"
        static let deleteResults =
            "DELETE FROM errand.results WHERE job = ANY ($1)"
        static let deleteAttempts =
            "DELETE FROM errand.attempts WHERE job = ANY ($1)"
        static let deleteLog =
            "DELETE FROM errand.job_log WHERE job = ANY ($1)"
        static let deleteCheckpoints =
            "DELETE FROM errand.checkpoints WHERE job = ANY ($1)"
        static let deleteTagsOfJobs =
            "DELETE FROM errand.job_tags WHERE (tag, job) IN (SELECT * FROM unnest($1::text[], $2::uuid[]))"
    }
}
