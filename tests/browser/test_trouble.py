"""What is seen when the server, the relay or the database is away."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import expect

from tests.browser.case import BrowserTestCase, Stage, answer
from tests.processes.harness import StandInServer, ask


class AwayTests(BrowserTestCase):
    """Has a relay of its own, to take things from."""

    def make_stage(self) -> Stage:
        """It tries again twice: after minutes, so that one can watch it wait, however slow all is."""
        delays = {"MAKIMA_RELAY_RECONNECT_INITIAL_DELAY": "300", "MAKIMA_RELAY_RECONNECT_MAX_DELAY": "300"}
        stage = Stage(MAKIMA_RELAY_MAX_RECONNECT_ATTEMPTS="2", **delays)
        self.addCleanup(stage.end)
        return stage

    def test_a_server_that_is_away_is_waited_for_given_up_and_reached_again(self) -> None:
        """The next attempt is counted down; then the button is what is left."""
        page = self.page()
        state = page.locator(".upstream")
        self.see(state, "Connected")
        self.stage.server.stop()
        self.see(state, "Not connected", re.compile(r"next attempt in \d+ s"), "the connection to the server is lost")
        left = state.inner_text()
        expect(state).not_to_have_text(left)
        for _ in range(2):
            state.get_by_role("button").click()
            page.get_by_role("dialog").get_by_role("button", name="Connect now").click()
            self.see(state, "1 attempt failed in a row")
        self.see(page.locator("#announcer"), "Makima server: not connected")
        self.stage.server = StandInServer(self.stage.server.port)
        state.get_by_role("button").click()
        page.get_by_role("dialog").get_by_role("button", name="Connect now").click()
        self.see(state, "last heartbeat")
        self.see(page.locator("#announcer"), "Makima server: connected")

    def test_a_relay_that_is_away_is_waited_for(self) -> None:
        """What was seen last stays, and is said to be old; when it is back all goes on."""
        page = self.page()
        self.see(page.locator("#recent"), "upstream connected")
        self.stage.relay.end()
        self.see(
            page.locator("#banners"), "The relay does not answer.", re.compile(r"Trying again in \d+ s|Trying again …")
        )
        self.see(page.locator("#recent"), "upstream connected")
        # Whether the server is connected nobody knows now.
        expect(page.locator("#upstream-badge")).to_be_hidden()
        # As long as it is away: when it is back the page may find that out before a click.
        with page.expect_request("**/status"):
            page.get_by_role("button", name="Try now").click()
        self.stage.relay = self.stage.start(f"tcp:{self.stage.port}:interface=127.0.0.1")
        self.stage.relay.port()
        expect(page.locator("#banners")).to_be_empty()
        self.see(page.locator("#recent"), "relay stopped")
        self.complaints.clear()


class StateTests(BrowserTestCase):
    """States that the relay tells of itself."""

    def status(self, **upstream: object) -> dict[str, object]:
        """What ``/status`` says, with something else about the connection to the server."""
        status: dict[str, Any] = ask(self.stage.port, "/status")
        return {**status, "upstream": {**status["upstream"], **upstream}}

    def test_a_server_that_was_given_up_is_told_with_what_to_do(self) -> None:
        """The button is the one thing that stands out."""
        status = self.status(state="gave_up", attempt=20)
        page = self.page(routes={"**/status": answer(json=status)})
        self.see(page.locator(".upstream"), "Gave up", "after 20 failed attempts")
        expect(page.locator("#reconnect")).to_have_class("primary")

    def test_a_full_outbox_and_a_database_that_cannot_be_written_are_told(self) -> None:
        """Above everything."""
        sick = answer(status=503, json={"healthy": False, "upstreamConnected": True})
        full = answer(json=self.status(outboxHasRoom=False))
        page = self.page(expected="/health$", routes={"**/health": sick, "**/status": full})
        self.see(page.locator("#banners"), "The database cannot be written", "The outbox is full")

    def test_a_relay_that_may_not_be_looked_at_from_here_says_why(self) -> None:
        """Without a token, from another machine."""
        refused = answer(status=403, json={"detail": "set SOME_VARIABLE"})
        page = self.page(expected="", routes={"**/daemons": refused, "**/tasks?*": refused})
        self.see(page.locator("#view-refused"), "Not from here", "set SOME_VARIABLE")
