-- Errand 002: storing jobs, and what all functions need. The number at the end of a name is the version of the function:
-- a release that needs another one adds it and leaves this one to the releases that still run.

-- Store time: the server's clock, or the time a test gives.
CREATE FUNCTION errand.moment_1(p_at bigint) RETURNS bigint
LANGUAGE sql VOLATILE
AS $$ SELECT coalesce(p_at, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) $$;

-- The instant p_span later, at most the largest there is.
CREATE FUNCTION errand.later_1(p_at bigint, p_span bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE
AS $$ SELECT CASE WHEN p_span > 9223372036854775807 - greatest(p_at, 0) THEN 9223372036854775807 ELSE p_at + p_span END $$;

-- The bucket of the histograms: 0 for less than a millisecond, then one for each doubling.
CREATE FUNCTION errand.bucket_1(p_span bigint) RETURNS integer
LANGUAGE sql IMMUTABLE
AS $$
    SELECT width_bucket(p_span / 1000, ARRAY[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768,
        65536, 131072, 262144, 524288, 1048576, 2097152, 4194304, 8388608]::bigint[])
$$;

-- The lane of these three, made if it is new. Not for transactions that stay open: it keeps others from making lanes.
CREATE FUNCTION errand.lane_1(p_queue text, p_name text, p_version bigint) RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    v_lane integer;
BEGIN
    SELECT min(lane) INTO v_lane FROM errand.lanes WHERE queue = p_queue AND name = p_name AND version = p_version;
    IF v_lane IS NULL THEN
        PERFORM pg_advisory_xact_lock('errand.lanes'::regclass::oid::bigint);
        SELECT min(lane) INTO v_lane FROM errand.lanes WHERE queue = p_queue AND name = p_name AND version = p_version;
    END IF;
    IF v_lane IS NULL THEN
        INSERT INTO errand.lanes (queue, name, version) VALUES (p_queue, p_name, p_version) RETURNING lane INTO v_lane;
    END IF;
    RETURN v_lane;
END
$$;

-- Stores jobs, all in one state of the two they can begin in; ids that are there already are left alone. Arrays that say
-- nothing are NULL. p_base is where their places begin, NULL for a new batch; p_waiting makes them follow-ups.
CREATE FUNCTION errand.insert_1(
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
        RETURNING id, lane, state
    ), tagged AS (
        INSERT INTO errand.job_tags (tag, job)
        SELECT t.word, added.id FROM unnest(p_tag_ids, p_tag_words) AS t (id, word) JOIN added ON added.id = t.id
        ON CONFLICT DO NOTHING
    )
    INSERT INTO errand.deltas (n, minute, lane, kind, bucket)
    SELECT s.n, d.minute, s.lane, d.kind, 0
    FROM (SELECT lane, state, count(*) AS n FROM added GROUP BY lane, state) AS s
    CROSS JOIN LATERAL (VALUES (0, s.state), (v_minute, 16)) AS d (minute, kind);
    RETURN v_now;
END
$$;

-- Adds a bite of the appended changes to the numbers. One process at a time; who comes second has nothing to do.
CREATE FUNCTION errand.fold_1(p_limit bigint) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_count bigint := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock('errand.deltas'::regclass::oid::bigint) THEN
        RETURN 0;
    END IF;
    WITH gone AS (
        DELETE FROM errand.deltas
        WHERE ctid = ANY (ARRAY(SELECT ctid FROM errand.deltas LIMIT p_limit))
        RETURNING n, minute, lane, kind, bucket
    ), jobs AS (
        INSERT INTO errand.tallies AS t (lane, state, n)
        SELECT lane, kind, sum(n) FROM gone WHERE kind < 16 GROUP BY lane, kind ORDER BY lane, kind
        ON CONFLICT (lane, state) DO UPDATE SET n = t.n + excluded.n
    ), events AS (
        INSERT INTO errand.counters AS c (minute, lane, metric, bucket, value)
        SELECT minute, lane, kind - 16, bucket, sum(n) FROM gone WHERE kind >= 16
        GROUP BY minute, lane, kind, bucket ORDER BY minute, lane, kind, bucket
        ON CONFLICT (minute, lane, metric, bucket) DO UPDATE SET value = c.value + excluded.value
    )
    SELECT count(*) INTO v_count FROM gone;
    RETURN v_count;
END
$$;
