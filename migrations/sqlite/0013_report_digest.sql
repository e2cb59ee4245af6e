-- What figures take of the reports of a domain in a month, worked out once (store::reports::digest). A row is true while
-- its reports and stamp are those of report_month.
CREATE TABLE report_digest (
    domain    TEXT NOT NULL,
    month     INTEGER NOT NULL,
    reports   INTEGER NOT NULL,
    stamp     INTEGER NOT NULL,
    facts     BLOB NOT NULL,
    sightings BLOB NOT NULL,
    PRIMARY KEY (domain, month)
);

-- How many sources of a domain were first seen on which day. True while reports and stamp are the sums of the domain's
-- months.
CREATE TABLE report_debut (
    domain  TEXT NOT NULL PRIMARY KEY,
    reports INTEGER NOT NULL,
    stamp   INTEGER NOT NULL,
    days    BLOB NOT NULL
);
