"""The outbox: every report on its way to the server, until it is known to have arrived.

Reports are numbered in the order in which they are to arrive. They stay here until acknowledged; a new upstream
connection is sent all that is left, oldest first. A report that has waited too long goes into the database as well, so
that little is lost if the relay is killed; with a prompt server none waits so long, and nothing is written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

#: A report is handed to the store when it has waited so long, in seconds: with the commit that makes 100 ms, the time
#: that ``protocol.md``, *Nothing is lost* allows.
KEEP_AFTER: Final = 0.08


class Outbox:
    """Reports in order, until acknowledged.

    :param kept: what is in the database from an earlier run, as (number, payload), oldest first.
    """

    def __init__(self, kept: Iterable[tuple[int, bytes]] = ()) -> None:
        self._reports: deque[tuple[int, bytes, float]] = deque((number, payload, 0.0) for number, payload in kept)
        self._last = self._reports[-1][0] if self._reports else 0
        # All up to the first are in the database, or on their way there; the second may be, alone beyond it.
        self._kept_up_to = self._last
        self._last_kept = self._last
        self.size = sum(len(payload) for _, payload, _ in self._reports)

    def __len__(self) -> int:
        return len(self._reports)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """What is not acknowledged, oldest first."""
        return ((number, payload) for number, payload, _ in self._reports)

    def add(self, payload: bytes, now: float, *, kept: bool = False) -> int:
        """Put a report at the end.

        :param now: when it came, in monotonic seconds.
        :param kept: whether it goes into the database at once.
        :return: its number.
        """
        self._last = number = self._last + 1
        self._reports.append((number, payload, now))
        self.size += len(payload)
        if kept:
            self._last_kept = number
        return number

    def next_to_keep(self) -> float | None:
        """When the oldest report that is not in the database has waited long enough to go there.

        :return: monotonic seconds; none if all are there.
        """
        if self._last <= self._kept_up_to or not self._reports:
            return None
        return self._reports[self._kept_in_memory()][2] + KEEP_AFTER

    def take_to_keep(self) -> tuple[tuple[int, bytes], ...]:
        """Hand over what is not in the database, as (number, payload), oldest first; it counts as being there.

        A report that was kept alone is among them again.
        """
        start = self._kept_in_memory()
        self._kept_up_to = self._last
        return tuple(self._reports[place][:2] for place in range(start, len(self._reports)))

    def _kept_in_memory(self) -> int:
        """How many of the reports here are in the database for certain: those at the front."""
        first = self._reports[0][0] if self._reports else self._last + 1
        if first > self._kept_up_to:
            return 0
        # Numbers have no gaps, except among what an earlier run left, and that is all in the database.
        return len(self._reports) - (self._last - self._kept_up_to)

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
        return first <= max(self._kept_up_to, self._last_kept)
