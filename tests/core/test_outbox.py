"""Reports on their way to the server."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.outbox import KEEP_AFTER, MEMORY_KEPT, Backlog, Outbox
from tests.core.builders import NOW, examples
from tests.untraced import untraced


class OrderTests(SynchronousTestCase):
    """Numbers, sending, acknowledgement."""

    def filled(self, *payloads: bytes) -> Outbox:
        """An outbox with reports that wait."""
        outbox = Outbox()
        for payload in payloads:
            outbox.add(payload, NOW)
        return outbox

    def test_reports_are_numbered_and_taken_in_order(self) -> None:
        """From 1, and they stay until acknowledged."""
        outbox = self.filled(b"a", b"bc", b"d")
        self.assertEqual(list(outbox.take(100)), [(1, b"a"), (2, b"bc"), (3, b"d")])
        self.assertEqual((len(outbox), outbox.memory, outbox.has_more), (3, 4, False))

    def test_they_are_taken_in_bounded_pieces(self) -> None:
        """The rest waits."""
        outbox = self.filled(b"aa", b"bb", b"cc")
        self.assertEqual(list(outbox.take(3)), [(1, b"aa"), (2, b"bb")])
        self.assertTrue(outbox.has_more)
        self.assertEqual(list(outbox.take(3)), [(3, b"cc")])

    def test_the_latest_may_go_at_once_if_nothing_waits_before_it(self) -> None:
        """Else it takes its turn."""
        outbox = self.filled(b"a")
        self.assertTrue(outbox.take_latest())
        outbox.add(b"b", NOW)
        outbox.add(b"c", NOW)
        self.assertFalse(outbox.take_latest())
        self.assertEqual([number for number, _ in outbox.take(100)], [2, 3])

    def test_a_new_connection_is_sent_what_is_not_acknowledged(self) -> None:
        """Oldest first, before what was not sent at all."""
        outbox = self.filled(b"a", b"b", b"c")
        self.assertEqual(len(list(outbox.take(2))), 2)
        outbox.acknowledged(1)
        outbox.begin()
        self.assertEqual(list(outbox.take(100)), [(2, b"b"), (3, b"c")])

    def test_an_acknowledgement_drops_all_up_to_it(self) -> None:
        """The rest stays; an old one changes nothing, and numbers are not used again."""
        outbox = self.filled(b"a", b"bb", b"ccc")
        self.assertEqual(len(list(outbox.take(100))), 3)
        self.assertFalse(outbox.acknowledged(2))
        self.assertFalse(outbox.acknowledged(1))
        self.assertEqual((len(outbox), outbox.memory), (1, 3))
        outbox.acknowledged(3)
        self.assertEqual(outbox.add(b"d", NOW), 4)

    def test_the_database_is_concerned_if_a_kept_report_went(self) -> None:
        """Kept alone, with others, or by an earlier run."""
        outbox = Outbox(Backlog(1, 1, 1, 5))
        outbox.add(b"a", NOW)
        outbox.add(b"b", NOW, kept=True)
        outbox.add(b"c", NOW)
        outbox.page_sent([(1, b"12345")], 1)
        self.assertEqual(len(list(outbox.take(100))), 3)
        self.assertEqual([outbox.acknowledged(number) for number in (1, 3, 4)], [True, True, False])


class KeepingTests(SynchronousTestCase):
    """What goes into the database, and what leaves the memory for it."""

    def test_a_report_is_to_be_kept_when_it_has_waited(self) -> None:
        """The oldest that is not kept counts; those behind it go along, and then nothing is left to be kept."""
        outbox = Outbox()
        self.assertIsNone(outbox.next_to_keep())
        for second, payload in enumerate((b"a", b"b", b"c")):
            outbox.add(payload, NOW + second)
        self.assertEqual(outbox.next_to_keep(), NOW + KEEP_AFTER)
        self.assertEqual(len(list(outbox.take(2))), 2)
        outbox.acknowledged(1)
        self.assertEqual(outbox.next_to_keep(), NOW + 1 + KEEP_AFTER)
        self.assertEqual(outbox.take_to_keep(), ((2, b"b"), (3, b"c")))
        self.assertIsNone(outbox.next_to_keep())
        outbox.add(b"d", NOW + 3)
        self.assertEqual(outbox.next_to_keep(), NOW + 3 + KEEP_AFTER)
        self.assertEqual(outbox.take_to_keep(), ((4, b"d"),))
        self.assertEqual(outbox.take_to_keep(), ())

    def test_what_is_stored_leaves_the_memory_when_there_is_much_of_it(self) -> None:
        """Then it is read back in its turn, before what is in memory still."""
        outbox, large = Outbox(), b"x" * (MEMORY_KEPT // 2)
        for number in range(4):
            outbox.add(large, NOW + number)
        outbox.take_to_keep()
        self.assertEqual(outbox.disk, 4 * len(large))
        self.assertEqual(outbox.memory, 4 * len(large))
        outbox.stored(4)
        self.assertEqual(outbox.memory, MEMORY_KEPT)
        self.assertEqual(outbox.next_page(), (0, 2))
        self.assertEqual(list(outbox.take(100)), [])
        outbox.page_sent([(1, large), (2, large)], 2)
        self.assertIsNone(outbox.next_page())
        self.assertEqual([number for number, _ in outbox.take(MEMORY_KEPT)], [3, 4])
        self.assertTrue(outbox.acknowledged(4))
        self.assertEqual((outbox.disk, outbox.memory, len(outbox)), (0, 0, 0))

    def test_what_an_earlier_run_left_is_read_back_first(self) -> None:
        """Its numbers may have gaps; new ones are greater, and it need not be kept again."""
        outbox = Outbox(Backlog(5, 9, 2, 30))
        self.assertEqual((len(outbox), outbox.disk, outbox.next_page()), (2, 30, (4, 9)))
        self.assertIsNone(outbox.next_to_keep())
        self.assertEqual(outbox.add(b"c", NOW), 10)
        self.assertFalse(outbox.take_latest())
        self.assertEqual(outbox.take_to_keep(), ((10, b"c"),))
        outbox.page_sent([(5, b"x" * 10), (9, b"x" * 20)], 9)
        self.assertEqual(list(outbox.take(100)), [(10, b"c")])
        outbox.acknowledged(9)
        self.assertEqual((len(outbox), outbox.disk), (1, 1))

    def test_what_an_earlier_run_left_is_given_back_page_by_page(self) -> None:
        """Its size is known as soon as it was read, also if a lost connection has it read once more."""
        outbox = Outbox(Backlog(1, 6, 6, 600))
        large = [(number, b"x" * 100) for number in range(1, 7)]
        outbox.begin()
        outbox.page_sent(large[:2], 2)
        outbox.page_sent(large[2:4], 4)
        outbox.acknowledged(1)
        self.assertEqual(outbox.disk, 600)
        outbox.acknowledged(2)
        self.assertEqual(outbox.disk, 400)
        outbox.begin()
        self.assertEqual(outbox.next_page(), (2, 6))
        outbox.page_sent(large[2:5], 5)
        outbox.acknowledged(4)
        self.assertEqual(outbox.disk, 200)
        outbox.acknowledged(5)
        self.assertEqual(outbox.disk, 100)
        outbox.page_sent(large[5:], 6)
        outbox.acknowledged(6)
        self.assertEqual((outbox.disk, len(outbox)), (0, 0))


class AnyOrderTests(SynchronousTestCase):
    """Against a list of everything that is not acknowledged."""

    @untraced
    @examples(300)
    @given(
        st.lists(
            st.tuples(st.sampled_from(["add", "keep", "store", "send", "page", "begin", "ack"]), st.integers(0, 9))
        )
    )
    def test_everything_is_sent_in_order_on_every_connection(self, steps: list[tuple[str, int]]) -> None:
        """Reports are large, so that they leave the memory as soon as they are stored."""
        run = Run()
        for step, choice in steps:
            getattr(run, step)(choice)
            assert run.outbox.memory == len(LARGE) * run.in_memory(), "memory is miscounted"
        run.begin(0)
        run.send_all()
        assert run.sent == sorted(run.left), "not all was sent, or not in order"


LARGE = b"x" * (MEMORY_KEPT // 2 + 1)


class Run:
    """One outbox, its store, and one connection after another."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.left: set[int] = set()
        self.stored: set[int] = set()
        self.handed: list[int] = []
        self.sent: list[int] = []

    def in_memory(self) -> int:
        """How many reports the outbox has in memory."""
        return len(self.outbox._sent) + len(self.outbox._waiting)

    def add(self, choice: int) -> None:
        """Another report comes; it may be its turn at once."""
        number = self.outbox.add(LARGE, NOW)
        self.left.add(number)
        if choice > 4 and self.outbox.take_latest():
            self.count(number)

    def keep(self, choice: int) -> None:
        """All is handed to the store."""
        self.handed += [number for number, _ in self.outbox.take_to_keep()]

    def store(self, choice: int) -> None:
        """The store has what it was handed."""
        self.stored.update(self.handed)
        if self.handed:
            self.outbox.stored(self.handed[-1])
        self.handed = []

    def send(self, choice: int) -> None:
        """A piece is sent."""
        for number, _ in self.outbox.take(choice * len(LARGE)):
            self.count(number)

    def page(self, choice: int) -> None:
        """A page is read back, of one report or more."""
        page = self.outbox.next_page()
        if page is None:
            return
        after, up_to = page
        numbers = [number for number in sorted(self.stored & self.left) if after < number <= up_to][: choice + 1]
        assert numbers, "there is nothing to be read back"
        for number in numbers:
            self.count(number)
        self.outbox.page_sent([(number, LARGE) for number in numbers], numbers[-1])

    def count(self, number: int) -> None:
        """A report is sent: after all before it, once."""
        assert not self.sent or number == self.sent[-1] + 1, "out of order"
        self.sent.append(number)

    def begin(self, choice: int) -> None:
        """A new connection."""
        self.outbox.begin()
        self.sent = []

    def ack(self, choice: int) -> None:
        """The server has some of what was sent."""
        if self.sent:
            number = self.sent[min(choice, len(self.sent) - 1)]
            self.outbox.acknowledged(number)
            self.left = {each for each in self.left if each > number}

    def send_all(self) -> None:
        """Whatever is left is sent."""
        while self.outbox.has_more:
            self.page(9)
            self.send(9)
