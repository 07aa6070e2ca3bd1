"""The engine when the store cannot or will not, and when it has to ask the store first."""

from __future__ import annotations

import json

from twisted.internet.defer import Deferred

from makima_relay.core.effects import KeepReport, SaveTask
from makima_relay.core.fleet import daemon_id_of
from makima_relay.core.from_daemons import read_report
from makima_relay.core.from_server import read_command
from makima_relay.core.tasks import Task, TaskStatus
from makima_relay.links import MOST_WAITING
from tests.engine_case import EngineTestCase, message
from tests.fakes import EPOCH, RecordingUpstream, elapse, unavailable


class SuspensionTests(EngineTestCase):
    """The database cannot be written for a while."""

    def setUp(self) -> None:
        """Have a daemon, a server, and a task whose commit fails."""
        super().setUp()
        self.connect()
        self.daemon = self.join("d")
        self.payload = self.spawn("t")
        self.fail_commit()

    def fail_commit(self) -> None:
        """Let the open commit fail for a cause that can pass."""
        (commit,) = self.open_commits()
        commit.fails(unavailable())

    def test_no_daemon_is_read_any_more_and_nothing_is_sent(self) -> None:
        """It is paused, once; the server is read on, for its tasks to be refused."""
        self.assertEqual(self.take(), [("d", "paused")])
        self.assertTrue(self.engine.is_suspended)
        elapse(self.reactor, 0.1)
        self.fail_commit()
        self.assertEqual(self.take(), [])

    def test_the_same_is_tried_again_with_growing_waits(self) -> None:
        """0.1 s at first, 5 s at most."""
        batch = self.store.commits[-1].effects
        for wait in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0):
            elapse(self.reactor, wait - 0.001)
            self.assertEqual(self.open_commits(), [], wait)
            elapse(self.reactor, 0.002)
            self.assertEqual(self.store.commits[-1].effects, batch)
            self.fail_commit()

    def test_all_goes_on_when_it_succeeds(self) -> None:
        """Daemons are read again and what was held back is sent; the next trouble starts with short waits anew."""
        elapse(self.reactor, 0.1)
        self.fail_commit()
        self.take()
        elapse(self.reactor, 0.2)
        self.commit()
        self.assertFalse(self.engine.is_suspended)
        notes = self.take()
        self.assertEqual(notes, [("d", "resumed"), ("d", self.payload)])
        self.spawn("again")
        self.fail_commit()
        elapse(self.reactor, 0.1)
        self.assertEqual(len(self.open_commits()), 1)

    def test_what_comes_meanwhile_is_saved_afterwards(self) -> None:
        """In its order; nothing is forgotten."""
        self.report(self.daemon, "taskComplete", taskId="t", success=True)
        elapse(self.reactor, 0.1)
        self.commit()
        finished, kept = [each for each in self.commit() if isinstance(each, SaveTask | KeepReport)][-2:]
        self.assertEqual((finished.task.status, type(kept)), (TaskStatus.COMPLETED, KeepReport))

    def test_the_server_gets_its_heartbeats_all_the_same(self) -> None:
        """Past the queue, in which they would pile up; also a new connection at once."""
        self.take()
        beat = message("heartbeat", activeTasks=["t"])
        self.engine.heartbeat_due()
        self.engine.upstream_lost("gone")
        self.engine.upstream_ready(RecordingUpstream("server 2", self.notes), "ws://h", None)
        sent = [(name, json.loads(payload)) for name, payload, _ in self.take()]
        self.assertEqual(sent, [("server", json.loads(beat)), ("server 2", json.loads(beat))])

    def test_a_new_task_is_refused_at_once(self) -> None:
        """The server learns which and why, and the task is as unknown afterwards as before."""
        self.take()
        self.spawn("new")
        ((name, answer, number),) = self.take()
        error = json.loads(answer)
        self.assertEqual((name, number), ("server", None))
        self.assertEqual((error["type"], error["code"], error["taskId"]), ("error", "unavailable", "new"))
        self.assertIn("database", error["message"])
        elapse(self.reactor, 0.1)
        self.settle()
        self.assertIsNone(self.engine.relay.task("new"))
        self.take()
        again = self.spawn("new")
        self.settle()
        self.assertEqual(self.take(), [("d", again)])

    def test_a_task_that_is_known_is_not_refused(self) -> None:
        """Its spawnTask again is a duplicate: an error would say that it does not run."""
        self.take()
        self.spawn("t")
        self.assertEqual(self.take(), [])
        elapse(self.reactor, 0.1)
        self.settle()
        self.assertEqual(self.take(), [("d", "resumed"), ("d", self.payload)])

    def test_commands_wait_in_their_order(self) -> None:
        """Behind the task that they are for."""
        self.take()
        commands = [message("sendInput", taskId="t", n=n) for n in range(2)]
        for command in commands:
            self.engine.command_received(read_command(command))
        self.assertEqual(self.take(), [])
        elapse(self.reactor, 0.1)
        self.settle()
        self.assertEqual(self.take(), [("d", "resumed"), *(("d", each) for each in (self.payload, *commands))])

    def test_a_server_that_sends_too_much_that_waits_is_not_read_on(self) -> None:
        """A mebibyte waits, messages that cannot be read among it; then the server waits until all goes on."""
        self.take()
        self.engine.invalid_command_received("x" * (MOST_WAITING // 2))
        self.assertEqual(self.take(), [])
        for _ in range(2):
            self.engine.command_received(read_command(message("sendInput", taskId="t", text="x" * (MOST_WAITING // 2))))
        self.assertEqual(self.take(), [("server", "paused")])
        elapse(self.reactor, 0.1)
        self.settle()
        self.assertEqual(
            [note for note in self.take() if note[1] == "resumed"], [("d", "resumed"), ("server", "resumed")]
        )

    def test_small_messages_without_end_do_not_fill_the_memory(self) -> None:
        """Each is logged, so each counts."""
        self.take()
        sent = 0
        while ("server", "paused") not in self.take():
            self.engine.command_received(read_command(message("hm")))
            sent += 1
            self.assertLess(sent, 10_000)

    def test_a_server_that_does_not_take_the_refusals_is_not_read_either(self) -> None:
        """Until it takes them."""
        self.take()
        self.engine.upstream_congested()
        self.assertEqual(self.take(), [("server", "paused")])
        self.engine.upstream_drained()
        self.assertEqual(self.take(), [("server", "resumed")])

    def test_a_server_that_is_slow_already_is_not_read_when_the_trouble_begins(self) -> None:
        """Slowness alone does not stop the reading: its commands may be what the daemons wait for."""
        elapse(self.reactor, 0.1)
        self.settle()
        self.take()
        self.engine.upstream_congested()
        self.assertEqual(self.take(), [])
        self.spawn("u")
        self.fail_commit()
        self.assertEqual(self.take(), [("d", "paused"), ("server", "paused")])
        self.engine.upstream_lost("gone")
        self.engine.upstream_ready(RecordingUpstream("server 2", self.notes), "ws://h", None)
        self.assertNotIn("paused", [note[1] for note in self.take()])

    def test_nobody_waits_for_it_to_settle(self) -> None:
        """Who asked before and who asks now learns at once that it takes longer."""
        self.successResultOf(self.engine.settled())

    def test_a_stop_tries_once_more(self) -> None:
        """All is saved if that succeeds."""
        stopped = self.engine.stop()
        self.assertNoResult(stopped)
        self.settle()
        self.assertTrue(self.successResultOf(stopped))

    def test_a_stop_says_if_something_could_not_be_saved(self) -> None:
        """It does not wait for better times, and nothing is tried after it."""
        stopped = self.engine.stop()
        self.fail_commit()
        self.assertFalse(self.successResultOf(stopped))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_who_waited_for_the_failing_commit_is_released(self) -> None:
        """An HTTP request does not hang as long as the disk is full."""
        elapse(self.reactor, 0.1)
        self.settle()
        self.spawn("other")
        settled = self.engine.settled()
        self.fail_commit()
        self.successResultOf(settled)


class SlowDiskTests(EngineTestCase):
    """A commit that neither succeeds nor fails."""

    def setUp(self) -> None:
        """Have a daemon, a server, and a task whose commit is under way."""
        super().setUp()
        self.connect()
        self.daemon = self.join("d")
        self.payload = self.spawn("t")
        self.take()

    def test_after_two_seconds_it_is_as_good_as_failing(self) -> None:
        """Nobody is read, new tasks are refused, nobody waits, until it ends."""
        settled = self.engine.settled()
        elapse(self.reactor, 1.9)
        self.assertEqual((self.take(), self.engine.is_suspended), ([], False))
        elapse(self.reactor, 1.2)
        self.assertEqual((self.take(), self.engine.is_suspended), ([("d", "paused")], True))
        self.successResultOf(settled)
        self.commit()
        self.assertEqual(self.take(), [("d", "resumed"), ("d", self.payload)])
        self.assertFalse(self.engine.is_suspended)

    def test_a_stop_takes_what_is_there_when_it_ends(self) -> None:
        """It is not tried twice."""
        elapse(self.reactor, 3.5)
        stopped = self.engine.stop()
        self.assertNoResult(stopped)
        self.settle()
        self.assertTrue(self.successResultOf(stopped))
        saved = [
            each.task.status for commit in self.store.commits for each in commit.effects if isinstance(each, SaveTask)
        ]
        self.assertEqual(saved, [TaskStatus.PENDING, TaskStatus.DISPATCHED])


class StopTests(EngineTestCase):
    """Messages that wait for a look-up when the relay stops."""

    def setUp(self) -> None:
        """Have a completion of a task that must be looked up."""
        super().setUp()
        self.daemon = self.join("d")
        self.report(self.daemon, "taskComplete", taskId="old", success=True)

    def test_what_waits_is_acted_on_when_the_database_can_be_written_again(self) -> None:
        """If the last try succeeds there is time for that."""
        self.engine.noted("one", "something")
        elapse(self.reactor, 0.05)
        self.open_commits()[0].fails(unavailable())
        stopped = self.engine.stop()
        self.settle()
        self.assertNoResult(stopped)
        self.store.recalls[-1].done.callback([])
        self.settle()
        self.assertTrue(self.successResultOf(stopped))
        saved = [each for commit in self.store.commits for each in commit.effects]
        self.assertEqual(len([each for each in saved if isinstance(each, KeepReport)]), 1)

    def test_a_look_up_that_fails_is_not_waited_for(self) -> None:
        """What waited for it counts as lost."""
        self.store.recalls[-1].done.errback(unavailable())
        stopped = self.engine.stop()
        self.settle()
        self.assertFalse(self.successResultOf(stopped))
        self.assertEqual(len(self.flushLoggedErrors()), 0)

    def test_after_a_break_nobody_waits_for_look_ups(self) -> None:
        """They would never be acted on; what is lost is counted, and no pong says that it is safe."""
        ready, safe = self.engine.stopping(), self.engine.safe()
        self.engine.noted("one", "something")
        elapse(self.reactor, 0.05)
        self.open_commits()[0].fails(ValueError("damaged"))
        self.successResultOf(ready)
        self.assertNoResult(safe)
        self.assertFalse(self.successResultOf(self.engine.stop()))


class BreakTests(EngineTestCase):
    """A failure that cannot pass."""

    def setUp(self) -> None:
        """Have a daemon and a task whose commit is under way."""
        super().setUp()
        self.daemon = self.join("d")
        self.spawn("t")
        self.settled: Deferred[None] = self.engine.settled()
        (self.under_way,) = self.open_commits()

    def test_the_relay_is_told_once_and_does_nothing_more(self) -> None:
        """Nothing is sent, nothing is tried again, later trouble is the same trouble."""
        self.engine.reports_received(self.daemon, [read_report(message("taskOutput", taskId="unknown"))])
        error = ValueError("damaged")
        self.under_way.fails(error)
        self.assertEqual([failure.value for failure in self.broken], [error])
        self.spawn("more")
        self.engine.noted("more", "of it")
        elapse(self.reactor, 60)
        self.assertEqual((self.take(), self.open_commits()), ([], []))
        self.assertEqual(len(self.broken), 1)

    def test_nothing_is_sent_after_a_failure_that_held_nothing_up(self) -> None:
        """Not even what needs no commit, when it was the journal that could not be saved."""
        self.under_way.succeeds()
        self.settle()
        self.connect()
        self.engine.noted("one", "something")
        elapse(self.reactor, 0.05)
        self.open_commits()[0].fails(ValueError("damaged"))
        self.take()
        self.report(self.daemon, "log")
        self.assertEqual((self.take(), len(self.broken)), ([], 1))

    def test_nobody_waits_for_ever(self) -> None:
        """Who waits is released, so that the relay can stop."""
        self.under_way.fails(ValueError("damaged"))
        self.successResultOf(self.settled)
        self.successResultOf(self.engine.settled())


class RecallTests(EngineTestCase):
    """Tasks that are not in mind are looked up."""

    def setUp(self) -> None:
        """Have a server and a daemon that reports on a task of old."""
        super().setUp()
        self.connect()
        self.daemon = self.join("d")
        self.late = self.report(self.daemon, "taskOutput", taskId="old")

    def old_task(self) -> Task:
        """The task as the store has it."""
        return Task(
            key=1,
            position=1,
            task_id="old",
            status=TaskStatus.COMPLETED,
            daemon_id=daemon_id_of("d"),
            received_at=EPOCH,
        )

    def test_a_report_waits_for_the_look_up(self) -> None:
        """And all later ones of that daemon with it."""
        later = self.report(self.daemon, "log")
        self.assertEqual([recall.task_ids for recall in self.store.recalls], [("old",)])
        self.assertEqual(self.take(), [])
        self.store.recalls[0].done.callback([self.old_task()])
        self.assertEqual(self.take(), [("server", self.late, 1), ("server", later, 2)])

    def test_a_task_that_nobody_knows_is_adopted(self) -> None:
        """It is saved before its report is relayed."""
        self.store.recalls[0].done.callback([])
        self.assertEqual(self.take(), [])
        (adopted,) = self.commit()
        self.assertEqual((adopted.task.task_id, adopted.task.status), ("old", TaskStatus.RUNNING))
        self.assertEqual(self.take(), [("server", self.late, 1)])

    def test_a_look_up_is_tried_again_when_the_store_is_unavailable(self) -> None:
        """After a while; nothing is lost."""
        self.store.recalls[0].done.errback(unavailable())
        elapse(self.reactor, 4.9)
        self.assertEqual(len(self.store.recalls), 1)
        elapse(self.reactor, 0.2)
        self.assertEqual(self.store.recalls[1].task_ids, ("old",))
        self.store.recalls[1].done.callback([self.old_task()])
        self.assertEqual(self.take(), [("server", self.late, 1)])
        self.assertEqual(self.broken, [])

    def test_a_look_up_that_fails_otherwise_ends_the_relay(self) -> None:
        """A damaged file is a damaged file."""
        error = ValueError("damaged")
        self.store.recalls[0].done.errback(error)
        self.assertEqual([failure.value for failure in self.broken], [error])
