"""Whether the relay is well."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from makima_relay.core.policy import Policy
from tests.fakes import HandStore, elapse, unavailable
from tests.web.case import ApiTestCase


class HealthTests(ApiTestCase):
    """``/health``, ``/livez`` and ``/readyz``."""

    policy = Policy()

    def answers(self, *paths: str) -> list[int]:
        """The status of each."""
        return [self.ask("GET", path).status for path in paths]

    def test_a_relay_that_can_write_is_healthy(self) -> None:
        """Also when the server is away."""
        self.assertEqual(self.get("/health"), {"healthy": True, "upstreamConnected": False})
        elapse(self.reactor, 100)
        self.assertEqual(self.get("/health"), {"healthy": True, "upstreamConnected": False})
        self.go_live()
        self.assertEqual(self.get("/health"), {"healthy": True, "upstreamConnected": True})

    def test_a_relay_is_ready_when_all_is_well(self) -> None:
        """Listening, database writable, server there; each is told."""
        answer = self.ask("GET", "/readyz")
        self.assertEqual(answer.status, 503)
        self.assertEqual(
            answer.json,
            {
                "ready": False,
                "listening": True,
                "databaseWritable": True,
                "upstreamConnected": False,
                "outboxHasRoom": True,
            },
        )
        self.go_live()
        self.assertTrue(self.get("/readyz")["ready"])
        self.make_api(addresses=[])
        self.assertEqual(self.answers("/readyz"), [503])

    def test_a_locked_database_is_unhealthy_until_it_is_released(self) -> None:
        """It is tried out when nothing was written lately; the process is alive all the same."""
        self.go_live()
        elapse(self.reactor, 0.1)
        elapse(self.reactor, 2)
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            answer = self.ask("GET", "/health")
            self.assertEqual((answer.status, answer.json), (503, {"healthy": False, "upstreamConnected": True}))
            self.assertEqual(self.answers("/readyz", "/livez", "/status"), [503, 200, 200])
            other.execute("ROLLBACK")
        self.assertEqual(self.answers("/health", "/readyz"), [200, 200])

    def test_a_suspended_relay_is_unhealthy_until_it_goes_on(self) -> None:
        """It knows already that its commits fail; history and status can be read meanwhile."""
        store = HandStore()
        self.start(store)
        self.make_api()
        elapse(self.reactor, 0.05)
        store.commits[0].fails(unavailable())
        self.assertEqual(self.answers("/health", "/readyz", "/tasks", "/status"), [503, 503, 200, 200])
        elapse(self.reactor, 0.1)
        store.commits[1].succeeds()
        self.assertEqual(self.answers("/health"), [200])
