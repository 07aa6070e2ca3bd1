"""The Redis of the chaos experiment: a real one that is stopped, killed, emptied and started again."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from twisted.internet import reactor, threads
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.trial.unittest import TestCase

from makima_relay.sandbox.chaos.redis import RedisProcess
from makima_relay.sandbox.chaos.site import free_port
from tests.cluster.redis_server import MISSING


class RedisProcessTests(TestCase):
    """Its life."""

    timeout = 180
    skip = MISSING

    def setUp(self) -> Deferred[None]:
        """Start it."""
        directory = Path(self.mktemp())
        directory.mkdir()
        self.port = free_port()
        self.redis = RedisProcess(reactor, self.port, directory.absolute(), dict(os.environ))
        self.addCleanup(lambda: ensureDeferred(self.redis.stop()))
        return ensureDeferred(self.redis.start())

    def ask(self, command: str, patience: float = 10.0) -> Deferred[str]:
        """What it answers, in the words of its protocol."""
        return threads.deferToThread(self._ask, command, patience)

    def _ask(self, command: str, patience: float) -> str:
        with socket.create_connection(("127.0.0.1", self.port), patience) as connection:
            connection.sendall(f"{command}\r\n".encode())
            return connection.recv(100).decode()

    async def test_it_comes_back_with_its_data_unless_that_is_lost(self) -> None:
        """Also where it was killed the moment after."""
        await self.ask("SET key value")
        for loses, answer in ((False, "$5\r\nvalue\r\n"), (True, "$-1\r\n")):
            await self.redis.kill()
            if loses:
                self.redis.lose_data()
            await self.redis.start()
            self.assertEqual(await self.ask("GET key"), answer)

    async def test_it_can_be_emptied(self) -> None:
        """While it runs."""
        await self.ask("SET key value")
        await self.redis.flush()
        self.assertEqual(await self.ask("DBSIZE"), ":0\r\n")

    async def test_it_stands_still_until_it_goes_on(self) -> None:
        """It takes connections all the same, as a stopped process does."""
        self.redis.freeze()
        failure: Any = None
        try:
            await self.ask("PING", 0.2)
        except TimeoutError as error:
            failure = error
        self.assertIsNotNone(failure)
        self.redis.thaw()
        self.assertEqual(await self.ask("PING"), "+PONG\r\n")
