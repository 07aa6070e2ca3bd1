"""What other relays sent this one: read, checked, handed on, and deleted when the relay has acted on it."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.logger import Logger

from makima_relay.cluster.session import Session
from makima_relay.cluster.sightings import RELAY_ID

#: Entries that are read at a time, and how much of what was read may wait for the database: entries, and bytes.
_AT_A_TIME: Final = 64
MOST_ENTRIES: Final = 1_000
MOST_BYTES: Final = 16 << 20
#: The highest number: beyond it Redis's scripts could not tell numbers apart.
HIGHEST: Final = 1 << 53
_FIELDS: Final = (b"from", b"number", b"payload")


@attrs.frozen
class Entry:
    """One entry, as far as the shell knows it.

    :ivar place: its id in the stream.
    """

    place: bytes
    sender: str
    number: int
    payload: bytes


class Inbox:
    """Reads a session's inbox until it ends.

    :param receive: told what came: the sender, and (number, payload) of each.
    :param drop: told the places of entries that are none.
    :ivar dropped: how many those were.
    :ivar last: the place of the last entry that was looked at.
    """

    _log = Logger()

    def __init__(
        self,
        session: Session,
        relay_id: str,
        receive: Callable[[str, Sequence[tuple[int, bytes]]], object],
        drop: Callable[[Sequence[bytes]], object],
    ) -> None:
        self._session = session
        self._relay_id = relay_id
        self._receive = receive
        self._drop = drop
        self._waiting: dict[str, list[Entry]] = {}
        self._entries = self._bytes = 0
        self._room: Deferred[None] | None = None
        self._stopped = False
        self.dropped = 0
        self.last = session.read_up_to

    def start(self) -> None:
        """Begin with what an earlier session read and did not acknowledge."""
        self._read().addErrback(self._session.broke)

    def stop(self) -> None:
        """Take nothing more; what has been read can still be acknowledged."""
        self._stopped = True
        self._session.stop_reading()

    @inlineCallbacks
    def _read(self) -> Generator[Deferred[Any], Any, None]:
        after = "0"
        while self._goes_on():
            yield self._has_room()
            answer = yield self._session.read_inbox(after, _AT_A_TIME)
            entries = answer[0][1] if answer else []
            if not self._goes_on():
                return
            if after != ">":
                after = entries[-1][0] if entries else ">"
            elif entries:
                self.last = entries[-1][0]
            self._take(entries)

    def _goes_on(self) -> bool:
        return not self._stopped

    def _has_room(self) -> Deferred[None]:
        if self._entries < MOST_ENTRIES and self._bytes < MOST_BYTES:
            return succeed(None)
        self._room = Deferred()
        return self._room

    def _take(self, raw: Iterable[Any]) -> None:
        """Hand on what was read, each sender's together, in order."""
        bad: list[bytes] = []
        came: dict[str, list[tuple[int, bytes]]] = {}
        for place, fields in raw:
            entry = read_entry(place, fields, self._relay_id)
            if entry is None:
                bad.append(place)
                continue
            self._waiting.setdefault(entry.sender, []).append(entry)
            self._entries += 1
            self._bytes += len(entry.payload)
            came.setdefault(entry.sender, []).append((entry.number, entry.payload))
        if bad:
            self.dropped += len(bad)
            self._log.warn("{count} entries of the inbox were no entries of a relay's: dropped", count=len(bad))
            self._drop(bad)
        for sender, entries in came.items():
            self._receive(sender, entries)

    def acknowledged(self, sender: str, number: int) -> list[bytes]:
        """The relay has acted on what a sender sent.

        :param number: up to which number.
        :return: the places of the entries.
        """
        waiting = self._waiting.pop(sender, [])
        done = [entry for entry in waiting if entry.number <= number]
        if len(done) < len(waiting):
            self._waiting[sender] = [entry for entry in waiting if entry.number > number]
        self._entries -= len(done)
        self._bytes -= sum(len(entry.payload) for entry in done)
        room, self._room = self._room, None
        if room is not None:
            # It waits again if that was not enough.
            room.callback(None)
        return [entry.place for entry in done]


def read_entry(place: bytes, fields: Any, relay_id: str) -> Entry | None:
    """Make an entry of what is in the stream; none of what is no other relay's."""
    if not isinstance(fields, list) or tuple(fields[::2]) != _FIELDS or len(fields) != 2 * len(_FIELDS):
        return None
    raw_sender, number, payload = fields[1::2]
    sender = raw_sender.decode("latin-1")
    if not RELAY_ID.fullmatch(sender) or not re.fullmatch(rb"[0-9]{1,16}", number):
        return None
    entry = Entry(place, sender, int(number), payload)
    return entry if 0 < entry.number < HIGHEST and entry.sender != relay_id else None
