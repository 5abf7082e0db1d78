-- Errand 001: the tables. "errand." stands for the schema of the deployment. Instants and durations are whole
-- microseconds. The words of states, in order from 0:
-- waiting scheduled retrying ready running succeeded failed cancelled expired skipped.

-- Tells this schema from others of the same name: a transaction on another database is no transaction of this store.
CREATE TABLE errand.identity (id uuid NOT NULL DEFAULT gen_random_uuid());
INSERT INTO errand.identity DEFAULT VALUES;

-- A lane is one queue, job name and payload version; several lanes may be the same three, because a transaction that
-- meets a new name must not wait for another one that meets it too. Claims look only into the lanes that a worker can run
-- and that nobody paused, so jobs of other names or versions, however many, cost them nothing. Rows are never deleted.
CREATE TABLE errand.lanes (
    lane integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue text NOT NULL,
    name text NOT NULL,
    version bigint NOT NULL
);
CREATE INDEX lanes_key ON errand.lanes (queue, name, version);

-- The order in which jobs were stored: one number for each batch, and behind it the place in the batch.
CREATE SEQUENCE errand.batches;

CREATE TABLE errand.jobs (
    id uuid PRIMARY KEY,
    worker uuid,
    place bigint NOT NULL,
    rank bigint NOT NULL,
    run_at bigint NOT NULL,
    created_at bigint NOT NULL,
    epoch bigint NOT NULL DEFAULT 0,
    lane integer NOT NULL,
    state smallint NOT NULL CHECK (state BETWEEN 0 AND 9),
    priority smallint NOT NULL,
    attempt integer NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    crashes integer NOT NULL DEFAULT 0,
    releases integer NOT NULL DEFAULT 0,
    snoozes integer NOT NULL DEFAULT 0,
    run integer NOT NULL DEFAULT 1,
    revision integer NOT NULL DEFAULT 1,
    started_at bigint,
    finished_at bigint,
    start_by bigint,
    deadline bigint,
    due_at bigint,                  -- run_at while scheduled or retrying and not held
    expires_at bigint,              -- when a pending, unheld job is late
    hold_until bigint,              -- when a pending job's hold ends
    timeout bigint,
    result_ttl bigint NOT NULL,
    crashes_allowed bigint NOT NULL,
    unique_ttl bigint,
    unique_scope smallint,          -- 0 until start, 1 until done, 2 for a time
    unique_conflict smallint,       -- 0 existing, 1 refuse, 2 run again, 3 + 16 × fields replace
    has_checkpoints boolean NOT NULL DEFAULT false,
    unique_key text,
    retry text,                     -- NULL is the default policy of schema 1
    hold text,
    cancel text,
    reason text,
    fingerprint text,
    progress text,
    tags text,
    headers text,
    trace text,
    error text,
    format text,                    -- NULL is json
    payload bytea NOT NULL,
    CHECK (state <> 4 OR worker IS NOT NULL)
) WITH (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_vacuum_insert_scale_factor = 0.1,
    autovacuum_analyze_scale_factor = 0.1
);

-- All but the key are partial: a row is only in those it is looked for by, and rows that cannot be claimed (finished, far
-- in the future, held) are in none that a claim reads.
CREATE INDEX jobs_ready ON errand.jobs (lane, rank, place) WHERE state = 3 AND hold IS NULL;
CREATE INDEX jobs_due ON errand.jobs (lane, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX jobs_running ON errand.jobs (worker) WHERE state = 4;
CREATE INDEX jobs_finished ON errand.jobs (lane, state, finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_expires ON errand.jobs (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX jobs_hold_until ON errand.jobs (hold_until) WHERE hold_until IS NOT NULL;
-- Every failed job has a reason, and few others have one.
CREATE INDEX jobs_reason ON errand.jobs (id) WHERE reason IS NOT NULL;

-- Uniqueness is this primary key. The row outlives its job when the key has a time to live.
CREATE TABLE errand.unique_keys (
    key text PRIMARY KEY,
    job uuid NOT NULL,
    follow_up uuid,
    expires_at bigint,
    last_state smallint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX unique_keys_expires ON errand.unique_keys (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE errand.results (
    job uuid PRIMARY KEY,
    expires_at bigint NOT NULL,
    version bigint NOT NULL,
    format text,
    bytes bytea NOT NULL
);
CREATE INDEX results_expires ON errand.results (expires_at);

CREATE TABLE errand.attempts (
    job uuid NOT NULL,
    epoch bigint NOT NULL,
    run bigint NOT NULL,
    number bigint NOT NULL,
    worker uuid NOT NULL,
    started_at bigint NOT NULL,
    ended_at bigint NOT NULL,
    ending text NOT NULL,
    error text,
    PRIMARY KEY (job, epoch)
);

CREATE TABLE errand.job_log (
    job uuid NOT NULL,
    line bigint NOT NULL,
    at bigint NOT NULL,
    level bytea NOT NULL,           -- UTF-8 of any kind, which text is not: it cannot hold NUL
    message bytea NOT NULL,
    PRIMARY KEY (job, line)
);

CREATE TABLE errand.checkpoints (
    job uuid NOT NULL,
    name bytea NOT NULL,            -- UTF-8 of any kind
    version bigint NOT NULL,
    format text,
    bytes bytea NOT NULL,
    PRIMARY KEY (job, name)
);

CREATE TABLE errand.job_tags (
    tag text NOT NULL,
    job uuid NOT NULL,
    PRIMARY KEY (tag, job)
);

-- Beats change last_seen only, which no index has, so that they stay on their page.
CREATE TABLE errand.workers (
    id uuid PRIMARY KEY,
    host text NOT NULL,
    pid bigint NOT NULL,
    version text NOT NULL,
    names text NOT NULL,
    slots text NOT NULL,
    started_at bigint NOT NULL,
    last_seen bigint NOT NULL,
    dead_at bigint
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);

CREATE TABLE errand.controls (
    scope text PRIMARY KEY,         -- everything, queue:NAME, name:NAME
    actor text NOT NULL,
    reason text NOT NULL,
    since bigint NOT NULL,
    until bigint
);

CREATE TABLE errand.audit (
    entry bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at bigint NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    reason text NOT NULL,
    changed bigint NOT NULL,
    idempotency_key text UNIQUE,
    report text
);
CREATE INDEX audit_reports ON errand.audit (at) WHERE idempotency_key IS NOT NULL;

-- Changes of the numbers below, appended by every transaction, so that none waits for another one's row; maintenance
-- folds them in. kind is the state for numbers of jobs, and 16 + the metric for what is counted per minute.
CREATE TABLE errand.deltas (
    n bigint NOT NULL,
    minute bigint NOT NULL,
    lane integer NOT NULL,
    kind smallint NOT NULL,
    bucket smallint NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_vacuum_insert_threshold = -1
);

-- Exact numbers of jobs, once the deltas are added.
CREATE TABLE errand.tallies (
    lane integer NOT NULL,
    state smallint NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (lane, state)
) WITH (fillfactor = 50);

-- What happened per minute, for charts.
CREATE TABLE errand.counters (
    minute bigint NOT NULL,
    lane integer NOT NULL,
    metric smallint NOT NULL,
    bucket smallint NOT NULL,
    value bigint NOT NULL,
    PRIMARY KEY (minute, lane, metric, bucket)
);
