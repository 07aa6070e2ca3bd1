"""The engine: commit first, then send, in order and in time."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from makima_relay.clock import Clock
from makima_relay.core.effects import ForgetReports, KeepReport, KeepReports, SaveEntry, SaveTask
from makima_relay.core.flow import PIECE
from makima_relay.core.from_server import read_command
from makima_relay.core.messages import Hello
from makima_relay.core.relay import Relay
from makima_relay.core.snapshot import Snapshot, StoredTask
from makima_relay.core.spelling import WireCase
from makima_relay.core.tasks import TaskStatus
from makima_relay.engine import Engine
from tests.core.builders import task
from tests.engine_case import EngineTestCase, message
from tests.fakes import EPOCH, RecordingDaemon, elapse, unavailable


class _DaemonOfWrites(RecordingDaemon):
    """Notes what goes together.

    :ivar writes: where.
    """

    writes: list[list[bytes]]

    def send(self, payloads: Sequence[bytes]) -> None:
        """Note it."""
        self.writes.append(list(payloads))


class CommitTests(EngineTestCase):
    """Durable before visible."""

    def test_nothing_is_sent_before_its_commit(self) -> None:
        """A task goes to its daemon when it is saved, not earlier."""
        self.join("d")
        payload = self.spawn("t")
        self.assertEqual(self.take(), [])
        saved = self.commit()
        self.assertEqual([each.task.status for each in saved], [TaskStatus.PENDING, TaskStatus.DISPATCHED])
        self.assertEqual(self.take(), [("d", payload)])

    def test_a_finish_and_its_report_are_one_commit(self) -> None:
        """Both survive or neither; the server learns of it afterwards."""
        self.connect()
        daemon = self.join("d")
        self.run_task("t", daemon)
        payload = self.report(daemon, "taskComplete", taskId="t", success=True)
        self.assertEqual(self.take(), [])
        finished, kept = self.commit()
        self.assertIsInstance(finished, SaveTask)
        self.assertEqual(finished.task.status, TaskStatus.COMPLETED)
        self.assertEqual(kept, KeepReport(2, payload))
        self.assertEqual(self.take(), [("server", payload, 2)])

    def test_what_comes_during_a_commit_joins_the_next(self) -> None:
        """However much it is, it is one commit, and the first one's effects do not wait for it."""
        self.connect()
        daemon = self.join("d")
        for number in range(4):
            self.run_task(f"t{number}", daemon)
        payloads = [self.report(daemon, "taskComplete", taskId=f"t{number}", success=True) for number in range(4)]
        self.assertEqual(len(self.open_commits()), 1)
        self.commit()
        self.assertEqual(self.take(), [("server", payloads[0], 5)])
        saved = self.commit()
        self.assertEqual([each.task.task_id for each in saved if isinstance(each, SaveTask)], ["t1", "t2", "t3"])
        self.assertEqual(self.take(), [("server", payload, number) for number, payload in enumerate(payloads[1:], 6)])
        self.assertEqual(self.open_commits(), [])

    def test_what_a_commit_releases_is_one_write_for_each_peer(self) -> None:
        """A write costs more than the rest of a task's last step; each peer's messages stay in their order."""
        writes: list[list[bytes]] = []
        for name in ("a", "b"):
            link, hello = _DaemonOfWrites(name, self.notes), Hello(name, name, 10, WireCase.CAMEL)
            link.writes = writes
            self.engine.daemon_joined(link, hello, "127.0.0.1:1")
        self.settle()
        self.engine.relay.past_learnt((), is_all=True)
        self.spawn("first")
        payloads = [self.spawn(f"t{number}") for number in range(4)]
        self.commit()
        writes.clear()
        self.commit()
        self.assertCountEqual(writes, [payloads[0::2], payloads[1::2]])

    def test_a_report_without_a_gate_goes_at_once(self) -> None:
        """Nothing is saved for a running task's output."""
        self.connect()
        daemon = self.join("d")
        self.run_task("t", daemon)
        commits = len(self.store.commits)
        payload = self.report(daemon, "taskOutput", taskId="t")
        self.assertEqual(self.take(), [("server", payload, 2)])
        elapse(self.reactor, 0.07)
        self.engine.acknowledged(2)
        elapse(self.reactor, 5)
        self.assertEqual(len(self.store.commits), commits)

    def test_a_report_that_the_server_does_not_acknowledge_is_kept(self) -> None:
        """Soon enough to be in the database after 100 ms, and nothing waits for that; once acknowledged it goes."""
        self.connect()
        daemon = self.join("d")
        self.run_task("t", daemon)
        self.engine.acknowledged(1)
        payload = self.report(daemon, "taskOutput", taskId="t")
        elapse(self.reactor, 0.079)
        self.assertEqual(self.open_commits(), [])
        elapse(self.reactor, 0.002)
        later = self.report(daemon, "log")
        self.assertEqual(self.commit(), [KeepReports(((2, payload),))])
        self.assertEqual(self.take(), [("server", payload, 2), ("server", later, 3)])
        self.engine.acknowledged(3)
        elapse(self.reactor, 0.051)
        self.assertEqual(self.commit(), [ForgetReports(3)])

    def test_a_stop_waits_for_messages_that_wait_for_a_look_up(self) -> None:
        """They were read, so they are acted on: a task that the server has just sent is stored."""
        self.engine.command_received(read_command(message("spawnTask", taskId="t")))
        stopped = self.engine.stop()
        self.assertEqual(self.open_commits(), [])
        self.store.recalls[-1].done.callback([])
        self.settle()
        self.assertTrue(self.successResultOf(stopped))
        saved = [each for commit in self.store.commits for each in commit.effects]
        self.assertIn("t", [each.task.task_id for each in saved if isinstance(each, SaveTask)])

    def test_what_is_kept_behind_a_commit_keeps_its_place(self) -> None:
        """Effects that came meanwhile, before and after it, are performed once and in order."""
        self.connect()
        daemon = self.join("d")
        self.run_task("t", daemon)
        self.engine.acknowledged(1)
        self.spawn("other")
        first = self.report(daemon, "log", n=1)
        elapse(self.reactor, 0.081)
        second = self.report(daemon, "log", n=2)
        self.commit()
        self.assertEqual(self.take()[1:], [("server", first, 2), ("server", second, 3)])
        elapse(self.reactor, 0)
        self.assertIn(KeepReports(((2, first),)), self.commit())
        self.assertEqual((self.broken, self.take()), ([], []))

    def test_a_daemon_is_held_while_the_server_is_slow(self) -> None:
        """Also over a time when nobody is read."""
        self.connect()
        daemon = self.join("d")
        self.engine.upstream_congested()
        self.report(daemon, "log")
        self.assertEqual(self.take(), [("d", "paused")])
        self.spawn("t")
        (commit,) = self.open_commits()
        commit.fails(unavailable())
        elapse(self.reactor, 0.11)
        self.take()
        self.commit()
        self.assertNotIn(("d", "resumed"), self.take())
        self.engine.upstream_drained()
        self.assertIn(("d", "resumed"), self.take())

    def test_a_long_backlog_goes_in_turns(self) -> None:
        """One piece in each turn of the reactor."""
        daemon = self.join("d")
        for number in range(3):
            self.report(daemon, "log", n=number, text="x" * (PIECE // 2))
        self.connect()
        self.assertEqual([number for _, _, number in self.take()[1:]], [1, 2])
        elapse(self.reactor, 0)
        self.assertEqual([number for _, _, number in self.take()], [3])

    def test_a_stop_keeps_what_the_server_may_not_have(self) -> None:
        """However short it has waited."""
        self.connect()
        payload = self.report(self.join("d"), "log")
        stopped = self.engine.stop()
        self.settle()
        self.assertTrue(self.successResultOf(stopped))
        saved = [each for commit in self.store.commits for each in commit.effects]
        self.assertIn(KeepReports(((1, payload),)), saved)

    def test_daemons_are_sent_away_when_their_reports_are_safe(self) -> None:
        """What came before the stop is in the database by then."""
        payload = self.report(self.join("d"), "log")
        ready = self.engine.stopping()
        self.assertNoResult(ready)
        self.assertEqual(self.commit(), [KeepReports(((1, payload),))])
        self.successResultOf(ready)

    def test_nothing_overtakes_what_waits_for_a_commit(self) -> None:
        """The output that follows a finish follows it to the server too."""
        self.connect()
        daemon = self.join("d")
        self.run_task("t", daemon)
        sent = [
            self.report(daemon, "taskComplete", taskId="t", success=False),
            self.report(daemon, "log"),
            self.report(daemon, "taskOutput", taskId="t"),
        ]
        self.assertEqual(self.take(), [])
        self.settle()
        self.assertEqual(self.take(), [("server", payload, number) for number, payload in enumerate(sent, 2)])

    def test_what_need_not_be_saved_at_once_lingers_for_company(self) -> None:
        """50 ms after the first, all of it is one commit."""
        self.engine.noted("one", "something")
        elapse(self.reactor, 0.03)
        self.engine.noted("two", "something")
        elapse(self.reactor, 0.0199)
        self.assertEqual(self.open_commits(), [])
        elapse(self.reactor, 0.0002)
        self.assertEqual([each.entry.event for each in self.commit()], ["one", "two"])

    def test_what_lingers_goes_along_with_the_next_commit(self) -> None:
        """It is saved before what came after it, and not once more."""
        self.engine.noted("one", "something")
        self.spawn("t")
        self.assertEqual([type(each) for each in self.commit()], [SaveEntry, SaveTask])
        elapse(self.reactor, 1)
        self.assertEqual(self.open_commits(), [])

    def test_what_is_noted_during_a_commit_is_saved_soon_after(self) -> None:
        """Nothing is left behind when nothing follows it."""
        self.engine.noted("one", "something")
        elapse(self.reactor, 0.06)
        self.engine.noted("two", "something")
        self.commit()
        self.assertEqual(self.open_commits(), [])
        elapse(self.reactor, 0.06)
        self.assertEqual([each.entry.event for each in self.commit()], ["two"])


class SettledTests(EngineTestCase):
    """Waiting until all that was decided is saved."""

    def test_it_is_settled_at_once_when_nothing_is_to_be_saved(self) -> None:
        """No commit is made for it."""
        commits = len(self.store.commits)
        self.successResultOf(self.engine.settled())
        self.assertEqual(len(self.store.commits), commits)

    def test_it_does_not_linger(self) -> None:
        """What waits for company is committed now."""
        self.engine.noted("one", "something")
        settled = self.engine.settled()
        self.assertNoResult(settled)
        self.commit()
        self.successResultOf(settled)

    def test_it_covers_what_was_decided_during_a_commit(self) -> None:
        """The commit under way is not enough."""
        self.spawn("t")
        self.engine.noted("one", "something")
        settled = self.engine.settled()
        self.commit()
        self.assertNoResult(settled)
        self.commit()
        self.successResultOf(settled)

    def test_it_does_not_wait_for_what_comes_later(self) -> None:
        """Or it might never fire."""
        self.spawn("t")
        self.engine.noted("one", "something")
        settled = self.engine.settled()
        self.commit()
        self.engine.noted("two", "something")
        self.commit()
        self.successResultOf(settled)
        elapse(self.reactor, 0.06)
        self.assertEqual([each.entry.event for each in self.commit()], ["two"])

    def test_stopping_saves_what_was_decided(self) -> None:
        """And says in the journal that the relay stops."""
        self.spawn("t")
        stopped = self.engine.stop()
        self.commit()
        self.assertNoResult(stopped)
        (stop,) = self.commit()
        self.assertEqual(stop.entry.event, "relay_stopped")
        self.successResultOf(stopped)

    def test_nothing_is_left_on_the_clock_after_a_stop(self) -> None:
        """A stopped engine does not wake up again."""
        self.engine.stop()
        self.commit()
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class ConnectionTests(EngineTestCase):
    """Links come and go while things are under way."""

    def test_what_is_for_a_lost_daemon_is_dropped(self) -> None:
        """Its connection went while the commit was under way."""
        daemon = self.join("d")
        self.spawn("t")
        self.engine.daemon_lost(daemon, "gone")
        self.settle()
        self.assertEqual(self.take(), [])

    def test_a_replaced_daemon_is_closed_and_hears_nothing_more(self) -> None:
        """Its tasks' messages go to the newer connection."""
        self.join("d")
        link = RecordingDaemon("newer", self.notes)
        self.engine.daemon_joined(link, Hello("d", "d", 10, WireCase.CAMEL), "")
        payload = self.spawn("t")
        self.settle()
        told = self.take()
        self.assertEqual([note for note in told if note[0] == "d"], [("d", 4409, "replaced by a newer connection")])
        self.assertEqual(told[-1], ("newer", payload))

    def test_what_a_lost_server_did_not_get_goes_first_to_the_next(self) -> None:
        """Oldest first, before anything new; what was acknowledged does not go again."""
        self.connect()
        daemon = self.join("d")
        self.run_task("t", daemon)
        first, second = (self.report(daemon, "taskOutput", taskId="t", n=n) for n in (1, 2))
        self.engine.acknowledged(2)
        self.engine.upstream_lost("gone")
        third = self.report(daemon, "taskComplete", taskId="t", success=True)
        self.settle()
        self.assertEqual(self.take(), [("server", first, 2), ("server", second, 3)])
        self.connect("server 2")
        fourth = self.report(daemon, "log")
        self.assertEqual(self.take()[1:], [("server 2", second, 3), ("server 2", third, 4), ("server 2", fourth, 5)])

    def test_a_server_lost_during_a_commit_gets_nothing(self) -> None:
        """The next one gets it instead, once."""
        self.connect()
        daemon = self.join("d")
        self.run_task("t", daemon)
        self.engine.acknowledged(1)
        payload = self.report(daemon, "taskComplete", taskId="t", success=True)
        self.engine.upstream_lost("gone")
        self.connect("server 2")
        self.assertEqual(self.take()[1:], [("server 2", payload, 2)])

    def test_acknowledged_reports_are_forgotten(self) -> None:
        """Those that were kept, soon."""
        self.connect()
        daemon = self.join("d")
        self.run_task("t", daemon)
        self.report(daemon, "taskComplete", taskId="t", success=True)
        self.settle()
        self.engine.acknowledged(2)
        elapse(self.reactor, 0.06)
        self.assertEqual(self.commit(), [ForgetReports(2)])


class StartTests(EngineTestCase):
    """A start with very many tasks of an earlier run."""

    def begin(self, number: int) -> Deferred[None]:
        """Start an engine with so many pending tasks, instead of the one that there is."""
        self.engine.stop()
        self.settle()
        tasks = tuple(StoredTask(task=task(f"t{n}", n)) for n in range(1, number + 1))
        relay = Relay(self.policy, Snapshot(tasks=tasks, next_key=number + 1))
        self.engine = Engine(
            relay, self.store, Clock(self.reactor, self.reactor.seconds, self.wall), self.broken.append
        )
        return self.engine.start()

    def test_the_reactor_has_its_turn_between_the_pieces(self) -> None:
        """It is told when all is taken up."""
        started = self.begin(12_000)
        self.assertNoResult(started)
        self.assertEqual(self.engine.relay.pending_tasks, 5_000)
        self.reactor.advance(0)
        self.successResultOf(started)
        self.assertEqual(self.engine.relay.pending_tasks, 12_000)

    def test_few_tasks_are_taken_up_at_once(self) -> None:
        """Nobody has to wait for it."""
        self.successResultOf(self.begin(10))

    def test_a_stop_meanwhile_ends_it(self) -> None:
        """Nothing is left on the clock, and nobody is told that it has started."""
        started = self.begin(12_000)
        stopped = self.engine.stop()
        self.settle()
        self.successResultOf(stopped)
        elapse(self.reactor, 1)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertNoResult(started)


class TimeTests(EngineTestCase):
    """The one timer."""

    def test_the_grace_of_a_lost_daemon_ends_to_the_second(self) -> None:
        """Not with the next tick but when it is over."""
        daemon = self.join("d")
        self.run_task("t", daemon)
        elapse(self.reactor, 0.25)
        self.engine.daemon_lost(daemon, "gone")
        self.settle()
        elapse(self.reactor, 1.499)
        self.assertEqual(self.open_commits(), [])
        elapse(self.reactor, 0.002)
        saved = self.commit()
        lost = next(each.task for each in saved if isinstance(each, SaveTask))
        self.assertEqual((lost.status, lost.error), (TaskStatus.FAILED, "daemon d lost"))

    def test_a_daemon_that_returns_in_time_stops_the_clock(self) -> None:
        """Its task goes on."""
        daemon = self.join("d")
        self.run_task("t", daemon)
        self.engine.daemon_lost(daemon, "gone")
        elapse(self.reactor, 1.4)
        again = self.join("d")
        self.report(again, "heartbeat", activeTasks=["t"])
        elapse(self.reactor, 10)
        self.settle()
        task = self.engine.relay.task("t")
        assert task is not None
        self.assertEqual(task.status, TaskStatus.RUNNING)

    def test_entries_have_the_time_that_people_set(self) -> None:
        """When the clock is set, the journal follows within a second; durations do not change."""
        elapse(self.reactor, 6.25)
        self.clock_set_by = 3600.0
        elapse(self.reactor, 1.0)
        self.engine.noted("one", "something")
        (saved,) = self.engine.relay.journal(1)
        self.assertEqual(saved.at, EPOCH + 7.25 + 3600)
