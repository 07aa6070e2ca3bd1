-- When all daemon keys of a name were last taken back: relays of a cluster that have not heard of it must not bring them
-- back.

CREATE TABLE key_revocations (
    name TEXT PRIMARY KEY,
    at   REAL NOT NULL
) STRICT, WITHOUT ROWID;
