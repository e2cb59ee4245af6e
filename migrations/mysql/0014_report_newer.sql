-- What is worked out of reports is brought up to date by the newer ones alone: last is the highest serial in it, firsts
-- the first day of each source (store::reports::debut). All of it is derived, and worked out again.
DROP TABLE IF EXISTS report_digest;
DROP TABLE IF EXISTS report_debut;

CREATE TABLE report_digest (
    domain    VARCHAR(255) NOT NULL,
    month     BIGINT NOT NULL,
    reports   BIGINT NOT NULL,
    stamp     BIGINT NOT NULL,
    last      BIGINT NOT NULL,
    facts     MEDIUMBLOB NOT NULL,
    sightings MEDIUMBLOB NOT NULL,
    PRIMARY KEY (domain, month)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE report_debut (
    domain  VARCHAR(255) PRIMARY KEY,
    reports BIGINT NOT NULL,
    stamp   BIGINT NOT NULL,
    last    BIGINT NOT NULL,
    days    MEDIUMBLOB NOT NULL,
    firsts  MEDIUMBLOB NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
