"""What daemons send and the relay keeps to itself: heartbeats, and what cannot be read."""

from __future__ import annotations

from makima_relay.core.effects import (
    CloseDaemon,
    SendToDaemon,
)
from makima_relay.core.spelling import WireCase
from makima_relay.core.tasks import TaskStatus
from tests.core.builders import D1, NOW, logged, of_kind, several, shown, wire
from tests.core.cases import ReportTestCase


class HeartbeatTests(ReportTestCase):
    """``heartbeat`` of a daemon that was never away."""

    def test_it_is_consumed(self) -> None:
        """Listing tasks or not, its own too; a dispatched task is dispatched still."""
        for members in several(({}, {"activeTasks": None}, {"activeTasks": []}, {"activeTasks": ["t1"]})):
            self.assertEqual(self.report(1, wire("heartbeat", **members)), [])
        self.assertEqual(self.known().status, TaskStatus.DISPATCHED)

    def test_a_listed_task_that_is_at_work_elsewhere_is_interrupted_once_a_connection(self) -> None:
        """In the daemon's own spelling."""
        heartbeat = wire("heartbeat", activeTasks=["t1"])
        other = self.join("m2", case=WireCase.PASCAL)
        interrupt = wire("InterruptTask", taskId="t1")
        self.assertEqual(self.report(other, heartbeat), [SendToDaemon(other, interrupt)])
        self.assertEqual(self.report(other, heartbeat), [])
        self.relay.daemon_lost(other, "gone", NOW)
        other = self.join("m2", case=WireCase.PASCAL)
        self.assertEqual(self.report(other, heartbeat), [SendToDaemon(other, interrupt)])

    def test_a_listed_task_of_another_that_is_not_at_work_is_let_be(self) -> None:
        """Finished, or pending as a new attempt."""
        self.report(1, wire("taskComplete", taskId="t1", success=True))
        other = self.join("m2", capacity=0)
        self.assertEqual(self.report(other, wire("heartbeat", activeTasks=["t1"])), [])
        self.relay.drain_requested(D1, draining=True, now=NOW)
        self.spawn()
        self.assertEqual(self.report(other, wire("heartbeat", activeTasks=["t1"])), [])
        self.assertEqual(self.known().status, TaskStatus.PENDING)

    def test_it_shows_that_the_daemon_is_alive(self) -> None:
        """One that was silent gets tasks again."""
        self.report(1, wire("taskComplete", taskId="t1", success=True))
        self.spawn("t2", NOW + 91)
        self.assertEqual(self.known("t2").status, TaskStatus.PENDING)
        self.report(1, wire("heartbeat"), NOW + 92)
        self.assertEqual(self.known("t2").status, TaskStatus.DISPATCHED)


class InvalidReportTests(ReportTestCase):
    """What cannot be read."""

    def test_it_is_answered_and_logged_and_the_connection_stays(self) -> None:
        """In the daemon's own spelling."""
        for case, kind in ((WireCase.CAMEL, "error"), (WireCase.PASCAL, "Error")):
            connection = self.join(f"m-{kind}", case=case)
            decided = shown(self.relay.invalid_report_received(connection, "no type", NOW))
            answer = SendToDaemon(connection, wire(kind, code="invalid_message", message="no type"))
            self.assertEqual(decided[0], answer)
            self.assertEqual(len(decided), 2)
        daemon = self.relay.daemons()[-1]
        entry = logged(
            "invalid_message", source="downstream", daemonId=daemon.daemon_id, hostname=f"host-{daemon.machine_id}"
        )
        self.assertEqual(decided[1], entry)

    def test_the_tenth_closes_the_connection_after_its_error(self) -> None:
        """Not the ninth; good messages between do not count back."""
        for _ in range(9):
            decided = self.relay.invalid_report_received(1, "no", NOW)
            self.assertEqual(of_kind(decided, CloseDaemon), [])
            self.report(1, wire("heartbeat"))
        decided = self.relay.invalid_report_received(1, "no", NOW)
        answer = SendToDaemon(1, wire("error", code="invalid_message", message="no"))
        close = CloseDaemon(1, 4400, "too many invalid messages")
        self.assertEqual(of_kind(decided, SendToDaemon, CloseDaemon), [answer, close])

    def test_a_daemon_that_is_sent_away_is_lost_at_once(self) -> None:
        """Nothing is dispatched to a connection that is about to be closed."""
        self.nine_invalid(1)
        self.relay.invalid_report_received(1, "no", NOW)
        self.assertEqual((self.known().status, self.relay.daemons()), (TaskStatus.ORPHANED, []))
        self.assertEqual(self.relay.daemon_lost(1, "closed", NOW), [])

    def test_each_connection_is_counted_for_itself(self) -> None:
        """A new one begins anew."""
        self.nine_invalid(1)
        self.relay.daemon_lost(1, "gone", NOW)
        again = self.join()
        self.assertEqual(of_kind(self.relay.invalid_report_received(again, "no", NOW), CloseDaemon), [])

    def test_a_connection_that_was_replaced_is_counted_for_itself_too(self) -> None:
        """What comes on it before it is closed is not held against the newer one."""
        again = self.join()
        self.nine_invalid(1)
        self.assertEqual(of_kind(self.relay.invalid_report_received(again, "no", NOW), CloseDaemon), [])

    def nine_invalid(self, connection: int) -> None:
        """Have a daemon send one invalid message less than it may."""
        for _ in range(9):
            self.relay.invalid_report_received(connection, "no", NOW)

    def test_it_shows_that_the_daemon_is_alive(self) -> None:
        """A message is one, readable or not: one that was silent gets tasks again at once."""
        self.report(1, wire("taskComplete", taskId="t1", success=True))
        self.spawn("t2", NOW + 91)
        self.assertEqual(self.known("t2").status, TaskStatus.PENDING)
        self.relay.invalid_report_received(1, "no", NOW + 92)
        self.assertEqual(self.known("t2").status, TaskStatus.DISPATCHED)
