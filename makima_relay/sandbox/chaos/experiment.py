"""Everything that takes part in the experiment, and its course."""

from __future__ import annotations

import os
import random
import secrets
import socket
import sys
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import DeferredList, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater
from twisted.logger import globalLogPublisher

from makima_relay.admission import Admission
from makima_relay.clock import Clock
from makima_relay.endpoints import client_endpoint
from makima_relay.sandbox import SandboxError
from makima_relay.sandbox.chaos.director import Director, Stage
from makima_relay.sandbox.chaos.disk import Disk
from makima_relay.sandbox.chaos.errors import Errors
from makima_relay.sandbox.chaos.faults import Kind
from makima_relay.sandbox.chaos.figures import Figures
from makima_relay.sandbox.chaos.gauges import Gauges, slope
from makima_relay.sandbox.chaos.ledger import Ledger
from makima_relay.sandbox.chaos.options import ChaosOptions
from makima_relay.sandbox.chaos.proxy import Proxy
from makima_relay.sandbox.chaos.relay import RelayProcess
from makima_relay.sandbox.chaos.schedule import Plan, schedule
from makima_relay.sandbox.chaos.screen import Moment, Screen
from makima_relay.sandbox.chaos.server import ChaosServer
from makima_relay.sandbox.chaos.worker import HEARTBEAT_INTERVAL, Worker, WorkerOptions
from makima_relay.sandbox.peers import PeerFactory
from makima_relay.sandbox.working import without_settings

#: How long a daemon may be away without losing its tasks, in seconds.
GRACE: Final = 3.0
_SLOTS: Final = 4
#: Tasks last about so long, in seconds, the longest half as long as all of it at most.
_SHORTEST: Final = 1.0
_LONGEST: Final = 10.0
#: There are so many more tasks than slots, so that some wait.
_PRESSURE: Final = 1.25
#: A task may be at work twice for so long, in seconds: a heartbeat tells of it, and the interrupt has to arrive.
_OVERLAP_LIMIT: Final = HEARTBEAT_INTERVAL + 0.5
#: After the last fault all must arrive within this, in seconds.
_PATIENCE: Final = 60.0
_LAST_PROOF: Final = 0.5
_POLL_INTERVAL: Final = 0.1
#: Ports that the system does not give to outgoing connections by itself: those could take the relay's while it is away.
_PORTS: Final = range(20_000, 32_000)


class Experiment:
    """Everything that takes part.

    :param directory: where the relay works.
    :param disk: where its database is.
    """

    def __init__(self, reactor: Any, options: ChaosOptions, directory: Path, disk: Disk) -> None:
        self._reactor = reactor
        self._options = options
        self._directory = directory
        self._clock = clock = Clock(reactor)
        self._key = secrets.token_urlsafe(16)
        self._relay_port, proxy_port = _free_port(), _free_port()
        self._proxy_port = proxy_port
        self.ledger = ledger = Ledger(GRACE)
        pace = options.rate / (options.daemons * _SLOTS)
        lengths = (_SHORTEST, min(_LONGEST, options.seconds / 2))
        shortest, longest = (max(2, round(pace * each)) for each in lengths)
        self._server = ChaosServer(
            clock,
            ledger,
            most=round(options.daemons * _SLOTS * _PRESSURE),
            lengths=(shortest, longest),
            chance=random.Random(f"{options.seed} tasks"),  # noqa: S311 - no secret
        )
        self._peers = PeerFactory(self._server, Admission(self._key), reactor)
        self._server_port: IListeningPort = reactor.listenTCP(0, self._peers, interface="127.0.0.1")
        self._proxy = Proxy(reactor, self._server_port.getHost().port)
        environment = {**without_settings(os.environ), "MAKIMA_API_KEY": self._key, "PYTHONUNBUFFERED": "1"}
        self._relay = RelayProcess(
            reactor,
            self._relay_command(),
            environment,
            directory,
            disk,
            f"http://127.0.0.1:{self._relay_port}",
        )
        self._workers = [self._worker(number, pace) for number in range(options.daemons)]
        self._log = (directory / "chaos.log").open("w", encoding="utf-8", buffering=1)
        stage = Stage(relay=self._relay, proxy=self._proxy, workers=self._workers, ledger=ledger)
        self._director = Director(reactor, clock, stage, self._note)
        self.gauges = Gauges(self._relay)
        self._began = clock.monotonic()
        self._errors = Errors(self._note)
        globalLogPublisher.addObserver(self._errors)

    def _relay_command(self) -> list[str]:
        twistd = Path(sys.executable).with_name("twistd")
        if not twistd.exists():
            raise SandboxError(f"{twistd} is missing: install makima-relay into the environment of {sys.executable}")
        settings = {
            "listen": f"tcp:{self._relay_port}:interface=127.0.0.1",
            "server-url": f"ws://127.0.0.1:{self._proxy_port}",
            "database": "database/relay.sqlite3",
            "agent-name": "chaos",
            "daemon-grace": GRACE,
            "on-daemon-loss": self._options.on_daemon_loss,
            "max-task-attempts": 1_000,
            "heartbeat-interval": 1,
            "auth-timeout": 3,
            "ping-interval": 2,
            "ping-timeout": 2,
            "daemon-ping-interval": 5,
            "daemon-ping-timeout": 5,
            "reconnect-initial-delay": 0.2,
            "reconnect-max-delay": 1,
            "max-reconnect-attempts": 0,
            "task-retention": "2m",
        }
        options = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        return [sys.executable, str(twistd), "--nodaemon", "--pidfile=", "makima-relay", *options]

    def _worker(self, number: int, pace: float) -> Worker:
        url = f"ws://127.0.0.1:{self._relay_port}/ws/daemon"
        options = WorkerOptions(url=url, key=self._key, name=f"daemon-{number:02}", slots=_SLOTS, pace=pace)
        return Worker(options, client_endpoint(self._reactor, url, 5.0, None), self._clock, self.ledger)

    @property
    def elapsed(self) -> float:
        """Seconds since the faults began."""
        return self._clock.monotonic() - self._began

    def _note(self, line: str) -> None:
        self._log.write(f"{self._clock.monotonic():.3f} ({self.elapsed:.3f} s) {line}\n")

    # ------------------------------------------------------------------------------------------------ its course

    async def play(self, screen: Screen) -> Figures:
        """Start everything, have it fail, and wait until all has arrived that will."""
        options = self._options
        await self._proxy.listen(self._proxy_port)
        await self._relay.start()
        self.ledger.relay_ready(self._clock.monotonic())
        for worker in self._workers:
            worker.start()
        self._server.start()
        self._began = self._clock.monotonic()
        plan = Plan(
            seed=options.seed,
            seconds=options.seconds,
            daemons=options.daemons,
            grace=GRACE,
            kinds=options.kinds,
            every=options.every,
        )
        self._director.begin(schedule(plan))
        while self.elapsed < options.seconds and self._goes_on():
            await self._look(screen)
        self._server.stop()
        self._note("no more tasks")
        while not self._is_over() and self._goes_on():
            await self._look(screen)
        self._relay.figures.memory_slope = slope(self.gauges.readings)
        # What has arrived last is proven to have a little later.
        await deferLater(self._reactor, _LAST_PROOF)
        return await self._close()

    def _goes_on(self) -> bool:
        return not self._relay.figures.deaths

    def _is_over(self) -> bool:
        over = self._director.is_done and self.ledger.settled
        return over or self.elapsed > self._options.seconds + _PATIENCE

    async def _look(self, screen: Screen) -> None:
        await deferLater(self._reactor, _POLL_INTERVAL)
        self._director.check()
        self.gauges.read(self.elapsed)
        screen.show(
            Moment(
                elapsed=self.elapsed,
                seconds=self._options.seconds,
                sent=self.ledger.reports.sent,
                delivered=self.ledger.reports.delivered,
                tasks=self.ledger.tasks.completed,
                relay=self._relay.pid is not None,
                faults=", ".join(map(str, self._director.under_way)),
            )
        )

    async def _close(self) -> Figures:
        """Stop the relay, and close the books."""
        # Late on a busy machine, something may still be under way: a relay that starts cannot be stopped well.
        await self._director.finish()
        self._note("the relay is stopped")
        await self._relay.stop()
        for line in self.ledger.close(self._clock.monotonic()):
            self._note(line)
        await self._relay.check_database()
        self._relay.close()
        return Figures(
            seed=self._options.seed,
            seconds=self.elapsed,
            overlap_limit=_OVERLAP_LIMIT,
            faults={kind.value: self._director.played[kind] for kind in Kind if kind in self._options.kinds},
            reports=self.ledger.reports,
            tasks=self.ledger.tasks,
            relay=self._relay.figures,
            errors=self._errors.count,
        )

    async def stop(self) -> None:
        """Leave nothing running, whatever happened."""
        self._director.stop()
        self._server.stop()
        await DeferredList([worker.stop() for worker in self._workers])
        await self._relay.kill()
        await self._proxy.refuse()
        await maybeDeferred(self._server_port.stopListening)
        for link in list(self._peers.open):
            link.drop()
        await self._peers.all_closed()
        globalLogPublisher.removeObserver(self._errors)
        self._log.close()


def _free_port() -> int:
    """Find a port on loopback that nobody listens on."""
    for number in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", number))
            except OSError:
                continue
            return number
    raise SandboxError("no port is free")
