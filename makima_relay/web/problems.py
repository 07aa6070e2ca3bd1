"""Errors as RFC 9457 problem details (``http-api.md``, *Errors*)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from twisted.web.iweb import IRequest

from makima_relay.web.bodies import Problem

#: What a 404 says when it is about the path.
NOTHING_HERE = "there is nothing here"
NO_SUCH_TASK = "there is no task of this id"


class ProblemError(Exception):
    """A request that is answered with an error.

    :param status: the HTTP status.
    :param detail: a sentence for whoever asked; it names what is wrong and what is taken.
    :param headers: further headers.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = HTTPStatus(status)
        self.detail = detail
        self.headers = headers or {}

    def body(self) -> bytes:
        """The problem as JSON."""
        phrase, status = self.status.phrase, self.status.value
        return msgspec.json.encode(Problem(type="about:blank", title=phrase, status=status, detail=self.detail))

    def render(self, request: IRequest) -> bytes:
        """Make it the answer to a request."""
        request.setResponseCode(self.status.value, self.status.phrase.encode())
        request.setHeader(b"content-type", b"application/problem+json")
        request.setHeader(b"cache-control", b"no-store")
        for name, value in self.headers.items():
            request.setHeader(name.encode(), value.encode())
        body = self.body()
        request.setHeader(b"content-length", b"%d" % len(body))
        return body
