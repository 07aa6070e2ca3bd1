"""What the peers of a relay say and see, written down outside it, and what the relay has promised them.

The promises are those of ``protocol.md``, *Dispatch* and *Nothing is lost*: whenever the relay dies, what a peer could
see is in the database, and what the relay had from a peer is there too, or came only just now.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

import attrs

from makima_relay.core.fleet import daemon_id_of
from makima_relay.core.outbox import KEEP_AFTER
from makima_relay.core.snapshot import Snapshot
from makima_relay.core.tasks import Task, TaskStatus

#: Sums of seconds are not exact.
_ROUNDING = 1e-6
#: What happened, and the particulars.
Line = tuple[str, ...]


@attrs.define
class Book:
    """What happened outside of the relay, one line each, oldest first."""

    lines: list[Line] = attrs.Factory(list)

    def note(self, *line: str) -> None:
        """Write a line."""
        self.lines.append(line)

    def of(self, what: str) -> list[Line]:
        """The particulars of all lines of one sort."""
        return [line[1:] for line in self.lines if line[0] == what]

    def seen_by(self, peer: str) -> list[str]:
        """The payloads that a daemon, by its machine, or ``server`` was sent."""
        return [payload for name, payload in self.of("sent") if name == peer]

    def seen_by_server(self) -> list[str]:
        """The reports that the server was sent."""
        own = ("heartbeat", "error")
        return [payload for payload in self.seen_by("server") if json.loads(payload)["type"] not in own]

    def proved(self) -> set[str]:
        """The reports that the server has proved to have."""
        return {payload for (payload,) in self.of("proved")}


@attrs.frozen
class Left:
    """What a relay left in its store.

    :ivar tasks: all tasks by id, also the finished ones.
    :ivar reports: payloads by number.
    """

    snapshot: Snapshot
    tasks: dict[str, Task]
    reports: dict[int, bytes]

    @property
    def payloads(self) -> list[str]:
        """The reports, in the order of their numbers."""
        return [self.reports[number].decode() for number in sorted(self.reports)]

    @property
    def pending(self) -> list[Task]:
        """The tasks that wait, in their order."""
        waiting = [task for task in self.tasks.values() if task.status is TaskStatus.PENDING]
        return sorted(waiting, key=lambda task: task.position)


def check_promises(book: Book, left: Left, now: float, kept_after: float = KEEP_AFTER) -> None:
    """Check that a store has what it must have when its relay dies.

    :param now: when it dies, in monotonic seconds.
    :param kept_after: reports that are older than so many seconds are not lost.
    """
    _check_dispatches(book, left)
    _check_order(book, left)
    _check_pongs(book, left)
    _check_ends(book, left)
    _check_reports(book, left, now - kept_after)
    _check_draining(book, left, now - kept_after)


def _check_dispatches(book: Book, left: Left) -> None:
    """A task that a daemon was sent is stored as dispatched to it."""
    spawned = {payload: task_id for task_id, payload in book.of("spawned")}
    sent = [(spawned[payload], machine) for machine, payload in book.of("sent") if payload in spawned]
    times = Counter(task_id for task_id, _ in sent)
    for task_id, machine in sent:
        assert task_id in left.tasks, f"{task_id} was sent and is not stored"
        task = left.tasks[task_id]
        assert task.attempts >= times[task_id], f"{task} was sent more often than it is stored as dispatched"
        is_last = [each for each in sent if each[0] == task_id][-1] == (task_id, machine)
        if is_last and task.attempts == times[task_id]:
            assert task.daemon_id == daemon_id_of(machine), f"{task} was sent to {machine}"


def _check_order(book: Book, left: Left) -> None:
    """Tasks wait in the order in which they were asked for."""
    spawned = [task_id for task_id, _ in book.of("spawned")]
    pending = [task.task_id for task in left.pending if spawned.count(task.task_id) == 1]
    assert pending == sorted(pending, key=spawned.index), f"{pending} are not in the order of {spawned}"


def _check_pongs(book: Book, left: Left) -> None:
    """What came before a ping that was answered is stored: tasks, unless they were refused, and the ends of tasks."""
    answered = book.lines[: max((int(number) for (number,) in book.of("safe")), default=0)]
    said = Book(answered)
    answers = map(json.loads, book.seen_by("server"))
    refused = {answer["taskId"] for answer in answers if answer.get("code") == "unavailable"}
    for task_id, _ in said.of("spawned"):
        assert task_id in refused or task_id in left.tasks, (
            f"{task_id} is not stored, and the server was told that it was"
        )
    reported = ends(payload for _, _, payload in said.of("reported"))
    assert set(reported) <= {*left.payloads, *book.proved()}, (
        f"not all of {reported} are stored, as the daemon was told"
    )


def _check_ends(book: Book, left: Left) -> None:
    """A finished task and its report are stored both or neither, and before the server hears of it."""
    stored, proved = set(ends(left.payloads)), set(ends(book.proved()))
    unsafe = set(ends(book.seen_by_server())) - stored - proved
    assert not unsafe, f"the server was sent {unsafe}, which can be lost"
    told = Counter(json.loads(payload)["taskId"] for payload in stored | proved)
    assert left.snapshot.total_finished == told.total(), f"tasks finished otherwise than the server is told: {told}"
    asked = Counter(task_id for task_id, _ in book.of("spawned"))
    for task in left.tasks.values():
        if task.finished:
            assert told[task.task_id], f"{task} has finished and the server is not told"
    for task_id, number in told.items():
        assert left.tasks[task_id].finished or number < asked[task_id], f"the server is told that {task_id} has ended"


def _check_reports(book: Book, left: Left, since: float) -> None:
    """A report that the relay has for a while is stored, unless the server has it."""
    safe = {*left.payloads, *book.proved()}
    for machine, at, payload in book.of("reported"):
        refused = "refused" in json.loads(payload)
        assert refused or payload in safe or float(at) > since - _ROUNDING, f"of {machine}, at {at}: {payload} is lost"


def _check_draining(book: Book, left: Left, since: float) -> None:
    """What an operator said of a daemon a while ago is stored."""
    said = {line[1]: line for line in book.lines if line[0] in ("drained", "resumed")}
    stored = {daemon.machine_id for daemon in left.snapshot.daemons if daemon.draining}
    for word, machine, at in said.values():
        if float(at) < since - _ROUNDING:
            assert (word == "drained") == (machine in stored), f"{machine} was {word} at {at}, draining are {stored}"


def ends(payloads: Iterable[str]) -> list[str]:
    """Those reports with which a task ended."""
    return [payload for payload in payloads if _is_end(json.loads(payload))]


def _is_end(message: dict[str, str]) -> bool:
    if "late" in message or "refused" in message:
        return False
    return message["type"] == "taskComplete" or message.get("newStatus") == "cancelled"
