-- Mails, the keys by which they are found, the log itself, and how far it was read.

-- One mail. id: see model::mail::MailId (orders by time). state: status + 16 * direction.
-- Not called mail: so the PHP app calls a table of its own, which may stand in the same database.
CREATE TABLE IF NOT EXISTS mail_story (
    id     BIGINT PRIMARY KEY,
    server SMALLINT NOT NULL,
    state  TINYINT NOT NULL,
    story  MEDIUMBLOB NOT NULL,
    INDEX mail_state (state, id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Where a mail is listed: hashes of addresses, domains, queue and message ids (store::keys).
-- A hash only narrows; what it finds is compared exactly before it is shown.
-- state: as in mail, 64 more where the address only stands before aliases.
CREATE TABLE IF NOT EXISTS mail_key (
    k     INT NOT NULL,
    mail  BIGINT NOT NULL,
    state TINYINT NOT NULL,
    PRIMARY KEY (k, mail)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- A row of Rspamd's history, with its symbols.
CREATE TABLE IF NOT EXISTS scan (
    id   BIGINT PRIMARY KEY,
    data MEDIUMBLOB NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Scans that no mail has claimed yet, by hash of the message id.
CREATE TABLE IF NOT EXISTS scan_pending (
    k    INT NOT NULL,
    scan BIGINT NOT NULL,
    PRIMARY KEY (k, scan)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Names of Rspamd's symbols, so that a scan needs only their numbers.
CREATE TABLE IF NOT EXISTS symbol (
    id          BIGINT AUTO_INCREMENT PRIMARY KEY,
    name        VARCHAR(191) NOT NULL UNIQUE,
    description TEXT
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The log lines themselves, compressed, in order of arrival.
CREATE TABLE IF NOT EXISTS line_chunk (
    id         BIGINT AUTO_INCREMENT PRIMARY KEY,
    server     SMALLINT NOT NULL,
    source     VARCHAR(16) NOT NULL,
    first_at   BIGINT NOT NULL,
    last_at    BIGINT NOT NULL,
    line_count BIGINT NOT NULL,
    data       MEDIUMBLOB NOT NULL,
    INDEX line_chunk_time (last_at, first_at)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- How far each log was read, and how that went.
CREATE TABLE IF NOT EXISTS log_source (
    server        SMALLINT NOT NULL,
    source        VARCHAR(16) NOT NULL,
    anchor        MEDIUMBLOB NOT NULL,
    sessions      TEXT NOT NULL,
    newest_at     BIGINT,
    started_at    BIGINT,
    polled_at     BIGINT,
    succeeded_at  BIGINT,
    interval_ms   BIGINT NOT NULL,
    ring_size     BIGINT NOT NULL,
    ring_peak     DOUBLE NOT NULL,
    error         TEXT,
    error_since   BIGINT,
    refused       TINYINT NOT NULL,
    PRIMARY KEY (server, source)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What came in per day (UTC).
CREATE TABLE IF NOT EXISTS log_ledger (
    server        SMALLINT NOT NULL,
    source        VARCHAR(16) NOT NULL,
    day           BIGINT NOT NULL,
    line_count    BIGINT NOT NULL,
    mail_count    BIGINT NOT NULL,
    unknown_count BIGINT NOT NULL,
    bad_count     BIGINT NOT NULL,
    PRIMARY KEY (server, source, day)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Parts of a log that passed unread.
CREATE TABLE IF NOT EXISTS log_gap (
    id       BIGINT AUTO_INCREMENT PRIMARY KEY,
    server   SMALLINT NOT NULL,
    source   VARCHAR(16) NOT NULL,
    from_at  BIGINT NOT NULL,
    to_at    BIGINT NOT NULL,
    at_least BIGINT NOT NULL,
    cause    TEXT NOT NULL,
    INDEX log_gap_time (to_at)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Lines that no rule knows, by shape.
CREATE TABLE IF NOT EXISTS unknown_line (
    server     SMALLINT NOT NULL,
    shape      VARCHAR(191) NOT NULL,
    program    VARCHAR(64) NOT NULL,
    line_count BIGINT NOT NULL,
    example    TEXT NOT NULL,
    last_at    BIGINT NOT NULL,
    PRIMARY KEY (server, program, shape)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Remote answers that the dictionary does not know, by phrase.
CREATE TABLE IF NOT EXISTS unknown_phrase (
    phrase       VARCHAR(191) NOT NULL PRIMARY KEY,
    phrase_count BIGINT NOT NULL,
    example      TEXT NOT NULL,
    last_at      BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What admins corrected in or added to the dictionary of remote answers.
CREATE TABLE IF NOT EXISTS reply_override (
    id         VARCHAR(64) NOT NULL PRIMARY KEY,
    data       TEXT NOT NULL,
    changed_by VARCHAR(320) NOT NULL,
    changed_at BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Who runs a job at present; a lease that has expired is free.
CREATE TABLE IF NOT EXISTS lease (
    name       VARCHAR(64) NOT NULL PRIMARY KEY,
    holder     VARCHAR(64) NOT NULL,
    expires_at BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
