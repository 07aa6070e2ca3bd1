"""Reports on their way to the server."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.outbox import Outbox
from tests.core.builders import examples


class OutboxTests(SynchronousTestCase):
    """Order, acknowledgement, and what is in the database."""

    def test_reports_are_numbered_in_order(self) -> None:
        """From 1, and they stay until acknowledged."""
        outbox = Outbox()
        self.assertEqual([outbox.add(b"a"), outbox.add(b"bc"), outbox.add(b"d")], [1, 2, 3])
        self.assertEqual(list(outbox), [(1, b"a"), (2, b"bc"), (3, b"d")])
        self.assertEqual((len(outbox), outbox.size), (3, 4))

    def test_what_an_earlier_run_left_goes_first(self) -> None:
        """Its numbers are taken; new ones are greater."""
        outbox = Outbox([(5, b"a"), (9, b"b")])
        self.assertEqual(outbox.add(b"c"), 10)
        self.assertEqual(list(outbox), [(5, b"a"), (9, b"b"), (10, b"c")])
        self.assertEqual(outbox.size, 3)

    def test_an_acknowledgement_drops_all_up_to_it(self) -> None:
        """The rest stays in order."""
        outbox = Outbox()
        for payload in (b"a", b"bb", b"ccc"):
            outbox.add(payload)
        outbox.acknowledged(2)
        self.assertEqual(list(outbox), [(3, b"ccc")])
        self.assertEqual((len(outbox), outbox.size), (1, 3))

    def test_numbers_are_not_used_again(self) -> None:
        """Also when all is acknowledged."""
        outbox = Outbox()
        outbox.add(b"a")
        outbox.acknowledged(1)
        self.assertEqual(outbox.add(b"b"), 2)

    def test_the_database_is_concerned_if_a_kept_report_went(self) -> None:
        """Kept now, or by an earlier run."""
        outbox = Outbox([(1, b"a")])
        outbox.add(b"b")
        outbox.add(b"c", kept=True)
        outbox.add(b"d")
        self.assertEqual([outbox.acknowledged(number) for number in (1, 2, 3, 4)], [True, True, True, False])

    def test_the_database_is_not_concerned_by_reports_in_memory_alone(self) -> None:
        """Nothing is to be deleted then."""
        outbox = Outbox()
        outbox.add(b"a", kept=True)
        self.assertTrue(outbox.acknowledged(1))
        outbox.add(b"b")
        self.assertFalse(outbox.acknowledged(2))

    def test_an_old_or_early_acknowledgement_changes_nothing(self) -> None:
        """One for what is gone already, and one while there is nothing."""
        outbox = Outbox()
        self.assertFalse(outbox.acknowledged(7))
        outbox.add(b"a", kept=True)
        outbox.add(b"b", kept=True)
        outbox.acknowledged(1)
        self.assertFalse(outbox.acknowledged(1))
        self.assertEqual(list(outbox), [(2, b"b")])

    @examples(200)
    @given(st.lists(st.booleans() | st.integers(0, 30)))
    def test_the_outbox_is_a_list_that_is_cut_at_the_front(self, steps: list[bool | int]) -> None:
        """A truth value adds a report, kept or not; a number acknowledges.

        Every kept report that an acknowledgement drops is told of; when none is left in the database, none is told of.
        """
        outbox = Outbox()
        model: list[tuple[int, bytes, bool]] = []
        for payload, step in zip(_payloads(), steps, strict=False):
            if isinstance(step, bool):
                model.append((outbox.add(payload, kept=step), payload, step))
            else:
                dropped = [kept for number, _, kept in model if number <= step]
                told = outbox.acknowledged(step)
                self.assertTrue(told or not any(dropped))
                self.assertTrue(dropped or not told)
                model = [each for each in model if each[0] > step]
            self.assertEqual(list(outbox), [(number, payload) for number, payload, _ in model])
            self.assertEqual(outbox.size, sum(len(payload) for _, payload, _ in model))


def _payloads() -> Iterator[bytes]:
    number = 0
    while True:
        number += 1
        yield b"x" * (number % 5)
