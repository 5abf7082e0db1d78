-- Errand 003: claiming. These functions do what the decisions of ErrandCore say for the rows on which nothing has to be
-- decided, in one round trip. The planner is told which plans are out of the question, because a table that has just been
-- filled, or emptied, has statistics from another time. For the same reason a condition on a row that is found by its id
-- or place says "state + 0": no partial index has that condition.

-- All are PL/pgSQL, which keeps its plans in the session: SQL functions are planned at every call, which costs more than a
-- claim.

-- The lanes of a queue with names and versions that are known and not paused.
CREATE FUNCTION errand.runnable_1(p_moment bigint, p_queue text, p_names text[], p_versions bigint[]) RETURNS integer[]
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN (
        SELECT coalesce(array_agg(l.lane), '{}')
        FROM errand.lanes AS l JOIN unnest(p_names, p_versions) AS k (name, version) ON k.name = l.name
        WHERE l.queue = p_queue AND l.version <= k.version AND NOT EXISTS (
            SELECT FROM errand.controls AS c
            WHERE (c.until IS NULL OR c.until > p_moment)
                AND c.scope IN ('everything', 'queue:' || l.queue, 'name:' || l.name)));
END
$$;

-- When the next job of these lanes is due: one look for each lane.
CREATE FUNCTION errand.next_due_1(p_lanes integer[]) RETURNS bigint
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN (
        SELECT min(d.due_at) FROM unnest(p_lanes) AS l (lane) CROSS JOIN LATERAL (
            SELECT j.due_at FROM errand.jobs AS j WHERE j.lane = l.lane AND j.due_at IS NOT NULL
            ORDER BY j.due_at LIMIT 1) AS d);
END
$$;

-- Makes due jobs of these lanes ready, at most p_limit.
CREATE FUNCTION errand.promote_1(p_moment bigint, p_lanes integer[], p_limit bigint) RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    v_count bigint;
BEGIN
    WITH due AS MATERIALIZED (
        SELECT d.tid, d.state FROM unnest(p_lanes) AS l (lane) CROSS JOIN LATERAL (
            SELECT j.ctid AS tid, j.state FROM errand.jobs AS j
            WHERE j.lane = l.lane AND j.due_at <= p_moment
            ORDER BY j.due_at LIMIT p_limit FOR UPDATE SKIP LOCKED) AS d
        LIMIT p_limit
    ), ready AS (
        UPDATE errand.jobs AS j SET state = 3, rank = j.run_at - j.priority * 300000000::bigint, due_at = NULL
        FROM due WHERE j.ctid = due.tid RETURNING j.lane, due.state
    ), noted AS (
        INSERT INTO errand.deltas (n, minute, lane, kind, bucket)
        SELECT d.n, 0, s.lane, d.kind, 0
        FROM (SELECT lane, state, count(*) AS n FROM ready GROUP BY lane, state) AS s
        CROSS JOIN LATERAL (VALUES (-s.n, s.state), (s.n, 3)) AS d (n, kind)
    )
    SELECT count(*) INTO v_count FROM ready;
    RETURN v_count;
END
$$;

-- Starts ready rows, which the caller has locked and looked at, under new leases.
CREATE FUNCTION errand.start_1(p_moment bigint, p_worker uuid, p_tids tid[]) RETURNS SETOF errand.jobs
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    v_minute bigint := floor(p_moment / 60000000.0);
BEGIN
    RETURN QUERY
    WITH started AS (
        UPDATE errand.jobs AS j SET state = 4, worker = p_worker, epoch = j.epoch + 1, attempt = j.attempt + 1,
            started_at = p_moment, progress = NULL, expires_at = NULL
        WHERE j.ctid = ANY (p_tids) RETURNING j.*
    ), noted AS (
        INSERT INTO errand.deltas (n, minute, lane, kind, bucket)
        SELECT d.n, d.minute, s.lane, d.kind, d.bucket
        FROM (SELECT lane, errand.bucket_1(p_moment - run_at)
                AS bucket, count(*) AS n FROM started GROUP BY 1, 2) AS s
        CROSS JOIN LATERAL (VALUES (-s.n, 0, 3, 0), (s.n, 0, 4, 0), (s.n, v_minute, 17, 0), (s.n, v_minute, 25, s.bucket))
            AS d (n, minute, kind, bucket)
    )
    SELECT * FROM started;
END
$$;

-- What a claim answers: rows of kind 1 are jobs that were claimed. Columns by name and not the type of the table, which may
-- get more of them.
CREATE TYPE errand.claimed_1 AS (
    r_kind integer, r_moment bigint, r_next bigint, r_more boolean,
    id uuid, lane integer, state smallint, rank bigint, run_at bigint, priority smallint, epoch bigint,
    attempt integer, failures integer, crashes integer, releases integer, snoozes integer, run integer,
    revision integer, worker uuid, created_at bigint, started_at bigint, finished_at bigint, start_by bigint,
    deadline bigint, unique_scope smallint, hold text, cancel text, reason text, fingerprint text, progress text,
    retry text, crashes_allowed bigint, timeout bigint, result_ttl bigint, unique_key text, unique_ttl bigint,
    unique_conflict smallint, tags text, headers text, trace text, error text, format text, place bigint,
    has_checkpoints boolean, payload bytea
);

-- Makes due jobs ready and claims ready ones. For each queue at most as many as its quota, by rank over all lanes that
-- the worker can run. Rows of kind 1 are claimed; those of kind 2 are locked no longer and need a decision first, because
-- they are late or free a unique key. The last row, of kind 0, has the rest of the answer; -1 alone is a worker that is
-- not known.
CREATE FUNCTION errand.claim_1(
    p_at bigint,
    p_worker uuid,
    p_queues text[],
    p_quotas bigint[],
    p_names text[],
    p_versions bigint[],
    p_promotions bigint
) RETURNS SETOF errand.claimed_1
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    v_now bigint := errand.moment_1(p_at);
    v_own integer[] := ARRAY(SELECT lane FROM errand.lanes WHERE queue = ANY (p_queues));
    v_next bigint;
    v_more boolean := false;
    v_lanes integer[];
    v_wanted bigint;
    v_chunk bigint;
    v_rank bigint;
    v_place bigint;
    v_last_rank bigint;
    v_last_place bigint;
    v_read bigint;
    v_heads tid[];
    v_plain tid[];
    v_other tid[];
    v_tids tid[];
    v_cares uuid[] := '{}';
    v_minute bigint := floor(v_now / 60000000.0);
    v_row errand.claimed_1;
BEGIN
    IF NOT EXISTS (SELECT FROM errand.workers AS w WHERE w.id = p_worker AND w.dead_at IS NULL) THEN
        v_row.r_kind := -1;
        v_row.r_moment := v_now;
        RETURN NEXT v_row;
        RETURN;
    END IF;
    v_next := errand.next_due_1(v_own);
    IF v_next <= v_now THEN
        PERFORM errand.promote_1(v_now, v_own, p_promotions);
        v_next := errand.next_due_1(v_own);
        v_more := coalesce(v_next <= v_now, false);
    END IF;
    FOR q IN 1 .. cardinality(p_queues) LOOP
        v_lanes := errand.runnable_1(v_now, p_queues[q], p_names, p_versions);
        CONTINUE WHEN cardinality(v_lanes) = 0;
        v_wanted := p_quotas[q];
        v_tids := '{}';
        v_rank := -9223372036854775808;
        v_place := -9223372036854775808;
        WHILE v_wanted > 0 LOOP
            IF cardinality(v_lanes) = 1 THEN
                -- A lane alone: rows that others hold are passed over while reading.
                SELECT array_agg(h.tid) FILTER (WHERE h.is_plain), array_agg(h.tid) FILTER (WHERE NOT h.is_plain),
                    (array_agg(h.rank ORDER BY h.rank DESC, h.place DESC))[1],
                    (array_agg(h.place ORDER BY h.rank DESC, h.place DESC))[1]
                INTO v_plain, v_other, v_rank, v_place
                FROM (SELECT j.ctid AS tid, j.rank, j.place,
                        (j.expires_at IS NULL OR j.expires_at > v_now) AND j.unique_scope IS DISTINCT FROM 0 AS is_plain
                    FROM errand.jobs AS j WHERE j.lane = v_lanes[1] AND j.state = 3 AND j.hold IS NULL
                    ORDER BY j.rank, j.place LIMIT v_wanted FOR UPDATE SKIP LOCKED) AS h;
                v_heads := NULL;
            ELSE
                -- Several: as far as the shortest look into any of them reaches, the order is known.
                v_chunk := v_wanted / cardinality(v_lanes) + 4;
                WITH heads AS MATERIALIZED (
                    SELECT h.* FROM unnest(v_lanes) AS l (lane) CROSS JOIN LATERAL (
                        SELECT j.ctid AS tid, j.rank, j.place, row_number() OVER (ORDER BY j.rank, j.place) AS n
                        FROM errand.jobs AS j
                        WHERE j.lane = l.lane AND j.state = 3 AND j.hold IS NULL AND (j.rank, j.place) > (v_rank, v_place)
                        ORDER BY j.rank, j.place LIMIT v_chunk) AS h
                ), horizon AS (
                    SELECT rank, place FROM heads WHERE n = v_chunk ORDER BY rank, place LIMIT 1
                ), known AS (
                    SELECT heads.tid, heads.rank, heads.place FROM heads LEFT JOIN horizon ON true
                    WHERE horizon.rank IS NULL OR (heads.rank, heads.place) <= (horizon.rank, horizon.place)
                    ORDER BY heads.rank, heads.place LIMIT v_wanted
                )
                SELECT array_agg(tid), (array_agg(rank ORDER BY rank DESC, place DESC))[1],
                    (array_agg(place ORDER BY rank DESC, place DESC))[1], count(*)
                INTO v_heads, v_last_rank, v_last_place, v_read FROM known;
                EXIT WHEN v_read = 0;
                v_rank := v_last_rank;
                v_place := v_last_place;
                SELECT array_agg(h.tid) FILTER (WHERE h.is_plain), array_agg(h.tid) FILTER (WHERE NOT h.is_plain)
                INTO v_plain, v_other
                FROM (SELECT j.ctid AS tid,
                        (j.expires_at IS NULL OR j.expires_at > v_now) AND j.unique_scope IS DISTINCT FROM 0 AS is_plain
                    FROM errand.jobs AS j WHERE j.ctid = ANY (v_heads) AND j.state + 0 = 3 AND j.hold IS NULL
                    FOR UPDATE SKIP LOCKED) AS h;
            END IF;
            v_tids := v_tids || coalesce(v_plain, '{}');
            IF v_other IS NOT NULL THEN
                v_cares := v_cares || ARRAY(SELECT j.id FROM errand.jobs AS j WHERE j.ctid = ANY (v_other));
            END IF;
            v_wanted := v_wanted - coalesce(cardinality(v_plain), 0) - coalesce(cardinality(v_other), 0);
            EXIT WHEN cardinality(v_lanes) = 1;
        END LOOP;
        IF v_wanted = 0 AND NOT v_more THEN
            v_more := EXISTS (
                SELECT FROM unnest(v_lanes) AS l (lane) CROSS JOIN LATERAL (
                    SELECT FROM errand.jobs AS j
                    WHERE j.lane = l.lane AND j.state = 3 AND j.hold IS NULL AND (j.rank, j.place) > (v_rank, v_place)
                    LIMIT 1) AS h);
        END IF;
        IF cardinality(v_tids) > 0 THEN
            RETURN QUERY
            WITH started AS (
                UPDATE errand.jobs AS j SET state = 4, worker = p_worker, epoch = j.epoch + 1, attempt = j.attempt + 1,
                    started_at = v_now, progress = NULL, expires_at = NULL
                WHERE j.ctid = ANY (v_tids)
                RETURNING 1 AS r_kind, NULL::bigint AS r_moment, NULL::bigint AS r_next, NULL::boolean AS r_more,
                    j.id, j.lane, j.state, j.rank, j.run_at, j.priority, j.epoch, j.attempt, j.failures, j.crashes,
                    j.releases, j.snoozes, j.run, j.revision, j.worker, j.created_at, j.started_at, j.finished_at,
                    j.start_by, j.deadline, j.unique_scope, j.hold, j.cancel, j.reason, j.fingerprint, j.progress,
                    j.retry, j.crashes_allowed, j.timeout, j.result_ttl, j.unique_key, j.unique_ttl,
                    j.unique_conflict, j.tags, j.headers, j.trace, j.error, j.format, j.place, j.has_checkpoints,
                    j.payload
            ), noted AS (
                INSERT INTO errand.deltas (n, minute, lane, kind, bucket)
                SELECT d.n, d.minute, s.lane, d.kind, d.bucket
                FROM (SELECT lane, errand.bucket_1(v_now - run_at) AS bucket, count(*) AS n FROM started GROUP BY 1, 2) AS s
                CROSS JOIN LATERAL (VALUES (-s.n, 0, 3, 0), (s.n, 0, 4, 0), (s.n, v_minute, 17, 0),
                    (s.n, v_minute, 25, s.bucket)) AS d (n, minute, kind, bucket)
            )
            SELECT * FROM started;
        END IF;
    END LOOP;
    IF cardinality(v_cares) > 0 THEN
        FOREACH v_row.id IN ARRAY v_cares LOOP
            v_row.r_kind := 2;
            RETURN NEXT v_row;
        END LOOP;
    END IF;
    v_row.id := NULL;
    v_row.r_kind := 0;
    v_row.r_moment := v_now;
    v_row.r_next := v_next;
    v_row.r_more := v_more;
    RETURN NEXT v_row;
END
$$;

-- How many jobs of each queue a worker could claim, each counted up to its limit; due ones are made ready first.
CREATE FUNCTION errand.peek_1(
    p_at bigint,
    p_queues text[],
    p_limits bigint[],
    p_names text[],
    p_versions bigint[],
    p_promotions bigint
) RETURNS bigint[]
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    v_now bigint := errand.moment_1(p_at);
    v_own integer[] := ARRAY(SELECT lane FROM errand.lanes WHERE queue = ANY (p_queues));
    v_lanes integer[];
    v_count bigint;
    v_counts bigint[] := '{}';
BEGIN
    IF errand.next_due_1(v_own) <= v_now THEN
        PERFORM errand.promote_1(v_now, v_own, p_promotions);
    END IF;
    FOR q IN 1 .. cardinality(p_queues) LOOP
        v_lanes := errand.runnable_1(v_now, p_queues[q], p_names, p_versions);
        SELECT count(*) INTO v_count FROM (
            SELECT FROM unnest(v_lanes) AS l (lane) CROSS JOIN LATERAL (
                SELECT FROM errand.jobs AS j
                WHERE j.lane = l.lane AND j.state = 3 AND j.hold IS NULL
                    AND (j.expires_at IS NULL OR j.expires_at > v_now)
                ORDER BY j.rank, j.place LIMIT p_limits[q]) AS h
            LIMIT p_limits[q]) AS ready;
        v_counts := v_counts || v_count;
    END LOOP;
    RETURN v_counts;
END
$$;

-- Gives free slots to jobs that were just stored, as long as nothing of their queue that the worker could run is ready
-- before them.
CREATE FUNCTION errand.offer_1(
    p_moment bigint,
    p_worker uuid,
    p_queues text[],
    p_slots bigint[],
    p_names text[],
    p_versions bigint[],
    p_ids uuid[]
) RETURNS SETOF errand.jobs
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    v_lanes integer[];
    v_tids tid[] := '{}';
    v_head record;
BEGIN
    IF NOT EXISTS (SELECT FROM errand.workers AS w WHERE w.id = p_worker AND w.dead_at IS NULL) THEN
        RETURN;
    END IF;
    FOR q IN 1 .. cardinality(p_queues) LOOP
        -- A due job that is not yet ready in name is ready in fact, and would be overtaken.
        CONTINUE WHEN errand.next_due_1(ARRAY(SELECT lane FROM errand.lanes WHERE queue = p_queues[q])) <= p_moment;
        v_lanes := errand.runnable_1(p_moment, p_queues[q], p_names, p_versions);
        FOR v_head IN
            SELECT h.tid, h.id FROM unnest(v_lanes) AS l (lane) CROSS JOIN LATERAL (
                SELECT j.ctid AS tid, j.id, j.rank, j.place FROM errand.jobs AS j
                WHERE j.lane = l.lane AND j.state = 3 AND j.hold IS NULL
                ORDER BY j.rank, j.place LIMIT least(p_slots[q], cardinality(p_ids))) AS h
            ORDER BY h.rank, h.place LIMIT least(p_slots[q], cardinality(p_ids))
        LOOP
            EXIT WHEN NOT v_head.id = ANY (p_ids);
            v_tids := v_tids || v_head.tid;
        END LOOP;
    END LOOP;
    IF cardinality(v_tids) > 0 THEN
        RETURN QUERY SELECT s.* FROM (
            SELECT array_agg(f.tid) AS tids FROM (
                SELECT j.ctid AS tid FROM errand.jobs AS j
                WHERE j.ctid = ANY (v_tids) AND j.state + 0 = 3 AND j.hold IS NULL FOR UPDATE SKIP LOCKED) AS f) AS free
            CROSS JOIN LATERAL errand.start_1(p_moment, p_worker, free.tids) AS s;
    END IF;
END
$$;
