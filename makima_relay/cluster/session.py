"""Three connections to Redis that live and die together: for commands, for the inbox, for messages.

A session is opened once. Whatever goes wrong with any of its connections ends it; the next one begins with everything
anew. So whoever has a session knows that nothing was missed since it began, and that Redis was not emptied unnoticed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Iterable
from typing import Any, Final

from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from makima_relay.cluster.connection import (
    TIMEOUT,
    Connection,
    Dial,
    RedisUnusableError,
    Subscription,
    expect,
    open_connection,
    reason_of,
)
from makima_relay.cluster.names import Names
from makima_relay.cluster.scripts import BEGIN, SCRIPTS, Script

#: Seconds for which Redis keeps a question about the inbox, if nothing comes.
BLOCK: Final = 5.0


class Session:
    """One session.

    :param dial: where Redis is.
    :param names: what keys are called.
    :param relay_id: whose inbox is read.
    :ivar run: tells this session from earlier ones, and from another relay with the same id.
    :ivar is_open: whether it can be used.
    :ivar read_up_to: which entry of the inbox was the last that earlier sessions read.
    :ivar on_lost: told once why it ended, unless it was closed.
    :ivar on_message: told each message, with its channel.
    """

    _log = Logger()

    def __init__(self, dial: Dial, names: Names, relay_id: str, reactor: IReactorTime) -> None:
        self._dial = dial
        self._names = names
        self._relay_id = relay_id
        self.run = secrets.token_hex(8)
        self.is_open = False
        self.read_up_to = b"0"
        self.on_lost: Callable[[str], object] = lambda _: None
        self.on_message: Callable[[bytes, bytes], object] = lambda _channel, _message: None
        self._commands = Connection(reactor, TIMEOUT)
        self._inbox = Connection(reactor, BLOCK + TIMEOUT)
        self._subscription = Subscription(reactor, TIMEOUT)
        self._subscription.on_message = self._message
        self._connections: tuple[Any, ...] = (self._commands, self._inbox, self._subscription)

    @inlineCallbacks
    def open(self, channels: Iterable[str]) -> Generator[Deferred[Any], Any, None]:
        """Connect.

        :param channels: whose messages are wanted.
        :raises RedisUnusableError: when it cannot be, with the reason in one line.
        """
        try:
            for connection in self._connections:
                yield open_connection(self._dial, connection)
            yield expect(self._commands, self._prepare())
            yield expect(self._subscription, self._subscribe(channels))
        except BaseException:
            self.close()
            raise
        if not all(connection.connected for connection in self._connections):
            self.close()
            raise RedisUnusableError("the connection to Redis is lost")
        for connection in self._connections:
            connection.on_lost = self.fail
        self.is_open = True

    def _prepare(self) -> Deferred[Any]:
        """Load the scripts, and have Redis know this run and the relay's inbox."""
        names, relay_id = self._names, self._relay_id
        steps = [self._commands.execute_command("SCRIPT", "LOAD", script.source) for script in SCRIPTS]
        keys = (names.session(relay_id), names.inbox(relay_id), names.sent(relay_id))
        begun = self._commands.execute_command("EVALSHA", BEGIN.digest, len(keys), *keys, self.run)
        steps.append(begun.addCallback(self._begun))
        return gatherResults(steps, consumeErrors=True)

    def _begun(self, place: bytes) -> None:
        self.read_up_to = place

    def _subscribe(self, channels: Iterable[str]) -> Deferred[Any]:
        # One channel each time: txredisapi expects one answer for each command.
        asked = [self._subscription.execute_command("SUBSCRIBE", each) for each in channels]
        return gatherResults(asked, consumeErrors=True)

    def _message(self, channel: bytes, message: bytes) -> None:
        if self.is_open:
            self.on_message(channel, message)

    # ------------------------------------------------------------------------------------------------- asking it

    def command(self, *words: str | bytes | int) -> Deferred[Any]:
        """Have Redis do something; the answer never comes if that ends the session."""
        return self._watched(self._commands, *words)

    def call(self, script: Script, keys: list[str], arguments: Iterable[str | bytes | int]) -> Deferred[Any]:
        """Have Redis run a script, likewise."""
        return self._watched(self._commands, "EVALSHA", script.digest, len(keys), *keys, *arguments)

    def read_inbox(self, after: str, most: int) -> Deferred[Any]:
        """Read entries of the inbox.

        :param after: above which id those that were read and not acknowledged are read again; ``>`` for new ones.
        :param most: how many.
        """
        inbox = self._names.inbox(self._relay_id)
        group = ("GROUP", "relay", "relay", "COUNT", most, "BLOCK", round(BLOCK * 1000))
        return self._watched(self._inbox, "XREADGROUP", *group, "STREAMS", inbox, after)

    def stop_reading(self) -> None:
        """Have Redis wait no more for something to come into the inbox."""
        self._watched(self._commands, "CLIENT", "UNBLOCK", self._inbox.number)

    def ping_subscription(self) -> None:
        """See whether messages would come: on that connection nothing else shows that it is dead."""
        self._watched(self._subscription, "PING")

    def _watched(self, connection: Any, *words: str | bytes | int) -> Deferred[Any]:
        answered: Deferred[Any] = Deferred()
        if self.is_open and connection.connected:
            asked = connection.execute_command(*words)
            asked.addCallbacks(answered.callback, self._refused, errbackArgs=(connection,))
            # What whoever asked makes of the answer is not the connection's business.
        return answered

    def _refused(self, failure: Failure, connection: Any) -> None:
        assert failure.value is not None
        self.fail(reason_of(failure.value, connection.reason))

    # ---------------------------------------------------------------------------------------------------- ending

    def fail(self, reason: str) -> None:
        """End it, because it cannot be used any more."""
        if self.is_open:
            self.close()
            self.on_lost(reason)

    def broke(self, failure: Failure) -> None:
        """End it, because nothing could be made of what came; the next one goes on behind that."""
        self._log.failure("what came from Redis cannot be used", failure)
        self.fail("what came from it cannot be used")

    def close(self) -> None:
        """End it."""
        self.is_open = False
        for connection in self._connections:
            connection.on_lost = lambda _: None
            if connection.transport is not None:
                connection.transport.abortConnection()
