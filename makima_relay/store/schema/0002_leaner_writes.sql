-- What a task costs on its way is mostly what it costs here. So the writer counts (see tasks_writer.py), not triggers;
-- what became of a task within one commit is one row; and that a status is one of the seven is the program's to know.

DROP TRIGGER task_added;
DROP TRIGGER task_changed;
DROP TRIGGER task_finished;
DROP TRIGGER task_removed;

-- A CHECK cannot be dropped from a table: it is made anew.
CREATE TABLE new_tasks (
    key           INTEGER PRIMARY KEY,         -- the relay's own number for it
    position      INTEGER NOT NULL UNIQUE,     -- order of arrival; a new attempt arrives anew
    task_id       TEXT NOT NULL UNIQUE,        -- the server's id
    name          TEXT,
    status        TEXT NOT NULL,
    daemon_id     TEXT,                        -- who holds it, or last held it
    attempts      INTEGER NOT NULL,            -- dispatches, ever
    tries         INTEGER NOT NULL,            -- dispatches since the server last asked for it
    received_at   REAL NOT NULL,
    dispatched_at REAL,
    started_at    REAL,
    finished_at   REAL,
    error         TEXT
) STRICT;

INSERT INTO new_tasks
    SELECT key, position, task_id, name, status, daemon_id, attempts, tries,
           received_at, dispatched_at, started_at, finished_at, error
    FROM tasks ORDER BY key;
DROP TABLE tasks;
PRAGMA legacy_alter_table = ON;
ALTER TABLE new_tasks RENAME TO tasks;
PRAGMA legacy_alter_table = OFF;

CREATE INDEX tasks_by_status ON tasks (status, position);
CREATE INDEX tasks_by_daemon ON tasks (daemon_id, position);
-- For pruning: the oldest finished tasks first.
CREATE INDEX tasks_by_finish ON tasks (finished_at) WHERE finished_at IS NOT NULL;

-- What became of each task: one row a commit, with a JSON array of its changes of status in their order, each of them
-- [time, status, daemon_id, error].
CREATE TABLE task_changes (
    number  INTEGER PRIMARY KEY,
    task    INTEGER NOT NULL REFERENCES tasks (key),
    changes BLOB NOT NULL
) STRICT;

INSERT INTO task_changes (number, task, changes)
    SELECT number, task, CAST(json_array(json_array(at, status, daemon_id, error)) AS BLOB)
    FROM task_events ORDER BY number;
DROP TABLE task_events;

-- SQLite adds the number to each entry by itself.
CREATE INDEX task_changes_by_task ON task_changes (task);
