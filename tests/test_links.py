"""What one commit releases goes to each peer together, and in its order."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.effects import CloseDaemon, SendReports, SendToDaemon, SendUpstream
from makima_relay.links import Links
from tests.fakes import RecordingDaemon, RecordingUpstream

SERVER = 9


class GatheringTests(SynchronousTestCase):
    """Two daemons and a server, which note what they get."""

    def setUp(self) -> None:
        self.notes: list[tuple[Any, ...]] = []
        self.links = Links()
        for connection, name in ((1, "a"), (2, "b")):
            self.links.daemon_joined(connection, RecordingDaemon(name, self.notes))
        self.links.upstream_ready(SERVER, RecordingUpstream("server", self.notes))
        self.notes.clear()
        self.links.gather()

    def send(self, connection: int, payload: bytes) -> None:
        """Send a daemon something."""
        self.links.send_to_daemon(SendToDaemon(connection, payload))

    def report(self, number: int) -> None:
        """Send the server a report."""
        self.links.send_upstream(SendUpstream(SERVER, b"%d" % number, number))

    def test_nothing_goes_before_all_is_gathered(self) -> None:
        """Then each gets its own, in order."""
        self.send(1, b"one")
        self.report(1)
        self.send(2, b"two")
        self.send(1, b"three")
        self.assertEqual(self.notes, [])
        self.links.send_gathered()
        self.assertEqual(self.notes, [("a", b"one"), ("a", b"three"), ("b", b"two"), ("server", b"1", 1)])

    def test_what_was_said_before_a_close_goes_before_it(self) -> None:
        """Behind it nothing would."""
        self.send(1, b"good bye")
        self.links.close_daemon(CloseDaemon(1, 4401, "revoked"))
        self.send(1, b"too late")
        self.links.send_gathered()
        self.assertEqual(self.notes, [("a", b"good bye"), ("a", 4401, "revoked")])

    def test_a_message_without_a_number_keeps_its_place(self) -> None:
        """Between the reports before it and those behind it."""
        self.report(1)
        self.links.send_upstream(SendUpstream(SERVER, b"beat"))
        self.report(2)
        self.links.send_gathered()
        self.assertEqual(self.notes, [("server", b"1", 1), ("server", b"beat", None), ("server", b"2", 2)])

    def test_reports_whose_numbers_do_not_follow_each_other_are_told_apart(self) -> None:
        """Of those that go together only the last number is said."""
        self.report(1)
        self.report(5)
        self.links.send_reports(SendReports(SERVER, [b"6", b"7"], 7))
        self.links.send_gathered()
        self.assertEqual(self.notes, [("server", b"1", 1), *[("server", b"%d" % n, n) for n in (5, 6, 7)]])

    def test_a_great_deal_does_not_wait_for_more(self) -> None:
        """It is in memory twice when it is sent."""
        large = b"x" * (600 << 10)
        self.send(1, large)
        self.send(2, large)
        self.assertEqual(self.notes, [("a", large), ("b", large)])

    def test_who_is_gone_by_then_gets_nothing(self) -> None:
        """The others do."""
        self.send(1, b"one")
        self.send(2, b"two")
        self.links.daemon_gone(1)
        self.links.send_gathered()
        self.assertEqual(self.notes, [("b", b"two")])
