"""Commit first, then send: performs effects in their order, and nothing before what must be in the database is there.

Effects form one queue. A *gate* in it (a task, report or command to be kept) stops everything behind it until it is
committed. While a commit is under way new effects queue up; the next commit takes all of them (group commit). When
nothing holds the queue up, an effect without a gate before it is performed at once: a report costs no queue.

A commit that fails for a cause that can pass suspends the queue, and the same batch is tried again until it succeeds.
Any other failure breaks it for good, because memory and disk may differ.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from makima_relay.clock import Clock
from makima_relay.core.effects import Effect, Gate, Saved, Urgent
from makima_relay.core.tally import COMMIT_BOUNDS, Histogram
from makima_relay.ports import Store, StoreUnavailableError

#: What need not be saved at once waits for company for so long, in seconds.
LINGER = 0.05
#: First and longest wait before a failed commit is tried again, in seconds.
RETRY_FIRST, RETRY_LONGEST = 0.1, 5.0
#: A commit that takes longer than this, in seconds, is as good as failing until it ends.
TOO_LONG = 2.0


class Performer(Protocol):
    """Who does what is not for the database."""

    def perform(self, effect: Effect) -> None:
        """Do one effect now; of one that is saved, what is to be done besides."""

    def gather(self) -> None:
        """Expect many effects: what they send can go together."""

    def send_gathered(self) -> None:
        """There are no more of them: send what was gathered."""

    def committed(self, batch: Sequence[Saved]) -> None:
        """Learn that effects are in the database."""

    def suspended(self, reason: str) -> None:
        """The database cannot be written for now: nothing new should come in."""

    def resumed(self) -> None:
        """The database can be written again."""


class CommitQueue:
    """Keeps the order of effects around commits.

    :param store: commits.
    :param performer: does the rest.
    :param on_broken: told once, with the reason, when nothing can be saved any more.
    :ivar is_suspended: whether commits fail at the moment.
    :ivar is_broken: whether nothing is performed any more.
    :ivar last_commit: when one last succeeded, in monotonic seconds.
    :ivar durations: how long those that succeeded took, in seconds.
    """

    def __init__(self, store: Store, clock: Clock, performer: Performer, on_broken: Callable[[Failure], None]) -> None:
        self._store = store
        self._clock = clock
        self._performer = performer
        self._on_broken = on_broken
        self._queue: deque[Effect] = deque()
        self._unsaved: list[Saved] = []
        self._batch: list[Saved] = []
        self._covered = 0
        self._committing = False
        self._committing_since = 0.0
        self._passing = False
        self._retry_delay = RETRY_FIRST
        self._linger: IDelayedCall | None = None
        self._retry: IDelayedCall | None = None
        self._finishing = False
        self._hurry = False
        self._waiting: list[Deferred[None]] = []
        self._waiting_for_batch: list[Deferred[None]] = []
        self.is_suspended = False
        self.is_broken = False
        self.last_commit = clock.monotonic()
        self.durations = Histogram(COMMIT_BOUNDS)

    def put(self, effects: Sequence[Effect]) -> None:
        """Perform effects, or queue them behind what must be committed first."""
        if self._queue or self.is_broken:
            self._queue.extend(effects)
            return
        for place, effect in enumerate(effects):
            if isinstance(effect, Gate):
                self._queue.extend(itertools.islice(effects, place, None))
                if not self._passing:
                    self._commit_next()
                return
            self._pass(effect)
        if self._hurry and not self._passing:
            self._commit_next()

    def settled(self) -> Deferred[None]:
        """Fires when all that was put so far is committed; soon and without it while commits fail."""
        if self.is_suspended or self.is_broken:
            return succeed(None)
        done: Deferred[None] = Deferred()
        if self._committing and self._covered == len(self._queue) and not self._unsaved:
            self._waiting_for_batch.append(done)
            return done
        self._waiting.append(done)
        if not self._committing:
            self._commit_next()
        return done

    def finish(self) -> Deferred[int]:
        """Save what there is, with one last try if commits fail at the moment, and then no more.

        :return: how many effects could not be saved.
        """
        self._finishing = True
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        if self._retry is not None:
            self._retry.cancel()
            self._try()
        elif self.is_broken:
            self._release_waiting()
        elif not self._committing:
            self._commit_next()
        return done.addCallback(self._finished)

    def _finished(self, _: object) -> Deferred[int] | int:
        if self._committing and not self.is_suspended and not self.is_broken:
            # What came during the commit is being saved by the next one.
            return self.finish()
        behind = itertools.islice(self._queue, self._covered if self._committing else 0, None)
        return len(self._batch) + len(self._unsaved) + sum(isinstance(effect, Saved) for effect in behind)

    def break_off(self, failure: Failure) -> None:
        """Perform nothing any more: what is in memory may not be what is on disk."""
        if not self.is_broken:
            self.is_broken = True
            self._release_waiting()
            self._on_broken(failure)

    def under_way(self, now: float) -> float:
        """How long the commit under way has taken so far, in seconds; 0 without one, and between two tries.

        :param now: monotonic seconds.
        """
        return now - self._committing_since if self._committing and self._retry is None else 0.0

    def look(self, now: float) -> None:
        """See whether the commit under way takes too long.

        :param now: monotonic seconds.
        """
        if self._committing and not (self.is_suspended or self.is_broken) and now - self._committing_since > TOO_LONG:
            self._suspend(f"a commit takes longer than {TOO_LONG:g} s")

    # ------------------------------------------------------------------------------------------------ performing

    def _pass(self, effect: Effect) -> None:
        """Let an effect through that nothing holds up."""
        self._performer.perform(effect)
        if isinstance(effect, Saved):
            self._unsaved.append(effect)
            self._hurry = self._hurry or isinstance(effect, Urgent)
            if not self._hurry:
                self._linger_on()

    def _linger_on(self) -> None:
        """Commit what nothing waits for soon."""
        if not self._committing and self._linger is None:
            self._linger = self._clock.reactor.callLater(LINGER, self._linger_over)

    def _linger_over(self) -> None:
        self._linger = None
        if not self._committing:
            self._commit_next()

    # ------------------------------------------------------------------------------------------------ committing

    def _commit_next(self) -> None:
        """Commit all that is there to be saved: what lingers, and every gate in the queue with what is around it."""
        if self._committing or self.is_broken:
            return
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        self._covered = len(self._queue)
        self._hurry = False
        self._batch, self._unsaved = self._unsaved, []
        self._batch += [effect for effect in self._queue if isinstance(effect, Saved)]
        if not self._batch:
            self._release_waiting()
            return
        self._waiting_for_batch, self._waiting = self._waiting, []
        self._committing = True
        self._try()

    def _try(self) -> None:
        self._retry = None
        self._committing_since = self._clock.monotonic()
        # Whatever a performer raises is a bug, and what it should have done is not known: that is no state to go on in.
        self._store.commit(self._batch).addCallbacks(self._committed, self._failed).addErrback(self.break_off)

    def _committed(self, _: object) -> None:
        if self.is_broken:
            return
        self._committing = False
        batch, self._batch = self._batch, []
        self.last_commit = self._clock.monotonic()
        self.durations.observe(self.last_commit - self._committing_since)
        if self.is_suspended:
            self.is_suspended = False
            self._retry_delay = RETRY_FIRST
            self._performer.resumed()
        # What is put meanwhile must not begin the next commit: this one is not wholly done.
        self._passing = True
        self._performer.gather()
        for _place in range(self._covered):
            self._performer.perform(self._queue.popleft())
        waiting, self._waiting_for_batch = self._waiting_for_batch, []
        self._go_on()
        self._performer.committed(batch)
        for done in waiting:
            done.callback(None)

    def _go_on(self) -> None:
        """Perform what queued up during the commit, up to the next gate, and commit from there."""
        while self._queue and not isinstance(self._queue[0], Gate):
            self._pass(self._queue.popleft())
        self._performer.send_gathered()
        self._passing = False
        if self._queue or self._waiting or self._hurry:
            self._commit_next()
        elif self._unsaved:
            self._linger_on()

    def _failed(self, failure: Failure) -> None:
        if not failure.check(StoreUnavailableError):
            self.break_off(failure)
            return
        self._suspend(failure.getErrorMessage())
        if self._finishing:
            return
        self._retry = self._clock.reactor.callLater(self._retry_delay, self._try)
        self._retry_delay = min(RETRY_LONGEST, self._retry_delay * 2)

    def _suspend(self, reason: str) -> None:
        if not self.is_suspended:
            self.is_suspended = True
            self._performer.suspended(reason)
        self._release_waiting()

    def _release_waiting(self) -> None:
        waiting = self._waiting_for_batch + self._waiting
        self._waiting_for_batch, self._waiting = [], []
        for done in waiting:
            done.callback(None)
