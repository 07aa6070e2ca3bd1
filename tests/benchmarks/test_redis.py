"""The Redis of the benchmarks, and what is counted of it."""

from __future__ import annotations

import asyncio
import socket
from unittest import SkipTest

try:
    import uvloop
except ImportError:
    raise SkipTest("needs what the benchmarks need") from None

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import BenchmarkError
from benchmarks.redis import Counts, Redis, missing, read_info, running_redis
from benchmarks.runner import run_once

assert uvloop


class InfoTests(SynchronousTestCase):
    """What Redis says of itself."""

    def test_what_it_says_is_found_by_name(self) -> None:
        """Headings are not."""
        self.assertEqual(read_info(b"# Stats\r\na:1\r\nb:calls=2,c=3\r\n\r\n"), {"a": "1", "b": "calls=2,c=3"})

    def test_what_was_done_meanwhile_is_the_difference(self) -> None:
        """Of each count."""
        self.assertEqual(Counts(5, 7, 9, 3.0).since(Counts(1, 2, 3, 1.0)), Counts(4, 5, 6, 2.0))


class RedisTests(SynchronousTestCase):
    """A real one."""

    skip = missing()

    def test_what_relays_ask_for_is_counted_with_all_that_it_does(self) -> None:
        """A script counts once as asked for, and with each of its commands besides."""

        async def work() -> Counts:
            async with running_redis() as redis:
                before = redis.counts()
                with socket.socket(socket.AF_UNIX) as asking:
                    asking.connect(redis.url.removeprefix("unix://"))
                    asking.sendall(b"SCRIPT LOAD \"return redis.call('GET', 'x')\"\r\n")
                    digest = asking.recv(100).split()[1]
                    asking.sendall(b"EVALSHA %b 0\r\n" % digest)
                    asking.recv(100)
                return redis.counts().since(before)

        counts = run_once(work)
        self.assertEqual(counts.asked, 1)
        # Both looks are one more.
        self.assertEqual(counts.commands, 4)
        self.assertGreater(counts.size, 0)

    def test_it_is_gone_afterwards(self) -> None:
        """And nothing of it is left."""

        async def work() -> Redis:
            async with running_redis() as redis:
                await asyncio.sleep(0)
            return redis

        self.assertRaises(BenchmarkError, run_once(work).counts)
