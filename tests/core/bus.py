"""What is between the relays of a cluster: Redis as ``cluster.md``, *Links* uses it, made of plain lists.

What a relay asks of it takes its time and goes in order; what comes back likewise. A session that ends takes with it
all that was under way in both directions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import attrs

from makima_relay.core.directory import DirectoryEntry
from makima_relay.core.peers import Presence


class Hearing(Protocol):
    """A relay, as the bus calls it."""

    relay_id: str

    def hear(self, what: str, *args: Any) -> None:
        """Be told something that the relay has an input for."""

    def presence(self) -> Presence:
        """How it is."""


@attrs.define
class Letter:
    """An entry in an inbox.

    :ivar is_read: whether its relay has read it, in any session.
    :ivar is_under_way: whether it has been handed to its relay in the present session.
    """

    sender: str
    number: int
    payload: bytes
    is_read: bool = False
    is_under_way: bool = False


@attrs.define
class Session:
    """What is under way between one relay and Redis."""

    relay: Hearing
    asked: deque[Callable[[], None]] = attrs.Factory(deque)
    told: deque[tuple[str, tuple[Any, ...]]] = attrs.Factory(deque)


class Bus:
    """Everything that Redis has."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.clear()

    def clear(self) -> None:
        """Forget everything, as FLUSHALL does."""
        self.inboxes: dict[str, list[Letter]] = {}
        self.sent: dict[tuple[str, str], int] = {}
        self.acknowledged: dict[str, dict[str, int]] = {}
        self.directory: dict[str, DirectoryEntry] = {}

    # -------------------------------------------------------------------------------------------------- sessions

    def open(self, relay: Hearing) -> None:
        """Begin a session."""
        relay_id = relay.relay_id
        self.sessions[relay_id] = Session(relay)
        for letter in self.inboxes.get(relay_id, ()):
            letter.is_under_way = False
        relay.hear("cluster_ready", dict(self.acknowledged.get(relay_id, {})))
        listed = [task_id for task_id, entry in self.directory.items() if entry.origin == relay_id]
        self._tell(relay_id, "directory_listed", listed)
        for each in self.sessions.values():
            if each.relay is not relay:
                self._tell(relay_id, "peer_present", each.relay.presence())
        self.announce(relay_id)

    def close(self, relay_id: str) -> None:
        """End a session, with all that is under way."""
        self.sessions.pop(relay_id, None)

    def leave(self, relay_id: str) -> None:
        """A relay says good-bye."""
        for each in list(self.sessions):
            if each != relay_id:
                self._tell(each, "peer_left", relay_id)

    def ask(self, relay_id: str, what: str, *args: Any) -> None:
        """Have something done when it is its turn; without a session it is not."""
        session = self.sessions.get(relay_id)
        if session is not None:
            session.asked.append(lambda: getattr(self, what)(relay_id, *args))

    def _tell(self, relay_id: str, what: str, *args: Any) -> None:
        session = self.sessions.get(relay_id)
        if session is not None:
            session.told.append((what, args))

    # ---------------------------------------------------------------------------------------------- taking its time

    def go_on(self, relay_id: str) -> bool:
        """Do the next thing that a relay asked for, or hand it what comes next; false when there is none."""
        session = self.sessions.get(relay_id)
        if session is None:
            return False
        if session.asked:
            session.asked.popleft()()
            return True
        if not session.told:
            self._read(relay_id)
        if not session.told:
            return False
        what, args = session.told.popleft()
        session.relay.hear(what, *args)
        return True

    def _read(self, relay_id: str) -> None:
        """Read up to two entries, as they come."""
        unread = [each for each in self.inboxes.get(relay_id, ()) if not each.is_under_way][:2]
        for letter in unread:
            letter.is_read = letter.is_under_way = True
            self._tell(relay_id, "entries_received", letter.sender, [(letter.number, letter.payload)])

    def deliver_again(self, relay_id: str) -> None:
        """Hand a relay once more what it has read and not acknowledged."""
        for letter in self.inboxes.get(relay_id, ()):
            letter.is_under_way = False

    # ----------------------------------------------------------------------------------------------- what is done

    def announce(self, relay_id: str) -> None:
        """Tell all how a relay is."""
        presence = self.sessions[relay_id].relay.presence()
        for each in list(self.sessions):
            if each != relay_id:
                self._tell(each, "peer_present", presence)

    def send(self, relay_id: str, peer: str, number: int, payload: bytes) -> None:
        """See :meth:`makima_relay.ports.ClusterLink.send`; so the others."""
        if number > self.sent.get((relay_id, peer), 0):
            self.sent[relay_id, peer] = number
            self.inboxes.setdefault(peer, []).append(Letter(relay_id, number, payload))

    def acknowledge(self, relay_id: str, peer: str, number: int) -> None:
        letters = self.inboxes.get(relay_id, [])
        self.inboxes[relay_id] = [each for each in letters if each.sender != peer or each.number > number]
        self.acknowledged.setdefault(peer, {})[relay_id] = number
        self._tell(peer, "entries_acknowledged", relay_id, number)

    def take_back(self, relay_id: str, peer: str) -> None:
        letters = self.inboxes.get(peer, [])
        taken = [each.number for each in letters if each.sender == relay_id and not each.is_read]
        self.inboxes[peer] = [each for each in letters if each.sender != relay_id or each.is_read]
        if taken:
            self.sent[relay_id, peer] = min(taken) - 1
        self._tell(relay_id, "taken_back", peer, taken)

    def claim(self, relay_id: str, task_ids: Iterable[str], answer: Callable[..., None]) -> None:
        found = {task_id: self.directory[task_id] for task_id in task_ids if task_id in self.directory}
        for task_id in task_ids:
            self.directory.setdefault(task_id, DirectoryEntry(relay_id, relay_id))
        self._tell(relay_id, "answered", answer, found)

    def record(
        self, relay_id: str, task_id: str, attempt: int, origin: str, holder: str, instead_of: str | None
    ) -> None:
        entry = self.directory.get(task_id)
        if entry is None or entry.origin in (origin, instead_of):
            self.directory[task_id] = DirectoryEntry(origin, holder, attempt)

    def forget(self, relay_id: str, task_ids: Iterable[str]) -> None:
        for task_id in task_ids:
            entry = self.directory.get(task_id)
            if entry is not None and entry.origin == relay_id:
                del self.directory[task_id]
