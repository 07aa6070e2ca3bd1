"""A stand-in Makima server: hands tasks to relays and daemons, and keeps what they report.

A peer whose ``maxConcurrentTasks`` is 0 is a relay and takes any number of tasks; any other is a daemon and takes as
many as it has slots. Everything is in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import attrs
import msgspec

from makima_relay.core.composer import COMPOSERS, Composer
from makima_relay.core.journal import printable
from makima_relay.core.members import InvalidMessageError
from makima_relay.core.messages import Hello
from makima_relay.sandbox.peers import CLOSE_REPLACED, PeerProtocol
from makima_relay.sandbox.tasklist import SandboxTask, Stage, TaskList

_PROOF: Final = b"read up to "


@attrs.define(eq=False)
class Peer:
    """A machine that is connected.

    :ivar unread: tasks that were sent on this connection and may not have been read yet, by the number of the
        sending.
    """

    link: PeerProtocol
    hello: Hello
    unread: dict[int, SandboxTask] = attrs.field(factory=dict)

    @property
    def machine_id(self) -> str:
        """Who it is."""
        return self.hello.machine_id

    @property
    def is_relay(self) -> bool:
        """Whether it passes tasks on."""
        return self.hello.capacity == 0

    @property
    def composer(self) -> Composer:
        """Spells what it is sent."""
        return COMPOSERS[self.hello.case]

    def read_up_to(self, number: int) -> None:
        """Note that it has read all up to and with a sending."""
        self.unread = {each: task for each, task in self.unread.items() if each > number}


class SandboxServer:
    """One stand-in server; the user of its peers' connections.

    :param say: takes lines for people.
    :ivar tasks: all that it was given.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._peers: dict[str, Peer] = {}
        self._sendings = 0
        self.tasks = TaskList(self._moved)

    @property
    def peers(self) -> Sequence[Peer]:
        """Who is connected."""
        return list(self._peers.values())

    def load(self, peer: Peer) -> int:
        """How many unfinished tasks a peer has."""
        return self.tasks.load(peer.machine_id)

    # -------------------------------------------------------------------------------------------- what people want

    def spawn(self, name: str, command: str) -> SandboxTask:
        """Make a task, and send it when there is somebody to take it."""
        task = self.tasks.add(name, command)
        self._dispatch()
        return task

    def interrupt(self, task: SandboxTask) -> None:
        """Ask for the end of a task."""
        self.tasks.interrupted(task)
        peer = self._peers.get(task.holder or "")
        if peer is not None:
            peer.link.send_text(peer.composer.interrupt_task(task.task_id))

    def _dispatch(self) -> None:
        while (task := self.tasks.oldest_waiting()) is not None:
            peer = self._least_loaded()
            if peer is None:
                return
            self._send(peer, task)

    def _least_loaded(self) -> Peer | None:
        free = [each for each in self._peers.values() if each.is_relay or self.load(each) < each.hello.capacity]
        return min(free, key=self.load, default=None)

    def _send(self, peer: Peer, task: SandboxTask) -> None:
        self.tasks.sent(task, peer.machine_id)
        self._sendings += 1
        peer.unread[self._sendings] = task
        spelling = peer.hello.case.spell("spawn", "task")
        message = {"type": spelling, "taskId": task.task_id, "taskName": task.name, "plan": task.command}
        peer.link.send_text(msgspec.json.encode(message))
        peer.link.sendPing(_PROOF + str(self._sendings).encode())

    # ----------------------------------------------------------------------------------------- what the peers say

    def joined(self, link: PeerProtocol) -> None:
        """A peer has authenticated: repeat what it may have missed."""
        hello = link.hello
        assert hello is not None, "it has authenticated"
        older = self._peers.get(hello.machine_id)
        if older is not None:
            self._forget(older)
            older.link.close(CLOSE_REPLACED, "the same machine connected again")
        peer = self._peers[hello.machine_id] = Peer(link, hello)
        kind = "a relay" if peer.is_relay else f"a daemon, slots: {hello.capacity}"
        self._say(f"connected: {printable(hello.hostname)}, {kind}")
        for task in self.tasks.held_by(hello.machine_id):
            if task.interrupted:
                link.send_text(peer.composer.interrupt_task(task.task_id))
        self._dispatch()

    def received(self, link: PeerProtocol, payload: bytes) -> None:
        """A peer sent a message."""
        hello = link.hello
        assert hello is not None, "it has authenticated"
        try:
            self.tasks.reported(payload, hello.machine_id)
        except InvalidMessageError as error:
            self._say(f"invalid message from {printable(hello.hostname)}: {error}")
            link.send_text(COMPOSERS[hello.case].error("invalid_message", str(error)))

    def _moved(self, task: SandboxTask) -> None:
        if task.stage is Stage.SENT:
            return
        outcome = "" if task.error is None else f": {printable(task.error)}"
        self._say(f"{task.stage}: {printable(task.name)}{outcome}")
        if task.finished:
            self._dispatch()

    def pong_received(self, link: PeerProtocol, payload: bytes) -> None:
        """A peer answered a ping: what was sent before it has been read."""
        peer = self._peer_of(link)
        digits = payload.removeprefix(_PROOF)
        if peer is not None and digits != payload and digits.isdigit():
            peer.read_up_to(int(digits))

    def left(self, link: PeerProtocol, reason: str) -> None:
        """The connection of a peer is gone."""
        peer = self._peer_of(link)
        if peer is not None:
            self._say(f"disconnected: {printable(peer.hello.hostname)}: {reason}")
            self._forget(peer)

    def _peer_of(self, link: PeerProtocol) -> Peer | None:
        """The peer whose connection it is; none when it has another by now."""
        peer = None if link.hello is None else self._peers.get(link.hello.machine_id)
        return peer if peer is not None and peer.link is link else None

    def _forget(self, peer: Peer) -> None:
        del self._peers[peer.machine_id]
        self.tasks.not_delivered(peer.unread.values())

    def refused(self, reason: str) -> None:
        """A connection was turned away."""
        self._say(f"turned away: {printable(reason)}")
