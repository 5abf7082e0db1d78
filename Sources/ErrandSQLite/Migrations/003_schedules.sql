-- Errand 003: schedules, and what became of their ticks.

-- Room that 001 kept for them, and that nothing was ever written to.
DROP TABLE errand_ticks;

-- The body is the schedule, as JSON; the other columns say what it says and are what it is looked for by.
CREATE TABLE errand_schedules (
    id TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    state TEXT NOT NULL,
    due_at INTEGER,
    cursor INTEGER NOT NULL,
    ended_at INTEGER,               -- since when it is completed or retired
    body TEXT NOT NULL
) STRICT;
CREATE INDEX errand_schedules_due ON errand_schedules (due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX errand_schedules_cursor ON errand_schedules (cursor) WHERE due_at IS NOT NULL;
CREATE INDEX errand_schedules_ended ON errand_schedules (ended_at) WHERE ended_at IS NOT NULL;

-- One decision, or one for several ticks in a row: those are few, and have an index of their own, because they are also
-- looked for by nominal times that they do not begin with.
CREATE TABLE errand_ticks (
    schedule TEXT NOT NULL,
    key TEXT NOT NULL,
    nominal INTEGER NOT NULL,
    through INTEGER NOT NULL,
    count INTEGER NOT NULL,
    kind TEXT NOT NULL,
    decision TEXT NOT NULL,
    job BLOB,
    decided_at INTEGER NOT NULL,
    decided_by TEXT NOT NULL,
    revision INTEGER NOT NULL,
    note TEXT,
    PRIMARY KEY (schedule, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX errand_ticks_nominal ON errand_ticks (schedule, nominal, key);
CREATE INDEX errand_ticks_long ON errand_ticks (schedule, nominal, key, through) WHERE through > nominal;
CREATE INDEX errand_ticks_decided ON errand_ticks (decided_at);
