"""``docs/how-to/troubleshooting.md`` against what the relay really says."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from tests.docs.journal import journal_events
from tests.docs.pages import ROOT, in_code, page

PAGE = page("docs/how-to/troubleshooting.md")
#: What is shown of an error that the operating system words.
_FROM_ELSEWHERE = {"Address already in use"}
#: A text of the relay's: words with a blank between them, and no sign of code.
_SENTENCE = re.compile(r"[a-zA-Z][^`{}=<>/_]* [^`{}=<>/_]*")


def said() -> str:
    """All that the relay's source has, with its string literals as one line where they are broken."""
    package = ROOT / "makima_relay"
    texts = [path.read_text(encoding="utf-8") for path in sorted(package.rglob("*.py"))]
    return re.sub(r'"\s*\n\s*f?"', "", "\n".join(texts))


class TroubleshootingPageTests(SynchronousTestCase):
    """Whoever searches the page for what they see finds it."""

    def test_the_page_explains_every_event_of_the_journal_and_no_other(self) -> None:
        """One row may have several."""
        listed = {event for events, _ in PAGE.rows("event") for event in in_code(events)}
        self.assertEqual(listed, journal_events())

    def test_what_the_page_quotes_is_what_the_relay_says(self) -> None:
        """Each part of a quoted sentence is in the source."""
        source = said()
        quotes = {
            part.strip(" :")
            for line in PAGE.prose.splitlines()
            if line.startswith("|")
            for code in in_code(line.split("|")[1])
            if _SENTENCE.fullmatch(code) and code not in _FROM_ELSEWHERE
            for part in re.split(r"…|: |\b[NM]\b", code)
            if part.strip(" :")
        }
        self.assertGreater(len(quotes), 20)
        self.assertEqual([quote for quote in sorted(quotes) if quote not in source], [])
