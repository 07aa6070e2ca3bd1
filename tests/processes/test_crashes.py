"""The process is killed around every commit of a scripted run, with a real database; another one goes on."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.policy import LossPolicy, Policy
from makima_relay.store.database import connect, open_database
from tests.book import Left, check_promises
from tests.core.model import ModelStore
from tests.engine_stage import EngineStage
from tests.fakes import inline_store
from tests.processes.harness import ROOT
from tests.processes.killed import AFTER, AMIDST, BEFORE, KILLED, WrittenBook
from tests.restart import check_restart
from tests.script import POLICIES, TASKS, play
from tests.script_stores import PlainStore, left_in
from tests.untraced import untraced

#: Far more than it takes, in seconds.
_PATIENCE = 300
_COMMAND = (sys.executable, "-m", "tests.processes.killed")


def undisturbed(policy: Policy) -> list[Left]:
    """What is in the store before the first commit of the scripted run, and after each."""
    tables = ModelStore()
    store = PlainStore(tables)
    found = [left_in(store, TASKS)]

    def look(name: str) -> None:
        if name == "commit":
            found.append(left_in(PlainStore(tables.copy()), TASKS))

    play(EngineStage(policy, store, done=look))
    return found


class KillTests(SynchronousTestCase):
    """Whenever the process is killed, what is in the file is enough to go on with."""

    def kill_everywhere(self, on_loss: LossPolicy, *sides: str) -> None:
        """Kill a run around each of its commits, and look at what is left."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(
            [*_COMMAND, str(directory), on_loss.value, *sides], env=environment, timeout=_PATIENCE, check=True
        )
        (policy,) = [each for each in POLICIES if each.on_loss is on_loss]
        expected = undisturbed(policy)
        commits = len(expected) - 1
        for number, side in itertools.product(range(1, commits + 1), sides):
            self.check(policy, directory / f"{number}-{side}", expected[number - (side != AFTER)])
        self.assertEqual(len(list(directory.glob("*.book"))), commits * len(sides) + 1, "the last comes to its end")

    def check(self, policy: Policy, stem: Path, expected: Left) -> None:
        """Look at one database and the book of its peers, and start a relay on it."""
        path = stem.with_suffix(".db")
        database = open_database(path)
        with closing(connect(path)) as connection:
            self.assertEqual(connection.execute("PRAGMA integrity_check").fetchall(), [("ok",)], stem.name)
        book = WrittenBook.read(stem.with_suffix(".book"))
        ((killed_at,),) = book.of(KILLED)
        store = inline_store(path)
        left = left_in(store, TASKS)
        self.assertEqual(left, expected, stem.name)
        check_promises(book, left, float(killed_at))
        check_restart(EngineStage(policy, store), left)
        store.close()
        database.release()

    @untraced
    def test_nothing_is_lost_when_lost_tasks_fail(self) -> None:
        """``--on-daemon-loss fail``; killed before each commit and behind it."""
        self.kill_everywhere(LossPolicy.FAIL, BEFORE, AFTER)

    @untraced
    def test_nothing_is_lost_when_lost_tasks_are_requeued(self) -> None:
        """``--on-daemon-loss requeue``; killed when all of each commit is written and nothing of it is to be seen."""
        self.kill_everywhere(LossPolicy.REQUEUE, AMIDST)
