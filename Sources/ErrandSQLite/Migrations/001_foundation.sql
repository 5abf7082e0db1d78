-- Errand 001: the foundation. Every table starts with errand_, so that an application's own tables can live in
-- the same file. Instants and durations are whole microseconds. The words of states, in order from 0:
-- waiting scheduled retrying ready running succeeded failed cancelled expired skipped.

-- A lane is one queue, job name and payload version. Claims walk only the lanes that a worker can run and that
-- nobody paused, so jobs of other names or versions, however many, cost them nothing. Rows are never deleted.
CREATE TABLE errand_lanes (
    lane INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    UNIQUE (queue, name, version)
) STRICT;

-- Retry policies and worker identities are long and few: rows refer to them by number.
CREATE TABLE errand_retry_policies (policy INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE errand_worker_ids (worker INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE) STRICT;

-- What changes while a job lives. Kept apart from what was asked for (errand_details): a claim and a settle
-- rewrite the whole row, and a small row makes them cheap whatever the size of the payload.
CREATE TABLE errand_jobs (
    row INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    lane INTEGER NOT NULL,
    state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 9),
    rank INTEGER NOT NULL,
    run_at INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    releases INTEGER NOT NULL DEFAULT 0,
    snoozes INTEGER NOT NULL DEFAULT 0,
    run INTEGER NOT NULL DEFAULT 1,
    revision INTEGER NOT NULL DEFAULT 1,
    worker INTEGER,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    start_by INTEGER,
    deadline INTEGER,
    unique_scope INTEGER,           -- 0 until start, 1 until done, 2 for a time
    hold TEXT,
    due_at INTEGER,                 -- run_at while scheduled or retrying and not held
    expires_at INTEGER,             -- when a pending, unheld job is late
    hold_until INTEGER,             -- when a pending job's hold ends
    cancel TEXT,
    reason TEXT,
    fingerprint TEXT,
    progress TEXT,
    pending INTEGER,                -- open parents of a workflow step; NULL for every other job
    CHECK (state <> 4 OR worker IS NOT NULL)
) STRICT;

-- What was asked for: written once, changed only by an edit, a replacement or (error) a failure.
CREATE TABLE errand_details (
    row INTEGER PRIMARY KEY,
    retry INTEGER NOT NULL,
    crashes_allowed INTEGER NOT NULL,
    timeout INTEGER,
    result_ttl INTEGER NOT NULL,
    unique_key TEXT,
    unique_ttl INTEGER,
    unique_conflict INTEGER,        -- 0 existing, 1 refuse, 2 run again, 3 + 16 × fields replace
    tags TEXT,
    headers TEXT,
    trace TEXT,
    error TEXT,
    format TEXT,                    -- NULL is json
    payload BLOB NOT NULL
) STRICT;

-- Few, because each index costs a tenth of the throughput; all are partial, so that a row is only in those it
-- is looked for by, and the rows that cannot be claimed are in none that a claim reads. Three have columns of
-- their own (due_at, expires_at, hold_until): an index whose condition names state would be weighed again at every
-- claim and every settle, one that names a column these do not set is not even looked at.
CREATE INDEX errand_jobs_ready ON errand_jobs (lane, rank) WHERE state = 3 AND hold IS NULL;
CREATE INDEX errand_jobs_due ON errand_jobs (lane, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX errand_jobs_running ON errand_jobs (worker) WHERE state = 4;
CREATE INDEX errand_jobs_finished ON errand_jobs (lane, state, finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX errand_jobs_expires ON errand_jobs (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX errand_jobs_hold_until ON errand_jobs (hold_until) WHERE hold_until IS NOT NULL;
-- Every failed job has a reason, and few others have one.
CREATE INDEX errand_jobs_reason ON errand_jobs (id) WHERE reason IS NOT NULL;

-- Uniqueness is this primary key. The row outlives its job when the key has a time to live.
CREATE TABLE errand_unique_keys (
    key TEXT PRIMARY KEY,
    job BLOB NOT NULL,
    follow_up BLOB,
    expires_at INTEGER,
    last_state INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX errand_unique_keys_expires ON errand_unique_keys (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE errand_results (
    row INTEGER PRIMARY KEY,
    expires_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    format TEXT,
    bytes BLOB NOT NULL
) STRICT;
CREATE INDEX errand_results_expires ON errand_results (expires_at);

CREATE TABLE errand_attempts (
    row INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    run INTEGER NOT NULL,
    number INTEGER NOT NULL,
    worker INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    ending TEXT NOT NULL,
    error TEXT,
    PRIMARY KEY (row, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE errand_job_log (
    row INTEGER NOT NULL,
    line INTEGER NOT NULL,
    at INTEGER NOT NULL,
    level TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (row, line)
) STRICT, WITHOUT ROWID;

CREATE TABLE errand_checkpoints (
    row INTEGER NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    format TEXT,
    bytes BLOB NOT NULL,
    PRIMARY KEY (row, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE errand_job_tags (
    tag TEXT NOT NULL,
    job BLOB NOT NULL,
    PRIMARY KEY (tag, job)
) STRICT, WITHOUT ROWID;

CREATE TABLE errand_workers (
    worker INTEGER PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    version TEXT NOT NULL,
    names TEXT NOT NULL,
    slots TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    is_locked INTEGER NOT NULL,     -- whether a lock file says at once that it died
    dead_at INTEGER
) STRICT;

CREATE TABLE errand_controls (
    scope TEXT PRIMARY KEY,         -- everything, queue:NAME, name:NAME
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE errand_audit (
    entry INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    reason TEXT NOT NULL,
    changed INTEGER NOT NULL,
    idempotency_key TEXT UNIQUE,
    report TEXT
) STRICT;

-- The reports that are still kept for a repeat, oldest first.
CREATE INDEX errand_audit_reports ON errand_audit (at) WHERE idempotency_key IS NOT NULL;

-- Exact numbers of jobs, written once per transaction.
CREATE TABLE errand_tallies (
    lane INTEGER NOT NULL,
    state INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (lane, state)
) STRICT, WITHOUT ROWID;

-- What happened per minute, for charts.
CREATE TABLE errand_counters (
    minute INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    metric INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (minute, lane, metric, bucket)
) STRICT, WITHOUT ROWID;

-- Room for workflows, limits and schedules. Their facts about a job are in a row of its own, not in columns of
-- errand_jobs: eight more NULL columns would cost every claim and every settle of every other job.
CREATE TABLE errand_job_links (
    row INTEGER PRIMARY KEY,
    workflow BLOB,
    step TEXT,
    map_index INTEGER,
    batch BLOB,
    doomed_by BLOB,
    partition TEXT,
    cost INTEGER,
    limit_keys TEXT,
    schedule_key TEXT
) STRICT;
CREATE TABLE errand_edges (
    parent BLOB NOT NULL,
    child BLOB NOT NULL,
    policy INTEGER NOT NULL,
    PRIMARY KEY (parent, child)
) STRICT, WITHOUT ROWID;
CREATE TABLE errand_ticks (
    schedule TEXT NOT NULL,
    at INTEGER NOT NULL,
    decision TEXT NOT NULL,
    decided_at INTEGER NOT NULL,
    job BLOB,
    PRIMARY KEY (schedule, at)
) STRICT, WITHOUT ROWID;
