"""When a relay has nothing left to do."""

from __future__ import annotations

from makima_relay.core.cluster import AWAY_AFTER
from tests.core.builders import NOW
from tests.core.cases import RelayTestCase
from tests.core.peer_case import DONE, PEER_GRACE, SPAWN, P, PeerTestCase


class IdleTests(RelayTestCase):
    """A relay alone."""

    def test_a_task_and_its_reports_are_work_until_the_server_has_them(self) -> None:
        """Whether anybody has the task or not."""
        self.connect_server()
        self.assertTrue(self.relay.is_idle)
        self.command(SPAWN)
        self.assertFalse(self.relay.is_idle)
        self.report(self.join(), DONE)
        self.assertFalse(self.relay.is_idle)
        self.relay.acknowledged(1)
        self.assertTrue(self.relay.is_idle)


class ClusterTests(PeerTestCase):
    """A relay with peers."""

    def test_a_task_of_a_peers_is_work_until_the_peer_has_its_end(self) -> None:
        """Also while its daemon is gone, and may return."""
        daemon = self.host()
        self.relay.daemon_lost(daemon, "gone", NOW)
        self.assertEqual(self.relay.reports_waiting, 0)
        self.assertFalse(self.relay.is_idle)
        self.report(self.join(), DONE)
        self.assertEqual(self.relay.foreign_tasks, 0)
        self.assertFalse(self.relay.is_idle)
        self.relay.entries_acknowledged(P, 100, NOW)
        self.assertTrue(self.relay.is_idle)

    def test_a_peer_that_is_away_for_good_is_waited_for_no_longer_than_its_grace(self) -> None:
        """Then its tasks are reported to this relay's own server."""
        daemon = self.host()
        self.relay.entries_acknowledged(P, 100, NOW)
        self.pass_time(AWAY_AFTER)
        self.report(daemon, DONE)
        self.assertFalse(self.relay.is_idle)
        self.pass_time(AWAY_AFTER + PEER_GRACE)
        self.assertEqual(self.relay.reports_waiting, 1)
        self.relay.acknowledged(1)
        self.assertTrue(self.relay.is_idle)
