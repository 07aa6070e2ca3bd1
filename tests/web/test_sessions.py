"""A browser signs in with the token, and out again."""

from __future__ import annotations

import json
from urllib.parse import urlencode

from makima_relay.web.sessions import COOKIE, LIFETIME, MOST_SESSIONS
from tests.untraced import untraced
from tests.web.case import ADMIN_ROUTES, Answer, ApiTestCase

TOKEN = "a-token-for-admins"
HOME = {"Origin": "http://localhost:8787"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class SessionTests(ApiTestCase):
    """With a token configured."""

    def setUp(self) -> None:
        super().setUp()
        self.make_api(TOKEN)

    def sign_in(self, token: object = TOKEN, **headers: str) -> Answer:
        """Present a token as a script does."""
        return self.ask("POST", "/session", {**HOME, **headers}, json.dumps({"token": token}).encode())

    def cookie(self, answer: Answer) -> dict[str, str]:
        """The cookie of an answer, as a browser sends it back."""
        given = answer.header("Set-Cookie")
        assert given is not None, answer
        return {"Cookie": given.partition(";")[0]}

    def signed_in(self) -> dict[str, str]:
        """The cookie of a browser that has signed in."""
        return self.cookie(self.sign_in())

    def test_the_cookie_opens_the_routes_of_operators(self) -> None:
        """Instead of the token."""
        cookie = self.signed_in()
        for method, path in ADMIN_ROUTES:
            self.assertNotIn(self.ask(method, path, {**HOME, **cookie}).status, (401, 403), path)

    def test_no_script_and_no_other_site_has_the_cookie(self) -> None:
        """And it ends by itself."""
        answer = self.sign_in()
        self.assertEqual((answer.status, answer.body, answer.header("Cache-Control")), (204, b"", "no-store"))
        given = answer.header("Set-Cookie") or ""
        self.assertRegex(given, rf"^{COOKIE}=[A-Za-z0-9_-]{{43}}; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict$")
        self.assertNotIn(TOKEN, given)

    def test_under_tls_the_cookie_goes_no_other_way(self) -> None:
        """Also where a proxy in front speaks it."""
        given = self.sign_in(**{"X-Forwarded-Proto": "https"}).header("Set-Cookie") or ""
        self.assertTrue(given.endswith("; SameSite=Strict; Secure"), given)

    def test_a_wrong_token_gets_no_cookie(self) -> None:
        """401."""
        for token in ("", TOKEN[:-1], TOKEN + "x", "schlüssel"):
            answer = self.sign_in(token)
            self.assert_problem(answer, 401, "Unauthorized")
            self.assertIsNone(answer.header("Set-Cookie"))

    def test_a_body_without_a_token_is_refused(self) -> None:
        """400, with what it takes."""
        for token in (None, 5, ["x"]):
            self.assertIn("token", self.assert_problem(self.sign_in(token), 400, "Bad Request"))
        for body in (b"", b"[]", b"{", b"\xff"):
            self.assert_problem(self.ask("POST", "/session", HOME, body), 400, "Bad Request")
        many = urlencode([(f"f{number}", "x") for number in range(50)]).encode()
        self.assert_problem(self.ask("POST", "/session", {**HOME, **FORM}, many), 400, "Bad Request")

    def test_a_form_goes_back_to_the_page(self) -> None:
        """Without a script."""
        answer = self.ask("POST", "/session", {**HOME, **FORM}, urlencode({"token": TOKEN}).encode())
        self.assertEqual((answer.status, answer.header("Location")), (303, "/"))
        cookie = self.cookie(answer)
        self.get("/tasks", cookie)
        left = self.ask("POST", "/session/end", {**HOME, **FORM, **cookie}, b"")
        self.assertEqual((left.status, left.header("Location")), (303, "/"))
        self.assertEqual(self.ask("GET", "/tasks", cookie).status, 401)

    def test_signing_out_ends_it(self) -> None:
        """For this browser alone."""
        one, other = self.signed_in(), self.signed_in()
        answer = self.ask("DELETE", "/session", {**HOME, **one})
        self.assertEqual(answer.status, 204)
        self.assertIn("Max-Age=0", answer.header("Set-Cookie") or "")
        self.assertEqual([self.ask("GET", "/tasks", cookie).status for cookie in (one, other)], [401, 200])

    def test_another_token_ends_every_sign_in(self) -> None:
        """Whoever had the token before may not be who has the new one."""
        cookie = self.signed_in()
        self.get("/tasks", cookie)
        self.api.access.change_token("another")
        self.assert_problem(self.ask("GET", "/tasks", cookie), 401, "Unauthorized")

    def test_a_sign_in_ends_after_a_while(self) -> None:
        """However often it is used."""
        cookie = self.signed_in()
        self.clock_moves(LIFETIME - 1)
        self.get("/tasks", cookie)
        self.clock_moves(2)
        self.assertEqual(self.ask("GET", "/tasks", cookie).status, 401)

    def clock_moves(self, seconds: float) -> None:
        """Let time pass for the sign-ins alone."""
        self.reactor.rightNow += seconds

    def test_a_cookie_that_was_made_up_opens_nothing(self) -> None:
        """Nor one that cannot be read."""
        for ticket in ("", "x", "x" * 43, '"', "ü", f"{COOKIE}="):
            answer = self.ask("GET", "/tasks", {"Cookie": f"other=1; {COOKIE}={ticket}"})
            self.assert_problem(answer, 401, "Unauthorized")

    def test_cookies_that_are_no_utf8_do_not_disturb(self) -> None:
        """Anybody may send them; with the right one among them they are let in."""
        strange = "a=\xe9; \xff; =\xfe"
        answer = self.ask_raw("/tasks", "Host: localhost", f"Cookie: {strange}")
        self.assert_problem(answer, 401, "Unauthorized")
        cookie = self.signed_in()["Cookie"]
        self.assertEqual(self.ask_raw("/tasks", "Host: localhost", f"Cookie: {strange}; {cookie}").status, 200)

    def test_cookies_of_others_on_the_same_host_do_not_disturb(self) -> None:
        """Whatever is in them."""
        cookie = self.signed_in()["Cookie"]
        self.get("/tasks", {"Cookie": f'a="b;c"; x{{}}=1; {cookie}; b=ü'})

    def test_a_page_of_others_can_neither_sign_in_nor_use_the_cookie(self) -> None:
        """403."""
        foreign = {"Origin": "http://evil.example"}
        self.assert_problem(self.sign_in(**foreign), 403, "Forbidden")
        cookie = self.signed_in()
        for method, path in (*ADMIN_ROUTES, ("DELETE", "/session"), ("POST", "/session/end")):
            self.assert_problem(self.ask(method, path, {**cookie, **foreign}), 403, "Forbidden")

    def test_what_changes_something_needs_an_origin_with_the_cookie(self) -> None:
        """Every browser sends one; a request that has none was not made by the page."""
        cookie = self.signed_in()
        for method, path in ADMIN_ROUTES:
            status = self.ask(method, path, cookie).status
            self.assertEqual(status == 403, method != "GET", (method, path, status))

    @untraced
    def test_there_are_not_endlessly_many(self) -> None:
        """The oldest ends."""
        oldest, second = self.signed_in(), self.signed_in()
        for _ in range(MOST_SESSIONS - 1):
            self.sign_in()
        self.assertEqual([self.ask("GET", "/tasks", cookie).status for cookie in (oldest, second)], [401, 200])

    def test_without_a_token_there_is_nothing_to_sign_in_to(self) -> None:
        """404, naming the variable."""
        self.make_api()
        said = self.assert_problem(self.sign_in(), 404, "Not Found")
        self.assertIn("MAKIMA_RELAY_ADMIN_TOKEN", said)

    def test_a_browser_can_ask_whether_it_has_to_sign_in(self) -> None:
        """And whether it has; that is nobody else's business."""
        self.assertEqual(self.get("/session"), {"required": True, "signedIn": False})
        self.assertEqual(self.get("/session", self.signed_in()), {"required": True, "signedIn": True})
        self.assert_problem(self.ask("GET", "/session", {"Origin": "http://evil.example"}), 403, "Forbidden")
        self.make_api()
        self.assertEqual(self.get("/session"), {"required": False, "signedIn": False})


class HeaderTests(ApiTestCase):
    """What every answer says of itself."""

    def test_no_answer_can_be_taken_for_something_else(self) -> None:
        """Nor shown inside a page of others; errors too, and what Twisted's own name would tell is left out."""
        for request in (b"GET /status", b"GET /nothing", b"GET /", b"POST /keys"):
            received = self.exchange(request + b" HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n").lower()
            head = received.partition(b"\r\n\r\n")[0]
            for line in (
                b"server: makima-relay",
                b"x-content-type-options: nosniff",
                b"x-frame-options: deny",
                b"referrer-policy: no-referrer",
                b"cross-origin-resource-policy: same-origin",
            ):
                self.assertIn(line, head)
            self.assertEqual(head.count(b"content-security-policy: default-src 'none';"), 1, head)
            self.assertIn(b"frame-ancestors 'none'", head)
            self.assertNotIn(b"unsafe-inline", head)
            self.assertNotIn(b"access-control", head)
