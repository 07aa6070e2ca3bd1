"""Watches over who comes: counts strangers, remembers who guesses at keys, and says what was turned away."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from makima_relay.core.rejections import Rejection
from makima_relay.limits.addresses import origin_of, shown_address
from makima_relay.limits.bucket import TokenBucket
from makima_relay.limits.crowd import Crowd
from makima_relay.limits.failures import Failures

#: Journal entries about those who are turned away: so many at once, and one more in so many seconds.
_ENTRIES, _ENTRY_INTERVAL = 20, 5.0


#: Takes why somebody was turned away, the event and the sentence for the journal (no event: to count only), and from
#: where it came.
Tell = Callable[[Rejection, str | None, str, str], None]


@attrs.frozen(kw_only=True)
class Limits:
    """What peers may take. 0 is for no limit, except of strangers.

    :ivar strangers: connections that have not authenticated, in all; those of HTTP never do.
    :ivar strangers_per_address: of them from one address.
    :ivar accepts: connections that are accepted in a second.
    :ivar failures: failed authentications in a row after which an address is refused.
    :ivar refusal: for how long then, in seconds.
    :ivar messages: of one daemon in a second; above it the daemon is read later.
    :ivar traffic: bytes of messages of one daemon in a second.
    """

    strangers: int = 2_000
    strangers_per_address: int = 200
    accepts: int = 2_000
    failures: int = 10
    refusal: float = 60.0
    messages: int = 50_000
    traffic: int = 256 << 20


class Attempts:
    """Attempts to authenticate with one kind of secret, by address.

    :param limits: how many may fail.
    :param now: the monotonic clock, in seconds.
    """

    def __init__(self, limits: Limits, now: Callable[[], float]) -> None:
        self._now = now
        self._failures = Failures(limits.failures, limits.refusal)

    def failed(self, address: object) -> float:
        """Note a failed one.

        :return: how long the answer is to wait, in seconds.
        """
        return self._failures.failed(origin_of(address), self._now())

    def succeeded(self, address: object) -> None:
        """Note a good one."""
        if len(self._failures):
            self._failures.succeeded(origin_of(address))

    def refused_for(self, address: object) -> float:
        """For how many more seconds an address may make none; 0 if it may."""
        return self._failures.refused_for(origin_of(address), self._now()) if len(self._failures) else 0.0


class Guard:
    """Bounds what those may take who have not authenticated.

    :param limits: how much.
    :param now: the monotonic clock, in seconds.
    :param tell: told of each who is turned away; see :data:`Tell`.
    :ivar keys: attempts of daemons.
    :ivar tokens: attempts of operators; whoever has a daemon's key may guess at the token no more often for it.
    """

    def __init__(self, limits: Limits, now: Callable[[], float], tell: Tell) -> None:
        self.limits = limits
        self.now = now
        self._tell = tell
        self._crowd = Crowd(limits.strangers, limits.strangers_per_address)
        self.keys = Attempts(limits, now)
        self.tokens = Attempts(limits, now)
        self._accepts = TokenBucket(limits.accepts, limits.accepts, now()) if limits.accepts else None
        self._entries = TokenBucket(1 / _ENTRY_INTERVAL, _ENTRIES, now())
        self._unwritten = 0

    # ------------------------------------------------------------------------------------------------- strangers

    def enter(self, address: object) -> bool:
        """Let a connection in that has not authenticated, if there is room.

        :return: whether there was; only then it has to :meth:`leave`.
        """
        if self._crowd.enter(origin_of(address)):
            return True
        detail = "too many connections that have not authenticated"
        self.turned_away(Rejection.TOO_MANY_STRANGERS, "connection_rejected", detail, address)
        return False

    def leave(self, address: object) -> None:
        """A connection that was let in is gone, or has authenticated."""
        self._crowd.leave(origin_of(address))

    def accepted(self, connections: int = 1) -> float:
        """Count connections that were accepted.

        :return: for how many seconds no more are to be accepted.
        """
        return 0.0 if self._accepts is None else self._accepts.take(connections, self.now())

    # --------------------------------------------------------------------------------------------- turned away

    def turned_away(self, reason: Rejection, event: str, detail: str, address: object) -> None:
        """Count somebody who was turned away, and write it down unless too many were lately.

        :param event: for the journal: what it was that came.
        :param detail: the rest of a sentence.
        :param address: where it came from.
        """
        if self._entries.take(0.0, self.now()) > 0:
            self._unwritten += 1
            self._tell(reason, None, "", "")
            return
        self._entries.take(1.0, self.now())
        more, self._unwritten = self._unwritten, 0
        others = f" (and {more} other{'s' if more > 1 else ''} meanwhile)" if more else ""
        self._tell(reason, event, f"turned away: {detail}{others}", shown_address(address))
