"""The stage for a whole engine: real but for its clock, whose time passes when the script says so, and its peers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock as ManualReactor
from twisted.python.failure import Failure

from makima_relay.core.messages import DaemonMessage, Hello, ServerMessage
from makima_relay.core.policy import Policy
from makima_relay.core.relay import Relay
from makima_relay.engine import Engine
from tests.book import Book
from tests.fakes import clock_on, elapse
from tests.script_stores import WatchedStore, WholeStore, result_of
from tests.stage import Stage

#: Longer than anything that is tried again has to wait, in seconds.
PATIENCE = 30.0
#: Stands for the number of the server's connection; daemons' count from 1.
SERVER = 0


class _Link:
    """A peer's connection; writes down what it is sent.

    :ivar is_paused: whether the relay does not read from it.
    :ivar is_closed: whether the relay has closed it.
    """

    def __init__(self) -> None:
        self.is_paused = self.is_closed = False

    def pause(self) -> None:
        """Read no more."""
        self.is_paused = True

    def resume(self) -> None:
        """Read again."""
        self.is_paused = False


class _DaemonLink(_Link):
    def __init__(self, machine: str, sent: Callable[[str, bytes], None]) -> None:
        super().__init__()
        self._machine = machine
        self._sent = sent

    def send(self, payloads: Sequence[bytes]) -> None:
        """Write each down."""
        for payload in payloads:
            self._sent(self._machine, payload)

    def close(self, code: int, reason: str) -> None:
        """Nothing goes that way any more; the script says when it is gone."""
        self.is_closed = True


class _UpstreamLink(_Link):
    def __init__(self, sent: Callable[[bytes, int | None], None]) -> None:
        super().__init__()
        self._sent = sent

    def send(self, payload: bytes, number: int | None) -> None:
        """Write it down."""
        self._sent(payload, number)

    def send_reports(self, payloads: Sequence[bytes], number: int) -> None:
        """Write them down."""
        for place, payload in enumerate(payloads, number - len(payloads) + 1):
            self._sent(payload, place)


def nothing(name: str) -> None:
    """Take no notice of a call."""


class EngineStage(Stage):
    """Has an engine.

    :param store: has what is stored.
    :param asked: see :class:`~tests.script_stores.WatchedStore`.
    :param done: likewise.
    :param delay: likewise.
    :ivar broken: why the engine has said that it cannot go on.
    :ivar links: all connections that the relay has.
    :ivar all_saved: whether all was saved whenever the relay stopped.
    """

    def __init__(
        self,
        policy: Policy,
        store: WholeStore,
        book: Book | None = None,
        asked: Callable[[str], None] = nothing,
        done: Callable[[str], None] = nothing,
        delay: float = 0.0,
    ) -> None:
        super().__init__(book or Book())
        self.reactor = ManualReactor()
        self.broken: list[Failure] = []
        self.links: dict[int, _Link] = {}
        self.all_saved = True
        self._policy = policy
        self._store = store
        self._watched = WatchedStore(store, self.reactor, asked, done, delay)
        self._pace = delay / 2
        self._clock = clock_on(self.reactor)

    @property
    def now(self) -> float:
        return self.reactor.seconds()

    def settle(self) -> None:
        """Let all happen before the next input; if answers take their time, not all is over by then."""
        elapse(self.reactor, self._pace)

    def begin(self) -> None:
        self.relay = Relay(self._policy, result_of(self._store.snapshot()))
        self.engine = Engine(self.relay, self._watched, self._clock, self.on_broken)
        self.come(self.engine.start())
        self.settle()

    def on_broken(self, failure: Failure) -> None:
        """Note why the relay cannot go on."""
        self.broken.append(failure)

    def stopping(self) -> None:
        self.come(self.engine.stopping())

    def stop(self) -> None:
        self.all_saved = self.come(self.engine.stop()) and self.all_saved

    def come(self, awaited: Deferred[Any]) -> Any:
        """Let time pass until something has happened.

        :return: what came of it.
        """
        results: list[Any] = []
        awaited.addBoth(results.append)
        end = self.now + PATIENCE
        while not results:
            assert self.now < end, "it never happens"
            elapse(self.reactor, 0.05)
        return results[0]

    def time_passes(self, seconds: float) -> None:
        elapse(self.reactor, seconds)

    def ask_if_safe(self, lines: int) -> None:
        self.engine.safe().addCallback(self._safe, lines)
        self.settle()

    def _safe(self, _: object, lines: int) -> None:
        if self.vouches():
            self.book.note("safe", str(lines))

    def vouches(self) -> bool:
        """Whether the answer to a ping says more than that the relay lives."""
        return not self.engine.is_suspended

    def upstream_ready(self) -> None:
        link = self.links[SERVER] = _UpstreamLink(self.sent_to_server)
        self.engine.upstream_ready(link, "ws://h", None)
        self.settle()

    def upstream_lost(self) -> None:
        del self.links[SERVER]
        self.engine.upstream_lost("gone")
        self.settle()

    def command_received(self, message: ServerMessage) -> None:
        self.engine.command_received(message)
        self.settle()

    def acknowledged(self, number: int) -> None:
        self.engine.acknowledged(number)
        self.settle()

    def daemon_joined(self, machine: str, said: Hello) -> int:
        link = _DaemonLink(machine, self.sent_to_daemon)
        number = self.engine.daemon_joined(link, said, "a")
        self.links[number] = link
        self.settle()
        return number

    def daemon_lost(self, connection: int) -> None:
        del self.links[connection]
        self.engine.daemon_lost(connection, "gone")
        self.settle()

    def report_received(self, connection: int, report: DaemonMessage) -> None:
        self.engine.reports_received(connection, [report])
        self.settle()

    def cancel_requested(self, task_id: str) -> None:
        self.engine.cancel_requested(task_id)
        self.settle()

    def drain_requested(self, daemon_id: str, *, draining: bool) -> None:
        self.engine.drain_requested(daemon_id, draining=draining)
        self.settle()
