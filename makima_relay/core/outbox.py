"""The outbox: every report on its way to the server, until it is known to have arrived.

Reports are numbered in the order in which they are to arrive. They stay until acknowledged; a new upstream connection
is sent all that is left, oldest first. A report that has waited too long goes into the database as well, so that little
is lost if the relay is killed; with a prompt server none waits so long, and nothing is written.

In memory are the newest reports, in two rows: those that were sent, and those that were not yet. What lies before them
is in the database only, and is read back a page at a time when its turn comes::

    acknowledged | in the database only | sent, in memory | waiting, in memory
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain, count, islice, repeat
from typing import Final

import msgspec

#: A report is handed to the store when it has waited so long, in seconds: with the commit that makes 100 ms, the time
#: that ``protocol.md``, *Nothing is lost* allows.
KEEP_AFTER: Final = 0.08
#: More bytes of reports than this are not taken into memory (``protocol.md``, *Nothing is lost*).
MEMORY_LIMIT: Final = 32 << 20
#: Reports that are in the database leave the memory while it has more bytes of them than this.
MEMORY_KEPT: Final = 8 << 20

_Report = tuple[int, bytes, float]


class Backlog(msgspec.Struct, frozen=True):
    """The reports that an earlier run left in the database.

    :ivar first: the lowest of their numbers.
    :ivar last: the highest; 0 if there are none.
    :ivar count: how many there are; numbers may be missing between those two.
    :ivar size: bytes.
    """

    first: int = 1
    last: int = 0
    count: int = 0
    size: int = 0


class Outbox:
    """Reports in order, until acknowledged.

    :param backlog: what an earlier run left.
    :ivar acknowledged_up_to: all reports up to this number have arrived.
    :ivar memory: bytes of reports in memory.
    :ivar disk: bytes of reports in the database; those of a batch count until all of it is acknowledged.
    :ivar taken: bytes of all reports that were ever put in here.
    """

    def __init__(self, backlog: Backlog | None = None) -> None:
        backlog = backlog or Backlog()
        self.acknowledged_up_to = backlog.first - 1
        self.memory = self.taken = 0
        self.disk = backlog.size
        self._backlog = backlog
        self._sent: deque[_Report] = deque()
        self._waiting: deque[_Report] = deque()
        self._last = backlog.last
        #: All above this are in memory.
        self._on_disk_up_to = backlog.last
        #: All up to this were sent on the present connection.
        self._sent_up_to = self.acknowledged_up_to
        #: All up to the first were handed to the store, up to the second it has them; the third is one beyond, alone.
        self._handed_up_to = backlog.last
        self._stored_up_to = backlog.last
        self._last_kept = backlog.last
        self._batches: deque[tuple[int, int]] = deque()
        #: Of the backlog's bytes those that were not read back yet, which lie behind a number; and the others.
        self._unread, self._unread_behind = backlog.size, self.acknowledged_up_to
        self._read: deque[tuple[int, int]] = deque()

    def __len__(self) -> int:
        """How many reports the server may not have."""
        missing = self._backlog.last - self._backlog.first + 1 - self._backlog.count
        if self.acknowledged_up_to >= self._backlog.last:
            missing = 0
        return max(0, self._last - self.acknowledged_up_to - missing)

    def add(self, payload: bytes, now: float, *, kept: bool = False) -> int:
        """Put a report at the end.

        :param now: when it came, in monotonic seconds.
        :param kept: whether it goes into the database at once.
        :return: its number.
        """
        number = self.add_all((payload,), now)
        if kept:
            self._last_kept = number
        return number

    def add_all(self, payloads: Sequence[bytes], now: float) -> int:
        """Put reports at the end.

        :param now: when they came, in monotonic seconds.
        :return: the number of the last.
        """
        first = self._last + 1
        self._last += len(payloads)
        self._waiting.extend(zip(count(first), payloads, repeat(now)))
        size = sum(map(len, payloads))
        self.memory += size
        self.taken += size
        return self._last

    # -------------------------------------------------------------------------------------------------- sending

    def begin(self) -> None:
        """A new connection has been sent nothing yet."""
        self._waiting.extendleft(reversed(self._sent))
        self._sent.clear()
        self._sent_up_to = self.acknowledged_up_to

    def take_latest(self, number: int = 1) -> bool:
        """Count the reports that were just added, so many, as sent, if it is their turn."""
        if self._sent_up_to + number != self._last or len(self._waiting) != number:
            return False
        self._sent.extend(self._waiting)
        self._waiting.clear()
        self._sent_up_to = self._last
        return True

    def next_page(self) -> tuple[int, int] | None:
        """Which reports must be read back from the database before any other can be sent.

        :return: the number that they are above, and the highest that they may have; none if there are none.
        """
        if self._sent_up_to >= self._on_disk_up_to:
            return None
        return self._sent_up_to, self._on_disk_up_to

    def page_sent(self, reports: Sequence[tuple[int, bytes]], up_to: int) -> None:
        """Count what was read back as sent.

        :param reports: as (number, payload), oldest first.
        :param up_to: no report up to this number was left out.
        """
        self._sent_up_to = max(self._sent_up_to, up_to)
        end = min(up_to, self._backlog.last)
        if end > self._unread_behind:
            size = sum(len(payload) for number, payload in reports if self._unread_behind < number <= end)
            self._read.append((end, size))
            self._unread -= size
            self._unread_behind = end

    def take(self, size: int) -> Iterator[tuple[int, bytes]]:
        """Take reports that wait in memory to be sent, oldest first, after all that must be read back.

        :param size: not many more bytes than this.
        """
        while self._waiting and size > 0 and self.next_page() is None:
            report = self._waiting.popleft()
            self._sent.append(report)
            self._sent_up_to = report[0]
            size -= len(report[1])
            yield report[0], report[1]

    @property
    def has_more(self) -> bool:
        """Whether something is left to be sent."""
        return self._sent_up_to < self._last

    def acknowledged(self, number: int) -> bool:
        """Drop everything up to and with a number.

        :return: whether some of that was in the database.
        """
        first = self.acknowledged_up_to + 1
        if number < first:
            return False
        self.acknowledged_up_to = number = min(number, self._last)
        self._sent_up_to = max(self._sent_up_to, number)
        self._drop_front(number)
        self._on_disk_up_to = max(self._on_disk_up_to, number)
        for row in (self._read, self._batches):
            while row and row[0][0] <= number:
                self.disk -= row.popleft()[1]
        if number >= self._backlog.last:
            # It may have been acknowledged by what an earlier connection had been sent.
            self.disk -= self._unread
            self._unread = 0
        return first <= max(self._handed_up_to, self._last_kept)

    def _drop_front(self, up_to: int, enough: int = -1) -> None:
        """Take reports out of memory, oldest first, up to a number or until there are few enough bytes."""
        most = up_to - self._on_disk_up_to
        left, memory = most, self.memory
        for row in (self._sent, self._waiting):
            while row and left > 0 and memory > enough:
                memory -= len(row.popleft()[1])
                left -= 1
        self.memory = memory
        self._on_disk_up_to += most - left

    # -------------------------------------------------------------------------------------------------- keeping

    def next_to_keep(self) -> float | None:
        """When the oldest report that was not handed to the store has waited long enough.

        :return: monotonic seconds; none if all were.
        """
        if self._last <= max(self._handed_up_to, self.acknowledged_up_to):
            return None
        place = max(0, self._handed_up_to - self._on_disk_up_to)
        row = self._sent
        if place >= len(row):
            place -= len(row)
            row = self._waiting
        return row[place][2] + KEEP_AFTER

    def take_to_keep(self) -> tuple[tuple[int, bytes], ...]:
        """Hand over what the store was not given yet, as (number, payload), oldest first.

        A report that was kept alone is among them again.
        """
        start = max(0, self._handed_up_to - self._on_disk_up_to)
        handed = tuple(report[:2] for report in islice(chain(self._sent, self._waiting), start, None))
        self._handed_up_to = self._last
        if handed:
            size = sum(len(payload) for _, payload in handed)
            self._batches.append((self._last, size))
            self.disk += size
        return handed

    def stored(self, up_to: int) -> None:
        """Everything that was handed over up to a number is in the database; memory may be short of it now."""
        self._stored_up_to = max(self._stored_up_to, up_to)
        self._drop_front(self._stored_up_to, enough=MEMORY_KEPT)
