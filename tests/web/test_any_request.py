"""Any request: it is answered, once, with what ``http-api.md`` knows, and never with a fault of the relay's.

What is no request at all is in ``tests/fuzz``. ``MAKIMA_FUZZ`` is how many times as many examples are tried.
"""

from __future__ import annotations

import io
import json
import os
from http.client import HTTPResponse
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from makima_relay.web.api import Api
from tests.untraced import untraced
from tests.web.case import ADMIN_ROUTES, OPEN_ROUTES, ApiTestCase

TIMES = int(os.environ.get("MAKIMA_FUZZ", "1"))
TOKEN = "a-token-for-admins"
STATUSES = {200, 201, 202, 204, 303, 400, 401, 403, 404, 405, 409, 413, 426, 429}

#: Text as headers and targets can carry it: no control characters, which end a line or are none of HTTP's.
latin = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=12)
names = st.text(st.sampled_from("abzAZ09-_.!~*'"), min_size=1, max_size=8)
#: Pieces of paths and queries, some of them percent-encoded, rightly or not.
pieces = st.one_of(
    st.sampled_from(["%2F", "%2f", "%25", "%00", "%FF", "%C3%A9", "%", "%zz", "..", ".", "+", "&", "=", ";", "é"]),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=6),
    st.text(max_size=3).map(lambda text: "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))),
)
known_paths = st.sampled_from(
    [*OPEN_ROUTES, *(path for _, path in ADMIN_ROUTES), "/session", "/session/end", "/ws/daemon"]
)
paths = st.one_of(
    known_paths,
    known_paths,
    st.lists(pieces | st.sampled_from(["tasks", "keys", "daemons", "cancel", "rotate"]), max_size=5).map(
        lambda parts: "/" + "/".join(parts)
    ),
    st.tuples(
        st.sampled_from(["/tasks/", "/keys/", "/daemons/"]), pieces, pieces, st.sampled_from(["", "/rotate"])
    ).map("".join),
)
queries = st.lists(
    st.tuples(st.sampled_from(["limit", "offset", "status", "daemon", "q", "token", ""]), st.lists(pieces, max_size=2)),
    max_size=4,
).map(lambda pairs: "&".join(f"{name}={''.join(value)}" for name, value in pairs))
methods = st.sampled_from(["GET", "GET", "POST", "POST", "DELETE", "HEAD", "PUT", "OPTIONS", "PATCH"]) | names
hosts = st.sampled_from(["localhost", "localhost:8787", "[::1]", "evil.example", "", "a b", "localhost:x", "[", "é"])
headers = st.one_of(
    st.tuples(st.just("Origin"), st.sampled_from(["http://localhost", "null", "", "http://[", "é"]) | latin),
    st.tuples(st.just("Accept"), st.sampled_from(["text/html", "text/html;q=x", "*/*;q=0,,", ";;", "*"]) | latin),
    st.tuples(st.just("Cookie"), st.sampled_from(["makima_relay_session=x", 'a="\\"', "=;=", "é=é"]) | latin),
    st.tuples(
        st.just("Authorization"), st.sampled_from([f"Bearer {TOKEN}", "Bearer", "Bearer é", "Basic eA=="]) | latin
    ),
    st.tuples(
        st.just("Content-Type"),
        st.sampled_from(["application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "multipart/form-data"])
        | latin,
    ),
    st.tuples(st.just("X-Forwarded-Proto"), latin),
    st.tuples(st.just("Connection"), st.sampled_from(["keep-alive", "close", "Upgrade"]) | latin),
    st.tuples(st.just("Upgrade"), st.just("websocket") | latin),
    st.tuples(names, latin),
)
bodies = st.one_of(
    st.just(b""),
    st.binary(max_size=40),
    st.builds(lambda name: json.dumps({"name": name}).encode(), names | st.text(max_size=4)),
    st.builds(lambda token: json.dumps({"token": token}).encode(), st.sampled_from([TOKEN, "\ud800", None, 5])),
    st.sampled_from([b"[" * 2_000, b'{"name":', b"token=%FF&token=" + TOKEN.encode(), b"&" * 50, b"9" * 5_000]),
    st.just(b'--b\r\nContent-Disposition: form-data; name="token"\r\n\r\nx\r\n--b--\r\n'),
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, bytes]:
    """A request's method, and all of it."""
    method, path, query = draw(methods), draw(paths), draw(queries)
    body = draw(bodies)
    lines = [f"{method} {path}{'?' if query else ''}{query} {draw(st.sampled_from(['HTTP/1.1'] * 3 + ['HTTP/1.0']))}"]
    lines.append(f"Host: {draw(hosts)}")
    lines += [f"{name}: {value}" for name, value in draw(st.lists(headers, max_size=5))]
    # Only the last connection header counts, and a chunked body is one of HTTP/1.1.
    if body and lines[0].endswith("1.1") and draw(st.booleans()):
        lines.append("Transfer-Encoding: chunked")
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:]) if part) + b"0\r\n\r\n"
    else:
        lines.append(f"Content-Length: {len(body)}")
    return method, "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body


class _Received(io.BytesIO):
    """What an answer is read from, in the shape of a socket; what follows the answer stays."""

    def makefile(self, mode: str) -> io.BytesIO:
        """The bytes."""
        return self

    def close(self) -> None:
        """Nothing is closed when the answer is over."""


class AnyRequestTests(ApiTestCase):
    """Open to operators on loopback, and with a token."""

    api: Api

    def assert_answered(self, method: str, request: bytes) -> None:
        """There is one answer, and it is a good one."""
        received: Any = _Received(self.exchange(request))
        answer = HTTPResponse(received, method=method)
        answer.begin()
        body = answer.read()
        self.assertIn(answer.status, STATUSES, body)
        self.assertEqual(received.read(), b"", "there is more than one answer")
        if body and answer.getheader("Content-Type", "").startswith("application/"):
            self.assertIsInstance(json.loads(body), dict)
        self.assertNotIn(b"Traceback", body)
        self.assertNotIn(TOKEN.encode(), body)

    @untraced
    @settings(deadline=None, max_examples=150 * TIMES, derandomize=TIMES == 1, suppress_health_check=list(HealthCheck))
    @given(requests())
    def test_it_is_answered_where_the_routes_are_open(self, request: tuple[str, bytes]) -> None:
        """To whoever asks by a loopback name."""
        self.assert_answered(*request)

    @untraced
    @settings(deadline=None, max_examples=150 * TIMES, derandomize=TIMES == 1, suppress_health_check=list(HealthCheck))
    @given(requests())
    def test_it_is_answered_where_there_is_a_token(self, request: tuple[str, bytes]) -> None:
        """Right or wrong, in whatever header or body."""
        if self.api.access.token is None:
            self.make_api(TOKEN)
        self.assert_answered(*request)
