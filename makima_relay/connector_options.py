"""How a :class:`~makima_relay.connector.Connector` is to connect, and how long it waits."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import attrs

from makima_relay.settings.urls import shown_url


@attrs.frozen
class Backoff:
    """How long to wait before each further attempt.

    :ivar initial: seconds before the first.
    :ivar longest: seconds that no wait exceeds.
    :ivar jitter: gives numbers from 0 to 1; up to a tenth of the wait is added.
    """

    initial: float
    longest: float
    jitter: Callable[[], float] = random.random

    def delay(self, waits: int) -> float:
        """The wait after so many waits in a row, in seconds."""
        # 2.0 ** 1024 overflows; long before that the longest wait is reached.
        base = self.initial * 2.0 ** min(waits, 64)
        return min(self.longest, base * (1 + 0.1 * self.jitter()))


@attrs.frozen(kw_only=True)
class ConnectorOptions:
    """What a :class:`Connector` is to do. Times are in seconds.

    :ivar url: the whole ``ws://`` or ``wss://`` URL.
    :ivar headers: sent with the upgrade request.
    :ivar hello: the ``authenticate`` message.
    :ivar auth_timeout: for connecting, and then for the server's answer.
    :ivar most_attempts: failed attempts in a row before giving up; 0 for never.
    :ivar keepalive: between pings, and for a pong.
    :ivar asked_back: when to connect again after a live connection that ended for a reason, if the server has asked.
    """

    url: str = attrs.field(repr=shown_url)
    headers: Mapping[str, str] = attrs.field(repr=False)
    hello: bytes = attrs.field(repr=False)
    backoff: Backoff
    auth_timeout: float = 10.0
    most_attempts: int = 20
    keepalive: tuple[float, float] = (20.0, 20.0)
    max_message_size: int = 16 << 20
    compression: bool = False
    fast_frames: bool = True
    asked_back: Callable[[str], float | None] = lambda reason: None
