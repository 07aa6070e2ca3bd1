"""``makima-relay cluster``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from makima_relay.cli.cluster import cluster_facts
from makima_relay.cli.errors import ExitStatus
from tests.cli.case import CommandTestCase
from tests.web.test_cluster import Cluster

NOW = datetime(2024, 12, 15, 10, 31, tzinfo=UTC)


class ClusterCommandTests(CommandTestCase):
    """What it shows."""

    def setUp(self) -> None:
        """Join a cluster."""
        super().setUp()
        self.cluster = Cluster()
        self.api.cluster = self.cluster

    def facts(self) -> dict[str, Any]:
        """What is said of all together."""
        return {name: str(value) for name, value in cluster_facts(self.get("/cluster"), NOW)}

    def test_it_is_facts_and_a_line_for_each_relay(self) -> None:
        """Or what the relay answers."""
        lines = self.run_well("cluster").splitlines()
        facts = {
            "tasks": "404 active, 505 pending; 606 at another relay's daemons",
            "slots": "202 of 505 free, 101 daemons",
        }
        self.assertLessEqual(facts.items(), self.facts().items())
        self.assertEqual(lines[0].split("  "), ["cluster", "default, 2 of 3 relays present"])
        rows = [line.split() for line in lines[5:]]
        self.assertEqual(rows[0][:8], ["name-a", "present", "connected", "100", "300/500", "400", "500", "1"])
        self.assertEqual([row[1] for row in rows], ["present", "present", "away"])
        self.assertEqual(self.run_json("cluster"), self.get("/cluster"))

    def test_while_redis_is_away_it_is_said_how_old_that_is(self) -> None:
        """Or that nothing is known yet."""
        self.assertEqual(self.facts()["redis"], "connected, since 1 min ago")
        self.cluster.is_connected = False
        self.assertEqual(self.facts()["redis"], "away, since 1 min ago: other relays are shown as they were 59 s ago")
        self.cluster.as_of = None
        self.assertEqual(self.facts()["redis"], "away, since 1 min ago: nothing is known of other relays")

    def test_the_status_names_the_cluster(self) -> None:
        """Where there is one."""
        self.assertIn("cluster    default, 0 tasks of other relays here\n", self.run_well("status"))
        self.api.cluster = None
        self.assertNotIn("cluster", self.run_well("status"))

    def test_without_a_cluster_that_is_said(self) -> None:
        """In one line."""
        self.api.cluster = None
        self.assert_fails(self.run_command("cluster"), ExitStatus.REFUSED, "started without --redis")
