-- Errand 006: jobs on their way to another store, and where they went.

-- The one batch that left and has not been heard of, as the value that the calls exchange. Its jobs are nowhere else.
CREATE TABLE errand.exports (
    the_only boolean PRIMARY KEY DEFAULT true CHECK (the_only),
    id uuid NOT NULL,
    destination text NOT NULL,
    at bigint NOT NULL,
    batch bytea NOT NULL
);

-- Jobs that left: a late repeat of their insert must not bring them back.
CREATE TABLE errand.departures (
    job uuid PRIMARY KEY,
    at bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX departures_at ON errand.departures (at);

-- Batches that came from elsewhere, each of which is taken in once.
CREATE TABLE errand.imports (
    id uuid PRIMARY KEY,
    at bigint NOT NULL
);
CREATE INDEX imports_at ON errand.imports (at);

-- Lines of the audit come from other stores too: their order is that of their time, not that of their arrival.
CREATE INDEX audit_at ON errand.audit (at, entry);

-- Which of these ids are stored or have left. In one snapshot: a job that is just leaving is in one of the two tables.
CREATE FUNCTION errand.known_1(p_ids uuid[]) RETURNS uuid[]
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
BEGIN
    RETURN ARRAY(SELECT job FROM errand.departures WHERE job = ANY (p_ids) UNION ALL
        SELECT id FROM errand.jobs WHERE id = ANY (p_ids));
END
$$;

-- As insert_1, but leaves alone what has left. When nothing left lately, that takes two looks at an empty index.
CREATE FUNCTION errand.insert_2(
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
    IF v_known IS NULL AND (SELECT max(at) FROM errand.departures) IS NOT NULL
        AND EXISTS (SELECT FROM errand.departures WHERE job = ANY (p_ids)) THEN
        -- The first jobs to leave went while the rows of these were waited for.
        RAISE EXCEPTION 'errand: a job left for another store in this moment' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN v_now;
END
$$;

-- The ready jobs of these lanes behind a place, at most p_limit of each lane.
CREATE FUNCTION errand.ready_after_1(p_lanes bigint[], p_rank bigint, p_place bigint, p_limit bigint)
RETURNS TABLE (r_id uuid, r_lane integer, r_rank bigint, r_place bigint, r_bytes bigint)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
BEGIN
    RETURN QUERY
    SELECT h.id, h.lane, h.rank, h.place, h.bytes
    FROM unnest(p_lanes) AS l (lane) CROSS JOIN LATERAL (
        SELECT j.id, j.lane, j.rank, j.place, octet_length(j.payload)::bigint AS bytes FROM errand.jobs AS j
        WHERE j.lane = l.lane AND j.state = 3 AND j.hold IS NULL AND (j.rank, j.place) > (p_rank, p_place)
        ORDER BY j.rank, j.place LIMIT p_limit) AS h
    ORDER BY h.rank, h.place;
END
$$;

-- Enqueueing from any client; what is new is that a job that has left is not stored again.
-- Options: queue, priority (0 to 9), delay (seconds), runAt (time stamp), startWithin, deadline, timeout (seconds; timeout
-- null for none), maxAttempts, tags (array), headers (object), version, id, and uniqueKey with uniqueFor (seconds),
-- uniqueUntil ("start" or "done") and onConflict ("existing", the default, or "refuse").
CREATE OR REPLACE FUNCTION errand.enqueue(name text, args jsonb, options jsonb DEFAULT '{}') RETURNS uuid
LANGUAGE plpgsql
AS $function$
<<job>>
DECLARE
    now bigint := errand.moment_1(NULL);
    option text;
    id uuid := coalesce((options ->> 'id')::uuid, errand.new_id_1(now));
    queue text := coalesce(options ->> 'queue', 'default');
    version bigint := coalesce((options ->> 'version')::bigint, 1);
    priority bigint := least(greatest(coalesce((options ->> 'priority')::bigint, 5), 0), 9);
    run_at bigint;
    lane integer;
    key text := options ->> 'uniqueKey';
    key_ttl bigint := ((options ->> 'uniqueFor')::numeric * 1000000)::bigint;
    key_scope bigint := CASE WHEN options ->> 'uniqueFor' IS NOT NULL THEN 2 WHEN options ->> 'uniqueUntil' = 'start' THEN 0
        ELSE 1 END;
    tags text[] := ARRAY(SELECT jsonb_array_elements_text(coalesce(options -> 'tags', '[]')));
    other errand.unique_keys;
    holder errand.jobs;
BEGIN
    IF enqueue.name IS NULL OR enqueue.name = '' OR octet_length(enqueue.name) > 200 OR enqueue.name ~ '[[:cntrl:]]' THEN
        RAISE EXCEPTION 'errand: a job name has 1 to 200 bytes and no control characters'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF queue = '' OR octet_length(queue) > 200 OR queue ~ '[[:cntrl:]]' THEN
        RAISE EXCEPTION 'errand: a queue name has 1 to 200 bytes and no control characters'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR option IN SELECT jsonb_object_keys(options) LOOP
        IF option <> ALL (ARRAY['id', 'queue', 'priority', 'delay', 'runAt', 'startWithin', 'deadline', 'timeout',
            'maxAttempts', 'tags', 'headers', 'version', 'uniqueKey', 'uniqueFor', 'uniqueUntil', 'onConflict']) THEN
            RAISE EXCEPTION 'errand: there is no option "%"', option USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END LOOP;
    IF coalesce(options ->> 'onConflict', 'existing') NOT IN ('existing', 'refuse')
        OR coalesce(options ->> 'uniqueUntil', 'done') NOT IN ('start', 'done') THEN
        RAISE EXCEPTION 'errand: onConflict is "existing" or "refuse", uniqueUntil is "start" or "done"'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF version < 1 OR (options ->> 'maxAttempts')::bigint < 1 OR (options ->> 'startWithin')::numeric <= 0
        OR (options ->> 'deadline')::numeric <= 0 OR (options ->> 'timeout')::numeric <= 0 OR key_ttl <= 0
        OR key = '' OR octet_length(key) > 1024 OR key ~ '[[:cntrl:]]' OR cardinality(tags) > 20 THEN
        RAISE EXCEPTION 'errand: an option is out of its bounds: versions, attempts and times are positive, a unique key has 1 to 1024 bytes, there are at most 20 tags'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF EXISTS (SELECT FROM errand.jobs AS j WHERE j.id = job.id UNION ALL
        SELECT FROM errand.departures AS d WHERE d.job = job.id) THEN
        RETURN id;
    END IF;
    run_at := greatest(now, coalesce((extract(epoch FROM (options ->> 'runAt')::timestamptz) * 1000000)::bigint,
        now + (coalesce((options ->> 'delay')::numeric, 0) * 1000000)::bigint));

    IF key IS NOT NULL THEN
        LOOP
            INSERT INTO errand.unique_keys (key, job, expires_at, last_state)
            VALUES (job.key, job.id, now + key_ttl, CASE WHEN run_at > now THEN 1 ELSE 3 END)
            ON CONFLICT ON CONSTRAINT unique_keys_pkey DO NOTHING;
            EXIT WHEN FOUND;
            SELECT k.* INTO other FROM errand.unique_keys AS k WHERE k.key = job.key FOR UPDATE;
            CONTINUE WHEN NOT FOUND;
            IF other.expires_at <= now AND other.follow_up IS NULL THEN
                DELETE FROM errand.unique_keys AS k WHERE k.key = job.key;
                CONTINUE;
            END IF;
            SELECT j.* INTO holder FROM errand.jobs AS j WHERE j.id = other.job FOR UPDATE;
            IF FOUND AND holder.state < 4 AND holder.hold IS NULL AND other.follow_up IS NULL AND holder.expires_at <= now
                THEN
                -- It will not run: joined to it, this job would not either.
                UPDATE errand.jobs AS j SET state = 8, finished_at = now, expires_at = NULL, due_at = NULL,
                    reason = CASE WHEN j.deadline <= now THEN 'deadline' END WHERE j.id = holder.id;
                INSERT INTO errand.deltas (n, minute, lane, kind, bucket)
                VALUES (-1, 0, holder.lane, holder.state, 0), (1, 0, holder.lane, 8, 0),
                    (1, now / 60000000, holder.lane, 22, 0);
                DELETE FROM errand.unique_keys AS k WHERE k.key = job.key AND k.expires_at IS NULL;
                CONTINUE WHEN FOUND;
            END IF;
            IF options ->> 'onConflict' = 'refuse' THEN
                RAISE EXCEPTION 'errand: the unique key "%" is taken by job %', key, other.job
                    USING ERRCODE = 'unique_violation';
            END IF;
            -- The more urgent of the two wins, as long as the job that is there has not started.
            IF holder.id IS NOT NULL AND holder.state < 4 THEN
                UPDATE errand.jobs AS j SET priority = n.priority, run_at = n.run_at, rank = n.run_at - n.priority * 300000000,
                    state = n.state, due_at = CASE WHEN j.due_at IS NOT NULL AND n.state = 1 THEN n.run_at WHEN n.state = 2
                    THEN j.due_at END
                FROM (SELECT greatest(holder.priority, job.priority) AS priority,
                        CASE WHEN holder.state = 1 THEN least(holder.run_at, job.run_at) ELSE holder.run_at END AS run_at,
                        CASE WHEN holder.state = 1 AND job.run_at <= now THEN 3 ELSE holder.state END AS state) AS n
                WHERE j.id = holder.id AND (n.priority, n.run_at) IS DISTINCT FROM (holder.priority, holder.run_at);
                IF holder.state = 1 AND job.run_at <= now THEN
                    INSERT INTO errand.deltas (n, minute, lane, kind, bucket)
                    VALUES (-1, 0, holder.lane, 1, 0), (1, 0, holder.lane, 3, 0);
                    PERFORM pg_notify(left('errand ' || 'errand-schema', 63), 'sql' || E'\nw ' || queue);
                END IF;
            END IF;
            RETURN other.job;
        END LOOP;
    END IF;

    SELECT min(l.lane) INTO lane FROM errand.lanes AS l
    WHERE l.queue = job.queue AND l.name = enqueue.name AND l.version = job.version;
    IF lane IS NULL THEN
        -- Without a lock, because this transaction may stay open: two that meet make two lanes.
        INSERT INTO errand.lanes (queue, name, version) VALUES (job.queue, enqueue.name, job.version)
        RETURNING errand.lanes.lane INTO lane;
    END IF;
    PERFORM errand.insert_2(now, NULL, false, ARRAY[id], NULL, ARRAY[lane]::bigint[], ARRAY[priority], NULL, ARRAY[run_at],
        ARRAY[((options ->> 'startWithin')::numeric * 1000000)::bigint],
        ARRAY[((options ->> 'deadline')::numeric * 1000000)::bigint],
        ARRAY[CASE WHEN options ? 'timeout' THEN ((options ->> 'timeout')::numeric * 1000000)::bigint ELSE 900000000 END],
        NULL, NULL,
        ARRAY[CASE WHEN options ? 'maxAttempts' THEN (options ->> 'maxAttempts') || ' exponential 3.0 2000000 21600000000 0.25'
            END],
        ARRAY[CASE WHEN cardinality(tags) > 0 THEN to_json(tags)::text END],
        ARRAY[(SELECT '{' || string_agg(to_json(h.key)::text || ':' || to_json(h.value)::text, ',' ORDER BY h.key) || '}'
            FROM jsonb_each_text(coalesce(options -> 'headers', '{}')) AS h)],
        NULL, ARRAY[CASE WHEN key IS NOT NULL THEN key_scope END], ARRAY[key],
        ARRAY[CASE WHEN key IS NOT NULL THEN key_ttl END],
        ARRAY[CASE WHEN key IS NULL THEN NULL WHEN options ->> 'onConflict' = 'refuse' THEN 1 ELSE 0 END], NULL,
        ARRAY[convert_to(coalesce(args, 'null')::text, 'UTF8')],
        (SELECT array_agg(job.id) FROM unnest(tags)), CASE WHEN cardinality(tags) > 0 THEN tags END);
    PERFORM pg_notify(left('errand ' || 'errand-schema', 63), 'sql' || E'\nw ' || queue);
    RETURN id;
END
$function$;

-- Users who may use the tables and functions that were there may use the new ones: the release that runs, and clients that
-- enqueue with SQL, do so from now on.
DO $do$
DECLARE
    v_right record;
BEGIN
    FOR v_right IN
        SELECT a.privilege_type AS word, CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS who
        FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE c.oid = 'errand.jobs'::regclass AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('GRANT %s ON %s, %s, %s TO %s', v_right.word, 'errand.exports'::regclass,
            'errand.departures'::regclass, 'errand.imports'::regclass, v_right.who);
    END LOOP;
    FOR v_right IN
        SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS who
        FROM pg_proc AS p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.oid = 'errand.insert_1'::regproc AND a.grantee <> p.proowner
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s, %s, %s TO %s', 'errand.insert_2'::regproc,
            'errand.known_1'::regproc, 'errand.ready_after_1'::regproc, v_right.who);
    END LOOP;
END
$do$;
