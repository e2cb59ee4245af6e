-- What people did and looked at: found by person, by kind and by whose it is.

CREATE INDEX /*M! IF NOT EXISTS */ audit_actor ON audit (actor, at);
CREATE INDEX /*M! IF NOT EXISTS */ audit_action ON audit (action, at);

-- Whose things an entry of `audit` is about: addresses here, and domains. at: that of the entry.
CREATE TABLE IF NOT EXISTS audit_owner (
    owner VARCHAR(320) NOT NULL,
    at    BIGINT NOT NULL,
    entry BIGINT NOT NULL,
    PRIMARY KEY (owner, at, entry),
    INDEX audit_owner_entry (entry)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
