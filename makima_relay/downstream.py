"""The daemons' connections (``protocol.md``, *Downstream: daemon → relay*)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import attrs
from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket.types import ConnectionRequest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from makima_relay.admission import CLOSE_OVERDUE, Admission, Refusal
from makima_relay.alarms import Alarm
from makima_relay.core.composer import COMPOSERS
from makima_relay.core.from_daemons import ReportReader
from makima_relay.core.members import InvalidMessageError
from makima_relay.core.messages import DaemonMessage, Hello
from makima_relay.core.rejections import Rejection
from makima_relay.core.spelling import WireCase
from makima_relay.engine import Engine
from makima_relay.limits.addresses import shown_address
from makima_relay.limits.guard import Guard, Limits
from makima_relay.limits.stranger import Stranger
from makima_relay.link_factory import LinkFactory
from makima_relay.paced import Paced
from makima_relay.sockets import unsent
from makima_relay.thrift import Thrifty, slim
from makima_relay.websocket import CLOSE_TRY_AGAIN_LATER, CLOSE_UNSUPPORTED, WebSocketEnd
from makima_relay.websocket_options import protocol_options

#: Bytes that may wait in the transport before a daemon counts as slow. So much is also read of each at a time, of very
#: many together not much more than the second, if that leaves them the third: or one turn of the reactor would be long.
_BUFFER_SIZE, _READ_TOGETHER, _SMALLEST_BUFFER = 64 << 10, 2 << 20, 4 << 10
#: Bytes that the first message may have: what anybody may send should not take the memory that daemons may fill.
LONGEST_HELLO = 64 << 10
#: Bytes that may wait then, beyond one message.
BACKED_UP_LIMIT = 16 << 20


@attrs.frozen(kw_only=True)
class DownstreamOptions:
    """How daemons' connections behave. Times are in seconds, sizes in bytes."""

    auth_timeout: float = 10.0
    keepalive: tuple[float, float] = (25.0, 25.0)
    max_message_size: int = 16 << 20
    max_daemons: int = 10_000
    compression: bool = False
    fast_frames: bool = True


def _unavailable(hello: Hello) -> Refusal:
    message = "the relay's database cannot be written"
    answer = COMPOSERS[hello.case].error("unavailable", message)
    return Refusal(answer, CLOSE_TRY_AGAIN_LATER, f"unavailable: {message}", Rejection.UNAVAILABLE)


class DaemonProtocol(Paced, WebSocketEnd, Thrifty, WebSocketServerProtocol):  # type: ignore[misc]
    """One daemon's connection; implements :class:`~makima_relay.ports.DaemonLink`."""

    factory: DaemonFactory
    _connection: int | None = None
    _header_key: str | None = None
    _auth_timer: Alarm | IDelayedCall | None = None
    _congested = False
    _backed_up = 0
    _refusing = False
    #: Counts the connection as a stranger's until it has authenticated.
    stranger: Stranger | None = None

    def onConnect(self, request: ConnectionRequest) -> None:
        """Keep the key that may come with the upgrade request."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else None
        self._header_key = bearer or request.headers.get("x-makima-api-key")

    def opened(self) -> None:
        """Wait for the first message, if there is room for one more."""
        factory = self.factory
        factory.open.add(self)
        self.maxFramePayloadSize = self.maxMessagePayloadSize = min(LONGEST_HELLO, factory.options.max_message_size)
        if len(factory.open) > factory.options.max_daemons:
            self._refuse(factory.overloaded)
            return
        self._auth_timer = self.clock.callLater(factory.options.auth_timeout, self._overdue)

    def _overdue(self) -> None:
        self._auth_timer = None
        self._turned_away(Rejection.OVERDUE, "no authenticate in time")
        self.close(CLOSE_OVERDUE, "no authenticate in time")

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Hand a message over, or decide on the first."""
        if not self.hearing:
            return
        if isBinary:
            self.close(CLOSE_UNSUPPORTED, "text messages only")
        elif self._connection is None:
            if self.speaking and not self._refusing:
                self._authenticate(payload)
        else:
            self._reports_received((payload,))

    def texts_received(self, payloads: Sequence[bytes]) -> None:
        """Hand messages over that came together."""
        if self._connection is None:
            super().texts_received(payloads)
        else:
            self._reports_received(payloads)

    def _reports_received(self, payloads: Sequence[bytes]) -> None:
        assert self._connection is not None
        self.spend(payloads)
        rest = map(self.factory.reports.read, payloads)
        while (reason := self._report_readable(rest)) is not None:
            self.factory.engine.invalid_report_received(self._connection, reason)
            if not self.hearing:
                return

    def _report_readable(self, rest: Iterator[DaemonMessage]) -> str | None:
        """Hand over messages up to the first that cannot be read.

        :return: what is wrong with that; none if there is none.
        """
        assert self._connection is not None
        reports: list[DaemonMessage] = []
        reason = None
        try:
            # What was read before an error stays in the list, and the iterator goes on behind it.
            reports.extend(rest)
        except InvalidMessageError as error:
            reason = str(error)
        if reports:
            self.factory.engine.reports_received(self._connection, reports)
        return reason

    def _authenticate(self, payload: bytes) -> None:
        self._stop_auth_timer()
        decision = self.factory.admission.decide(payload, self._header_key)
        self._header_key = None
        if isinstance(decision, Refusal):
            self._refuse_later(decision)
            return
        self.factory.guard.keys.succeeded(self.transport.getPeer())
        if self.factory.engine.is_suspended:
            # Welcoming it would wait for the database, and what it has to say could not be read.
            self._refuse(_unavailable(decision.hello))
            return
        self._become_known()
        # Pings of many daemons that came at once, as after a restart, are spread over the interval.
        self.keep_alive(first=self.keepalive[0] * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        self.report_congestion(_nothing, self._drained)
        self.set_buffer(self.factory.buffer_size())
        slim(self)
        address = shown_address(self.transport.getPeer())
        self._connection = self.factory.engine.daemon_joined(self, decision.hello, address, decision.key)

    def _become_known(self) -> None:
        """Be no stranger any more, and be read at a bounded rate from now on."""
        stranger, self.stranger = self.stranger, None
        if stranger is not None:
            stranger.known()
        del self.maxFramePayloadSize, self.maxMessagePayloadSize  # now the class's count
        self.pace(self.factory.guard.limits)

    def _refuse_later(self, refusal: Refusal) -> None:
        """Refuse; who has failed before is told later, and whatever else it says until then is not heard."""
        delay = self.factory.guard.keys.failed(self.transport.getPeer()) if refusal.is_guess else 0.0
        if delay:
            self.pause()
            self._refusing = True
            self._auth_timer = self.clock.callLater(delay, lambda: self._refuse_at_last(refusal))
        else:
            self._refuse(refusal)

    def _refuse_at_last(self, refusal: Refusal) -> None:
        self._auth_timer = None
        self.resume()
        self._refuse(refusal)

    def _refuse(self, refusal: Refusal) -> None:
        self._turned_away(refusal.rejection, refusal.reason)
        self.send_text(refusal.answer)
        self.close(refusal.code, refusal.reason)

    def _turned_away(self, reason: Rejection, detail: str) -> None:
        self.factory.guard.turned_away(reason, "daemon_rejected", detail, self.transport.getPeer())

    def send(self, payloads: Sequence[bytes]) -> None:
        """See :meth:`makima_relay.ports.DaemonLink.send`.

        A daemon that does not take what it is sent is dropped before that fills the memory; its tasks are orphaned.
        """
        self.send_texts(payloads)
        if self._congested:
            self._backed_up += sum(map(len, payloads))
            limit = self.factory.options.max_message_size + BACKED_UP_LIMIT
            if self._backed_up > limit:
                # So much was sent since it was last all taken; what waits may be less.
                self._backed_up = unsent(self.transport)
                if self._backed_up > limit:
                    self.lost_because = "it does not take what it is sent"
                    self.drop()

    def _drained(self) -> None:
        self._backed_up = 0

    def pong_received(self, payload: bytes) -> None:
        """A pong is a sign of life."""
        if self._connection is not None:
            self.factory.engine.daemon_seen(self._connection)

    def safe(self) -> Deferred[None]:
        """Fires when what the daemon has reported so far about the ends of tasks is committed."""
        return self.factory.engine.safe()

    def closing(self, reason: str) -> None:
        """What is sent from now on would be lost; what the daemon has sent before may still come."""
        if self._connection is not None:
            self.factory.engine.daemon_parting(self._connection, reason)

    def ended(self, reason: str) -> None:
        """The connection is gone."""
        self._stop_auth_timer()
        if self._connection is not None:
            self.factory.engine.daemon_lost(self._connection, reason)
        self.factory.closed(self)

    def _stop_auth_timer(self) -> None:
        if self._auth_timer is not None and self._auth_timer.active():
            self._auth_timer.cancel()
        self._auth_timer = None


def _nothing() -> None:
    """Leave a slow daemon alone: what it is sent waits in its transport."""


class DaemonFactory(LinkFactory):
    """Makes the daemons' connections.

    :param engine: gets what comes, gives what goes.
    :param admission: decides who may come in.
    :param guard: bounds what they may take.
    :param reactor: the clock.
    """

    link = DaemonProtocol

    def __init__(
        self,
        engine: Engine,
        admission: Admission,
        options: DownstreamOptions,
        reactor: IReactorTime,
        guard: Guard | None = None,
    ) -> None:
        limits = protocol_options(options.max_message_size, compression=options.compression, is_server=True)
        super().__init__(options.keepalive, limits, reactor, fast_frames=options.fast_frames)
        self.engine = engine
        self.admission = admission
        self.reports = ReportReader()
        self.now = reactor.seconds
        self.guard = guard or Guard(Limits(), reactor.seconds, engine.turned_away)
        self.options = options
        message = f"no more than {options.max_daemons} connections at a time"
        answer = COMPOSERS[WireCase.CAMEL].error("overloaded", message)
        self.overloaded = Refusal(answer, CLOSE_TRY_AGAIN_LATER, f"overloaded: {message}", Rejection.TOO_MANY_DAEMONS)

    def buffer_size(self) -> int:
        """Bytes to read at a time of a daemon that joins now."""
        return max(_SMALLEST_BUFFER, min(_BUFFER_SIZE, _READ_TOGETHER // max(1, len(self.open))))
