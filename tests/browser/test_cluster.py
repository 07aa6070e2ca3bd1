"""The page about all relays of a cluster; who is in it is the test's, and the rest a relay's."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Page, Route, expect

from makima_relay.web.cluster_bodies import ClusterTaskPage
from makima_relay.web.examples import EXAMPLES
from tests.browser.case import BrowserTestCase
from tests.browser.test_looks import POOR_CONTRAST

_COUNTS = ("connectedDaemons", "freeSlots", "busySlots", "activeTasks", "pendingTasks", "foreignTasks")


def relay(relay_id: str, *, is_present: bool = True) -> dict[str, Any]:
    """A relay as it is told."""
    counts = dict(zip(_COUNTS, (2, 5, 3, 4, 6, 1), strict=True))
    return {
        **counts,
        "relayId": relay_id,
        "agentName": f"edge-{relay_id}-{'x' * 60}",
        "version": "1",
        "present": is_present,
        "lastSeen": "2024-01-01T00:00:00.000Z",
        "upstreamConnected": True,
        "oldestPendingSeconds": 130.0,
    }


class ClusterPageTests(BrowserTestCase):
    """Where there is a cluster, and where there is none."""

    def setUp(self) -> None:
        super().setUp()
        self.redis = {"connected": True, "since": "2024-01-01T00:00:00.000Z"}
        elsewhere = EXAMPLES[ClusterTaskPage]["tasks"][0]
        own = {**elsewhere, "taskId": "own", "taskName": "own", "relay": None, "originId": "a", "origin": "edge-a"}
        self.tasks = [{**elsewhere, "taskName": "<b>elsewhere</b>"}, own]

    def _status(self, route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, json={**response.json(), "cluster": "default"})

    def _cluster(self, route: Route) -> None:
        relays = [relay("a"), relay("b"), relay("c", is_present=False)]
        totals = {name: 2 * relays[0][name] for name in _COUNTS}
        said = {"cluster": "default", "relayId": "a", "redis": self.redis, "asOf": "2024-01-01T00:00:00.000Z"}
        route.fulfill(body=json.dumps({**said, "relays": relays, "totals": totals}), content_type="application/json")

    def _tasks(self, route: Route) -> None:
        found = self.tasks[:1] if "q=else" in route.request.url else self.tasks
        said = {"tasks": found, "total": len(found), "limit": 25, "offset": 0}
        route.fulfill(body=json.dumps(said), content_type="application/json")

    def open(self, **options: Any) -> Page:
        """Open the page of a cluster."""
        routes = {"**/status": self._status, "**/cluster": self._cluster, "**/cluster/tasks?*": self._tasks}
        return self.page("#/cluster", routes=routes, **options)

    def test_it_shows_relays_and_where_tasks_run_in_every_state(self) -> None:
        """On a phone too; while Redis is away what was known, with how old that is."""
        page = self.open(width=400, scheme="dark")
        self.see(self.row(page, "#cluster-relays", "edge-a"), "this relay", "present", "3 of 8", "6 pending", "2 min")
        self.see(self.row(page, "#cluster-relays", "edge-c"), "away", "seen")
        self.see(page.locator("#cluster-totals"), "2present, 1 away", "the oldest waits 2 min")
        self.see(self.row(page, "#cluster-tasks", "<b>elsewhere</b>"), "edge-berlin", "at edge-lyon", "build-7")
        expect(page.get_by_role("link", name="own", exact=True)).to_have_attribute("href", "#/tasks/own")
        page.locator("#cluster-q").fill("else")
        expect(page.locator("#cluster-tasks tbody tr")).to_have_count(1)
        self.assertIn("q=else", page.evaluate("location.hash"))
        self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth"), 400)
        self.assertEqual(page.evaluate(POOR_CONTRAST), [])
        self.redis = {"connected": False, "since": "2024-01-01T00:00:00.000Z"}
        self.see(page.locator("#cluster-away"), "Redis has been away for", "Other relays are shown as they were")
        self.see(self.row(page, "#cluster-relays", "edge-b"), "unknown", "seen")
        self.see(page.locator("#cluster-tasks"), "Redis is away")
        self.assertEqual(page.evaluate(POOR_CONTRAST), [])
        self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth"), 400)

    def test_without_a_cluster_there_is_no_such_page(self) -> None:
        """Who opens its address is told; nothing is asked for."""
        page = self.page("#/cluster")
        self.see(page.locator("#cluster-relays"), "This relay is in no cluster.")
        expect(page.get_by_role("link", name="Cluster")).to_have_count(0)
        expect(page.locator("#cluster-tasks-panel")).to_be_hidden()
