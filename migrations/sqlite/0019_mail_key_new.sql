-- New keys are gathered in a small table, which is at hand, and are worked into mail_key many at a time: by themselves they
-- would land on as many pages of it as there are keys (store::gathered). Each key of a mail stands in one of the two tables.

-- As mail_key.
CREATE TABLE mail_key_new (
    k     INTEGER NOT NULL,
    mail  INTEGER NOT NULL,
    state INTEGER NOT NULL,
    PRIMARY KEY (k, mail)
) WITHOUT ROWID;

-- One row. settled: mails above this id have no key in mail_key. gathered: about how many rows were written into mail_key_new
-- since some were last worked in. Without the row, any mail may have keys in mail_key.
CREATE TABLE mail_key_mark (
    id       INTEGER PRIMARY KEY,
    settled  INTEGER NOT NULL,
    gathered INTEGER NOT NULL
);

INSERT INTO mail_key_mark (id, settled, gathered) SELECT 1, COALESCE(MAX(id), 0), 0 FROM mail_story;
