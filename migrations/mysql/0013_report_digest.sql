-- What figures take of the reports of a domain in a month, worked out once (store::reports::digest). A row is true while
-- its reports and stamp are those of report_month.
CREATE TABLE IF NOT EXISTS report_digest (
    domain    VARCHAR(255) NOT NULL,
    month     BIGINT NOT NULL,
    reports   BIGINT NOT NULL,
    stamp     BIGINT NOT NULL,
    facts     MEDIUMBLOB NOT NULL,
    sightings MEDIUMBLOB NOT NULL,
    PRIMARY KEY (domain, month)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- How many sources of a domain were first seen on which day. True while reports and stamp are the sums of the domain's
-- months.
CREATE TABLE IF NOT EXISTS report_debut (
    domain  VARCHAR(255) PRIMARY KEY,
    reports BIGINT NOT NULL,
    stamp   BIGINT NOT NULL,
    days    MEDIUMBLOB NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
