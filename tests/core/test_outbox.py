"""Reports on their way to the server."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.outbox import KEEP_AFTER, Outbox
from tests.core.builders import NOW, examples


class OutboxTests(SynchronousTestCase):
    """Order, acknowledgement, and what is in the database."""

    def test_reports_are_numbered_in_order(self) -> None:
        """From 1, and they stay until acknowledged."""
        outbox = Outbox()
        self.assertEqual([outbox.add(b"a", NOW), outbox.add(b"bc", NOW), outbox.add(b"d", NOW)], [1, 2, 3])
        self.assertEqual(list(outbox), [(1, b"a"), (2, b"bc"), (3, b"d")])
        self.assertEqual((len(outbox), outbox.size), (3, 4))

    def test_what_an_earlier_run_left_goes_first(self) -> None:
        """Its numbers are taken; new ones are greater."""
        outbox = Outbox([(5, b"a"), (9, b"b")])
        self.assertEqual(outbox.add(b"c", NOW), 10)
        self.assertEqual(list(outbox), [(5, b"a"), (9, b"b"), (10, b"c")])
        self.assertEqual(outbox.size, 3)

    def test_an_acknowledgement_drops_all_up_to_it(self) -> None:
        """The rest stays in order."""
        outbox = Outbox()
        for payload in (b"a", b"bb", b"ccc"):
            outbox.add(payload, NOW)
        outbox.acknowledged(2)
        self.assertEqual(list(outbox), [(3, b"ccc")])
        self.assertEqual((len(outbox), outbox.size), (1, 3))

    def test_numbers_are_not_used_again(self) -> None:
        """Also when all is acknowledged."""
        outbox = Outbox()
        outbox.add(b"a", NOW)
        outbox.acknowledged(1)
        self.assertEqual(outbox.add(b"b", NOW), 2)

    def test_the_database_is_concerned_if_a_kept_report_went(self) -> None:
        """Kept now, or by an earlier run."""
        outbox = Outbox([(1, b"a")])
        outbox.add(b"b", NOW)
        outbox.add(b"c", NOW, kept=True)
        outbox.add(b"d", NOW)
        self.assertEqual([outbox.acknowledged(number) for number in (1, 2, 3, 4)], [True, True, True, False])

    def test_the_database_is_not_concerned_by_reports_in_memory_alone(self) -> None:
        """Nothing is to be deleted then."""
        outbox = Outbox()
        outbox.add(b"a", NOW, kept=True)
        self.assertTrue(outbox.acknowledged(1))
        outbox.add(b"b", NOW)
        self.assertFalse(outbox.acknowledged(2))

    def test_an_old_or_early_acknowledgement_changes_nothing(self) -> None:
        """One for what is gone already, and one while there is nothing."""
        outbox = Outbox()
        self.assertFalse(outbox.acknowledged(7))
        outbox.add(b"a", NOW, kept=True)
        outbox.add(b"b", NOW, kept=True)
        outbox.acknowledged(1)
        self.assertFalse(outbox.acknowledged(1))
        self.assertEqual(list(outbox), [(2, b"b")])

    def test_a_report_is_to_be_kept_when_it_has_waited(self) -> None:
        """The oldest that is not kept counts; those behind it go along, and then nothing is left to be kept."""
        outbox = Outbox()
        self.assertIsNone(outbox.next_to_keep())
        outbox.add(b"a", NOW)
        outbox.add(b"b", NOW + 1)
        outbox.add(b"c", NOW + 2)
        self.assertEqual(outbox.next_to_keep(), NOW + KEEP_AFTER)
        outbox.acknowledged(1)
        self.assertEqual(outbox.next_to_keep(), NOW + 1 + KEEP_AFTER)
        self.assertEqual(outbox.take_to_keep(), ((2, b"b"), (3, b"c")))
        self.assertIsNone(outbox.next_to_keep())
        outbox.add(b"d", NOW + 3)
        outbox.acknowledged(2)
        self.assertEqual(outbox.next_to_keep(), NOW + 3 + KEEP_AFTER)
        self.assertEqual(outbox.take_to_keep(), ((4, b"d"),))
        self.assertEqual(outbox.take_to_keep(), ())

    def test_what_an_earlier_run_left_need_not_be_kept_again(self) -> None:
        """Its numbers may have gaps."""
        outbox = Outbox([(5, b"a"), (9, b"b")])
        self.assertIsNone(outbox.next_to_keep())
        outbox.add(b"c", NOW)
        self.assertEqual(outbox.take_to_keep(), ((10, b"c"),))

    @examples(200)
    @given(st.lists(st.booleans() | st.integers(0, 30) | st.none()))
    def test_the_outbox_is_a_list_that_is_cut_at_the_front(self, steps: list[bool | int | None]) -> None:
        """A truth value adds a report, kept or not; a number acknowledges; none has all kept that is not.

        Every kept report that an acknowledgement drops is told of; when none is left in the database, none is told of.
        """
        outbox = Outbox()
        model: list[tuple[int, bytes, bool]] = []
        for payload, step in zip(_payloads(), steps, strict=False):
            if step is None:
                taken = dict(outbox.take_to_keep())
                self.assertTrue({number for number, _, kept in model if not kept} <= set(taken))
                self.assertTrue(taken.items() <= {number: payload for number, payload, _ in model}.items())
                model = [(number, payload, True) for number, payload, _ in model]
            elif isinstance(step, bool):
                model.append((outbox.add(payload, NOW, kept=step), payload, step))
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
