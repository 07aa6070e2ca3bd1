"""Finds tasks by a part of their name or id: in the texts that are kept side by side, else in the tasks themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from makima_relay.store import texts
from makima_relay.store.filters import Filter, condition

#: Above all positions.
_NO_END = 2**63 - 1


@attrs.frozen
class _Stretch:
    """Positions from one up to another, and their tasks' texts if they are kept."""

    first: int
    end: int
    texts: bytes | None = None


def find(cursor: Any, wanted: Filter, limit: int, offset: int) -> tuple[list[int], int]:
    """Find the tasks of a page of a filter with a text, newest first.

    :param cursor: in a transaction, so that what it reads fits together.
    :return: their positions, and how many tasks there are in all.
    """
    search = _Search(cursor, wanted)
    positions: list[int] = []
    total = 0
    for stretch in _stretches(cursor):
        found = search.count(stretch)
        skipped = max(0, offset - total)
        if found > skipped and len(positions) < limit:
            positions += search.positions(stretch, limit - len(positions), skipped)
        total += found
    return positions, total


def _stretches(cursor: Any) -> Iterator[_Stretch]:
    """All positions, the newest first."""
    end = _NO_END
    # The given cursor is used by others meanwhile.
    kept = cursor.connection.execute("SELECT number, texts FROM task_texts ORDER BY number DESC")
    for number, side_by_side in kept:
        first, behind = number * texts.STRETCH, (number + 1) * texts.STRETCH
        if behind < end:
            yield _Stretch(behind, end)
        yield _Stretch(first, behind, side_by_side)
        end = first
    yield _Stretch(0, end)


class _Search:
    """Searches stretch by stretch."""

    def __init__(self, cursor: Any, wanted: Filter) -> None:
        assert wanted.text is not None
        self._cursor = cursor
        self._needle = texts.fold(wanted.text)
        self._is_text_all = wanted.status is None and wanted.daemon is None
        self._where, self._values = condition(wanted)

    def count(self, stretch: _Stretch) -> int:
        """How many tasks of a stretch are wanted."""
        if stretch.texts is not None:
            if self._is_text_all:
                return texts.count(stretch.texts, self._needle)
            if self._needle not in stretch.texts:
                return 0
        return int(self._select("count(*)", stretch, "").fetchone()[0])

    def positions(self, stretch: _Stretch, limit: int, offset: int) -> list[int]:
        """Some positions of them, newest first."""
        if stretch.texts is not None and self._is_text_all:
            places = texts.places(stretch.texts, self._needle)
            return [stretch.first + place for place in places[offset : offset + limit]]
        found = self._select("position", stretch, "ORDER BY position DESC LIMIT ? OFFSET ?", limit, offset)
        return [row[0] for row in found]

    def _select(self, columns: str, stretch: _Stretch, rest: str, *values: int) -> Any:
        query = f"SELECT {columns} FROM tasks WHERE {self._where} AND position >= ? AND position < ? {rest}"
        return self._cursor.execute(query, [*self._values, stretch.first, stretch.end, *values])
