"""A stand-in daemon: runs the ``plan`` of each task as a shell command.

It reconnects with its running tasks, and keeps its reports until the other side has read them. Its commands run with
the rights of whoever started it: it is for trying out, with a server that is trusted.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint

from makima_relay.clock import Clock
from makima_relay.connector import Connector
from makima_relay.connector_options import Backoff, ConnectorOptions
from makima_relay.core.composer import COMPOSERS
from makima_relay.core.from_server import read_command
from makima_relay.core.journal import printable
from makima_relay.core.members import InvalidMessageError
from makima_relay.core.messages import Command, ServerError, Spawn
from makima_relay.core.spelling import WireCase
from makima_relay.farewell import moment_to_return
from makima_relay.sandbox.outbound import Outbound
from makima_relay.sandbox.reports import refusal
from makima_relay.sandbox.run import Run, Starter
from makima_relay.server_link import ServerProtocol

HEARTBEAT_INTERVAL: Final = 30.0
#: How long a daemon that stops waits until its last reports are read, in seconds.
FAREWELL: Final = 2.0
_COMPOSER = COMPOSERS[WireCase.CAMEL]


@attrs.frozen(kw_only=True)
class DaemonOptions:
    """What a stand-in daemon is.

    :ivar url: the whole ``ws://`` or ``wss://`` URL.
    :ivar name: its host name and its machine's id.
    :ivar slots: how many tasks it takes at once.
    """

    url: str
    key: str = attrs.field(repr=False)
    name: str
    slots: int
    backoff: Backoff = attrs.field(factory=lambda: Backoff(0.25, 5.0))


class SandboxDaemon:
    """One stand-in daemon; its connector's user.

    :param endpoint: where the server is.
    :param start: starts commands.
    :param clock: the clocks.
    :param say: takes lines for people.
    """

    def __init__(
        self,
        options: DaemonOptions,
        endpoint: IStreamClientEndpoint,
        start: Starter,
        clock: Clock,
        say: Callable[[str], None],
    ) -> None:
        self._options = options
        self._start_command = start
        self._clock = clock
        self._say = say
        self._runs: dict[str, Run] = {}
        # The numbers of last reports that may not have been read yet, and the tasks that they end.
        self._unread_ends: dict[int, str] = {}
        self._outbound = Outbound(clock.reactor, self._hold, self._proven)
        self._link: ServerProtocol | None = None
        self._heartbeat: IDelayedCall | None = None
        self._idle: Deferred[None] | None = None
        self._farewell: IDelayedCall | None = None
        connection = ConnectorOptions(
            url=options.url,
            headers={"Authorization": f"Bearer {options.key}"},
            hello=_COMPOSER.authenticate(options.key, options.name, options.name, options.slots),
            backoff=options.backoff,
            most_attempts=0,
            asked_back=moment_to_return,
        )
        self._connector = Connector(self, endpoint, connection, clock)

    def start(self) -> None:
        """Connect, and connect again for ever."""
        self._connector.connect()

    def stop(self) -> Deferred[None]:
        """Interrupt all tasks, report that, and disconnect.

        :return: fires when that is done.
        """
        idle: Deferred[None] = Deferred()
        self._idle = idle
        for run in list(self._runs.values()):
            if run.program is not None:
                run.program.resume()
                run.program.interrupt()
        self._check_idle()
        return idle.addCallback(self._disconnect)

    def _disconnect(self, _: None) -> Deferred[None]:
        self._unlink()
        return self._connector.stop()

    # ------------------------------------------------------------------------------------- the connector's side

    def connected(self, link: ServerProtocol, daemon_id: str | None) -> None:
        """Authenticated: the heartbeat tells first which tasks are still here."""
        self._say(f"connected to {self._options.url} as {printable(daemon_id or 'nobody')}")
        self._link = link
        self._beat()
        self._outbound.connected(link)

    def _beat(self) -> None:
        if self._link is not None:
            # A task whose end has not been read is still this daemon's: unlisted it would count as lost.
            self._link.send_text(_COMPOSER.heartbeat(dict.fromkeys([*self._runs, *self._unread_ends.values()])))
            self._heartbeat = self._clock.reactor.callLater(HEARTBEAT_INTERVAL, self._beat)

    def received(self, payload: bytes) -> None:
        """The server sent a message."""
        try:
            message = read_command(payload)
        except InvalidMessageError as error:
            self._say(f"invalid message: {error}")
            return
        match message:
            case Spawn():
                self._spawn(message)
            case Command(withdraws=True):
                self._interrupt(message.task_id)
            case ServerError(code, text):
                self._say(f"the server says: {printable(code)}: {printable(text)}")
            case _:
                return

    def pong_received(self, payload: bytes) -> None:
        """The server answered a ping."""
        self._outbound.pong_received(payload)

    def safe(self) -> Deferred[None]:
        """Whatever comes is acted on at once, and nothing outlives this process."""
        return succeed(None)

    def disconnected(self, reason: str) -> None:
        """The live connection is gone."""
        self._say(f"disconnected: {reason}")
        self._unlink()
        self._check_idle()

    def _unlink(self) -> None:
        """Send nothing more over the connection."""
        self._link = None
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            self._heartbeat = None
        self._outbound.disconnected()

    def attempt_failed(self, reason: str, attempt: int, delay: float | None) -> None:
        """An attempt failed."""
        self._say(f"cannot connect: {reason}; again in {delay or 0:.1f} s")

    # ----------------------------------------------------------------------------------------------------- tasks

    def _spawn(self, message: Spawn) -> None:
        task_id = message.task_id
        if task_id in self._runs:
            return
        plan = json.loads(message.payload).get("plan")
        if not isinstance(plan, str):
            self._end(task_id, refusal(task_id, "spawnTask has no plan"))
        elif self._idle is not None:
            self._end(task_id, refusal(task_id, "the daemon stops"))
        elif len(self._runs) >= self._options.slots:
            self._end(task_id, refusal(task_id, "no free slot"))
        else:
            self._begin(message, plan)

    def _begin(self, message: Spawn, plan: str) -> None:
        task_id = message.task_id
        run = Run(task_id, self._outbound.send, self._clock, self._ended)
        try:
            run.start(self._start_command, plan)
        except (OSError, ValueError) as error:
            self._end(task_id, refusal(task_id, f"cannot be started: {error}"))
            return
        self._runs[task_id] = run
        self._say(f"running {printable(message.name or task_id)}")
        if self._outbound.holding and run.program is not None:
            run.program.pause()

    def _ended(self, task_id: str, report: bytes) -> None:
        del self._runs[task_id]
        self._end(task_id, report)

    def _end(self, task_id: str, report: bytes) -> None:
        self._unread_ends[self._outbound.send(report)] = task_id
        self._check_idle()

    def _interrupt(self, task_id: str | None) -> None:
        run = None if task_id is None else self._runs.get(task_id)
        if run is not None and run.program is not None:
            run.program.interrupt()

    def _hold(self, holding: bool) -> None:
        for run in self._runs.values():
            if run.program is not None and self._idle is None:
                (run.program.pause if holding else run.program.resume)()

    def _proven(self, number: int) -> None:
        self._unread_ends = {end: task for end, task in self._unread_ends.items() if end > number}
        self._check_idle()

    # -------------------------------------------------------------------------------------------------- stopping

    def _check_idle(self) -> None:
        """Let a stop go on when nothing runs and everything is read, or nobody is there to read it."""
        if self._idle is None or self._runs:
            return
        if self._link is None or not len(self._outbound):
            self._take_leave()
        elif self._farewell is None:
            self._farewell = self._clock.reactor.callLater(FAREWELL, self._take_leave)

    def _take_leave(self) -> None:
        if self._farewell is not None and self._farewell.active():
            self._farewell.cancel()
        self._farewell = None
        if self._idle is not None and not self._idle.called:
            self._idle.callback(None)
