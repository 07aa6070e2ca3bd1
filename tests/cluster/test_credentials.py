"""As whom a relay comes to Redis, and whether that is the right Redis."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher

from makima_relay.cli.check_redis import check_redis
from makima_relay.cli.findings import Verdict
from makima_relay.clock import Clock
from makima_relay.cluster.dialling import redis_dial, redis_trust
from makima_relay.cluster.key_share import KeyShare
from makima_relay.cluster.overview import Overview
from makima_relay.cluster.summaries import Summaries
from makima_relay.core.keys import digest_of
from makima_relay.endpoints import StartError
from makima_relay.settings import RedisURL, load
from makima_relay.store.filters import Filter
from tests.cluster.case import Member, RedisTestCase, reactor, until
from tests.cluster.redis_server import REDIS_SERVER
from tests.cluster.test_key_share import KeyRing
from tests.cluster.test_overview import Shown, make_task
from tests.processes.certificates import make_certificate


class CredentialTests(RedisTestCase):
    """As whom the relay comes."""

    options = ("--requirepass", "hunt@er2")

    def setUp(self) -> None:
        """Listen to the log."""
        super().setUp()
        self.reasons: list[str] = []
        self.everything: list[str] = []

        def observe(event: Any) -> None:
            self.everything.append(repr(event))
            if "reason" in event:
                self.reasons.append(str(event["reason"]))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

    def url(self, credentials: str) -> str:
        """The URL with user and password."""
        return f"unix://{credentials}@{self.redis.path}"

    async def test_check_tells_whether_redis_takes_the_relay(self) -> None:
        """In a line each, without what it presents."""
        for password, verdict, words in (
            (":hunt%40er2", Verdict.OK, "takes the relay's user"),
            (":wrong", Verdict.FAIL, "it refuses the credentials"),
        ):
            given = {"MAKIMA_SERVER_URL": "ws://s", "MAKIMA_API_KEY": "k", "MAKIMA_RELAY_REDIS": self.url(password)}
            settings = load({}, given)
            assert settings.redis is not None
            finding = await check_redis(reactor, settings, settings.redis)
            self.assertEqual(finding.verdict, verdict)
            self.assertIn(words, finding.text)
            self.assertNotIn("hunt", finding.text)
            self.assertNotIn("wrong", finding.text)

    async def test_the_right_password_is_taken(self) -> None:
        """And the database that is named."""
        member = self.member("a", self.url(":hunt%40er2") + "?db=3")
        member.link.start()
        await until(lambda: member.recorder.only("ready"))
        self.url_of_asking = self.url(":hunt%40er2")
        self.assertEqual(await self.ask("DBSIZE"), 0)
        await self.ask("SELECT", 3)
        self.assertGreaterEqual(await self.ask("DBSIZE"), 3)

    async def test_wrong_credentials_are_said_once_and_tried_again(self) -> None:
        """Without showing them; until they are right."""
        member = self.member("a", self.url("somebody:wrong-one"))
        member.link.start()
        await until(lambda: self.reasons)
        self.assertIn("it refuses the credentials: WRONGPASS", self.reasons[0])
        self.assertNotIn("wrong-one", "".join(self.everything))
        member.link.redial(self.dial(self.url(":hunt%40er2")))
        await until(lambda: member.recorder.only("ready"))
        self.assertEqual((len(self.reasons), member.recorder.only("lost")), (1, []))

    async def test_missing_credentials_are_said(self) -> None:
        """Redis wants some."""
        member = self.member("a")
        member.link.start()
        await until(lambda: self.reasons)
        self.assertIn("it refuses the credentials: NOAUTH", self.reasons[0])

    async def test_a_user_that_may_too_little_is_said(self) -> None:
        """With what it may not, and where to read what it must be allowed."""
        self.url_of_asking = self.url(":hunt%40er2")
        await self.ask("ACL", "SETUSER", "relay", "on", ">pass", "~other:*", "&*", "+@all")
        member = self.member("a", self.url("relay:pass"))
        member.link.start()
        await until(lambda: self.reasons)
        self.assertIn("its user is not allowed what the relay needs, see docs/cluster.md: NOPERM", self.reasons[0])

    async def test_a_user_that_is_held_to_the_cluster_is_enough(self) -> None:
        """The line of the documentation; nothing outside of the cluster's keys and channels can be touched."""
        page = Path(__file__).parents[2] / "docs/cluster.md"
        found = re.search(r"^ACL SETUSER .*$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert found is not None
        line = found[0].replace("{NAME}", "{test}").replace("PASSWORD", "pass")
        self.url_of_asking = self.url(":hunt%40er2")
        await self.ask(*line.split())
        a, b = self.member("a", self.url("makima:pass")), self.member("b", self.url("makima:pass"))
        for member in (a, b):
            member.link.start()
        await until(lambda: a.recorder.only("present") and b.recorder.only("present"))
        a.link.send("b", 1, b"x")
        await until(lambda: b.recorder.only("entry"))
        b.link.acknowledge("a", 1)
        await until(lambda: a.recorder.only("acknowledged"))
        a.link.take_back("b")
        await until(lambda: a.recorder.only("taken back"))
        a.link.record("t", 1, "a", "b", None)
        self.assertEqual(set(await b.link.claim(["t"])), {"t"})
        a.link.forget(["t"])
        await a.link.claim(["u"])
        self.assertEqual(await b.link.claim(["t"]), {})
        await self.show_and_share(b)
        await a.link.leave()
        await until(lambda: b.recorder.only("left"))
        self.assertEqual(a.recorder.only("lost") + b.recorder.only("lost"), [])
        await self.ask("AUTH", "makima", "pass")
        for words in (
            ("GET", "other"),
            ("PUBLISH", "other", "x"),
            ("KEYS", "*"),
            ("FLUSHALL",),
            ("CONFIG", "GET", "*"),
        ):
            error = await self.assertFailure(Deferred.fromCoroutine(self.ask(*words)), Exception)
            self.assertIn("NOPERM", str(error))

    async def show_and_share(self, member: Member) -> None:
        """Have a member write summaries, read them, and share daemon keys."""
        session = member.link.session
        assert session is not None
        clock = Clock(reactor)
        summaries = Summaries(Shown([make_task("t1", 1.0)], ["d1"]), self.names, "b", clock)
        summaries.begin(session)
        self.addCleanup(summaries.end)
        summaries.daemon_changed("gone")
        overview = Overview(lambda: session, self.names, clock)
        await until(lambda: summaries._round is None and not summaries._is_writing)
        self.assertEqual(len((await overview.tasks(["b"], Filter(), 9, 0))[0]), 1)
        self.assertEqual(len((await overview.tasks(["b"], Filter(text="t"), 9, 0))[0]), 1)
        self.assertEqual(len(await overview.daemons(["b"])), 1)
        ring = KeyRing()
        ring.member = member
        ring.relay.key_made("build", digest_of("one"), 1.0)
        ring.relay.machines_merged("build", ["m1"], 1.0)
        share = KeyShare(ring, self.names, reactor)
        share.begin(session)
        await until(lambda: share._merging.called)
        ring.relay.keys_revoked("build", 2.0)
        share.share("build")
        await until(lambda: any(not name.keys for _, name in member.recorder.only("keys")))


class EncryptedTests(RedisTestCase):
    """``rediss://`` is verified."""

    def setUp(self) -> None:
        """Have a Redis with a certificate for this machine's address."""
        directory = Path(self.mktemp())
        directory.mkdir()
        if REDIS_SERVER is None:
            return
        certificate, key = make_certificate(directory, "127.0.0.1")
        self.certificate = certificate.absolute()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        files = ("--tls-cert-file", str(self.certificate), "--tls-key-file", str(key.absolute()))
        self.options = ("--tls-port", str(self.port), *files, "--tls-auth-clients", "no")
        super().setUp()

    def encrypted(self, authorities: Path | None, host: str = "127.0.0.1") -> Any:
        """A member that comes by TLS."""
        url = RedisURL(host=host, port=self.port, encrypted=True)
        member = self.member("a")
        member.link.dial = redis_dial(reactor, url, redis_trust(url, authorities))
        member.link.start()
        return member

    async def test_a_server_that_the_file_vouches_for_is_trusted(self) -> None:
        """``--redis-ca`` takes the place of the system's store."""
        member = self.encrypted(self.certificate)
        await until(lambda: member.recorder.only("ready"))

    async def test_a_server_that_nobody_vouches_for_is_not(self) -> None:
        """The reason is said; nothing is tried in clear."""
        reasons: list[str] = []
        observe = lambda event: reasons.append(str(event["reason"])) if "reason" in event else None  # noqa: E731
        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        member = self.encrypted(None)
        await until(lambda: reasons)
        self.assertIn("TLS: the server's certificate is not trusted", reasons[0])
        self.assertEqual(member.told, [])

    def test_a_file_that_holds_no_certificate_stops_the_start(self) -> None:
        """Like that of the server."""
        empty = Path(self.mktemp())
        empty.touch()
        url = RedisURL(host="h", encrypted=True)
        said = str(self.assertRaises(StartError, redis_trust, url, empty))
        self.assertTrue(said.startswith("--redis-ca: "), said)
        said = str(self.assertRaises(StartError, redis_trust, RedisURL(host="x" * 70 + ".y", encrypted=True), None))
        self.assertTrue(said.startswith("--redis: "), said)
        self.assertIsNone(redis_trust(RedisURL(host="h"), empty))
