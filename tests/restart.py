"""A relay that starts on what a dead one left: it has all of that in mind, and brings all of it to its end."""

from __future__ import annotations

import json
from collections.abc import Iterator

from makima_relay.core.tasks import TaskStatus
from tests.book import Left, ends
from tests.core.builders import wire
from tests.stage import Stage

_ROOM = 100


def check_restart(stage: Stage, left: Left) -> None:
    """Start a relay on what is left, and check what it makes of it.

    :param stage: one on which nothing has happened yet, with the store.
    """
    stage.begin()
    _check_mind(stage, left)
    _check_reports(stage, left)
    _check_draining(stage, left)
    _check_pending(stage, left)
    _check_orphans(stage, left)
    _check_numbers(stage, left)
    _check_ends(stage, left)


def _check_mind(stage: Stage, left: Left) -> None:
    """Every unfinished task is known, and orphaned if it was at work; no number is used again."""
    relay = stage.relay
    for task in left.tasks.values():
        if not task.finished:
            known = relay.task(task.task_id)
            status = TaskStatus.ORPHANED if task.at_work else task.status
            assert known is not None, f"{task} is not in mind"
            assert (known.key, known.position, known.status) == (task.key, task.position, status), f"{task}: {known}"
    assert sorted(relay.active_tasks()) == sorted(task.task_id for task in left.tasks.values() if task.at_work)
    assert relay.pending_tasks == len(left.pending)
    assert relay.total_finished == left.snapshot.total_finished
    assert relay.reports_waiting == len(left.reports)
    used = max((max(task.key, task.position) for task in left.tasks.values()), default=0)
    assert left.snapshot.next_key == used + 1, "the number of a task would be used again"


def _check_reports(stage: Stage, left: Left) -> None:
    """All that is stored goes to the server in its order, and before anything new; it does so as long as it must."""
    stage.daemon_connects("watcher", 0)
    stage.daemon_sends("watcher", "news")
    for _ in range(2):
        before = len(stage.book.seen_by_server())
        stage.server_connects()
        seen = stage.book.seen_by_server()[before:]
        new = [payload for machine, _, payload in stage.book.of("reported")]
        assert seen == left.payloads + new, f"{seen} is not {left.payloads} and then {new}"


def _check_draining(stage: Stage, left: Left) -> None:
    """A daemon that gets no new tasks gets none, though it has room."""
    for daemon in left.snapshot.daemons:
        if daemon.draining:
            stage.daemon_connects(daemon.machine_id, _ROOM)
            assert not set(_spawned(stage, daemon.machine_id)), f"{daemon} was sent a task"


def _check_pending(stage: Stage, left: Left) -> None:
    """A newcomer with room for all gets all that waits, oldest first, each with its commands."""
    expected = [payload for task in left.pending for payload in _messages(left, task.task_id)]
    stage.daemon_connects("fresh", _ROOM)
    seen = stage.book.seen_by("fresh")[1:]
    assert seen == expected, f"{seen} is not {expected}"


def _messages(left: Left, task_id: str) -> Iterator[str]:
    """What is stored to be sent for a task: the spawnTask if it waits, then the commands."""
    (stored,) = [each for each in left.snapshot.tasks if each.task.task_id == task_id]
    if stored.task.status is TaskStatus.PENDING:
        assert stored.message is not None
        yield stored.message.decode()
    for payload in stored.commands:
        yield (wire("interruptTask", taskId=task_id) if payload is None else payload).decode()


def _check_orphans(stage: Stage, left: Left) -> None:
    """A daemon that returns gets the commands for what it holds."""
    for daemon in left.snapshot.daemons:
        held = [each for each in left.tasks.values() if each.at_work and each.daemon_id == daemon.daemon_id]
        expected = [payload for task in held for payload in _messages(left, task.task_id)]
        if not daemon.draining:
            stage.daemon_connects(daemon.machine_id, _ROOM)
        seen = stage.book.seen_by(daemon.machine_id)[1:]
        assert sorted(seen) == sorted(expected), f"{daemon}: {seen} is not {expected}"
        for task in held:
            mine = list(_messages(left, task.task_id))
            assert [payload for payload in seen if payload in mine] == mine, "commands are out of order"


def _check_numbers(stage: Stage, left: Left) -> None:
    """New tasks wait behind the old ones, and get numbers of their own."""
    stage.server_sends("spawnTask", "brand new")
    new = stage.relay.task("brand new")
    assert new is not None
    assert new.key >= left.snapshot.next_key, f"{new} has the number of another"


def _check_ends(stage: Stage, left: Left) -> None:
    """In the end every task that the relay ever took has finished, and the server has been told."""
    for machine in [each.machine_id for each in left.snapshot.daemons]:
        stage.daemon_sends(machine, "heartbeat", activeTasks=[])
    for daemon in {"fresh", *(each.machine_id for each in left.snapshot.daemons)}:
        _work_off(stage, daemon)
    stage.server_proves()
    told = {json.loads(payload)["taskId"] for payload in ends(stage.book.seen_by_server())}
    for task_id in [*(each.task.task_id for each in left.snapshot.tasks), "brand new"]:
        known = stage.relay.task(task_id)
        assert known is not None, task_id
        assert known.finished, f"{known} has not ended"
        assert task_id in told, f"the server was not told how {task_id} ended"
    assert stage.relay.reports_waiting == 0


def _work_off(stage: Stage, machine: str) -> None:
    done = 0
    while done < len(spawned := list(_spawned(stage, machine))):
        stage.daemon_sends(machine, "taskComplete", taskId=spawned[done], success=True)
        done += 1


def _spawned(stage: Stage, machine: str) -> Iterator[str]:
    """The ids of the tasks that a daemon was sent."""
    for payload in stage.book.seen_by(machine):
        message = json.loads(payload)
        if message["type"] == "spawnTask":
            yield message["taskId"]
