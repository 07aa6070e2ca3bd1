"""Messages that wait for the store keep their order."""

from __future__ import annotations

from collections.abc import Hashable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.lanes import MOST_ASKED, Lanes
from makima_relay.core.ledger import MOST_FINISHED
from tests.core.builders import examples
from tests.untraced import untraced


class LanesTests(SynchronousTestCase):
    """One lane for each peer."""

    def setUp(self) -> None:
        self.known = {"known"}
        self.lanes: Lanes[str] = Lanes(self.known.__contains__)

    def test_what_needs_no_look_up_passes(self) -> None:
        """About no task, or about one in mind."""
        self.assertTrue(self.lanes.passes(1, None, "a"))
        self.assertTrue(self.lanes.passes(1, "known", "b"))
        self.assertEqual((self.lanes.to_ask(), len(self.lanes)), ((), 0))

    def test_what_needs_a_look_up_waits_and_is_asked_for_once(self) -> None:
        """However many messages need the same answer, from whomever."""
        self.assertFalse(self.lanes.passes(1, "x", "a"))
        self.assertFalse(self.lanes.passes(1, "x", "b"))
        self.assertFalse(self.lanes.passes(2, "x", "c"))
        self.assertEqual(self.lanes.to_ask(), ("x",))
        self.assertEqual(self.lanes.to_ask(), ())
        self.assertEqual(len(self.lanes), 3)

    def test_nothing_overtakes_what_waits_in_its_lane(self) -> None:
        """Not even what needs no look-up; other lanes are not concerned."""
        self.lanes.passes(1, "x", "a")
        self.assertFalse(self.lanes.passes(1, None, "b"))
        self.assertFalse(self.lanes.passes(1, "known", "c"))
        self.assertTrue(self.lanes.passes(2, "known", "d"))
        self.assertEqual(list(self.lanes.answered(["x"], ())), [(1, "a"), (1, "b"), (1, "c")])
        self.assertTrue(self.lanes.passes(1, "known", "e"))

    def test_what_later_messages_need_is_asked_for_meanwhile(self) -> None:
        """Many look-ups in one go."""
        self.lanes.passes(1, "x", "a")
        self.lanes.passes(1, "y", "b")
        self.lanes.passes(2, "z", "c")
        self.assertEqual(self.lanes.to_ask(), ("x", "y", "z"))

    def test_an_answer_releases_what_waited_for_it_alone(self) -> None:
        """Found or not; what waits for another goes on waiting, and is not asked for again."""
        for lane, task_id in ((1, "x"), (1, "y"), (1, "x"), (2, "y"), (3, "x")):
            self.lanes.passes(lane, task_id, f"{lane}{task_id}")
        self.lanes.to_ask()
        self.assertEqual(list(self.lanes.answered(["x"], ())), [(1, "1x"), (3, "3x")])
        self.assertEqual(self.lanes.to_ask(), ())
        self.known.add("x")
        self.assertEqual(list(self.lanes.answered(["y"], ())), [(1, "1y"), (1, "1x"), (2, "2y")])
        self.assertEqual((self.lanes.to_ask(), len(self.lanes)), ((), 0))

    def test_an_answer_makes_a_later_question_a_new_one(self) -> None:
        """A task may be forgotten again."""
        self.lanes.passes(1, "x", "a")
        self.lanes.to_ask()
        list(self.lanes.answered(["x"], ()))
        self.lanes.passes(1, "x", "b")
        self.assertEqual(self.lanes.to_ask(), ("x",))

    def test_acting_on_one_message_may_let_the_next_pass(self) -> None:
        """Whether a task is in mind is asked anew for each."""
        self.lanes.passes(1, "x", "a")
        self.lanes.passes(1, "y", "b")
        released = []
        for _, message in self.lanes.answered(["x"], ()):
            released.append(message)
            self.known.add("y")
        self.assertEqual(released, ["a", "b"])

    def test_a_task_that_was_found_and_is_forgotten_again_is_looked_up_once_more(self) -> None:
        """Not taken for one that the store does not have."""
        self.lanes.passes(1, "x", "a")
        self.lanes.to_ask()
        self.assertEqual(list(self.lanes.answered(["x"], ["x"])), [])
        self.assertEqual(self.lanes.to_ask(), ("x",))
        self.known.add("x")
        self.assertEqual(list(self.lanes.answered(["x"], ["x"])), [(1, "a")])

    def test_a_task_that_was_made_and_is_forgotten_again_is_looked_up(self) -> None:
        """It is in the store by then."""
        for message in ("make", "again"):
            self.lanes.passes(1, "x", message)
        self.lanes.to_ask()
        released = []
        for _, message in self.lanes.answered(["x"], ()):
            released.append(message)
            self.known.add("x")
            self.lanes.passes(2, "y", "z")
        self.assertEqual(released, ["make", "again"])
        self.known.discard("x")
        self.assertFalse(self.lanes.passes(1, "x", "more"))
        self.assertIn("x", self.lanes.to_ask())

    def test_a_task_that_is_asked_for_is_waited_for_also_when_it_seems_certain(self) -> None:
        """The answer would be older than what is made of it meanwhile."""
        self.lanes.passes(1, "x", "a")
        self.lanes.to_ask()
        self.known.add("x")
        self.assertFalse(self.lanes.passes(2, "x", "b"))
        self.assertEqual(list(self.lanes.answered(["x"], ())), [(1, "a"), (2, "b")])
        self.assertTrue(self.lanes.passes(2, "x", "c"))

    def test_a_question_is_bounded(self) -> None:
        """What is found must be in mind together."""
        for number in range(MOST_ASKED + 2):
            self.lanes.passes(1, f"t{number}", "m")
        self.assertEqual([len(self.lanes.to_ask()) for _ in range(3)], [MOST_ASKED, 2, 0])
        self.assertLess(MOST_ASKED, MOST_FINISHED)

    def test_what_waits_is_numbered_and_weighed(self) -> None:
        """So that one can wait for all that waits now, and bound it."""
        self.assertIsNone(self.lanes.oldest)
        self.lanes.passes(1, "x", "a", 10)
        self.lanes.passes(2, "y", "b", 5)
        self.assertEqual((self.lanes.oldest, self.lanes.last, self.lanes.size), (1, 2, 15))
        list(self.lanes.answered(["x"], ()))
        self.assertEqual((self.lanes.oldest, self.lanes.last, self.lanes.size), (2, 2, 5))


steps = st.lists(
    st.tuples(st.integers(1, 3), st.none() | st.sampled_from("abcd"))  # a message in a lane
    | st.sets(st.sampled_from("abcd"), min_size=1)  # some answers, for what was asked
    | st.tuples(st.sampled_from(["know", "forget"]), st.sampled_from("abcd")),
    max_size=40,
)


class AnyOrderTests(SynchronousTestCase):
    """Property test; see :func:`tests.core.builders.examples`."""

    @untraced
    @examples(400)
    @given(steps)
    def test_each_lane_keeps_its_order_and_loses_nothing(self, told: list[object]) -> None:
        """Whatever is known, forgotten and answered between; and nothing is asked for twice at a time."""
        run = _Run()
        for step in told:
            run.take(step)
        while run.asked:
            run.answer(set(run.asked))
        self.assertEqual(run.released, run.sent)
        self.assertEqual(len(run.lanes), 0)


class _Run:
    """One sequence: what was sent and what came out, by lane."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.lanes: Lanes[int] = Lanes(self.known.__contains__)
        self.asked: set[str] = set()
        self.sent: dict[Hashable, list[int]] = {1: [], 2: [], 3: []}
        self.released: dict[Hashable, list[int]] = {1: [], 2: [], 3: []}
        self._count = 0

    def take(self, step: object) -> None:
        match step:
            case set():
                self.answer(step & self.asked)
            case ("know", str(task_id)):
                self.known.add(task_id)
            case ("forget", str(task_id)):
                self.known.discard(task_id)
            case (int(lane), (None | str()) as task_id):
                self._send(lane, task_id)

    def _send(self, lane: int, task_id: str | None) -> None:
        self._count += 1
        self.sent[lane].append(self._count)
        if self.lanes.passes(lane, task_id, self._count):
            self.released[lane].append(self._count)
        self._note_questions()

    def answer(self, task_ids: set[str]) -> None:
        self.asked -= task_ids
        for lane, message in self.lanes.answered(task_ids, ()):
            self.released[lane].append(message)
        self._note_questions()

    def _note_questions(self) -> None:
        asked = self.lanes.to_ask()
        assert not self.asked & set(asked), "asked again before the answer"
        self.asked |= set(asked)
