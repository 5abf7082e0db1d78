-- Errand 008: schedules, and what became of their ticks.

-- The body is the schedule, as JSON; the other columns say what it says and are what it is looked for by. Names are in the
-- order of their bytes, as everywhere.
CREATE TABLE errand.schedules (
    id text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    state text NOT NULL,
    due_at bigint,
    cursor bigint NOT NULL,
    ended_at bigint,                -- since when it is completed or retired
    body text NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX schedules_due ON errand.schedules (due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX schedules_cursor ON errand.schedules (cursor) WHERE due_at IS NOT NULL;
CREATE INDEX schedules_ended ON errand.schedules (ended_at) WHERE ended_at IS NOT NULL;

-- One decision, or one for several ticks in a row: those are few, and have an index of their own, because they are also
-- looked for by nominal times that they do not begin with.
CREATE TABLE errand.ticks (
    schedule text COLLATE "C" NOT NULL,
    key bytea NOT NULL,             -- UTF-8 of any kind, which text is not: it cannot hold NUL
    nominal bigint NOT NULL,
    through bigint NOT NULL,
    count bigint NOT NULL,
    kind text NOT NULL,
    decision text NOT NULL,
    job uuid,
    decided_at bigint NOT NULL,
    decided_by bytea NOT NULL,      -- UTF-8 of any kind
    revision bigint NOT NULL,
    note bytea,                     -- UTF-8 of any kind
    PRIMARY KEY (schedule, key)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX ticks_nominal ON errand.ticks (schedule, nominal, key);
CREATE INDEX ticks_long ON errand.ticks (schedule, nominal, key, through) WHERE through > nominal;
CREATE INDEX ticks_decided ON errand.ticks (decided_at);

-- Users who may use the tables that were there may use the new ones.
DO $do$
DECLARE
    v_right record;
BEGIN
    FOR v_right IN
        SELECT a.privilege_type AS word, CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS who
        FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE c.oid = 'errand.jobs'::regclass AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('GRANT %s ON %s, %s TO %s', v_right.word, 'errand.schedules'::regclass, 'errand.ticks'::regclass,
            v_right.who);
    END LOOP;
END
$do$;
