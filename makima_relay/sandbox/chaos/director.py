"""Plays a schedule: has things fail, and mends them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final

import attrs
from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from makima_relay.clock import Clock
from makima_relay.sandbox.chaos.faults import DAEMONS, LINK, REDIS, UPSTREAM, Fault, Kind, Planned
from makima_relay.sandbox.chaos.ledger import Ledger
from makima_relay.sandbox.chaos.proxy import Mode, Proxy
from makima_relay.sandbox.chaos.redis import RedisProcess
from makima_relay.sandbox.chaos.relay import RelayProcess
from makima_relay.sandbox.chaos.worker import Worker

#: How long the relay may take to find that it can write again, in seconds.
_RECOVERY: Final = 10.0
_POLL_INTERVAL: Final = 0.1
#: A relay that has started is left in peace for so long, in seconds, however late it is: else nothing would get on.
_RESPITE: Final = 1.0


@attrs.frozen(kw_only=True, eq=False)
class Site:
    """A relay with what is around it.

    :ivar proxy: the way to its server.
    :ivar link: the way to Redis, where there are several relays.
    :ivar upstream: held while that way fails.
    :ivar busy: held while something is done to the relay.
    """

    relay: RelayProcess
    proxy: Proxy
    link: Proxy | None = None
    upstream: DeferredLock = attrs.field(factory=DeferredLock)
    busy: DeferredLock = attrs.field(factory=DeferredLock)


@attrs.frozen(kw_only=True)
class Stage:
    """What can fail.

    :ivar redis: where there are several relays.
    """

    sites: Sequence[Site]
    workers: Sequence[Worker]
    ledger: Ledger
    redis: RedisProcess | None = None

    @property
    def all_places(self) -> range:
        """Those of all relays."""
        return range(len(self.sites))


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
        self._redis = DeferredLock()
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
        for site in self._stage.sites:
            await site.busy.acquire()
            site.busy.release()

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
        site = self._stage.sites[fault.relay]
        if fault.kind in DAEMONS:
            await self._shown(fault, self._part)
        elif fault.kind in UPSTREAM:
            await site.upstream.run(self._in_turn, fault, self._cut_off)
        elif fault.kind in REDIS:
            await self._redis.run(self._in_turn, fault, self._unlink if fault.kind in LINK else self._upset_redis)
        else:
            await site.busy.run(self._in_turn, fault, self._full_disk if fault.kind is Kind.DISK else self._restart)

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
        where = (fault.relay,) if fault.kind is Kind.MOVE else ()
        for place in fault.daemons:
            self._stage.workers[place].go_away(fault.seconds, *where)
        await deferLater(self._reactor, fault.seconds)

    async def _cut_off(self, fault: Fault) -> None:
        """The way to the server fails."""
        await self._spoil(self._stage.sites[fault.relay].proxy, fault)

    async def _unlink(self, fault: Fault) -> None:
        """A relay's way to Redis fails."""
        link = self._stage.sites[fault.relay].link
        assert link is not None, "there are several relays"
        self._isolated((fault.relay,), alone=True)
        await self._spoil(link, fault)
        self._mended((fault.relay,))

    async def _upset_redis(self, fault: Fault) -> None:
        """Redis itself fails, for all."""
        redis, places = self._stage.redis, self._stage.all_places
        assert redis is not None, "there are several relays"
        self._isolated(places, alone=False)
        match fault.kind:
            case Kind.REDIS_FLUSH:
                await redis.flush()
            case Kind.REDIS_STOP:
                redis.freeze()
                await deferLater(self._reactor, fault.seconds)
                redis.thaw()
            case _:
                await redis.kill()
                if fault.kind is Kind.REDIS_LOSS:
                    redis.lose_data()
                await deferLater(self._reactor, fault.seconds)
                await redis.start()
        self._mended(places)

    def _isolated(self, places: Collection[int], *, alone: bool, says_so: bool = False) -> None:
        if self._stage.redis is not None:
            self._stage.ledger.relays_cut_off(places, self._clock.monotonic(), alone=alone, says_so=says_so)

    def _mended(self, places: Collection[int]) -> None:
        if self._stage.redis is not None:
            self._stage.ledger.relays_mended(places, self._clock.monotonic())

    async def _spoil(self, proxy: Proxy, fault: Fault) -> None:
        """A proxy misbehaves."""
        match fault.kind:
            case Kind.CUT:
                proxy.cut()
            case Kind.REFUSE | Kind.REDIS_CUT:
                await proxy.refuse()
                await deferLater(self._reactor, fault.seconds)
                await proxy.accept()
            case _:
                proxy.behave(Mode.STALL if fault.kind is Kind.STALL else Mode.SWALLOW)
                await deferLater(self._reactor, fault.seconds)
                proxy.behave(Mode.FORWARD)

    async def _restart(self, fault: Fault) -> None:
        """A relay ends, and starts again."""
        relay, ledger, place = self._stage.sites[fault.relay].relay, self._stage.ledger, fault.relay
        self._isolated((place,), alone=True, says_so=fault.kind is Kind.TERM)
        if fault.kind is Kind.KILL:
            ledger.relay_killed(self._clock.monotonic(), place)
            await relay.kill()
        else:
            await relay.stop()
        ledger.relay_ended(self._clock.monotonic(), place)
        if fault.kind is Kind.KILL:
            await relay.check_database()
        await deferLater(self._reactor, fault.seconds)
        await relay.start()
        ledger.relay_ready(self._clock.monotonic(), place)
        self._mended((place,))
        await deferLater(self._reactor, _RESPITE)

    async def _full_disk(self, fault: Fault) -> None:
        """A relay cannot write, and after that can again; that it may notice a little later."""
        relay, ledger = self._stage.sites[fault.relay].relay, self._stage.ledger
        relay.fill_disk()
        ledger.relay_suspended(fault.relay)
        await deferLater(self._reactor, fault.seconds)
        relay.empty_disk()
        deadline = self._clock.monotonic() + _RECOVERY
        while not await relay.can_write() and self._clock.monotonic() < deadline:
            await deferLater(self._reactor, _POLL_INTERVAL)
        ledger.relay_suspended(fault.relay)
