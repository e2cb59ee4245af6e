-- How far the mailboxes that reports come to have been read (store::mailbox_cursor).

-- A folder. last_uid: mails up to this one are read; it counts while the folder's UIDVALIDITY is `validity`.
CREATE TABLE mailbox_cursor (
    account      TEXT NOT NULL,
    folder       TEXT NOT NULL,
    validity     INTEGER,
    last_uid     INTEGER NOT NULL,
    ran_at       INTEGER,
    succeeded_at INTEGER,
    error        TEXT,
    error_since  INTEGER,
    mails        INTEGER NOT NULL,
    reports      INTEGER NOT NULL,
    known        INTEGER NOT NULL,
    refused      INTEGER NOT NULL,
    others       INTEGER NOT NULL,
    PRIMARY KEY (account, folder)
) WITHOUT ROWID;

-- A mail on which something is still to be done. task: `clear` (its reports are kept; move or remove it), `copied`
-- (perhaps copied, not yet removed), `again` (could not be read).
CREATE TABLE mailbox_task (
    account    TEXT NOT NULL,
    folder     TEXT NOT NULL,
    uid        INTEGER NOT NULL,
    task       TEXT NOT NULL,
    tries      INTEGER NOT NULL,
    message_id TEXT,
    reason     TEXT,
    PRIMARY KEY (account, folder, uid)
) WITHOUT ROWID;
