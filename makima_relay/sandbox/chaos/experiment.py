"""Everything that takes part in the experiment, and its course."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.logger import globalLogPublisher

from makima_relay.clock import Clock
from makima_relay.endpoints import client_endpoint
from makima_relay.sandbox.chaos.director import Director, Stage
from makima_relay.sandbox.chaos.disk import Disk
from makima_relay.sandbox.chaos.errors import Errors
from makima_relay.sandbox.chaos.faults import Kind
from makima_relay.sandbox.chaos.figures import Figures, RelayFigures
from makima_relay.sandbox.chaos.gauges import Reading, slope
from makima_relay.sandbox.chaos.ledger import Ledger
from makima_relay.sandbox.chaos.options import ChaosOptions
from makima_relay.sandbox.chaos.redis import RedisProcess
from makima_relay.sandbox.chaos.schedule import Plan, schedule
from makima_relay.sandbox.chaos.screen import Moment, Screen
from makima_relay.sandbox.chaos.server import ChaosServer
from makima_relay.sandbox.chaos.site import GRACE, PEER_GRACE, Place, RelaySite, free_port
from makima_relay.sandbox.chaos.worker import HEARTBEAT_INTERVAL, Worker, WorkerOptions
from makima_relay.sandbox.working import without_settings

_SLOTS: Final = 4
#: Tasks last about so long, in seconds, the longest half as long as all of it at most.
_SHORTEST: Final = 1.0
_LONGEST: Final = 10.0
#: There are so many more tasks than slots, so that some wait.
_PRESSURE: Final = 1.25
#: A task may be at work twice for so long, in seconds: a heartbeat tells of it, and the interrupt has to arrive.
_OVERLAP_LIMIT: Final = HEARTBEAT_INTERVAL + 0.5
#: Likewise at two relays: those have to tell each other, which takes a presence.
_PEER_OVERLAP_LIMIT: Final = 5.0 + _OVERLAP_LIMIT
#: A relay that is seen no more is away after this, in seconds; one that has just said that it is there, as well.
_PRESENCE: Final = 15.0
#: By the others' clocks it may be away for so much longer than here, in seconds.
_TOLERANCE: Final = 0.5
#: After the last fault all must arrive within this, in seconds; with several relays, that try Redis once a minute.
_PATIENCE: Final = 60.0
_PEER_PATIENCE: Final = 150.0
_LAST_PROOF: Final = 0.5
_POLL_INTERVAL: Final = 0.1
_LINK_INTERVAL: Final = 0.5


class Experiment:
    """Everything that takes part.

    :param directory: where the relays work.
    :param disks: where the database of each of them is.
    """

    def __init__(self, reactor: Any, options: ChaosOptions, directory: Path, disks: Sequence[Disk]) -> None:
        self._reactor = reactor
        self._options = options
        self._clock = clock = Clock(reactor)
        self._key = secrets.token_urlsafe(16)
        self.ledger = Ledger(GRACE, options.relays, PEER_GRACE - _TOLERANCE)
        self._pace = options.rate / (options.daemons * _SLOTS)
        redis_port = None if options.relays == 1 else free_port()
        environment = without_settings(os.environ)
        self._redis = None if redis_port is None else RedisProcess(reactor, redis_port, directory, environment)
        self._sites = [self._site(number, directory, disk, redis_port) for number, disk in enumerate(disks)]
        self._workers = [self._worker(number) for number in range(options.daemons)]
        self._log = (directory / "chaos.log").open("w", encoding="utf-8", buffering=1)
        sites = [each.site for each in self._sites]
        stage = Stage(sites=sites, workers=self._workers, ledger=self.ledger, redis=self._redis)
        self._director = Director(reactor, clock, stage, self._note)
        self._watches: list[Deferred[None]] = []
        self._began = clock.monotonic()
        self._errors = Errors(self._note)
        globalLogPublisher.addObserver(self._errors)

    def _site(self, number: int, directory: Path, disk: Disk, redis_port: int | None) -> RelaySite:
        place = Place(
            name="" if redis_port is None else f"relay-{number + 1}",
            directory=directory,
            disk=disk,
            key=self._key,
            on_daemon_loss=self._options.on_daemon_loss,
            redis_port=redis_port,
        )
        return RelaySite(self._reactor, place, self._server(number))

    def _server(self, number: int) -> ChaosServer:
        options = self._options
        lengths = (_SHORTEST, min(_LONGEST, options.seconds / 2))
        shortest, longest = (max(2, round(self._pace * each)) for each in lengths)
        # The first has most tasks, the last fewest: so there is something to share.
        share = (options.relays - number) / sum(range(1, options.relays + 1))
        return ChaosServer(
            self._clock,
            self.ledger,
            most=round(options.daemons * _SLOTS * _PRESSURE * share),
            lengths=(shortest, longest),
            chance=random.Random(f"{options.seed} tasks" + (f" {number}" if number else "")),  # noqa: S311 - no secret
            relay=number,
        )

    def _worker(self, number: int) -> Worker:
        urls = [each.url for each in self._sites]
        relay = number % len(urls)
        name = f"daemon-{number:02}"
        options = WorkerOptions(url=urls[relay], key=self._key, name=name, slots=_SLOTS, pace=self._pace)
        endpoints = [client_endpoint(self._reactor, url, 5.0, None) for url in urls]
        return Worker(options, endpoints, self._clock, self.ledger, relay)

    @property
    def readings(self) -> Sequence[Reading]:
        """Memory and database of the first relay, over time."""
        return self._sites[0].gauges.readings

    @property
    def elapsed(self) -> float:
        """Seconds since the faults began."""
        return self._clock.monotonic() - self._began

    def _note(self, line: str) -> None:
        self._log.write(f"{self._clock.monotonic():.3f} ({self.elapsed:.3f} s) {line}\n")

    # ------------------------------------------------------------------------------------------------ its course

    async def play(self, screen: Screen) -> Figures:
        """Start everything, have it fail, and wait until all has arrived that will."""
        await self._start()
        self._began = self._clock.monotonic()
        self._director.begin(schedule(self._plan()))
        while self.elapsed < self._options.seconds and self._goes_on():
            await self._look(screen)
        for site in self._sites:
            site.server.stop()
        self._note("no more tasks")
        while not self._is_over() and self._goes_on():
            await self._look(screen)
        # What has arrived last is proven to have a little later.
        await deferLater(self._reactor, _LAST_PROOF)
        return await self._close()

    async def _start(self) -> None:
        if self._redis is not None:
            await self._redis.start()
        for number, site in enumerate(self._sites):
            await site.start()
            self.ledger.relay_ready(self._clock.monotonic(), number)
            if self._redis is not None:
                self._watches.append(Deferred.fromCoroutine(self._watch(number)))
        for worker in self._workers:
            worker.start()
        for site in self._sites:
            site.server.start()

    def _plan(self) -> Plan:
        options = self._options
        return Plan(
            seed=options.seed,
            seconds=options.seconds,
            daemons=options.daemons,
            grace=GRACE,
            kinds=options.kinds,
            every=options.every,
            relays=options.relays,
            patience=_PRESENCE + PEER_GRACE,
        )

    async def _watch(self, number: int) -> None:
        """Tell the books whenever a relay says that it reaches the others."""
        while True:
            await deferLater(self._reactor, _LINK_INTERVAL)
            if await self._sites[number].site.relay.is_linked():
                self.ledger.relay_linked(number, self._clock.monotonic())

    def _goes_on(self) -> bool:
        return not any(each.site.relay.figures.deaths for each in self._sites)

    def _is_over(self) -> bool:
        over = self._director.is_done and self.ledger.settled
        patience = _PATIENCE if self._redis is None else _PEER_PATIENCE
        return over or self.elapsed > self._options.seconds + patience

    async def _look(self, screen: Screen) -> None:
        await deferLater(self._reactor, _POLL_INTERVAL)
        self._director.check()
        for each in self._sites:
            each.gauges.read(self.elapsed)
        screen.show(
            Moment(
                elapsed=self.elapsed,
                seconds=self._options.seconds,
                sent=self.ledger.reports.sent,
                delivered=self.ledger.reports.delivered,
                tasks=self.ledger.tasks.completed,
                relays=[each.site.relay.pid is not None for each in self._sites],
                faults=", ".join(map(str, self._director.under_way)),
            )
        )

    async def _close(self) -> Figures:
        """Stop the relays, and close the books."""
        # Late on a busy machine, something may still be under way: a relay that starts cannot be stopped well.
        await self._director.finish()
        self._note("the relays are stopped" if self._redis else "the relay is stopped")
        relays = [each.site.relay for each in self._sites]
        for relay in relays:
            await relay.stop()
        for line in self.ledger.close(self._clock.monotonic()):
            self._note(line)
        for relay in relays:
            await relay.check_database()
            relay.close()
        return Figures(
            seed=self._options.seed,
            seconds=self.elapsed,
            overlap_limit=_OVERLAP_LIMIT if self._redis is None else _PEER_OVERLAP_LIMIT,
            faults={kind.value: self._director.played[kind] for kind in Kind if kind in self._options.kinds},
            reports=self.ledger.reports,
            tasks=self.ledger.tasks,
            relay=self._relay_figures(),
            relays=self._options.relays,
            errors=self._errors.count,
        )

    def _relay_figures(self) -> RelayFigures:
        """Those of all relays."""
        figures = self._sites[0].site.relay.figures
        figures.memory_slope = slope(self.readings)
        for each in self._sites[1:]:
            figures.add(each.site.relay.figures)
        return figures

    async def stop(self) -> None:
        """Leave nothing running, whatever happened."""
        self._director.stop()
        for watch in self._watches:
            watch.addErrback(lambda _: None).cancel()
        for site in self._sites:
            site.server.stop()
        await DeferredList([worker.stop() for worker in self._workers])
        await DeferredList([Deferred.fromCoroutine(site.stop()) for site in self._sites])
        if self._redis is not None:
            await self._redis.stop()
        globalLogPublisher.removeObserver(self._errors)
        self._log.close()
