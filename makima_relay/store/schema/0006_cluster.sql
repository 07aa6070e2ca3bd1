-- Several relays: what this one holds for others, and what it has to tell them.

-- Which relay has a task, or had it last, and how its daemon there is called; both are null at home. Rows that are there
-- need not be written for them.
ALTER TABLE tasks ADD COLUMN relay TEXT;
ALTER TABLE tasks ADD COLUMN hostname TEXT;
CREATE INDEX tasks_by_hostname ON tasks (hostname, daemon_id) WHERE hostname IS NOT NULL;

-- Unfinished tasks that came from other relays. Keys and positions are counted with those of the tasks.
CREATE TABLE foreign_tasks (
    key           INTEGER PRIMARY KEY,
    position      INTEGER NOT NULL,
    task_id       TEXT NOT NULL UNIQUE,
    name          TEXT,
    status        TEXT NOT NULL,
    daemon_id     TEXT,
    attempts      INTEGER NOT NULL,            -- the number of its origin's attempt
    tries         INTEGER NOT NULL,
    received_at   REAL NOT NULL,
    dispatched_at REAL,
    started_at    REAL,
    finished_at   REAL,
    error         TEXT,
    traceparent   TEXT,
    origin        TEXT NOT NULL,               -- the relay that got it from its server
    detached      INTEGER NOT NULL             -- whether reports on it go to this relay's own server
) STRICT;

-- Other relays.
CREATE TABLE peers (
    relay_id    TEXT PRIMARY KEY,
    agent_name  TEXT NOT NULL,
    received    INTEGER NOT NULL,              -- all of its entries up to this number were acted on
    next_number INTEGER NOT NULL,              -- the first number that no entry toward it had
    seen_at     REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- What other relays were told, or are to be told, and have not acknowledged.
CREATE TABLE entries (
    peer    TEXT NOT NULL,
    number  INTEGER NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (peer, number)
) STRICT;

-- Commands wait for foreign tasks too, so the key of a command is not always that of a row of tasks. A reference cannot
-- be dropped from a table: it is made anew.
CREATE TABLE new_commands (
    number  INTEGER PRIMARY KEY,
    task    INTEGER NOT NULL,
    payload BLOB
) STRICT;

INSERT INTO new_commands SELECT number, task, payload FROM commands ORDER BY number;
DROP TABLE commands;
PRAGMA legacy_alter_table = ON;
ALTER TABLE new_commands RENAME TO commands;
PRAGMA legacy_alter_table = OFF;

CREATE INDEX commands_by_task ON commands (task, number);
