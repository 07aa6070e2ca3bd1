"""The few interfaces that the engine needs of the world around it, declared by the one who needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred

from makima_relay.core.directory import DirectoryEntry
from makima_relay.core.effects import Saved
from makima_relay.core.tasks import Task


class StoreUnavailableError(Exception):
    """A commit failed for a cause that can pass: the disk is full, the file is locked or cannot be written."""


class ClusterAwayError(Exception):
    """What other relays have cannot be told now: Redis is away, or does not answer in time."""


class Store(Protocol):
    """Where the relay's memory is kept."""

    def commit(self, effects: Sequence[Saved]) -> Deferred[None]:
        """Save all of these or none, in their order.

        The answer fails with :class:`StoreUnavailableError` when trying again may help; with anything else the state
        on disk cannot be trusted.
        """

    def recall(self, task_ids: Sequence[str]) -> Deferred[list[Task]]:
        """Find those of these tasks that are stored."""

    def reports(self, after: int, up_to: int, size: int) -> Deferred[tuple[list[tuple[int, bytes]], int]]:
        """Read kept reports back, oldest first.

        :param after: the number that they are above.
        :param up_to: the highest number that they may have.
        :param size: stop when there are so many bytes of them.
        :return: (number, payload) of each, and the number up to which none was left out.
        """


class Link(Protocol):
    """A connection to a peer.

    None of its methods may call the engine before it returns: the engine is in the middle of an ordered list then.
    """

    def pause(self) -> None:
        """Stop reading; the peer is held back by TCP."""

    def resume(self) -> None:
        """Read again."""


class DaemonLink(Link, Protocol):
    """A connection to a daemon."""

    def send(self, payloads: Sequence[bytes]) -> None:
        """Send text messages, each payload as one."""

    def close(self, code: int, reason: str) -> None:
        """Close it, properly if the peer takes part.

        It may report itself as parting while it does so: whoever has it closed counts it as that already.
        """


class UpstreamLink(Link, Protocol):
    """A connection to the server that it has authenticated."""

    def send(self, payload: bytes, number: int | None) -> None:
        """Send one text message.

        :param number: its place in the outbox, if the engine wants to be told when the server has it.
        """

    def send_reports(self, payloads: Sequence[bytes], number: int) -> None:
        """Send text messages, of which the engine wants to be told when the server has them.

        :param number: the place in the outbox of the last.
        """


class ClusterLink(Protocol):
    """The way to the other relays (``cluster.md``, *Links*).

    It tells the engine ``cluster_ready``, ``cluster_lost``, ``peer_present``, ``peer_left``, ``entries_received``,
    ``entries_acknowledged``, ``taken_back`` and ``directory_listed``; none of these while one of its own methods runs.
    Before ``cluster_ready`` and after ``cluster_lost`` whatever it is asked to send or write is dropped: after the next
    ``cluster_ready`` the engine asks again.
    """

    def send(self, peer: str, number: int, payload: bytes) -> None:
        """Put an entry into a peer's inbox. One that cannot be put there ends the connection: none is left out."""

    def acknowledge(self, peer: str, number: int) -> None:
        """Take a peer's entries up to and with a number out of the own inbox, and tell the peer the number."""

    def take_back(self, peer: str) -> None:
        """Take out of a peer's inbox, all at once, the entries from here that it has not read.

        The answer is ``taken_back(peer, numbers)``; without a connection there is none.
        """

    def claim(self, task_ids: Sequence[str]) -> Deferred[Mapping[str, DirectoryEntry]]:
        """Find the directory's entries of tasks; of each that has none one is made, with this relay as all it names.

        :return: those that were there before. Never fails: while Redis is away or too slow nothing is found.
        """

    def record(self, task_id: str, attempt: int, origin: str, holder: str, instead_of: str | None) -> None:
        """Write an entry into the directory, if there is none, or one with this origin or the other.

        :param instead_of: the other.
        """

    def forget(self, task_ids: Sequence[str]) -> None:
        """Drop entries of the directory, as far as they name this relay as the origin."""

    def announce(self) -> None:
        """Tell the peers at once how this relay is."""
