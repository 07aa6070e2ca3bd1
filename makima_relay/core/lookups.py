"""What waits for the store: messages about tasks that it may know and that are not in mind."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence

from makima_relay.core import effects
from makima_relay.core.entries import Reported
from makima_relay.core.fleet import Daemon
from makima_relay.core.heard import Heard
from makima_relay.core.lanes import Lanes
from makima_relay.core.messages import DaemonMessage, Heartbeat, Listed, ServerMessage
from makima_relay.core.peers import Peer
from makima_relay.core.state import State
from makima_relay.core.tasks import Task

#: The lane of the server's messages. A daemon has one lane, whatever its connections, so that what it said on an
#: older one goes before what it says on a newer.
UPSTREAM = "upstream"
#: What a message takes besides its payload, and an id in a heartbeat, about, in bytes.
_OVERHEAD, _ID = 512, 128

#: What a daemon said: the connection that it came on, whose it is, and what it is.
Said = tuple[int, Daemon, DaemonMessage | Listed]
#: Whatever may have to wait.
Message = Said | ServerMessage | Heard


class LookUps:
    """Asks the store, one question at a time, and keeps the order of each peer's messages meanwhile.

    :param state: the relay's memory.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._asking = False
        #: In which session with Redis what is asked now was asked; 0 for none.
        self._session = 0
        self.lanes: Lanes[Message] = Lanes(self._is_known)

    def _is_known(self, task_id: str) -> bool:
        """Whether nothing would be found that is not in mind."""
        return self._state.ledger.is_certain(task_id)

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self.lanes)

    def is_clear(self, whose: Daemon | Peer) -> bool:
        """Whether nothing that a daemon, or a peer, said waits."""
        return self.lanes.is_clear(whose.daemon_id or whose)

    def pass_command(self, task_id: str | None, message: ServerMessage) -> bool:
        """Whether a message of the server's can be acted on now; if not, it waits."""
        return self._pass(UPSTREAM, task_id, message)

    def pass_entry(self, heard: Heard) -> bool:
        """Whether an entry of a peer's can be acted on now; if not, it waits."""
        task_id = heard.entry.task_id if isinstance(heard.entry, Reported) else None
        return self._pass(heard.peer, task_id, heard)

    def pass_report(self, connection: int, daemon: Daemon, report: DaemonMessage | Listed) -> bool:
        """Whether a message of a daemon's can be acted on now; if not, it waits."""
        task_id = None if isinstance(report, Heartbeat) else report.task_id
        return self._pass(daemon.daemon_id, task_id, (connection, daemon, report))

    def _pass(self, lane: Hashable, task_id: str | None, message: Message, *, to_ask: bool = False) -> bool:
        said = message[2] if isinstance(message, tuple) else message
        if self.lanes.passes(lane, task_id, message, _weight(said), to_ask=to_ask):
            return True
        self.ask()
        return False

    def ask(self) -> None:
        """Have tasks looked up, unless that is under way: those that come meanwhile are asked for together."""
        self._state.flow.waiting = self.lanes.size
        if not self._asking:
            task_ids = self.lanes.to_ask()
            if task_ids:
                self._asking = True
                self._session = self._state.peers.session_now
                self._state.note(effects.RecallTasks(task_ids))

    @property
    def is_outdated(self) -> bool:
        """Whether Redis has come since what was asked last was asked."""
        return self._session != self._state.peers.session_now != 0

    def answered(self, task_ids: Sequence[str], found: Iterable[Task]) -> Iterator[Message]:
        """Keep in mind what was found, and release what waited for it, to be acted on while this is iterated.

        :param task_ids: what was asked.
        :param found: the finished tasks among them.
        """
        self._asking = False
        stored = set()
        for task in found:
            stored.add(task.task_id)
            self._state.ledger.recall(task)
        for _lane, message in self.lanes.answered(task_ids, stored):
            yield message


def _weight(message: DaemonMessage | Listed | ServerMessage | Heard) -> int:
    """About how many bytes of memory a message takes while it waits."""
    if isinstance(message, Heartbeat):
        return _OVERHEAD + _ID * len(message.active_tasks or ())
    return _OVERHEAD + len(getattr(message, "payload", b""))
