"""Every call of the store fails once in a scripted run, for a cause that can pass and for one that cannot."""

from __future__ import annotations

import contextlib
import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.operators import UnknownTaskError
from makima_relay.core.outbox import KEEP_AFTER
from makima_relay.core.policy import Policy
from makima_relay.ports import StoreUnavailableError
from tests.book import Book, Left, check_promises
from tests.core.model import ModelStore
from tests.engine_stage import PATIENCE, SERVER, EngineStage
from tests.fakes import elapse, unavailable
from tests.restart import check_restart
from tests.script import POLICIES, TASKS, play
from tests.script_stores import PlainStore, left_in
from tests.untraced import untraced

#: Less than a relay waits before it tries again, in seconds.
_A_MOMENT = 0.01


class Trouble:
    """Counts the calls of a store and lets some of them fail.

    :param first: the number of the first that fails, counted from 1.
    :param errors: why it fails and those behind it do, in a row.
    :param is_late: whether a call has done its work before it fails.
    :ivar calls: the names of all.
    :ivar owed: the names of those that failed for a cause that can pass, and were not tried again.
    :ivar failed: told of each that fails.
    """

    def __init__(self, first: int, errors: Sequence[Exception], *, is_late: bool = False) -> None:
        self.calls: list[str] = []
        self.owed: set[str] = set()
        self.failed: Callable[[str], object] = len
        self._errors = dict(enumerate(errors, first))
        self._is_late = is_late

    def asked(self, name: str) -> None:
        """Let a call fail that has done nothing."""
        self.calls.append(name)
        self.owed.discard(name)
        self._fail(name, not self._is_late)

    def done(self, name: str) -> None:
        """Let a call fail that has done its work."""
        self._fail(name, self._is_late)

    def _fail(self, name: str, now: bool) -> None:
        if now and len(self.calls) in self._errors:
            error = self._errors[len(self.calls)]
            if isinstance(error, StoreUnavailableError):
                self.owed.add(name)
            self.failed(name)
            raise error


class TroubledStage(EngineStage):
    """Has an engine whose store fails at times."""

    def __init__(self, policy: Policy, tables: ModelStore, trouble: Trouble, delay: float = 0.0) -> None:
        super().__init__(policy, PlainStore(tables), Book(), trouble.asked, trouble.done, delay)
        self.trouble = trouble

    def vouches(self) -> bool:
        return super().vouches() and not self.trouble.owed


class PatientStage(TroubledStage):
    """The peers wait until all is well again.

    :ivar pauses: how often nothing could be saved.
    """

    def __init__(self, policy: Policy, tables: ModelStore, trouble: Trouble) -> None:
        super().__init__(policy, tables, trouble)
        self.pauses = 0
        trouble.failed = self._call_failed

    def _call_failed(self, name: str) -> None:
        if name == "commit":
            self.reactor.callLater(_A_MOMENT, self._look_at_pause)

    def _look_at_pause(self) -> None:
        """No daemon is read; the server is, to be told that its new tasks cannot be taken."""
        self.pauses += 1
        assert self.engine.is_suspended
        assert self._paused() == [number for number in self._open() if number != SERVER]

    def _open(self) -> list[int]:
        return [number for number, link in self.links.items() if not link.is_closed]

    def _paused(self) -> list[int]:
        return [number for number in self._open() if self.links[number].is_paused]

    def settle(self) -> None:
        super().settle()
        end = self.now + PATIENCE
        while self.trouble.owed:
            assert self.now < end, f"{self.trouble.owed} is not tried again"
            elapse(self.reactor, _A_MOMENT)
        assert not self.engine.is_suspended
        assert not self._paused()
        assert not self.broken, self.broken

    def time_passes(self, seconds: float) -> None:
        super().time_passes(seconds)
        self.settle()

    def stop(self) -> None:
        """A relay that stops tries to save once more what it has not, and no more."""
        super().stop()
        self.trouble.owed.clear()


class EndedError(Exception):
    """A relay that could not go on has stopped."""


class BreakingStage(TroubledStage):
    """The relay goes on until it stops, also when it is broken."""

    def __init__(self, policy: Policy, tables: ModelStore, trouble: Trouble, delay: float) -> None:
        super().__init__(policy, tables, trouble, delay)
        self.broken_at = 0.0

    def on_broken(self, failure: Failure) -> None:
        super().on_broken(failure)
        self.book.note("broken")
        self.broken_at = self.now

    def cancel_requested(self, task_id: str) -> None:
        """The task may have been refused, or is still to be looked up."""
        with contextlib.suppress(UnknownTaskError):
            super().cancel_requested(task_id)

    def stop(self) -> None:
        super().stop()
        if self.broken:
            raise EndedError


def timeless(left: Left) -> Any:
    """What is in a store, but for the times."""
    tasks = {
        msgspec.structs.replace(
            task,
            received_at=0.0,
            dispatched_at=None if task.dispatched_at is None else 0.0,
            started_at=None if task.started_at is None else 0.0,
            finished_at=None if task.finished_at is None else 0.0,
        )
        for task in left.tasks.values()
    }
    snapshot = left.snapshot
    commands = {each.task.task_id: (each.message, each.commands) for each in snapshot.tasks}
    entries = [msgspec.structs.replace(entry, at=0.0) for entry in snapshot.entries]
    return tasks, commands, entries, snapshot.daemons, snapshot.total_finished, snapshot.next_key, left.reports


def sightings(book: Book) -> dict[str, list[str]]:
    """What each peer saw, in order."""
    return {peer: book.seen_by(peer) for peer, _ in book.of("sent")}


class Undisturbed:
    """The scripted run without any trouble.

    :ivar calls: the number of all calls of the store.
    """

    def __init__(self, policy: Policy, delay: float = 0.0) -> None:
        trouble = Trouble(1, [])
        tables = ModelStore()
        stage = TroubledStage(policy, tables, trouble, delay)
        play(stage)
        self.calls = len(trouble.calls)
        self.left = timeless(left_in(PlainStore(tables), TASKS))
        self.seen = sightings(stage.book)


class PassingTests(SynchronousTestCase):
    """The reason passes after a while."""

    def disturb(self, policy: Policy, times: int) -> Counter[bool]:
        """Let every call fail in a run of its own.

        :return: how often a relay could save all, and how often not, because the trouble came when it stopped.
        """
        expected = Undisturbed(policy)
        counts: Counter[bool] = Counter()
        for number in range(1, expected.calls + 1):
            tables = ModelStore()
            stage = PatientStage(policy, tables, Trouble(number, [unavailable()] * times))
            play(stage)
            counts[stage.all_saved] += 1
            if stage.all_saved:
                left = left_in(PlainStore(tables), TASKS)
                self.assertEqual((timeless(left), sightings(stage.book)), (expected.left, expected.seen), number)
            self.assertEqual(stage.pauses > 0, "commit" in stage.trouble.calls[number - 1 : number - 1 + times], number)
        return counts

    @untraced
    def test_a_single_failure_changes_nothing(self) -> None:
        """The peers are held until it is over; then all is as it would have been."""
        for policy in POLICIES:
            self.assertEqual(self.disturb(policy, 1)[False], 2)

    @untraced
    def test_several_failures_in_a_row_change_nothing(self) -> None:
        """However often the relay has to try."""
        for policy in POLICIES:
            self.assertEqual(self.disturb(policy, 5)[False], 2)


class LastingTests(SynchronousTestCase):
    """The reason does not pass: what is in memory may not be what is on disk."""

    def disturb(self, *errors: Exception, delay: float = 0.0, is_late: bool = False) -> None:
        """Let each call fail in a run of its own, and start another relay after that.

        :param errors: see :class:`Trouble`.
        :param delay: see :class:`tests.script_stores.WatchedStore`.
        :param is_late: see :class:`Trouble`.
        """
        for policy in POLICIES:
            for number in range(1, Undisturbed(policy, delay).calls - len(errors) + 2):
                tables = ModelStore()
                stage = BreakingStage(policy, tables, Trouble(number, errors, is_late=is_late), delay)
                with self.assertRaises(EndedError):
                    play(stage)
                self.look_at_end(stage)
                left = left_in(PlainStore(tables), TASKS)
                # While nothing can be written for a passing cause, what was read just before waits in memory.
                kept_after = KEEP_AFTER + 2 * delay if len(errors) == 1 else math.inf
                check_promises(stage.book, left, stage.broken_at, kept_after)
                check_restart(EngineStage(policy, PlainStore(tables)), left)

    def look_at_end(self, stage: BreakingStage) -> None:
        """The relay said once that it cannot go on, and has sent nothing since that a peer could build on."""
        self.assertEqual([str(failure.value) for failure in stage.broken], ["damaged"])
        self.assertFalse(stage.all_saved)
        lines = stage.book.lines
        sent = [line for line in lines[lines.index(("broken",)) :] if line[0] == "sent"]
        # That it lives, and takes no new tasks, it may say.
        self.assertEqual([line for line in sent if json.loads(line[2])["type"] not in ("heartbeat", "error")], [])

    @untraced
    def test_nothing_is_sent_any_more_and_nothing_is_lost(self) -> None:
        """A relay that starts anew has all that a peer saw."""
        self.disturb(ValueError("damaged"))

    @untraced
    def test_neither_is_anything_when_the_call_had_done_its_work(self) -> None:
        """Then more is stored than anybody saw."""
        self.disturb(ValueError("damaged"), is_late=True)

    @untraced
    def test_neither_is_anything_when_other_calls_are_under_way(self) -> None:
        """What comes of those makes no difference any more."""
        self.disturb(ValueError("damaged"), delay=0.02)

    @untraced
    def test_neither_is_anything_when_another_reason_came_first(self) -> None:
        """One that could have passed."""
        self.disturb(unavailable(), ValueError("damaged"))
