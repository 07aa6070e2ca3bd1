"""What ``twistd`` starts: reads the settings, sees to the process, and makes the service."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.application.service import Application
from twisted.logger import Logger

from makima_relay.clock import Clock, keep_steady
from makima_relay.endpoints import StartError
from makima_relay.exits import leave_no_core
from makima_relay.log_format import LogFormat, shape_log
from makima_relay.log_guard import guard_log
from makima_relay.readiness import Readiness, take_supervisor
from makima_relay.redaction import Redactor
from makima_relay.service import RelayService
from makima_relay.settings import Settings, SettingsError, forget_secrets, load, secrets_of
from makima_relay.store.database import DatabaseError, make_directory, open_database

_log = Logger()


def read_settings(options: Mapping[str, str | Sequence[str] | None]) -> Settings:
    """Read the settings of this process.

    :param options: what was given on the command line.
    :raises SystemExit: with one line for people and exit status 1, when one is missing or wrong.
    """
    try:
        settings = load(options, os.environ)
    except SettingsError as error:
        raise SystemExit(f"makima-relay: {error}") from None
    if options.get("server-url") and secrets_of(settings.server_url):
        _log.warn("--server-url: it holds a secret, which the process list shows; set MAKIMA_SERVER_URL instead")
    return settings


def make_service(settings: Settings) -> RelayService:
    """Make the service of a relay, in a process that keeps its secrets to itself.

    :raises SystemExit: with one line for people and exit status 1, when it cannot start.
    """
    from twisted.internet import reactor

    keep_steady(reactor)
    leave_no_core()
    forget_secrets(os.environ)
    of_redis = () if settings.redis is None else settings.redis.secrets()
    redact = Redactor([settings.api_key, settings.admin_token, *secrets_of(settings.server_url), *of_redis])
    guard_log(redact, in_parts=settings.log_format is LogFormat.JSON)
    shape_log(settings.log_format, settings.log_level)
    try:
        make_directory(settings.database)
        readiness = Readiness(take_supervisor(os.environ), Clock(reactor))
        return RelayService(settings, open_database(settings.database), reactor, redact, readiness)
    except (DatabaseError, StartError) as error:
        raise SystemExit(redact(f"makima-relay: {error}")) from None


def make_application() -> Any:
    """Make the application of ``relay.tac``: the settings come from the environment alone."""
    application = Application("makima-relay")
    make_service(read_settings({})).setServiceParent(application)
    return application
