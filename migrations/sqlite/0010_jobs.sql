-- How the jobs went, whichever process ran them (store::job_runs).

-- The newest run of a job. succeeded_at: the begin of the newest run that went well; error: what the newest run said when it failed.
CREATE TABLE job_run (
    name         TEXT PRIMARY KEY,
    started_at   INTEGER NOT NULL,
    took_ms      INTEGER NOT NULL,
    succeeded_at INTEGER,
    error        TEXT,
    error_since  INTEGER
) WITHOUT ROWID;
