-- How the jobs went, whichever process ran them (store::job_runs).

-- The newest run of a job. succeeded_at: the begin of the newest run that went well; error: what the newest run said when it failed.
CREATE TABLE IF NOT EXISTS job_run (
    name         VARCHAR(64) NOT NULL,
    started_at   BIGINT NOT NULL,
    took_ms      BIGINT NOT NULL,
    succeeded_at BIGINT,
    error        TEXT,
    error_since  BIGINT,
    PRIMARY KEY (name)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
