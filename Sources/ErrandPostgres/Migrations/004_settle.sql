-- Errand 004: ending attempts and keeping workers alive.

-- Ends successful attempts of jobs without a unique key and without a wish to stop. The fence is in the condition; what
-- it does not let through is answered by its id, and decided one by one.
CREATE FUNCTION errand.succeed_1(
    p_at bigint,
    p_ids uuid[],
    p_epochs bigint[],
    p_workers uuid[],
    p_result_ids uuid[],
    p_result_versions bigint[],
    p_result_formats text[],
    p_results bytea[]
) RETURNS TABLE (r_moment bigint, r_missed uuid[])
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    v_now bigint := errand.moment_1(p_at);
    v_minute bigint := floor(v_now / 60000000.0);
    v_ended uuid[];
BEGIN
    WITH ended AS (
        UPDATE errand.jobs AS j SET state = 5, finished_at = v_now, progress = NULL, reason = NULL
        FROM unnest(p_ids, p_epochs, p_workers) AS a (id, epoch, worker)
        WHERE j.id = a.id AND j.state + 0 = 4 AND j.epoch = a.epoch AND j.worker = a.worker AND j.cancel IS NULL
            AND j.unique_scope IS NULL AND j.epoch <= 50
        RETURNING j.id, j.lane, j.epoch, j.run, j.attempt, j.worker, j.started_at, j.result_ttl, j.has_checkpoints,
            j.attempt = 1 AND j.run = 1 AND j.crashes = 0 AND j.releases = 0 AND j.snoozes = 0 AS is_first
    ), noted AS (
        INSERT INTO errand.deltas (n, minute, lane, kind, bucket)
        SELECT d.n, d.minute, s.lane, d.kind, d.bucket
        FROM (SELECT lane, errand.bucket_1(v_now - started_at)
                AS bucket, count(*) AS n FROM ended GROUP BY 1, 2) AS s
        CROSS JOIN LATERAL (VALUES (-s.n, 0, 4, 0), (s.n, 0, 5, 0), (s.n, v_minute, 18, 0), (s.n, v_minute, 26, s.bucket))
            AS d (n, minute, kind, bucket)
    ), kept AS (
        INSERT INTO errand.attempts (job, epoch, run, number, worker, started_at, ended_at, ending)
        SELECT id, epoch, run, attempt, worker, started_at, v_now, 'succeeded' FROM ended WHERE NOT is_first
    ), results AS (
        INSERT INTO errand.results (job, expires_at, version, format, bytes)
        SELECT r.id, errand.later_1(v_now, e.result_ttl), r.version, r.format, r.bytes
        FROM unnest(p_result_ids, p_result_versions, p_result_formats, p_results) AS r (id, version, format, bytes)
        JOIN ended AS e ON e.id = r.id WHERE e.result_ttl > 0
        ON CONFLICT (job) DO UPDATE SET expires_at = excluded.expires_at, version = excluded.version,
            format = excluded.format, bytes = excluded.bytes
    ), gone AS (
        DELETE FROM errand.checkpoints WHERE job IN (SELECT id FROM ended WHERE has_checkpoints)
    )
    SELECT array_agg(id) INTO v_ended FROM ended;
    IF cardinality(v_ended) = cardinality(p_ids) THEN
        RETURN QUERY SELECT v_now, NULL::uuid[];
    ELSE
        RETURN QUERY SELECT v_now, ARRAY(SELECT a FROM unnest(p_ids) AS a WHERE a <> ALL (coalesce(v_ended, '{}')));
    END IF;
END
$$;

-- A worker is alive and holds these leases. Rows of kind 0 say that it is known; of kind 1, that the lease at this place
-- of the list does not hold, or, with words, that somebody wants its job stopped; of kind 2, which job runs for this
-- worker although it does not list it.
CREATE FUNCTION errand.beat_1(p_at bigint, p_worker uuid, p_ids uuid[], p_epochs bigint[], p_accounted bigint)
RETURNS TABLE (r_kind integer, r_moment bigint, r_place bigint, r_id uuid, r_cancel text)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    v_now bigint := errand.moment_1(p_at);
    v_held uuid[];
BEGIN
    UPDATE errand.workers SET last_seen = v_now WHERE id = p_worker AND dead_at IS NULL;
    IF NOT FOUND THEN
        RETURN QUERY SELECT -1, v_now, NULL::bigint, NULL::uuid, NULL::text;
        RETURN;
    END IF;
    RETURN QUERY SELECT 0, v_now, NULL::bigint, NULL::uuid, NULL::text;
    RETURN QUERY
    SELECT 1, NULL::bigint, a.n, j.id, j.cancel
    FROM unnest(p_ids, p_epochs) WITH ORDINALITY AS a (id, epoch, n)
    LEFT JOIN errand.jobs AS j ON j.id = a.id AND j.state + 0 = 4 AND j.worker = p_worker AND j.epoch = a.epoch
    WHERE j.id IS NULL OR j.cancel IS NOT NULL;
    IF p_accounted IS NOT NULL THEN
        v_held := ARRAY(
            SELECT j.id FROM unnest(p_ids, p_epochs) AS a (id, epoch)
            JOIN errand.jobs AS j ON j.id = a.id AND j.state + 0 = 4 AND j.worker = p_worker AND j.epoch = a.epoch);
        RETURN QUERY
        SELECT 2, NULL::bigint, NULL::bigint, j.id, NULL::text FROM errand.jobs AS j
        WHERE j.worker = p_worker AND j.state = 4 AND j.id <> ALL (v_held)
            AND (j.started_at <= p_accounted OR j.started_at > v_now);
    END IF;
END
$$;
