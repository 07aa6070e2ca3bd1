"""Asks the store what the core wants to know, and has those wait who need the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from makima_relay.clock import Clock
from makima_relay.commits import RETRY_LONGEST, CommitQueue
from makima_relay.core import effects
from makima_relay.core.directory import DirectoryEntry
from makima_relay.core.relay import Relay
from makima_relay.core.tasks import Task
from makima_relay.ports import Store, StoreUnavailableError


class Questions:
    """What the core has asked the store.

    :param relay: the core, which is told the answers.
    :param store: is asked.
    :param clock: times the next try.
    :param commits: broken off when an answer shows that the store cannot be trusted.
    :param perform: has done what the core decides about an answer.
    """

    def __init__(
        self,
        relay: Relay,
        store: Store,
        clock: Clock,
        commits: CommitQueue,
        perform: Callable[[Sequence[effects.Effect]], None],
    ) -> None:
        self._relay = relay
        self._store = store
        self._clock = clock
        self._commits = commits
        self._perform = perform
        self._look_ups_fail = False
        #: Asks the directory of the cluster as well, where there is one.
        self.claim: Callable[[Sequence[str]], Deferred[Mapping[str, DirectoryEntry]]] | None = None
        self._waiting: list[tuple[float, Deferred[None]]] = []

    # ------------------------------------------------------------------------------------------------ questions

    def recall(self, effect: effects.RecallTasks) -> None:
        """Ask for tasks, again and again while the store is unavailable."""
        found = self._store.recall(effect.task_ids)
        if self.claim is None:
            recalled, arguments = self._recalled, (effect.task_ids,)
            found.addCallbacks(recalled, self._recall_failed, callbackArgs=arguments, errbackArgs=(effect,))
        else:
            claimed = self.claim(effect.task_ids)
            ask = (effect.task_ids, claimed)
            found.addCallbacks(self._ask_directory, self._recall_failed, callbackArgs=ask, errbackArgs=(effect,))

    def _recalled(self, tasks: Iterable[Task], task_ids: Sequence[str]) -> None:
        self._look_ups_fail = False
        self._perform(self._relay.tasks_recalled(task_ids, tasks, self._clock.monotonic()))
        self.release()

    def _ask_directory(
        self, tasks: Iterable[Task], task_ids: Sequence[str], claimed: Deferred[Mapping[str, DirectoryEntry]]
    ) -> None:
        """Wait for the directory too, which was asked at the same time."""
        self._look_ups_fail = False
        claimed.addCallback(self._claimed, task_ids, tasks)

    def _claimed(self, entries: Mapping[str, DirectoryEntry], task_ids: Sequence[str], tasks: Iterable[Task]) -> None:
        self._perform(self._relay.tasks_recalled(task_ids, tasks, self._clock.monotonic(), entries))
        self.release()

    def _recall_failed(self, failure: Failure, effect: effects.RecallTasks) -> None:
        if failure.check(StoreUnavailableError):
            self._look_ups_fail = True
            self.release()
            self._clock.reactor.callLater(RETRY_LONGEST, self.recall, effect)
        else:
            self._commits.break_off(failure)

    def load(self, effect: effects.LoadReports) -> None:
        """Ask for kept reports, again and again while the store is unavailable."""
        loaded = self._store.reports(effect.after, effect.up_to, effect.size)
        loaded.addCallbacks(self._loaded, self._load_failed, callbackArgs=(effect,), errbackArgs=(effect,))

    def _loaded(self, found: tuple[list[tuple[int, bytes]], int], effect: effects.LoadReports) -> None:
        reports, up_to = found
        self._perform(self._relay.reports_loaded(effect.connection, reports, up_to))

    def _load_failed(self, failure: Failure, effect: effects.LoadReports) -> None:
        if failure.check(StoreUnavailableError):
            self._clock.reactor.callLater(RETRY_LONGEST, self.load, effect)
        else:
            self._commits.break_off(failure)

    # -------------------------------------------------------------------------------------- waiting for answers

    def answered(self, up_to: float) -> Deferred[None]:
        """Fires when no message waits for a look-up, or would wait for the database to be mended.

        :param up_to: the number of the last message that matters.
        """
        done: Deferred[None] = Deferred()
        self._waiting.append((up_to, done))
        self.release()
        return done

    @property
    def can_be_asked(self) -> bool:
        """Whether the store answers, and what it answers will be acted on."""
        return not (self._commits.is_suspended or self._look_ups_fail or self._commits.is_broken)

    def release(self) -> None:
        """Let those go on whose answers are there, and all if the database has to be mended first."""
        if not self._waiting:
            return
        oldest = self._relay.oldest_waiting if self.can_be_asked else None
        waiting, self._waiting = self._waiting, []
        for up_to, done in waiting:
            if oldest is None or oldest > up_to:
                done.callback(None)
            else:
                self._waiting.append((up_to, done))
