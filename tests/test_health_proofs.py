"""Whether the database can be written, for everybody who asks."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from makima_relay.health import Health
from makima_relay.ports import StoreUnavailableError
from tests.relay_case import RelayTestCase


class ProofStore:
    """A store whose proofs a test completes by hand.

    :ivar proofs: those that were asked for.
    """

    def __init__(self) -> None:
        self.proofs: list[Deferred[None]] = []

    def prove_writable(self) -> Deferred[None]:
        """Record a proof."""
        self.proofs.append(Deferred())
        return self.proofs[-1]


class HealthTests(RelayTestCase):
    """Nothing was committed lately."""

    def setUp(self) -> None:
        super().setUp()
        self.proof_store: Any = ProofStore()
        self.health = Health(self.engine, self.proof_store, self.clock)
        self.reactor.pump([1, 10])

    def test_many_who_ask_make_one_write(self) -> None:
        """Else strangers could keep the disk busy, and commits would wait."""
        asked = [self.health.writable() for _ in range(100)]
        self.assertEqual(len(self.proof_store.proofs), 1)
        self.proof_store.proofs[0].callback(None)
        self.assertEqual([self.successResultOf(each) for each in asked], [True] * 100)
        self.assertTrue(self.successResultOf(self.health.writable()))
        self.assertEqual(len(self.proof_store.proofs), 1)
        self.reactor.advance(1.1)
        self.health.writable()
        self.assertEqual(len(self.proof_store.proofs), 2)

    def test_one_who_leaves_takes_nothing_from_the_others(self) -> None:
        """Also the one who was first."""
        first, second = self.health.writable(), self.health.writable()
        first.cancel()
        self.failureResultOf(first)
        self.proof_store.proofs[0].errback(StoreUnavailableError("disk full"))
        self.assertFalse(self.successResultOf(second))
        self.assertEqual(len(self.proof_store.proofs), 1)

    def test_a_disk_that_does_not_answer_cannot_be_written(self) -> None:
        """It is not asked again for each who asks meanwhile."""
        asked = [self.health.writable() for _ in range(3)]
        self.reactor.advance(3)
        self.assertEqual([self.successResultOf(each) for each in asked], [False] * 3)
        self.assertEqual(len(self.proof_store.proofs), 1)
