"""Who is signed in with a browser: random tickets in a cookie, known only to this process."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from twisted.web.iweb import IRequest
from werkzeug.http import parse_cookie

from makima_relay.clock import Clock

#: Seconds that a sign-in lasts.
LIFETIME: Final = 12 * 3600
#: Sign-ins at a time; above it the oldest ends.
MOST_SESSIONS: Final = 1_000
COOKIE: Final = "makima_relay_session"


class Sessions:
    """The sign-ins of this process; a restart ends them all.

    :param clock: the clocks.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Only digests are kept, so finding one tells nothing by the time that it takes. The oldest come first.
        self._ends: dict[bytes, float] = {}

    def begin(self, request: IRequest) -> None:
        """Sign in whoever made a request, by a cookie in its answer."""
        now = self._clock.monotonic()
        for over in [each for each, end in self._ends.items() if end <= now]:
            del self._ends[over]
        if len(self._ends) >= MOST_SESSIONS:
            del self._ends[next(iter(self._ends))]
        ticket = secrets.token_urlsafe(32)
        self._ends[_digest(ticket)] = now + LIFETIME
        _set_cookie(request, ticket, LIFETIME)

    def end(self, request: IRequest) -> None:
        """Sign out whoever made a request."""
        ticket = _ticket(request)
        if ticket is not None:
            self._ends.pop(_digest(ticket), None)
        _set_cookie(request, "", 0)

    def end_all(self) -> None:
        """Sign everybody out: the token has changed."""
        self._ends.clear()

    def has(self, request: IRequest) -> bool:
        """Whether whoever made a request is signed in."""
        ticket = _ticket(request)
        return ticket is not None and self._ends.get(_digest(ticket), 0.0) > self._clock.monotonic()


def _digest(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode("utf-8", "surrogateescape")).digest()


def _ticket(request: IRequest) -> str | None:
    # It is to be UTF-8, each byte a character: at anything else it fails.
    header = (request.getHeader(b"cookie") or b"").decode("utf-8", "replace")
    return parse_cookie(header.encode().decode("latin-1")).get(COOKIE)


def _set_cookie(request: IRequest, ticket: str, seconds: int) -> None:
    """Set the cookie: no script sees it, no other site's page has it sent, and under TLS nothing else carries it."""
    # A proxy in front says how it was asked. Who lies here makes only its own cookie stricter.
    is_secure = request.isSecure() or (request.getHeader(b"x-forwarded-proto") or b"").lower() == b"https"
    secure = "; Secure" if is_secure else ""
    cookie = f"{COOKIE}={ticket}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
    request.responseHeaders.addRawHeader(b"set-cookie", cookie.encode())
