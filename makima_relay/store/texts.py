"""The texts of many tasks side by side: each row of ``task_texts`` has those of a stretch of positions.

They are written behind the tasks, by a round of housekeeping, and thrown away by triggers when a task of the stretch
is changed or deleted (``schema/0003_task_texts.sql``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

#: Positions in a stretch; the triggers know it too. More make a search faster, and a row dearer to write.
STRETCH: Final = 2048
#: Bytes of names in a stretch, above which its texts are not kept: to write them would hold up all commits, and
#: one by one the tasks are then searched as fast, without the interpreter's lock.
LONGEST: Final = 4 << 20
#: At most so many stretches are passed over in one slice.
_LOOKS_AT_A_TIME = 500
#: End a task's name, and its id: bytes that UTF-8 never has, so that nothing is found across them.
_END_OF_NAME, _END_OF_TASK = b"\xfe", b"\xff"
#: Stands for the needle, and is in no UTF-8 either.
_MARK = b"\xfd"
_ALL_BUT_MARKS_AND_ENDS = bytes(set(range(256)) - {_MARK[0], _END_OF_TASK[0]})
_SIZE = "SELECT total(length(CAST(name AS BLOB))) FROM tasks WHERE position >= ? AND position < ?"
_TEXTS = "SELECT position, name, task_id FROM tasks WHERE position >= ? AND position < ?"
#: So many finds in a stretch are counted faster one by one.
_FEW = STRETCH // 8


def keep_texts(cursor: Any, number: int) -> int | None:
    """Keep the texts of one stretch more; see :meth:`makima_relay.indexing.SearchedStore.keep_texts`."""
    # That of the newest task is not full.
    newest = cursor.execute("SELECT coalesce(max(position), 0) FROM tasks").fetchone()[0] // STRETCH
    for _ in range(_LOOKS_AT_A_TIME):
        found = cursor.execute("SELECT min(position) FROM tasks WHERE position >= ?", [number * STRETCH]).fetchone()[0]
        if found is None or found // STRETCH >= newest:
            return None
        number = found // STRETCH + 1
        if cursor.execute("SELECT 1 FROM task_texts WHERE number = ?", [number - 1]).fetchone() is None:
            _keep(cursor, number - 1)
            break
    return number


def _keep(cursor: Any, number: int) -> None:
    """Keep the texts of a stretch, or an empty one in their place when they are too long."""
    bounds = [number * STRETCH, (number + 1) * STRETCH]
    texts = b""
    if cursor.execute(_SIZE, bounds).fetchone()[0] <= LONGEST:
        rows = cursor.execute(_TEXTS, bounds)
        texts = _side_by_side(number * STRETCH, rows)
    cursor.execute("INSERT INTO task_texts (number, texts) VALUES (?, ?)", [number, texts])


def _side_by_side(first: int, rows: Iterable[tuple[int, str | None, str]]) -> bytes:
    """The texts of a stretch; a position without a task has an empty one."""
    texts = [b""] * STRETCH
    for position, name, task_id in rows:
        texts[position - first] = fold(name or "") + _END_OF_NAME + fold(task_id)
    return _END_OF_TASK.join(texts) + _END_OF_TASK


def fold(text: str) -> bytes:
    """A text as it is compared: like SQLite's LIKE, in any case of A to Z, and up to a NUL."""
    return text.partition("\0")[0].encode().lower()


def count(texts: bytes, needle: bytes) -> int:
    """How many tasks of a stretch have a folded text in their name or id."""
    if texts.count(needle) > _FEW:
        marked = texts.replace(needle, _MARK).translate(None, _ALL_BUT_MARKS_AND_ENDS)
        return marked.count(_MARK + _END_OF_TASK)
    tasks, found = 0, texts.find(needle)
    while found >= 0:
        tasks += 1
        found = texts.find(needle, texts.index(_END_OF_TASK, found))
    return tasks


def places(texts: bytes, needle: bytes) -> list[int]:
    """Which tasks of a stretch those are, counted from its first position, newest first."""
    return [place for place, text in enumerate(texts.split(_END_OF_TASK)) if needle in text][::-1]
