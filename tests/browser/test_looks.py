"""Whether everybody can use it: with a keyboard, on a phone, in both schemes; and strangers' texts stay texts."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.case import BrowserTestCase, answer
from tests.processes.harness import PATIENCE, say

#: Every visible text whose contrast with what is behind it is below 4.5 (3 for large ones), as WCAG 2.2 reckons it.
POOR_CONTRAST = """() => {
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const color = parts(getComputedStyle(node).backgroundColor);
      if (color.length === 3 || color[3] > 0.99) return color;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const node of document.querySelectorAll('body *')) {
    const says = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!says || !node.checkVisibility() || node.matches('.hidden-text, .hidden-text *, option')) continue;
    const style = getComputedStyle(node);
    const [front, back] = [node instanceof SVGElement ? style.fill : style.color, null]
      .map((color, place) => light(place ? behind(node) : parts(color)));
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (ratio < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) poor.push(`${node.textContent}: ${ratio.toFixed(2)}`);
  }
  return poor;
}"""
_XSS = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'


class LookTests(BrowserTestCase):
    """On every view, with something on it."""

    def setUp(self) -> None:
        super().setUp()
        self.worker = self.daemon("looked-at-" + "x" * 60)
        for number, end in enumerate((True, False, None)):
            name = f"task with a long name {'y' * 80}"
            say(self.stage.link, type="spawnTask", taskId=f"look-{number}-{self.id()}"[:128], taskName=name)
            task_id = f"look-{number}-{self.id()}"[:128]
            self.worker.recv(PATIENCE)
            if end is not None:
                say(self.worker, type="taskComplete", taskId=task_id, success=end, error="z" * 200)

    def each_view(self, page: Page) -> list[tuple[str, str]]:
        """The addresses of all views, and what tells that each is there."""
        task = page.locator("#tasks a.name").first.get_attribute("href")
        assert task is not None
        return [("#/", "#tasks tbody tr"), (task, "#timeline li"), ("#/log", "#log tbody tr"), ("#/keys", "#keys p")]

    def test_nothing_is_wider_than_a_phone(self) -> None:
        """At 400 px tables become cards, whatever is in them."""
        page = self.page(width=400)
        self.see(page.locator("#tasks"), "failed")
        for address, sign in self.each_view(page):
            page.evaluate("(address) => { location.hash = address }", address)
            expect(page.locator(sign).first).to_be_visible()
            self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth"), 400, address)

    def test_every_text_can_be_read_in_both_schemes(self) -> None:
        """By the contrast of its colours."""
        for scheme in ("light", "dark"):
            page = self.page(scheme=scheme)
            self.see(page.locator("#tasks"), "failed")
            for address, sign in self.each_view(page):
                page.evaluate("(address) => { location.hash = address }", address)
                expect(page.locator(sign).first).to_be_visible()
                self.assertEqual(page.evaluate(POOR_CONTRAST), [], (scheme, address))

    def test_a_keyboard_is_enough(self) -> None:
        """Past the header, through a view, into a dialog and out again."""
        page = self.page()
        self.see(page.locator("#tasks"), "failed")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("main")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.locator("#reconnect")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog").get_by_role("button", name="Reconnect")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.locator("#reconnect")).to_be_focused()
        page.get_by_role("link", name="Log", exact=True).press("Enter")
        expect(page.get_by_role("heading", level=1, name="Log")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.locator("#log-event")).to_be_focused()
        expect(page.locator("#log-event")).not_to_have_css("outline-style", "none")

    def test_what_strangers_say_stays_text(self) -> None:
        """Names of tasks and machines, errors, output."""
        worker = self.daemon(_XSS)
        # It goes to the daemon that is less busy.
        say(self.stage.link, type="spawnTask", taskId=_XSS, taskName=_XSS)
        worker.recv(PATIENCE)
        say(worker, type="taskComplete", taskId=_XSS, success=False, error=_XSS)
        page = self.page()
        self.see(page.locator("#fleet"), _XSS)
        self.see(page.locator("#tasks"), _XSS)
        said = {"type": "taskOutput", "output": _XSS}
        kept = [{"number": 1, "at": "2024-12-15T10:30:00.000Z", "payload": said}]
        page.route("**/output", answer(json={"output": kept, "truncated": False, "lastEventId": "aa-1-1"}))
        self.row(page, "#tasks", "failed").filter(has_text="<img").get_by_role("link").first.click()
        self.see(page.locator("#output"), _XSS)
        self.see(page.locator("#task-trouble"), _XSS)
        page.evaluate("() => { location.hash = '#/log' }")
        self.see(page.locator("#log"), _XSS)
        made = "document.querySelectorAll('img:not(.brand img), main script').length"
        self.assertEqual(page.evaluate(f"[window.hacked, {made}]"), [None, 0])
        page.unroute_all()
