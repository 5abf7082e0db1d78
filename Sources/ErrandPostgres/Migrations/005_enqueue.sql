-- Errand 005: enqueueing from any client and any language, inside its own transaction: the job exists exactly if that
-- transaction commits, and workers are woken then.
--
--   SELECT errand.enqueue('welcome-email', '{"address": "ada@example.org"}', '{"queue": "mail", "delay": 60}');

-- A job id of version 7: milliseconds, then chance.
CREATE FUNCTION errand.new_id_1(p_moment bigint) RETURNS uuid
LANGUAGE sql VOLATILE
AS $$
    SELECT (lpad(to_hex(p_moment / 1000), 12, '0') || '7' || substr(r.hex, 14, 3) || substr(r.hex, 17))::uuid
    FROM (SELECT replace(gen_random_uuid()::text, '-', '') AS hex) AS r
$$;

-- Options: queue, priority (0 to 9), delay (seconds), runAt (time stamp), startWithin, deadline, timeout (seconds; timeout
-- null for none), maxAttempts, tags (array), headers (object), version, id, and uniqueKey with uniqueFor (seconds),
-- uniqueUntil ("start" or "done") and onConflict ("existing", the default, or "refuse").
CREATE FUNCTION errand.enqueue(name text, args jsonb, options jsonb DEFAULT '{}') RETURNS uuid
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
    IF EXISTS (SELECT FROM errand.jobs AS j WHERE j.id = job.id) THEN
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
    PERFORM errand.insert_1(now, NULL, false, ARRAY[id], NULL, ARRAY[lane]::bigint[], ARRAY[priority], NULL, ARRAY[run_at],
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
