"""Who may ask."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from makima_relay.web.access import Access
from tests.web.case import ADMIN_ROUTES, LOOPBACK, OPEN_ROUTES, ApiTestCase

TOKEN = "a-token-for-admins"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class TokenTests(ApiTestCase):
    """With a token configured."""

    def setUp(self) -> None:
        """Have a relay that takes a token, and listens to everybody."""
        super().setUp()
        self.make_api(TOKEN, [IPv4Address("TCP", "0.0.0.0", 8787)])

    def test_every_route_of_operators_wants_it(self) -> None:
        """401, with the scheme that is wanted, and not a word of the token."""
        for method, path in ADMIN_ROUTES:
            answer = self.ask(method, path)
            said = self.assert_problem(answer, 401, "Unauthorized")
            self.assertEqual(answer.header("WWW-Authenticate"), "Bearer", path)
            self.assertNotIn(TOKEN, said)

    def test_a_wrong_token_is_refused(self) -> None:
        """Nearly right is wrong; other schemes are wrong; a query is no place for a token."""
        for presented in (
            f"Bearer {TOKEN[:-1]}",
            f"Bearer {TOKEN}x",
            f"Bearer {TOKEN.upper()}",
            "Bearer",
            "Bearer ",
            TOKEN,
            f"Basic {TOKEN}",
            f"Bearer{TOKEN}",
            "Bearer schlüssel",
        ):
            self.assert_problem(self.ask("GET", "/tasks", {"Authorization": presented}), 401, "Unauthorized")
        self.assert_problem(self.ask("GET", f"/tasks?token={TOKEN}"), 401, "Unauthorized")

    def test_the_right_token_lets_in(self) -> None:
        """The scheme's case does not matter, nor by which name the relay was asked."""
        for headers in (BEARER, {"Authorization": f"bearer  {TOKEN}"}, {**BEARER, "Host": "edge.example"}):
            self.get("/tasks", headers)

    def test_open_routes_want_none(self) -> None:
        """Monitoring has no token."""
        for path in OPEN_ROUTES:
            self.assertIn(self.ask("GET", path).status, (200, 503), path)

    def test_an_orchestrator_may_probe_by_whatever_address_it_knows(self) -> None:
        """With a token or without one: what it asks has nothing of an operator's."""
        for token in (TOKEN, None):
            self.make_api(token, [IPv4Address("TCP", "0.0.0.0", 8787)])
            for host in ("10.1.2.3:8787", "[fd00::7]:8787", "makima-relay-0.makima-relay-pods"):
                for path in ("/livez", "/readyz", "/health"):
                    self.assertIn(self.ask("GET", path, {"Host": host}).status, (200, 503), (path, host))

    def test_the_token_can_be_another_at_once(self) -> None:
        """The one before lets nobody in any more, and browsers have to sign in again."""
        self.api.access.change_token("another")
        self.assert_problem(self.ask("GET", "/tasks", BEARER), 401, "Unauthorized")
        self.get("/tasks", {"Authorization": "Bearer another"})

    def test_the_token_is_not_in_the_representation(self) -> None:
        """Whoever logs the object logs no secret."""
        self.assertNotIn(TOKEN, repr(Access(TOKEN, self.health.only_loopback)))


class OpenTests(ApiTestCase):
    """Without a token."""

    def test_operators_of_this_machine_may_do_everything(self) -> None:
        """As long as every endpoint is on a loopback interface."""
        for addresses in (
            [LOOPBACK],
            [IPv6Address("TCP", "::1", 1), UNIXAddress(b"/run/relay")],
            [UNIXAddress(None)],
        ):
            self.make_api(None, addresses)
            self.get("/tasks")

    def test_one_endpoint_that_others_can_reach_closes_the_routes_of_operators(self) -> None:
        """403, naming the variable that would open them."""
        for address in ("0.0.0.0", "192.168.1.7", "::", "2001:db8::1"):
            kind = IPv6Address if ":" in address else IPv4Address
            self.make_api(None, [LOOPBACK, kind("TCP", address, 8787)])
            for method, path in ADMIN_ROUTES:
                said = self.assert_problem(self.ask(method, path), 403, "Forbidden")
                self.assertIn("MAKIMA_RELAY_ADMIN_TOKEN", said)

    def test_open_routes_stay_open(self) -> None:
        """Wherever the relay listens."""
        self.make_api(None, [IPv4Address("TCP", "0.0.0.0", 8787)])
        for path in OPEN_ROUTES:
            self.assertIn(self.ask("GET", path).status, (200, 503), path)

    def test_the_relay_must_be_asked_by_a_loopback_name(self) -> None:
        """Another name that resolves to this machine may be a trick of a web page's author."""
        for host in ("localhost", "localhost:8787", "127.0.0.1:8787", "127.9.9.9", "[::1]:8787"):
            self.get("/tasks", {"Host": host})
        for host in ("evil.example", "evil.example:8787", "10.0.0.1", "localhost.evil.example"):
            for method, path in ADMIN_ROUTES:
                self.assert_problem(self.ask(method, path, {"Host": host}), 403, "Forbidden")
            self.assertEqual(self.ask("GET", "/status", {"Host": host}).status, 200)

    def test_a_request_without_a_name_is_refused(self) -> None:
        """HTTP/1.0 has none."""
        self.assertIn(b" 403 ", self.exchange(b"GET /tasks HTTP/1.0\r\n\r\n"))


class OriginTests(ApiTestCase):
    """Requests that a web page makes a browser send."""

    def test_pages_of_others_are_refused_on_routes_of_operators(self) -> None:
        """``null`` too; with a token as without."""
        for token in (None, TOKEN):
            self.make_api(token)
            for origin in ("http://evil.example", "null", "http://localhost:1", "https://localhost"):
                for method, path in ADMIN_ROUTES:
                    answer = self.ask(method, path, {**BEARER, "Origin": origin})
                    self.assert_problem(answer, 403, "Forbidden")

    def test_a_page_of_the_relay_itself_may_ask(self) -> None:
        """Its origin is the request's own host and port."""
        self.get("/tasks", {"Origin": "http://localhost:8787"})
        self.make_api(TOKEN)
        proxied = {**BEARER, "Host": "edge.example", "Origin": "https://edge.example"}
        self.get("/tasks", proxied)

    def test_open_routes_answer_every_page(self) -> None:
        """They hold nothing that is secret."""
        self.assertEqual(self.ask("GET", "/status", {"Origin": "null"}).status, 200)

    def test_the_websocket_is_refused_to_pages_of_others(self) -> None:
        """With 403 where the listener leaves it to the HTTP side."""
        for path in ("/ws/daemon", "/ws/daemon/ws/daemon"):
            for origin in ("http://evil.example", "null"):
                self.assert_problem(self.ask("GET", path, {"Origin": origin}), 403, "Forbidden")
