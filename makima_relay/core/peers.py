"""The peers: the other relays of the cluster, as this one sees them (``cluster.md``).

A peer holds tasks as a daemon does: it has what the rules ask of a :class:`~makima_relay.core.fleet.Daemon`, and all
peers together what they ask of a :class:`~makima_relay.core.fleet.Fleet`. It gets entries instead of messages.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, ClassVar, Final

import msgspec

from makima_relay.core.effects import Effect
from makima_relay.core.entries import Inquiry, Offer, Relayed
from makima_relay.core.mailbox import Mailbox
from makima_relay.core.members import LONGEST_NAME
from makima_relay.core.snapshot import StoredPeer
from makima_relay.core.tasks import Task

#: Bytes of entries for peers that are kept in memory; above it no more are made than must be.
MOST_BYTES: Final = 32 << 20

#: Seconds that a peer has to say which tasks it has, before others may get what it might have.
_ANSWERS_WITHIN: Final = 15.0

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 53) - 1)]


class Presence(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a relay says of itself; the members are those of ``GET /cluster``."""

    relay_id: _Name
    agent_name: _Name
    version: Annotated[str, msgspec.Meta(max_length=64)]
    upstream_connected: bool
    connected_daemons: _Count
    free_slots: _Count
    busy_slots: _Count
    active_tasks: _Count
    pending_tasks: _Count
    foreign_tasks: _Count
    oldest_pending_seconds: Annotated[float, msgspec.Meta(ge=0)]


class Peer:
    """Another relay.

    :ivar box: what passes between it and this one.
    :ivar presence: what it last said of itself in this run; none before.
    :ivar seen_at: when that was, or when it got a fresh time to be seen, in monotonic seconds.
    :ivar is_there: whether it is present; it may also not have been seen yet.
    :ivar is_away: whether it was not seen for too long, or has taken leave.
    :ivar is_deserted: whether it has been away for so long that reports on its tasks go to this relay's own server.
    :ivar free: the slots that it may have for tasks of anybody's, as far as can be known from its last presence on.
    :ivar is_choosy: whether it has returned a task since it said how many slots are free: then none is.
    :ivar tasks: this relay's tasks that it has, or may have.
    :ivar asked_back: how many answers about entries that are taken back are still to come.
    :ivar inquiry: the number of the last entry that asked it which tasks it has; 0 before the first.
    :ivar awaited_until: until when its answer is waited for, in monotonic seconds; none when it has come.
    :ivar offered: those of its tasks that it was offered since it was asked.
    :ivar complain_at: from when on the journal may say again that what it sends cannot be read, in monotonic seconds.
    :ivar interrupted: the tasks, with their attempts, that it was told to stop since it came.
    """

    daemon_id: ClassVar[None] = None
    may_return: ClassVar[bool] = True
    #: It is heard as long as it is there: nothing waits in a socket.
    held: ClassVar[bool] = False

    def __init__(
        self, stored: StoredPeer, note: Callable[[Effect], None], unsettled: dict[Mailbox, None], now: float
    ) -> None:
        self.relay = stored.relay_id
        self.agent_name = stored.agent_name
        self.box = Mailbox(stored, note, unsettled)
        self.presence: Presence | None = None
        self.seen_at = now
        self.is_there = False
        self.is_away = False
        self.is_deserted = False
        self.free = 0
        self.is_choosy = False
        self.tasks: set[str] = set()
        self.asked_back = 0
        self.inquiry = 0
        self.awaited_until: float | None = None
        self.offered: set[str] = set()
        self.interrupted: set[tuple[str, int]] = set()
        self.complain_at = 0.0

    @property
    def hostname(self) -> str:
        """The name to show."""
        return self.agent_name

    def says(self, presence: Presence) -> None:
        """Note how it says that it is."""
        self.presence = presence
        self.agent_name = presence.agent_name
        self.free = presence.free_slots
        self.is_choosy = False

    @property
    def room(self) -> int:
        """The slots that it may have for further tasks of this relay's.

        Its presence may be older than the latest offers, or newer than the end of a task that has yet to come. So those
        that it has of this relay's are compared with all of others that it said it has.
        """
        if self.presence is None:
            return 0
        return min(self.free, self.presence.free_slots + self.presence.foreign_tasks - len(self.tasks))

    def ask(self, now: float) -> None:
        """Ask it which tasks it has."""
        self.offered.clear()
        self.inquiry = self.box.put(Inquiry())
        self.awaited_until = now + _ANSWERS_WITHIN

    def frees(self) -> None:
        """Note that one of the tasks that it has ends."""
        if not self.is_choosy:
            self.free += 1

    def turns_away(self) -> None:
        """Note that it has returned a task, so that it gets none before it says again that slots are free."""
        self.free = 0
        self.is_choosy = True

    def may_have(self, _task: Task, _now: float) -> bool:
        """See :meth:`makima_relay.core.fleet.Daemon.may_have`; of peers :meth:`Peers.next_free` sees to that."""
        return False

    def take_task(self, task: Task, message: bytes, _note: Callable[[Effect], None]) -> None:
        """Offer it a task; see :meth:`makima_relay.core.fleet.Daemon.take_task`."""
        self.box.put(Offer(task.task_id, task.attempts, task.name, task.traceparent, message))

    def take_command(self, task: Task, payload: bytes | None, _note: Callable[[Effect], None]) -> None:
        """Have it hand on a command; see :meth:`makima_relay.core.fleet.Daemon.take_command`."""
        self.box.put(Relayed(task.task_id, task.attempts, payload))


class Peers:
    """All peers that were ever heard of.

    :param relay_id: this relay's id; none without a cluster.
    :param stored: what an earlier run left.
    :param note: has something done.
    :ivar draw: draws a number from 0 up to, and without, 1.
    :ivar is_connected: whether Redis is there.
    :ivar session: how often it has come.
    :ivar are_welcome: whether tasks of theirs can be taken: not while the database cannot be written.
    :ivar held: the connections of daemons that are not read because too much waits for peers.
    """

    def __init__(self, relay_id: str | None, stored: Iterable[StoredPeer], note: Callable[[Effect], None]) -> None:
        self.relay_id = relay_id
        self.draw: Callable[[], float] = random.random
        self.is_connected = False
        self.session = 0
        self.are_welcome = True
        self.held: set[int] = set()
        self._note = note
        self._unsettled: dict[Mailbox, None] = {}
        self._peers = {each.relay_id: Peer(each, note, self._unsettled, 0.0) for each in stored}

    def __iter__(self) -> Iterator[Peer]:
        return iter(self._peers.values())

    @property
    def session_now(self) -> int:
        """The number of the session that there is; 0 without one."""
        return self.session if self.is_connected else 0

    def get(self, relay_id: str) -> Peer | None:
        """A peer by id."""
        return self._peers.get(relay_id)

    def known(self, relay_id: str, now: float, agent_name: str = "") -> Peer:
        """A peer by id, which may not have been heard of before."""
        peer = self._peers.get(relay_id)
        if peer is None:
            stored = StoredPeer(relay_id=relay_id, agent_name=agent_name or relay_id)
            peer = self._peers[relay_id] = Peer(stored, self._note, self._unsettled, now)
        return peer

    def is_deserted(self, relay_id: str) -> bool:
        """Whether a peer has been away for so long that its tasks are reported to this relay's own server."""
        peer = self._peers.get(relay_id)
        return peer is not None and peer.is_deserted

    def settle(self) -> None:
        """See :meth:`makima_relay.core.mailbox.Mailbox.settle`; whoever nothing is to be said to costs nothing."""
        while self._unsettled:
            self._unsettled.popitem()[0].settle()

    @property
    def size(self) -> int:
        """Bytes of what waits for all that may be back soon; nothing that grows waits for others."""
        return sum(peer.box.size for peer in self._peers.values() if not peer.is_deserted)

    @property
    def are_full(self) -> bool:
        """Whether too much waits for them."""
        return self.size > MOST_BYTES

    # ----------------------------------------------------------------------------------------- as a fleet has them

    def hold(self, peer: Peer, task_id: str) -> None:
        """Count a task as a peer's."""
        peer.tasks.add(task_id)

    def release(self, peer: Peer, task_id: str) -> None:
        """Count a task as a peer's no more."""
        peer.tasks.discard(task_id)
        peer.offered.discard(task_id)

    def dispatched(self, peer: Peer, task_id: str) -> None:
        """Count a task as just offered to a peer."""
        peer.free -= 1
        peer.offered.add(task_id)
        self.hold(peer, task_id)

    def next_free(self, task: Task, now: float) -> Peer | None:
        """The peer for the next task: the present one with the most free slots; of several like it one is drawn.

        Were it the first of them, all relays that have no slot at home would choose the same.

        :param task: one that was lost may have gone to a peer with its daemon: that has a while to say so.
        :return: none if no peer can take it.
        """
        if not self.is_connected or self.are_full or (task.tries and self._are_awaited(now)):
            return None
        most = max((peer.room for peer in self._peers.values() if peer.is_there), default=0)
        if most <= 0:
            return None
        best = [peer for peer in self._peers.values() if peer.is_there and peer.room == most]
        return best[int(self.draw() * len(best))]

    def _are_awaited(self, now: float) -> bool:
        """Whether one of those that are present has yet to say which tasks it has."""
        return any(peer.is_there and peer.awaited_until is not None and now < peer.awaited_until for peer in self)
