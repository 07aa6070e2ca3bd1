"""How answers are given: JSON, and errors as problem details, the same for every Klein application."""

from __future__ import annotations

from typing import Any

import msgspec
from klein import Klein
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from makima_relay.web.problems import NOTHING_HERE, ProblemError

_log = Logger()


def json_answer(request: IRequest, value: Any, status: int = 200) -> bytes:
    """Answer with JSON.

    :param value: what msgspec can encode.
    :param status: the HTTP status.
    """
    body = msgspec.json.encode(value)
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"application/json")
    request.setHeader(b"content-length", b"%d" % len(body))
    request.setHeader(b"cache-control", b"no-store")
    return body


def answer_errors(app: Klein) -> None:
    """Have an application answer whatever goes wrong with problem details (``http-api.md``, *Errors*).

    :param app: the application of a class; to be called in the class's body.
    """

    @app.handle_errors(ProblemError)
    def problem(self: object, request: IRequest, failure: Failure) -> bytes:
        error = failure.value
        assert isinstance(error, ProblemError)
        return error.render(request)

    @app.handle_errors(HTTPException)
    def no_route(self: object, request: IRequest, failure: Failure) -> bytes:
        error = failure.value
        if isinstance(error, MethodNotAllowed):
            allowed = ", ".join(sorted(error.valid_methods or ()))
            return ProblemError(405, f"this takes {allowed}", {"Allow": allowed}).render(request)
        return ProblemError(404, NOTHING_HERE).render(request)

    @app.handle_errors(Exception)
    def broken(self: object, request: IRequest, failure: Failure) -> bytes:
        _log.failure("answering {method} {path!r} failed", failure, method=request.method, path=request.path)
        return ProblemError(500, "this could not be answered; the log says why").render(request)
