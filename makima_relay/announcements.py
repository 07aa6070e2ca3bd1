"""Announces what happened, to those who follow the relay: the one place where they hear of it.

The engine tells it what it performs, so nothing is announced before it is committed; the connection to the server tells
it where it is. What changes several times in a quarter of a second is announced once, as it is then. The last 1,000
events are remembered by number, as the things that they are about: whoever writes them out does so when somebody reads
them, and leaves the text with the event for the next.
"""

from __future__ import annotations

import enum
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from twisted.internet.interfaces import IDelayedCall

from makima_relay.clock import Clock
from makima_relay.core.fleet import Daemon
from makima_relay.core.journal import Entry
from makima_relay.core.tasks import Task
from makima_relay.core.view import View

#: Events that are remembered.
MOST_EVENTS: Final = 1_000
#: Seconds between announcements, and before the first after a while: what belongs together comes together.
INTERVAL: Final = 0.25
PROMPTLY: Final = 0.01
#: Names of daemons that are remembered for the tasks that they had.
_MOST_NAMES: Final = 20_000


class EventKind(enum.StrEnum):
    """What an event is about; the words are those of ``http-api.md``."""

    TASK = "task"
    DAEMON = "daemon"
    UPSTREAM = "upstream"
    LOG = "log"


class Event:
    """Something that happened.

    :ivar thing: what it is about; none for the connection to the server, of which there is one.
    :ivar text: how it is written, once somebody has.
    """

    __slots__ = ("kind", "text", "thing")

    def __init__(self, kind: EventKind, thing: Task | Daemon | Entry | None) -> None:
        self.kind = kind
        self.thing = thing
        self.text: bytes | None = None


class Announcements:
    """Gathers what happens, and remembers it for a while.

    :param relay: knows the daemons.
    :ivar run: tells the events of this process from those of any other.
    :ivar last: the number of the latest event; 0 before the first.
    :ivar listeners: called when there is something new.
    """

    def __init__(self, relay: View, clock: Clock) -> None:
        self._relay = relay
        self._clock = clock
        self.run = secrets.token_hex(6)
        self.last = 0
        self.listeners: list[Callable[[], object]] = []
        #: By number modulo its length.
        self._ring: list[Event | None] = [None] * MOST_EVENTS
        self._tasks: dict[str, Task] = {}
        self._daemons: dict[str, None] = {}
        self._entries: deque[Entry] = deque(maxlen=MOST_EVENTS)
        self._dropped_entries = 0
        self._upstream = False
        self._connected: dict[str, Daemon] = {}
        self._unhealthy: set[str] = set()
        self._names: dict[str, str] = {}
        self._timer: IDelayedCall | None = None
        self._announced_at = clock.monotonic() - INTERVAL
        self._stopped = False

    # ------------------------------------------------------------------------------------------- what happened

    def task_saved(self, task: Task) -> None:
        """A task is as it is now; the load of the daemon that has it may be another."""
        self._tasks[task.task_id] = task
        if task.daemon_id is not None:
            self._daemons[task.daemon_id] = None
        if self._timer is None:
            self._announce_soon()

    def daemon_saved(self, daemon_id: str, hostname: str) -> None:
        """A daemon has come, or gets no new tasks, or gets them again."""
        self._learn_name(daemon_id, hostname)
        self.daemon_changed(daemon_id)

    def daemon_changed(self, daemon_id: str) -> None:
        """Something else of a daemon has changed."""
        self._daemons[daemon_id] = None
        self._announce_soon()

    def entry_saved(self, entry: Entry) -> None:
        """Something was written into the journal; whoever it names may have changed."""
        self._dropped_entries += len(self._entries) == MOST_EVENTS
        self._entries.append(entry)
        daemon_id, hostname = entry.fields.get("daemonId"), entry.fields.get("hostname")
        if isinstance(daemon_id, str):
            if isinstance(hostname, str) and hostname != daemon_id:
                self._learn_name(daemon_id, hostname)
            self._daemons[daemon_id] = None
        self._announce_soon()

    def upstream_changed(self) -> None:
        """The connection to the server, or the attempt at one, has come further."""
        self._upstream = True
        self._announce_soon()

    def output_kept(self) -> None:
        """There is more output of a task that somebody follows; it is kept elsewhere."""
        self._announce_soon()

    def look_at_health(self) -> None:
        """Find the daemons that have fallen silent, or are heard again: nothing else tells."""
        now = self._clock.monotonic()
        unhealthy = {each.daemon_id for each in self._connected.values() if not self._relay.healthy(each, now)}
        for daemon_id in unhealthy ^ self._unhealthy:
            self.daemon_changed(daemon_id)
        self._unhealthy = unhealthy

    def _learn_name(self, daemon_id: str, hostname: str) -> None:
        if len(self._names) >= _MOST_NAMES:
            del self._names[next(iter(self._names))]
        self._names[daemon_id] = hostname

    def hostname(self, daemon_id: str | None) -> str | None:
        """The name of a daemon that is or was here lately."""
        if daemon_id is None:
            return None
        return self._names.get(daemon_id) or self._relay.hostname(daemon_id)

    # -------------------------------------------------------------------------------------------- announcing it

    def _announce_soon(self) -> None:
        if self._timer is None and not self._stopped:
            wait = max(PROMPTLY, self._announced_at + INTERVAL - self._clock.monotonic())
            self._timer = self._clock.reactor.callLater(wait, self._announce)

    def stop(self) -> None:
        """Announce nothing any more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _announce(self) -> None:
        """Number what happened, and tell those who listen."""
        self._timer = None
        self._announced_at = self._clock.monotonic()
        self.last += self._dropped_entries
        self._dropped_entries = 0
        self._remember(EventKind.LOG, list(self._entries))
        self._remember(EventKind.UPSTREAM, [None] * self._upstream)
        self._remember(EventKind.DAEMON, list(self._changed_daemons()))
        self._remember(EventKind.TASK, list(self._tasks.values()))
        self._entries.clear()
        self._upstream = False
        self._tasks = {}
        for listener in self.listeners:
            listener()

    def _changed_daemons(self) -> Iterable[Daemon]:
        """Those that have changed and are here, or were when it was last announced."""
        changed, self._daemons = self._daemons, {}
        for daemon_id in changed:
            daemon = self._relay.daemon(daemon_id)
            if daemon is not None:
                self._connected[daemon_id] = daemon
                yield daemon
            elif daemon_id in self._connected:
                yield self._connected.pop(daemon_id)

    def _remember(self, kind: EventKind, things: Sequence[Task | Daemon | Entry | None]) -> None:
        """Give events their numbers; of more than there is room for the last are remembered."""
        self.last += len(things)
        kept = things[-MOST_EVENTS:]
        for number, thing in enumerate(kept, self.last - len(kept) + 1):
            self._ring[number % MOST_EVENTS] = Event(kind, thing)

    # ---------------------------------------------------------------------------------------------- reading it

    def knows(self, number: int) -> bool:
        """Whether every event above a number is remembered."""
        return max(0, self.last - MOST_EVENTS) <= number <= self.last

    def after(self, number: int, most: int) -> list[Event]:
        """The events above a number, oldest first.

        :param number: one that :meth:`knows`.
        :param most: how many of them.
        """
        numbers = range(number + 1, min(self.last, number + most) + 1)
        return [event for each in numbers if (event := self._ring[each % MOST_EVENTS]) is not None]
