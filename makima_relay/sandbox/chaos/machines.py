"""Which daemons are connected, and whether they were away for longer than the relay must wait for them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

import attrs

from makima_relay.sandbox.chaos.runs import Run

#: How much shorter an absence may seem here than to the relay, in seconds.
_TOLERANCE: Final = 0.25


@attrs.define(eq=False)
class Machine:
    """One daemon.

    :ivar relay: the place of the relay that it is, or was, connected to.
    :ivar connections: how many connections it has had.
    :ivar gone_at: when it lost its last one, or when the relay was ready after that.
    :ivar back_at: when it opened the one on which the relay has not answered yet: from then on it is back.
    :ivar overdue: whether it had been away for the grace when the relay ended.
    :ivar runs: its runs that are not settled, by number.
    """

    relay: int = 0
    is_connected: bool = False
    connections: int = 0
    gone_at: float = 0.0
    back_at: float | None = None
    overdue: bool = False
    runs: dict[int, Run] = attrs.field(factory=dict)


class Machines:
    """All daemons, by name.

    :param grace: how long they may be away without losing their tasks, in seconds.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace - _TOLERANCE
        self._machines: dict[str, Machine] = {}

    def __getitem__(self, name: str) -> Machine:
        return self._machines[name]

    def get(self, name: str) -> Machine | None:
        """One of them, once it has shown up."""
        return self._machines.get(name)

    def returned(self, name: str, now: float) -> None:
        """A daemon has opened a connection and presents itself."""
        self._machines.setdefault(name, Machine()).back_at = now

    def turned_away(self, name: str) -> None:
        """The connection that it had opened is gone, and was never answered."""
        self._machines.setdefault(name, Machine()).back_at = None

    def at(self, places: Collection[int]) -> Iterator[Machine]:
        """Those of some relays."""
        return (machine for machine in self._machines.values() if machine.relay in places)

    def connected(self, name: str, now: float, relay: int = 0) -> Machine:
        """A relay has accepted a daemon; if it was away too long, what it had may have been given away."""
        machine = self._machines.setdefault(name, Machine())
        machine.relay = relay
        machine.connections += 1
        if self.is_overdue(name, now):
            for run in machine.runs.values():
                if run.given_away_on is None:
                    run.given_away_on = machine.connections
        machine.is_connected = True
        machine.overdue = False
        machine.back_at = None
        return machine

    def disconnected(self, name: str, now: float) -> Machine:
        """A daemon's connection is gone."""
        machine = self._machines[name]
        machine.is_connected = False
        machine.gone_at = now
        return machine

    def is_overdue(self, name: str, now: float) -> bool:
        """Whether a daemon is away for as long as the grace."""
        machine = self._machines[name]
        until = now if machine.back_at is None else machine.back_at
        return not machine.is_connected and (machine.overdue or until - machine.gone_at >= self._grace)

    def relay_ended(self, now: float, relay: int = 0) -> None:
        """Nobody counts any more how long its daemons are away."""
        for name, machine in self._machines.items():
            if machine.relay == relay:
                machine.overdue = self.is_overdue(name, now)

    def relay_ready(self, now: float, relay: int = 0) -> None:
        """Every daemon of the relay has a fresh grace."""
        for machine in self.at((relay,)):
            machine.gone_at = max(machine.gone_at, now)
