"""A daemon of the experiment: makes numbered reports, goes away and comes back when told."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint

from makima_relay.clock import Clock
from makima_relay.connector import Connector
from makima_relay.connector_options import Backoff, ConnectorOptions
from makima_relay.core.composer import COMPOSERS
from makima_relay.core.from_server import read_command
from makima_relay.core.members import InvalidMessageError, Members
from makima_relay.core.messages import Command, Spawn
from makima_relay.core.spelling import WireCase
from makima_relay.sandbox.chaos.door import Door
from makima_relay.sandbox.chaos.ledger import Ledger
from makima_relay.sandbox.chaos.messages import read_order, report
from makima_relay.sandbox.chaos.runs import Run
from makima_relay.sandbox.outbound import Outbound
from makima_relay.server_link import ServerProtocol

#: Seconds between heartbeats.
HEARTBEAT_INTERVAL: Final = 1.0
_TICK: Final = 0.05
#: What was missed for longer is not caught up with, in seconds.
_LONGEST_TICK: Final = 0.25
#: A relay that cannot write its database answers when it can again.
_AUTH_TIMEOUT: Final = 60.0
_BEAT: Final = b"heartbeat after "
#: The heartbeats' pings are enough to notice that the relay is gone.
_KEEPALIVE: Final = (3_600.0, 60.0)
_PROOF: Final = b"read up to "
_COMPOSER: Final = COMPOSERS[WireCase.CAMEL]


@attrs.frozen(kw_only=True)
class WorkerOptions:
    """What a daemon of the experiment is.

    :ivar url: the relay's whole URL.
    :ivar slots: how many tasks it takes at once.
    :ivar pace: reports a second of each of them.
    """

    url: str
    key: str = attrs.field(repr=False)
    name: str
    slots: int
    pace: float


@attrs.define(eq=False)
class _Work:
    """A task at work.

    :ivar reports: how many it is to make.
    :ivar due: how many it should have made by now and has not.
    """

    run: Run
    reports: int
    due: float = 0.0


class Worker:
    """One daemon; its connector's user.

    :param endpoints: where the relays are.
    :param ledger: told everything.
    :param relay: the place of the relay that it connects to at first.
    """

    def __init__(
        self,
        options: WorkerOptions,
        endpoints: Sequence[IStreamClientEndpoint],
        clock: Clock,
        ledger: Ledger,
        relay: int = 0,
    ) -> None:
        self._name = options.name
        self._pace = options.pace
        self._clock = clock
        self._ledger = ledger
        self._works: dict[str, _Work] = {}
        self._sent: deque[tuple[int, Run, int]] = deque()
        # Tasks whose end may not have been read yet, with the number of that report.
        self._ending: dict[str, int] = {}
        self._outbound = Outbound(clock.reactor, _ignore, self._proven)
        self._link: ServerProtocol | None = None
        self._connection = 0
        self._last_sending = 0
        self._beating: IDelayedCall | None = None
        self._ticking: IDelayedCall | None = None
        self._returning: IDelayedCall | None = None
        self._ticked = clock.monotonic()
        self._door = Door(endpoints, relay, self._returned)
        connection = ConnectorOptions(
            url=options.url,
            headers={"Authorization": f"Bearer {options.key}"},
            hello=_COMPOSER.authenticate(options.key, options.name, options.name, options.slots),
            backoff=Backoff(0.1, 0.5),
            auth_timeout=_AUTH_TIMEOUT,
            most_attempts=0,
            keepalive=_KEEPALIVE,
        )
        self._connector = Connector(self, self._door, connection, clock)

    @property
    def is_connected(self) -> bool:
        """Whether the relay has accepted it."""
        return self._link is not None

    def start(self) -> None:
        """Connect and work."""
        self._connector.connect()
        self._tick()

    def stop(self) -> Deferred[None]:
        """Work no more.

        :return: fires when its connection is closed.
        """
        self._unlink()
        for call in (self._ticking, self._returning):
            if call is not None and call.active():
                call.cancel()
        return self._connector.stop()

    def go_away(self, seconds: float, relay: int | None = None) -> None:
        """Reset the connection, and make another some time later.

        :param relay: the place of another relay to go to.
        """
        if relay is not None:
            self._door.leads_to = relay
        self._door.open = False
        self._ledger.daemon_turned_away(self._name)
        if self._link is not None:
            self._link.drop()
        else:
            # Whatever is under way ends, and finds the door shut.
            self._connector.connect()
        if self._returning is not None and self._returning.active():
            self._returning.cancel()
        self._returning = self._clock.reactor.callLater(max(seconds, _TICK), self._come_back)

    def _come_back(self) -> None:
        self._door.open = True
        self._connector.connect()

    # ------------------------------------------------------------------------------------- the connector's side

    def _returned(self) -> None:
        self._ledger.daemon_returned(self._name, self._clock.monotonic())

    def connected(self, link: ServerProtocol, daemon_id: str | None) -> None:
        """Authenticated: the heartbeat tells first which tasks are still here."""
        self._link = link
        self._connection = self._ledger.daemon_connected(self._name, self._clock.monotonic(), self._door.leads_to)
        self._beat()
        self._outbound.connected(link)

    def _beat(self) -> None:
        assert self._link is not None, "it beats while it is connected"
        self._link.send_text(_COMPOSER.heartbeat(dict.fromkeys([*self._works, *self._ending])))
        self._link.sendPing(_BEAT + str(self._last_sending).encode())
        self._beating = self._clock.reactor.callLater(HEARTBEAT_INTERVAL, self._beat)

    def received(self, payload: bytes) -> None:
        """The relay sent a message."""
        try:
            message = read_command(payload)
        except InvalidMessageError:
            return
        match message:
            case Spawn(task_id=task_id):
                self._begin(task_id, read_order(payload).reports)
            case Command(task_id=str(task_id), withdraws=True):
                self._give_up(task_id)
            case _:
                self._heed(payload)

    def _heed(self, payload: bytes) -> None:
        """Look whether the relay complains about reports on another daemon's task."""
        members = Members(payload)
        task_id = members.task_id()
        if task_id is not None and members.text("code") == "not_your_task":
            self._give_up(task_id)

    def pong_received(self, payload: bytes) -> None:
        """The relay answered a ping."""
        if payload.startswith(_BEAT):
            self._ledger.heartbeat_read(self._name, self._clock.monotonic())
            # The relay may answer the latest of several pings only, and then this one may stand for a proof.
            self._outbound.pong_received(_PROOF + payload.removeprefix(_BEAT))
        else:
            self._outbound.pong_received(payload)

    def safe(self) -> Deferred[None]:
        """What the relay sends is kept nowhere."""
        return succeed(None)

    def disconnected(self, reason: str) -> None:
        """The live connection is gone."""
        self._unlink()

    def _unlink(self) -> None:
        if self._link is None:
            return
        self._link = None
        self._outbound.disconnected()
        self._ledger.daemon_disconnected(self._name, self._clock.monotonic())
        if self._beating is not None:
            self._beating.cancel()
            self._beating = None

    def attempt_failed(self, reason: str, attempt: int, delay: float | None) -> None:
        """An attempt failed; the next follows."""
        self._ledger.daemon_turned_away(self._name)

    # ----------------------------------------------------------------------------------------------------- tasks

    def _begin(self, task_id: str, reports: int) -> None:
        # One that is at work here already was sent again by a relay that did not know yet.
        if task_id not in self._works:
            run = self._ledger.run_begun(task_id, self._name, self._clock.monotonic())
            self._works[task_id] = _Work(run, reports)

    def _give_up(self, task_id: str) -> None:
        """Stop a task that is another daemon's."""
        self._works.pop(task_id, None)
        self._ledger.task_given_away(task_id, self._name, self._clock.monotonic())

    def _tick(self) -> None:
        """Make the reports that are due."""
        self._ticking = self._clock.reactor.callLater(_TICK, self._tick)
        now = self._clock.monotonic()
        due = self._pace * min(now - self._ticked, _LONGEST_TICK)
        self._ticked = now
        if self._outbound.holding:
            return
        for task_id, work in list(self._works.items()):
            work.due += due
            while work.due >= 1 and work.run.at_work:
                work.due -= 1
                self._report(task_id, work)

    def _report(self, task_id: str, work: _Work) -> None:
        run = work.run
        number = self._ledger.report_sent(run)
        is_last = number == work.reports
        self._last_sending = sending = self._outbound.send(report(task_id, run.run_id, number, last=is_last))
        self._sent.append((sending, run, number))
        if is_last:
            del self._works[task_id]
            self._ending[task_id] = sending
            self._ledger.run_ended(run, self._clock.monotonic())

    def _proven(self, up_to: int) -> None:
        now = self._clock.monotonic()
        read: dict[Run, int] = {}
        while self._sent and self._sent[0][0] <= up_to:
            _, run, number = self._sent.popleft()
            read[run] = number
        for run, number in read.items():
            self._ledger.reports_read(run, number, now, self._connection)
        self._ending = {task: sending for task, sending in self._ending.items() if sending > up_to}


def _ignore(_hold: bool) -> None:
    """Whether to hold is asked when reports are made."""
