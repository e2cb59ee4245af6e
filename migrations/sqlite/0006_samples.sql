-- What is measured: series, what each is at present, and its history.

-- A series: a metric and its labels. domain, address: whose it is, normalised; none for admins only.
-- source: who tells it.
CREATE TABLE series (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    server  INTEGER NOT NULL,
    metric  TEXT NOT NULL,
    labels  TEXT NOT NULL,
    source  TEXT NOT NULL,
    domain  TEXT,
    address TEXT,
    UNIQUE (server, metric, labels)
);
CREATE INDEX series_source ON series (server, source);

-- What a series is at present. kind: 0 number, 1 text, 2 unknown, 3 not in use, 4 told no more. since_at: since when it is of that kind with that value (for unknown and not in use: of that kind).
-- changed_at: when a row of its history was last written.
CREATE TABLE series_state (
    series     INTEGER PRIMARY KEY,
    kind       INTEGER NOT NULL,
    number     REAL,
    text       TEXT,
    since_at   INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
);

-- Changes of a number: it holds until the next row. No number: it was not known from then on.
CREATE TABLE sample (
    series INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    number REAL,
    PRIMARY KEY (series, at)
) WITHOUT ROWID;

-- The numbers of a span of time: step is its length in seconds. total: the sum of number times seconds; seconds: how
-- long it was known; last: what it was at the end. A span without a row is as the last one ended.
CREATE TABLE sample_roll (
    step    INTEGER NOT NULL,
    series  INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    low     REAL,
    high    REAL,
    total   REAL NOT NULL,
    seconds REAL NOT NULL,
    last    REAL,
    PRIMARY KEY (step, series, at)
) WITHOUT ROWID;

-- How far each step is rolled up, and since when it is kept; step 0: the samples themselves.
CREATE TABLE sample_rolled (
    step      INTEGER PRIMARY KEY,
    upto      INTEGER NOT NULL,
    kept_from INTEGER NOT NULL
);

-- Who tells samples, and how the newest run went. run: counts the batches, so that a process sees those of others.
-- claimed_until: somebody is at it.
CREATE TABLE sample_source (
    server        INTEGER NOT NULL,
    source        TEXT NOT NULL,
    run           INTEGER NOT NULL,
    claimed_until INTEGER NOT NULL,
    ended_at      INTEGER,
    succeeded_at  INTEGER,
    took_ms       INTEGER NOT NULL,
    period_ms     INTEGER NOT NULL,
    told          INTEGER NOT NULL,
    error         TEXT,
    error_since   INTEGER,
    PRIMARY KEY (server, source)
);
