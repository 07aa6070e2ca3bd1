"""A stand-in daemon's reports on their way: kept in order until the other side has read them.

The way of the relay itself (``protocol.md``, *Nothing is lost*): the pong to a ping proves that all which was sent
before the ping has been read. What is not proven is sent again over the next connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from makima_relay.core.outbox import Outbox

#: Reports wait at most this long for the ping that asks for their proof, in seconds.
PROOF_DELAY: Final = 0.05
#: Bytes of unproven reports above which no more should be made, and below which they may be again.
HIGH_MARK, LOW_MARK = 4 << 20, 1 << 20
_PROOF: Final = b"read up to "


class ReportLink(Protocol):
    """A connection that takes reports."""

    def send_text(self, payload: bytes) -> None:
        """Send one text message."""

    def sendPing(self, payload: bytes) -> None:
        """Send a ping."""


class Outbound:
    """Sends reports at least once.

    :param clock: times the pings.
    :param hold: told true when no more reports should be made for now, and false when they may be again.
    :param on_proof: told how far the other side has read, as the number of a report.
    """

    def __init__(self, clock: IReactorTime, hold: Callable[[bool], None], on_proof: Callable[[int], None]) -> None:
        self._clock = clock
        self._hold = hold
        self._on_proof = on_proof
        self._outbox = Outbox()
        self._link: ReportLink | None = None
        self._last = 0
        self._timer: IDelayedCall | None = None
        self.holding = False

    def __len__(self) -> int:
        """How many reports are not proven to be read."""
        return len(self._outbox)

    def send(self, payload: bytes) -> int:
        """Send a report, now or when there is a connection again.

        :return: its number.
        """
        self._last = self._outbox.add(payload, self._clock.seconds())
        if self._link is not None and self._outbox.take_latest():
            self._link.send_text(payload)
            if self._timer is None:
                self._timer = self._clock.callLater(PROOF_DELAY, self._ask_for_proof)
        if self._outbox.memory > HIGH_MARK and not self.holding:
            self.holding = True
            self._hold(self.holding)
        return self._last

    def connected(self, link: ReportLink) -> None:
        """There is a connection: send what waits."""
        self._link = link
        self._outbox.begin()
        for _, payload in self._outbox.take(self._outbox.memory + 1):
            link.send_text(payload)
        self._ask_for_proof()

    def disconnected(self) -> None:
        """The connection is gone: keep what comes."""
        self._link = None
        self._stop_timer()

    def _ask_for_proof(self) -> None:
        self._stop_timer()
        if self._link is not None and len(self):
            self._link.sendPing(_PROOF + str(self._last).encode())

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def pong_received(self, payload: bytes) -> None:
        """The other side answered a ping, perhaps one that asked for proof."""
        digits = payload.removeprefix(_PROOF)
        if digits == payload or not digits.isdigit() or int(digits) > self._last:
            return
        self._outbox.acknowledged(int(digits))
        if self.holding and self._outbox.memory < LOW_MARK:
            self.holding = False
            self._hold(self.holding)
        self._on_proof(int(digits))
