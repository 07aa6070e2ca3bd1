"""What comes up while a commit's effects are performed."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock as ManualReactor
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.commits import CommitQueue
from makima_relay.core.effects import Effect, KeepReport, Saved, SendToDaemon
from tests.fakes import HandStore, clock_on

FIRST, MEANWHILE = KeepReport(1, b"first"), KeepReport(2, b"meanwhile")


class _Performer:
    """To perform one effect brings up another, which has to be saved."""

    def __init__(self) -> None:
        self.performed: list[Effect] = []
        self.queue: CommitQueue

    def perform(self, effect: Effect) -> None:
        """Note it."""
        self.performed.append(effect)
        if isinstance(effect, SendToDaemon):
            self.queue.put([MEANWHILE])

    def gather(self) -> None:
        """Send all at once."""

    def send_gathered(self) -> None:
        """Have nothing."""

    def committed(self, batch: Sequence[Saved]) -> None:
        """Know it."""

    def suspended(self, reason: str) -> None:
        """Go on."""

    def resumed(self) -> None:
        """Go on."""


class MeanwhileTests(SynchronousTestCase):
    """The last effect that a commit releases brings up one that has to be saved."""

    def test_who_waits_for_a_commit_learns_of_that_one(self) -> None:
        """Neither never nor before the next is done."""
        store, performer, broken = HandStore(), _Performer(), list[Failure]()
        queue = performer.queue = CommitQueue(store, clock_on(ManualReactor()), performer, broken.append)
        queue.put([FIRST, SendToDaemon(1, b"m")])
        first: Deferred[None] = queue.settled()
        store.commits[0].done.callback(None)
        self.successResultOf(first)
        self.assertEqual([commit.effects for commit in store.commits], [[FIRST], [MEANWHILE]])
        second = queue.settled()
        self.assertNoResult(second)
        store.commits[1].done.callback(None)
        self.successResultOf(second)
        self.assertEqual(performer.performed, [FIRST, SendToDaemon(1, b"m"), MEANWHILE])
        self.assertEqual(broken, [])
