"""The fleet: the daemons, their slots and their health, and which of them gets the next task.

The least loaded is found with a heap of offers. A daemon's change makes a new offer; offers that no longer hold are
thrown away when they surface. So a message costs O(log n) at most, however many daemons there are.
"""

from __future__ import annotations

import hashlib
import heapq
import uuid
from collections.abc import Callable, Iterator
from typing import ClassVar, Final

from makima_relay.core.composer import Composer
from makima_relay.core.effects import Effect, SendToDaemon
from makima_relay.core.messages import Hello
from makima_relay.core.tasks import Task

#: ``protocol.md``, *Downstream* 2: a daemon's id is made from its machine's alone, the same at every relay.
_DAEMON_IDS: Final = uuid.UUID("6f1c3a52-6d0b-5b7e-9a45-1f0c7d9a2e11").bytes

#: Seconds that a daemon has, when it comes, to say which tasks it has before it is given again what it was lost with.
_SAYS_WITHIN: Final = 1.0


def daemon_id_of(machine_id: str) -> str:
    """The id that a machine has at every relay: a UUID of version 5.

    :param machine_id: 1-255 characters.
    """
    # As uuid.uuid5 does it, in a third of the time: a fleet comes back all at once. Names that reach here from JSON
    # have no lone surrogates, which could not be encoded.
    digest = bytearray(hashlib.sha1(_DAEMON_IDS + machine_id.encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    digits = digest.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


class Daemon:
    """One machine: its connection while it has one, and the tasks that it holds.

    :ivar connection: the number of its live connection, or none.
    :ivar capacity: how many tasks it takes at once.
    :ivar tasks: the ids of its dispatched, running and orphaned tasks.
    :ivar last_dispatch: the fleet's count when it last got a task; 0 for never.
    :ivar joined_at: when its live connection, or the last, was accepted, in monotonic seconds.
    :ivar last_seen: when a message or a pong last came, likewise.
    :ivar reconciled: whether this connection's first heartbeat with ``activeTasks`` has come.
    :ivar parting: older connections that take nothing more and are not gone yet.
    :ivar listed: that heartbeat's list, while it waits for those to be gone.
    :ivar interrupted: tasks of others that this connection was told to stop.
    :ivar refused: tasks of others whose reports from this connection are in the journal already.
    :ivar held: whether it was not read since it was last seen, so that its silence means nothing.
    :ivar key: the digest of the daemon key that this connection presented; none for the shared one.
    :ivar faults: how many invalid messages this connection sent.
    """

    #: It is at home, and what it was given it has until it is lost; a peer is told apart by these.
    relay: ClassVar[None] = None
    may_return: ClassVar[bool] = False

    __slots__ = (
        "address",
        "capacity",
        "composer",
        "connected_at",
        "connection",
        "daemon_id",
        "draining",
        "faults",
        "held",
        "hostname",
        "interrupted",
        "joined_at",
        "key",
        "last_dispatch",
        "last_seen",
        "listed",
        "machine_id",
        "offer",
        "parting",
        "reconciled",
        "refused",
        "tasks",
        "unhealthy",
    )

    def __init__(self, daemon_id: str, machine_id: str, hostname: str, *, draining: bool = False) -> None:
        self.daemon_id = daemon_id
        self.machine_id = machine_id
        self.hostname = hostname
        self.draining = draining
        self.connection: int | None = None
        self.composer: Composer | None = None
        self.capacity = 0
        self.tasks: set[str] = set()
        self.last_dispatch = 0
        self.joined_at = 0.0
        self.last_seen = 0.0
        self.connected_at = 0.0
        self.address = ""
        self.key: bytes | None = None
        self.unhealthy = False
        self.reconciled = False
        self.interrupted: set[str] = set()
        self.refused: set[str] = set()
        self.faults = 0
        self.held = False
        self.parting: set[int] = set()
        self.listed: frozenset[str] | None = None
        self.offer: tuple[int, int, int] | None = None

    @property
    def is_there(self) -> bool:
        """Whether it gets what it is sent."""
        return self.connection is not None

    def may_have(self, task: Task, now: float) -> bool:
        """Whether it was lost with a pending task, and is back, and may be about to say that it has that still."""
        was_lost = task.tries > 0 and task.daemon_id == self.daemon_id
        return was_lost and not self.reconciled and now < self.joined_at + _SAYS_WITHIN

    def take_task(self, _task: Task, message: bytes, note: Callable[[Effect], None]) -> None:
        """Send it a task.

        :param message: the ``spawnTask``.
        :param note: has something done.
        """
        if self.connection is not None:
            note(SendToDaemon(self.connection, message))

    def take_command(self, task: Task, payload: bytes | None, note: Callable[[Effect], None]) -> None:
        """Send it a command for a task that it has.

        :param payload: as it came; none for an ``interruptTask`` of the relay's own, in the daemon's spelling.
        :param note: has something done.
        """
        if self.connection is not None and self.composer is not None:
            spelled = self.composer.interrupt_task(task.task_id) if payload is None else payload
            note(SendToDaemon(self.connection, spelled))

    @property
    def has_free_slot(self) -> bool:
        """Whether it takes one more task."""
        return len(self.tasks) < self.capacity


class Fleet:
    """All daemons that are connected, hold tasks or are being drained.

    :param health_timeout: seconds of silence after which a daemon gets no new tasks.
    """

    def __init__(self, health_timeout: float) -> None:
        self._health_timeout = health_timeout
        self._daemons: dict[str, Daemon] = {}
        self._connected: dict[int, Daemon] = {}
        self._offers: list[tuple[int, int, int]] = []
        self._dispatches = 0

    def __len__(self) -> int:
        """How many are connected."""
        return len(self._connected)

    def connected(self) -> Iterator[Daemon]:
        """The connected ones, in the order in which they came."""
        return iter(self._connected.values())

    def get(self, daemon_id: str) -> Daemon | None:
        """A daemon by id, connected or not."""
        return self._daemons.get(daemon_id)

    def on(self, connection: int) -> Daemon | None:
        """The daemon that a connection belongs to, while it does."""
        return self._connected.get(connection)

    def enlist(self, daemon: Daemon) -> Daemon:
        """Know a daemon from now on."""
        self._daemons[daemon.daemon_id] = daemon
        return daemon

    def join(self, daemon: Daemon, connection: int, hello: Hello, composer: Composer, now: float) -> None:
        """Give a daemon its live connection; it had none."""
        daemon.connection = connection
        daemon.composer = composer
        daemon.hostname = hello.hostname
        daemon.capacity = hello.capacity
        daemon.joined_at = daemon.last_seen = now
        daemon.unhealthy = False
        daemon.held = False
        daemon.reconciled = False
        daemon.listed = None
        daemon.interrupted = set()
        daemon.refused = set()
        daemon.faults = 0
        self._connected[connection] = daemon
        self.reconsider(daemon)

    def part(self, daemon: Daemon) -> None:
        """Take a daemon's connection away."""
        if daemon.connection is not None:
            del self._connected[daemon.connection]
        daemon.connection = None
        daemon.offer = None
        self.forget_if_idle(daemon)

    def forget_if_idle(self, daemon: Daemon) -> None:
        """Drop what is known of a daemon that is gone for good."""
        if daemon.connection is None and not daemon.tasks and not daemon.draining:
            self._daemons.pop(daemon.daemon_id, None)

    def hold(self, daemon: Daemon, task_id: str) -> None:
        """Count a task as a daemon's; nothing happens if it is that already."""
        if task_id not in daemon.tasks:
            daemon.tasks.add(task_id)
            self.reconsider(daemon)

    def release(self, daemon: Daemon, task_id: str) -> None:
        """Count a task as a daemon's no more."""
        daemon.tasks.discard(task_id)
        self.reconsider(daemon)
        self.forget_if_idle(daemon)

    def dispatched(self, daemon: Daemon, task_id: str) -> None:
        """Count a task as just sent to a daemon, which moves it behind those that wait."""
        self._dispatches += 1
        daemon.last_dispatch = self._dispatches
        self.hold(daemon, task_id)

    def seen(self, daemon: Daemon, now: float) -> bool:
        """Note that a daemon is alive; true if it was thought unhealthy and may get tasks again."""
        daemon.last_seen = now
        daemon.held = False
        if not daemon.unhealthy:
            return False
        daemon.unhealthy = False
        self.reconsider(daemon)
        return True

    def healthy(self, daemon: Daemon, now: float) -> bool:
        """Whether a daemon was heard of lately enough (``protocol.md``, *A daemon is lost*)."""
        return daemon.held or now - daemon.last_seen <= self._health_timeout

    def reconsider(self, daemon: Daemon) -> None:
        """Offer a daemon for dispatch as it is now, if it can take a task."""
        if daemon.connection is None or daemon.draining or daemon.unhealthy or not daemon.has_free_slot:
            daemon.offer = None
            return
        offer = (len(daemon.tasks), daemon.last_dispatch, daemon.connection)
        if offer != daemon.offer:
            daemon.offer = offer
            self._push(offer)

    def _push(self, offer: tuple[int, int, int]) -> None:
        if len(self._offers) > 64 + 4 * len(self._connected):
            self._offers = [each.offer for each in self._connected.values() if each.offer is not None]
            heapq.heapify(self._offers)
        else:
            heapq.heappush(self._offers, offer)

    def least_loaded(self, now: float) -> Daemon | None:
        """The daemon for the next task: fewest active tasks, then longest since its last dispatch.

        :param now: monotonic seconds.
        :return: none if no daemon can take one.
        """
        while self._offers:
            offer = self._offers[0]
            daemon = self._connected.get(offer[2])
            if daemon is not None and daemon.offer == offer:
                if self.healthy(daemon, now):
                    return daemon
                daemon.unhealthy = True
                daemon.offer = None
            heapq.heappop(self._offers)
        return None

    def why_none(self, now: float) -> str:
        """Why no daemon can take a task (``http-api.md``, *Shapes*)."""
        if not self._connected:
            return "no daemon connected"
        if any(not each.draining and self.healthy(each, now) for each in self._connected.values()):
            return "no free slot"
        return "all daemons draining or unhealthy"
