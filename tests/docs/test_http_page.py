"""``docs/http.md`` against the routes, and against the words of the journal."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.web.api import Api
from tests.docs.journal import journal_events
from tests.docs.pages import in_code, page

#: Methods that Werkzeug adds by itself.
_ADDED = {"HEAD", "OPTIONS"}


def shape(path: str) -> str:
    """A path in which parameters have no name, and whatever lies below a directory is left out."""
    path = re.sub(r"<path:__rest__>|…$", "", path)
    return re.sub(r"<[^>]+>|\{[^}]+\}", "{}", path)


class HttpPageTests(SynchronousTestCase):
    """What the page lists is what the relay answers."""

    def test_the_page_has_every_route_and_no_other(self) -> None:
        """By method and path."""
        routes = {
            (method, shape(rule.rule)) for rule in Api.app.url_map.iter_rules() for method in rule.methods - _ADDED
        }
        listed = {
            ("GET" if method == "WebSocket" else method, shape(path))
            for methods, paths, _who, _what in page("docs/http.md").rows("method")
            for method in methods.split(", ")
            for path in in_code(paths)
        }
        self.assertEqual(listed, routes)

    def test_the_page_has_every_event_of_the_journal_and_no_other(self) -> None:
        """What ``/logs`` may say."""
        found = re.search(r"^Events: (.*?)\.$", page("docs/http.md").prose, re.MULTILINE | re.DOTALL)
        assert found is not None
        self.assertEqual(set(in_code(found[1])), journal_events())
