"""Plays a schedule: has things fail, and mends them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import attrs
from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from makima_relay.clock import Clock
from makima_relay.sandbox.chaos.faults import DAEMONS, UPSTREAM, Fault, Kind, Planned
from makima_relay.sandbox.chaos.ledger import Ledger
from makima_relay.sandbox.chaos.proxy import Mode, Proxy
from makima_relay.sandbox.chaos.relay import RelayProcess
from makima_relay.sandbox.chaos.worker import Worker

#: How long the relay may take to find that it can write again, in seconds.
_RECOVERY: Final = 10.0
_POLL_INTERVAL: Final = 0.1
#: A relay that has started is left in peace for so long, in seconds, however late it is: else nothing would get on.
_RESPITE: Final = 1.0


@attrs.frozen(kw_only=True)
class Stage:
    """What can fail."""

    relay: RelayProcess
    proxy: Proxy
    workers: Sequence[Worker]
    ledger: Ledger


class Director:
    """Plays faults at their times.

    :param note: takes a line about each.
    :ivar played: how often each kind was.
    :ivar under_way: those of the moment.
    """

    def __init__(self, reactor: Any, clock: Clock, stage: Stage, note: Callable[[str], None]) -> None:
        self._reactor = reactor
        self._clock = clock
        self._stage = stage
        self._note = note
        self._upstream = DeferredLock()
        self._relay = DeferredLock()
        self._calls: list[IDelayedCall] = []
        self._plays: set[Deferred[None]] = set()
        self._failure: Failure | None = None
        self.played: Counter[Kind] = Counter()
        self._finishing = False
        self.under_way: list[Fault] = []

    def begin(self, planned: Iterable[Planned]) -> None:
        """Play a schedule that begins now."""
        self._calls = [self._reactor.callLater(each.at, self._start, each.fault) for each in planned]

    def stop(self) -> None:
        """Play no more; what is under way is left as it is."""
        for call in self._calls:
            if call.active():
                call.cancel()
        for play in list(self._plays):
            play.cancel()

    @property
    def is_done(self) -> bool:
        """Whether everything was played and is mended."""
        return not self._plays and not any(call.active() for call in self._calls)

    async def finish(self) -> None:
        """Begin nothing more, and wait until nothing is done to the relay."""
        self._finishing = True
        await self._relay.acquire()
        self._relay.release()

    def check(self) -> None:
        """Raise what went wrong, if anything."""
        if self._failure is not None:
            self._failure.raiseException()

    def _start(self, fault: Fault) -> None:
        play = Deferred.fromCoroutine(self._play(fault))
        self._plays.add(play)
        play.addErrback(self._failed).addBoth(lambda _: self._plays.discard(play))

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._failure = self._failure or failure

    async def _play(self, fault: Fault) -> None:
        if fault.kind in DAEMONS:
            await self._shown(fault, self._part)
        elif fault.kind in UPSTREAM:
            await self._upstream.run(self._in_turn, fault, self._cut_off)
        else:
            await self._relay.run(self._in_turn, fault, self._full_disk if fault.kind is Kind.DISK else self._restart)

    def _in_turn(self, fault: Fault, play: Callable[[Fault], Any]) -> Deferred[None]:
        return Deferred.fromCoroutine(self._shown(fault, play))

    async def _shown(self, fault: Fault, play: Callable[[Fault], Any]) -> None:
        if self._finishing:
            return
        self.played[fault.kind] += 1
        self.under_way.append(fault)
        self._note(f"begins: {fault}")
        try:
            await play(fault)
        finally:
            self.under_way.remove(fault)
        self._note(f"is over: {fault}")

    # ------------------------------------------------------------------------------------------------- the faults

    async def _part(self, fault: Fault) -> None:
        """Daemons go away and come back."""
        for place in fault.daemons:
            self._stage.workers[place].go_away(fault.seconds)
        await deferLater(self._reactor, fault.seconds)

    async def _cut_off(self, fault: Fault) -> None:
        """The way to the server fails."""
        proxy = self._stage.proxy
        match fault.kind:
            case Kind.CUT:
                proxy.cut()
            case Kind.REFUSE:
                await proxy.refuse()
                await deferLater(self._reactor, fault.seconds)
                await proxy.accept()
            case _:
                proxy.behave(Mode.STALL if fault.kind is Kind.STALL else Mode.SWALLOW)
                await deferLater(self._reactor, fault.seconds)
                proxy.behave(Mode.FORWARD)

    async def _restart(self, fault: Fault) -> None:
        """The relay ends, and starts again."""
        relay, ledger = self._stage.relay, self._stage.ledger
        if fault.kind is Kind.KILL:
            ledger.relay_killed(self._clock.monotonic())
            await relay.kill()
        else:
            await relay.stop()
        ledger.relay_ended(self._clock.monotonic())
        if fault.kind is Kind.KILL:
            await relay.check_database()
        await deferLater(self._reactor, fault.seconds)
        await relay.start()
        ledger.relay_ready(self._clock.monotonic())
        await deferLater(self._reactor, _RESPITE)

    async def _full_disk(self, fault: Fault) -> None:
        """The relay cannot write, and after that can again; that it may notice a little later."""
        relay, ledger = self._stage.relay, self._stage.ledger
        relay.fill_disk()
        ledger.relay_suspended()
        await deferLater(self._reactor, fault.seconds)
        relay.empty_disk()
        deadline = self._clock.monotonic() + _RECOVERY
        while not await relay.can_write() and self._clock.monotonic() < deadline:
            await deferLater(self._reactor, _POLL_INTERVAL)
        ledger.relay_suspended()
