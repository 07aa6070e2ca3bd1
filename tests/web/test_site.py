"""Errors, bounds and what is served to whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail
from werkzeug.routing import Rule

from makima_relay.store.filters import Filter
from makima_relay.store.reader import TaskRow
from makima_relay.web.site import MOST_PIPELINED
from tests.web.case import ADMIN_ROUTES, OPEN_ROUTES, ApiTestCase

LIMIT = 64 << 10


class BrokenStore:
    """A store with a bug."""

    def page(self, wanted: Filter, limit: int, offset: int) -> Deferred[tuple[Sequence[TaskRow], int]]:
        """Fail with a text that is nobody's business."""
        return fail(ZeroDivisionError("table of secrets"))


class ErrorTests(ApiTestCase):
    """Requests that cannot be answered as they are meant."""

    def test_there_is_nothing_elsewhere(self) -> None:
        """404."""
        for path in ("/nothing", "/status/", "/statusX", "/tasks/", "/daemons/d", "/daemons/d/explode"):
            self.assert_problem(self.ask_raw(path), 404, "Not Found")

    def test_a_path_that_is_no_utf8_is_not_found_either(self) -> None:
        """There is no such thing as a task of that id."""
        for path in ("/%FF", "/tasks/%FF"):
            answer = self.ask_raw(path)
            self.assertIn(answer.status, (400, 404))
            self.assertEqual(answer.header("Content-Type"), "application/problem+json")

    def test_a_method_that_a_path_does_not_take_is_refused(self) -> None:
        """405, with those that it takes."""
        for method, path, allow in (
            *[("DELETE", path, "GET, HEAD") for path in OPEN_ROUTES],
            *[("PUT", path, "GET, HEAD") for path in ("/tasks", "/tasks/t", "/daemons", "/logs")],
            ("PUT", "/keys", "GET, HEAD, POST"),
            ("GET", "/keys/k", "DELETE"),
            ("GET", "/keys/k/rotate", "POST"),
            *[("PUT", path, "POST") for path in ("/reconnect", "/daemons/d/drain", "/daemons/d/resume")],
            ("GET", "/reconnect", "POST"),
            ("GET", "/daemons/d/drain", "POST"),
            ("POST", "/ws/daemon", "GET, HEAD"),
        ):
            answer = self.ask(method, path)
            self.assert_problem(answer, 405, "Method Not Allowed")
            self.assertEqual(answer.header("Allow"), allow, path)

    def test_a_cancel_that_is_no_post_is_refused(self) -> None:
        """GET changes nothing, and says what would."""
        for method in ("GET", "PUT"):
            answer = self.ask(method, "/tasks/t/cancel")
            self.assert_problem(answer, 405, "Method Not Allowed")
            self.assertEqual(answer.header("Allow"), "POST", method)

    def test_the_head_of_an_answer_can_be_had_alone(self) -> None:
        """With the length of its body."""
        received = self.exchange(b"HEAD /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head, _, body = received.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 OK\r\n"), head)
        self.assertEqual(body, b"")

    def test_the_websocket_path_wants_an_upgrade(self) -> None:
        """426, with the protocol."""
        for path in ("/ws/daemon", "/ws/daemon/ws/daemon"):
            answer = self.ask_raw(path)
            self.assert_problem(answer, 426, "Upgrade Required")
            self.assertEqual(answer.header("Upgrade"), "websocket")

    def test_a_bug_is_answered_without_its_traceback(self) -> None:
        """500; the log has the rest."""
        broken: Any = BrokenStore()
        self.make_api(store=broken)
        answer = self.ask("GET", "/tasks")
        self.assert_problem(answer, 500, "Internal Server Error")
        for word in (b"Traceback", b"ZeroDivisionError", b"secrets", b".py"):
            self.assertNotIn(word, answer.body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_host_that_is_no_name_is_not_taken_for_a_bug(self) -> None:
        """Open routes need not look at it; who does may say 400, and the log stays clean."""
        for host in ("", "localhost:port", "[::1", "a..b", "x" * 64 + ".example", "ü"):
            answer = self.ask_raw("/livez", f"Host: {host}")
            if answer.status != 200:
                self.assert_problem(answer, 400, "Bad Request")

    def test_every_route_is_tested_here(self) -> None:
        """A route that is added is tested for access and methods as all others are."""
        rules: list[Rule] = list(self.api.app.url_map.iter_rules())
        taken = sum(len((rule.methods or set()) - {"HEAD"}) for rule in rules)
        # Two paths of the WebSocket; three ways to sign in and out, and one to see whether one has.
        self.assertEqual(taken, len(ADMIN_ROUTES) + len(OPEN_ROUTES) + 2 + 4)


class BodyTests(ApiTestCase):
    """Bodies of requests are bounded."""

    def post_raw(self, headers: str, *body: bytes) -> bytes:
        """Send a request with a body that no route needs."""
        head = f"POST /reconnect HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n".encode()
        return self.exchange(head, *body)

    def assert_too_long(self, received: bytes) -> None:
        """The answer is one 413, and nothing was done."""
        self.assertTrue(received.startswith(b"HTTP/1.1 413 "), received)
        self.assertEqual(received.count(b"HTTP/1.1 "), 1)
        self.assertIn(b"Content-Type: application/problem+json\r\n", received)
        self.assertIn(b'"status":413', received)
        self.assertEqual(self.endpoint.attempts, [])

    def test_a_body_of_64_kib_is_taken(self) -> None:
        """Announced, or in chunks."""
        body = b"x" * LIMIT
        self.assertIn(b" 202 ", self.post_raw(f"Content-Length: {LIMIT}", body))
        chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (LIMIT, body)
        self.assertIn(b" 202 ", self.post_raw("Transfer-Encoding: chunked", chunks))

    def test_a_longer_body_is_refused_when_it_is_announced(self) -> None:
        """Before any of it is read, and nothing of it is taken for a request."""
        self.assert_too_long(self.post_raw(f"Content-Length: {LIMIT + 1}"))
        smuggled = b"POST /reconnect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        self.assert_too_long(self.post_raw(f"Content-Length: {LIMIT + 1}", smuggled * 1000))
        self.assert_too_long(self.post_raw(f"Content-Length: {10**18}", smuggled))

    def test_a_longer_body_is_refused_as_soon_as_its_chunks_are_too_many(self) -> None:
        """Without waiting for their end."""
        chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
        self.assert_too_long(self.post_raw("Transfer-Encoding: chunked", *[chunk] * 5))
        self.assert_too_long(self.post_raw("Transfer-Encoding: chunked", *[chunk] * 50, b"0\r\n\r\n"))
        self.assert_too_long(self.post_raw("Transfer-Encoding: chunked", *[chunk] * 4, b"1\r\nx\r\n0\r\n\r\n"))

    def test_requests_follow_each_other_on_a_connection(self) -> None:
        """Each with its own bound."""
        request = f"POST /reconnect HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LIMIT}\r\n\r\n".encode()
        received = self.exchange((request + b"x" * LIMIT) * 3)
        self.assertEqual(received.count(b"HTTP/1.1 202 "), 3)


class PipeliningTests(ApiTestCase):
    """Requests that do not wait for the answers to those before them."""

    REQUEST = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"

    def test_few_are_answered_in_their_order(self) -> None:
        """And again in the next read."""
        received = self.exchange(*[self.REQUEST * (MOST_PIPELINED - 1)] * 3)
        self.assertEqual(received.count(b"HTTP/1.1 200 "), 3 * (MOST_PIPELINED - 1))
        self.assertNotIn(b"close", received)

    def test_of_many_the_first_are_answered_and_the_last_of_these_says_that_it_is(self) -> None:
        """A client that is told so asks again; the others had to wait meanwhile."""
        for segments in ([self.REQUEST * 100], [self.REQUEST * 100] * 3):
            received = self.exchange(*segments)
            self.assertEqual(received.count(b"HTTP/1.1 200 "), MOST_PIPELINED)
            *_, last = received.split(b"HTTP/1.1 ")
            self.assertIn(b"connection: close", last.lower())
            self.assertEqual(received.lower().count(b"connection: close"), 1)
