-- Who signs in, who did what, and who holds which address.

-- A browser's session. id: SHA-256 of what the browser holds. domains: separated by commas.
CREATE TABLE session (
    id              TEXT PRIMARY KEY,
    address         TEXT NOT NULL,
    name            TEXT NOT NULL,
    via             TEXT NOT NULL,
    role            TEXT NOT NULL,
    domains         TEXT NOT NULL,
    mailbox_created TEXT NOT NULL,
    mailbox_since   INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    seen_at         INTEGER NOT NULL,
    checked_at      INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX session_address ON session (address);

-- A sign-in that has begun: state and browser are SHA-256 sums, wish is the page to go to.
CREATE TABLE sign_in (
    state      TEXT PRIMARY KEY,
    browser    TEXT NOT NULL,
    wish       TEXT NOT NULL,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;

-- A login link from the command line: token is a SHA-256 sum.
CREATE TABLE login_link (
    token      TEXT PRIMARY KEY,
    address    TEXT NOT NULL,
    role       TEXT NOT NULL,
    domains    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER
) WITHOUT ROWID;

-- What people did: sign-ins, refusals, sign-outs.
CREATE TABLE audit (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    actor  TEXT NOT NULL,
    action TEXT NOT NULL,
    role   TEXT NOT NULL,
    client TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX audit_at ON audit (at);

-- Mailcow's mailboxes. created: Mailcow's text; another value is another mailbox. since: see model::inventory.
CREATE TABLE mailbox (
    address  TEXT PRIMARY KEY,
    name     TEXT NOT NULL,
    active   INTEGER NOT NULL,
    created  TEXT NOT NULL,
    since_at INTEGER NOT NULL
) WITHOUT ROWID;

-- An alias and one mailbox that it leads to; alone: it leads to nobody else.
CREATE TABLE alias_pair (
    mailbox  TEXT NOT NULL,
    alias    TEXT NOT NULL,
    alone    INTEGER NOT NULL,
    since_at INTEGER NOT NULL,
    PRIMARY KEY (mailbox, alias)
) WITHOUT ROWID;

-- A domain whose every address stands for the same one of the target.
CREATE TABLE alias_domain (
    alias_domain TEXT PRIMARY KEY,
    target       TEXT NOT NULL,
    since_at     INTEGER NOT NULL
) WITHOUT ROWID;

-- The last look at Mailcow's mailboxes and aliases: one row. clock_offset: minutes ahead of UTC.
CREATE TABLE inventory_look (
    id           INTEGER PRIMARY KEY,
    at           INTEGER NOT NULL,
    clock_offset INTEGER
);
