"""When a relay says how it is: in memory, with a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock as ManualReactor
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.cluster.names import Names
from makima_relay.cluster.roll_call import RollCall
from makima_relay.cluster.scripts import ANNOUNCE, Script
from tests.cluster.case import Recorder
from tests.core.builders import presence
from tests.fakes import clock_on, elapse


class Asked:
    """Stands for a session that never gets an answer.

    :ivar announced: how often a presence was renewed.
    :ivar pinged: how often it was looked whether messages would come.
    """

    run = "run"

    def __init__(self) -> None:
        self.announced = 0
        self.pinged = 0

    def call(self, script: Script, _keys: list[str], _arguments: Iterable[Any]) -> Deferred[Any]:
        """Count it."""
        self.announced += script is ANNOUNCE
        return Deferred()

    def command(self, *_words: Any) -> Deferred[Any]:
        """Say nothing."""
        return Deferred()

    def ping_subscription(self) -> None:
        """Count it."""
        self.pinged += 1


class RhythmTests(SynchronousTestCase):
    """A presence holds for fifteen seconds."""

    def setUp(self) -> None:
        self.reactor = ManualReactor()
        self.session: Any = Asked()
        self.roll_call = RollCall(Recorder(), lambda: presence("a"), Names("test"), "a", clock_on(self.reactor))
        self.roll_call.begin(self.session, {})

    def test_it_is_renewed_every_five_seconds(self) -> None:
        """And it is looked whether what others say would be heard, until the session ends."""
        self.assertEqual(self.session.announced, 1)
        elapse(self.reactor, 15)
        self.assertEqual((self.session.announced, self.session.pinged), (4, 3))
        self.roll_call.end()
        elapse(self.reactor, 15)
        self.assertEqual((self.session.announced, self.reactor.getDelayedCalls()), (4, []))

    def test_what_changes_is_said_within_a_tenth_of_a_second(self) -> None:
        """However often it changes in that time."""
        elapse(self.reactor, 1)
        for _ in range(3):
            self.roll_call.announce()
        elapse(self.reactor, 0)
        self.assertEqual(self.session.announced, 2)
        self.roll_call.announce()
        elapse(self.reactor, 0.05)
        self.assertEqual(self.session.announced, 2)
        elapse(self.reactor, 0.06)
        self.assertEqual(self.session.announced, 3)
