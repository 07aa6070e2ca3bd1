"""The bodies of answers about all relays of a cluster; see :mod:`makima_relay.web.bodies`."""

from __future__ import annotations

from makima_relay.web.bodies import Body, Count, Daemon, Moment, Task


class RedisState(Body, frozen=True):
    """Whether this relay has Redis, and since when that is so."""

    connected: bool
    since: Moment


class ClusterCounts(Body, frozen=True):
    """Daemons, their slots, and tasks."""

    connected_daemons: Count
    free_slots: Count
    busy_slots: Count
    active_tasks: Count
    pending_tasks: Count
    foreign_tasks: Count


class ClusterRelay(Body, frozen=True):
    """A relay of the cluster, as it was when it was last seen."""

    relay_id: str
    agent_name: str
    version: str
    present: bool
    last_seen: Moment
    upstream_connected: bool
    connected_daemons: Count
    free_slots: Count
    busy_slots: Count
    active_tasks: Count
    pending_tasks: Count
    foreign_tasks: Count
    oldest_pending_seconds: float


class Cluster(Body, frozen=True):
    """The relays of the cluster: the one that answers first, the others by their names."""

    cluster: str
    relay_id: str
    redis: RedisState
    as_of: Moment | None
    relays: list[ClusterRelay]
    totals: ClusterCounts


class ClusterTask(Task, frozen=True):
    """A task, and whose it is."""

    origin: str
    origin_id: str


class ClusterTaskPage(Body, frozen=True):
    """A page of the tasks of all relays, newest first."""

    tasks: list[ClusterTask]
    total: Count
    limit: int
    offset: Count


class ClusterDaemon(Daemon, frozen=True):
    """A daemon, and which relay it is connected to."""

    relay: str
    relay_id: str


class ClusterDaemons(Body, frozen=True):
    """The daemons of all relays that are present."""

    daemons: list[ClusterDaemon]
