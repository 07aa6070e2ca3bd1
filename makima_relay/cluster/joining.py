"""Has a relay join its cluster: makes the parts of its membership of the settings."""

from __future__ import annotations

from typing import Any

from makima_relay import __version__
from makima_relay.clock import Clock
from makima_relay.cluster.desk import Desk
from makima_relay.cluster.dialling import redis_dial, redis_trust
from makima_relay.cluster.membership import Membership
from makima_relay.cluster.names import Names
from makima_relay.cluster.showing import Showing
from makima_relay.cluster.summaries import Summaries
from makima_relay.cluster.view import View
from makima_relay.connector_options import Backoff
from makima_relay.core.peers import Presence
from makima_relay.endpoints import StartError
from makima_relay.engine import Engine
from makima_relay.redaction import Redactor
from makima_relay.settings import RedisURL, Settings, SettingsError
from makima_relay.store import SQLiteStore
from makima_relay.tls import ServerTrust
from makima_relay.upstream import Upstream

#: Seconds before the first attempt to reach Redis again, and at most.
_BACKOFF = Backoff(1.0, 60.0)


class Joining:
    """What there is of a cluster before there is a relay to join it.

    :param settings: name Redis.
    :ivar trust: verifies Redis, where it is encrypted.
    :ivar view: knows what all relays have, once the relay has joined.
    :raises StartError: when the settings cannot be used.
    """

    def __init__(self, settings: Settings, url: RedisURL, reactor: Any) -> None:
        self._settings = settings
        self._url = url
        self._reactor = reactor
        self._membership: Membership | None = None
        self.view: View | None = None
        self.trust: ServerTrust | None = redis_trust(url, settings.redis_ca)

    def join(
        self, engine: Engine, upstream: Upstream, store: SQLiteStore, relay_id: str, clock: Clock, redact: Redactor
    ) -> Membership:
        """Make the relay a member, which has to be started."""
        relay, names = engine.relay, Names(self._settings.cluster)
        desk = Desk(engine, clock)
        summaries = Summaries(
            Showing(engine, store, clock, redact, self._settings.task_retention), names, relay_id, clock
        )

        def presence() -> Presence:
            return relay.presence(clock.monotonic(), __version__, upstream_connected=upstream.live)

        self._membership = member = Membership(
            desk,
            presence,
            names=names,
            relay_id=relay_id,
            dial=redis_dial(self._reactor, self._url, self.trust),
            clock=clock,
            backoff=_BACKOFF,
            parts=[summaries],
        )
        desk.join(member, summaries)
        self.view = View(self._settings.cluster, relay_id, presence, member, clock)
        return member

    def change_url(self, url: RedisURL) -> None:
        """Have the next attempt go to another Redis, or with other credentials.

        :raises SettingsError: when it cannot be used; then all stays as it was.
        """
        if (url.host, url.encrypted) != (self._url.host, self._url.encrypted):
            try:
                self.trust = redis_trust(url, self._settings.redis_ca)
            except StartError as error:
                raise SettingsError(str(error)) from None
        self._url = url
        if self._membership is not None:
            self._membership.redial(redis_dial(self._reactor, url, self.trust))
