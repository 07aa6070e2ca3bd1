"""The routes about all relays of the cluster (``cluster.md``, *The view*)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import attrs
import msgspec
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.web.iweb import IRequest

from makima_relay.clock import Clock, rfc3339
from makima_relay.core.peers import Presence
from makima_relay.engine import Engine
from makima_relay.ports import ClusterAwayError
from makima_relay.store.filters import Filter
from makima_relay.web import bodies, cluster_bodies, shapes
from makima_relay.web.access import Access
from makima_relay.web.answers import json_answer
from makima_relay.web.parameters import OF_PAGE, page
from makima_relay.web.problems import ProblemError
from makima_relay.web.routing import route

_ALONE: Final = "this relay is in no cluster: it was started without --redis"
_AWAY: Final = "Redis is away: what other relays have cannot be told now; /tasks and /daemons have what this one has"
_COUNTS: Final = tuple(field.name for field in msgspec.structs.fields(cluster_bodies.ClusterCounts))


@attrs.frozen
class SeenRelay:
    """A relay of the cluster.

    :ivar presence: what it last said of itself.
    :ivar last_seen: when that was, in seconds since the epoch.
    """

    presence: Presence
    is_present: bool
    last_seen: float


class ClusterView(Protocol):
    """Who knows the relays of the cluster.

    :ivar name: of the cluster.
    :ivar relay_id: this relay's.
    """

    name: str
    relay_id: str

    @property
    def is_connected(self) -> bool:
        """Whether Redis is there."""

    @property
    def since(self) -> float:
        """Since when that is so, in seconds since the epoch."""

    @property
    def as_of(self) -> float | None:
        """When the others were last looked at, likewise; none before the first time."""

    def relays(self) -> Sequence[SeenRelay]:
        """The relay itself, as it is now, and the others that are listed, by name."""

    def tasks(self, wanted: Filter, limit: int, offset: int) -> Deferred[tuple[list[tuple[str, bodies.Task]], int]]:
        """A page of the tasks of all, each with the id of its origin, and how many there are.

        :raises ClusterAwayError: when they cannot be told.
        """

    def daemons(self) -> Deferred[list[tuple[str, bodies.Daemon]]]:
        """The daemons of the other relays, each with the id of its relay; see :meth:`tasks`."""


class ClusterRoutes:
    """Tells of all relays, at any of them."""

    engine: Engine
    access: Access
    clock: Clock
    redact: Callable[[str], str]
    cluster: ClusterView | None

    def _view(self) -> ClusterView:
        if self.cluster is None:
            raise ProblemError(404, _ALONE)
        return self.cluster

    @route("GET", "/cluster", admin=True, answers={200: cluster_bodies.Cluster}, errors=(404,), name="cluster")
    def show_cluster(self, request: IRequest) -> bytes:
        """The relays of the cluster, and the sums of those that are present."""
        view = self._view()
        relays = [self._line(seen) for seen in view.relays()]
        sums = {name: sum(getattr(line, name) for line in relays if line.present) for name in _COUNTS}
        answer = cluster_bodies.Cluster(
            cluster=view.name,
            relay_id=view.relay_id,
            redis=cluster_bodies.RedisState(connected=view.is_connected, since=shapes.moment(view.since)),
            as_of=rfc3339(view.as_of),
            relays=relays,
            totals=cluster_bodies.ClusterCounts(**sums),
        )
        return json_answer(request, answer)

    def _line(self, seen: SeenRelay) -> cluster_bodies.ClusterRelay:
        said = msgspec.structs.asdict(seen.presence)
        said["agent_name"] = self.redact(seen.presence.agent_name)
        said["oldest_pending_seconds"] = round(seen.presence.oldest_pending_seconds, 3)
        last_seen = shapes.moment(seen.last_seen)
        return cluster_bodies.ClusterRelay(**said, present=seen.is_present, last_seen=last_seen)

    @route(
        "GET",
        "/cluster/tasks",
        admin=True,
        parameters=OF_PAGE,
        answers={200: cluster_bodies.ClusterTaskPage},
        errors=(400, 404, 503),
    )
    @inlineCallbacks
    def cluster_tasks(self, request: IRequest) -> Any:
        """The tasks of all relays, newest first: the unfinished ones, and the latest finished ones of each."""
        view = self._view()
        wanted = page(request, "/cluster/tasks")
        try:
            found, total = yield view.tasks(wanted.wanted, wanted.limit, wanted.offset)
        except ClusterAwayError:
            raise ProblemError(503, _AWAY) from None
        links = wanted.links(total)
        if links is not None:
            request.setHeader(b"link", links.encode())
        names = self._names(view)
        tasks = [self._task(each, relay_id, names) for relay_id, each in found]
        answer = cluster_bodies.ClusterTaskPage(tasks=tasks, total=total, limit=wanted.limit, offset=wanted.offset)
        return json_answer(request, answer)

    @route("GET", "/cluster/daemons", admin=True, answers={200: cluster_bodies.ClusterDaemons}, errors=(404, 503))
    @inlineCallbacks
    def cluster_daemons(self, request: IRequest) -> Any:
        """The daemons of all relays that are present."""
        view = self._view()
        try:
            found = yield view.daemons()
        except ClusterAwayError:
            raise ProblemError(503, _AWAY) from None
        relay = self.engine.relay
        own = [shapes.daemon(each, relay, self.clock, self.redact) for each in relay.daemons()]
        names = self._names(view)
        daemons = [
            cluster_bodies.ClusterDaemon(
                **self._blacked_out(each), relay=names.get(relay_id, relay_id), relay_id=relay_id
            )
            for relay_id, each in (*((view.relay_id, each) for each in own), *found)
        ]
        return json_answer(request, cluster_bodies.ClusterDaemons(daemons=daemons))

    def _names(self, view: ClusterView) -> dict[str, str]:
        """The agent names of all relays, by id."""
        return {seen.presence.relay_id: self.redact(seen.presence.agent_name) for seen in view.relays()}

    def _task(self, task: bodies.Task, relay_id: str, names: dict[str, str]) -> cluster_bodies.ClusterTask:
        return cluster_bodies.ClusterTask(
            **self._blacked_out(task), origin=names.get(relay_id, relay_id), origin_id=relay_id
        )

    def _blacked_out(self, body: bodies.Body) -> dict[str, Any]:
        """The members of what another relay wrote, which does not know the secrets of this one."""
        members = msgspec.structs.asdict(body)
        return {name: self.redact(each) if type(each) is str else each for name, each in members.items()}
