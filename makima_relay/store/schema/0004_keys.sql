-- Daemon keys: never a key itself, only its SHA-256.

CREATE TABLE keys (
    digest     BLOB PRIMARY KEY,
    name       TEXT NOT NULL,
    created_at REAL NOT NULL,
    ends_at    REAL                            -- null unless a newer key of its name was made
) STRICT, WITHOUT ROWID;

-- When a key of a name was last used, and from where.
CREATE TABLE key_uses (
    name    TEXT PRIMARY KEY,
    at      REAL NOT NULL,
    address TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Which machine belongs to which name.
CREATE TABLE key_machines (
    machine_id TEXT PRIMARY KEY,
    name       TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX key_machines_by_name ON key_machines (name);

-- Once a key was made only such keys are taken, even when all of them are revoked.
INSERT INTO meta VALUES ('keys_ever_made', 0);
