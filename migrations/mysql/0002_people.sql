-- Who signs in, who did what, and who holds which address.

-- A browser's session. id: SHA-256 of what the browser holds. domains: separated by commas.
CREATE TABLE IF NOT EXISTS session (
    id              CHAR(64) PRIMARY KEY,
    address         VARCHAR(320) NOT NULL,
    name            TEXT NOT NULL,
    via             VARCHAR(32) NOT NULL,
    role            VARCHAR(32) NOT NULL,
    domains         TEXT NOT NULL,
    mailbox_created VARCHAR(32) NOT NULL,
    mailbox_since   BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    seen_at         BIGINT NOT NULL,
    checked_at      BIGINT NOT NULL,
    INDEX session_address (address)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- A sign-in that has begun: state and browser are SHA-256 sums, wish is the page to go to.
CREATE TABLE IF NOT EXISTS sign_in (
    state      CHAR(64) PRIMARY KEY,
    browser    CHAR(64) NOT NULL,
    wish       TEXT NOT NULL,
    created_at BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- A login link from the command line: token is a SHA-256 sum.
CREATE TABLE IF NOT EXISTS login_link (
    token      CHAR(64) PRIMARY KEY,
    address    VARCHAR(320) NOT NULL,
    role       VARCHAR(32) NOT NULL,
    domains    TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What people did: sign-ins, refusals, sign-outs.
CREATE TABLE IF NOT EXISTS audit (
    id     BIGINT AUTO_INCREMENT PRIMARY KEY,
    at     BIGINT NOT NULL,
    actor  VARCHAR(320) NOT NULL,
    action VARCHAR(64) NOT NULL,
    role   VARCHAR(32) NOT NULL,
    client VARCHAR(64) NOT NULL,
    detail TEXT NOT NULL,
    INDEX audit_at (at)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Mailcow's mailboxes. created: Mailcow's text; another value is another mailbox. since: see model::inventory.
CREATE TABLE IF NOT EXISTS mailbox (
    address  VARCHAR(320) PRIMARY KEY,
    name     TEXT NOT NULL,
    active   BIGINT NOT NULL,
    created  VARCHAR(32) NOT NULL,
    since_at BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- An alias and one mailbox that it leads to; alone: it leads to nobody else.
CREATE TABLE IF NOT EXISTS alias_pair (
    mailbox  VARCHAR(320) NOT NULL,
    alias    VARCHAR(320) NOT NULL,
    alone    BIGINT NOT NULL,
    since_at BIGINT NOT NULL,
    PRIMARY KEY (mailbox, alias)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- A domain whose every address stands for the same one of the target.
CREATE TABLE IF NOT EXISTS alias_domain (
    alias_domain VARCHAR(253) PRIMARY KEY,
    target       VARCHAR(253) NOT NULL,
    since_at     BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The last look at Mailcow's mailboxes and aliases: one row. clock_offset: minutes ahead of UTC.
CREATE TABLE IF NOT EXISTS inventory_look (
    id           BIGINT PRIMARY KEY,
    at           BIGINT NOT NULL,
    clock_offset BIGINT
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
