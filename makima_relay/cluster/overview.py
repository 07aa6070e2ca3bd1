"""The tasks and daemons of all relays of the cluster, as their summaries in Redis have them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Final

import msgspec
from twisted.internet.defer import Deferred, DeferredLock, gatherResults, inlineCallbacks

from makima_relay.clock import Clock
from makima_relay.cluster.names import Names
from makima_relay.cluster.session import Session
from makima_relay.core.tasks import TaskStatus
from makima_relay.ports import ClusterAwayError
from makima_relay.store.filters import Filter
from makima_relay.web.bodies import Daemon, Task

#: Rows, and places in the order of a relay's tasks, that are read in one go.
_PAGE: Final = 500
#: The latest of each relay that are found; only one that had very many unfinished tasks has more.
DEEPEST: Final = 1 << 18
#: Bytes of a row: an error's text may have 8,192 characters.
_LONGEST: Final = 128 << 10
#: Seconds that a whole answer may take.
TIMEOUT: Final = 5.0
_decode_task = msgspec.json.Decoder(Task).decode
_decode_daemon = msgspec.json.Decoder(Daemon).decode

#: A task's id, and that of the relay whose it is.
_Place = tuple[str, str]


class Overview:
    """Reads the summaries of relays; one question at a time, and while it goes on others have their turn.

    :param session: the session that there is.
    :param timeout: seconds that an answer may take.
    """

    def __init__(
        self, session: Callable[[], Session | None], names: Names, clock: Clock, timeout: float = TIMEOUT
    ) -> None:
        self._session = session
        self._names = names
        self._clock = clock
        self._timeout = timeout
        self._lock = DeferredLock()

    def tasks(
        self, relays: Sequence[str], wanted: Filter, limit: int, offset: int
    ) -> Deferred[tuple[list[tuple[str, Task]], int]]:
        """A page of the tasks of all relays, newest first.

        :param relays: their ids.
        :param wanted: which.
        :param limit: how many at most.
        :param offset: how many to leave out before them.
        :return: the page, each with the id of its origin, and how many there are in all; fails with
            :class:`~makima_relay.ports.ClusterAwayError` when they cannot be read now.
        """
        return self._lock.run(self._in_time, self._page, relays, wanted, limit, offset)

    def daemons(self, relays: Sequence[str]) -> Deferred[list[tuple[str, Daemon]]]:
        """The daemons of relays, each with the id of its relay; see :meth:`tasks`."""
        return self._lock.run(self._in_time, self._daemons, relays)

    @inlineCallbacks
    def _in_time(self, read: Callable[..., Deferred[Any]], *arguments: Any) -> Generator[Deferred[Any], Any, Any]:
        session = self._session()
        if session is None:
            raise ClusterAwayError
        return (yield read(session, *arguments).addTimeout(self._timeout, self._clock.reactor, _be_away))

    @inlineCallbacks
    def _daemons(
        self, session: Session, relays: Sequence[str]
    ) -> Generator[Deferred[Any], Any, list[tuple[str, Daemon]]]:
        raw = yield _all([session.command("HVALS", self._names.daemons(each)) for each in relays])
        return [
            (relay_id, daemon)
            for relay_id, texts in zip(relays, raw, strict=True)
            for text in texts
            if (daemon := _read(_decode_daemon, text)) is not None
        ]

    @inlineCallbacks
    def _page(
        self, session: Session, relays: Sequence[str], wanted: Filter, limit: int, offset: int
    ) -> Generator[Deferred[Any], Any, tuple[list[tuple[str, Task]], int]]:
        if wanted == Filter():
            places, total = yield self._order(session, relays, offset + limit)
            rows = yield self._rows(session, places[offset : offset + limit])
        else:
            places, _ = yield self._order(session, relays, DEEPEST)
            matching = yield self._matching(session, places, wanted)
            rows, total = matching[offset : offset + limit], len(matching)
        reasons = yield session.command("MGET", *(self._names.why(each) for each in relays))
        why = {relay_id: _text(each) for relay_id, each in zip(relays, reasons, strict=True)}
        return [(relay_id, _with_reason(task, why[relay_id])) for relay_id, task in rows], total

    @inlineCallbacks
    def _order(
        self, session: Session, relays: Sequence[str], most: int
    ) -> Generator[Deferred[Any], Any, tuple[list[_Place], int]]:
        """Where the latest tasks of all relays are, and how many there are in all."""
        counted = _all(session.command("ZCARD", self._names.order(each)) for each in relays)
        found: list[tuple[float, str, str]] = []
        for relay_id in relays:
            found += yield self._order_of(session, relay_id, min(most, DEEPEST))
        total = sum((yield counted))
        # One that came to two relays is the later one's.
        once: dict[str, str] = {}
        for _, task_id, relay_id in sorted(found, reverse=True):
            once.setdefault(task_id, relay_id)
        return list(once.items()), total - (len(found) - len(once))

    @inlineCallbacks
    def _order_of(
        self, session: Session, relay_id: str, most: int
    ) -> Generator[Deferred[Any], Any, list[tuple[float, str, str]]]:
        """The latest tasks of one relay: when each came, and where it is."""
        order: list[bytes] = []
        some: list[bytes] | None = None
        while some is None or (len(some) == 2 * _PAGE and len(order) < 2 * most):
            first = len(order) // 2
            last = min(first + _PAGE, most) - 1
            some = yield session.command("ZREVRANGE", self._names.order(relay_id), first, last, "WITHSCORES")
            order += some
        scored = zip(order[::2], order[1::2], strict=True)
        return [(float(score), task_id.decode("utf-8", "replace"), relay_id) for task_id, score in scored]

    @inlineCallbacks
    def _matching(
        self, session: Session, places: Sequence[_Place], wanted: Filter
    ) -> Generator[Deferred[Any], Any, list[tuple[str, Task]]]:
        """Those that are wanted: all have to be looked at."""
        matching = []
        for start in range(0, len(places), _PAGE):
            rows = yield self._rows(session, places[start : start + _PAGE])
            matching += [(relay_id, task) for relay_id, task in rows if matches(task, wanted)]
        return matching

    @inlineCallbacks
    def _rows(
        self, session: Session, places: Sequence[_Place]
    ) -> Generator[Deferred[Any], Any, list[tuple[str, Task]]]:
        wanted: dict[str, list[str]] = {}
        for task_id, relay_id in places:
            wanted.setdefault(relay_id, []).append(task_id)
        asked = [session.command("HMGET", self._names.rows(relay_id), *ids) for relay_id, ids in wanted.items()]
        texts = dict(zip(wanted, map(iter, (yield _all(asked))), strict=True))
        rows = ((relay_id, task_id, _read(_decode_task, next(texts[relay_id]))) for task_id, relay_id in places)
        return [(relay_id, task) for relay_id, task_id, task in rows if task is not None and task.task_id == task_id]


def _all(asked: Iterable[Deferred[Any]]) -> Deferred[Any]:
    """All answers; nobody hears of those that are not waited for any more."""
    return gatherResults(asked, consumeErrors=True)


def _be_away(_result: object, _timeout: float) -> None:
    raise ClusterAwayError


def _with_reason(task: Task, why: str) -> Task:
    """A task with why it waits, if it does: that is its relay's, and not its own."""
    reason = why if task.status is TaskStatus.PENDING else None
    return msgspec.structs.replace(task, pending_reason=reason)


def _text(raw: bytes | None) -> str:
    return "" if raw is None else raw[:_PAGE].decode("utf-8", "replace")


def _read(decode: Callable[[bytes], Any], text: bytes | None) -> Any:
    """What another relay wrote; none of what is nothing."""
    if text is None or len(text) > _LONGEST:
        return None
    try:
        return decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def matches(task: Task, wanted: Filter) -> bool:
    """Whether a task is wanted; see :func:`makima_relay.store.filters.condition`."""
    if wanted.status is not None and task.status is not wanted.status:
        return False
    if wanted.daemon is not None and wanted.daemon not in (task.daemon_id, task.daemon_hostname):
        return False
    text = (wanted.text or "").casefold()
    return not text or text in (task.task_name or "").casefold() or text in task.task_id.casefold()
