"""The server of the experiment: makes tasks as fast as they are done, and counts what arrives."""

from __future__ import annotations

import random
from typing import Final

from twisted.internet.interfaces import IDelayedCall

from makima_relay.clock import Clock
from makima_relay.sandbox.chaos.ledger import Ledger
from makima_relay.sandbox.chaos.messages import Order, encode_order, read_arrival
from makima_relay.sandbox.peers import CLOSE_REPLACED, PeerProtocol

_PROOF: Final = b"read up to "
_TICK: Final = 0.1
#: A task that the relay could not take is sent again after so long, in seconds.
_SEND_AGAIN: Final = 0.5


class ChaosServer:
    """One stand-in server; the user of its peers' connections.

    :param ledger: told everything.
    :param most: so many unfinished tasks there are at most.
    :param lengths: the fewest and the most reports of a task.
    :param chance: draws the lengths.
    :param relay: the place of its relay.
    :ivar refusals: how often it turned somebody away.
    """

    def __init__(
        self,
        clock: Clock,
        ledger: Ledger,
        *,
        most: int,
        lengths: tuple[int, int],
        chance: random.Random,
        relay: int = 0,
    ) -> None:
        self._clock = clock
        self._ledger = ledger
        self._most = most
        self._lengths = lengths
        self._chance = chance
        self._relay = relay
        self._peer: PeerProtocol | None = None
        self._orders: dict[str, Order] = {}
        self._sendings: dict[int, str] = {}
        self._last_sending = 0
        self._last_task = 0
        self._ticking: IDelayedCall | None = None
        self.refusals = 0

    @property
    def is_connected(self) -> bool:
        """Whether a relay is there."""
        return self._peer is not None

    # ------------------------------------------------------------------------------------------------- its tasks

    def start(self) -> None:
        """Make tasks from now on."""
        self._ticking = self._clock.reactor.callLater(_TICK, self.start)
        if self._peer is not None:
            for _ in range(self._most - self._ledger.unfinished_of(self._relay)):
                self._spawn()

    def stop(self) -> None:
        """Make no more tasks."""
        if self._ticking is not None and self._ticking.active():
            self._ticking.cancel()

    def _spawn(self) -> None:
        self._last_task += 1
        order = Order(f"t{self._relay or ''}-{self._last_task:07}", self._length())
        self._orders[order.task_id] = order
        self._ledger.task_spawned(order.task_id, self._relay)
        self._send(order)

    def _length(self) -> int:
        """Many short tasks, and some that last longer than a daemon may be away."""
        shortest, longest = self._lengths
        return round(self._chance.triangular(shortest, longest, shortest))

    def _send(self, order: Order) -> None:
        """Send a task; it is sent again on the next connection if nothing shows that the relay has it."""
        assert self._peer is not None, "somebody is there"
        self._last_sending += 1
        self._sendings[self._last_sending] = order.task_id
        self._peer.send_text(encode_order(order))
        self._peer.sendPing(_PROOF + str(self._last_sending).encode())

    # ----------------------------------------------------------------------------------------- what the peers say

    def joined(self, peer: PeerProtocol) -> None:
        """A relay has authenticated."""
        older, self._peer = self._peer, peer
        if older is not None:
            older.close(CLOSE_REPLACED, "the same machine connected again")
        self._sendings.clear()
        for order in list(self._orders.values()):
            self._send(order)

    def received(self, peer: PeerProtocol, payload: bytes) -> None:
        """A relay sent a message."""
        arrival = read_arrival(payload)
        if arrival.code == "unavailable" and arrival.task_id is not None:
            self._refused(peer, arrival.task_id)
            return
        for task_id in arrival.active_tasks:
            self._orders.pop(task_id, None)
        if arrival.task_id is not None:
            self._orders.pop(arrival.task_id, None)
            self._note(arrival.task_id, arrival.run_id, arrival.n, arrival.success)

    def _refused(self, peer: PeerProtocol, task_id: str) -> None:
        """The relay does not take a task now: no pong speaks of it, and it is sent again."""
        self._ledger.task_refused()
        self._sendings = {sending: each for sending, each in self._sendings.items() if each != task_id}
        self._clock.reactor.callLater(_SEND_AGAIN, self._send_again, peer, task_id)

    def _send_again(self, peer: PeerProtocol, task_id: str) -> None:
        order = self._orders.get(task_id)
        if peer is self._peer and order is not None:
            self._send(order)

    def _note(self, task_id: str, run_id: int | None, number: int, success: bool | None) -> None:
        if run_id is not None:
            self._ledger.delivered(run_id, task_id, number, self._relay)
        if success:
            self._ledger.task_completed(task_id, run_id or 0, self._relay)
        elif success is not None:
            self._ledger.task_failed(task_id, self._clock.monotonic())

    def pong_received(self, peer: PeerProtocol, payload: bytes) -> None:
        """A relay answered a ping: what was sent before it has been read."""
        digits = payload.removeprefix(_PROOF)
        if peer is not self._peer or digits == payload:
            return
        now = self._clock.monotonic()
        for sending in [each for each in self._sendings if each <= int(digits)]:
            task_id = self._sendings.pop(sending)
            self._orders.pop(task_id, None)
            self._ledger.task_read(task_id, now)

    def left(self, peer: PeerProtocol, reason: str) -> None:
        """The connection of a relay is gone."""
        if peer is self._peer:
            self._peer = None

    def refused(self, reason: str) -> None:
        """A connection was turned away."""
        self.refusals += 1
