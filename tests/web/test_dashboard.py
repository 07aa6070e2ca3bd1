"""The dashboard as it is served: its files, their types, what browsers may keep, and what they may load."""

from __future__ import annotations

import re
from pathlib import Path

import makima_relay.web
from tests.web.case import Answer, ApiTestCase

STATIC = Path(makima_relay.web.__file__).with_name("static")
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"}
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
IMPORT = re.compile(r'^(?:import|export) .*?from "(.*?)";$', re.MULTILINE | re.DOTALL)


class PageTests(ApiTestCase):
    """What is at ``/``."""

    def page(self, **headers: str) -> Answer:
        """Ask as a browser does."""
        return self.ask("GET", "/", {**BROWSER, **headers})

    def test_a_browser_gets_the_page(self) -> None:
        """Without any data: whoever may not look sees nothing in it."""
        answer = self.page()
        self.assertEqual((answer.status, answer.header("Content-Type")), (200, "text/html; charset=utf-8"))
        self.assertEqual(answer.body, (STATIC / "index.html").read_bytes())
        self.assertTrue(answer.body.startswith(b"<!doctype html>"))
        self.assertNotIn(b"edge-1", answer.body)

    def test_everybody_else_gets_json(self) -> None:
        """Who asks for anything, for JSON, or for JSON rather than HTML."""
        for accept in (
            None,
            "*/*",
            "application/json",
            "application/json, text/html;q=0.9",
            "text/html;q=0",
            "text/plain",
        ):
            answer = self.ask("GET", "/", {} if accept is None else {"Accept": accept})
            self.assertEqual(answer.header("Content-Type"), "application/json", accept)
            self.assertEqual(answer.json["agentName"], "edge-1")

    def test_caches_are_told_that_there_are_two(self) -> None:
        """The answer depends on ``Accept``."""
        for accept in ("text/html", "application/json"):
            self.assertEqual(self.ask("GET", "/", {"Accept": accept}).header("Vary"), "Accept")

    def test_nothing_is_loaded_or_run_but_the_relay_s_own_files(self) -> None:
        """By the policy; and the page itself asks for nothing else."""
        answer = self.page()
        self.assertEqual(
            answer.header("Content-Security-Policy"),
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
            "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        )
        page = answer.body.decode()
        self.assertNotRegex(page, r"<style|\sstyle=|\son\w+=|<script(?![^>]* src=)|javascript:|https?://")
        for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
            self.assertEqual(self.ask("GET", path).status, 200, path)


class FileTests(ApiTestCase):
    """What the page loads."""

    def test_every_file_is_served_as_what_it_is(self) -> None:
        """Scripts and styles in a browser that sniffs nothing need their type."""
        paths = [path for path in STATIC.iterdir() if path.name != "index.html"]
        self.assertGreater(len(paths), 5)
        for path in paths:
            answer = self.ask("GET", f"/static/{path.name}")
            self.assertEqual((answer.status, answer.body), (200, path.read_bytes()), path.name)
            self.assertEqual(answer.header("Content-Type"), TYPES[path.suffix])

    def test_modules_load_only_what_is_there(self) -> None:
        """By its whole path, and nothing from elsewhere."""
        for path in STATIC.glob("*.js"):
            for module in IMPORT.findall(path.read_text()):
                self.assertRegex(module, r"^/static/\w+\.js$")
                self.assertTrue((STATIC / module.removeprefix("/static/")).exists(), (path.name, module))

    def test_no_script_makes_markup_of_texts(self) -> None:
        """Names and output come from peers."""
        for path in STATIC.glob("*.js"):
            self.assertNotRegex(path.read_text(), r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b")

    def test_what_has_not_changed_is_not_sent_again(self) -> None:
        """304, by the entity tag; a proxy that compresses makes weak ones of them."""
        for path in ("/", "/static/app.js", "/static/dashboard.css", "/static/icon.svg"):
            answer = self.ask("GET", path, BROWSER)
            self.assertEqual(answer.header("Cache-Control"), "no-cache")
            etag = answer.header("ETag") or ""
            self.assertRegex(etag, r'^"[0-9a-f]{32}"$')
            for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
                again = self.ask("GET", path, {**BROWSER, "If-None-Match": known})
                self.assertEqual((again.status, again.body, again.header("ETag")), (304, b"", etag), known)
            for other in ('"other"', etag.strip('"')[:-1], ""):
                self.assertEqual(self.ask("GET", path, {**BROWSER, "If-None-Match": other}).status, 200, other)

    def test_each_file_has_a_tag_of_its_own(self) -> None:
        """Or a browser would keep one for the other."""
        tags = [self.ask("GET", f"/static/{path.name}").header("ETag") for path in STATIC.glob("*.js")]
        self.assertEqual(len(set(tags)), len(tags))

    def test_nothing_else_is_served(self) -> None:
        """No other file of the machine, and no directory."""
        for name in ("", "nothing.js", "index.html", "..", "../api.py", "..%2Fapi.py", "%2e%2e%2fapi.py"):
            self.assert_problem(self.ask_raw(f"/static/{name}"), 404, "Not Found")
