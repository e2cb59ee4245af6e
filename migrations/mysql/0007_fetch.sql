-- How far the mailboxes that reports come to have been read (store::mailbox_cursor).

-- A folder. last_uid: mails up to this one are read; it counts while the folder's UIDVALIDITY is `validity`.
CREATE TABLE IF NOT EXISTS mailbox_cursor (
    account      VARCHAR(320) NOT NULL,
    folder       VARCHAR(255) NOT NULL,
    validity     BIGINT,
    last_uid     BIGINT NOT NULL,
    ran_at       BIGINT,
    succeeded_at BIGINT,
    error        TEXT,
    error_since  BIGINT,
    mails        BIGINT NOT NULL,
    reports      BIGINT NOT NULL,
    known        BIGINT NOT NULL,
    refused      BIGINT NOT NULL,
    others       BIGINT NOT NULL,
    PRIMARY KEY (account, folder)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- A mail on which something is still to be done. task: `clear` (its reports are kept; move or remove it), `copied`
-- (perhaps copied, not yet removed), `again` (could not be read).
CREATE TABLE IF NOT EXISTS mailbox_task (
    account    VARCHAR(320) NOT NULL,
    folder     VARCHAR(255) NOT NULL,
    uid        BIGINT NOT NULL,
    task       VARCHAR(16) NOT NULL,
    tries      BIGINT NOT NULL,
    message_id TEXT,
    reason     TEXT,
    PRIMARY KEY (account, folder, uid)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
