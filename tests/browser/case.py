"""What the tests of the dashboard share: one browser, and relays that it looks at."""

from __future__ import annotations

import atexit
import functools
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Response, Route, expect, sync_playwright
from twisted.trial.unittest import SynchronousTestCase
from websockets.sync.client import ClientConnection

from tests.processes.harness import KEY, PATIENCE, RelayProcess, StandInServer, daemon

CHROMIUM: Final = shutil.which("chromium")
#: Why nothing here is tried out, if it is not. Playwright marks its loop as one that runs, so that nobody else in the
#: same thread can run one: the benchmarks do.
NO_BROWSER: Final = (
    "there is no chromium to look at the dashboard with: apt-get install chromium"
    if CHROMIUM is None
    else "the dashboard is looked at in a process of its own: trial tests.browser"
    if os.environ.get("MAKIMA_TEST_BROWSER") == "off"
    else None
)
TOKEN: Final = "a-token-for-admins"
#: No answer may be an error, unless a test expects it.
_EXPECTED: Final = re.compile("(?!)")
#: Remembers what a policy kept from being loaded or run.
_WATCH_POLICY: Final = (
    "addEventListener('securitypolicyviolation', (e) => (window.violations ??= []).push(e.blockedURI))"
)

expect.set_options(timeout=PATIENCE * 500)


@functools.cache
def browser() -> Browser:
    """The one browser of this process."""
    playwright = sync_playwright().start()
    # Root, as in a container, has no sandbox to put it in.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    started = playwright.chromium.launch(executable_path=CHROMIUM, args=options)

    def end() -> None:
        started.close()
        playwright.stop()

    atexit.register(end)
    return started


class Stage:
    """A server, and a relay that knows it.

    :param environment: further variables of the relay.
    """

    def __init__(self, **environment: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="makima-relay-"))
        self.server = StandInServer()
        self._environment = environment
        self.relay = self.start("tcp:0:interface=127.0.0.1")
        self.port = self.relay.port()
        self.link = self.server.relay()

    def start(self, listen: str) -> RelayProcess:
        """Start the relay."""
        variables = {
            "MAKIMA_SERVER_URL": self.server.url,
            "MAKIMA_API_KEY": KEY,
            "MAKIMA_AGENT_NAME": "edge-1",
            "MAKIMA_RELAY_LISTEN": listen,
            **self._environment,
        }
        return RelayProcess(self.directory, ["makima-relay"], variables, patience=5 * PATIENCE)

    def end(self) -> None:
        """End both."""
        if self.relay.process.poll() is None:
            self.relay.end()
        self.server.stop()
        shutil.rmtree(self.directory)


@functools.cache
def shared_stage(**environment: str) -> Stage:
    """A stage that tests share, for as long as this process lives: a start takes longer than what they do with it."""
    stage = Stage(**environment)
    atexit.register(stage.end)
    return stage


class BrowserTestCase(SynchronousTestCase):
    """Looks at a relay, and minds what the browser complains about."""

    skip = NO_BROWSER
    #: Variables of the relay.
    environment: dict[str, str] = {}  # noqa: RUF012 - nobody changes it

    def setUp(self) -> None:
        self.complaints: list[str] = []
        self.stage = self.make_stage()

    def make_stage(self) -> Stage:
        """What is looked at."""
        return shared_stage(**self.environment)

    def daemon(self, hostname: str, slots: int = 4) -> ClientConnection:
        """Connect a daemon for the time of the test."""
        return self.enterContext(daemon(self.stage.port, hostname, slots))

    def page(
        self,
        path: str = "",
        width: int = 1440,
        scheme: Any = "light",
        expected: str | None = None,
        routes: Mapping[str, Callable[[Route], None]] = MappingProxyType({}),
    ) -> Page:
        """Open the dashboard in a window of its own.

        :param expected: a pattern of the paths that may be answered with an error.
        :param routes: what is answered in place of the relay, by the paths of it.
        """
        size = {"width": width, "height": 900}
        context = browser().new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        self.addCleanup(context.close)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        context.add_init_script(_WATCH_POLICY)
        context.set_default_timeout(PATIENCE * 500)
        page = context.new_page()
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("response", functools.partial(self._answered, _EXPECTED if expected is None else re.compile(expected)))
        self.addCleanup(self._check, page)
        for pattern, answered in routes.items():
            page.route(pattern, answered)
        page.goto(f"http://127.0.0.1:{self.stage.port}/{path}")
        return page

    def _console(self, message: ConsoleMessage) -> None:
        # Which answers may be errors is looked at by themselves.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def _answered(self, expected: re.Pattern[str], response: Response) -> None:
        if response.status >= 400 and not expected.search(response.url):
            self.complaints.append(f"{response.status} {response.url}")

    def _check(self, page: Page) -> None:
        self.assertEqual(page.evaluate("window.violations ?? []"), [])
        self.assertEqual(self.complaints, [])

    def see(self, place: Locator, *texts: str | re.Pattern[str]) -> None:
        """Wait until something has all of these texts."""
        for text in texts:
            expect(place).to_contain_text(text)

    def row(self, page: Page, table: str, text: str) -> Locator:
        """The row of a table that has a text."""
        return page.locator(f"{table} tbody tr").filter(has_text=text)


def answer(**options: Any) -> Callable[[Route], None]:
    """Answers in place of the relay."""
    return lambda route: route.fulfill(**options)
