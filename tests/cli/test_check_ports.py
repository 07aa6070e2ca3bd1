"""Where a relay could listen, as ``makima-relay check`` tries it on the real network."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from treq.testing import StringStubbingResource, StubTreq
from twisted.internet import reactor
from twisted.internet.defer import fail
from twisted.internet.error import ConnectionLost
from twisted.trial.unittest import SynchronousTestCase, TestCase

from makima_relay.cli.asking import Surroundings
from makima_relay.cli.check_ports import check_listening, check_waking
from makima_relay.cli.findings import Verdict
from makima_relay.settings import Settings
from tests.processes.certificates import make_certificate


class _NoRelay:
    """What listens there does not speak HTTP."""

    def request(self, *_: Any, **__: Any) -> Any:
        """Fail."""
        return fail(ConnectionLost())


def _some_relay() -> StubTreq:
    """What listens there is a relay."""
    return StubTreq(StringStubbingResource(lambda *_: (200, {}, b'{"agentName": "edge-1", "version": "0.1.0"}')))


class ListeningTests(TestCase):
    """Each address is tried, and left."""

    async def look(
        self, text: str, answers: Callable[[], Any] = _NoRelay, *, runs: bool = False
    ) -> list[tuple[Verdict, str]]:
        """What is found of an endpoint."""
        around = Surroundings(http=lambda _reactor, _place: answers())
        found = await check_listening(reactor, around, text, runs=runs)
        return [(each.verdict, f"{each.text} {each.remedy}") for each in found]

    async def verdicts(self, text: str) -> list[Verdict]:
        """How an endpoint is."""
        return [verdict for verdict, _ in await self.look(text)]

    async def test_a_free_address_is_left_free(self) -> None:
        """It can be tried again; what others could read is warned of."""
        for _ in range(2):
            self.assertEqual(await self.verdicts("tcp:0:interface=127.0.0.1"), [Verdict.OK])
        self.assertEqual(await self.verdicts("tcp:0"), [Verdict.OK, Verdict.WARN])

    async def test_a_socket_in_the_file_system_is_not_left_behind(self) -> None:
        """Nor its lock."""
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        self.assertEqual(await self.verdicts(f"unix:{directory}/relay.sock"), [Verdict.OK])
        self.assertEqual(list(Path(directory).iterdir()), [])

    async def test_an_address_of_another_program_is_said(self) -> None:
        """With how to find that program."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            found = await self.look(f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1")
        self.assertEqual([verdict for verdict, _ in found], [Verdict.FAIL])
        self.assertIn("ss -ltnp", found[0][1])

    async def test_a_directory_that_is_not_there_is_said_as_the_system_says_it(self) -> None:
        """Nothing of how Python or Twisted put it."""
        ((verdict, said),) = await self.look("unix:/nowhere/relay.sock")
        self.assertEqual((verdict, said), (Verdict.FAIL, "No such file or directory None"))

    async def test_a_relay_with_another_database_is_in_the_way(self) -> None:
        """That of these settings is not."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            text = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
            ((own, _),) = await self.look(text, _some_relay, runs=True)
            ((other, said),) = await self.look(text, _some_relay)
        self.assertEqual((own, other), (Verdict.OK, Verdict.FAIL))
        self.assertIn("another database listens there: edge-1 0.1.0", said)

    async def test_what_cannot_be_listened_on_is_said(self) -> None:
        """An address of another machine, a description that is none; systemd's cannot be tried."""
        self.assertEqual(await self.verdicts("tcp:0:interface=192.0.2.1"), [Verdict.FAIL])
        self.assertEqual(await self.verdicts("nonsense"), [Verdict.FAIL])
        self.assertEqual(await self.verdicts("ssl:0:privateKey=/nowhere"), [Verdict.FAIL])
        self.assertEqual(await self.verdicts("systemd:domain=INET:name=x"), [Verdict.WARN])

    async def test_a_certificate_that_ends_soon_is_warned_of(self) -> None:
        """And a private key that others can read."""
        directory = Path(self.mktemp())
        directory.mkdir()
        certificate, key = make_certificate(directory, "localhost")
        text = f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={certificate}"
        for mode, words in ((0o644, "others can read"), (0o600, "is good for 0 days")):
            key.chmod(mode)
            (verdict, said), (port, _) = await self.look(text)
            self.assertEqual((verdict, port), (Verdict.WARN, Verdict.OK))
            self.assertIn(words, said)


class WakingTests(SynchronousTestCase):
    """Whether a relay that hibernates would be started again."""

    def look(self, after: float | None, *listen: str) -> list[Verdict]:
        """How it is with this setting and these endpoints."""
        settings = Settings(server_url="ws://h", api_key="k", hibernate_after=after, listen=listen)
        return [each.verdict for each in check_waking(settings)]

    def test_it_takes_a_socket_of_systemds(self) -> None:
        """Other endpoints besides are warned of; without hibernation there is nothing to say."""
        kept, other = "systemd:domain=INET:name=makima-relay", "tcp:8787"
        self.assertEqual(self.look(None, other), [])
        self.assertEqual(self.look(60.0, kept), [])
        self.assertEqual(self.look(60.0, kept, other), [Verdict.WARN])
        self.assertEqual(self.look(60.0, other), [Verdict.FAIL])
