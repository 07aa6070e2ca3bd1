"""A Redis that cannot be used: what is said about it, once, and when it is tried again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionAborted
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock as ManualReactor
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from makima_relay.cluster.connection import TIMEOUT, Dial
from makima_relay.cluster.membership import Membership
from makima_relay.cluster.names import Names
from makima_relay.connector_options import Backoff
from makima_relay.settings.redis_url import read_redis_url
from tests.cluster.case import Recorder
from tests.core.builders import presence
from tests.fakes import clock_on, elapse

HELLO = b"*4\r\n$7\r\nversion\r\n$%d\r\n%b\r\n$4\r\nrole\r\n$%d\r\n%b\r\n"


class Transport(StringTransport):
    """A transport in memory whose end is told."""

    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self._protocol = protocol
        self.is_aborted = False

    def abortConnection(self) -> None:
        """Note it."""
        self.is_aborted = True


@implementer(IStreamClientEndpoint)
class Endpoint:
    """Leads to what a test has there.

    :param answer: what comes at once; none for a refusal.
    """

    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer
        self.attempts = 0
        self.transports: list[Transport] = []

    def connect(self, protocolFactory: Factory) -> Deferred[Any]:
        """Connect, or not."""
        self.attempts += 1
        if self.answer is None:
            return fail(Refused())
        protocol: Any = protocolFactory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        transport = Transport(protocol)
        self.transports.append(transport)
        protocol.makeConnection(transport)
        if self.answer:
            reactor_turn.append(lambda: protocol.dataReceived(self.answer))
        return succeed(protocol)


#: What comes when the connection is made, and was answered.
reactor_turn: list[Callable[[], object]] = []


class LogTestCase(SynchronousTestCase):
    """Reads what is logged."""

    def setUp(self) -> None:
        """Listen."""
        self.lines: list[str] = []
        observer = lambda event: self.lines.append(str(event.get("reason", "")))  # noqa: E731
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        reactor_turn.clear()


class TroubleTests(LogTestCase):
    """In memory, with a clock that is moved by hand."""

    def start(self, answer: bytes | None, url: str = "redis://h") -> Endpoint:
        """Start a member."""
        self.reactor = ManualReactor()
        endpoint = Endpoint(answer)
        self.recorder = Recorder()
        self.membership = Membership(
            self.recorder,
            lambda: presence("a"),
            names=Names("test"),
            relay_id="a",
            dial=Dial(read_redis_url(url), endpoint),
            clock=clock_on(self.reactor),
            backoff=Backoff(1.0, 60.0, lambda: 0.0),
        )
        self.membership.start()
        for come in reactor_turn:
            come()
        return endpoint

    def said(self) -> list[str]:
        """Why Redis cannot be used, as it was logged."""
        return [line for line in self.lines if line]

    def test_it_is_tried_again_after_longer_and_longer_waits(self) -> None:
        """1, 2, 4 … 60 seconds; the same reason is given once, and nobody is told of what never was."""
        endpoint = self.start(None)
        for attempts, wait in enumerate((1, 2, 4, 8, 16, 32, 60, 60), 1):
            elapse(self.reactor, wait - 0.5)
            self.assertEqual(endpoint.attempts, attempts)
            elapse(self.reactor, 0.5)
            self.assertEqual(endpoint.attempts, attempts + 1)
        self.assertEqual(self.said(), ["it cannot be reached: Connection was refused by other side."])
        self.assertEqual(self.recorder.told, [])
        self.successResultOf(self.membership.stop())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_another_way_is_gone_at_once(self) -> None:
        """When credentials were changed nobody waits for the next attempt; later waits begin anew."""
        endpoint = self.start(None)
        elapse(self.reactor, 40)
        other = Endpoint(None)
        self.membership.redial(Dial(read_redis_url("redis://other"), other))
        self.assertEqual(other.attempts, 1)
        attempts = endpoint.attempts
        elapse(self.reactor, 1.0)
        self.assertEqual((other.attempts, endpoint.attempts), (2, attempts))

    def test_no_answer_is_not_waited_for_longer_than_the_time_out(self) -> None:
        """Whoever listens there says nothing."""
        endpoint = self.start(b"")
        elapse(self.reactor, TIMEOUT - 0.1)
        self.assertEqual(self.said(), [])
        elapse(self.reactor, 0.2)
        self.assertEqual(self.said(), ["it does not answer in time"])
        self.assertTrue(endpoint.transports[0].is_aborted)

    def test_a_stop_ends_an_attempt(self) -> None:
        """Nothing is left of it."""
        endpoint = self.start(b"")
        self.successResultOf(self.membership.stop())
        self.assertTrue(endpoint.transports[0].is_aborted)
        elapse(self.reactor, 100)
        self.assertEqual((endpoint.attempts, self.said()), (1, []))

    def test_what_cannot_be_used_is_said_in_one_line(self) -> None:
        """Old versions, replicas, what is no Redis."""
        for answer, words in (
            (HELLO % (5, b"6.0.9", 6, b"master"), "it is too old (6.0.9): the relay needs Redis 6.2 or later"),
            (HELLO % (1, b"x", 6, b"master"), "it is too old (x): the relay needs Redis 6.2 or later"),
            (b"-ERR unknown command `HELLO`\r\n", "it is too old (before 6): the relay needs Redis 6.2 or later"),
            (HELLO % (5, b"7.2.1", 5, b"slave"), "this is a replica, which takes no writes; name the primary"),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "what answers is no Redis: an unknown kind of answer"),
            (b":1\r\n", "what answers is no Redis"),
            (b"-LOADING Redis is loading\r\n", "it refuses: LOADING Redis is loading"),
        ):
            self.lines.clear()
            reactor_turn.clear()
            endpoint = self.start(answer)
            if endpoint.transports[0].is_aborted and not self.said():
                endpoint.transports[0]._protocol.connectionLost(Failure(ConnectionAborted()))
            self.assertEqual(self.said(), [words])
