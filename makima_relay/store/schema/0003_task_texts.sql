-- For the search by a part of a name or id: the texts of 2,048 tasks side by side in one row, in which a needle is found
-- several times faster than in as many rows. Row n has those of positions 2048 n to 2048 n + 2047. It is written behind
-- the tasks, and may be missing: then the tasks themselves are searched. See texts.py.
CREATE TABLE task_texts (
    number  INTEGER PRIMARY KEY,
    version INTEGER NOT NULL DEFAULT (random()),   -- another whenever the row is written anew
    texts   BLOB NOT NULL
) STRICT;

-- What is kept is whole and right. A task's usual way does not come by here: it is added behind all rows, and moves on
-- without a change of these columns.
CREATE TRIGGER task_text_changed AFTER UPDATE OF position, task_id, name ON tasks BEGIN
    DELETE FROM task_texts WHERE number IN (OLD.position / 2048, NEW.position / 2048);
END;

-- Positions above those of all tasks are given anew after a restart.
CREATE TRIGGER task_text_removed AFTER DELETE ON tasks BEGIN
    DELETE FROM task_texts WHERE number = OLD.position / 2048;
    DELETE FROM task_texts WHERE number >= (SELECT coalesce(max(position), 0) FROM tasks) / 2048;
END;
