-- The outbox of an application whose own database is PostgreSQL and whose jobs live elsewhere, on Redis say.
-- (Jobs that live in the same PostgreSQL need none: call errand.enqueue in the transaction.)
--
--   INSERT INTO errand_outbox (name, payload) VALUES ('welcome-email', '{"address":"ada@example.com"}');
--
-- A relay reads `SELECT … ORDER BY entry LIMIT 500 FOR UPDATE SKIP LOCKED`, stores the jobs, which is safe to repeat
-- because ids are in the rows, and deletes the rows in the same transaction. Rows may become visible in another order
-- than that of `entry` when transactions overlap; nothing is left out, because rows are deleted, not passed by.
CREATE TABLE IF NOT EXISTS errand_outbox (
    entry bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The job's id: a UUID of version 7. A repeat with the same id is one job.
    id uuid NOT NULL UNIQUE DEFAULT (
        lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
        || '7' || substr(md5(random()::text || clock_timestamp()::text), 1, 3)
        || '8' || substr(md5(gen_random_uuid()::text), 1, 15))::uuid,
    name text NOT NULL CHECK (name <> ''),
    payload jsonb,
    options jsonb,
    job jsonb,
    at bigint NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    CHECK (job IS NOT NULL OR payload IS NOT NULL)
);

-- Rows that no store will take, and why.
CREATE TABLE IF NOT EXISTS errand_outbox_refused (
    entry bigint PRIMARY KEY,
    id uuid NOT NULL,
    name text NOT NULL,
    payload jsonb,
    options jsonb,
    job jsonb,
    at bigint NOT NULL,
    refused_at bigint NOT NULL,
    reason text NOT NULL
);

-- Wakes a relay that listens; one that does not finds the rows when it looks.
CREATE OR REPLACE FUNCTION errand_outbox_wake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('errand_outbox', '');
    RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS errand_outbox_wake ON errand_outbox;
CREATE TRIGGER errand_outbox_wake AFTER INSERT ON errand_outbox FOR EACH STATEMENT EXECUTE FUNCTION errand_outbox_wake();
