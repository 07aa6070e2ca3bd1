"""What is to be told Redis: gathered for one turn of the reactor, and then sent in order in one write.

Acknowledgements are gathered for longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from makima_relay.cluster.names import Names
from makima_relay.cluster.scripts import ACKNOWLEDGE, CLAIM, FORGET, RECORD, SEND, TAKE_BACK, Script
from makima_relay.cluster.session import Session
from makima_relay.core.directory import DirectoryEntry

#: One command has at most so many arguments, and about so many bytes.
_MOST_ARGUMENTS: Final = 1_000
_MOST_BYTES: Final = 1 << 20
#: Seconds that an acknowledgement waits for others: nobody waits for it, and each has its sender commit something. So
#: many entries wait no longer.
_GATHERING: Final = 0.05
_MANY: Final = 200

Words = str | bytes | int


@attrs.define
class _Command:
    """A command that may get more arguments before it is sent.

    :ivar answered: told the answer.
    """

    script: Script
    keys: list[str]
    arguments: list[Words]
    size: int = 0
    answered: Callable[[Any], object] | None = None


class Outgoing:
    """Gathers commands. Those about the same inbox, or about the directory, keep their order.

    :param relay_id: the relay's own.
    """

    def __init__(self, names: Names, relay_id: str, reactor: IReactorTime) -> None:
        self._names = names
        self._relay_id = relay_id
        self._reactor = reactor
        self._session: Session | None = None
        self._lanes: dict[str, list[_Command]] = {}
        self._acknowledged: dict[str, tuple[int, list[bytes]]] = {}
        self._acknowledging: IDelayedCall | None = None
        self._flushing = False

    def begin(self, session: Session) -> None:
        """Send to a session from now on."""
        self._session = session

    def end(self) -> None:
        """There is none any more: what was gathered goes nowhere, and nothing more is."""
        self._session = None
        self._lanes = {}
        self._acknowledged = {}
        self._stop_gathering()

    # -------------------------------------------------------------------------------------------------- entries

    def send(self, peer: str, number: int, payload: bytes) -> None:
        """Put an entry into a relay's inbox."""
        if self._session is None:
            return
        keys = [self._names.inbox(peer), self._names.sent(peer), self._names.session(self._relay_id)]
        self._gather(keys[0], SEND, keys, [self._relay_id, self._session.run], [number, payload], len(payload))

    def take_back(self, peer: str, answered: Callable[[Any], object]) -> None:
        """Take out of a relay's inbox what it has not read.

        :param answered: told the numbers, as Redis has them.
        """
        inbox = [self._names.inbox(peer), self._names.sent(peer)]
        self._put(inbox[0], _Command(TAKE_BACK, inbox, [self._relay_id], answered=answered))

    def acknowledge(self, sender: str, number: int, places: Iterable[bytes]) -> None:
        """Delete entries from the own inbox, and tell their sender, soon.

        :param number: up to which all were acted on; 0 for entries that are none.
        """
        if self._session is None:
            return
        highest, gathered = self._acknowledged.setdefault(sender, (0, []))
        gathered.extend(places)
        self._acknowledged[sender] = (max(highest, number), gathered)
        if self._acknowledging is None:
            self._acknowledging = self._reactor.callLater(_GATHERING, self._acknowledge_all)
        if len(gathered) >= _MANY:
            self._acknowledging.reset(0)

    # ------------------------------------------------------------------------------------------------ directory

    def record(self, task_id: str, entry: DirectoryEntry, instead_of: str | None) -> None:
        """Write into the directory where a task is, unless it is another origin's.

        :param instead_of: which other origin it may have had.
        """
        words: list[Words] = [task_id, entry.attempt, entry.origin, entry.holder, instead_of or ""]
        self._gather("directory", RECORD, [self._names.tasks], [], words, len(task_id))

    def forget(self, task_ids: Sequence[str]) -> None:
        """Take tasks out of the directory."""
        for task_id in task_ids:
            self._gather("directory", FORGET, [self._names.tasks], [self._relay_id], [task_id], len(task_id))

    def claim(self, task_ids: Sequence[str]) -> Deferred[list[Any]]:
        """Have tasks be this relay's, but for those that are in the directory.

        :return: for each what is there; never fires if the session ends.
        """
        pieces = []
        for start in range(0, len(task_ids), _MOST_ARGUMENTS):
            piece: Deferred[Any] = Deferred()
            some: list[Words] = [self._relay_id, *task_ids[start : start + _MOST_ARGUMENTS]]
            self._put("directory", _Command(CLAIM, [self._names.tasks], some, answered=piece.callback))
            pieces.append(piece)
        return gatherResults(pieces).addCallback(lambda found: [each for piece in found for each in piece])

    # ------------------------------------------------------------------------------------------------ gathering

    def _gather(
        self, lane: str, script: Script, keys: list[str], leading: list[Words], more: list[Words], size: int
    ) -> None:
        """Add to the last command of a lane, if it is such a one and has room."""
        last = self._lanes[lane][-1] if self._lanes.get(lane) else None
        if (
            last is None
            or last.script is not script
            or last.answered is not None
            or len(last.arguments) + len(more) > _MOST_ARGUMENTS
            or last.size + size > _MOST_BYTES
        ):
            last = _Command(script, keys, list(leading))
            self._put(lane, last)
        last.arguments += more
        last.size += size

    def _put(self, lane: str, command: _Command) -> None:
        if self._session is not None:
            self._lanes.setdefault(lane, []).append(command)
            self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._reactor.callLater(0, self._send_lanes)

    def flush(self) -> None:
        """Send all that was gathered."""
        self._send_lanes()
        self._acknowledge_all()

    def _send_lanes(self) -> None:
        """Send all but the acknowledgements; Twisted makes one write of it."""
        self._flushing = False
        lanes, self._lanes = self._lanes, {}
        if self._session is not None:
            for commands in lanes.values():
                for command in commands:
                    _send(self._session, command)

    def _acknowledge_all(self) -> None:
        self._stop_gathering()
        acknowledged, self._acknowledged = self._acknowledged, {}
        if self._session is None:
            return
        for sender, (number, places) in acknowledged.items():
            name = self._names.acknowledged(sender)
            keys = [self._names.inbox(self._relay_id), name]
            for start in range(0, len(places) or 1, _MOST_ARGUMENTS):
                is_last = start + _MOST_ARGUMENTS >= len(places)
                head: list[Words] = [self._relay_id, number if is_last else 0, name]
                some = [*head, *places[start : start + _MOST_ARGUMENTS]]
                _send(self._session, _Command(ACKNOWLEDGE, keys, some))

    def _stop_gathering(self) -> None:
        if self._acknowledging is not None and self._acknowledging.active():
            self._acknowledging.cancel()
        self._acknowledging = None


def _send(session: Session, command: _Command) -> None:
    answer = session.call(command.script, command.keys, command.arguments)
    if command.answered is not None:
        answer.addCallback(command.answered)
