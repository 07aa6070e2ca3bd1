"""What the server's messages do (``protocol.md``, *Upstream: server → relay*)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from makima_relay.core.composer import COMPOSERS
from makima_relay.core.effects import (
    Effect,
    ForgetCommands,
    KeepCommand,
    KeepReport,
    RecallTasks,
    SaveTask,
    SendToDaemon,
    SendUpstream,
)
from makima_relay.core.from_server import read_command
from makima_relay.core.messages import Authenticated, ServerError
from makima_relay.core.policy import Policy
from makima_relay.core.rejections import Rejection
from makima_relay.core.spelling import WireCase
from makima_relay.core.tasks import TaskStatus
from tests.core.builders import AT, D1, D2, NOW, SERVER, events, hello, logged, shown, task, wire, withdrawn
from tests.core.cases import RelayTestCase

WITHDRAWING = ("interruptTask", "InterruptTask", "cancel_task", "KILL-TASK")


class SpawnTests(RelayTestCase):
    """``spawnTask``."""

    def test_the_store_is_asked_before_a_task_counts_as_new(self) -> None:
        """A task that is not in mind may have finished long ago."""
        spawn = read_command(wire("spawnTask", taskId="t1"))
        self.assertEqual(self.relay.command_received(spawn, NOW), [RecallTasks(("t1",))])
        self.assertIsNone(self.relay.task("t1"))

    def test_without_a_daemon_it_is_stored_whole_and_waits(self) -> None:
        """Nothing is sent."""
        payload = wire("spawnTask", taskId="t1", taskName="Build", plan=[1])
        self.assertEqual(self.command(payload), [SaveTask(task(name="Build"), AT, payload)])
        self.assertEqual(self.relay.pending_tasks, 1)

    def test_with_a_free_slot_it_is_stored_as_pending_and_then_dispatched(self) -> None:
        """What was received survives a crash at any point."""
        self.join()
        payload = wire("spawnTask", taskId="t1")
        expected = [
            SaveTask(task(), AT, payload),
            SaveTask(task().dispatched(D1, AT), AT, before=TaskStatus.PENDING),
            SendToDaemon(1, payload),
        ]
        self.assertEqual(self.command(payload), expected)

    def test_a_duplicate_changes_nothing(self) -> None:
        """It is logged and counted, whatever the unfinished task is at."""
        connection = self.join(capacity=1)
        self.spawn("t1")
        self.spawn("t2")
        self.report(connection, wire("taskOutput", taskId="t1"))
        for number, task_id in enumerate(("t1", "t2"), 1):
            before = self.known(task_id)
            decided = self.command(wire("spawnTask", taskId=task_id, other=1))
            self.assertEqual(shown(decided), [logged("duplicate_task", taskId=task_id)])
            self.assertEqual((self.known(task_id), self.relay.rejected[Rejection.DUPLICATE_TASK]), (before, number))

    def test_an_orphaned_task_is_not_finished(self) -> None:
        """A spawnTask for it is a duplicate too."""
        self.join()
        self.spawn()
        self.relay.daemon_lost(1, "gone", NOW)
        self.assertEqual(events(self.command(wire("spawnTask", taskId="t1"))), ["duplicate_task"])

    def test_after_a_finish_it_is_a_new_attempt(self) -> None:
        """The task waits and runs again, under the name that it then has; attempts count on."""
        connection = self.join()
        self.spawn()
        self.report(connection, wire("taskComplete", taskId="t1", success=True))
        again = wire("spawnTask", taskId="t1", name="again")
        pending = task(position=2, name="again", daemon_id=D1, attempts=1)
        expected = [
            SaveTask(pending, AT, again, before=TaskStatus.COMPLETED),
            SaveTask(pending.dispatched(D1, AT), AT, before=TaskStatus.PENDING),
            SendToDaemon(1, again),
        ]
        self.assertEqual(self.command(again), expected)
        self.assertEqual((self.known().attempts, self.known().tries), (2, 1))

    def test_a_new_attempt_of_a_task_that_only_the_store_knows(self) -> None:
        """Its key and its attempts are those of the store."""
        self.stored["t1"] = task(key=77, status=TaskStatus.FAILED, attempts=4, tries=3, daemon_id=D2, finished_at=AT)
        payload = wire("spawnTask", taskId="t1")
        self.assertEqual(
            self.command(payload),
            [SaveTask(task(key=77, position=1, attempts=4, daemon_id=D2), AT, payload, before=TaskStatus.FAILED)],
        )

    def test_the_servers_messages_keep_their_order_around_a_question(self) -> None:
        """A command right behind its spawnTask waits with it."""
        self.join()
        self.spawn("t1")
        spawn, command = wire("spawnTask", taskId="t2"), wire("sendInput", taskId="t2")
        other = wire("sendInput", taskId="t1")
        self.assertEqual(self.relay.command_received(read_command(spawn), NOW), [RecallTasks(("t2",))])
        self.assertEqual(self.relay.command_received(read_command(command), NOW), [])
        self.assertEqual(self.relay.command_received(read_command(other), NOW), [])
        sent = [each for each in self.relay.tasks_recalled(("t2",), [], NOW) if isinstance(each, SendToDaemon)]
        self.assertEqual([each.payload for each in sent], [spawn, command, other])


class RouteTests(RelayTestCase):
    """Anything else: who gets it."""

    def setUp(self) -> None:
        super().setUp()
        self.connect_server()

    def test_the_holder_of_the_task_gets_it_verbatim(self) -> None:
        """Dispatched or running, in the bytes that came."""
        connection = self.join()
        self.spawn()
        payload = b' { "type":"send_Input" , "task_id":"t1" } '
        self.assertEqual(self.command(payload), [SendToDaemon(connection, payload)])
        self.report(connection, wire("taskOutput", taskId="t1"))
        self.assertEqual(self.command(payload), [SendToDaemon(connection, payload)])

    def test_an_interrupt_of_a_task_at_work_is_relayed_as_any_command(self) -> None:
        """The task is what its daemon says that it is."""
        connection = self.join()
        self.spawn()
        for kind in WITHDRAWING:
            payload = wire(kind, taskId="t1")
            self.assertEqual(self.command(payload), [SendToDaemon(connection, payload)])
        self.assertEqual(self.known().status, TaskStatus.DISPATCHED)

    def test_the_holder_goes_before_the_daemon_that_is_named(self) -> None:
        """The task decides where it is."""
        self.join("m1", 1)
        self.spawn()
        self.join("m2")
        payload = wire("sendInput", taskId="t1", daemonId=D2)
        self.assertEqual(self.command(payload), [SendToDaemon(1, payload)])

    def test_commands_for_a_pending_task_wait_and_go_right_after_it_in_order(self) -> None:
        """They are kept with it until a daemon takes it."""
        spawn = self.spawn()
        first, second = wire("sendInput", taskId="t1", n=1), wire("sendInput", taskId="t1", n=2)
        self.assertEqual(self.command(first), [KeepCommand(1, first)])
        self.assertEqual(self.command(second), [KeepCommand(1, second)])
        self.join()
        self.assertEqual(self.known().status, TaskStatus.DISPATCHED)
        self.start()
        self.spawn()
        self.command(first)
        self.command(second)
        decided = self.relay.daemon_joined(1, hello(), "a", NOW)[-5:]
        expected = [
            SaveTask(task().dispatched(D1, AT), AT, before=TaskStatus.PENDING),
            SendToDaemon(1, spawn),
            ForgetCommands(1),
            SendToDaemon(1, first),
            SendToDaemon(1, second),
        ]
        self.assertEqual(decided, expected)

    def test_three_types_take_a_pending_task_out_of_the_queue(self) -> None:
        """It is cancelled and the server is told; the command itself goes nowhere."""
        for number, kind in enumerate(WITHDRAWING, 1):
            self.spawn(f"t{number}")
            decided = self.command(wire(kind, taskId=f"t{number}"))
            self.assertEqual(decided, withdrawn(number, number, f"t{number}"))
        self.assertEqual((self.relay.pending_tasks, self.relay.total_finished), (0, 4))

    def test_a_withdrawn_task_takes_its_waiting_commands_with_it(self) -> None:
        """Nobody wants them any more."""
        self.spawn()
        self.command(wire("sendInput", taskId="t1"))
        saved, *rest = withdrawn(1)
        self.assertEqual(self.command(wire("killTask", taskId="t1")), [saved, ForgetCommands(1), *rest])

    def test_a_withdrawn_task_is_not_dispatched(self) -> None:
        """The next in the queue is."""
        self.spawn("t1")
        self.spawn("t2")
        self.command(wire("cancelTask", taskId="t1"))
        self.join(capacity=1)
        self.assertEqual((self.known("t1").status, self.known("t2").status), ("cancelled", "dispatched"))

    def test_the_server_is_told_in_its_spelling(self) -> None:
        """``--wire-case``; while it is away the report waits."""
        self.start(Policy(wire_case=WireCase.PASCAL))
        self.spawn()
        decided = self.command(wire("killTask", taskId="t1"))
        report = COMPOSERS[WireCase.PASCAL].task_failed("t1", "cancelled before dispatch")
        self.assertEqual(decided[1:], [KeepReport(1, report)])
        self.assertEqual(self.relay.reports_waiting, 1)

    def test_commands_for_an_orphaned_task_are_kept(self) -> None:
        """Of every type, in order."""
        connection = self.join()
        self.spawn()
        self.relay.daemon_lost(connection, "gone", NOW)
        for kind in ("sendInput", *WITHDRAWING):
            payload = wire(kind, taskId="t1")
            self.assertEqual(self.command(payload), [KeepCommand(1, payload)])

    def test_without_a_known_task_the_daemon_that_is_named_gets_it(self) -> None:
        """No task, an unknown one, a finished one: it is relayed to a daemon that is connected."""
        connection = self.join()
        self.spawn()
        self.report(connection, wire("taskComplete", taskId="t1", success=True))
        for members in ({}, {"taskId": "unknown"}, {"taskId": "t1"}):
            payload = wire("listFiles", daemonId=D1, **members)
            self.assertEqual(self.command(payload), [SendToDaemon(connection, payload)])

    def test_the_store_is_asked_before_a_task_counts_as_unknown(self) -> None:
        """As for a spawnTask."""
        command = read_command(wire("sendInput", taskId="t1"))
        self.assertEqual(self.relay.command_received(command, NOW), [RecallTasks(("t1",))])

    def test_authenticated_again_changes_nothing(self) -> None:
        """It was authenticated before."""
        self.assertEqual(self.relay.command_received(Authenticated("d"), NOW), [])

    def test_an_error_of_the_server_is_logged(self) -> None:
        """With its code and its message."""
        decided = self.relay.command_received(ServerError("bad", "not so"), NOW)
        self.assertEqual(shown(decided), [logged("upstream_error", code="bad", message="not so")])

    def test_what_cannot_be_read_is_answered_and_logged(self) -> None:
        """The connection stays; the answer is worth nothing on another one, so it is not kept."""
        decided = self.relay.invalid_command_received("type is missing", NOW)
        answer = wire("error", code="invalid_message", message="type is missing")
        expected = [SendUpstream(SERVER, answer), logged("invalid_message", source="upstream")]
        self.assertEqual(shown(decided), expected)
        self.assertEqual(self.relay.reports_waiting, 0)

    def test_what_the_server_does_too_often_is_logged_seldom(self) -> None:
        """All of it is answered and counted; a new connection begins anew."""
        self.spawn("t1")
        again = read_command(wire("spawnTask", taskId="t1"))
        causes: dict[str, Callable[[float], Sequence[Effect]]] = {
            "invalid_message": lambda now: self.relay.invalid_command_received("no", now),
            "upstream_error": lambda now: self.relay.command_received(ServerError("bad", "not so"), now),
            "duplicate_task": lambda now: self.relay.command_received(again, now),
        }
        for event, cause in causes.items():
            times = [*[NOW] * 30, NOW + 9.9, NOW + 10, NOW + 10]
            logged_at = [at for at in times if event in events(cause(at))]
            self.assertEqual(logged_at, [*[NOW] * 10, NOW + 10], event)
        self.assertEqual(self.relay.rejected[Rejection.INVALID_MESSAGE], 33)
        self.connect_server(SERVER + 1)
        for event, cause in causes.items():
            self.assertIn(event, events(cause(NOW)))

    def test_what_cannot_be_read_is_answered_in_the_servers_spelling(self) -> None:
        """``--wire-case``."""
        self.start(Policy(wire_case=WireCase.PASCAL))
        self.connect_server()
        decided = self.relay.invalid_command_received("no", NOW)
        self.assertEqual(decided[0], SendUpstream(SERVER, wire("Error", code="invalid_message", message="no")))
