// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension PostgresQuery {
    /// Unique keys.
    enum Keys {
        static let takeKeys =
            """
            INSERT INTO errand.unique_keys (key, job, expires_at, last_state) \
            SELECT k.key, k.job, errand.later_1($1, k.ttl), k.state \
            FROM unnest($2::text[], $3::uuid[], $4::bigint[], $5::bigint[]) AS k (key, job, ttl, state) ORDER BY k.key \
            ON CONFLICT (key) DO NOTHING RETURNING key
            """
        static let keyByText =
            "SELECT job, follow_up, expires_at, last_state FROM errand.unique_keys WHERE key = $1 FOR UPDATE"
        static let holderOfKey =
            "SELECT job, follow_up, expires_at, last_state FROM errand.unique_keys WHERE key = $1"
        static let putKey =
            """
            INSERT INTO errand.unique_keys (key, job, follow_up, expires_at, last_state) VALUES ($1, $2, NULL, $3, $4) \
            ON CONFLICT (key) DO UPDATE SET job = excluded.job, follow_up = NULL, expires_at = excluded.expires_at, \
            last_state = excluded.last_state
            """
        static let setKeyFollowUp =
            "UPDATE errand.unique_keys SET follow_up = $2 WHERE key = $1"
        static let setKeyState =
            "UPDATE errand.unique_keys SET last_state = $2 WHERE key = $1"
        static let deleteKey =
            "DELETE FROM errand.unique_keys WHERE key = $1"
        static let expiredKeys =
            """
            SELECT key FROM errand.unique_keys WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
            """
    }

    /// What is kept beside the rows.
    enum Parts {
        static let putResult =
            """
            INSERT INTO errand.results (job, expires_at, version, format, bytes) VALUES ($1, $2, $3, $4, $5) \
            ON CONFLICT (job) DO UPDATE SET expires_at = excluded.expires_at, version = excluded.version, \
            format = excluded.format, bytes = excluded.bytes
            """
        static let resultsOfJobs =
            "SELECT job, version, format, bytes FROM errand.results WHERE job = ANY ($1) AND expires_at > $2"
        static let putAttempt =
            """
            INSERT INTO errand.attempts (job, epoch, run, number, worker, started_at, ended_at, ending, error) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (job, epoch) DO UPDATE SET run = excluded.run, \
            number = excluded.number, worker = excluded.worker, started_at = excluded.started_at, \
            ended_at = excluded.ended_at, ending = excluded.ending, error = excluded.error
            """
        static let trimAttempts =
            """
            DELETE FROM errand.attempts WHERE job = $1 AND epoch <= \
            (SELECT epoch FROM errand.attempts WHERE job = $1 ORDER BY epoch DESC LIMIT 1 OFFSET $2)
            """
        static let attemptsOfJobs =
            """
            SELECT job, run, number, epoch, worker, started_at, ended_at, ending, error FROM errand.attempts \
            WHERE job = ANY ($1) ORDER BY job, epoch
            """
        static let setProgress =
            "UPDATE errand.jobs SET progress = $2 WHERE id = $1"
        static let putLines =
            """
            INSERT INTO errand.job_log (job, line, at, level, message) \
            SELECT $1, (SELECT coalesce(max(line), 0) FROM errand.job_log WHERE job = $1) + l.n, l.at, l.level, l.message \
            FROM unnest($2::bigint[], $3::bytea[], $4::bytea[]) WITH ORDINALITY AS l (at, level, message, n)
            """
        static let trimLog =
            """
            DELETE FROM errand.job_log WHERE job = $1 \
            AND line <= (SELECT max(line) FROM errand.job_log WHERE job = $1) - $2
            """
        static let linesOfJobs =
            "SELECT job, at, level, message FROM errand.job_log WHERE job = ANY ($1) ORDER BY job, line"
        static let putCheckpoint =
            """
            WITH marked AS (UPDATE errand.jobs SET has_checkpoints = true WHERE id = $1 AND NOT has_checkpoints) \
            INSERT INTO errand.checkpoints (job, name, version, format, bytes) VALUES ($1, $2, $3, $4, $5) \
            ON CONFLICT (job, name) DO UPDATE SET version = excluded.version, format = excluded.format, \
            bytes = excluded.bytes
            """
        static let checkpointsOfJobs =
            "SELECT job, name, version, format, bytes FROM errand.checkpoints WHERE job = ANY ($1)"
        static let putTags =
            "INSERT INTO errand.job_tags (tag, job) SELECT tag, $1 FROM unnest($2::text[]) AS t (tag) ON CONFLICT DO NOTHING"
        static let deleteTags =
            "DELETE FROM errand.job_tags WHERE job = $1 AND tag = ANY ($2)"
    }
}
