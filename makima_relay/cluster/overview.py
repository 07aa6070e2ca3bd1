"""The tasks and daemons of all relays of the cluster, as their summaries in Redis have them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any, Final

import msgspec
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks
from twisted.internet.task import deferLater

from makima_relay.clock import Clock
from makima_relay.cluster.answers import within
from makima_relay.cluster.connection import TIMEOUT
from makima_relay.cluster.names import Names
from makima_relay.cluster.session import Session
from makima_relay.store.filters import Filter
from makima_relay.web.bodies import Daemon, Task

#: Rows that are looked at in one go where all have to be, about.
_PAGE: Final = 500
#: Seconds that a whole answer may take.
_TIMEOUT: Final = 2 * TIMEOUT
_decode_task = msgspec.json.Decoder(Task).decode
_decode_daemon = msgspec.json.Decoder(Daemon).decode


class ClusterAwayError(Exception):
    """Redis is away, or does not answer in time."""


class Overview:
    """Reads the summaries of all relays that are listed.

    :param session: the session that there is.
    :param relays: the ids of the relays, this one among them.
    """

    def __init__(
        self, session: Callable[[], Session | None], relays: Callable[[], list[str]], names: Names, clock: Clock
    ) -> None:
        self._session = session
        self._relays = relays
        self._names = names
        self._clock = clock

    @inlineCallbacks
    def tasks(
        self, wanted: Filter, limit: int, offset: int
    ) -> Generator[Deferred[Any], Any, tuple[list[tuple[str, Task]], int]]:
        """A page of the tasks of all relays, newest first.

        :param wanted: which.
        :param limit: how many at most.
        :param offset: how many to leave out before them.
        :return: the page, each with the id of its origin, and how many there are in all.
        :raises ClusterAwayError: when they cannot be read now.
        """
        page = self._matches if wanted != Filter() else self._latest
        found = yield within(page(self._open(), wanted, limit, offset), _TIMEOUT, self._clock)
        if found is None:
            raise ClusterAwayError
        places, total = found
        return (yield within(self._rows(self._open(), places), _TIMEOUT, self._clock)) or [], total

    @inlineCallbacks
    def daemons(self) -> Generator[Deferred[Any], Any, list[tuple[str, Daemon]]]:
        """The daemons of all relays, each with the id of its relay.

        :raises ClusterAwayError: when they cannot be read now.
        """
        session, relays = self._open(), self._relays()
        asked = gatherResults([session.command("HVALS", self._names.daemons(each)) for each in relays])
        raw = yield within(asked, _TIMEOUT, self._clock)
        if raw is None:
            raise ClusterAwayError
        return [
            (relay_id, daemon)
            for relay_id, texts in zip(relays, raw, strict=True)
            for text in texts
            if (daemon := _read(_decode_daemon, text)) is not None
        ]

    def _open(self) -> Session:
        session = self._session()
        if session is None:
            raise ClusterAwayError
        return session

    @inlineCallbacks
    def _latest(
        self, session: Session, _wanted: Filter, limit: int, offset: int
    ) -> Generator[Deferred[Any], Any, tuple[list[tuple[str, str]], int]]:
        """Where the rows of a page are, if all are wanted: nothing but their order is looked at."""
        relays = self._relays()
        last = offset + limit - 1
        asked = [session.command("ZREVRANGE", self._names.order(each), 0, last, "WITHSCORES") for each in relays]
        counted = [session.command("ZCARD", self._names.order(each)) for each in relays]
        orders = yield gatherResults(asked)
        total = sum((yield gatherResults(counted)))
        places = [
            (float(score), task_id.decode("utf-8", "replace"), relay_id)
            for relay_id, order in zip(relays, orders, strict=True)
            for task_id, score in zip(order[::2], order[1::2], strict=True)
        ]
        latest = _once(places)
        return latest[offset : offset + limit], total - (len(places) - len(latest))

    @inlineCallbacks
    def _matches(
        self, session: Session, wanted: Filter, limit: int, offset: int
    ) -> Generator[Deferred[Any], Any, tuple[list[tuple[str, str]], int]]:
        """Where the rows of a page are, if only some are wanted: all have to be looked at, a few at a time."""
        places = []
        for relay_id in self._relays():
            cursor = b""
            while cursor != b"0":
                rows = self._names.rows(relay_id)
                cursor, raw = yield session.command("HSCAN", rows, cursor or "0", "COUNT", _PAGE)
                tasks = (_read(_decode_task, text) for text in raw[1::2])
                places += [
                    (each.received_at, each.task_id, relay_id) for each in tasks if each and matches(each, wanted)
                ]
                # Others have their turn.
                yield deferLater(self._clock.reactor, 0)
        found = _once(places)
        return found[offset : offset + limit], len(found)

    @inlineCallbacks
    def _rows(
        self, session: Session, places: list[tuple[str, str]]
    ) -> Generator[Deferred[Any], Any, list[tuple[str, Task]]]:
        asked = [session.command("HGET", self._names.rows(relay_id), task_id) for task_id, relay_id in places]
        texts = yield gatherResults(asked)
        rows = []
        for (_, relay_id), text in zip(places, texts, strict=True):
            task = None if text is None else _read(_decode_task, text)
            if task is not None:
                rows.append((relay_id, task))
        return rows


def _once(places: Iterable[tuple[Any, str, str]]) -> list[tuple[str, str]]:
    """Tasks and their relays, newest first; one that came to two relays is the later one's."""
    found: dict[str, str] = {}
    for _, task_id, relay_id in sorted(places, reverse=True):
        found.setdefault(task_id, relay_id)
    return list(found.items())


def _read(decode: Callable[[bytes], Any], text: bytes) -> Any:
    """What another relay wrote; none of what is nothing."""
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
