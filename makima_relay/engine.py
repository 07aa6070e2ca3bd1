"""The engine does what the core decides: it performs effects in order, commit first, then send; it owns the one timer.

Effects form one queue. A *gate* in it (a task or report to be saved) stops everything behind it until it is committed.
While a commit is under way new effects queue up; the next commit takes all of them (group commit). When nothing is
being committed, an effect without a gate before it is performed at once: a report costs no queue.

A commit that fails for a cause that can pass suspends the engine: no peer is read any more, and the same batch is
tried again until it succeeds. Any other failure ends the relay, because memory and disk may differ.

Lifecycle: :meth:`Engine.start` with what the store has; inputs from the shells; :meth:`Engine.stop`.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from makima_relay.clock import Clock
from makima_relay.core import effects
from makima_relay.core.journal import Entry
from makima_relay.core.messages import DaemonMessage, Hello, ServerMessage
from makima_relay.core.relay import Relay
from makima_relay.core.tasks import Task
from makima_relay.ports import DaemonLink, Link, Store, StoreUnavailableError, UpstreamLink

#: What need not be saved at once waits for company for so long, in seconds.
_LINGER = 0.05
#: The core is told at least this often that time passes, in seconds.
_TICK = 1.0
#: First and longest wait before a failed commit is tried again, in seconds.
_RETRY_FIRST, _RETRY_LONGEST = 0.1, 5.0


class Engine:
    """Performs the effects of one :class:`~makima_relay.core.relay.Relay`.

    :param relay: decides.
    :param store: keeps.
    :param clock: the clocks.
    :param on_broken: told once, with the reason, when the relay cannot go on.
    """

    _log = Logger()

    def __init__(self, relay: Relay, store: Store, clock: Clock, on_broken: Callable[[Failure], None]) -> None:
        self.relay = relay
        self._store = store
        self._clock = clock
        self._now = clock.monotonic
        self._on_broken = on_broken
        self._connections = itertools.count(1)
        self._daemons: dict[int, DaemonLink] = {}
        self._upstream: tuple[int, UpstreamLink] | None = None
        self._queue: deque[effects.Effect] = deque()
        self._unsaved: list[effects.Saved] = []
        self._batch: list[effects.Saved] = []
        self._covered = 0
        self._committing = False
        self._broken = False
        self._retry_delay = _RETRY_FIRST
        self._linger: IDelayedCall | None = None
        self._timer: IDelayedCall | None = None
        self._timer_due = 0.0
        self._waiting: list[Deferred[None]] = []
        self._waiting_for_batch: list[Deferred[None]] = []
        self.suspended = False
        self.last_commit = clock.monotonic()

    # ------------------------------------------------------------------------------------------------ lifecycle

    def start(self) -> None:
        """Begin with what an earlier run left."""
        self._perform(self.relay.started(self._now(), self._clock.wall()))
        self._arm_timer()

    def stop(self) -> Deferred[None]:
        """Take leave: what is saved from now on is the last.

        :return: fires when everything is in the database; never fails.
        """
        self._perform(self.relay.stopped(self._now()))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return self.settled()

    def settled(self) -> Deferred[None]:
        """Fires when all that was decided so far is committed; soon and without it while the engine is suspended."""
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        if self.suspended or self._broken:
            self._release_waiting()
        else:
            self._save_now()
        return done

    def links(self) -> list[DaemonLink]:
        """All downstream connections that have authenticated."""
        return list(self._daemons.values())

    # --------------------------------------------------------------------------------------- inputs: downstream

    def daemon_joined(self, link: DaemonLink, hello: Hello, address: str) -> int:
        """A daemon has authenticated.

        :return: the number of its connection, for the other inputs.
        """
        connection = next(self._connections)
        self._daemons[connection] = link
        if self.suspended:
            link.pause()
        self._perform(self.relay.daemon_joined(connection, hello, address, self._now()))
        return connection

    def daemon_lost(self, connection: int, reason: str) -> None:
        """A daemon's connection is gone."""
        self._daemons.pop(connection, None)
        self._perform(self.relay.daemon_lost(connection, reason, self._now()))

    def report_received(self, connection: int, report: DaemonMessage) -> None:
        """A daemon sent a message."""
        self._perform(self.relay.report_received(connection, report, self._now()))

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
        self._upstream = (connection, link)
        if self.suspended:
            link.pause()
        self._perform(self.relay.upstream_ready(connection, self._now(), url=url, daemonId=daemon_id))

    def upstream_lost(self, reason: str) -> None:
        """The live upstream connection is gone."""
        self._upstream = None
        self._perform(self.relay.upstream_lost(self._now(), reason))

    def command_received(self, message: ServerMessage) -> None:
        """The server sent a message."""
        self._perform(self.relay.command_received(message, self._now()))

    def invalid_command_received(self, reason: str) -> None:
        """The server sent something that cannot be read."""
        self._perform(self.relay.invalid_command_received(reason, self._now()))

    def acknowledged(self, number: int) -> None:
        """The server has read every report up to and with this number."""
        self._perform(self.relay.acknowledged(number))

    # ---------------------------------------------------------------------------------------- inputs: operators

    def cancel_requested(self, task_id: str) -> None:
        """See :meth:`makima_relay.core.relay.Relay.cancel_requested`."""
        self._perform(self.relay.cancel_requested(task_id, self._now()))

    def drain_requested(self, daemon_id: str, *, draining: bool) -> None:
        """See :meth:`makima_relay.core.relay.Relay.drain_requested`."""
        self._perform(self.relay.drain_requested(daemon_id, draining, self._now()))

    def noted(self, event: str, detail: str, **fields: str | int | None) -> None:
        """Something happened at the edge that only the journal needs to know."""
        self._perform(self.relay.noted(self._now(), event, detail, **fields))

    # ------------------------------------------------------------------------------------------- doing, in order

    def _perform(self, decided: Sequence[effects.Effect]) -> None:
        """Perform effects, or queue them behind what must be committed first."""
        if self._queue or self._broken:
            self._queue.extend(decided)
            return
        for place, effect in enumerate(decided):
            if isinstance(effect, effects.Gate):
                self._queue.extend(itertools.islice(decided, place, None))
                self._commit_next()
                break
            self._do(effect)
        if self.relay.next_deadline() is not None:
            self._arm_timer()

    def _do(self, effect: effects.Effect) -> None:
        kind = type(effect)
        if kind is effects.SendUpstream:
            self._send_upstream(effect)  # type: ignore[arg-type]
        elif kind is effects.SendToDaemon:
            self._send_to_daemon(effect)  # type: ignore[arg-type]
        elif isinstance(effect, effects.Saved):
            self._save_soon(effect)
        elif isinstance(effect, effects.CloseDaemon):
            self._close_daemon(effect)
        elif isinstance(effect, effects.RecallTasks):
            self._recall(effect)

    def _send_upstream(self, effect: effects.SendUpstream) -> None:
        if self._upstream is not None and self._upstream[0] == effect.connection:
            self._upstream[1].send(effect.payload, effect.number)

    def _send_to_daemon(self, effect: effects.SendToDaemon) -> None:
        link = self._daemons.get(effect.connection)
        if link is not None:
            link.send(effect.payload)

    def _close_daemon(self, effect: effects.CloseDaemon) -> None:
        link = self._daemons.pop(effect.connection, None)
        if link is not None:
            link.close(effect.code, effect.reason)

    def _recall(self, effect: effects.RecallTasks) -> None:
        found = self._store.recall(effect.task_ids)
        found.addCallbacks(self._recalled, self._recall_failed, callbackArgs=(effect.task_ids,), errbackArgs=(effect,))

    def _recall_failed(self, failure: Failure, effect: effects.RecallTasks) -> None:
        if failure.check(StoreUnavailableError):
            self._clock.reactor.callLater(_RETRY_LONGEST, self._recall, effect)
        else:
            self._break(failure)

    def _recalled(self, tasks: Iterable[Task], task_ids: Sequence[str]) -> None:
        self._perform(self.relay.tasks_recalled(task_ids, tasks, self._now()))

    # --------------------------------------------------------------------------------------------------- saving

    def _save_soon(self, effect: effects.Saved) -> None:
        """Save with the next commit; nothing waits for it."""
        if isinstance(effect, effects.SaveEntry):
            self._show(effect.entry)
        self._unsaved.append(effect)
        if self._linger is None and not self._committing:
            self._linger = self._clock.reactor.callLater(_LINGER, self._linger_over)

    def _show(self, entry: Entry) -> None:
        self._log.info("{event}: {detail} {fields}", event=entry.event, detail=entry.detail, fields=entry.fields)

    def _linger_over(self) -> None:
        self._linger = None
        self._save_now()

    def _save_now(self) -> None:
        if not self._committing:
            self._commit_next()

    def _commit_next(self) -> None:
        """Commit all that is there to be saved: what lingers, and every gate in the queue with what is around it."""
        if self._committing or self._broken:
            return
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        self._covered = len(self._queue)
        self._batch = self._unsaved
        self._unsaved = []
        for effect in self._queue:
            if isinstance(effect, effects.Saved):
                self._batch.append(effect)
        if not self._batch:
            self._release_waiting()
            return
        self._waiting_for_batch, self._waiting = self._waiting, []
        self._committing = True
        self._try_commit()

    def _try_commit(self) -> None:
        self._store.commit(self._batch).addCallbacks(self._committed, self._commit_failed)

    def _committed(self, _: object) -> None:
        self._committing = False
        self._batch = []
        self.last_commit = self._now()
        self._resume()
        for _place in range(self._covered):
            effect = self._queue.popleft()
            if isinstance(effect, effects.SaveEntry):
                self._show(effect.entry)
            elif not isinstance(effect, effects.Saved):
                self._do(effect)
        waiting, self._waiting_for_batch = self._waiting_for_batch, []
        self._go_on()
        for done in waiting:
            done.callback(None)

    def _go_on(self) -> None:
        """Perform what queued up during the commit, up to the next gate, and commit from there."""
        while self._queue and not isinstance(self._queue[0], effects.Gate):
            self._do(self._queue.popleft())
        if self._queue or self._waiting:
            self._commit_next()
        elif self._unsaved and self._linger is None:
            self._linger = self._clock.reactor.callLater(_LINGER, self._linger_over)
        self._arm_timer()

    def _commit_failed(self, failure: Failure) -> None:
        if not failure.check(StoreUnavailableError):
            self._break(failure)
            return
        if not self.suspended:
            self.suspended = True
            self._log.error("database cannot be written, reading stops: {reason}", reason=failure.getErrorMessage())
            for link in self._all_links():
                link.pause()
        self._release_waiting()
        self._clock.reactor.callLater(self._retry_delay, self._try_commit)
        self._retry_delay = min(_RETRY_LONGEST, self._retry_delay * 2)

    def _resume(self) -> None:
        if not self.suspended:
            return
        self.suspended = False
        self._retry_delay = _RETRY_FIRST
        self._log.info("database can be written again, reading goes on")
        for link in self._all_links():
            link.resume()

    def _all_links(self) -> list[Link]:
        return [*self._daemons.values(), *([] if self._upstream is None else [self._upstream[1]])]

    def _break(self, failure: Failure) -> None:
        """End the relay: what is in memory may not be what is on disk."""
        if not self._broken:
            self._broken = True
            self._release_waiting()
            self._on_broken(failure)

    def _release_waiting(self) -> None:
        waiting = self._waiting_for_batch + self._waiting
        self._waiting_for_batch, self._waiting = [], []
        for done in waiting:
            done.callback(None)

    # ---------------------------------------------------------------------------------------------------- time

    def _arm_timer(self) -> None:
        """See to it that the core is told of passing time when it needs it, and once a second anyway."""
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
        self._perform(self.relay.time_passed(self._now(), self._clock.wall()))
        self._arm_timer()
