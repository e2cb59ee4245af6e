-- What the public page shows (store::public): services under names for strangers, and what admins announce.

-- A service that is shown. code: see metrics::uptime; several may have one name, and are shown as one.
CREATE TABLE public_service (
    code  TEXT PRIMARY KEY,
    place INTEGER NOT NULL,
    name  TEXT NOT NULL
) WITHOUT ROWID;

-- A disturbance or planned work. id: when it was first written. services: codes, one a line; none for all.
-- excuses: outages meanwhile do not count.
CREATE TABLE public_note (
    id         INTEGER PRIMARY KEY,
    kind       TEXT NOT NULL,
    title      TEXT NOT NULL,
    from_at    INTEGER NOT NULL,
    until_at   INTEGER,
    excuses    INTEGER NOT NULL,
    services   TEXT NOT NULL,
    changed_at INTEGER NOT NULL
);

-- What was told about it.
CREATE TABLE public_update (
    note INTEGER NOT NULL,
    at   INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (note, at)
) WITHOUT ROWID;
