"""Stand-ins for what the shells are given: clocks, stores and links that record what is done with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock as ManualReactor
from twisted.internet.testing import MemoryReactorClock

from makima_relay.clock import Clock
from makima_relay.core import effects
from makima_relay.core.tasks import Task
from makima_relay.ports import StoreUnavailableError
from makima_relay.store import SQLiteStore

#: The wall clock of :func:`clock_on` when its reactor is at 0: 2024-12-15T10:30:00Z.
EPOCH = 1_734_258_600.0


def clock_on(reactor: ManualReactor) -> Clock:
    """The relay's clocks, told by a reactor that is moved by hand."""
    return Clock(reactor, reactor.seconds, lambda: EPOCH + reactor.seconds())


def elapse(reactor: ManualReactor, seconds: float) -> None:
    """Let time pass as it does in life: every call happens at its own time, also those that others make."""
    end = reactor.seconds() + seconds
    while (due := min((call.getTime() for call in reactor.getDelayedCalls()), default=math.inf)) <= end:
        reactor.advance(max(0.0, due - reactor.seconds()))
    reactor.advance(max(0.0, end - reactor.seconds()))


@attrs.define
class Commit:
    """A commit that a test completes."""

    effects: list[effects.Saved]
    done: Deferred[None]

    def succeeds(self) -> None:
        """Let it succeed."""
        self.done.callback(None)

    def fails(self, error: Exception) -> None:
        """Let it fail."""
        self.done.errback(error)


@attrs.define
class Recall:
    """A look-up that a test answers."""

    task_ids: tuple[str, ...]
    done: Deferred[list[Task]]


class HandStore:
    """A store whose commits and look-ups a test completes by hand.

    :ivar commits: all commits that were asked for.
    :ivar recalls: all look-ups.
    """

    def __init__(self) -> None:
        self.commits: list[Commit] = []
        self.recalls: list[Recall] = []

    def commit(self, batch: Sequence[effects.Saved]) -> Deferred[None]:
        """Record a commit."""
        self.commits.append(Commit(list(batch), Deferred()))
        return self.commits[-1].done

    def recall(self, task_ids: Sequence[str]) -> Deferred[list[Task]]:
        """Record a look-up."""
        self.recalls.append(Recall(tuple(task_ids), Deferred()))
        return self.recalls[-1].done

    def reports(self, after: int, up_to: int, size: int) -> Deferred[tuple[list[tuple[int, bytes]], int]]:
        """Have none."""
        return succeed(([], up_to))


class InstantStore:
    """A store that commits everything at once and forgets it.

    :ivar saved: all that was committed, in order.
    """

    def __init__(self) -> None:
        self.saved: list[effects.Saved] = []

    def commit(self, batch: Sequence[effects.Saved]) -> Deferred[None]:
        """Take a batch."""
        self.saved += batch
        return succeed(None)

    def recall(self, task_ids: Sequence[str]) -> Deferred[list[Task]]:
        """Find nothing."""
        return succeed([])


class RecordingLink:
    """A connection that notes what is done with it.

    :param name: how it is called in the notes.
    :param notes: where it writes; shared, where the order between several matters.
    """

    def __init__(self, name: str, notes: list[tuple[Any, ...]]) -> None:
        self.name = name
        self.notes = notes

    def pause(self) -> None:
        """Note it."""
        self.notes.append((self.name, "paused"))

    def resume(self) -> None:
        """Note it."""
        self.notes.append((self.name, "resumed"))


class RecordingDaemon(RecordingLink):
    """A daemon's connection."""

    def send(self, payloads: Sequence[bytes]) -> None:
        """Note each."""
        self.notes += [(self.name, payload) for payload in payloads]

    def close(self, code: int, reason: str) -> None:
        """Note it."""
        self.notes.append((self.name, code, reason))


class RecordingUpstream(RecordingLink):
    """The server's connection."""

    def send(self, payload: bytes, number: int | None) -> None:
        """Note it."""
        self.notes.append((self.name, payload, number))

    def send_reports(self, payloads: Sequence[bytes], number: int) -> None:
        """Note each."""
        for place, payload in enumerate(payloads, number - len(payloads) + 1):
            self.send(payload, place)


@attrs.frozen
class Port:
    """An open port at an address."""

    address: IAddress

    def getHost(self) -> IAddress:
        """Where it is."""
        return self.address


class InlineReactor(MemoryReactorClock):
    """A reactor whose threads are none: what shall run in its thread runs at once."""

    def callFromThread(self, function: Callable[..., object], *args: object, **kwargs: object) -> None:
        """Call it."""
        function(*args, **kwargs)


class _InlinePool:
    """Stands for a thread pool; runs everything at once."""

    def start(self) -> None:
        """Nothing has to be started."""

    def stop(self) -> None:
        """Nothing has to be stopped."""

    def callInThreadWithCallback(
        self, tell: Callable[[bool, Any], None], function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        """Run a function and tell its result."""
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            tell(False, error)  # noqa: FBT003 - Twisted's signature
        else:
            tell(True, result)  # noqa: FBT003


def inline_store(path: Path) -> SQLiteStore:
    """A store as it is in life, but that its answers are there at once.

    :param path: a database that :func:`~makima_relay.store.database.open_database` made.
    """
    reactor: Any = InlineReactor()
    pool: Any = _InlinePool()
    store = SQLiteStore(reactor, path)
    store._writer.threadpool = store._reader.threadpool = store._history.threadpool = pool
    store.start()
    return store


def unavailable() -> StoreUnavailableError:
    """The failure of a commit that may succeed later."""
    return StoreUnavailableError("database is locked")
