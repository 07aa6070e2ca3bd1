"""Keeps one authenticated WebSocket to a server (``protocol.md``, *Upstream: relay → server*).

It connects, presents itself, and reports the connection as live once the server has said ``authenticated``. When an
attempt fails or a live connection is lost it waits, longer each time, and tries again, until told to stop or until
too many attempts in a row have failed. The relay's upstream is one; the stand-in daemon of the sandbox is another.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.python.failure import Failure

from makima_relay.clock import Clock
from makima_relay.connector_options import ConnectorOptions
from makima_relay.core.from_server import read_command
from makima_relay.core.members import InvalidMessageError
from makima_relay.core.messages import Authenticated, ServerError
from makima_relay.reasons import describe
from makima_relay.server_link import ServerFactory, ServerProtocol
from makima_relay.websocket import CLOSE_GOING_AWAY, CLOSE_NORMAL


class ConnectorState(enum.Enum):
    """Where a :class:`Connector` is; the words are those of ``/status``."""

    IDLE = "idle"
    CONNECTING = "connecting"
    AUTHENTICATING = "authenticating"
    LIVE = "connected"
    WAITING = "waiting"
    GAVE_UP = "gave_up"
    STOPPED = "stopped"


class ConnectorUser(Protocol):
    """Whose connection it is."""

    def connected(self, link: ServerProtocol, daemon_id: str | None) -> None:
        """The server has authenticated a connection."""

    def received(self, payload: bytes) -> None:
        """The server sent a message other than its answer to ``authenticate``."""

    def pong_received(self, payload: bytes) -> None:
        """The server answered a ping."""

    def safe(self) -> Deferred[None]:
        """Fires when what was received so far cannot be lost any more; only then a ping is answered."""

    def disconnected(self, reason: str) -> None:
        """The live connection is gone."""

    def attempt_failed(self, reason: str, attempt: int, delay: float | None) -> None:
        """An attempt failed, so many in a row now; the next follows after a delay in seconds, or none does."""


class Connector:
    """Connects, and connects again.

    :param user: told what happens.
    :param endpoint: where the server is.
    :param clock: the clocks.
    :ivar on_change: called whenever :attr:`state` has changed.
    :ivar attempt: failed attempts in a row.
    :ivar next_attempt_at: when the next attempt follows, in seconds since the epoch, while one is waited for.
    """

    def __init__(
        self, user: ConnectorUser, endpoint: IStreamClientEndpoint, options: ConnectorOptions, clock: Clock
    ) -> None:
        self._user = user
        self._endpoint = endpoint
        self._options = options
        self._clock = clock
        self._factory = ServerFactory(self, options, clock)
        self._protocol: ServerProtocol | None = None
        self._leaving: set[ServerProtocol] = set()
        self._was_live = False
        self._connecting: Deferred[Any] | None = None
        self._timer: IDelayedCall | None = None
        self._waits = 0
        self._complaint: str | None = None
        self._stopped: Deferred[None] | None = None
        self._state = ConnectorState.IDLE
        self.on_change: Callable[[], object] = lambda: None
        self.attempt = 0
        self.next_attempt_at: float | None = None

    @property
    def state(self) -> ConnectorState:
        """Where it is."""
        return self._state

    @state.setter
    def state(self, state: ConnectorState) -> None:
        self._state = state
        self.on_change()

    # ---------------------------------------------------------------------------------------------- what to do

    def connect(self) -> None:
        """Connect now: a connection or attempt under way is dropped, the count starts over. After a stop, nothing."""
        if self.state is ConnectorState.STOPPED:
            return
        was_live = self.state is ConnectorState.LIVE
        self._let_go()
        if was_live:
            self._user.disconnected("reconnecting")
        self.attempt = 0
        self._waits = 0
        self._try()

    def change_options(self, options: ConnectorOptions) -> None:
        """Go by other options from the next attempt on; a connection that stands stays."""
        self._options = options
        self._factory = ServerFactory(self, options, self._clock)

    def stop(self) -> Deferred[None]:
        """Close the connection and make no other.

        :return: fires when it is closed.
        """
        protocol = self._protocol
        self._stop_timer()
        self._was_live = self.state is ConnectorState.LIVE
        self.state = ConnectorState.STOPPED
        done: Deferred[None] = Deferred()
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
        if protocol is None:
            done.callback(None)
        else:
            self._stopped = done
            protocol.close(CLOSE_GOING_AWAY)
        return done

    def _let_go(self) -> None:
        """Close what is under way; only what a live connection had sent before still counts."""
        self._stop_timer()
        protocol, self._protocol = self._protocol, None
        if protocol is not None and self.state is ConnectorState.LIVE:
            self._leaving.add(protocol)
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
        if protocol is not None:
            protocol.close(CLOSE_NORMAL)

    def _try(self) -> None:
        self.state = ConnectorState.CONNECTING
        self.next_attempt_at = None
        self._complaint = None
        self._timer = self._clock.reactor.callLater(
            self._options.auth_timeout, self._overdue, "connecting took too long"
        )
        connecting = self._connecting = self._endpoint.connect(self._factory)
        connecting.addCallbacks(
            self._connected, self._connect_failed, callbackArgs=(connecting,), errbackArgs=(connecting,)
        )

    def _connected(self, protocol: ServerProtocol, connecting: Deferred[Any]) -> None:
        if connecting is self._connecting:
            self._connecting = None
            self._protocol = protocol
        else:
            protocol.drop()

    def _connect_failed(self, failure: Failure, connecting: Deferred[Any]) -> None:
        # One that was let go fails because it was cancelled.
        if connecting is self._connecting:
            self._connecting = None
            self._fail(describe(failure))

    # -------------------------------------------------------------------------------------- what the protocol says

    def opened(self, protocol: ServerProtocol) -> None:
        """The WebSocket is open: present ourselves."""
        if protocol is not self._protocol or self.state is not ConnectorState.CONNECTING:
            return
        self.state = ConnectorState.AUTHENTICATING
        self._restart_timer(self._options.auth_timeout, "no answer to authenticate")
        # The key of its upgrade request, whatever has been read again since.
        protocol.send_text(protocol.factory.hello)

    def message(self, protocol: ServerProtocol, payload: bytes) -> None:
        """The server sent a message."""
        if protocol in self._leaving:
            # It was live, and the server had sent this before it learnt that it was let go.
            self._user.received(payload)
        if protocol is not self._protocol:
            return
        if self.state is not ConnectorState.AUTHENTICATING:
            self._user.received(payload)
            return
        if self._complaint is not None:
            # It has refused us, and we are closing: what it says then makes no connection live.
            return
        match _answer(payload):
            case Authenticated(daemon_id):
                self._live(protocol, daemon_id)
            case ServerError(code, message):
                self._complaint = "the server refused: " + ": ".join(each for each in (code, message) if each)
                protocol.close(CLOSE_NORMAL)
            case _:
                self._user.received(payload)

    def _live(self, protocol: ServerProtocol, daemon_id: str | None) -> None:
        self._stop_timer()
        self.state = ConnectorState.LIVE
        self.attempt = 0
        self._waits = 0
        self._user.connected(protocol, daemon_id)

    def pong(self, protocol: ServerProtocol, payload: bytes) -> None:
        """The server answered a ping."""
        if protocol is self._protocol and self.state is ConnectorState.LIVE:
            self._user.pong_received(payload)

    def safe(self) -> Deferred[None]:
        """Fires when what the server has sent so far cannot be lost any more."""
        return self._user.safe()

    def closed(self, protocol: ServerProtocol, reason: str) -> None:
        """A connection is gone."""
        self._leaving.discard(protocol)
        if protocol is not self._protocol:
            return
        self._protocol = None
        if self.state is ConnectorState.STOPPED:
            if self._was_live:
                self._user.disconnected(reason)
            if self._stopped is not None:
                self._stopped.callback(None)
        elif self.state is ConnectorState.LIVE:
            self._user.disconnected(reason)
            self._wait(self._options.asked_back(reason))
        else:
            self._fail(self._complaint or reason)

    # ------------------------------------------------------------------------------------------ failing and waiting

    def _overdue(self, reason: str) -> None:
        self._timer = None
        self._let_go()
        self._fail(self._complaint or reason)

    def _fail(self, reason: str) -> None:
        if self.state is ConnectorState.STOPPED:
            return
        self._stop_timer()
        self.attempt += 1
        if 0 < self._options.most_attempts <= self.attempt:
            self.state = ConnectorState.GAVE_UP
            self._user.attempt_failed(reason, self.attempt, None)
        else:
            self._user.attempt_failed(reason, self.attempt, self._wait())

    def _wait(self, asked: float | None = None) -> float:
        """Wait before the next attempt.

        :param asked: how long the server asked for, in seconds.
        :return: how long, in seconds.
        """
        delay = self._options.backoff.delay(self._waits) if asked is None else asked
        self._waits += 1
        self.state = ConnectorState.WAITING
        self.next_attempt_at = self._clock.wall() + delay
        self._stop_timer()
        self._timer = self._clock.reactor.callLater(delay, self._waited)
        return delay

    def _waited(self) -> None:
        self._timer = None
        self._try()

    def _restart_timer(self, delay: float, reason: str) -> None:
        self._stop_timer()
        self._timer = self._clock.reactor.callLater(delay, self._overdue, reason)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _answer(payload: bytes) -> object:
    try:
        return read_command(payload)
    except InvalidMessageError:
        return None
