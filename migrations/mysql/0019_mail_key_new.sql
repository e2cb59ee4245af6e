-- New keys are gathered in a small table, which is at hand, and are worked into mail_key many at a time: by themselves they
-- would land on as many pages of it as there are keys (store::gathered). Each key of a mail stands in one of the two tables.

-- As mail_key.
CREATE TABLE IF NOT EXISTS mail_key_new (
    k     INT NOT NULL,
    mail  BIGINT NOT NULL,
    state TINYINT NOT NULL,
    PRIMARY KEY (k, mail)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- One row. settled: mails above this id have no key in mail_key. gathered: about how many rows were written into mail_key_new
-- since some were last worked in. Without the row, any mail may have keys in mail_key.
CREATE TABLE IF NOT EXISTS mail_key_mark (
    id       INT PRIMARY KEY,
    settled  BIGINT NOT NULL,
    gathered BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT IGNORE INTO mail_key_mark (id, settled, gathered) SELECT 1, COALESCE(MAX(id), 0), 0 FROM mail_story;
