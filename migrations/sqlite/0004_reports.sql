-- DMARC and TLS reports.

-- The two tables of dmarcts-report-parser, as they are on MariaDB; mindate and maxdate are Unix seconds here.
CREATE TABLE report (
    serial             INTEGER PRIMARY KEY AUTOINCREMENT,
    mindate            INTEGER NOT NULL,
    maxdate            INTEGER,
    domain             TEXT NOT NULL,
    org                TEXT NOT NULL,
    reportid           TEXT NOT NULL,
    email              TEXT,
    extra_contact_info TEXT,
    policy_adkim       TEXT,
    policy_aspf        TEXT,
    policy_p           TEXT,
    policy_sp          TEXT,
    policy_pct         INTEGER,
    raw_xml            TEXT
);
CREATE UNIQUE INDEX report_domain ON report (domain, org, reportid, mindate, maxdate);

CREATE TABLE rptrecord (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    serial           INTEGER NOT NULL,
    ip               INTEGER,
    ip6              BLOB,
    rcount           INTEGER NOT NULL,
    disposition      TEXT,
    reason           TEXT,
    dkimdomain       TEXT,
    dkimresult       TEXT,
    spfdomain        TEXT,
    spfresult        TEXT,
    spf_align        TEXT NOT NULL,
    dkim_align       TEXT NOT NULL,
    identifier_hfrom TEXT
);
CREATE INDEX rptrecord_serial ON rptrecord (serial, ip);
CREATE INDEX rptrecord_serial6 ON rptrecord (serial, ip6);

-- What lists and figures need of each report, in order of time. words: receiver and report id in lower case, for
-- searches, with a tab between. stamp: hash of all that figures take from the report. A row of `report` without one
-- here was written by another program and awaits settling.
CREATE TABLE report_line (
    begin_at     INTEGER NOT NULL,
    serial       INTEGER NOT NULL,
    end_at       INTEGER NOT NULL,
    domain       TEXT NOT NULL,
    org          TEXT NOT NULL,
    report_id    TEXT NOT NULL,
    words        TEXT NOT NULL,
    state        TEXT NOT NULL,
    proof        TEXT NOT NULL,
    policy_p     TEXT NOT NULL,
    policy_sp    TEXT,
    policy_pct   INTEGER,
    records      INTEGER NOT NULL,
    messages     INTEGER NOT NULL,
    dkim         INTEGER NOT NULL,
    spf          INTEGER NOT NULL,
    aligned      INTEGER NOT NULL,
    quarantined  INTEGER NOT NULL,
    rejected     INTEGER NOT NULL,
    variants     INTEGER NOT NULL,
    stamp        INTEGER NOT NULL,
    PRIMARY KEY (begin_at, serial)
) WITHOUT ROWID;
CREATE UNIQUE INDEX report_line_serial ON report_line (serial);
CREATE INDEX report_line_domain ON report_line (domain, begin_at, serial);

-- Sums of a report by source, packed (store::reports::packed).
CREATE TABLE report_source (
    domain   TEXT NOT NULL,
    serial   INTEGER NOT NULL,
    begin_at INTEGER NOT NULL,
    proof    TEXT NOT NULL,
    sources  BLOB NOT NULL,
    PRIMARY KEY (domain, serial)
) WITHOUT ROWID;

-- Reports by month of their begin (year * 100 + month, UTC). stamp: sum of the marks of its reports, by which remembered
-- figures know whether they are still true.
CREATE TABLE report_month (
    domain  TEXT NOT NULL,
    month   INTEGER NOT NULL,
    reports INTEGER NOT NULL,
    stamp   INTEGER NOT NULL,
    PRIMARY KEY (domain, month)
) WITHOUT ROWID;

-- How a report came, and all that it says where the columns of `report` and `rptrecord` are too narrow.
-- hash: SHA-256 of the XML.
CREATE TABLE report_body (
    serial     INTEGER PRIMARY KEY,
    hash       BLOB NOT NULL,
    arrived_at INTEGER NOT NULL,
    via        TEXT NOT NULL,
    name       TEXT NOT NULL,
    sender     TEXT,
    evidence   TEXT,
    body       BLOB NOT NULL
);

-- Another body that came under the key of a report. family: dmarc or tls.
CREATE TABLE report_variant (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    family     TEXT NOT NULL,
    serial     INTEGER NOT NULL,
    hash       BLOB NOT NULL,
    arrived_at INTEGER NOT NULL,
    via        TEXT NOT NULL,
    name       TEXT NOT NULL,
    sender     TEXT,
    proof      TEXT NOT NULL,
    evidence   TEXT,
    document   BLOB NOT NULL
);
CREATE UNIQUE INDEX report_variant_report ON report_variant (family, serial, hash);

-- How far the rows of other programs were looked through: one row.
CREATE TABLE report_settled (
    id     INTEGER PRIMARY KEY,
    serial INTEGER NOT NULL
);

-- Domains that Mailcow hosts, with or without mailboxes.
CREATE TABLE hosted_domain (
    domain TEXT NOT NULL PRIMARY KEY
);

-- TLS reports. identity: SHA-256 of receiver, report id, span and domains.
CREATE TABLE tls_report (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    identity   BLOB NOT NULL UNIQUE,
    begin_at   INTEGER NOT NULL,
    hash       BLOB NOT NULL,
    arrived_at INTEGER NOT NULL,
    via        TEXT NOT NULL,
    name       TEXT NOT NULL,
    sender     TEXT,
    proof      TEXT NOT NULL,
    evidence   TEXT,
    body       BLOB NOT NULL,
    document   BLOB NOT NULL
);
CREATE INDEX tls_report_begin ON tls_report (begin_at);

-- What a TLS report says of one domain.
CREATE TABLE tls_line (
    report     INTEGER NOT NULL,
    domain     TEXT NOT NULL,
    begin_at   INTEGER NOT NULL,
    end_at     INTEGER NOT NULL,
    org        TEXT NOT NULL,
    report_id  TEXT NOT NULL,
    proof      TEXT NOT NULL,
    successful INTEGER NOT NULL,
    failed     INTEGER NOT NULL,
    PRIMARY KEY (report, domain)
) WITHOUT ROWID;
CREATE INDEX tls_line_domain ON tls_line (domain, begin_at);
CREATE INDEX tls_line_begin ON tls_line (begin_at);

-- What failed, by kind and receiving server.
CREATE TABLE tls_failure (
    report   INTEGER NOT NULL,
    domain   TEXT NOT NULL,
    kind     TEXT NOT NULL,
    mx       TEXT NOT NULL,
    sessions INTEGER NOT NULL,
    PRIMARY KEY (report, domain, kind, mx)
) WITHOUT ROWID;

-- What could not be read as a report. document: packed; NULL when it was too big to keep.
CREATE TABLE unreadable_report (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    hash       BLOB NOT NULL UNIQUE,
    arrived_at INTEGER NOT NULL,
    via        TEXT NOT NULL,
    name       TEXT NOT NULL,
    sender     TEXT,
    proof      TEXT NOT NULL,
    evidence   TEXT,
    reason     TEXT NOT NULL,
    size       INTEGER NOT NULL,
    document   BLOB
);
CREATE INDEX unreadable_report_arrived ON unreadable_report (arrived_at);

-- Names of sources by reverse DNS. ip: 4 or 16 bytes. name: NULL when there is none.
CREATE TABLE source_name (
    ip        BLOB PRIMARY KEY,
    name      TEXT,
    looked_at INTEGER NOT NULL
);
CREATE INDEX source_name_looked ON source_name (looked_at);

-- What admins say of sources.
CREATE TABLE source_judgement (
    ip      BLOB PRIMARY KEY,
    label   TEXT,
    verdict TEXT NOT NULL
);
