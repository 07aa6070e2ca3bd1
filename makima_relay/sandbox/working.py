"""Puts a stand-in daemon together."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from makima_relay.clock import Clock
from makima_relay.endpoints import client_endpoint
from makima_relay.sandbox import SandboxError
from makima_relay.sandbox.daemon import DaemonOptions, SandboxDaemon
from makima_relay.sandbox.programs import Program, ProgramUser
from makima_relay.sandbox.run import Running, Starter
from makima_relay.sandbox.running import until_stopped
from makima_relay.settings import SETTINGS, daemon_endpoint, shown_url

_CONNECT_TIMEOUT = 10.0
_SERVER_URL = next(each for each in SETTINGS if each.name == "server-url")


async def work(reactor: Any, options: DaemonOptions, say: Callable[[str], None]) -> int:
    """Be a stand-in daemon until stopped.

    :param say: takes lines for people.
    :return: the exit status.
    """
    starter = shell_starter(reactor, without_settings(os.environ))
    endpoint = client_endpoint(reactor, options.url, _CONNECT_TIMEOUT, None)
    daemon = SandboxDaemon(options, endpoint, starter, Clock(reactor), say)
    daemon.start()
    try:
        await until_stopped()
    finally:
        await daemon.stop()
    return 0


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for other programs: without our settings, among which are secrets."""
    return {name: value for name, value in environment.items() if not name.startswith("MAKIMA_")}


def shell_starter(reactor: Any, environment: Mapping[str, str]) -> Starter:
    """Make what starts shell commands."""

    def start(command: str, user: ProgramUser) -> Running:
        program = Program(user, reactor)
        program.start(["/bin/sh", "-c", command], environment)
        return program

    return start


def peer_url(server_url: str) -> str:
    """The URL to connect to of the one that people give.

    :raises SandboxError: when it is none.
    """
    try:
        return daemon_endpoint(_SERVER_URL.kind.read(server_url))
    except ValueError:
        shown = shown_url(server_url)
        raise SandboxError(f"--server-url: {shown!r} is not allowed; it takes {_SERVER_URL.kind.takes}") from None
