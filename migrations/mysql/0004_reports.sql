-- DMARC and TLS reports.

-- The two tables of dmarcts-report-parser. Another program may have made them, in an older shape, and may write to them
-- beside us: they are taken as they are, what is missing is added, nothing is taken away.
-- mindate moves by itself with every UPDATE that does not set it.
CREATE TABLE IF NOT EXISTS report (
    serial             INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    mindate            TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    maxdate            TIMESTAMP NULL,
    domain             VARCHAR(255) NOT NULL,
    org                VARCHAR(255) NOT NULL,
    reportid           VARCHAR(255) NOT NULL,
    email              VARCHAR(255),
    extra_contact_info VARCHAR(255),
    policy_adkim       VARCHAR(20),
    policy_aspf        VARCHAR(20),
    policy_p           VARCHAR(20),
    policy_sp          VARCHAR(20),
    policy_pct         TINYINT UNSIGNED,
    raw_xml            MEDIUMTEXT,
    UNIQUE KEY domain (domain, org, reportid, mindate, maxdate)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS rptrecord (
    id               INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    serial           INT UNSIGNED NOT NULL,
    ip               INT UNSIGNED,
    ip6              BINARY(16),
    rcount           INT UNSIGNED NOT NULL,
    disposition      ENUM('none', 'quarantine', 'reject', 'unknown'),
    reason           VARCHAR(255),
    dkimdomain       VARCHAR(255),
    dkimresult       ENUM('none', 'pass', 'fail', 'neutral', 'policy', 'temperror', 'permerror', 'unknown'),
    spfdomain        VARCHAR(255),
    spfresult        ENUM('none', 'neutral', 'pass', 'fail', 'softfail', 'temperror', 'permerror', 'unknown'),
    spf_align        ENUM('fail', 'pass', 'unknown') NOT NULL,
    dkim_align       ENUM('fail', 'pass', 'unknown') NOT NULL,
    identifier_hfrom VARCHAR(255),
    KEY serial (serial, ip),
    KEY serial6 (serial, ip6)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- MySQL has no ADD COLUMN IF NOT EXISTS: there these two tables must be new or whole. The same report id with another
-- span is another report: the unique key gets the span.
ALTER TABLE report COMMENT = ''
    /*M! , ADD COLUMN IF NOT EXISTS email VARCHAR(255)
    , ADD COLUMN IF NOT EXISTS extra_contact_info VARCHAR(255)
    , ADD COLUMN IF NOT EXISTS policy_adkim VARCHAR(20)
    , ADD COLUMN IF NOT EXISTS policy_aspf VARCHAR(20)
    , ADD COLUMN IF NOT EXISTS policy_p VARCHAR(20)
    , ADD COLUMN IF NOT EXISTS policy_sp VARCHAR(20)
    , ADD COLUMN IF NOT EXISTS policy_pct TINYINT UNSIGNED
    , ADD COLUMN IF NOT EXISTS raw_xml MEDIUMTEXT
    , DROP INDEX IF EXISTS domain
    , ADD UNIQUE KEY domain (domain, org, reportid, mindate, maxdate) */;

ALTER TABLE rptrecord COMMENT = ''
    /*M! , ADD COLUMN IF NOT EXISTS id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY FIRST
    , ADD COLUMN IF NOT EXISTS ip6 BINARY(16)
    , ADD COLUMN IF NOT EXISTS spf_align ENUM('fail', 'pass', 'unknown') NOT NULL DEFAULT 'unknown'
    , ADD COLUMN IF NOT EXISTS dkim_align ENUM('fail', 'pass', 'unknown') NOT NULL DEFAULT 'unknown'
    , ADD COLUMN IF NOT EXISTS identifier_hfrom VARCHAR(255)
    , MODIFY ip INT UNSIGNED
    , MODIFY disposition ENUM('none', 'quarantine', 'reject', 'unknown')
    , MODIFY dkimresult ENUM('none', 'pass', 'fail', 'neutral', 'policy', 'temperror', 'permerror', 'unknown')
    , MODIFY spfresult ENUM('none', 'neutral', 'pass', 'fail', 'softfail', 'temperror', 'permerror', 'unknown')
    , ADD INDEX IF NOT EXISTS serial (serial, ip)
    , ADD INDEX IF NOT EXISTS serial6 (serial, ip6) */;

-- What lists and figures need of each report, in order of time. words: receiver and report id in lower case, for
-- searches, with a tab between. stamp: hash of all that figures take from the report. A row of `report` without one
-- here was written by another program and awaits settling.
CREATE TABLE IF NOT EXISTS report_line (
    begin_at     BIGINT NOT NULL,
    serial       BIGINT NOT NULL,
    end_at       BIGINT NOT NULL,
    domain       VARCHAR(255) NOT NULL,
    org          VARCHAR(255) NOT NULL,
    report_id    VARCHAR(255) NOT NULL,
    words        VARCHAR(767) NOT NULL,
    state        VARCHAR(8) NOT NULL,
    proof        VARCHAR(16) NOT NULL,
    policy_p     VARCHAR(20) NOT NULL,
    policy_sp    VARCHAR(20),
    policy_pct   BIGINT,
    records      BIGINT NOT NULL,
    messages     BIGINT NOT NULL,
    dkim         BIGINT NOT NULL,
    spf          BIGINT NOT NULL,
    aligned      BIGINT NOT NULL,
    quarantined  BIGINT NOT NULL,
    rejected     BIGINT NOT NULL,
    variants     BIGINT NOT NULL,
    stamp        BIGINT NOT NULL,
    PRIMARY KEY (begin_at, serial),
    UNIQUE KEY report_line_serial (serial),
    INDEX report_line_domain (domain, begin_at, serial)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Sums of a report by source, packed (store::reports::packed).
CREATE TABLE IF NOT EXISTS report_source (
    domain   VARCHAR(255) NOT NULL,
    serial   BIGINT NOT NULL,
    begin_at BIGINT NOT NULL,
    proof    VARCHAR(16) NOT NULL,
    sources  MEDIUMBLOB NOT NULL,
    PRIMARY KEY (domain, serial)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Reports by month of their begin (year * 100 + month, UTC). stamp: sum of the marks of its reports, by which remembered
-- figures know whether they are still true.
CREATE TABLE IF NOT EXISTS report_month (
    domain  VARCHAR(255) NOT NULL,
    month   BIGINT NOT NULL,
    reports BIGINT NOT NULL,
    stamp   BIGINT NOT NULL,
    PRIMARY KEY (domain, month)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- How a report came, and all that it says where the columns of `report` and `rptrecord` are too narrow.
-- hash: SHA-256 of the XML.
CREATE TABLE IF NOT EXISTS report_body (
    serial     BIGINT PRIMARY KEY,
    hash       VARBINARY(32) NOT NULL,
    arrived_at BIGINT NOT NULL,
    via        TEXT NOT NULL,
    name       TEXT NOT NULL,
    sender     TEXT,
    evidence   TEXT,
    body       MEDIUMBLOB NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Another body that came under the key of a report. family: dmarc or tls.
CREATE TABLE IF NOT EXISTS report_variant (
    id         BIGINT AUTO_INCREMENT PRIMARY KEY,
    family     VARCHAR(8) NOT NULL,
    serial     BIGINT NOT NULL,
    hash       VARBINARY(32) NOT NULL,
    arrived_at BIGINT NOT NULL,
    via        TEXT NOT NULL,
    name       TEXT NOT NULL,
    sender     TEXT,
    proof      VARCHAR(16) NOT NULL,
    evidence   TEXT,
    document   MEDIUMBLOB NOT NULL,
    UNIQUE KEY report_variant_report (family, serial, hash)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- How far the rows of other programs were looked through: one row.
CREATE TABLE IF NOT EXISTS report_settled (
    id     BIGINT PRIMARY KEY,
    serial BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Domains that Mailcow hosts, with or without mailboxes.
CREATE TABLE IF NOT EXISTS hosted_domain (
    domain VARCHAR(253) PRIMARY KEY
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- TLS reports. identity: SHA-256 of receiver, report id, span and domains.
CREATE TABLE IF NOT EXISTS tls_report (
    id         BIGINT AUTO_INCREMENT PRIMARY KEY,
    identity   VARBINARY(32) NOT NULL UNIQUE,
    begin_at   BIGINT NOT NULL,
    hash       VARBINARY(32) NOT NULL,
    arrived_at BIGINT NOT NULL,
    via        TEXT NOT NULL,
    name       TEXT NOT NULL,
    sender     TEXT,
    proof      VARCHAR(16) NOT NULL,
    evidence   TEXT,
    body       MEDIUMBLOB NOT NULL,
    document   MEDIUMBLOB NOT NULL,
    INDEX tls_report_begin (begin_at)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What a TLS report says of one domain.
CREATE TABLE IF NOT EXISTS tls_line (
    report     BIGINT NOT NULL,
    domain     VARCHAR(255) NOT NULL,
    begin_at   BIGINT NOT NULL,
    end_at     BIGINT NOT NULL,
    org        VARCHAR(255) NOT NULL,
    report_id  VARCHAR(255) NOT NULL,
    proof      VARCHAR(16) NOT NULL,
    successful BIGINT NOT NULL,
    failed     BIGINT NOT NULL,
    PRIMARY KEY (report, domain),
    INDEX tls_line_domain (domain, begin_at),
    INDEX tls_line_begin (begin_at)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What failed, by kind and receiving server.
CREATE TABLE IF NOT EXISTS tls_failure (
    report   BIGINT NOT NULL,
    domain   VARCHAR(255) NOT NULL,
    kind     VARCHAR(191) NOT NULL,
    mx       VARCHAR(255) NOT NULL,
    sessions BIGINT NOT NULL,
    PRIMARY KEY (report, domain, kind, mx)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What could not be read as a report. document: packed; NULL when it was too big to keep.
CREATE TABLE IF NOT EXISTS unreadable_report (
    id         BIGINT AUTO_INCREMENT PRIMARY KEY,
    hash       VARBINARY(32) NOT NULL UNIQUE,
    arrived_at BIGINT NOT NULL,
    via        TEXT NOT NULL,
    name       TEXT NOT NULL,
    sender     TEXT,
    proof      VARCHAR(16) NOT NULL,
    evidence   TEXT,
    reason     TEXT NOT NULL,
    size       BIGINT NOT NULL,
    document   MEDIUMBLOB,
    INDEX unreadable_report_arrived (arrived_at)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Names of sources by reverse DNS. ip: 4 or 16 bytes. name: NULL when there is none.
CREATE TABLE IF NOT EXISTS source_name (
    ip        VARBINARY(16) PRIMARY KEY,
    name      VARCHAR(255),
    looked_at BIGINT NOT NULL,
    INDEX source_name_looked (looked_at)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What admins say of sources.
CREATE TABLE IF NOT EXISTS source_judgement (
    ip      VARBINARY(16) PRIMARY KEY,
    label   VARCHAR(255),
    verdict VARCHAR(16) NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
