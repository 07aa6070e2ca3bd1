"""The routes by which a browser signs in and out (``http-api.md``, *Who may ask*)."""

from __future__ import annotations

from urllib.parse import parse_qs

import msgspec
from twisted.web.iweb import IRequest

from makima_relay.web import bodies
from makima_relay.web.access import Access, refuse_foreign
from makima_relay.web.answers import json_answer
from makima_relay.web.problems import ProblemError
from makima_relay.web.routing import Media, route

_FORM = b"application/x-www-form-urlencoded"
_FORM_SCHEMA = {"type": "object", "properties": {"token": {"type": "string"}}, "required": ["token"]}


def _presented(request: IRequest) -> str:
    """The token in the body of ``POST /session``.

    :raises ProblemError: 400.
    """
    body = request.content.read()
    if _is_form(request):
        return _in_form(body)
    try:
        return msgspec.json.decode(body, type=bodies.Credentials).token
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ProblemError(400, 'the body must be JSON such as {"token": "…"}, or a form with token') from None


def _in_form(body: bytes) -> str:
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=10)
    except ValueError:
        raise ProblemError(400, "the form must have few fields, and token among them") from None
    return fields.get("token", [""])[-1]


def _is_form(request: IRequest) -> bool:
    return (request.getHeader(b"content-type") or b"").partition(b";")[0].strip().lower() == _FORM


class SigningIn:
    """Lets browsers in with a cookie, and out again."""

    access: Access

    @route("GET", "/session", answers={200: bodies.Session}, errors=(403,))
    def session(self, request: IRequest) -> bytes:
        """Whether a browser has to sign in, and whether the one that asks has."""
        refuse_foreign(request)
        access = self.access
        return json_answer(
            request, bodies.Session(required=access.wants_sign_in, signed_in=access.is_signed_in(request))
        )

    @route(
        "POST",
        "/session",
        body=[bodies.Credentials, Media(_FORM.decode(), _FORM_SCHEMA)],
        answers={204: None, 303: None},
        errors=(400, 401, 403, 404, 429),
    )
    def sign_in(self, request: IRequest) -> bytes:
        """Take the admin token, and give a cookie for it."""
        self.access.sign_in(request, _presented(request))
        return _signed(request)

    @route("DELETE", "/session", answers={204: None, 303: None}, errors=(403,))
    @route("POST", "/session/end", answers={204: None, 303: None}, errors=(403,), name="sign_out_by_form")
    def sign_out(self, request: IRequest) -> bytes:
        """End it; a form cannot say DELETE."""
        self.access.sign_out(request)
        return _signed(request)


def _signed(request: IRequest) -> bytes:
    """Send a form's browser back to the page; others need nothing more."""
    request.setHeader(b"cache-control", b"no-store")
    request.setResponseCode(303 if _is_form(request) else 204)
    if _is_form(request):
        request.setHeader(b"location", b"/")
    return b""
