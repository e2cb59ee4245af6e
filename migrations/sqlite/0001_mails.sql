-- Mails, the keys by which they are found, the log itself, and how far it was read.

-- One mail. id: see model::mail::MailId (orders by time). state: status + 16 * direction.
-- Not called mail: so the PHP app calls a table of its own, which may stand in the same database.
CREATE TABLE mail_story (
    id     INTEGER PRIMARY KEY,
    server INTEGER NOT NULL,
    state  INTEGER NOT NULL,
    story  BLOB NOT NULL
);
CREATE INDEX mail_state ON mail_story (state, id);

-- Where a mail is listed: hashes of addresses, domains, queue and message ids (store::keys).
-- A hash only narrows; what it finds is compared exactly before it is shown.
-- state: as in mail, 64 more where the address only stands before aliases.
CREATE TABLE mail_key (
    k     INTEGER NOT NULL,
    mail  INTEGER NOT NULL,
    state INTEGER NOT NULL,
    PRIMARY KEY (k, mail)
) WITHOUT ROWID;

-- A row of Rspamd's history, with its symbols.
CREATE TABLE scan (
    id   INTEGER PRIMARY KEY,
    data BLOB NOT NULL
);

-- Scans that no mail has claimed yet, by hash of the message id.
CREATE TABLE scan_pending (
    k    INTEGER NOT NULL,
    scan INTEGER NOT NULL,
    PRIMARY KEY (k, scan)
) WITHOUT ROWID;

-- Names of Rspamd's symbols, so that a scan needs only their numbers.
CREATE TABLE symbol (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    description TEXT
);

-- The log lines themselves, compressed, in order of arrival.
CREATE TABLE line_chunk (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    server     INTEGER NOT NULL,
    source     TEXT NOT NULL,
    first_at   INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    line_count INTEGER NOT NULL,
    data       BLOB NOT NULL
);
CREATE INDEX line_chunk_time ON line_chunk (last_at, first_at);

-- How far each log was read, and how that went.
CREATE TABLE log_source (
    server        INTEGER NOT NULL,
    source        TEXT NOT NULL,
    anchor        BLOB NOT NULL,
    sessions      TEXT NOT NULL,
    newest_at     INTEGER,
    started_at    INTEGER,
    polled_at     INTEGER,
    succeeded_at  INTEGER,
    interval_ms   INTEGER NOT NULL,
    ring_size     INTEGER NOT NULL,
    ring_peak     REAL NOT NULL,
    error         TEXT,
    error_since   INTEGER,
    refused       INTEGER NOT NULL,
    PRIMARY KEY (server, source)
);

-- What came in per day (UTC).
CREATE TABLE log_ledger (
    server        INTEGER NOT NULL,
    source        TEXT NOT NULL,
    day           INTEGER NOT NULL,
    line_count    INTEGER NOT NULL,
    mail_count    INTEGER NOT NULL,
    unknown_count INTEGER NOT NULL,
    bad_count     INTEGER NOT NULL,
    PRIMARY KEY (server, source, day)
);

-- Parts of a log that passed unread.
CREATE TABLE log_gap (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    server   INTEGER NOT NULL,
    source   TEXT NOT NULL,
    from_at  INTEGER NOT NULL,
    to_at    INTEGER NOT NULL,
    at_least INTEGER NOT NULL,
    cause    TEXT NOT NULL
);
CREATE INDEX log_gap_time ON log_gap (to_at);

-- Lines that no rule knows, by shape.
CREATE TABLE unknown_line (
    server     INTEGER NOT NULL,
    shape      TEXT NOT NULL,
    program    TEXT NOT NULL,
    line_count INTEGER NOT NULL,
    example    TEXT NOT NULL,
    last_at    INTEGER NOT NULL,
    PRIMARY KEY (server, program, shape)
);

-- Remote answers that the dictionary does not know, by phrase.
CREATE TABLE unknown_phrase (
    phrase       TEXT NOT NULL PRIMARY KEY,
    phrase_count INTEGER NOT NULL,
    example      TEXT NOT NULL,
    last_at      INTEGER NOT NULL
);

-- What admins corrected in or added to the dictionary of remote answers.
CREATE TABLE reply_override (
    id         TEXT NOT NULL PRIMARY KEY,
    data       TEXT NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at INTEGER NOT NULL
);

-- Who runs a job at present; a lease that has expired is free.
CREATE TABLE lease (
    name       TEXT NOT NULL PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at INTEGER NOT NULL
);
