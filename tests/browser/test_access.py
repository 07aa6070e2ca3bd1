"""Signing in and out, and the keys of daemons."""

from __future__ import annotations

import json

from playwright.sync_api import Page, expect
from websockets.sync.client import connect

from tests.browser.case import TOKEN, BrowserTestCase, answer
from tests.processes.harness import PATIENCE, say


class TokenTestCase(BrowserTestCase):
    """Has a relay with an admin token."""

    environment = {"MAKIMA_RELAY_ADMIN_TOKEN": TOKEN}  # noqa: RUF012 - nobody changes it

    def sign_in(self, page: Page, token: str = TOKEN) -> None:
        """Fill in the form."""
        page.get_by_label("Admin token").fill(token)
        page.get_by_role("button", name="Sign in").click()


class SignInTests(TokenTestCase):
    """Who may look."""

    def test_one_signs_in_once_and_out_again(self) -> None:
        """A wrong token is said to be wrong; a reload changes nothing; who is out sees nothing more."""
        page = self.page(expected="/session$")
        expect(page.get_by_label("Admin token")).to_be_focused()
        self.see(page.locator("#upstream-badge"), "connected")
        self.sign_in(page, "guessed")
        self.see(page.get_by_role("alert"), "This is not the token.")
        expect(page.get_by_label("Admin token")).to_be_focused()
        self.sign_in(page)
        self.see(page.locator("#fleet"), "No daemon is connected.", f"ws://127.0.0.1:{self.stage.port}/ws/daemon")
        self.see(page.locator("#tasks"), "No tasks yet.")
        self.assertNotIn(TOKEN, page.content())
        page.reload()
        self.see(page.locator("#recent"), "upstream connected")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Admin token")).to_be_focused()
        expect(page.locator("#view-overview")).to_be_hidden()
        page.reload()
        expect(page.get_by_label("Admin token")).to_be_visible()

    def test_a_sign_in_that_has_ended_leads_back_to_the_form(self) -> None:
        """And from there to where one was."""
        page = self.page("#/log", expected="")
        self.sign_in(page)
        self.see(page.locator("#log"), "upstream connected")
        page.context.clear_cookies()
        expect(page.get_by_label("Admin token")).to_be_visible()
        self.sign_in(page)
        self.see(page.locator("#log"), "upstream connected")

    def test_who_guesses_too_often_has_to_wait(self) -> None:
        """As long as the relay says."""
        page = self.page(expected="/session$")
        page.route("**/session", answer(status=429, headers={"Retry-After": "1"}, json={"detail": "too many"}))
        self.sign_in(page)
        self.see(page.get_by_role("alert"), "Too many wrong tokens from this address. Try again in 1 s.")
        expect(page.get_by_role("button", name="Sign in")).to_be_disabled()
        page.unroute_all()
        expect(page.get_by_role("button", name="Sign in")).to_be_enabled()


class KeyTests(TokenTestCase):
    """The keys of daemons."""

    def test_a_key_is_made_shown_once_rotated_and_revoked(self) -> None:
        """What was shown lets a daemon in, and no more after that."""
        page = self.page("#/keys")
        self.sign_in(page)
        page.locator("#new-key-name").fill("build-7")
        page.get_by_role("button", name="Make a key").click()
        dialog = page.get_by_role("dialog")
        key = dialog.locator("code").inner_text()
        dialog.get_by_role("button", name="Copy").click()
        self.see(dialog, "Copied")
        self.assertEqual(page.evaluate("navigator.clipboard.readText()"), key)
        dialog.get_by_role("button", name="I have it").click()
        # It is taken out of the page a moment after it has been closed.
        expect(page.locator("dialog")).to_have_count(0)
        self.assertNotIn(key, page.content())
        row = self.row(page, "#keys", "build-7")
        self.see(row, "never")
        page.get_by_role("button", name="Rotate build-7").click()
        dialog.get_by_role("button", name="Make a further key").click()
        self.see(dialog, "Further key “build-7”")
        self.assertNotEqual(dialog.locator("code").inner_text(), key)
        page.keyboard.press("Escape")
        self.see(row, "its older key is taken until")
        page.get_by_role("button", name="Revoke build-7").click()
        dialog.get_by_role("button", name="Revoke").click()
        self.see(page.locator("#keys"), "There are no keys.")
        self.assertEqual(self.admitted(key), "error")

    def test_a_name_in_use_is_refused_in_words(self) -> None:
        """Where it was typed."""
        page = self.page("#/keys", expected="/keys$")
        self.sign_in(page)
        for _ in range(2):
            page.locator("#new-key-name").fill("twice")
            page.get_by_role("button", name="Make a key").click()
            page.get_by_role("dialog").or_(page.locator("#keys-error:not(:empty)")).wait_for()
            page.keyboard.press("Escape")
        self.see(page.locator("#keys-error"), "this name is in use")

    def admitted(self, key: str) -> str:
        """How the relay answers a daemon with a key."""
        with connect(f"ws://127.0.0.1:{self.stage.port}/ws/daemon") as connection:
            say(connection, type="authenticate", apiKey=key, hostname="build-7", maxConcurrentTasks=1)
            kind: str = json.loads(connection.recv(PATIENCE))["type"]
            return kind
