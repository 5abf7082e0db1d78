// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension PostgresQuery {
    /// Schedules and the decisions on their ticks.
    enum Schedules {
        private static let columns =
            "schedule, key, nominal, through, count, kind, decision, job, decided_at, decided_by, revision, note"
        private static let insert =
            """
            INSERT INTO errand.schedules (id, version, state, due_at, cursor, ended_at, body) \
            SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[])
            """

        static let schedules =
            "SELECT id, body FROM errand.schedules WHERE id = ANY ($1)"
        // The inner one by itself (OFFSET 0), so that it goes by the cursor: in the order of due_at it would walk all.
        static let dueSchedules =
            """
            SELECT n.next, f.due_at, f.id, f.body \
            FROM (SELECT min(due_at) AS next FROM errand.schedules WHERE due_at > $1) AS n LEFT JOIN ( \
            (SELECT id, due_at, body FROM errand.schedules \
            WHERE due_at <= $1 AND (due_at, id) > ($2, $3) ORDER BY due_at, id LIMIT $4) UNION ALL \
            (SELECT id, due_at, body FROM ( \
            SELECT id, due_at, body FROM errand.schedules WHERE cursor > $5 AND due_at > $1 OFFSET 0) AS a \
            WHERE (due_at, id) > ($2, $3) ORDER BY due_at, id LIMIT $4)) AS f ON true \
            ORDER BY f.due_at, f.id LIMIT greatest($4, 1)
            """
        static let schedulesAfter =
            "SELECT id, body FROM errand.schedules WHERE id > $1 ORDER BY id LIMIT $2"
        static let endsOfJobs =
            "SELECT id, state, finished_at FROM errand.jobs WHERE id = ANY ($1)"
        static let lockSchedules =
            "SELECT id, version FROM errand.schedules WHERE id = ANY ($1) ORDER BY id FOR UPDATE"
        static let addSchedules =
            "\(Schedules.insert) ON CONFLICT (id) DO NOTHING"
        static let putSchedules =
            """
            \(Schedules.insert) ON CONFLICT (id) DO UPDATE SET version = excluded.version, state = excluded.state, \
            due_at = excluded.due_at, cursor = excluded.cursor, ended_at = excluded.ended_at, body = excluded.body
            """
        static let deleteSchedules =
            "DELETE FROM errand.schedules WHERE id = ANY ($1)"
        static let ticksByKey =
            "SELECT \(Schedules.columns) FROM errand.ticks WHERE schedule = $1 AND key = ANY ($2) LIMIT $3"
        static let ticksWithin =
            """
            SELECT \(Schedules.columns) FROM errand.ticks WHERE schedule = $1 AND nominal >= $2 AND nominal <= $3 \
            AND (nominal, key) < ($4, $5) ORDER BY nominal DESC, key DESC LIMIT $6
            """
        static let ticksInto =
            """
            SELECT \(Schedules.columns) FROM errand.ticks WHERE schedule = $1 AND nominal < $2 AND through > nominal \
            AND through >= $2 AND nominal <= $3 AND (nominal, key) < ($4, $5) ORDER BY nominal DESC, key DESC LIMIT $6
            """
        static let takenTicks =
            """
            SELECT p.n FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY AS p (schedule, key, n) CROSS JOIN LATERAL \
            (SELECT 1 FROM errand.ticks AS t WHERE t.schedule = p.schedule AND t.key = p.key LIMIT 1) AS t
            """
        static let putTicks =
            """
            INSERT INTO errand.ticks (\(Schedules.columns)) \
            SELECT * FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], \
            $8::uuid[], $9::bigint[], $10::bytea[], $11::bigint[], $12::bytea[]) \
            ON CONFLICT (schedule, key) DO UPDATE SET nominal = excluded.nominal, through = excluded.through, \
            count = excluded.count, kind = excluded.kind, decision = excluded.decision, job = excluded.job, \
            decided_at = excluded.decided_at, decided_by = excluded.decided_by, revision = excluded.revision, \
            note = excluded.note
            """
        static let oldTicks =
            """
            DELETE FROM errand.ticks WHERE ctid = ANY (ARRAY( \
            SELECT ctid FROM errand.ticks WHERE decided_at <= $1 ORDER BY decided_at LIMIT $2 FOR UPDATE SKIP LOCKED))
            """
        static let oldSchedules =
            """
            DELETE FROM errand.schedules WHERE id = ANY (ARRAY( \
            SELECT id FROM errand.schedules WHERE ended_at <= $1 ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED))
            """
    }
}
