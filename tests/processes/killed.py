"""Plays the scripted run again and again in processes of their own, each of which kills itself around one commit.

Run as a program it is given a directory, a loss policy and on which sides of a commit to kill. It forks a child for
every commit of the run and every side. A child leaves its database and the book of its peers in the directory. The
process that forks has neither threads nor a database open.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import attrs

from makima_relay.core.policy import Policy
from makima_relay.store.database import open_database
from tests.book import Book
from tests.engine_stage import EngineStage
from tests.fakes import inline_store
from tests.script import POLICIES, play

#: The line of a book that says when the run was killed.
KILLED = "killed"
#: The sides of a commit, and the moment at which all is written and nothing is committed.
BEFORE, AMIDST, AFTER = "before", "amidst", "after"
#: An empty database, of which every run has a copy.
_EMPTY = "empty.db"


@attrs.define
class WrittenBook(Book):
    """A book that outlives its writer: every line is in the system's hands before anything else happens."""

    file: int = -1

    def note(self, *line: str) -> None:
        os.write(self.file, json.dumps(line).encode() + b"\n")

    @staticmethod
    def read(path: Path) -> Book:
        """Read one again."""
        return Book([tuple(json.loads(line)) for line in path.read_text().splitlines()])


class Run:
    """One run that ends in the middle.

    :param stem: where its database and its book go, without their suffixes.
    :param number: the commit at which it ends.
    :param side: whether before that, amidst it or after it.
    """

    def __init__(self, stem: Path, policy: Policy, number: int, side: str) -> None:
        path = stem.with_suffix(".db")
        shutil.copyfile(stem.with_name(_EMPTY), path)
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND
        self._book = WrittenBook(file=os.open(stem.with_suffix(".book"), flags))
        self._to_go = {side: number}
        # It holds the lock for as long as it lives.
        open_database(path)
        store = inline_store(path)
        store._writer.runWithConnection(lambda connection: connection.set_trace_callback(self.traced))
        self._stage = EngineStage(policy, store, self._book, self.asked, self.done)

    def play(self) -> None:
        """Play the script, as far as it goes."""
        play(self._stage)

    def asked(self, name: str) -> None:
        """Note what the store is about to do."""
        self._count(BEFORE, name)

    def traced(self, statement: str) -> None:
        """Note what SQLite is about to do."""
        if statement == "COMMIT":
            self._count(AMIDST, "commit")

    def done(self, name: str) -> None:
        """Note what it has done."""
        self._count(AFTER, name)

    def _count(self, side: str, name: str) -> None:
        if name == "commit" and side in self._to_go:
            self._to_go[side] -= 1
            if not self._to_go[side]:
                self._book.note(KILLED, repr(self._stage.now))
                os.kill(os.getpid(), signal.SIGKILL)


def main(directory: str, on_loss: str, *sides: str) -> None:
    """Kill a run at every commit until one comes to its end."""
    (policy,) = [each for each in POLICIES if each.on_loss.value == on_loss]
    open_database(Path(directory) / _EMPTY).release()
    # What is there now is not copied into each child when it looks for garbage.
    gc.freeze()
    for number in itertools.count(1):
        for side in sides:
            if not _is_killed(Path(directory), policy, number, side):
                return


def _is_killed(directory: Path, policy: Policy, number: int, side: str) -> bool:
    child = os.fork()
    if child == 0:
        Run(directory / f"{number}-{side}", policy, number, side).play()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status) == signal.SIGKILL
    if os.waitstatus_to_exitcode(status):
        raise SystemExit("a run has failed")
    return False


if __name__ == "__main__":
    main(*sys.argv[1:])
