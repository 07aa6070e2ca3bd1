"""Who may ask (``http-api.md``, *Who may ask*)."""

from __future__ import annotations

import hmac
import math
from collections.abc import Callable

import attrs
from twisted.web.iweb import IRequest

from makima_relay.core.rejections import Rejection
from makima_relay.limits.guard import Attempts, Guard
from makima_relay.origin import is_foreign, names_loopback
from makima_relay.settings import TOKEN_VARIABLE
from makima_relay.web.problems import ProblemError
from makima_relay.web.sessions import Sessions

_SAFE_METHODS = (b"GET", b"HEAD")


def refuse_foreign(request: IRequest) -> None:
    """Refuse what a web page of another host makes a browser ask.

    :raises ProblemError: 403.
    """
    if is_foreign(request.getHeader(b"origin"), request.getHeader(b"host")):
        raise ProblemError(403, "requests from web pages of another origin are not allowed")


@attrs.define
class Access:
    """Decides who may use the admin routes.

    :ivar token: what they must present; none leaves the routes open on loopback.
    :ivar only_loopback: whether every listening endpoint is on a loopback interface.
    :ivar sessions: who has signed in with a browser; none where nobody can.
    :ivar guard: remembers who guesses at tokens; none where anybody may.
    :ivar on_change: called when somebody may not be admitted any more.
    """

    token: str | None = attrs.field(repr=False)
    only_loopback: Callable[[], bool]
    sessions: Sessions | None = attrs.field(default=None, repr=False)
    guard: Guard | None = attrs.field(default=None, repr=False)
    on_change: Callable[[], object] = attrs.field(default=lambda: None, repr=False)

    def change_token(self, token: str) -> None:
        """Take another token from now on, and no more the one before; whoever is signed in has to do it again."""
        self.token = token
        if self.sessions is not None:
            self.sessions.end_all()
        self.on_change()

    def check_admin(self, request: IRequest) -> None:
        """Let an operator's request pass.

        :raises ProblemError: 401 or 403, for anybody else's.
        """
        refuse_foreign(request)
        if self.token is not None:
            self._check_token(request, self.token)
        elif not self.only_loopback():
            raise ProblemError(403, f"set {TOKEN_VARIABLE} to use this from other machines")
        elif not names_loopback(request.getHeader(b"host")):
            raise ProblemError(403, f"ask by a loopback name such as localhost, or set {TOKEN_VARIABLE}")

    def admits(self, request: IRequest) -> bool:
        """Whether an operator's request that was let pass would pass still; nobody is thought to guess for it."""
        if self.token is None:
            return self.only_loopback()
        scheme, _, presented = (request.getHeader(b"authorization") or b"").partition(b" ")
        is_right = hmac.compare_digest(presented.strip(), self.token.encode()) and scheme.lower() == b"bearer"
        return is_right or self.is_signed_in(request)

    def _check_token(self, request: IRequest, token: str) -> None:
        if self.is_signed_in(request):
            # Browsers say where a request that changes something comes from; what does not is no browser.
            if request.method not in _SAFE_METHODS and request.getHeader(b"origin") is None:
                raise ProblemError(403, "with the cookie of a browser this needs an Origin")
            return
        credentials = request.getHeader(b"authorization")
        if credentials is None:
            raise _no_token()
        scheme, _, presented = credentials.partition(b" ")
        self._compare(request, presented.strip(), token)
        if scheme.lower() != b"bearer":
            raise _no_token()

    def _compare(self, request: IRequest, presented: bytes, token: str) -> None:
        """Compare what was presented with the token; who is wrong too often is not told any more.

        :raises ProblemError: 401, 429.
        """
        self.refuse_guesser(request)
        if not hmac.compare_digest(presented, token.encode()):
            if self.guard is not None:
                address = request.getClientAddress()
                self.guard.tokens.failed(address)
                self.guard.turned_away(Rejection.UNAUTHORIZED, "token_rejected", "a wrong admin token", address)
            raise _no_token()
        if self.guard is not None:
            self.guard.tokens.succeeded(request.getClientAddress())

    def refuse_guesser(self, request: IRequest) -> None:
        """Refuse whoever has guessed at the token too often.

        :raises ProblemError: 429.
        """
        if self.guard is not None:
            _refuse_for(self.guard.tokens, self.guard, request, "token_rejected")

    def refuse_guesser_at_keys(self, request: IRequest) -> None:
        """Refuse whoever has failed too often to authenticate as a daemon.

        :raises ProblemError: 429.
        """
        if self.guard is not None:
            _refuse_for(self.guard.keys, self.guard, request, "daemon_rejected")

    @property
    def wants_sign_in(self) -> bool:
        """Whether a browser has to sign in before it may use the admin routes."""
        return self.token is not None and self.sessions is not None

    def is_signed_in(self, request: IRequest) -> bool:
        """Whether a request comes from a browser that has signed in."""
        return self.sessions is not None and self.sessions.has(request)

    def sign_in(self, request: IRequest, presented: str) -> None:
        """Give whoever presents the token a cookie.

        :raises ProblemError: 401 for a wrong token, 403 for a page of others, 404 where there is nothing to sign in to.
        """
        refuse_foreign(request)
        if self.token is None or self.sessions is None:
            raise ProblemError(404, f"there is nothing to sign in to: {TOKEN_VARIABLE} is not set")
        self._compare(request, presented.encode("utf-8", "surrogatepass"), self.token)
        self.sessions.begin(request)

    def sign_out(self, request: IRequest) -> None:
        """Take the cookie back.

        :raises ProblemError: 403 for a page of others.
        """
        refuse_foreign(request)
        if self.sessions is not None:
            is_over = self.sessions.has(request)
            self.sessions.end(request)
            if is_over:
                self.on_change()


def _refuse_for(attempts: Attempts, guard: Guard, request: IRequest, event: str) -> None:
    address = request.getClientAddress()
    seconds = attempts.refused_for(address)
    if seconds:
        guard.turned_away(Rejection.TOO_MANY_FAILURES, event, "too many failed authentications", address)
        headers = {"Retry-After": str(math.ceil(seconds))}
        raise ProblemError(429, "too many failed authentications from this address", headers)


def _no_token() -> ProblemError:
    return ProblemError(401, "this needs Authorization: Bearer with the admin token", {"WWW-Authenticate": "Bearer"})
