"""The dashboard's files, as they were at the start: no build step, nothing from elsewhere, and no data in them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import attrs
from twisted.web.iweb import IRequest
from werkzeug.http import parse_etags

from makima_relay.web.problems import NOTHING_HERE, ProblemError
from makima_relay.web.routing import Media, route

_DIRECTORY: Final = Path(__file__).with_name("static")
_PAGE: Final = "index.html"
_TYPES: Final = {
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".svg": b"image/svg+xml",
}
#: Only what the relay serves itself is loaded, run, shown and asked.
CONTENT_SECURITY_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


@attrs.frozen
class StaticFile:
    """One file.

    :ivar etag: changes whenever the file does.
    """

    body: bytes = attrs.field(repr=False)
    content_type: bytes
    etag: str

    def answer(self, request: IRequest) -> bytes:
        """Answer with it, or that what the browser has is as good (RFC 9110, 13.1.2)."""
        request.setHeader(b"etag", f'"{self.etag}"'.encode())
        # It is asked for each time, and sent again only when the relay was upgraded.
        request.setHeader(b"cache-control", b"no-cache")
        known = parse_etags((request.getHeader(b"if-none-match") or b"").decode("latin-1"))
        if known.contains_weak(self.etag):
            request.setResponseCode(304)
            return b""
        request.setHeader(b"content-type", self.content_type)
        request.setHeader(b"content-length", b"%d" % len(self.body))
        return self.body


def _read(directory: Path) -> dict[str, StaticFile]:
    """All files of a directory that have a type, by name."""
    files = {}
    for path in sorted(directory.iterdir()):
        if path.suffix in _TYPES:
            body = path.read_bytes()
            files[path.name] = StaticFile(body, _TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:32])
    return files


_FILES: Final = _read(_DIRECTORY)


class DashboardFiles:
    """Serves the dashboard, to everyone: what it shows it has to ask for."""

    @route(
        "GET",
        "/static/<file>",
        answers={200: [Media("text/javascript"), Media("text/css"), Media("image/svg+xml")], 304: None},
        errors=(404,),
    )
    def static_file(self, request: IRequest, file: str) -> bytes:
        """A script, the style sheet or the icon of the dashboard."""
        found = _FILES.get(file)
        if found is None or file == _PAGE:
            raise ProblemError(404, NOTHING_HERE)
        return found.answer(request)


def answer_page(request: IRequest) -> bytes:
    """Answer with the page itself, which has no data in it."""
    request.setHeader(b"content-security-policy", CONTENT_SECURITY_POLICY)
    return _FILES[_PAGE].answer(request)
