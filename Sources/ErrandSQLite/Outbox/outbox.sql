-- Jobs on their way to a store that cannot join the transactions of this database. A row exists exactly if the
-- transaction does that wrote it. Any language may write one:
--
--   INSERT INTO errand_outbox (name, payload) VALUES ('welcome-email', '{"address":"ada@example.com"}');
--   INSERT INTO errand_outbox (name, payload, options)
--   VALUES ('invoice', '{"order":17}', '{"queue":"slow","delay":60,"uniqueKey":"invoice 17"}');
CREATE TABLE IF NOT EXISTS errand_outbox (
    entry INTEGER PRIMARY KEY,      -- the order in which they are stored
    -- The job's id: a UUID of version 7. A repeat with the same id is one job.
    id TEXT NOT NULL UNIQUE DEFAULT (lower(
        printf('%012x', CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER))
        || '7' || substr(hex(randomblob(2)), 2) || '8' || substr(hex(randomblob(8)), 2))),
    name TEXT NOT NULL,
    payload TEXT,                   -- JSON
    options TEXT,                   -- JSON: queue, priority, delay, uniqueKey, maxAttempts …; NULL for none
    job TEXT,                       -- all of a job that was added by the library, instead of payload and options
    at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)),
    CHECK (job IS NOT NULL OR payload IS NOT NULL)
) STRICT;

-- Rows that no store will take, and why.
CREATE TABLE IF NOT EXISTS errand_outbox_refused (
    entry INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    payload TEXT,
    options TEXT,
    job TEXT,
    at INTEGER NOT NULL,
    refused_at INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT;
