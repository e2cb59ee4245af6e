-- What the public page shows (store::public): services under names for strangers, and what admins announce.

-- A service that is shown. code: see metrics::uptime; several may have one name, and are shown as one.
CREATE TABLE IF NOT EXISTS public_service (
    code  VARCHAR(60) PRIMARY KEY,
    place INT NOT NULL,
    name  VARCHAR(120) NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- A disturbance or planned work. id: when it was first written. services: codes, one a line; none for all.
-- excuses: outages meanwhile do not count.
CREATE TABLE IF NOT EXISTS public_note (
    id         BIGINT PRIMARY KEY,
    kind       VARCHAR(20) NOT NULL,
    title      VARCHAR(120) NOT NULL,
    from_at    BIGINT NOT NULL,
    until_at   BIGINT,
    excuses    TINYINT NOT NULL,
    services   TEXT NOT NULL,
    changed_at BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What was told about it.
CREATE TABLE IF NOT EXISTS public_update (
    note BIGINT NOT NULL,
    at   BIGINT NOT NULL,
    text VARCHAR(2000) NOT NULL,
    PRIMARY KEY (note, at)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
