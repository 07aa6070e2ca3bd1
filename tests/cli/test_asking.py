"""How commands ask a relay, and what they say when it does not answer as wanted."""

from __future__ import annotations

from collections.abc import Callable

from klein import Klein
from treq.testing import StubTreq
from twisted.internet import error
from twisted.internet.defer import fail, succeed
from twisted.web.iweb import IRequest

from makima_relay.cli.asking import Surroundings
from makima_relay.cli.errors import ExitStatus
from tests.cli.case import CommandTestCase


def answering(answer: Callable[[IRequest], bytes]) -> StubTreq:
    """A server that answers everything in one way."""
    app = Klein()
    app.route("/", branch=True)(answer)
    return StubTreq(app.resource())


class AskingTests(CommandTestCase):
    """Tokens, refusals and strangers."""

    def test_the_admin_token_is_presented(self) -> None:
        """From its variable; without it, or with a wrong one, the status says that this is not allowed."""
        self.make_api(token="s3cret-token")
        self.assertIn("DAEMON", self.run_well("daemons", MAKIMA_RELAY_ADMIN_TOKEN="s3cret-token"))
        self.assert_fails(self.run_command("daemons"), ExitStatus.NOT_ALLOWED, "set MAKIMA_RELAY_ADMIN_TOKEN")
        result = self.run_command("daemons", MAKIMA_RELAY_ADMIN_TOKEN="another-token")
        self.assert_fails(result, ExitStatus.NOT_ALLOWED, "does not take this admin token")
        self.assertNotIn("another-token", result.output)

    def test_the_status_is_open(self) -> None:
        """It needs no token."""
        self.make_api(token="s3cret-token")
        self.assertIn("edge-1", self.run_well("status"))

    def test_a_token_that_would_go_in_clear_is_warned_of(self) -> None:
        """To another machine; not on this one."""
        self.make_api(token="s3cret-token")
        result = self.run_command("status", "--url", "http://relay.example", MAKIMA_RELAY_ADMIN_TOKEN="s3cret-token")
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertIn("http://relay.example is not encrypted", result.stderr)
        self.assertEqual(self.run_command("status", MAKIMA_RELAY_ADMIN_TOKEN="s3cret-token").stderr, "")

    def test_no_option_takes_the_token(self) -> None:
        """Every user of the machine could see it."""
        for command in ("status", "tasks", "task", "daemons", "logs", "drain", "reconnect", "cancel", "top"):
            self.assertNotIn("--token", self.run_well(command, "--help"))

    def test_what_the_relay_refuses_is_said_in_its_words(self) -> None:
        """In one line, with the status for a no."""
        for arguments, words in (
            (("task", "nobody"), "there is no task of this id"),
            (("cancel", "nobody"), "there is no task of this id"),
            (("drain", "nobody"), "no daemon of the id or hostname nobody is connected"),
        ):
            self.assert_fails(self.run_command(*arguments), ExitStatus.REFUSED, words)

    def test_what_is_no_text_is_a_wrong_argument(self) -> None:
        """A shell passes on any bytes."""
        for arguments in (
            ("task", "a\udcff"),
            ("cancel", "\udcff"),
            ("tasks", "--query", "\udcff"),
            ("task", "\udcff", "--output", "--follow"),
        ):
            self.assert_fails(self.run_command(*arguments), ExitStatus.MISUSED, "is not UTF-8 text")

    def test_a_wrong_url_is_a_wrong_option(self) -> None:
        """What it holds is not shown: it may be a password."""
        for url in ("ftp://x", "http://user:secret@x", "http://x?secret", "http://", "unix:", "http://x:99999", "x"):
            result = self.run_command("status", "--url", url)
            self.assert_fails(result, ExitStatus.MISUSED, "--url: this is not allowed; it takes an http://")
            self.assertNotIn("secret", result.output)

    def test_a_relay_that_is_not_there_is_said(self) -> None:
        """With where it was looked for and why there is none."""
        away = type("Away", (), {"request": staticmethod(lambda *_, **__: fail(error.ConnectionRefusedError()))})()
        self.treq = away
        self.assert_fails(self.run_command("status"), ExitStatus.UNREACHABLE, "no relay answers at http://localhost:87")

    def test_another_server_is_no_relay(self) -> None:
        """Whatever it answers; a token does not go on to where it redirects."""

        def redirect(request: IRequest) -> bytes:
            request.redirect(b"http://elsewhere.example/")
            return b"{}"

        for answer in (lambda _: b"<html>hello</html>", lambda _: b"[]", redirect):
            self.treq = answering(answer)
            self.assert_fails(self.run_command("daemons"), ExitStatus.UNREACHABLE, "is no relay")

    def test_what_another_server_says_cannot_write_to_the_terminal(self) -> None:
        """Its control characters are escaped."""

        def refuse(request: IRequest) -> bytes:
            request.setResponseCode(409)
            return b'{"detail": "no\\u001b[31m"}'

        self.treq = answering(refuse)
        self.assert_fails(self.run_command("reconnect"), ExitStatus.REFUSED, r"no\x1b[31m")

    def test_a_bug_is_one_line_too(self) -> None:
        """With the place, and no traceback."""
        around = Surroundings(lambda _: succeed(1 // 0))
        from click.testing import CliRunner

        from makima_relay.cli import makima_relay

        result = CliRunner().invoke(makima_relay, ["status", "--url", "http://x"], obj=around)
        self.assert_fails(result, ExitStatus.REFUSED, "this is a bug: ZeroDivisionError")
