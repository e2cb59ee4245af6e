-- Open tracking: who opted in, and what was opened. Nothing here tells an address or a browser.

-- Opens: one reader of one mail within one window. token: stands for the mail (model::open::marks_of). reader: a mark
-- by a key that is forgotten after a day. class: model::open::Reader.
CREATE TABLE opened (
    token    INTEGER NOT NULL,
    reader   INTEGER NOT NULL,
    slot     INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    loads    INTEGER NOT NULL,
    class    INTEGER NOT NULL,
    verified INTEGER NOT NULL,
    PRIMARY KEY (token, reader, slot)
) WITHOUT ROWID;
CREATE INDEX opened_at ON opened (at);

-- Mailboxes whose Mailcow attribute OPEN_TRACKING says YES.
CREATE TABLE tracked_mailbox (
    address TEXT PRIMARY KEY
) WITHOUT ROWID;
