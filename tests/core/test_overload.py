"""More waits for daemons than is allowed: the server is told, and nothing that is there is lost."""

from __future__ import annotations

from makima_relay.core.effects import SendToDaemon, SendUpstream
from makima_relay.core.policy import Policy
from makima_relay.core.rejections import Rejection
from makima_relay.core.snapshot import Snapshot, StoredTask
from tests.core.builders import NOW, SERVER, events, hello, of_kind, task, wire
from tests.core.cases import RelayTestCase


class OverloadTests(RelayTestCase):
    """At most two tasks may be pending, and two commands wait for one."""

    def setUp(self) -> None:
        self.start(Policy(most_pending=2, most_commands=2, most_waiting=10_000))
        self.connect_server()

    def assert_overloaded(self, payload: bytes, task_id: str, now: float = NOW) -> None:
        """A message is not taken, and the server is told so."""
        before = self.relay.rejected[Rejection.OVERLOADED]
        (sent,) = of_kind(self.command(payload, now), SendUpstream)
        assert isinstance(sent, SendUpstream)
        self.assertEqual(sent.connection, SERVER)
        self.assertTrue(sent.payload.startswith(b'{"type":"error","code":"overloaded"'), sent.payload)
        self.assertIn(f'"taskId":"{task_id}"'.encode(), sent.payload)
        self.assertEqual(self.relay.rejected[Rejection.OVERLOADED], before + 1)

    def test_a_task_above_the_limit_is_not_taken(self) -> None:
        """Until there is room again."""
        self.spawn("a")
        self.spawn("b")
        self.assert_overloaded(wire("spawnTask", taskId="c"), "c")
        self.assertIsNone(self.relay.task("c"))
        self.command(wire("cancelTask", taskId="a"))
        self.spawn("c")
        self.assertEqual(self.known("c").status, "pending")

    def test_a_duplicate_is_a_duplicate_all_the_same(self) -> None:
        """Its task has been taken."""
        self.spawn("a")
        self.spawn("b")
        self.assertEqual(events(self.command(wire("spawnTask", taskId="a"))), ["duplicate_task"])

    def test_where_there_are_slots_no_number_of_tasks_is_too_many(self) -> None:
        """What is at work does not wait."""
        self.join(capacity=10)
        for number in range(10):
            self.spawn(f"t{number}")
        self.assertEqual(len(self.relay.active_tasks()), 10)

    def test_so_many_commands_wait_for_one_task(self) -> None:
        """Those of another have room of their own."""
        self.spawn("a")
        self.spawn("b")
        first, second = wire("sendMessage", taskId="a", n=1), wire("sendMessage", taskId="a", n=2)
        self.command(first)
        self.command(second)
        self.assert_overloaded(wire("sendMessage", taskId="a", n=3), "a")
        self.command(wire("sendMessage", taskId="b"))
        sent = of_kind(self.relay.daemon_joined(1, hello(), "a", NOW), SendToDaemon)
        payloads = [each.payload for each in sent if isinstance(each, SendToDaemon)]
        self.assertEqual([each for each in payloads if b"sendMessage" in each][:2], [first, second])

    def test_what_would_stop_a_task_always_has_room(self) -> None:
        """Once."""
        self.join()
        self.spawn("a")
        self.relay.daemon_lost(1, "cut", NOW)
        for number in range(2):
            self.command(wire("sendMessage", taskId="a", n=number))
        stop = wire("interruptTask", taskId="a")
        self.assertEqual(of_kind(self.command(stop), SendUpstream), [])
        self.assert_overloaded(stop, "a")

    def test_so_many_bytes_wait_in_all(self) -> None:
        """Of tasks and of commands."""
        self.spawn("a")
        self.command(wire("sendMessage", taskId="a", text="x" * 10_000))
        self.assert_overloaded(wire("sendMessage", taskId="a"), "a")
        self.assert_overloaded(wire("spawnTask", taskId="b"), "b")
        self.join(capacity=1)
        self.spawn("b")

    def test_the_journal_is_not_flooded(self) -> None:
        """One entry for all that is not taken within ten seconds."""
        self.spawn("a")
        self.spawn("b")
        spawns = [self.command(wire("spawnTask", taskId=f"t{number}"), NOW + number) for number in range(11)]
        self.assertEqual([events(each) for each in spawns], [["overloaded"], *[[]] * 9, ["overloaded"]])

    def test_what_an_earlier_run_left_is_all_taken_up(self) -> None:
        """Though it is more than may wait now."""
        stored = tuple(StoredTask(task=task(f"t{key}", key), message=b"{}") for key in range(1, 6))
        self.start(Policy(most_pending=2), Snapshot(next_key=6, tasks=stored))
        self.connect_server()
        self.assertEqual(self.relay.pending_tasks, 5)
        self.assert_overloaded(wire("spawnTask", taskId="new"), "new")
