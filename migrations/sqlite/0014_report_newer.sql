-- What is worked out of reports is brought up to date by the newer ones alone: last is the highest serial in it, firsts
-- the first day of each source (store::reports::debut). All of it is derived, and worked out again.
DROP TABLE report_digest;
DROP TABLE report_debut;

CREATE TABLE report_digest (
    domain    TEXT NOT NULL,
    month     INTEGER NOT NULL,
    reports   INTEGER NOT NULL,
    stamp     INTEGER NOT NULL,
    last      INTEGER NOT NULL,
    facts     BLOB NOT NULL,
    sightings BLOB NOT NULL,
    PRIMARY KEY (domain, month)
);

CREATE TABLE report_debut (
    domain  TEXT NOT NULL PRIMARY KEY,
    reports INTEGER NOT NULL,
    stamp   INTEGER NOT NULL,
    last    INTEGER NOT NULL,
    days    BLOB NOT NULL,
    firsts  BLOB NOT NULL
);
