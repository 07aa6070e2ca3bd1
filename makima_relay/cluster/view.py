"""What this relay knows of all relays of its cluster, for people who ask it."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from makima_relay.clock import Clock
from makima_relay.cluster.membership import Membership
from makima_relay.cluster.names import Names
from makima_relay.cluster.overview import Overview
from makima_relay.core.peers import Presence
from makima_relay.store.filters import Filter
from makima_relay.web.bodies import Daemon, Task
from makima_relay.web.cluster import SeenRelay

_MICROSECONDS = 1_000_000


class View:
    """The web's :class:`~makima_relay.web.cluster.ClusterView`.

    :param presence: tells how the relay itself is now.
    :param member: its membership.
    """

    def __init__(
        self, name: str, relay_id: str, presence: Callable[[], Presence], member: Membership, clock: Clock
    ) -> None:
        self.name = name
        self.relay_id = relay_id
        self._presence = presence
        self._member = member
        self._clock = clock
        self._overview = Overview(lambda: member.session, Names(name), clock)

    @property
    def is_connected(self) -> bool:
        """See :meth:`makima_relay.web.cluster.ClusterView.is_connected`; so for the others."""
        return self._member.is_connected

    @property
    def since(self) -> float:
        """Since when."""
        return self._member.since

    @property
    def as_of(self) -> float | None:
        """When the others were last looked at."""
        return self._member.roll_call.as_of

    def relays(self) -> list[SeenRelay]:
        """The relay itself and the others."""
        own = SeenRelay(self._presence(), is_present=True, last_seen=self._clock.wall())
        others = [
            SeenRelay(sighting.presence, is_present, sighting.at / _MICROSECONDS)
            for sighting, is_present in self._member.roll_call.sightings.latest.values()
            if sighting.presence is not None
        ]
        return [own, *sorted(others, key=lambda seen: (seen.presence.agent_name, seen.presence.relay_id))]

    def tasks(self, wanted: Filter, limit: int, offset: int) -> Deferred[tuple[list[tuple[str, Task]], int]]:
        """A page of the tasks of all."""
        return self._overview.tasks(self._ids(), wanted, limit, offset)

    def daemons(self) -> Deferred[list[tuple[str, Daemon]]]:
        """The daemons of the others that are present."""
        present = [seen.presence.relay_id for seen in self.relays() if seen.is_present]
        return self._overview.daemons([each for each in present if each != self.relay_id])

    def _ids(self) -> list[str]:
        return [seen.presence.relay_id for seen in self.relays()]
