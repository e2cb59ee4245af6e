-- Open tracking: who opted in, and what was opened. Nothing here tells an address or a browser.

-- Opens: one reader of one mail within one window. token: stands for the mail (model::open::marks_of). reader: a mark
-- by a key that is forgotten after a day. class: model::open::Reader.
CREATE TABLE IF NOT EXISTS opened (
    token    BIGINT NOT NULL,
    reader   BIGINT NOT NULL,
    slot     BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    loads    BIGINT NOT NULL,
    class    BIGINT NOT NULL,
    verified BIGINT NOT NULL,
    PRIMARY KEY (token, reader, slot),
    INDEX opened_at (at)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Mailboxes whose Mailcow attribute OPEN_TRACKING says YES.
CREATE TABLE IF NOT EXISTS tracked_mailbox (
    address VARCHAR(320) PRIMARY KEY
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
