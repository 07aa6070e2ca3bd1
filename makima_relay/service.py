"""Puts a relay together: settings, objects, services. The only module that knows everything."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.application.service import Application, Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList, inlineCallbacks, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure

from makima_relay.admission import Admission
from makima_relay.clock import Clock, keep_steady
from makima_relay.connector_options import Backoff, ConnectorOptions
from makima_relay.core.composer import COMPOSERS
from makima_relay.core.relay import Relay
from makima_relay.core.state import Policy
from makima_relay.downstream import DaemonFactory, DownstreamOptions
from makima_relay.endpoints import StartError, client_endpoint, server_endpoint
from makima_relay.engine import Engine
from makima_relay.exits import end_well_on_signals, exit_with, stop
from makima_relay.health import Health
from makima_relay.housekeeping import Housekeeper
from makima_relay.listener import Listener
from makima_relay.log_guard import guard_log
from makima_relay.recollection import Recollection
from makima_relay.redaction import Redactor
from makima_relay.settings import Settings, SettingsError, daemon_endpoint, load, secrets_of, shown_url
from makima_relay.store import SQLiteStore
from makima_relay.store.database import Database, DatabaseError, make_directory, open_database
from makima_relay.upstream import Upstream
from makima_relay.web.access import Access
from makima_relay.web.api import Api
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
    :param redact: knows what must not be shown.
    :raises StartError: when an endpoint or a file of the settings is wrong.
    """

    name = "makima-relay"

    def __init__(self, settings: Settings, database: Database, reactor: Any, redact: Redactor) -> None:
        self._settings = settings
        self._database = database
        self._reactor = reactor
        self._redact = redact
        self._clock = Clock(reactor)
        self._agent_name = settings.agent_name or f"makima-edge-{database.machine_id[:8]}"
        self._endpoints = [server_endpoint(reactor, text) for text in settings.listen]
        self._upstream_endpoint = client_endpoint(
            reactor, settings.server_url, settings.auth_timeout, settings.upstream_ca
        )
        self._store = SQLiteStore(reactor, database.path)
        self._starting: Deferred[None] | None = None
        self._ports: list[IListeningPort] = []
        self._listener: Listener | None = None
        self._daemons: DaemonFactory | None = None
        self._engine: Engine | None = None
        self._upstream: Upstream | None = None
        self._recollection: Recollection | None = None
        self._housekeeper: Housekeeper | None = None

    # ------------------------------------------------------------------------------------------------- starting

    def startService(self) -> None:
        """Begin: the store is read first, then the ports open, then the server is connected."""
        super().startService()
        sys.setswitchinterval(_SWITCH_INTERVAL)
        self._reactor.callWhenRunning(end_well_on_signals, self._reactor)
        self._store.start()
        self._starting = self._store.snapshot().addCallback(self._run).addErrback(self._cannot_start)

    @inlineCallbacks
    def _run(self, snapshot: Any) -> Any:
        settings = self._settings
        redact = self._redact
        policy = Policy(
            daemon_grace=settings.daemon_grace,
            health_timeout=settings.daemon_health_timeout,
            on_loss=settings.on_daemon_loss,
            most_attempts=settings.max_task_attempts,
            wire_case=settings.wire_case,
            outbox_limit=settings.outbox_limit,
            most_pending=settings.max_pending_tasks,
            most_commands=settings.max_waiting_commands,
            most_waiting=settings.max_waiting_size,
            key_rotation_grace=settings.key_rotation_grace,
        )
        relay = Relay(policy, snapshot, redact)
        self._engine = engine = Engine(relay, self._store, self._clock, self._broken)
        self._daemons = self._make_daemons(engine)
        self._upstream = upstream = self._make_upstream(engine)
        health = Health(engine, self._store, self._clock)
        api = Api(
            engine=engine,
            upstream=upstream,
            store=self._store,
            access=Access(settings.admin_token, health.only_loopback, Sessions(self._clock)),
            health=health,
            clock=self._clock,
            agent_name=self._agent_name,
            redact=redact,
        )
        site = make_site(api.app.resource())
        self._listener = Listener(self._daemons, site, self._reactor, settings.auth_timeout)
        yield engine.start()
        yield self._open_ports(self._listener)
        health.opened(self._ports)
        self._housekeeper = Housekeeper(self._store, self._clock, settings.task_retention)
        self._housekeeper.start()
        self._recollection = Recollection(self._store, relay, self._clock)
        self._recollection.start()
        upstream.connector.connect()

    def _make_daemons(self, engine: Engine) -> DaemonFactory:
        settings = self._settings
        options = DownstreamOptions(
            auth_timeout=settings.auth_timeout,
            keepalive=(settings.daemon_ping_interval, settings.daemon_ping_timeout),
            max_message_size=settings.max_message_size,
            max_daemons=settings.max_daemons,
            compression=settings.compression,
            fast_frames=settings.fast_frames,
        )
        return DaemonFactory(engine, Admission(settings.api_key, engine.relay.keys), options, self._reactor)

    def _make_upstream(self, engine: Engine) -> Upstream:
        settings = self._settings
        composer = COMPOSERS[settings.wire_case]
        options = ConnectorOptions(
            url=daemon_endpoint(settings.server_url),
            headers={"Authorization": f"Bearer {settings.api_key}", "X-Makima-API-Key": settings.api_key},
            hello=composer.authenticate(settings.api_key, self._database.machine_id, self._agent_name, 0),
            backoff=Backoff(settings.reconnect_initial_delay, settings.reconnect_max_delay),
            auth_timeout=settings.auth_timeout,
            most_attempts=settings.max_reconnect_attempts,
            keepalive=(settings.ping_interval, settings.ping_timeout),
            max_message_size=settings.max_message_size,
            compression=settings.compression,
            fast_frames=settings.fast_frames,
        )
        return Upstream(
            engine,
            self._upstream_endpoint,
            options,
            self._clock,
            heartbeat_interval=settings.heartbeat_interval,
            shown_url=shown_url(options.url),
        )

    @inlineCallbacks
    def _open_ports(self, listener: Listener) -> Any:
        for text, endpoint in zip(self._settings.listen, self._endpoints, strict=True):
            try:
                port = yield endpoint.listen(listener)
            except CannotListenError as error:
                raise StartError(f"--listen {text}: {error.socketError}") from None
            except (OSError, OverflowError, ValueError) as error:
                raise StartError(f"--listen {text}: {error}") from None
            self._ports.append(port)
            _log.info("listening on {address}", address=port.getHost())

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
        sys.stderr.write(f"makima-relay: {line}\n")
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
        if self._housekeeper is not None:
            self._housekeeper.stop()
        if self._recollection is not None:
            self._recollection.stop()
        yield DeferredList([maybeDeferred(port.stopListening) for port in self._ports], consumeErrors=True)
        if self._engine is None or self._daemons is None or self._upstream is None or self._listener is None:
            return
        farewell = self._send_away(self._engine, self._daemons, self._upstream)
        # What the peers make of it must not keep the relay from writing out what it has.
        timeout = self._reactor.callLater(_FAREWELL_TIMEOUT, farewell.cancel)
        yield farewell.addErrback(lambda failure: failure.trap(CancelledError))
        if timeout.active():
            timeout.cancel()
        if not (yield self._engine.stop()):
            exit_with(1)

    @inlineCallbacks
    def _send_away(self, engine: Engine, daemons: DaemonFactory, upstream: Upstream) -> Any:
        yield engine.stopping()
        # The server goes last: it is told what became of the tasks until the end.
        daemons.close_all("the relay stops")
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


# --------------------------------------------------------------------------------------------------- for twistd


def read_settings(options: Mapping[str, str | Sequence[str] | None]) -> Settings:
    """Read the settings of this process.

    :param options: what was given on the command line.
    :raises SystemExit: with one line for people and exit status 1, when one is missing or wrong.
    """
    try:
        return load(options, os.environ)
    except SettingsError as error:
        raise SystemExit(f"makima-relay: {error}") from None


def make_service(settings: Settings) -> RelayService:
    """Make the service of a relay.

    :raises SystemExit: with one line for people and exit status 1, when it cannot start.
    """
    from twisted.internet import reactor

    keep_steady(reactor)
    redact = Redactor([settings.api_key, settings.admin_token, *secrets_of(settings.server_url)])
    guard_log(redact)
    try:
        make_directory(settings.database)
        return RelayService(settings, open_database(settings.database), reactor, redact)
    except (DatabaseError, StartError) as error:
        raise SystemExit(f"makima-relay: {error}") from None


def make_application() -> Any:
    """Make the application of ``relay.tac``: the settings come from the environment alone."""
    application = Application("makima-relay")
    make_service(read_settings({})).setServiceParent(application)
    return application
