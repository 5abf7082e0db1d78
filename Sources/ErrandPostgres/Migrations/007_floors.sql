-- Errand 007: claims that cost the same however long somebody's snapshot keeps dead rows from being cleaned up.
--
-- What was claimed leaves an entry at the front of jobs_ready, and an open snapshot keeps it there: a claim that begins at
-- the front walks over all of them. So every process knows a floor for each lane, a rank before which nothing of the lane
-- is ready, and begins there. Whoever makes a job ready before the floor of somebody leaves a note in "early", in the same
-- commit: claims look at the notes, too.
--
-- That is exact, because a floor is raised in two steps (rise_1). First the head of the lane is set: a sequence, which all
-- see at once, whatever their snapshot. From then on writers compare with it, after they have written. Those that wrote
-- before, and may have compared before, hold their lock on the table until they end. When the last of them has ended, what
-- they wrote can be seen, and the floor is the head, or the first ready job if that is before it.

-- The lanes share a few: a lane whose number is 32 more compares with the higher of two heads, and notes more than it must.
DO $do$
BEGIN
    FOR n IN 0 .. 31 LOOP
        EXECUTE format('CREATE SEQUENCE %s_%s MINVALUE -9223372036854775807 START 1', 'errand.heads', n);
    END LOOP;
END
$do$;

-- Ranks before the head of their lane at which jobs became ready.
CREATE TABLE errand.early (
    lane integer NOT NULL,
    rank bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX early_key ON errand.early (lane, rank);

-- The head of a lane, NULL before the first.
CREATE FUNCTION errand.head_1(p_lane integer) RETURNS bigint
LANGUAGE sql VOLATILE
AS $$ SELECT pg_sequence_last_value(('errand.heads_' || p_lane % 32)::regclass) $$;

-- Which life of which server this is: what was known of heads holds in it alone.
CREATE FUNCTION errand.server_1() RETURNS bigint
LANGUAGE sql STABLE
AS $$ SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint $$;

-- Notes what an update made ready before the head; also what releases do that know nothing of it, and people.
CREATE FUNCTION errand.note_early_1() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF NEW.rank < errand.head_1(NEW.lane) THEN
        INSERT INTO errand.early (lane, rank) VALUES (NEW.lane, NEW.rank);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER jobs_early AFTER UPDATE ON errand.jobs FOR EACH ROW
WHEN (NEW.state = 3 AND NEW.hold IS NULL) EXECUTE FUNCTION errand.note_early_1();

-- The stretches of jobs_ready in which the ready jobs of these lanes are: all from the floor on, and the ranks that are
-- noted before it. When there are very many notes, all from the first of them on.
CREATE FUNCTION errand.stretches_1(
    p_lanes integer[],
    p_server bigint,
    p_floor_lanes bigint[],
    p_floors bigint[],
    OUT r_lanes integer[],
    OUT r_lows bigint[],
    OUT r_highs bigint[]
)
LANGUAGE plpgsql
AS $$
DECLARE
    c_first CONSTANT bigint := -9223372036854775808;
    c_last CONSTANT bigint := 9223372036854775807;
BEGIN
    IF p_floors IS NULL OR p_server IS DISTINCT FROM errand.server_1() THEN
        r_lanes := p_lanes;
        r_lows := array_fill(c_first, ARRAY[cardinality(p_lanes)]);
        r_highs := array_fill(c_last, ARRAY[cardinality(p_lanes)]);
        RETURN;
    END IF;
    WITH floors AS MATERIALIZED (
        SELECT l.lane, CASE WHEN f.floor <= errand.head_1(l.lane) THEN f.floor END AS floor
        FROM unnest(p_lanes) AS l (lane) LEFT JOIN unnest(p_floor_lanes, p_floors) AS f (lane, floor) ON f.lane = l.lane
    ), known AS MATERIALIZED (
        SELECT lane, floor, ARRAY(
            SELECT DISTINCT e.rank FROM errand.early AS e WHERE e.lane = floors.lane AND e.rank < floors.floor
            ORDER BY e.rank LIMIT 65) AS ranks
        FROM floors
    ), stretches AS (
        SELECT lane, CASE WHEN cardinality(ranks) > 64 THEN ranks[1] ELSE coalesce(floor, c_first) END AS low,
            c_last AS high
        FROM known
        UNION ALL
        SELECT known.lane, e.rank, e.rank FROM known CROSS JOIN LATERAL unnest(known.ranks) AS e (rank)
        WHERE cardinality(known.ranks) <= 64
    )
    SELECT array_agg(lane), array_agg(low), array_agg(high) INTO r_lanes, r_lows, r_highs FROM stretches;
END
$$;

-- Raises floors: those of the last call (p_heads of p_lanes), if all who wrote then (p_writers) have ended, and sets the
-- heads for the next call. Notes of jobs that are not ready any more go. Rows: the server and who writes now in all of
-- them, a lane, its floor if it has a new one, and its head.
CREATE FUNCTION errand.rise_1(
    p_server bigint,
    p_lanes bigint[],
    p_floors bigint[],
    p_heads bigint[],
    p_writers text,
    p_next_lanes bigint[],
    p_next_heads bigint[]
) RETURNS TABLE (r_server bigint, r_writers text, r_lane bigint, r_floor bigint, r_head bigint)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    v_server bigint := errand.server_1();
    v_writers text[];
    v_has_ended boolean := false;
BEGIN
    -- In one snapshot what ended writers wrote could be missing.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN;
    END IF;
    DELETE FROM errand.early WHERE ctid = ANY (ARRAY(
        SELECT e.ctid FROM errand.early AS e WHERE e.lane = ANY (p_next_lanes::integer[]) AND NOT EXISTS (
            SELECT FROM errand.jobs AS j
            WHERE j.lane = e.lane AND j.state = 3 AND j.hold IS NULL AND j.rank = e.rank)
        LIMIT 1000 FOR UPDATE SKIP LOCKED));
    IF pg_try_advisory_xact_lock('errand.early'::regclass::oid::bigint) THEN
        PERFORM setval(('errand.heads_' || n.lane % 32)::regclass, n.head)
        FROM unnest(p_next_lanes, p_next_heads) AS n (lane, head)
        WHERE n.head > coalesce(errand.head_1(n.lane::integer), -9223372036854775808);
    END IF;
    -- Not a matter of snapshots: who is in the list, or was and is not, is so now.
    v_writers := ARRAY(
        SELECT CASE WHEN l.pid IS NULL THEN 'prepared' ELSE l.virtualtransaction END FROM pg_locks AS l
        WHERE l.locktype = 'relation' AND l.relation = 'errand.jobs'::regclass AND l.mode = 'RowExclusiveLock'
            AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()));
    IF p_server = v_server THEN
        -- One that was prepared meanwhile has another name.
        v_has_ended := NOT string_to_array(p_writers, ' ') && v_writers AND 'prepared' <> ALL (v_writers);
    END IF;
    RETURN QUERY
    SELECT v_server, array_to_string(v_writers, ' '), l.lane,
        CASE WHEN v_has_ended AND l.head <= errand.head_1(l.lane::integer) THEN (
            SELECT least(l.head, min(h.rank)) FROM (
                SELECT j.rank FROM errand.jobs AS j
                WHERE j.lane = l.lane AND j.state = 3 AND j.hold IS NULL
                    AND j.rank >= coalesce(l.floor, -9223372036854775808)
                ORDER BY j.rank LIMIT 1) AS h) END,
        NULL::bigint
    FROM unnest(p_lanes, p_floors, p_heads) AS l (lane, floor, head)
    UNION ALL
    SELECT v_server, array_to_string(v_writers, ' '), n.lane, NULL, least(n.head, errand.head_1(n.lane::integer))
    FROM unnest(p_next_lanes, p_next_heads) AS n (lane, head);
END
$$;

-- As claim_1, peek_1 and offer_1, from the floors on.
CREATE FUNCTION errand.claim_2(
    p_at bigint,
    p_worker uuid,
    p_queues text[],
    p_quotas bigint[],
    p_names text[],
    p_versions bigint[],
    p_promotions bigint,
    p_server bigint,
    p_floor_lanes bigint[],
    p_floors bigint[]
) RETURNS SETOF errand.claimed_1
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    v_now bigint := errand.moment_1(p_at);
    v_own integer[] := ARRAY(SELECT lane FROM errand.lanes WHERE queue = ANY (p_queues));
    v_next bigint;
    v_more boolean := false;
    v_lanes integer[];
    v_lows bigint[];
    v_highs bigint[];
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
        SELECT r.r_lanes, r.r_lows, r.r_highs INTO v_lanes, v_lows, v_highs
        FROM errand.stretches_1(v_lanes, p_server, p_floor_lanes, p_floors) AS r;
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
                        AND j.rank >= v_lows[1]
                    ORDER BY j.rank, j.place LIMIT v_wanted FOR UPDATE SKIP LOCKED) AS h;
                v_heads := NULL;
            ELSE
                -- Several: as far as the shortest look into any of them reaches, the order is known.
                v_chunk := v_wanted / cardinality(v_lanes) + 4;
                WITH heads AS MATERIALIZED (
                    SELECT h.* FROM unnest(v_lanes, v_lows, v_highs) AS l (lane, low, high) CROSS JOIN LATERAL (
                        SELECT j.ctid AS tid, j.rank, j.place, row_number() OVER (ORDER BY j.rank, j.place) AS n
                        FROM errand.jobs AS j
                        WHERE j.lane = l.lane AND j.state = 3 AND j.hold IS NULL AND j.rank <= l.high
                            AND (j.rank, j.place) > (greatest(l.low, v_rank), CASE WHEN l.low > v_rank
                                THEN -9223372036854775808 ELSE v_place END)
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
                SELECT FROM unnest(v_lanes, v_lows, v_highs) AS l (lane, low, high) CROSS JOIN LATERAL (
                    SELECT FROM errand.jobs AS j
                    WHERE j.lane = l.lane AND j.state = 3 AND j.hold IS NULL AND j.rank <= l.high
                        AND (j.rank, j.place) > (greatest(l.low, v_rank), CASE WHEN l.low > v_rank
                            THEN -9223372036854775808 ELSE v_place END)
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

CREATE FUNCTION errand.peek_2(
    p_at bigint,
    p_queues text[],
    p_limits bigint[],
    p_names text[],
    p_versions bigint[],
    p_promotions bigint,
    p_server bigint,
    p_floor_lanes bigint[],
    p_floors bigint[]
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
            SELECT FROM errand.stretches_1(v_lanes, p_server, p_floor_lanes, p_floors) AS r
            CROSS JOIN LATERAL unnest(r.r_lanes, r.r_lows, r.r_highs) AS l (lane, low, high) CROSS JOIN LATERAL (
                SELECT FROM errand.jobs AS j
                WHERE j.lane = l.lane AND j.state = 3 AND j.hold IS NULL AND j.rank BETWEEN l.low AND l.high
                    AND (j.expires_at IS NULL OR j.expires_at > v_now)
                ORDER BY j.rank, j.place LIMIT p_limits[q]) AS h
            LIMIT p_limits[q]) AS ready;
        v_counts := v_counts || v_count;
    END LOOP;
    RETURN v_counts;
END
$$;

CREATE FUNCTION errand.offer_2(
    p_moment bigint,
    p_worker uuid,
    p_queues text[],
    p_slots bigint[],
    p_names text[],
    p_versions bigint[],
    p_ids uuid[],
    p_server bigint,
    p_floor_lanes bigint[],
    p_floors bigint[]
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
            SELECT h.tid, h.id FROM errand.stretches_1(v_lanes, p_server, p_floor_lanes, p_floors) AS r
            CROSS JOIN LATERAL unnest(r.r_lanes, r.r_lows, r.r_highs) AS l (lane, low, high) CROSS JOIN LATERAL (
                SELECT j.ctid AS tid, j.id, j.rank, j.place FROM errand.jobs AS j
                WHERE j.lane = l.lane AND j.state = 3 AND j.hold IS NULL AND j.rank BETWEEN l.low AND l.high
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

-- As they were, with notes of what becomes ready before the head.
CREATE OR REPLACE FUNCTION errand.insert_1(
    p_at bigint,
    p_base bigint,
    p_waiting boolean,
    p_ids uuid[],
    p_places bigint[],
    p_lanes bigint[],
    p_priorities bigint[],
    p_delays bigint[],
    p_starts bigint[],
    p_withins bigint[],
    p_deadlines bigint[],
    p_timeouts bigint[],
    p_ttls bigint[],
    p_crashes bigint[],
    p_retries text[],
    p_tags text[],
    p_headers text[],
    p_traces text[],
    p_scopes bigint[],
    p_keys text[],
    p_key_ttls bigint[],
    p_conflicts bigint[],
    p_formats text[],
    p_payloads bytea[],
    p_tag_ids uuid[],
    p_tag_words text[]
) RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now bigint := errand.moment_1(p_at);
    v_minute bigint := floor(v_now / 60000000.0);
    v_base bigint := coalesce(p_base, nextval('errand.batches') << 16);
BEGIN
    WITH asked AS (
        SELECT a.*, greatest(coalesce(a.start_at, errand.later_1(v_now, coalesce(a.delay, 0))), v_now) AS run_at,
            errand.later_1(v_now, a.within) AS start_by, errand.later_1(v_now, a.lasting) AS deadline
        FROM unnest(p_ids, p_places, p_lanes, p_priorities, p_delays, p_starts, p_withins, p_deadlines, p_timeouts,
            p_ttls, p_crashes, p_retries, p_tags, p_headers, p_traces, p_scopes, p_keys, p_key_ttls, p_conflicts,
            p_formats, p_payloads)
        WITH ORDINALITY AS a (id, place, lane, priority, delay, start_at, within, lasting, timeout, ttl, crashes, retry,
            tags, headers, trace, scope, key, key_ttl, conflict, format, payload, n)
    ), added AS (
        INSERT INTO errand.jobs (id, place, rank, run_at, created_at, lane, state, priority, start_by, deadline, due_at,
            expires_at, timeout, result_ttl, crashes_allowed, retry, tags, headers, trace, unique_scope, unique_key,
            unique_ttl, unique_conflict, format, payload)
        SELECT id, v_base + coalesce(place, n), run_at - coalesce(priority, 5) * 300000000, run_at, v_now, lane,
            CASE WHEN p_waiting THEN 0 WHEN run_at > v_now THEN 1 ELSE 3 END, coalesce(priority, 5), start_by, deadline,
            CASE WHEN run_at > v_now AND NOT p_waiting THEN run_at END, least(start_by, deadline), timeout,
            coalesce(ttl, 86400000000), coalesce(crashes, 2), retry, tags, headers, trace, scope, key, key_ttl, conflict,
            format, payload
        FROM asked
        ON CONFLICT (id) DO NOTHING
        RETURNING id, lane, state, rank
    ), groups AS MATERIALIZED (
        SELECT lane, state, rank, count(*) AS n FROM added GROUP BY lane, state, rank
    ), early AS (
        INSERT INTO errand.early (lane, rank)
        SELECT lane, rank FROM groups WHERE state = 3 AND rank < errand.head_1(lane)
    ), tagged AS (
        INSERT INTO errand.job_tags (tag, job)
        SELECT t.word, added.id FROM unnest(p_tag_ids, p_tag_words) AS t (id, word) JOIN added ON added.id = t.id
        ON CONFLICT DO NOTHING
    )
    INSERT INTO errand.deltas (n, minute, lane, kind, bucket)
    SELECT s.n, d.minute, s.lane, d.kind, 0
    FROM (SELECT lane, state, sum(n) AS n FROM groups GROUP BY lane, state) AS s
    CROSS JOIN LATERAL (VALUES (0, s.state), (v_minute, 16)) AS d (minute, kind);
    RETURN v_now;
END
$$;

CREATE OR REPLACE FUNCTION errand.insert_2(
    p_at bigint,
    p_base bigint,
    p_waiting boolean,
    p_ids uuid[],
    p_places bigint[],
    p_lanes bigint[],
    p_priorities bigint[],
    p_delays bigint[],
    p_starts bigint[],
    p_withins bigint[],
    p_deadlines bigint[],
    p_timeouts bigint[],
    p_ttls bigint[],
    p_crashes bigint[],
    p_retries text[],
    p_tags text[],
    p_headers text[],
    p_traces text[],
    p_scopes bigint[],
    p_keys text[],
    p_key_ttls bigint[],
    p_conflicts bigint[],
    p_formats text[],
    p_payloads bytea[],
    p_tag_ids uuid[],
    p_tag_words text[]
) RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
AS $$
DECLARE
    v_now bigint := errand.moment_1(p_at);
    v_minute bigint := floor(v_now / 60000000.0);
    v_base bigint := coalesce(p_base, nextval('errand.batches') << 16);
    v_known uuid[] := CASE WHEN (SELECT max(at) FROM errand.departures) IS NOT NULL THEN errand.known_1(p_ids) END;
BEGIN
    IF v_known IS NULL AND num_nonnulls(p_places, p_priorities, p_delays, p_starts, p_withins, p_deadlines, p_ttls, p_crashes,
        p_retries, p_tags, p_headers, p_traces, p_scopes, p_keys, p_key_ttls, p_conflicts, p_formats, p_tag_ids) = 0 THEN
        -- Nothing unusual about any of them: a third of the work.
        WITH added AS (
            INSERT INTO errand.jobs (id, place, rank, run_at, created_at, lane, state, priority, timeout, result_ttl,
                crashes_allowed, payload)
            SELECT a.id, v_base + a.n, v_now - 1500000000, v_now, v_now, a.lane, CASE WHEN p_waiting THEN 0 ELSE 3 END, 5,
                a.timeout, 86400000000, 2, a.payload
            FROM unnest(p_ids, p_lanes, p_timeouts, p_payloads) WITH ORDINALITY AS a (id, lane, timeout, payload, n)
            ON CONFLICT (id) DO NOTHING
            RETURNING lane, state
        ), groups AS MATERIALIZED (
            SELECT lane, state, count(*) AS n FROM added GROUP BY lane, state
        ), early AS (
            INSERT INTO errand.early (lane, rank)
            SELECT lane, v_now - 1500000000 FROM groups
            WHERE state = 3 AND v_now - 1500000000 < errand.head_1(lane)
        )
        INSERT INTO errand.deltas (n, minute, lane, kind, bucket)
        SELECT s.n, d.minute, s.lane, d.kind, 0 FROM groups AS s
        CROSS JOIN LATERAL (VALUES (0, s.state), (v_minute, 16)) AS d (minute, kind);
    ELSE
        WITH asked AS (
            SELECT a.*, greatest(coalesce(a.start_at, errand.later_1(v_now, coalesce(a.delay, 0))), v_now) AS run_at,
                errand.later_1(v_now, a.within) AS start_by, errand.later_1(v_now, a.lasting) AS deadline
            FROM unnest(p_ids, p_places, p_lanes, p_priorities, p_delays, p_starts, p_withins, p_deadlines, p_timeouts,
                p_ttls, p_crashes, p_retries, p_tags, p_headers, p_traces, p_scopes, p_keys, p_key_ttls, p_conflicts,
                p_formats, p_payloads)
            WITH ORDINALITY AS a (id, place, lane, priority, delay, start_at, within, lasting, timeout, ttl, crashes, retry,
                tags, headers, trace, scope, key, key_ttl, conflict, format, payload, n)
        ), added AS (
            INSERT INTO errand.jobs (id, place, rank, run_at, created_at, lane, state, priority, start_by, deadline, due_at,
                expires_at, timeout, result_ttl, crashes_allowed, retry, tags, headers, trace, unique_scope, unique_key,
                unique_ttl, unique_conflict, format, payload)
            SELECT id, v_base + coalesce(place, n), run_at - coalesce(priority, 5) * 300000000, run_at, v_now, lane,
                CASE WHEN p_waiting THEN 0 WHEN run_at > v_now THEN 1 ELSE 3 END, coalesce(priority, 5), start_by, deadline,
                CASE WHEN run_at > v_now AND NOT p_waiting THEN run_at END, least(start_by, deadline), timeout,
                coalesce(ttl, 86400000000), coalesce(crashes, 2), retry, tags, headers, trace, scope, key, key_ttl, conflict,
                format, payload
            FROM asked
            WHERE v_known IS NULL OR id <> ALL (v_known)
            ON CONFLICT (id) DO NOTHING
            RETURNING id, lane, state, rank
        ), groups AS MATERIALIZED (
            SELECT lane, state, rank, count(*) AS n FROM added GROUP BY lane, state, rank
        ), early AS (
            INSERT INTO errand.early (lane, rank)
            SELECT lane, rank FROM groups WHERE state = 3 AND rank < errand.head_1(lane)
        ), tagged AS (
            INSERT INTO errand.job_tags (tag, job)
            SELECT t.word, added.id FROM unnest(p_tag_ids, p_tag_words) AS t (id, word) JOIN added ON added.id = t.id
            ON CONFLICT DO NOTHING
        )
        INSERT INTO errand.deltas (n, minute, lane, kind, bucket)
        SELECT s.n, d.minute, s.lane, d.kind, 0
        FROM (SELECT lane, state, sum(n) AS n FROM groups GROUP BY lane, state) AS s
        CROSS JOIN LATERAL (VALUES (0, s.state), (v_minute, 16)) AS d (minute, kind);
    END IF;
    IF v_known IS NULL AND (SELECT max(at) FROM errand.departures) IS NOT NULL
        AND EXISTS (SELECT FROM errand.departures WHERE job = ANY (p_ids)) THEN
        -- The first jobs to leave went while the rows of these were waited for.
        RAISE EXCEPTION 'errand: a job left for another store in this moment' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN v_now;
END
$$;

-- Users who may write jobs may note them, and those who may claim them may set heads.
DO $do$
DECLARE
    v_right record;
    v_heads text := (SELECT string_agg(('errand.heads_' || n)::regclass::text, ', ') FROM generate_series(0, 31) AS n);
BEGIN
    FOR v_right IN
        SELECT a.privilege_type AS word, CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS who
        FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE c.oid = 'errand.jobs'::regclass AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('GRANT %s ON %s TO %s', v_right.word, 'errand.early'::regclass, v_right.who);
        CONTINUE WHEN v_right.word NOT IN ('SELECT', 'INSERT', 'UPDATE');
        EXECUTE format('GRANT %s ON SEQUENCE %s TO %s',
            CASE v_right.word WHEN 'UPDATE' THEN 'SELECT, UPDATE' ELSE 'SELECT' END, v_heads, v_right.who);
    END LOOP;
    FOR v_right IN
        SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS who
        FROM pg_proc AS p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.oid = 'errand.insert_1'::regproc AND a.grantee <> p.proowner
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s, %s, %s, %s, %s, %s, %s, %s TO %s', 'errand.head_1'::regproc,
            'errand.server_1'::regproc, 'errand.note_early_1'::regproc, 'errand.stretches_1'::regproc,
            'errand.rise_1'::regproc, 'errand.claim_2'::regproc, 'errand.peek_2'::regproc, 'errand.offer_2'::regproc,
            v_right.who);
    END LOOP;
END
$do$;
