"""The mailbox: the entries on their way to one peer, and how far those that come from it were acted on.

Entries are numbered from 1, and a number is never used twice. They are in the database before they are sent, and stay
until the peer has acted on them; whenever it may have missed some, all that are left are sent again. Each is sent with
the number of the one before it that the peer may not have either, so that a peer never acts on what follows a gap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import Final

from makima_relay.core.cluster_effects import (
    AcknowledgeEntries,
    DropEntries,
    ForgetEntries,
    KeepEntry,
    SaveReceived,
    SendEntry,
)
from makima_relay.core.effects import Effect
from makima_relay.core.entries import Reported, ToHolder, ToOrigin, decode_entry, encode_entry
from makima_relay.core.snapshot import StoredPeer

#: Entries, and bytes of them, that a peer may have to read at a time (``cluster.md``, *Links*).
MOST_SENT: Final = 1_000
MOST_BYTES_SENT: Final = 8 << 20
#: Bytes of reports that go into one entry, unless one alone is longer.
_PIECE: Final = 256 << 10
#: Bytes of the number that is sent before an entry.
_NUMBER: Final = 8


class Mailbox:
    """What passes between this relay and one peer.

    :param stored: what an earlier run left.
    :param note: has something done.
    :param unsettled: the mailboxes that are to be :meth:`settled <settle>`; this one puts itself there.
    :ivar size: bytes of entries that the peer may not have.
    :ivar received: the number of the last entry from the peer that was acted on.
    :ivar taken: the number of the last that was taken to be acted on.
    """

    def __init__(self, stored: StoredPeer, note: Callable[[Effect], None], unsettled: dict[Mailbox, None]) -> None:
        self._peer = stored.relay_id
        self._note = note
        self._unsettled = unsettled
        self._next_number = max([stored.next_number, *(number + 1 for number, _ in stored.entries)])
        self._sent: deque[tuple[int, bytes]] = deque()
        self._unsent: deque[tuple[int, bytes]] = deque(stored.entries)
        self._bytes_sent = 0
        self.size = sum(len(payload) for _, payload in stored.entries)
        self._is_open = False
        self._session = 0
        self._reported: list[bytes] = []
        self._about: tuple[str, int, str] = ("", 0, "")
        self._reported_size = 0
        self.received = self._saved = self.taken = stored.received

    # -------------------------------------------------------------------------------------------------- toward it

    def put(self, entry: ToHolder | ToOrigin) -> int:
        """Send an entry, now or as soon as it can be.

        :return: its number.
        """
        self._put_reports()
        return self._put(encode_entry(entry))

    def _put(self, payload: bytes) -> int:
        number = self._next_number
        self._next_number += 1
        self._note(KeepEntry(self._peer, number, payload))
        self._unsent.append((number, payload))
        self.size += len(payload)
        self._send_on()
        return number

    def report(self, task_id: str, attempt: int, daemon_id: str, payload: bytes) -> None:
        """Send what a daemon said of a task; what it says in one go goes together when this is :meth:`settled`."""
        about = task_id, attempt, daemon_id
        if about != self._about or self._reported_size > _PIECE:
            self._put_reports()
            self._about = about
        self._unsettled[self] = None
        self._reported.append(payload)
        self._reported_size += len(payload)

    def _put_reports(self) -> None:
        if self._reported:
            payloads, self._reported, self._reported_size = tuple(self._reported), [], 0
            self._put(encode_entry(Reported(*self._about, payloads)))

    @property
    def last_number(self) -> int:
        """The number of the latest entry; 0 before the first."""
        return self._next_number - 1

    def open(self, session: int) -> None:
        """Send all that the peer may not have, from the first on.

        :param session: the session with Redis.
        """
        self._is_open = True
        self._session = session
        self._unsent.extendleft(reversed(self._sent))
        self._sent.clear()
        self._bytes_sent = 0
        self._send_on()

    def close(self) -> None:
        """Send nothing for now."""
        self._is_open = False

    def _send_on(self) -> None:
        while self._unsent and self._is_open and len(self._sent) < MOST_SENT and self._bytes_sent < MOST_BYTES_SENT:
            number, payload = self._unsent.popleft()
            before = self._sent[-1][0] if self._sent else 0
            self._sent.append((number, payload))
            self._bytes_sent += len(payload)
            self._note(SendEntry(self._peer, number, before.to_bytes(_NUMBER, "big") + payload, self._session))

    def acknowledged(self, up_to: int) -> None:
        """The peer has acted on every entry up to and with a number."""
        self._next_number = max(self._next_number, up_to + 1)
        dropped = 0
        for row in (self._sent, self._unsent):
            while row and row[0][0] <= up_to:
                size = len(row.popleft()[1])
                dropped += size
                self._bytes_sent -= size if row is self._sent else 0
        if dropped:
            self.size -= dropped
            self._note(ForgetEntries(self._peer, up_to))
        self._send_on()

    def __iter__(self) -> Iterator[tuple[int, ToHolder | ToOrigin]]:
        """The entries that the peer may not have, with their numbers and in their order."""
        self._put_reports()
        for number, payload in (*self._sent, *self._unsent):
            yield number, decode_entry(payload)

    def unsent(self) -> set[int]:
        """The numbers of those that the peer cannot have, because they were not sent since the mailbox was opened."""
        return {number for number, _ in self._unsent}

    def drop(self, numbers: Collection[int]) -> None:
        """Let entries go that are not to reach the peer any more."""
        if numbers:
            self._sent = deque(each for each in self._sent if each[0] not in numbers)
            self._unsent = deque(each for each in self._unsent if each[0] not in numbers)
            self._bytes_sent = sum(len(payload) for _, payload in self._sent)
            self.size = self._bytes_sent + sum(len(payload) for _, payload in self._unsent)
            self._note(DropEntries(self._peer, tuple(sorted(numbers))))

    # ---------------------------------------------------------------------------------------------------- from it

    def take(self, number: int, payload: bytes) -> bytes | None:
        """Look whether an entry that has come is the next one.

        :return: the entry; none for one that has come before, or that follows a gap.
        """
        before, entry = int.from_bytes(payload[:_NUMBER], "big"), payload[_NUMBER:]
        if number <= self.taken or before > self.taken:
            return None
        self.taken = number
        return entry

    def acted_on(self, number: int) -> None:
        """Note that the entry of this number, and all before it, were acted on."""
        self.received = number
        self._unsettled[self] = None

    def acknowledge(self) -> None:
        """Tell the peer again how far its entries were acted on: it may have missed that."""
        if self.received:
            self._note(AcknowledgeEntries(self._peer, self.received))

    @property
    def has_news(self) -> bool:
        """Whether entries were acted on that the peer was not told of."""
        return self.received > self._saved

    def settle(self) -> None:
        """Send what was gathered; keep, and tell the peer, what was acted on."""
        self._put_reports()
        if self.has_news:
            self._saved = self.received
            self._note(SaveReceived(self._peer, self.received))
            self.acknowledge()
