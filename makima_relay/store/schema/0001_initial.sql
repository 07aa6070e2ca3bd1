-- The relay's memory. Times are seconds since the epoch; payloads are the bytes that came over the wire.
-- Applied in one transaction with the new PRAGMA user_version; see database.py.

-- Single values: the relay's own machine id, and how often a task finished, over restarts and pruning.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO meta VALUES ('total_finished', 0);

-- One row a task, narrow, so that paging through a long history reads little.
CREATE TABLE tasks (
    key           INTEGER PRIMARY KEY,         -- the relay's own number for it
    position      INTEGER NOT NULL UNIQUE,     -- order of arrival; a new attempt arrives anew
    task_id       TEXT NOT NULL UNIQUE,        -- the server's id
    name          TEXT,
    status        TEXT NOT NULL CHECK (status IN
                      ('pending', 'dispatched', 'running', 'orphaned', 'completed', 'failed', 'cancelled')),
    daemon_id     TEXT,                        -- who holds it, or last held it
    attempts      INTEGER NOT NULL,            -- dispatches, ever
    tries         INTEGER NOT NULL,            -- dispatches since the server last asked for it
    received_at   REAL NOT NULL,
    dispatched_at REAL,
    started_at    REAL,
    finished_at   REAL,
    error         TEXT
) STRICT;

CREATE INDEX tasks_by_status ON tasks (status, position);
CREATE INDEX tasks_by_daemon ON tasks (daemon_id, position);
-- For pruning: the oldest finished tasks first.
CREATE INDEX tasks_by_finish ON tasks (finished_at) WHERE finished_at IS NOT NULL;

-- The whole spawnTask of each task; adopted tasks have none.
CREATE TABLE task_messages (
    task    INTEGER PRIMARY KEY REFERENCES tasks (key),
    message BLOB NOT NULL
) STRICT;

-- What became of each task, one row a change of status.
CREATE TABLE task_events (
    number    INTEGER PRIMARY KEY,
    task      INTEGER NOT NULL REFERENCES tasks (key),
    at        REAL NOT NULL,
    status    TEXT NOT NULL,
    daemon_id TEXT,
    error     TEXT
) STRICT;

CREATE INDEX task_events_by_task ON task_events (task, number);

-- Commands that wait for their task's daemon, in order. A null payload is an interruptTask of the relay's own.
CREATE TABLE commands (
    number  INTEGER PRIMARY KEY,
    task    INTEGER NOT NULL REFERENCES tasks (key),
    payload BLOB
) STRICT;

CREATE INDEX commands_by_task ON commands (task, number);

-- Reports that the server may not have yet, numbered in the order in which they are to arrive.
CREATE TABLE reports (
    number  INTEGER PRIMARY KEY,
    payload BLOB NOT NULL
) STRICT;

-- What is known of a daemon beyond its connection.
CREATE TABLE daemons (
    daemon_id  TEXT PRIMARY KEY,
    machine_id TEXT NOT NULL,
    hostname   TEXT NOT NULL,
    draining   INTEGER NOT NULL,
    seen_at    REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX daemons_by_hostname ON daemons (hostname);

-- The latest connection events; see GET /logs.
CREATE TABLE journal (
    number INTEGER PRIMARY KEY,
    at     REAL NOT NULL,
    event  TEXT NOT NULL,
    detail TEXT NOT NULL,
    fields TEXT NOT NULL                       -- a JSON object
) STRICT;

-- How many tasks have each status, so that a page of the history knows its total without counting.
CREATE TABLE task_counts (
    status TEXT PRIMARY KEY,
    tasks  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO task_counts VALUES
    ('pending', 0), ('dispatched', 0), ('running', 0), ('orphaned', 0), ('completed', 0), ('failed', 0),
    ('cancelled', 0);

CREATE TRIGGER task_added AFTER INSERT ON tasks BEGIN
    UPDATE task_counts SET tasks = tasks + 1 WHERE status = NEW.status;
END;

CREATE TRIGGER task_changed AFTER UPDATE OF status ON tasks WHEN OLD.status != NEW.status BEGIN
    UPDATE task_counts SET tasks = tasks + (status = NEW.status) - (status = OLD.status)
        WHERE status IN (NEW.status, OLD.status);
END;

CREATE TRIGGER task_finished AFTER UPDATE OF status ON tasks
    WHEN NEW.status IN ('completed', 'failed', 'cancelled')
        AND OLD.status NOT IN ('completed', 'failed', 'cancelled') BEGIN
    UPDATE meta SET value = value + 1 WHERE name = 'total_finished';
END;

CREATE TRIGGER task_removed AFTER DELETE ON tasks BEGIN
    UPDATE task_counts SET tasks = tasks - 1 WHERE status = OLD.status;
END;
