"""The power fails at every place of a scripted run: what the core decided so far is enough to go on with.

What the core decides is a list of effects. Here it is cut behind every one of them, with the commit that is under way
there in both its fates, and another relay starts on what the store then has.
"""

from __future__ import annotations

import math
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.fleet import daemon_id_of
from makima_relay.core.outbox import KEEP_AFTER
from makima_relay.core.policy import Policy
from makima_relay.core.tasks import Task
from tests.book import Book, Left, check_promises
from tests.core.builders import wire
from tests.core.model import ModelStore
from tests.core.stage import RelayStage
from tests.restart import check_restart
from tests.script import POLICIES, play
from tests.untraced import untraced


def left_in(store: ModelStore) -> Left:
    """All that matters of a store."""
    return Left(store.snapshot(), {task.task_id: task for task in store.tasks.values()}, store.reports)


class CutRun:
    """The scripted run of a relay, looked at wherever the power might fail.

    :param delay: see :class:`tests.core.stage.RelayStage`.
    :ivar places: how many places these were.
    :ivar restarted: the stores on which another relay was started.
    """

    def __init__(self, policy: Policy, delay: int) -> None:
        self.places = 0
        self.restarted: list[dict[str, Any]] = []
        self._policy = policy
        self._is_prompt = delay == 0
        self._stage = RelayStage(policy, ModelStore(), delay, self.look)

    def play(self) -> None:
        """Play the script to its end, where nothing may be lost any more."""
        play(self._stage)
        check_promises(self._stage.book, left_in(self._stage.queue.store), math.inf)

    def look(self) -> None:
        """Check what there would be if the power failed here."""
        self.places += 1
        queue = self._stage.queue
        self._check(queue.store, KEEP_AFTER if self._is_prompt else math.inf)
        if queue.committing:
            self._check(queue.landed(), KEEP_AFTER if self._is_prompt else math.inf)
        if self._stage.is_between and not self._stage.relay.messages_waiting:
            check_promises(self._stage.book, left_in(queue.would_be()), self._stage.now)

    def _check(self, store: ModelStore, kept_after: float) -> None:
        left = left_in(store)
        check_promises(self._stage.book, left, self._stage.now, kept_after)
        check_commands(self._stage.book, store)
        # What a relay makes of a store has nothing to do with what peers have seen meanwhile.
        if vars(store) not in self.restarted[-3:]:
            self.restarted.append(vars(store.copy()))
            check_restart(RelayStage(self._policy, store.copy(), now=self._stage.now), left)


def check_commands(book: Book, store: ModelStore) -> None:
    """A command that was ever kept is kept until its task has ended, or goes to the daemon that has it."""
    for key, payload in store.ever_commanded - set(store.commands):
        task = store.tasks[key]
        spelled = (wire("interruptTask", taskId=task.task_id) if payload is None else payload).decode()
        assert task.finished or was_handed_on(task, spelled, book), f"{spelled} for {task} is lost"


def was_handed_on(task: Task, command: str, book: Book) -> bool:
    """Whether a daemon was given a task, or has returned to it, since a command came for it."""
    place = book.lines.index(("commanded", task.task_id, command))
    spawns = {payload for task_id, payload in book.of("spawned") if task_id == task.task_id}
    dispatched_before = sum(line[0] == "sent" and line[2] in spawns for line in book.lines[:place])
    returned = any(line[0] == "joined" and daemon_id_of(line[1]) == task.daemon_id for line in book.lines[place:])
    return task.attempts > dispatched_before or returned


class CutTests(SynchronousTestCase):
    """Every place of the scripted run."""

    def play(self, delay: int) -> None:
        """Play it with both loss policies."""
        for policy in POLICIES:
            run = CutRun(policy, delay)
            run.play()
            self.assertGreater(run.places, 250)
            self.assertGreater(len(run.restarted), 40)

    @untraced
    def test_all_is_kept_when_commits_are_prompt(self) -> None:
        """No input comes while one is under way."""
        self.play(0)

    @untraced
    def test_all_is_kept_when_inputs_come_during_commits(self) -> None:
        """Their effects go into the next one."""
        for delay in (1, 2, 3):
            self.play(delay)
