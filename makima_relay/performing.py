"""Performs what the core decides: has effects committed and performed in order, and owns the one timer."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from makima_relay.announcements import Announcements
from makima_relay.clock import Clock
from makima_relay.commits import CommitQueue
from makima_relay.core import effects
from makima_relay.core.directory import DirectoryEntry
from makima_relay.core.relay import Relay
from makima_relay.core.tasks import TaskStatus
from makima_relay.links import Links
from makima_relay.ports import Store
from makima_relay.questions import Questions

#: The core is told at least this often that time passes, in seconds.
_TICK = 1.0


class Performing:
    """Performs the effects of one :class:`~makima_relay.core.relay.Relay`.

    :param relay: decides.
    :param store: keeps.
    :param clock: the clocks.
    :param on_broken: told once, with the reason, when the relay cannot go on.
    :ivar announcements: tell those who follow the relay what happens.
    """

    _log = Logger()

    def __init__(self, relay: Relay, store: Store, clock: Clock, on_broken: Callable[[Failure], None]) -> None:
        self.relay = relay
        self._clock = clock
        self._now = clock.monotonic
        self._connections = itertools.count(1)
        self._links = Links()
        self.announcements = Announcements(relay, clock)
        self._timer: IDelayedCall | None = None
        self._timer_due = 0.0
        self._stopped = False
        self._on_broken = on_broken
        self._commits = CommitQueue(store, clock, self, self._broke)
        self._questions = Questions(relay, store, clock, self._commits, self._perform)
        self._doers = self._make_doers()

    @property
    def is_suspended(self) -> bool:
        """Whether the database cannot be written at the moment."""
        return self._commits.is_suspended

    def learn(
        self,
        doers: Mapping[type[effects.Effect], Callable[[Any], object]],
        claim: Callable[[Sequence[str]], Deferred[Mapping[str, DirectoryEntry]]],
    ) -> None:
        """Take part in a cluster: do further kinds of effects, and ask for tasks there as well.

        :param doers: what is done for each.
        :param claim: see :meth:`makima_relay.ports.ClusterLink.claim`.
        """
        for kind, further in doers.items():
            self._doers[kind] = _both(self._doers.get(kind), further)
        self._questions.claim = claim

    # -------------------------------------------------------------------------------------------------- effects

    def act(self, decided: Sequence[effects.Effect]) -> None:
        """Have done what the core decided about what others told it, unless the relay has stopped."""
        if not self._stopped:
            self._perform(decided)

    def _perform(self, decided: Sequence[effects.Effect]) -> None:
        """Have effects performed in order."""
        self._commits.put(decided)
        deadline = self.relay.next_deadline()
        if deadline is not None and deadline < self._timer_due:
            self._arm_timer()

    def perform(self, effect: effects.Effect) -> None:
        """See :meth:`makima_relay.commits.Performer.perform`."""
        do = self._doers.get(type(effect))
        if do is not None:
            do(effect)

    def gather(self) -> None:
        """See :meth:`makima_relay.commits.Performer.gather`."""
        self._links.gather()

    def send_gathered(self) -> None:
        """See :meth:`makima_relay.commits.Performer.send_gathered`."""
        self._links.send_gathered()

    def _make_doers(self) -> dict[type[effects.Effect], Callable[[Any], object]]:
        """What is done for each class of effects; those that are only saved are not among them."""
        links, later, announce = self._links, self._clock.reactor.callLater, self.announcements
        return {
            effects.SendReports: links.send_reports,
            effects.SendUpstream: links.send_upstream,
            effects.SendToDaemon: links.send_to_daemon,
            effects.CloseDaemon: links.close_daemon,
            effects.HoldDaemon: lambda effect: links.hold(effect.connection),
            effects.ReleaseDaemon: lambda effect: links.release(effect.connection),
            effects.SendHeartbeat: self._send_heartbeat,
            effects.RecallTasks: self._questions.recall,
            effects.LoadReports: self._questions.load,
            effects.SendMore: lambda effect: later(0, self._send_more, effect.connection),
            effects.ReleaseMore: lambda _: later(0, self._release_more),
            effects.SaveEntry: self._show,
            effects.SaveTask: lambda effect: announce.task_saved(effect.task),
            effects.SaveDaemon: lambda effect: announce.daemon_saved(effect.daemon_id, effect.hostname),
            effects.AnnounceOutput: lambda effect: announce.output_kept(),
        }

    def _send_heartbeat(self, effect: effects.SendHeartbeat) -> None:
        self._links.send_upstream(effects.SendUpstream(effect.connection, self.relay.heartbeat()))

    def _send_more(self, connection: int) -> None:
        self._perform(self.relay.more_wanted(connection))

    def _release_more(self) -> None:
        self._perform(self.relay.release_wanted())

    # -------------------------------------------------------------------------------------------------- commits

    def committed(self, batch: Sequence[effects.Saved]) -> None:
        """See :meth:`makima_relay.commits.Performer.committed`: reports that are stored need not stay in memory."""
        self._count_dispatches(batch)
        stored = [effect.reports[-1][0] for effect in batch if type(effect) is effects.KeepReports]
        if stored:
            self._perform(self.relay.reports_stored(stored[-1]))

    def _count_dispatches(self, batch: Sequence[effects.Saved]) -> None:
        """Count how long the tasks waited that were just sent for the first time."""
        now = self._clock.wall()
        for effect in batch:
            if type(effect) is effects.SaveTask:
                task = effect.task
                if task.status is TaskStatus.DISPATCHED and task.tries == 1:
                    self.relay.tally.dispatch.observe(max(0.0, now - task.received_at))

    def _show(self, effect: effects.SaveEntry) -> None:
        """Have the program's log show what the journal does, and tell those who follow the relay."""
        entry = effect.entry
        self.announcements.entry_saved(entry)
        # Twisted takes as long for each field of a format as for all the rest of a line, so there are none in this one.
        line = f"{entry.event}: {entry.detail} {entry.fields}".replace("{", "{{").replace("}", "}}")
        self._log.info(line, event=entry.event, detail=entry.detail, fields=entry.fields)

    def _broke(self, failure: Failure) -> None:
        self._questions.release()
        self._on_broken(failure)

    def suspended(self, reason: str) -> None:
        """See :meth:`makima_relay.commits.Performer.suspended`: no daemon is read any more, no task is accepted."""
        self._log.error("the database cannot be written, daemons and new tasks have to wait: {reason}", reason=reason)
        self.relay.suspended(self._now())
        self._links.suspend()
        self._questions.release()

    def resumed(self) -> None:
        """See :meth:`makima_relay.commits.Performer.resumed`."""
        self._log.info("the database can be written again, everything goes on")
        self.relay.resumed(self._now())
        self._links.resume()

    # ----------------------------------------------------------------------------------------------------- time

    def _arm_timer(self) -> None:
        """See to it that the core is told of passing time when it needs it, and once a second anyway."""
        if self._stopped:
            return
        now = self._now()
        deadline = self.relay.next_deadline()
        due = now + _TICK if deadline is None else min(deadline, now + _TICK)
        if self._timer is not None:
            if self._timer_due <= due:
                return
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._clock.reactor.callLater(max(0.0, due - now), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._commits.look(self._now())
        self._perform(self.relay.time_passed(self._now(), self._clock.wall()))
        self._arm_timer()


def _both(first: Callable[[Any], object] | None, then: Callable[[Any], object]) -> Callable[[Any], object]:
    """Do what was done so far, and then something else."""
    if first is None:
        return then
    return lambda effect: (first(effect), then(effect))
