"""Who may ask (``http-api.md``, *Who may ask*)."""

from __future__ import annotations

import hmac
from collections.abc import Callable

import attrs
from twisted.web.iweb import IRequest

from makima_relay.origin import is_foreign, names_loopback
from makima_relay.web.problems import ProblemError

TOKEN_VARIABLE = "MAKIMA_RELAY_ADMIN_TOKEN"  # noqa: S105 - its name, not its value


def refuse_foreign(request: IRequest) -> None:
    """Refuse what a web page of another host makes a browser ask.

    :raises ProblemError: 403.
    """
    if is_foreign(request.getHeader(b"origin"), request.getHeader(b"host")):
        raise ProblemError(403, "requests from web pages of another origin are not allowed")


@attrs.frozen
class Access:
    """Decides who may use the admin routes.

    :ivar token: what they must present; none leaves the routes open on loopback.
    :ivar only_loopback: whether every listening endpoint is on a loopback interface.
    """

    token: str | None = attrs.field(repr=False)
    only_loopback: Callable[[], bool]

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

    @staticmethod
    def _check_token(request: IRequest, token: str) -> None:
        scheme, _, presented = (request.getHeader(b"authorization") or b"").partition(b" ")
        # Both are compared, so that the time tells nothing about the scheme either.
        if not hmac.compare_digest(presented.strip(), token.encode()) or scheme.lower() != b"bearer":
            raise ProblemError(
                401, "this needs Authorization: Bearer with the admin token", {"WWW-Authenticate": "Bearer"}
            )
