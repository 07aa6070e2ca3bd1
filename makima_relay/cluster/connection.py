"""One connection to Redis: made, authenticated, found to be a Redis that can be used."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks
from twisted.internet.interfaces import IAddress, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from txredisapi import BaseRedisProtocol, ResponseError

from makima_relay.cluster.replies import InvalidReplyError, Replies
from makima_relay.core.journal import printable
from makima_relay.reasons import describe
from makima_relay.settings import RedisURL

#: What is older lacks what the relay needs.
OLDEST: Final = (6, 2)
#: Seconds for the answer to a command, and for connecting.
TIMEOUT: Final = 5.0
_EMPTIED: Final = ("NOSCRIPT", "NOGROUP", "UNBLOCKED")
_CREDENTIALS: Final = ("WRONGPASS", "NOAUTH", "invalid password", "AUTH ")


class RedisUnusableError(Exception):
    """Redis cannot be used now; the text says in one line why."""


@attrs.frozen
class Dial:
    """How to reach Redis.

    :ivar url: where it is and as whom to present oneself.
    :ivar endpoint: leads there.
    """

    url: RedisURL
    endpoint: IStreamClientEndpoint


class Connection(BaseRedisProtocol):  # type: ignore[misc]
    """A connection for commands, or one that waits for an inbox.

    :param timeout: seconds for each answer.
    :ivar number: Redis's own for it.
    :ivar reason: why it is lost, once it is.
    :ivar on_lost: told when it is lost, with the reason.
    """

    def __init__(self, reactor: IReactorTime, timeout: float) -> None:
        # Without charset and numbers what comes stays bytes.
        super().__init__(charset=None, convertNumbers=False, replyTimeout=timeout)
        self.callLater = reactor.callLater
        self._replies = Replies()
        self.number = 0
        self.reason = "the connection to Redis is lost"
        self.on_lost: Callable[[str], object] = lambda _: None

    def dataReceived(self, data: bytes, unpause: bool = False) -> None:
        """Hand on the answers that are complete."""
        try:
            for reply in self._replies.feed(data):
                self.replyReceived(reply)
        except InvalidReplyError as error:
            self.reason = f"what answers is no Redis: {error}"
            self.transport.abortConnection()

    def connectionLost(self, why: Failure) -> None:
        """Tell whose it is."""
        if why.check(Exception) and self.reason.startswith("the connection"):
            self.reason = f"the connection to Redis is lost: {describe(why)}"
        super().connectionLost(why)
        on_lost, self.on_lost = self.on_lost, lambda _: None
        on_lost(self.reason)


class Subscription(Connection):
    """A connection on which messages come.

    It is none of txredisapi's subscribers, because those cut every other answer short.

    :ivar on_message: told each, with its channel.
    """

    def __init__(self, reactor: IReactorTime, timeout: float) -> None:
        super().__init__(reactor, timeout)
        self.on_message: Callable[[bytes, bytes], object] = lambda _channel, _message: None

    def replyReceived(self, reply: Any) -> None:
        """Hand a message on; anything else answers a command."""
        if isinstance(reply, list) and len(reply) == 3 and reply[0] == b"message":
            self.on_message(reply[1], reply[2])
        else:
            super().replyReceived(reply)


class _Once(Factory):
    """Makes one connection's protocol."""

    noisy = False

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """The one."""
        return self._protocol


@inlineCallbacks
def open_connection(dial: Dial, protocol: Any) -> Generator[Deferred[Any], Any, None]:
    """Connect, and find out whether that is a Redis that can be used.

    :param protocol: a :class:`Connection` or :class:`Subscription`; it is ready when this has ended.
    :raises RedisUnusableError: when it is not, or cannot be reached.
    """
    try:
        yield dial.endpoint.connect(_Once(protocol))
    except Exception:
        raise RedisUnusableError(f"it cannot be reached: {describe(Failure())}") from None
    yield expect(protocol, _greet(protocol, dial.url))


def _greet(protocol: Any, url: RedisURL) -> Deferred[Any]:
    """Present oneself and ask who is there; all of it goes in one write."""
    steps = []
    if url.password is not None:
        named = (url.username,) if url.username else ()
        steps.append(protocol.execute_command("AUTH", *named, url.password))
    steps.append(protocol.execute_command("HELLO", 2).addCallback(_check, protocol))
    if url.database:
        steps.append(protocol.execute_command("SELECT", url.database))
    return gatherResults(steps, consumeErrors=True)


def _check(hello: Any, protocol: Connection) -> None:
    """Look at what Redis says of itself."""
    if not isinstance(hello, list):
        raise RedisUnusableError("what answers is no Redis")
    said = dict(zip(hello[::2], hello[1::2], strict=False))
    version = str(said.get(b"version", b"?"), "utf-8", "replace")
    numbers = re.match(r"(\d{1,9})\.(\d{1,9})", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < OLDEST:
        raise RedisUnusableError(_too_old(printable(version)))
    if said.get(b"role") not in (b"master", None):
        raise RedisUnusableError("this is a replica, which takes no writes; name the primary")
    number = said.get(b"id")
    protocol.number = number if isinstance(number, int) else 0


def _too_old(version: str) -> str:
    return f"it is too old ({version}): the relay needs Redis {OLDEST[0]}.{OLDEST[1]} or later"


def expect(protocol: Any, answer: Deferred[Any]) -> Deferred[Any]:
    """Have a failure say in one line why Redis cannot be used.

    :param protocol: the connection, which is closed then.
    :return: the answer; fails with :class:`RedisUnusableError`.
    """

    def failed(failure: Failure) -> None:
        # Of several that are waited for together the first that failed counts.
        why: Any = getattr(failure.value, "subFailure", failure).value
        if protocol.transport is not None:
            protocol.transport.abortConnection()
        raise RedisUnusableError(reason_of(why, protocol.reason)) from None

    return answer.addErrback(failed)


def reason_of(error: BaseException, lost: str) -> str:
    """Say in one line why a command failed.

    :param lost: why the connection is lost, if it is.
    """
    if isinstance(error, RedisUnusableError):
        return str(error)
    if not isinstance(error, ResponseError):
        # Of txredisapi's own the one that tells anything is that there was no answer in time.
        return "it does not answer in time" if "seconds" in str(error) else lost
    said = printable(str(error))
    if said.startswith("NOPERM"):
        return f"its user is not allowed what the relay needs, see docs/cluster.md: {said}"
    if said.startswith("unknown command") and "HELLO" in said.upper():
        return _too_old("before 6")
    if said.startswith(_EMPTIED):
        return "it was emptied: everything is told again"
    if any(word in said for word in _CREDENTIALS):
        return f"it refuses the credentials: {said}"
    return f"it refuses: {said}"
