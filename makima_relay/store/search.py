"""Finds tasks by a part of their name or id: in the texts that are kept side by side, else in the tasks themselves."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any, Final

import attrs

from makima_relay.store import texts
from makima_relay.store.filters import Filter, condition

#: So many texts are remembered.
_MOST_TEXTS: Final = 8
#: Where texts were too long to be kept there is an empty one; SQLite need not read a text to know its length.
_KEPT: Final = "SELECT number, CASE WHEN length(texts) > 0 THEN version END FROM task_texts ORDER BY number DESC"
#: Above all positions.
_NO_END: Final = 2**63 - 1


class Counts:
    """Remembers how many tasks of each stretch have the texts that were searched for last.

    Who looks for a text looks at the next page too, or again, and each page says how many tasks there are in all.
    """

    def __init__(self) -> None:
        self._by_text: OrderedDict[bytes, dict[int, int]] = OrderedDict()

    def of(self, needle: bytes) -> dict[int, int]:
        """What was counted for a folded text, by the version of the stretch's texts."""
        return self._by_text.get(needle, {})

    def remember(self, needle: bytes, counts: dict[int, int]) -> None:
        """Have this count for a text from now on; the text that was not searched for the longest is forgotten."""
        self._by_text[needle] = counts
        self._by_text.move_to_end(needle)
        if len(self._by_text) > _MOST_TEXTS:
            self._by_text.popitem(last=False)


@attrs.frozen
class _Stretch:
    """Positions from one up to another, and the version of their tasks' texts if those are kept."""

    first: int
    end: int
    version: int | None = None


def find(cursor: Any, wanted: Filter, limit: int, offset: int, counts: Counts) -> tuple[list[int], int]:
    """Find the tasks of a page of a filter with a text, newest first.

    :param cursor: in a transaction, so that what it reads fits together.
    :return: their positions, and how many tasks there are in all.
    """
    search = _Search(cursor, wanted, counts)
    positions: list[int] = []
    total = 0
    for stretch in search.stretches():
        found = search.count(stretch)
        skipped = max(0, offset - total)
        if found > skipped and len(positions) < limit:
            positions += search.positions(stretch, limit - len(positions), skipped)
        total += found
    search.end()
    return positions, total


def _stretches(cursor: Any) -> Iterator[_Stretch]:
    """All positions, the newest first."""
    end = _NO_END
    for number, version in cursor.execute(_KEPT).fetchall():
        first, behind = number * texts.STRETCH, (number + 1) * texts.STRETCH
        if behind < end:
            yield _Stretch(behind, end)
        yield _Stretch(first, behind, version)
        end = first
    yield _Stretch(0, end)


def _joined(stretches: Iterable[_Stretch]) -> Iterator[_Stretch]:
    """The same positions in fewer stretches, whose tasks are to be searched themselves."""
    joined: _Stretch | None = None
    for stretch in stretches:
        if joined is not None and stretch.end < joined.first:
            yield joined
            joined = None
        joined = _Stretch(stretch.first, stretch.end if joined is None else joined.end)
    if joined is not None:
        yield joined


class _Search:
    """Searches stretch by stretch."""

    def __init__(self, cursor: Any, wanted: Filter, counts: Counts) -> None:
        assert wanted.text is not None
        self._cursor = cursor
        self._needle = texts.fold(wanted.text)
        self._is_text_all = wanted.status is None and wanted.daemon is None
        self._where, self._values = condition(wanted)
        self._counts = counts
        self._known = counts.of(self._needle)
        self._counted: dict[int, int] = {}

    def end(self) -> None:
        """Have what was counted remembered, and what was so before of stretches that are no more forgotten."""
        self._counts.remember(self._needle, self._counted)

    def stretches(self) -> Iterator[_Stretch]:
        """Those that may have wanted tasks, the newest first."""
        every = _stretches(self._cursor)
        if self._is_text_all:
            return every
        # Few scans in an index are cheaper than many.
        return _joined(stretch for stretch in every if stretch.version is None or self.count(stretch))

    def count(self, stretch: _Stretch) -> int:
        """How many tasks of a stretch are wanted; if their texts are kept, how many have the text."""
        if stretch.version is None:
            return int(self._select("count(*)", stretch, "").fetchone()[0])
        found = self._known.get(stretch.version)
        if found is None:
            found = texts.count(self._texts(stretch), self._needle)
        self._counted[stretch.version] = found
        return found

    def positions(self, stretch: _Stretch, limit: int, offset: int) -> list[int]:
        """Some positions of the tasks that are wanted, newest first."""
        if stretch.version is not None:
            places = texts.places(self._texts(stretch), self._needle)
            return [stretch.first + place for place in places[offset : offset + limit]]
        found = self._select("position", stretch, "ORDER BY position DESC LIMIT ? OFFSET ?", limit, offset)
        return [row[0] for row in found]

    def _texts(self, stretch: _Stretch) -> bytes:
        number = stretch.first // texts.STRETCH
        found: bytes = self._cursor.execute("SELECT texts FROM task_texts WHERE number = ?", [number]).fetchone()[0]
        return found

    def _select(self, columns: str, stretch: _Stretch, rest: str, *values: int) -> Any:
        query = f"SELECT {columns} FROM tasks WHERE {self._where} AND position >= ? AND position < ? {rest}"
        return self._cursor.execute(query, [*self._values, stretch.first, stretch.end, *values])
