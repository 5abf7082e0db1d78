-- Errand 002: jobs on their way to another store, and where they went.

-- The one batch that left and has not been heard of, as the value that the calls exchange. Its jobs are nowhere else.
CREATE TABLE errand_exports (
    id BLOB PRIMARY KEY,
    destination TEXT NOT NULL,
    at INTEGER NOT NULL,
    batch BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Jobs that left: a late repeat of their insert must not bring them back.
CREATE TABLE errand_departures (job BLOB PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX errand_departures_at ON errand_departures (at);

-- Batches that came from elsewhere, each of which is taken in once.
CREATE TABLE errand_imports (id BLOB PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX errand_imports_at ON errand_imports (at);

-- Lines of the audit come from other stores too: their order is that of their time, not that of their arrival.
CREATE INDEX errand_audit_at ON errand_audit (at);
