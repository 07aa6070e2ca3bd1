"""When what a relay has to tell Redis is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.cluster.names import Names
from makima_relay.cluster.outgoing import Outgoing
from makima_relay.cluster.scripts import ACKNOWLEDGE, SEND, Script
from makima_relay.cluster.session import Session


class Calls:
    """Stands for a session; writes down what is called.

    :ivar made: the script and the arguments of each.
    """

    run = "run"

    def __init__(self) -> None:
        self.made: list[tuple[Script, list[object]]] = []

    def call(self, script: Script, keys: Sequence[str], arguments: Sequence[object]) -> Deferred[object]:
        """Note it; there is no answer."""
        self.made.append((script, list(arguments)))
        return Deferred()


class AcknowledgementTests(SynchronousTestCase):
    """Acknowledgements wait for others."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.names = Names("test")
        self.outgoing = Outgoing(self.names, "b", self.clock)
        self.calls = Calls()
        self.outgoing.begin(cast("Session", self.calls))

    def acknowledged(self, sender: str, number: int, *places: bytes) -> tuple[Script, list[object]]:
        """The call that says so."""
        return ACKNOWLEDGE, ["b", number, self.names.acknowledged(sender), *places]

    def test_those_of_a_twentieth_of_a_second_are_one_call_for_each_sender(self) -> None:
        """The sender commits for each, and nobody waits for it."""
        self.outgoing.acknowledge("a", 1, [b"1-0"])
        self.clock.advance(0.03)
        self.outgoing.acknowledge("c", 7, [b"2-0"])
        self.outgoing.acknowledge("a", 3, [b"3-0", b"4-0"])
        self.clock.advance(0.01)
        self.assertEqual(self.calls.made, [])
        self.clock.advance(0.01)
        both = [self.acknowledged("a", 3, b"1-0", b"3-0", b"4-0"), self.acknowledged("c", 7, b"2-0")]
        self.assertEqual(self.calls.made, both)
        self.clock.advance(1)
        self.assertEqual(self.calls.made, both)

    def test_many_wait_no_longer(self) -> None:
        """A sender that sends fast has to know what it need not keep any more."""
        places = [b"%d-0" % number for number in range(200)]
        self.outgoing.acknowledge("a", 199, places[:199])
        self.clock.advance(0)
        self.assertEqual(self.calls.made, [])
        self.outgoing.acknowledge("a", 200, places[199:])
        self.clock.advance(0)
        self.assertEqual(self.calls.made, [self.acknowledged("a", 200, *places)])

    def test_an_entry_does_not_wait_for_them(self) -> None:
        """It goes in the next turn, and they when it is time."""
        self.outgoing.acknowledge("a", 1, [b"1-0"])
        self.outgoing.send("a", 1, b"x")
        self.clock.advance(0)
        self.assertEqual(self.calls.made, [(SEND, ["b", "run", 1, b"x"])])

    def test_they_go_at_once_when_the_relay_stops(self) -> None:
        """What was acted on is not to come again."""
        self.outgoing.acknowledge("a", 1, [b"1-0"])
        self.outgoing.flush()
        self.assertEqual(self.calls.made, [self.acknowledged("a", 1, b"1-0")])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_those_of_a_session_that_has_ended_go_nowhere(self) -> None:
        """The next session reads the entries anew."""
        self.outgoing.acknowledge("a", 1, [b"1-0"])
        self.outgoing.end()
        self.outgoing.begin(cast("Session", self.calls))
        self.clock.advance(1)
        self.assertEqual(self.calls.made, [])
