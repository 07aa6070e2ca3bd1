"""The relay's one connection to the Makima server.

Sends heartbeats and what the engine wants sent, hands over what the server sends, and finds out what has arrived:
after reports it sends a ping, and the pong to it proves that the server's WebSocket stack has read all before it
(``protocol.md``, *Nothing is lost*).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint

from makima_relay.clock import Clock
from makima_relay.connector import Connector, ConnectorState
from makima_relay.connector_options import ConnectorOptions
from makima_relay.core.from_server import read_command
from makima_relay.core.members import InvalidMessageError
from makima_relay.engine import Engine
from makima_relay.server_link import ServerProtocol
from makima_relay.sockets import unsent

#: Reports wait at most this long, or until there are this many bytes of them, for the ping that asks for their proof.
PROOF_DELAY: Final = 0.05
PROOF_SIZE: Final = 256 << 10
#: Bytes that may wait in the transport before the server counts as slow: enough that it never waits for the relay.
_BUFFER_SIZE: Final = 1 << 20
#: Bytes that may wait then, beyond one message.
_BACKED_UP_LIMIT: Final = 16 << 20
_PROOF: Final = b"read up to "


class Upstream:
    """Implements :class:`~makima_relay.ports.UpstreamLink` and is its connector's user.

    :param engine: gets what comes, gives what goes.
    :param heartbeat_interval: seconds.
    :param shown_url: the server's URL without anything secret.
    :ivar daemon_id: what the server calls the relay; none before the first answer.
    :ivar last_heartbeat: when the last heartbeat was sent, in seconds since the epoch.
    """

    def __init__(
        self,
        engine: Engine,
        endpoint: IStreamClientEndpoint,
        options: ConnectorOptions,
        clock: Clock,
        *,
        heartbeat_interval: float,
        shown_url: str,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._heartbeat_interval = heartbeat_interval
        self.url = shown_url
        self.connector = Connector(self, endpoint, options, clock)
        self.connector.on_change = engine.announcements.upstream_changed
        self.daemon_id: str | None = None
        self.last_heartbeat: float | None = None
        self._link: ServerProtocol | None = None
        self._heartbeat_timer: IDelayedCall | None = None
        self._proof_timer: IDelayedCall | None = None
        self._last_sent = self._unproven = self._answered = 0
        self._most_unsent = options.max_message_size + _BACKED_UP_LIMIT

    @property
    def live(self) -> bool:
        """Whether the server has authenticated the connection."""
        return self.connector.state is ConnectorState.LIVE

    def reconnect(self) -> None:
        """Connect anew now, at an operator's wish."""
        self._engine.noted("reconnect_requested", "an operator asked for a new connection to the server")
        self.connector.connect()

    # ------------------------------------------------------------------------------------------ the engine's side

    def send(self, payload: bytes, number: int | None) -> None:
        """See :meth:`makima_relay.ports.UpstreamLink.send`."""
        if number is not None:
            self.send_reports((payload,), number)
        elif self._link is not None:
            self._link.send_text(payload)
            self._answered += len(payload)
            if self._answered > self._most_unsent:
                self._drop_if_backed_up(self._link)

    def _drop_if_backed_up(self, link: ServerProtocol) -> None:
        """Drop a server that asks for ever and takes no answer; only reports can wait for it outside of the memory."""
        # So much was sent since it was last looked; what waits may be less.
        self._answered = unsent(link.transport)
        if self._answered > self._most_unsent:
            link.lost_because = "it does not take what it is sent"
            link.drop()

    def send_reports(self, payloads: Sequence[bytes], number: int) -> None:
        """See :meth:`makima_relay.ports.UpstreamLink.send_reports`."""
        if self._link is None:
            return
        self._link.send_texts(payloads)
        self._last_sent = number
        self._unproven += sum(map(len, payloads))
        if self._unproven >= PROOF_SIZE:
            self._ask_for_proof()
        elif self._proof_timer is None:
            self._proof_timer = self._clock.reactor.callLater(PROOF_DELAY, self._proof_due)

    def pause(self) -> None:
        """Stop reading."""
        if self._link is not None:
            self._link.pause()

    def resume(self) -> None:
        """Read again."""
        if self._link is not None:
            self._link.resume()

    def _proof_due(self) -> None:
        self._proof_timer = None
        self._ask_for_proof()

    def _ask_for_proof(self) -> None:
        self._unproven = 0
        _cancel(self._proof_timer)
        self._proof_timer = None
        if self._link is not None:
            self._link.sendPing(_PROOF + str(self._last_sent).encode())

    # --------------------------------------------------------------------------------------- the connector's side

    def connected(self, link: ServerProtocol, daemon_id: str | None) -> None:
        """The server has authenticated the connection; the engine has it told the first heartbeat, and what waits."""
        self._link = link
        self.daemon_id = daemon_id
        # Only what this connection was sent can be proven on it.
        self._last_sent = self._unproven = self._answered = 0
        link.set_buffer(_BUFFER_SIZE)
        link.report_congestion(self._engine.upstream_congested, self._engine.upstream_drained)
        self._engine.upstream_ready(self, self.url, daemon_id)
        self._beaten()

    def _beat(self) -> None:
        self._engine.heartbeat_due()
        self._beaten()

    def _beaten(self) -> None:
        self.last_heartbeat = self._clock.wall()
        self._heartbeat_timer = self._clock.reactor.callLater(self._heartbeat_interval, self._beat)

    def received(self, payload: bytes) -> None:
        """The server sent a message."""
        try:
            message = read_command(payload)
        except InvalidMessageError as error:
            self._engine.invalid_command_received(str(error))
        else:
            self._engine.command_received(message)

    def pong_received(self, payload: bytes) -> None:
        """The server answered a ping, perhaps one that asked for proof."""
        if payload.startswith(_PROOF) and payload[len(_PROOF) :].isdigit():
            number = int(payload[len(_PROOF) :])
            # A peer may send pongs nobody asked for (RFC 6455, 5.5.3); none can prove what was not sent.
            if number <= self._last_sent:
                self._engine.acknowledged(number)

    def safe(self) -> Deferred[None]:
        """See :meth:`makima_relay.connector.ConnectorUser.safe`: the tasks and commands are committed."""
        return self._engine.safe()

    def disconnected(self, reason: str) -> None:
        """The live connection is gone."""
        self._link = None
        _cancel(self._heartbeat_timer)
        _cancel(self._proof_timer)
        self._heartbeat_timer = self._proof_timer = None
        self._engine.upstream_lost(reason)

    def attempt_failed(self, reason: str, attempt: int, delay: float | None) -> None:
        """An attempt failed."""
        wait = None if delay is None else f"{delay:.1f} s"
        self._engine.noted(
            "upstream_error", f"connecting to the server failed: {reason}", url=self.url, attempt=attempt, nextIn=wait
        )
        if delay is None:
            self._engine.noted(
                "upstream_gave_up",
                "no more attempts to connect to the server; POST /reconnect starts over",
                url=self.url,
                attempt=attempt,
            )


def _cancel(timer: IDelayedCall | None) -> None:
    """Stop a timer that may be running."""
    if timer is not None and timer.active():
        timer.cancel()
