"""Tells systemd how the relay is, if systemd started it: ready, alive, stopping, and a sentence for people.

The protocol is that of ``sd_notify(3)``: lines in a datagram for the socket that ``NOTIFY_SOCKET`` names. A relay that
was started otherwise tells nobody.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, MutableMapping
from typing import Any, Final

import attrs
from twisted.internet.task import LoopingCall

from makima_relay.clock import Clock
from makima_relay.engine import Engine
from makima_relay.upstream import Upstream

#: The sentence for people may be older than the truth by so much, in seconds.
_STATUS_INTERVAL: Final = 5.0
#: What systemd gives to the process that it starts, and to none of that process' children.
_VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


@attrs.frozen
class Supervisor:
    """Whoever started the relay, and wants to hear of it.

    :ivar address: the name of its datagram socket; none if there is nobody.
    :ivar patience: how long it waits for a sign of life before it ends the relay, in seconds; none if for ever.
    """

    address: str | None = None
    patience: float | None = None

    def tell(self, *lines: str) -> None:
        """Send what ``sd_notify(3)`` lists.

        It is lost, and the relay goes on, when nobody reads it: whoever supervises draws the conclusion.
        """
        if self.address is None:
            return
        # A name that begins with an @ is one of Linux' abstract names, which begin with a zero byte.
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
            sender.settimeout(0)
            sender.sendto("\n".join(lines).encode(), address)


def take_supervisor(environment: MutableMapping[str, str]) -> Supervisor:
    """Find out who wants to hear of this process, and take that, and the sockets' names, out of the environment.

    To be called when the sockets were taken, which Twisted does when it is imported.
    """
    given = {name: environment.pop(name, "") for name in _VARIABLES}
    patience = None
    if given["WATCHDOG_PID"] in ("", str(os.getpid())) and given["WATCHDOG_USEC"].isdecimal():
        patience = int(given["WATCHDOG_USEC"]) / 1e6 or None
    return Supervisor(given["NOTIFY_SOCKET"] or None, patience)


class Readiness:
    """What a supervisor is told in the life of one relay.

    :param supervisor: who is told.
    """

    def __init__(self, supervisor: Supervisor, clock: Clock) -> None:
        self._supervisor = supervisor
        self._clock = clock
        self._loops: list[LoopingCall] = []
        self._status = ""

    def reached(self, engine: Engine, upstream: Upstream) -> None:
        """The relay listens and has taken up its database; tell so, and how it fares from now on."""
        self._supervisor.tell("READY=1")
        self._every(_STATUS_INTERVAL, self._show, engine, upstream)
        patience = self._supervisor.patience
        if patience is not None:
            self._every(patience / 2, self._live, engine, patience / 2)

    def reloading(self) -> None:
        """Settings are being read again."""
        # systemd compares it with its own clock, to know which of several reloads this one answers.
        self._supervisor.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def reloaded(self) -> None:
        """They have been read."""
        self._supervisor.tell("READY=1")

    def stopping(self) -> None:
        """The relay stops."""
        while self._loops:
            self._loops.pop().stop()
        self._supervisor.tell("STOPPING=1", "STATUS=stopping")

    def _every(self, interval: float, call: Callable[..., None], *arguments: Any) -> None:
        loop = LoopingCall(call, *arguments)
        loop.clock = self._clock.reactor
        loop.start(interval)
        self._loops.append(loop)

    def _show(self, engine: Engine, upstream: Upstream) -> None:
        trouble = "; the database cannot be written" if engine.is_suspended else ""
        status = f"server: {upstream.connector.state.value}; daemons: {len(engine.relay.daemons())}{trouble}"
        if status != self._status:
            self._status = status
            self._supervisor.tell(f"STATUS={status}")

    def _live(self, engine: Engine, longest: float) -> None:
        """Give a sign of life: the reactor turns, and no commit hangs. A disk that is full is no reason to end."""
        if engine.commit_under_way() < longest:
            self._supervisor.tell("WATCHDOG=1")
