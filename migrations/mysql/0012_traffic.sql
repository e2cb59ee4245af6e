-- Mail flow: figures of each hour (store::traffic).

-- at: begin of the hour, by when mails were first seen. side: in, out, or all with an empty domain: all mails. data: figures, packed.
CREATE TABLE IF NOT EXISTS traffic_hour (
    domain VARCHAR(253) NOT NULL,
    side   VARCHAR(3) NOT NULL,
    at     BIGINT NOT NULL,
    data   MEDIUMBLOB NOT NULL,
    PRIMARY KEY (domain, side, at),
    INDEX traffic_hour_at (at)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Hours whose mails have changed since. claimed: 1 while somebody counts them.
CREATE TABLE IF NOT EXISTS traffic_due (
    at      BIGINT PRIMARY KEY,
    claimed TINYINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT IGNORE INTO traffic_due (at, claimed)
SELECT DISTINCT (id - id % 3865470566400) DIV 1073741824 * 1000, 0 FROM mail_story;
