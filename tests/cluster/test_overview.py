"""What relays write of their tasks and daemons, and what each makes of it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import attrs
import msgspec
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import deferLater

from makima_relay.clock import Clock
from makima_relay.cluster.overview import Overview, matches
from makima_relay.cluster.session import Session
from makima_relay.cluster.summaries import MOST_FINISHED, RETRY, Summaries, Summary
from makima_relay.core.tasks import Task, TaskStatus
from makima_relay.ports import ClusterAwayError, StoreUnavailableError
from makima_relay.store.filters import Filter
from makima_relay.store.reader import TaskRow
from makima_relay.web import bodies, shapes
from makima_relay.web.examples import EXAMPLES
from tests.cluster.case import RedisTestCase, pause, reactor


def make_task(task_id: str, at: float, status: TaskStatus = TaskStatus.PENDING, name: str = "a task") -> Task:
    """A task that came at a time."""
    finished_at = at + 1 if status is TaskStatus.COMPLETED else None
    return Task(
        key=1,
        position=1,
        task_id=task_id,
        name=name,
        status=status,
        daemon_id="d1",
        attempts=1,
        tries=1,
        received_at=at,
        finished_at=finished_at,
    )


def make_daemon(daemon_id: str) -> bytes:
    """A daemon as it is shown."""
    return msgspec.json.encode({**EXAMPLES[bodies.Daemons]["daemons"][0], "daemonId": daemon_id})


@attrs.define
class Shown:
    """A relay's tasks and daemons, without a relay.

    :ivar tasks: newest first.
    :ivar failures: how often they cannot be read.
    """

    tasks: list[Task] = attrs.Factory(list)
    daemons: list[str] = attrs.Factory(list)
    why: str = "no free slot"
    failures: int = 0
    retention: float = math.inf

    def summary(self, task: Task) -> Summary:
        """As it is."""
        text = msgspec.json.encode(shapes.task(TaskRow(task, "host"), "", str))
        return Summary(task.task_id, task.received_at, task.finished_at, text)

    def unfinished(self) -> list[Task]:
        """Those that are not finished."""
        return [each for each in self.tasks if not each.finished]

    def finished(self, limit: int, offset: int) -> Deferred[tuple[Sequence[Summary], int]]:
        """Those that are, as a store that is not available at first."""
        if self.failures:
            self.failures -= 1
            return fail(StoreUnavailableError())
        page = self.tasks[offset : offset + limit]
        return succeed(([self.summary(each) for each in page if each.finished], len(page)))

    def why_pending(self) -> str:
        """For one reason or another."""
        return self.why

    def daemon_ids(self) -> list[str]:
        """All."""
        return list(self.daemons)

    def daemon(self, daemon_id: str) -> bytes | None:
        """One."""
        return make_daemon(daemon_id) if daemon_id in self.daemons else None


class SilentSession:
    """A session to a Redis that answers nothing."""

    def command(self, *_words: object) -> Deferred[Any]:
        """Ask it."""
        return Deferred()


class OverviewTests(RedisTestCase):
    """Two relays, of which one looks."""

    async def opened(self, relay_id: str) -> Session:
        """Have a session."""
        session = Session(self.dial(), self.names, relay_id, reactor)
        await session.open([])
        self.addCleanup(session.close)
        return session

    async def show(self, relay_id: str, shown: Shown, retry: float = RETRY) -> Summaries:
        """Have a relay write what it has."""
        session = await self.opened(relay_id)
        summaries = Summaries(shown, self.names, relay_id, Clock(reactor), retry)
        summaries.begin(session)
        self.addCleanup(summaries.end)
        self.overview = Overview(lambda: session, self.names, Clock(reactor))
        return summaries

    async def written(self, relay_id: str, number: int) -> None:
        """Wait until a relay has written so many tasks."""
        while await self.ask("ZCARD", self.names.order(relay_id)) != number:
            await pause()

    async def ids(self, wanted: Filter = Filter(), limit: int = 50, offset: int = 0) -> list[tuple[str, str]]:  # noqa: B008
        """A page, by origin and id."""
        found, self.total = await self.overview.tasks(["a", "b"], wanted, limit, offset)
        return [(relay_id, task.task_id) for relay_id, task in found]

    async def test_the_tasks_of_all_are_one_history(self) -> None:
        """Newest first, in pages."""
        await self.show("a", Shown([make_task("a3", 30.0), make_task("a1", 10.0, TaskStatus.COMPLETED)]))
        await self.show("b", Shown([make_task("b4", 40.0), make_task("b2", 20.0)]))
        await self.written("a", 2)
        await self.written("b", 2)
        self.assertEqual(await self.ids(), [("b", "b4"), ("a", "a3"), ("b", "b2"), ("a", "a1")])
        self.assertEqual(await self.ids(limit=2, offset=1), [("a", "a3"), ("b", "b2")])
        self.assertEqual((await self.ids(offset=9), self.total), ([], 4))

    async def test_filters_are_those_of_one_relay(self) -> None:
        """Status, daemon, and a part of the name or id."""
        await self.show("a", Shown([make_task("a3", 30.0, name="Build it"), make_task("a1", 10.0)]))
        await self.show("b", Shown([make_task("b2", 20.0, TaskStatus.COMPLETED)]))
        await self.written("a", 2)
        await self.written("b", 1)
        self.assertEqual(await self.ids(Filter(status=TaskStatus.PENDING)), [("a", "a3"), ("a", "a1")])
        self.assertEqual(await self.ids(Filter(status=TaskStatus.PENDING), limit=1, offset=1), [("a", "a1")])
        self.assertEqual(self.total, 2)
        self.assertEqual(await self.ids(Filter(text="bUILD")), [("a", "a3")])
        self.assertEqual(await self.ids(Filter(text="B2")), [("b", "b2")])
        self.assertEqual(len(await self.ids(Filter(daemon="host"))), 3)
        self.assertEqual(await self.ids(Filter(daemon="other")), [])

    async def test_changes_are_written_within_a_second_or_so(self) -> None:
        """Of tasks and daemons; daemons that have gone are there no more."""
        shown = Shown(daemons=["d1", "d2"])
        summaries = await self.show("a", shown)
        summaries.task_saved(make_task("t1", 10.0))
        await self.written("a", 1)
        shown.daemons.remove("d2")
        summaries.daemon_changed("d2")
        summaries.task_saved(make_task("t1", 10.0, TaskStatus.COMPLETED))
        while await self.ids(Filter(status=TaskStatus.COMPLETED)) != [("a", "t1")]:
            await pause()
        daemons = await self.overview.daemons(["a", "b"])
        self.assertEqual([(relay_id, daemon.daemon_id) for relay_id, daemon in daemons], [("a", "d1")])

    async def test_only_the_latest_finished_tasks_are_there(self) -> None:
        """And all that are unfinished, however old."""
        old = [make_task("old", 1.0)]
        finished = [make_task(f"t{at}", float(at), TaskStatus.COMPLETED) for at in range(MOST_FINISHED + 500, 100, -1)]
        await self.show("a", Shown([*finished, *old]))
        await self.written("a", MOST_FINISHED + 1)
        self.assertEqual(await self.ids(Filter(text="old")), [("a", "old")])
        self.assertEqual(await self.ask("ZCARD", self.names.ended("a")), MOST_FINISHED)
        self.assertEqual(await self.ask("HLEN", self.names.rows("a")), MOST_FINISHED + 1)

    async def test_finished_tasks_go_when_their_relay_keeps_them_no_longer(self) -> None:
        """By when they finished."""
        now = Clock(reactor).wall()
        tasks = [make_task("t2", now - 5, TaskStatus.COMPLETED), make_task("t1", now - 500, TaskStatus.COMPLETED)]
        await self.show("a", Shown([*tasks, make_task("t0", now - 900)], retention=60.0))
        await self.written("a", 2)
        while await self.ask("HKEYS", self.names.rows("a")) not in ([b"t0", b"t2"], [b"t2", b"t0"]):
            await pause()
        self.assertEqual(await self.ids(), [("a", "t2"), ("a", "t0")])

    async def test_why_tasks_wait_is_as_it_is_now(self) -> None:
        """It is another when a daemon comes, although no task changes."""
        shown = Shown([make_task("t2", 20.0), make_task("t1", 10.0, TaskStatus.RUNNING)], ["d1"])
        summaries = await self.show("a", shown)
        await self.written("a", 2)
        self.assertEqual(await self.reasons(), ["no free slot", None])
        shown.why = "no daemon connected"
        summaries.daemon_changed("d1")
        while await self.reasons() != ["no daemon connected", None]:
            await pause()

    async def reasons(self) -> list[str | None]:
        """Why each task of a page waits."""
        found, _ = await self.overview.tasks(["a", "b"], Filter(), 50, 0)
        return [task.pending_reason for _, task in found]

    async def test_a_store_that_is_not_available_is_asked_again(self) -> None:
        """Until it tells which tasks have finished."""
        await self.show("a", Shown([make_task("t1", 10.0, TaskStatus.COMPLETED)], failures=2), retry=0.01)
        await self.written("a", 1)

    async def test_very_many_changes_are_a_few_commands(self) -> None:
        """Each task as it last was, and none left out."""
        summaries = await self.show("a", Shown())
        await self.written("a", 0)
        await self.ask("CONFIG", "RESETSTAT")
        for status in (TaskStatus.PENDING, TaskStatus.DISPATCHED, TaskStatus.RUNNING, TaskStatus.COMPLETED):
            for number in range(3_000):
                summaries.task_saved(make_task(f"t{number}", float(number), status))
        while await self.ask("ZCARD", self.names.ended("a")) != 3_000:
            await deferLater(reactor, 0.01)
        await self.ids(Filter(status=TaskStatus.COMPLETED), limit=1)
        self.assertEqual(self.total, 3_000)
        (calls,) = re.findall(rb"cmdstat_evalsha:calls=(\d+)", await self.ask("INFO", "commandstats"))
        self.assertLessEqual(int(calls), 3_000 / 200 + 2)

    async def test_the_last_changes_are_written_when_a_relay_stops(self) -> None:
        """Its tasks are shown for a while still."""
        shown = Shown([make_task("t1", 10.0)])
        summaries = await self.show("a", shown)
        await self.written("a", 1)
        summaries.task_saved(make_task("t1", 10.0, TaskStatus.COMPLETED))
        summaries.end()
        self.assertEqual(await self.ids(Filter(status=TaskStatus.COMPLETED)), [("a", "t1")])
        summaries.task_saved(make_task("t2", 20.0))
        self.assertEqual([call for call in reactor.getDelayedCalls() if "summaries" in str(call)], [])

    async def test_a_session_begins_with_what_there_is(self) -> None:
        """Whatever was there of an earlier one, which may have missed that a task was deleted."""
        summaries = await self.show("a", Shown([make_task("t1", 10.0)], ["d1"]))
        await self.written("a", 1)
        summaries.end()
        await self.show("a", Shown([make_task("t2", 10.0)], ["d2"]))
        while await self.ids() != [("a", "t2")]:
            await pause()
        while [daemon.daemon_id for _, daemon in await self.overview.daemons(["a"])] != ["d2"]:
            await pause()

    async def test_very_many_daemons_are_written_a_few_at_a_time(self) -> None:
        """None is left out."""
        await self.show("a", Shown(daemons=[f"d{number}" for number in range(1_010)]))
        while len(await self.overview.daemons(["a"])) < 1_010:
            await pause()
        (calls,) = re.findall(rb"cmdstat_hset:calls=(\d+)", await self.ask("INFO", "commandstats"))
        self.assertEqual(int(calls), 6)

    async def test_whatever_page_is_wanted_the_session_lives_on(self) -> None:
        """Numbers that Redis does not take would end it."""
        await self.show("a", Shown([make_task("t1", 10.0)]))
        await self.written("a", 1)
        self.assertEqual((await self.ids(limit=500, offset=2**63 - 1), self.total), ([], 1))
        self.assertEqual(await self.ids(), [("a", "t1")])

    async def test_what_takes_too_long_cannot_be_told(self) -> None:
        """And whoever asks next does not wait for it."""
        deaf: Any = SilentSession()
        impatient = Overview(lambda: deaf, self.names, Clock(reactor), timeout=0.05)
        for _ in range(2):
            await self.assertFailure(Deferred.fromCoroutine(self.asked(impatient)), ClusterAwayError)

    async def test_nothing_of_a_relay_is_there_for_ever(self) -> None:
        """It is put off as long as the relay is there."""
        await self.show("a", Shown([make_task("t2", 20.0), make_task("t1", 10.0, TaskStatus.COMPLETED)], ["d1"]))
        await self.written("a", 2)
        while not await self.overview.daemons(["a"]):
            await pause()
        names = self.names
        for key in (names.rows("a"), names.order("a"), names.ended("a"), names.daemons("a"), names.why("a")):
            self.assertGreater(await self.ask("TTL", key), 3_500, key)

    async def test_a_task_that_came_to_two_relays_is_there_once(self) -> None:
        """As the later one has it."""
        await self.show("a", Shown([make_task("t1", 10.0)]))
        await self.show("b", Shown([make_task("t1", 20.0), make_task("t2", 5.0)]))
        await self.written("a", 1)
        await self.written("b", 2)
        self.assertEqual((await self.ids(), self.total), ([("b", "t1"), ("b", "t2")], 2))

    async def test_what_is_no_row_is_left_out(self) -> None:
        """Whoever can write into Redis can write anything."""
        await self.show("a", Shown([make_task("t1", 10.0)]))
        await self.written("a", 1)
        for key in (self.names.rows("b"), self.names.daemons("b")):
            await self.ask("HSET", key, "x", "nonsense", b"\xff", b"\xff", "y", "{}")
        await self.ask("HSET", self.names.rows("b"), "other", Shown().summary(make_task("t9", 9.0)).text)
        await self.ask("ZADD", self.names.order("b"), 99, "x", 98, b"\xff", 97, "missing", 96, "other")
        self.assertEqual(await self.ids(), [("a", "t1")])
        self.assertEqual(await self.ids(Filter(text="t")), [("a", "t1")])
        self.assertEqual(await self.overview.daemons(["a", "b"]), [])

    async def test_without_redis_nothing_can_be_read(self) -> None:
        """That is said."""
        away = Overview(lambda: None, self.names, Clock(reactor))
        await self.assertFailure(Deferred.fromCoroutine(self.asked(away)), ClusterAwayError)

    async def asked(self, overview: Overview) -> None:
        """Ask."""
        await overview.tasks(["a"], Filter(), 1, 0)

    def test_a_task_without_name_matches_by_its_id_alone(self) -> None:
        """There is nothing else to look at."""
        task = shapes.task(TaskRow(make_task("abc", 1.0, name=""), None), "", str)
        self.assertTrue(matches(task, Filter(text="B")))
        self.assertFalse(matches(task, Filter(text="x")))
