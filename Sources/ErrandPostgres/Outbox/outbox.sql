-- Jobs on their way to a store that cannot join the transactions of this database, to Redis say. (Jobs that live in
-- this database need no outbox: call errand.enqueue in the transaction.) A row exists exactly if the transaction does
-- that wrote it. Any language may write one:
--
--   INSERT INTO errand_outbox (name, payload) VALUES ('welcome-email', '{"address":"ada@example.com"}');
--   INSERT INTO errand_outbox (name, payload, options)
--   VALUES ('invoice', '{"order":17}', '{"queue":"slow","delay":60,"uniqueKey":"invoice 17"}');
--
-- A relay stores the jobs of the oldest rows, which is safe to repeat because ids are in the rows, and deletes the rows.
-- Rows may become visible in another order than that of `entry` when transactions overlap; nothing is left out, because
-- rows are deleted, not passed by.
--
-- `json`, not `jsonb`: what was written is carried over as it was written.
CREATE TABLE IF NOT EXISTS errand_outbox (
    entry bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The job's id: a UUID of version 7. A repeat with the same id is one job.
    id uuid NOT NULL UNIQUE DEFAULT (
        lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
        || '7' || substr(md5(random()::text || clock_timestamp()::text), 1, 3)
        || '8' || substr(md5(gen_random_uuid()::text), 1, 15))::uuid,
    name text NOT NULL,
    payload json,
    -- queue, priority, delay, uniqueKey, maxAttempts …; NULL for none
    options json,
    -- All of a job that was added by the library, instead of payload and options.
    job text,
    at bigint NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    CHECK (job IS NOT NULL OR payload IS NOT NULL)
);

-- Rows that no store will take, and why.
CREATE TABLE IF NOT EXISTS errand_outbox_refused (
    entry bigint PRIMARY KEY,
    id uuid NOT NULL,
    name text NOT NULL,
    payload json,
    options json,
    job text,
    at bigint NOT NULL,
    refused_at bigint NOT NULL,
    reason text NOT NULL
);
