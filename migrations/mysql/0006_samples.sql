-- What is measured: series, what each is at present, and its history.

-- A series: a metric and its labels. domain, address: whose it is, normalised; none for admins only.
-- source: who tells it.
CREATE TABLE IF NOT EXISTS series (
    id      INT AUTO_INCREMENT PRIMARY KEY,
    server  SMALLINT NOT NULL,
    metric  VARCHAR(120) NOT NULL,
    labels  VARCHAR(600) NOT NULL,
    source  VARCHAR(40) NOT NULL,
    domain  VARCHAR(253),
    address VARCHAR(320),
    UNIQUE INDEX series_key (server, metric, labels),
    INDEX series_source (server, source)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What a series is at present. kind: 0 number, 1 text, 2 unknown, 3 not in use, 4 told no more. since_at: since when it is of that kind with that value (for unknown and not in use: of that kind).
-- changed_at: when a row of its history was last written.
CREATE TABLE IF NOT EXISTS series_state (
    series     INT PRIMARY KEY,
    kind       TINYINT NOT NULL,
    number     DOUBLE,
    text       MEDIUMTEXT,
    since_at   BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Changes of a number: it holds until the next row. No number: it was not known from then on.
CREATE TABLE IF NOT EXISTS sample (
    series INT NOT NULL,
    at     BIGINT NOT NULL,
    number DOUBLE,
    PRIMARY KEY (series, at)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The numbers of a span of time: step is its length in seconds. total: the sum of number times seconds; seconds: how
-- long it was known; last: what it was at the end. A span without a row is as the last one ended.
CREATE TABLE IF NOT EXISTS sample_roll (
    step    INT NOT NULL,
    series  INT NOT NULL,
    at      BIGINT NOT NULL,
    low     DOUBLE,
    high    DOUBLE,
    total   DOUBLE NOT NULL,
    seconds DOUBLE NOT NULL,
    last    DOUBLE,
    PRIMARY KEY (step, series, at)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- How far each step is rolled up, and since when it is kept; step 0: the samples themselves.
CREATE TABLE IF NOT EXISTS sample_rolled (
    step      INT PRIMARY KEY,
    upto      BIGINT NOT NULL,
    kept_from BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Who tells samples, and how the newest run went. run: counts the batches, so that a process sees those of others.
-- claimed_until: somebody is at it.
CREATE TABLE IF NOT EXISTS sample_source (
    server        SMALLINT NOT NULL,
    source        VARCHAR(40) NOT NULL,
    run           BIGINT NOT NULL,
    claimed_until BIGINT NOT NULL,
    ended_at      BIGINT,
    succeeded_at  BIGINT,
    took_ms       BIGINT NOT NULL,
    period_ms     BIGINT NOT NULL,
    told          BIGINT NOT NULL,
    error         VARCHAR(500),
    error_since   BIGINT,
    PRIMARY KEY (server, source)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
