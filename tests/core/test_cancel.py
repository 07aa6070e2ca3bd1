"""Commands that are for nobody, and an operator's cancel."""

from __future__ import annotations

from makima_relay.core.effects import (
    ForgetCommands,
    KeepCommand,
    SaveTask,
    SendToDaemon,
)
from makima_relay.core.operators import TaskFinishedError, UnknownTaskError
from makima_relay.core.policy import LossPolicy, Policy
from makima_relay.core.rejections import Rejection
from makima_relay.core.spelling import WireCase
from makima_relay.core.tasks import Task, TaskStatus
from tests.core.builders import AT, D1, D2, NOW, events, hello, logged, shown, wire, withdrawn
from tests.core.cases import RelayTestCase


class UnroutableTests(RelayTestCase):
    """What is for nobody."""

    def setUp(self) -> None:
        super().setUp()
        self.connect_server()

    def test_commands_for_nobody_are_logged(self) -> None:
        """No task and no daemon, an unknown task, a finished one, a daemon that is not connected."""
        connection = self.join()
        self.spawn("done")
        self.report(connection, wire("taskComplete", taskId="done", success=True))
        for kind, task_id, daemon_id in (
            ("a", None, None),
            ("b", "unknown", None),
            ("c", "done", None),
            ("d", None, D2),
            ("interruptTask", "done", None),
        ):
            decided = self.command(wire(kind, taskId=task_id, daemonId=daemon_id))
            entry = logged("unroutable", type=kind, taskId=task_id, daemonId=daemon_id)
            self.assertEqual(shown(decided), [entry])
        self.assertEqual(self.relay.rejected[Rejection.UNROUTABLE], 5)

    def test_a_daemon_that_was_lost_gets_nothing(self) -> None:
        """Even while its tasks wait for it."""
        self.join()
        self.spawn()
        self.relay.daemon_lost(1, "gone", NOW)
        self.assertEqual(events(self.command(wire("listFiles", daemonId=D1))), ["unroutable"])

    def test_each_type_is_logged_once_a_connection(self) -> None:
        """And counted each time; a new connection begins anew."""
        for kind, logged_as in (("a", ["unroutable"]), ("a", []), ("b", ["unroutable"]), ("a", [])):
            self.assertEqual(events(self.command(wire(kind))), logged_as)
        self.assertEqual(self.relay.rejected[Rejection.UNROUTABLE], 4)
        self.relay.upstream_lost(NOW, "gone")
        self.connect_server()
        self.assertEqual(events(self.command(wire("a"))), ["unroutable"])

    def test_spellings_of_one_type_are_one_type(self) -> None:
        """Types are compared without regard to case, underscores and hyphens."""
        self.command(wire("listFiles"))
        for kind in ("ListFiles", "list_files", "LIST-FILES"):
            self.assertEqual(events(self.command(wire(kind))), [])

    def test_a_server_that_makes_up_types_fills_no_journal(self) -> None:
        """There is an end to logging them, not to counting."""
        lines = sum(len(events(self.command(wire(f"type {n}")))) for n in range(1_500))
        self.assertLess(lines, 1_500)
        self.assertEqual(self.relay.rejected[Rejection.UNROUTABLE], 1_500)


class CancelTests(RelayTestCase):
    """An operator's cancel (``http-api.md``)."""

    def setUp(self) -> None:
        super().setUp()
        self.connect_server()

    def test_an_unknown_task_is_an_error(self) -> None:
        """Whoever asks is told."""
        self.assertRaises(UnknownTaskError, self.relay.cancel_requested, "t1", NOW)

    def test_a_finished_task_is_an_error(self) -> None:
        """There is nothing to cancel."""
        self.spawn()
        self.relay.cancel_requested("t1", NOW)
        self.assertRaises(TaskFinishedError, self.relay.cancel_requested, "t1", NOW)

    def test_a_pending_task_is_cancelled_as_by_a_command(self) -> None:
        """The server is told."""
        self.spawn()
        self.assertEqual(self.relay.cancel_requested("t1", NOW), withdrawn(1))

    def test_a_task_at_work_is_interrupted_in_its_daemons_own_spelling(self) -> None:
        """As often as the operator asks; the task goes on until its daemon reports."""
        for case, kind in ((WireCase.CAMEL, "interruptTask"), (WireCase.PASCAL, "InterruptTask")):
            self.start()
            connection = self.join(case=case)
            self.spawn()
            expected = [SendToDaemon(connection, wire(kind, taskId="t1"))]
            self.assertEqual(self.relay.cancel_requested("t1", NOW), expected)
            self.report(connection, wire("taskOutput", taskId="t1"))
            self.assertEqual(self.relay.cancel_requested("t1", NOW), expected)
            self.assertEqual(self.known().status, TaskStatus.RUNNING)

    def test_an_orphaned_task_is_interrupted_when_its_daemon_returns_in_the_spelling_that_it_then_has(self) -> None:
        """In order with what else waits for it."""
        self.join(case=WireCase.CAMEL)
        self.spawn()
        self.relay.daemon_lost(1, "gone", NOW)
        before, after = wire("sendInput", taskId="t1", n=1), wire("sendInput", taskId="t1", n=2)
        self.command(before)
        self.assertEqual(self.relay.cancel_requested("t1", NOW), [KeepCommand(1, None)])
        self.command(after)
        self.assertEqual(self.known().status, TaskStatus.ORPHANED)
        decided = self.relay.daemon_joined(2, hello(case=WireCase.PASCAL), "a", NOW)
        interrupt = wire("InterruptTask", taskId="t1")
        expected = [ForgetCommands(1), *[SendToDaemon(2, each) for each in (before, interrupt, after)]]
        self.assertEqual(decided[-4:], expected)

    def test_a_task_that_is_pending_again_is_cancelled(self) -> None:
        """A requeued task waits like any other; who last held it stays known."""
        self.start(Policy(on_loss=LossPolicy.REQUEUE, daemon_grace=5))
        self.connect_server()
        self.join()
        self.spawn()
        self.relay.daemon_lost(1, "gone", NOW)
        self.relay.time_passed(NOW + 5, AT + 5)
        before: Task = self.known()
        self.assertEqual(before.status, TaskStatus.PENDING)
        saved = self.relay.cancel_requested("t1", NOW + 5)[0]
        self.assertEqual(
            saved,
            SaveTask(
                before.ended(TaskStatus.CANCELLED, AT + 5, "cancelled before dispatch"), AT + 5, before=before.status
            ),
        )
