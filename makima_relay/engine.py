"""The engine does what the core decides: it begins, it ends, and it tells when what came is safe.

Lifecycle: :meth:`Engine.start` with what the store has; inputs from the shells
(:class:`~makima_relay.telling.Telling`), whose effects are performed (:class:`~makima_relay.performing.Performing`);
:meth:`Engine.stop`.
"""

from __future__ import annotations

import math

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from makima_relay.core.tally import Histogram
from makima_relay.telling import Telling


class Engine(Telling):
    """The whole engine, from its start to its stop; :class:`~makima_relay.performing.Performing` has its arguments."""

    @property
    def saves(self) -> bool:
        """Whether what was :meth:`settled` is in the database, and not only in memory."""
        return not (self._commits.is_suspended or self._commits.is_broken)

    @property
    def last_commit(self) -> float:
        """When something was last committed, in monotonic seconds."""
        return self._commits.last_commit

    @property
    def commit_durations(self) -> Histogram:
        """How long commits took, in seconds."""
        return self._commits.durations

    def commit_under_way(self) -> float:
        """How long the commit under way has taken so far, in seconds; 0 without one."""
        return self._commits.under_way(self._clock.monotonic())

    # ------------------------------------------------------------------------------------------------ lifecycle

    def start(self) -> Deferred[None]:
        """Begin with what an earlier run left.

        :return: fires when all of that is taken up; before, nobody may connect.
        """
        self._perform(self.relay.started(self._now(), self._clock.wall()))
        self._arm_timer()
        started: Deferred[None] = Deferred()
        self._go_on_taking_up(started)
        return started

    def _go_on_taking_up(self, started: Deferred[None]) -> None:
        if self.relay.is_taking_up:
            self._clock.reactor.callLater(0, self._take_up, started)
        else:
            started.callback(None)

    def _take_up(self, started: Deferred[None]) -> None:
        if not self._stopped:
            self._perform(self.relay.taken_up(self._now()))
            self._go_on_taking_up(started)

    def stopping(self) -> Deferred[None]:
        """Take no new tasks; fires when what daemons have reported so far is safe, so that they can be sent away."""
        self._perform(self.relay.stopping())
        return self._settled()

    def stop(self) -> Deferred[bool]:
        """Take leave: nothing happens any more.

        :return: whether everything is in the database; what is not is counted in the log, and lost.
        """
        return self._questions.answered(math.inf).addCallback(self._take_leave)

    def _take_leave(self, _: object) -> Deferred[bool]:
        self._perform(self.relay.stopped(self._now()))
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.announcements.stop()
        return self._commits.finish().addCallback(self._finished)

    def _finished(self, unsaved: int) -> Deferred[bool] | bool:
        if self.relay.messages_waiting and self._questions.can_be_asked:
            # The database could not be written when the stop began, and can be now.
            return self._questions.answered(math.inf).addCallback(self._finish_again)
        unsaved += self.relay.messages_waiting
        if unsaved:
            self._log.critical("the database cannot be written: {unsaved} changes are lost", unsaved=unsaved)
        return unsaved == 0

    def _finish_again(self, _: object) -> Deferred[bool]:
        self._perform(self.relay.stopping())
        return self._commits.finish().addCallback(self._finished)

    # --------------------------------------------------------------------------------------------- what is safe

    def safe(self) -> Deferred[None]:
        """Fires when what peers have sent so far is committed.

        While commits fail it fires at once and without it; if nothing can be saved any more, never.
        """
        return self._settled().addCallback(lambda _: Deferred() if self._commits.is_broken else None)

    def _settled(self) -> Deferred[None]:
        return self._questions.answered(self.relay.last_to_wait).addCallback(lambda _: self._commits.settled())

    def settled(self) -> Deferred[None]:
        """See :meth:`makima_relay.commits.CommitQueue.settled`."""
        return self._commits.settled()

    def break_off(self, failure: Failure) -> None:
        """See :meth:`makima_relay.commits.CommitQueue.break_off`."""
        self._commits.break_off(failure)
