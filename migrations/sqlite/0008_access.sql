-- What people did and looked at: found by person, by kind and by whose it is.

CREATE INDEX audit_actor ON audit (actor, at);
CREATE INDEX audit_action ON audit (action, at);

-- Whose things an entry of `audit` is about: addresses here, and domains. at: that of the entry.
CREATE TABLE audit_owner (
    owner TEXT NOT NULL,
    at    INTEGER NOT NULL,
    entry INTEGER NOT NULL,
    PRIMARY KEY (owner, at, entry)
) WITHOUT ROWID;
CREATE INDEX audit_owner_entry ON audit_owner (entry);
