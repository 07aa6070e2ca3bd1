"""Puts a relay together: objects, ports, their start and their stop. The only module that knows everything."""

from __future__ import annotations

import sys
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList, inlineCallbacks, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure

from makima_relay import cautions, from_settings
from makima_relay.admission import Admission
from makima_relay.clock import Clock
from makima_relay.clustering import Clustering
from makima_relay.connector_options import ConnectorOptions
from makima_relay.core.relay import Relay
from makima_relay.descriptors import most_connections
from makima_relay.downstream import DaemonFactory
from makima_relay.endpoints import (
    StartError,
    client_endpoint,
    reason_not_to_listen,
    server_endpoint,
    trust_for,
)
from makima_relay.engine import Engine
from makima_relay.exits import end_well_on_signals, exit_with, stop
from makima_relay.farewell import farewell
from makima_relay.health import Health
from makima_relay.hibernation import Hibernation, check_hibernation
from makima_relay.housekeeping import Housekeeper
from makima_relay.indexing import Indexer
from makima_relay.limits.guard import Guard
from makima_relay.listener import Listener
from makima_relay.metrics import Metrics
from makima_relay.readiness import Readiness
from makima_relay.recollection import Recollection
from makima_relay.redaction import Redactor
from makima_relay.reload import Reload, make_reload, on_hangup
from makima_relay.renewing import renewals
from makima_relay.rounds import Rounds
from makima_relay.settings import Settings, shown_url
from makima_relay.store import SQLiteStore
from makima_relay.store.database import Database
from makima_relay.upstream import Upstream
from makima_relay.web.access import Access
from makima_relay.web.api import Api
from makima_relay.web.event_streams import EventStreams
from makima_relay.web.sessions import Sessions
from makima_relay.web.site import make_site

_log = Logger()

#: A clean stop takes at most this long, in seconds, whatever the peers do; sending them away is a part of that.
_STOP_TIMEOUT, _FAREWELL_TIMEOUT = 4.0, 2.5
#: How long the interpreter runs Python code before it looks at other threads, in seconds: a busy reactor must not
#: starve the thread that commits.
_SWITCH_INTERVAL = 0.0005


class RelayService(Service):
    """One relay: listens, connects, and stops cleanly.

    :param settings: what the operator wants.
    :param database: the database file, which is ours.
    :param reactor: runs everything.
    :param redact: knows what must not be shown, and learns what else must not.
    :param readiness: is told how far the relay is.
    :raises StartError: when an endpoint or a file of the settings is wrong.
    """

    name = "makima-relay"

    def __init__(
        self, settings: Settings, database: Database, reactor: Any, redact: Redactor, readiness: Readiness
    ) -> None:
        check_hibernation(settings.hibernate_after, settings.listen)
        self._settings = settings
        self._readiness = readiness
        self._database = database
        self._reactor = reactor
        self._redact = redact
        self._clock = Clock(reactor)
        self._agent_name = settings.agent_name or f"makima-edge-{database.machine_id[:8]}"
        self._endpoints = [server_endpoint(reactor, text) for text in settings.listen]
        self._trust = trust_for(settings.server_url, settings.upstream_ca)
        self._upstream_endpoint = client_endpoint(reactor, settings.server_url, settings.auth_timeout, self._trust)
        self._clustering = Clustering(settings, reactor)
        self._store = SQLiteStore(reactor, database.path)
        self._starting: Deferred[None] | None = None
        self._ports: list[IListeningPort] = []
        self._listener: Listener | None = None
        self._daemons: DaemonFactory | None = None
        self._engine: Engine | None = None
        self._upstream: Upstream | None = None
        self._streams: EventStreams | None = None
        self._rounds: list[Rounds | Hibernation] = []
        self._reload: Reload | None = None

    # ------------------------------------------------------------------------------------------------- starting

    def startService(self) -> None:
        """Begin: the store is read first, then the ports open, then the server is connected."""
        super().startService()
        sys.setswitchinterval(_SWITCH_INTERVAL)
        self._reactor.callWhenRunning(end_well_on_signals, self._reactor)
        self._reactor.callWhenRunning(on_hangup, self._reactor, self._hung_up)
        self._store.start()
        self._starting = self._store.snapshot().addCallback(self._run).addErrback(self._cannot_start)

    @inlineCallbacks
    def _run(self, snapshot: Any) -> Any:
        settings = self._settings
        policy = from_settings.policy(settings, self._database.machine_id, self._agent_name)
        relay = Relay(policy, snapshot, self._redact)
        self._engine = engine = Engine(relay, self._store, self._clock, self._broken)
        admission = Admission(settings.api_key, relay.keys)
        guard = Guard(from_settings.limits(settings), self._clock.monotonic, engine.turned_away)
        options = from_settings.downstream_options(settings)
        self._daemons = DaemonFactory(engine, admission, options, self._reactor, guard)
        self._upstream = upstream = self._make_upstream(engine)
        health = Health(engine, self._store, self._clock)
        access = Access(settings.admin_token, health.only_loopback, Sessions(self._clock), guard)
        api = Api(
            engine=engine,
            upstream=upstream,
            store=self._store,
            access=access,
            health=health,
            clock=self._clock,
            metrics=self._make_metrics(engine, upstream, self._daemons),
            agent_name=self._agent_name,
            redact=self._redact,
            most_event_streams=settings.max_event_streams,
        )
        self._streams = api.streams
        site = make_site(api.app.resource(), settings.max_header_size, settings.auth_timeout, self._reactor)
        self._listener = Listener(
            *(self._daemons, site, self._reactor, settings.auth_timeout, guard, settings.max_header_size),
            most=most_connections(),
        )
        yield engine.start()
        yield self._open_ports(self._listener)
        health.opened(self._ports)
        self._listener.opened(self._ports)
        self._rounds = [
            Housekeeper(self._store, self._clock, settings.task_retention, relay.connected_ids),
            Recollection(self._store, relay, self._clock),
            Indexer(self._store, self._clock),
            Hibernation(settings.hibernate_after, engine, self._listener, self._clock, lambda: stop(self._reactor)),
        ]
        for rounds in self._rounds:
            rounds.start()
        self._reload = self._make_reload(engine, upstream, admission, access)
        self._warn()
        self._readiness.reached(engine, upstream)
        api.cluster = self._clustering.join(
            engine, upstream, self._store, self._database.machine_id, self._clock, self._redact
        )
        upstream.connector.connect()

    def _connector_options(self, api_key: str) -> ConnectorOptions:
        return from_settings.connector_options(self._settings, api_key, self._database.machine_id, self._agent_name)

    def _make_upstream(self, engine: Engine) -> Upstream:
        options = self._connector_options(self._settings.api_key)
        return Upstream(
            engine,
            self._upstream_endpoint,
            options,
            self._clock,
            heartbeat_interval=self._settings.heartbeat_interval,
            shown_url=shown_url(options.url),
        )

    def _make_metrics(self, engine: Engine, upstream: Upstream, daemons: DaemonFactory) -> Metrics:
        return Metrics(engine=engine, upstream=upstream, store=self._store, reports=daemons.reports, clock=self._clock)

    @inlineCallbacks
    def _open_ports(self, listener: Listener) -> Any:
        for text, endpoint in zip(self._settings.listen, self._endpoints, strict=True):
            try:
                port = yield endpoint.listen(listener)
            except (CannotListenError, OSError, OverflowError, ValueError) as error:
                raise StartError(f"--listen {text}: {reason_not_to_listen(error)}") from None
            self._ports.append(port)
            _log.info("listening on {address}", address=port.getHost())
            for line in cautions.clear_port(text, endpoint, port.getHost()):
                _warn(line)

    # -------------------------------------------------------------------------------------- secrets and certificates

    def _make_reload(self, engine: Engine, upstream: Upstream, admission: Admission, access: Access) -> Reload:
        clustering = self._clustering
        uses = renewals(self._redact, admission, access, upstream, self._connector_options, clustering)
        trusts = {"--upstream-ca": self._trust, "--redis-ca": clustering.trust}
        return make_reload(self._settings, self._endpoints, trusts, uses, engine.noted, _warn)

    def _warn(self) -> None:
        """Say what the operator had better know of files and connections."""
        for line in cautions.at_start(self._settings, self._database.path):
            _warn(line)
        if self._reload is not None:
            self._reload.warn_of_files()

    def _hung_up(self) -> None:
        if self._reload is not None and self.running:
            self._readiness.reloading()
            self._reload()
            self._readiness.reloaded()

    # ------------------------------------------------------------------------------------------------ starting fails

    def _cannot_start(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        if failure.check(StartError):
            self._give_up(failure.getErrorMessage())
        else:
            _log.failure("the relay cannot start", failure)
            self._give_up("the relay cannot start; the log says why")

    def _broken(self, failure: Failure) -> None:
        """Memory and disk may differ from now on: stop loudly."""
        _log.failure("the database is damaged or there is a bug: the relay stops", failure)
        self._give_up(f"database {self._database.path}: {failure.getErrorMessage()}; the relay stops")

    def _give_up(self, line: str) -> None:
        """Say why on the standard error stream, and stop with exit status 1."""
        sys.stderr.write(self._redact(f"makima-relay: {line}\n"))
        _log.critical("{line}", line=line)
        exit_with(1)
        stop(self._reactor)

    # ------------------------------------------------------------------------------------------------- stopping

    def stopService(self) -> Deferred[None]:
        """Stop: no new connections, daemons are sent away, what was decided is committed."""
        super().stopService()
        stopped = self._stop()
        # The longest of it is cut off; what is in the database is safe in any case.
        timeout = self._reactor.callLater(_STOP_TIMEOUT, stopped.cancel)
        return stopped.addBoth(self._stopped, timeout)

    @inlineCallbacks
    def _stop(self) -> Any:
        if self._starting is not None:
            self._starting.cancel()
        self._readiness.stopping()
        for rounds in self._rounds:
            rounds.stop()
        if self._streams is not None:
            self._streams.end_all()
        yield DeferredList([maybeDeferred(port.stopListening) for port in self._ports], consumeErrors=True)
        if self._engine is None or self._daemons is None or self._upstream is None or self._listener is None:
            return
        # No other relay hands anything on to one that stops.
        left = self._clustering.leave()
        farewell = self._send_away(self._engine, self._daemons, self._upstream)
        # What the peers make of it must not keep the relay from writing out what it has.
        timeout = self._reactor.callLater(_FAREWELL_TIMEOUT, farewell.cancel)
        yield farewell.addErrback(lambda failure: failure.trap(CancelledError))
        if timeout.active():
            timeout.cancel()
        yield left
        if not (yield self._engine.stop()):
            exit_with(1)
        yield self._clustering.stop()

    @inlineCallbacks
    def _send_away(self, engine: Engine, daemons: DaemonFactory, upstream: Upstream) -> Any:
        yield engine.stopping()
        # The server goes last: it is told what became of the tasks until the end.
        settings = self._settings
        daemons.close_all(farewell(len(daemons.open), settings.max_accepts, settings.daemon_grace))
        yield daemons.all_closed()
        yield upstream.connector.stop()

    def _stopped(self, result: object, timeout: Any) -> None:
        if timeout.active():
            timeout.cancel()
        if isinstance(result, Failure):
            _log.critical("not everything could be saved in time: {reason}", reason=result.getErrorMessage())
            exit_with(1)
        if self._listener is not None:
            self._listener.abort_all()
        self._store.close()
        self._database.release()


def _warn(line: str) -> None:
    _log.warn("{line}", line=line)
