-- Mail flow: figures of each hour (store::traffic).

-- at: begin of the hour, by when mails were first seen. side: in, out, or all with an empty domain: all mails. data: figures, packed.
CREATE TABLE traffic_hour (
    domain TEXT NOT NULL,
    side   TEXT NOT NULL,
    at     INTEGER NOT NULL,
    data   BLOB NOT NULL,
    PRIMARY KEY (domain, side, at)
) WITHOUT ROWID;
CREATE INDEX traffic_hour_at ON traffic_hour (at);

-- Hours whose mails have changed since. claimed: 1 while somebody counts them.
CREATE TABLE traffic_due (
    at      INTEGER PRIMARY KEY,
    claimed INTEGER NOT NULL
);

INSERT INTO traffic_due (at, claimed)
SELECT DISTINCT (id - id % 3865470566400) / 1073741824 * 1000, 0 FROM mail_story;
