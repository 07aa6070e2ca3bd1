"""The outbox: every report on its way to the server, until it is known to have arrived.

Reports are numbered in the order in which they are to arrive. They stay here until acknowledged; a new upstream
connection is sent all that is left, oldest first. What it holds lives in memory; which of them must also be in the
database is the caller's to say, and the outbox only remembers up to which number that is so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator


class Outbox:
    """Reports in order, until acknowledged.

    :param kept: what is in the database from an earlier run, as (number, payload), oldest first.
    """

    def __init__(self, kept: Iterable[tuple[int, bytes]] = ()) -> None:
        self._reports: deque[tuple[int, bytes]] = deque(kept)
        self._last = self._reports[-1][0] if self._reports else 0
        self._last_kept = self._last
        self.size = sum(len(payload) for _, payload in self._reports)

    def __len__(self) -> int:
        return len(self._reports)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """What is not acknowledged, oldest first."""
        return iter(self._reports)

    def add(self, payload: bytes, *, kept: bool = False) -> int:
        """Put a report at the end.

        :param kept: whether it goes into the database as well.
        :return: its number.
        """
        self._last = number = self._last + 1
        self._reports.append((number, payload))
        self.size += len(payload)
        if kept:
            self._last_kept = number
        return number

    def acknowledged(self, number: int) -> bool:
        """Drop everything up to and with a number.

        :return: whether some of that was in the database.
        """
        reports = self._reports
        if not reports or reports[0][0] > number:
            return False
        first = reports[0][0]
        while reports and reports[0][0] <= number:
            self.size -= len(reports.popleft()[1])
        return first <= self._last_kept
