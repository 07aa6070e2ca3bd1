"""The Redis of the experiment: a real ``redis-server`` that is stopped, killed, emptied and started again."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol

from makima_relay.sandbox.chaos.relay import START_TIMEOUT, ProgramLife, overdue
from makima_relay.sandbox.redis import READY, on_port, redis_server

_PATIENCE: Final = 10.0


class _Question(Protocol):
    """One command; its answer is not looked at."""

    def __init__(self) -> None:
        self.answered: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """It was done."""
        if not self.answered.called:
            self.answered.callback(None)


class RedisProcess:
    """Starts Redis and ends it, as often as wanted.

    :param port: where it listens, on loopback.
    :param directory: where its data and its log are.
    :raises SandboxError: when there is none on this machine.
    """

    def __init__(self, reactor: Any, port: int, directory: Path, environment: Mapping[str, str]) -> None:
        self._reactor = reactor
        self._port = port
        self._data = directory / "redis"
        self._command = on_port(redis_server("--relays"), port, self._data)
        self._environment = environment
        self._log = (directory / "redis.log").open("ab", buffering=0)
        self._process: ProgramLife | None = None

    async def start(self) -> None:
        """Start it, with what its directory has.

        :raises SandboxError: when that cannot be.
        """
        self._data.mkdir(exist_ok=True)
        process = self._process = ProgramLife("redis", re.compile(READY), self._log, lambda _: None)
        process.spawn(self._reactor, self._data, self._command, self._environment)
        await process.ready.addTimeout(START_TIMEOUT, self._reactor, overdue)

    async def kill(self) -> None:
        """Have it end at once."""
        process, self._process = self._process, None
        if process is not None:
            process.signal(signal.SIGKILL)
            await process.when_ended()

    def lose_data(self) -> None:
        """Remove what it kept, while it does not run."""
        shutil.rmtree(self._data)

    def freeze(self) -> None:
        """Have it stand still."""
        if self._process is not None:
            self._process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on."""
        if self._process is not None:
            self._process.signal(signal.SIGCONT)

    async def flush(self) -> None:
        """Empty it."""
        endpoint = TCP4ClientEndpoint(self._reactor, "127.0.0.1", self._port)
        factory: Any = Factory.forProtocol(_Question)
        factory.noisy = False
        question: Any = await endpoint.connect(factory)
        question.transport.write(b"FLUSHALL\r\n")
        await question.answered.addTimeout(_PATIENCE, self._reactor)
        question.transport.abortConnection()

    async def stop(self) -> None:
        """Leave nothing running."""
        await self.kill()
        self._log.close()
