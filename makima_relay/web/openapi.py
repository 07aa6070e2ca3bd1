"""The route that describes all routes."""

from __future__ import annotations

import functools

import msgspec
from twisted.web.iweb import IRequest

from makima_relay.web.document import openapi
from makima_relay.web.routing import ROUTES, Media, route


@functools.cache
def _document() -> bytes:
    """The document, made when it is first asked for: then all routes are declared."""
    return msgspec.json.encode(openapi(ROUTES))


class OpenApiRoute:
    """Says what there is to ask, for programs."""

    @route("GET", "/openapi.json", answers={200: Media("application/json", {"type": "object"})}, name="describe")
    def openapi(self, request: IRequest) -> bytes:
        """All of this, as OpenAPI 3.1."""
        body = _document()
        request.setHeader(b"content-type", b"application/json")
        request.setHeader(b"content-length", b"%d" % len(body))
        request.setHeader(b"cache-control", b"no-store")
        return body
