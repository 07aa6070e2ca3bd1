"""A relay's part in a cluster, if it has one; only a relay that has loads what that takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed

from makima_relay.clock import Clock
from makima_relay.engine import Engine
from makima_relay.redaction import Redactor
from makima_relay.settings import RedisURL, Settings
from makima_relay.store import SQLiteStore
from makima_relay.tls import ServerTrust
from makima_relay.upstream import Upstream
from makima_relay.web.cluster import ClusterView

if TYPE_CHECKING:
    from makima_relay.cluster.joining import Joining
    from makima_relay.cluster.membership import Membership


class Clustering:
    """Joins a cluster where the settings name a Redis; else none of it does anything.

    :raises StartError: when the settings cannot be used.
    :ivar joining: the way into the cluster.
    :ivar member: the membership, once the relay has joined.
    """

    def __init__(self, settings: Settings, reactor: Any) -> None:
        self.joining: Joining | None = None
        self.member: Membership | None = None
        if settings.redis is not None:
            from makima_relay.cluster.joining import Joining

            self.joining = Joining(settings, settings.redis, reactor)

    @property
    def trust(self) -> ServerTrust | None:
        """What verifies Redis, if anything does."""
        return None if self.joining is None else self.joining.trust

    def join(
        self, engine: Engine, upstream: Upstream, store: SQLiteStore, relay_id: str, clock: Clock, redact: Redactor
    ) -> ClusterView | None:
        """Join, and stay joined; nothing waits for it.

        :param relay_id: the relay's own id.
        :return: knows what all relays have, where there is a cluster.
        """
        if self.joining is None:
            return None
        self.member = self.joining.join(engine, upstream, store, relay_id, clock, redact)
        self.member.start()
        return self.joining.view

    def change_url(self, url: RedisURL) -> None:
        """Go to another Redis from the next attempt on, or with other credentials.

        :raises SettingsError: when it cannot be used; then all stays as it was.
        """
        if self.joining is not None:
            self.joining.change_url(url)

    def leave(self) -> Deferred[None]:
        """See :meth:`makima_relay.cluster.membership.Membership.leave`."""
        return succeed(None) if self.member is None else self.member.leave()

    def stop(self) -> Deferred[None]:
        """See :meth:`makima_relay.cluster.membership.Membership.stop`."""
        return succeed(None) if self.member is None else self.member.stop()
