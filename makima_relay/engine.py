"""The engine does what the core decides: it has effects committed and performed in order, and owns the one timer.

Lifecycle: :meth:`Engine.start` with what the store has; inputs from the shells; :meth:`Engine.stop`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from makima_relay.announcements import Announcements
from makima_relay.clock import Clock
from makima_relay.commits import RETRY_LONGEST, CommitQueue
from makima_relay.core import effects
from makima_relay.core.keys import DaemonKey
from makima_relay.core.messages import Command, DaemonMessage, Hello, ServerMessage, Spawn
from makima_relay.core.rejections import Rejection
from makima_relay.core.relay import Relay
from makima_relay.core.tally import Histogram
from makima_relay.core.tasks import Task, TaskStatus
from makima_relay.links import Links
from makima_relay.ports import DaemonLink, Store, StoreUnavailableError, UpstreamLink

#: The core is told at least this often that time passes, in seconds.
_TICK = 1.0


class Engine:
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
        self._store = store
        self._clock = clock
        self._now = clock.monotonic
        self._connections = itertools.count(1)
        self._links = Links()
        self.announcements = Announcements(relay, clock)
        self._doers = self._make_doers()
        self._timer: IDelayedCall | None = None
        self._timer_due = 0.0
        self._stopped = False
        self._on_broken = on_broken
        self._look_ups_fail = False
        self._waiting_for_answers: list[tuple[float, Deferred[None]]] = []
        self._commits = CommitQueue(store, clock, self, self._broke)

    @property
    def is_suspended(self) -> bool:
        """Whether the database cannot be written at the moment."""
        return self._commits.is_suspended

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
        return self._looked_up(math.inf).addCallback(self._take_leave)

    def _take_leave(self, _: object) -> Deferred[bool]:
        self._perform(self.relay.stopped(self._now()))
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.announcements.stop()
        return self._commits.finish().addCallback(self._finished)

    def _finished(self, unsaved: int) -> Deferred[bool] | bool:
        if self.relay.messages_waiting and self._can_look_up:
            # The database could not be written when the stop began, and can be now.
            return self._looked_up(math.inf).addCallback(self._finish_again)
        unsaved += self.relay.messages_waiting
        if unsaved:
            self._log.critical("the database cannot be written: {unsaved} changes are lost", unsaved=unsaved)
        return unsaved == 0

    def _finish_again(self, _: object) -> Deferred[bool]:
        self._perform(self.relay.stopping())
        return self._commits.finish().addCallback(self._finished)

    def safe(self) -> Deferred[None]:
        """Fires when what peers have sent so far is committed.

        While commits fail it fires at once and without it; if nothing can be saved any more, never.
        """
        return self._settled().addCallback(lambda _: Deferred() if self._commits.is_broken else None)

    def _settled(self) -> Deferred[None]:
        return self._looked_up(self.relay.last_to_wait).addCallback(lambda _: self._commits.settled())

    def _looked_up(self, up_to: float) -> Deferred[None]:
        """Fires when no message waits for a look-up, or would wait for the database to be mended.

        :param up_to: the number of the last message that matters.
        """
        done: Deferred[None] = Deferred()
        self._waiting_for_answers.append((up_to, done))
        self._release_if_looked_up()
        return done

    @property
    def _can_look_up(self) -> bool:
        return not (self.is_suspended or self._look_ups_fail or self._commits.is_broken)

    def _release_if_looked_up(self) -> None:
        if not self._waiting_for_answers:
            return
        oldest = self.relay.oldest_waiting if self._can_look_up else None
        waiting, self._waiting_for_answers = self._waiting_for_answers, []
        for up_to, done in waiting:
            if oldest is None or oldest > up_to:
                done.callback(None)
            else:
                self._waiting_for_answers.append((up_to, done))

    def _broke(self, failure: Failure) -> None:
        self._release_if_looked_up()
        self._on_broken(failure)

    def settled(self) -> Deferred[None]:
        """See :meth:`makima_relay.commits.CommitQueue.settled`."""
        return self._commits.settled()

    def break_off(self, failure: Failure) -> None:
        """See :meth:`makima_relay.commits.CommitQueue.break_off`."""
        self._commits.break_off(failure)

    # --------------------------------------------------------------------------------------- inputs: downstream

    def daemon_joined(self, link: DaemonLink, hello: Hello, address: str, key: DaemonKey | None = None) -> int:
        """A daemon has authenticated.

        :param key: the daemon key that it presented; none for the shared one.
        :return: the number of its connection, for the other inputs.
        """
        connection = next(self._connections)
        self._links.daemon_joined(connection, link)
        self._perform(self.relay.daemon_joined(connection, hello, address, self._now(), key))
        return connection

    def daemon_parting(self, connection: int, reason: str) -> None:
        """A daemon's connection closes: nothing can be sent on it any more."""
        self._links.daemon_gone(connection)
        self._perform(self.relay.daemon_parting(connection, reason, self._now()))

    def daemon_lost(self, connection: int, reason: str) -> None:
        """A daemon's connection is gone."""
        self._links.daemon_gone(connection)
        self._perform(self.relay.daemon_lost(connection, reason, self._now()))

    def reports_received(self, connection: int, reports: Sequence[DaemonMessage]) -> None:
        """A daemon sent messages."""
        self._perform(self.relay.reports_received(connection, reports, self._now()))

    def invalid_report_received(self, connection: int, reason: str) -> None:
        """A daemon sent something that cannot be read."""
        self._perform(self.relay.invalid_report_received(connection, reason, self._now()))

    def daemon_seen(self, connection: int) -> None:
        """A daemon answered a ping."""
        self._perform(self.relay.daemon_seen(connection, self._now()))

    # ----------------------------------------------------------------------------------------- inputs: upstream

    def upstream_ready(self, link: UpstreamLink, url: str, daemon_id: str | None) -> None:
        """The server has authenticated a connection."""
        connection = next(self._connections)
        self._links.upstream_ready(connection, link)
        if self.is_suspended:
            self._links.answer_server(self.relay.heartbeat())
        self._perform(self.relay.upstream_ready(connection, self._now(), url=url, daemonId=daemon_id))

    def heartbeat_due(self) -> None:
        """The server is to be told which tasks are at work; it is also told while nothing can be committed."""
        if self.is_suspended:
            self._links.answer_server(self.relay.heartbeat())
        else:
            self._perform(self.relay.heartbeat_due())

    def upstream_lost(self, reason: str) -> None:
        """The live upstream connection is gone."""
        self._links.upstream_lost()
        self._perform(self.relay.upstream_lost(self._now(), reason))

    def command_received(self, message: ServerMessage) -> None:
        """The server sent a message; while the database cannot be written, a new task is refused."""
        refusal = self.relay.refusal(message) if self.is_suspended else None
        if refusal is not None:
            # Not behind what waits for the commit: by then there would be nothing to refuse any more.
            self._links.answer_server(refusal)
            return
        if self.is_suspended:
            self._links.waits(len(message.payload) if isinstance(message, Spawn | Command) else 0)
        self._perform(self.relay.command_received(message, self._now()))

    def invalid_command_received(self, reason: str) -> None:
        """The server sent something that cannot be read."""
        if self.is_suspended:
            self._links.waits(len(reason))
        self._perform(self.relay.invalid_command_received(reason, self._now()))

    def upstream_congested(self) -> None:
        """The server does not take what it was sent as fast as it comes."""
        self._links.congested(congested=True)
        self._perform(self.relay.upstream_congested())

    def upstream_drained(self) -> None:
        """The server has taken most of what it was sent."""
        self._links.congested(congested=False)
        self._perform(self.relay.upstream_drained())

    def acknowledged(self, number: int) -> None:
        """The server has read every report up to and with this number."""
        self._perform(self.relay.acknowledged(number))

    # ---------------------------------------------------------------------------------------- inputs: operators

    def cancel_requested(self, task_id: str) -> None:
        """See :meth:`makima_relay.core.operators.Operators.cancel_requested`."""
        self._perform(self.relay.cancel_requested(task_id, self._now()))

    def drain_requested(self, daemon_id: str, *, draining: bool) -> None:
        """See :meth:`makima_relay.core.operators.Operators.drain_requested`."""
        self._perform(self.relay.drain_requested(daemon_id, draining, self._now()))

    def key_made(self, name: str, digest: bytes) -> None:
        """See :meth:`makima_relay.core.operators.Operators.key_made`."""
        self._perform(self.relay.key_made(name, digest, self._now()))

    def key_rotated(self, name: str, digest: bytes) -> None:
        """See :meth:`makima_relay.core.operators.Operators.key_rotated`."""
        self._perform(self.relay.key_rotated(name, digest, self._now()))

    def keys_revoked(self, name: str) -> None:
        """See :meth:`makima_relay.core.operators.Operators.keys_revoked`."""
        decided = self.relay.keys_revoked(name, self._now())
        self._perform(decided)
        if self.is_suspended:
            # All that it sends goes to those whose key it was: they shall not stay until the database is mended.
            for effect in decided:
                if isinstance(effect, effects.SendToDaemon | effects.CloseDaemon):
                    self.perform(effect)

    def turned_away(self, reason: Rejection, event: str | None, detail: str = "", address: str = "") -> None:
        """Somebody was turned away at the edge.

        :param event: for the journal; none if it is only to be counted.
        :param detail: the sentence for the journal.
        :param address: where it came from.
        """
        self.relay.rejected[reason] += 1
        if event is not None:
            self.noted(event, detail, address=address)

    def noted(self, event: str, detail: str, **fields: str | int | None) -> None:
        """Something happened at the edge that only the journal needs to know.

        While the database cannot be written it is only logged: strangers could fill the memory with it.
        """
        if self.is_suspended:
            self._log.info("{event}: {detail} {fields}", event=event, detail=detail, fields=fields)
            return
        self._perform(self.relay.noted(self._now(), event, detail, **fields))

    # ----------------------------------------------------------------------------------------- doing what it says

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
            effects.RecallTasks: self._recall,
            effects.LoadReports: self._load,
            effects.SendMore: lambda effect: later(0, self._send_more, effect.connection),
            effects.ReleaseMore: lambda _: later(0, self._release_more),
            effects.SaveEntry: self._show,
            effects.SaveTask: lambda effect: announce.task_saved(effect.task),
            effects.SaveDaemon: lambda effect: announce.daemon_saved(effect.daemon_id, effect.hostname),
            effects.AnnounceOutput: lambda effect: announce.output_kept(),
        }

    def _send_heartbeat(self, effect: effects.SendHeartbeat) -> None:
        self._links.send_upstream(effects.SendUpstream(effect.connection, self.relay.heartbeat()))

    def _recall(self, effect: effects.RecallTasks) -> None:
        found = self._store.recall(effect.task_ids)
        found.addCallbacks(self._recalled, self._recall_failed, callbackArgs=(effect.task_ids,), errbackArgs=(effect,))

    def _recalled(self, tasks: Iterable[Task], task_ids: Sequence[str]) -> None:
        self._look_ups_fail = False
        self._perform(self.relay.tasks_recalled(task_ids, tasks, self._now()))
        self._release_if_looked_up()

    def _recall_failed(self, failure: Failure, effect: effects.RecallTasks) -> None:
        if failure.check(StoreUnavailableError):
            self._look_ups_fail = True
            self._release_if_looked_up()
            self._clock.reactor.callLater(RETRY_LONGEST, self._recall, effect)
        else:
            self._commits.break_off(failure)

    def _send_more(self, connection: int) -> None:
        self._perform(self.relay.more_wanted(connection))

    def _release_more(self) -> None:
        self._perform(self.relay.release_wanted())

    def _load(self, effect: effects.LoadReports) -> None:
        loaded = self._store.reports(effect.after, effect.up_to, effect.size)
        loaded.addCallbacks(self._loaded, self._load_failed, callbackArgs=(effect,), errbackArgs=(effect,))

    def _loaded(self, found: tuple[list[tuple[int, bytes]], int], effect: effects.LoadReports) -> None:
        reports, up_to = found
        self._perform(self.relay.reports_loaded(effect.connection, reports, up_to))

    def _load_failed(self, failure: Failure, effect: effects.LoadReports) -> None:
        if failure.check(StoreUnavailableError):
            self._clock.reactor.callLater(RETRY_LONGEST, self._load, effect)
        else:
            self._commits.break_off(failure)

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

    def suspended(self, reason: str) -> None:
        """See :meth:`makima_relay.commits.Performer.suspended`: no daemon is read any more, no task is accepted."""
        self._log.error("the database cannot be written, daemons and new tasks have to wait: {reason}", reason=reason)
        self.relay.suspended(self._now())
        self._links.suspend()
        self._release_if_looked_up()

    def resumed(self) -> None:
        """See :meth:`makima_relay.commits.Performer.resumed`."""
        self._log.info("the database can be written again, everything goes on")
        self.relay.resumed(self._now())
        self._links.resume()

    # ---------------------------------------------------------------------------------------------------- time

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
