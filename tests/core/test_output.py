"""What tasks have put out lately."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.effects import AnnounceOutput, SaveTask, SendReports
from makima_relay.core.from_daemons import read_report
from makima_relay.core.output import MOST_FINISHED, Outputs, Piece
from makima_relay.core.policy import Policy
from makima_relay.core.tasks import TaskStatus
from tests.core.builders import AT, NOW, RUNNING, examples, relayed, wire
from tests.core.cases import ReportTestCase
from tests.untraced import untraced


def payloads(outputs: Outputs, task_id: str = "t1") -> list[bytes]:
    """What is kept of a task."""
    return [piece.payload for piece in outputs.of(task_id)]


class KeepingTests(SynchronousTestCase):
    """What is kept, and how much of it."""

    def test_reports_are_kept_in_order_with_their_numbers_and_times(self) -> None:
        """The numbers are those of all tasks together."""
        outputs = Outputs(100)
        outputs.add("t1", [b"a", b"b"], 1.0)
        outputs.add("t2", [b"c"], 2.0)
        outputs.add("t1", [b"d"], 3.0)
        self.assertEqual(outputs.of("t1"), [Piece(1, 1.0, b"a"), Piece(2, 1.0, b"b"), Piece(4, 3.0, b"d")])
        self.assertEqual(outputs.of("t2"), [Piece(3, 2.0, b"c")])
        self.assertEqual(outputs.last, 4)
        self.assertEqual(outputs.of("t3"), [])

    def test_not_more_than_the_limit_is_shown(self) -> None:
        """The latest reports that fit, whole."""
        outputs = Outputs(10)
        outputs.add("t1", [b"1" * 4, b"2" * 4, b"3" * 4], 1.0)
        self.assertEqual(payloads(outputs), [b"2222", b"3333"])
        self.assertTrue(outputs.is_cut("t1", 1.0))

    def test_what_fits_exactly_is_not_cut(self) -> None:
        """The limit counts the bytes of reports alone."""
        outputs = Outputs(8)
        outputs.add("t1", [b"1" * 4, b"2" * 4], 1.0)
        self.assertEqual(payloads(outputs), [b"1111", b"2222"])
        self.assertFalse(outputs.is_cut("t1", 1.0))

    def test_a_report_beyond_the_limit_is_not_kept(self) -> None:
        """It would take the room of many."""
        outputs = Outputs(8)
        outputs.add("t1", [b"x" * 1_000], 1.0)
        outputs.add("t1", [b"y"], 2.0)
        self.assertEqual(payloads(outputs), [b"y"])
        self.assertTrue(outputs.is_cut("t1", 1.0))

    def test_of_all_tasks_together_the_memory_is_bounded(self) -> None:
        """Those that have finished go first, then those whose output is oldest."""
        outputs = Outputs(1_000, most_bytes=4_500)
        for task_id in ("t1", "t2", "t3"):
            outputs.add(task_id, [task_id.encode() * 500], 1.0)
        outputs.finished("t2")
        outputs.add("t4", [b"x" * 1_000], 2.0)
        self.assertEqual([each in outputs for each in ("t1", "t2", "t3", "t4")], [True, False, True, True])
        outputs.add("t5", [b"x" * 1_000], 2.0)
        self.assertEqual([each in outputs for each in ("t1", "t3", "t4", "t5")], [False, True, True, True])

    def test_of_finished_tasks_the_latest_are_kept(self) -> None:
        """A task whose output is forgotten says that there may have been some."""
        outputs = Outputs(100, most_finished=2)
        outputs.began(0.0)
        for number, task_id in enumerate(("t1", "t2", "t3"), 1):
            outputs.add(task_id, [b"x"], float(number))
            outputs.finished(task_id)
        self.assertEqual([payloads(outputs, each) for each in ("t1", "t2", "t3")], [[], [b"x"], [b"x"]])
        self.assertTrue(outputs.is_cut("t1", 1.0))
        self.assertFalse(outputs.is_cut("t2", 2.0))

    def test_what_was_before_the_start_is_not_known(self) -> None:
        """A task that had begun has been cut; one that has not, or began later, has put out nothing."""
        outputs = Outputs(100)
        outputs.began(5.0)
        self.assertTrue(outputs.is_cut("t1", 4.0))
        self.assertFalse(outputs.is_cut("t1", 6.0))
        self.assertFalse(outputs.is_cut("t1", None))
        outputs.add("t1", [b"x"], 6.0)
        self.assertTrue(outputs.is_cut("t1", 4.0))

    @untraced
    @given(
        st.lists(
            st.tuples(st.sampled_from("abc"), st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=5))
        ),
        st.integers(1, 20),
    )
    @examples(200)
    def test_the_last_of_each_task_is_kept_whatever_comes(
        self, runs: list[tuple[str, list[bytes]]], limit: int
    ) -> None:
        """As somebody would find it who remembers everything."""
        outputs = Outputs(limit)
        everything: dict[str, list[Piece]] = defaultdict(list)
        number = 0
        for task_id, reports in runs:
            outputs.add(task_id, reports, 0.0)
            for report in reports:
                number += 1
                everything[task_id].append(Piece(number, 0.0, report))
        for task_id, pieces in everything.items():
            fitting = [p for p in pieces if sum(len(q.payload) for q in pieces if q.number >= p.number) <= limit]
            self.assertEqual(outputs.of(task_id), fitting)
            self.assertEqual(outputs.is_cut(task_id, None), sum(len(p.payload) for p in pieces) > limit)


class FollowingTests(SynchronousTestCase):
    """What came after a number."""

    def setUp(self) -> None:
        self.outputs = Outputs(10)

    def test_what_is_new_can_be_had(self) -> None:
        """And nothing is missing."""
        self.outputs.add("t1", [b"a", b"b"], 1.0)
        self.outputs.add("t2", [b"c"], 1.0)
        self.outputs.add("t1", [b"d"], 2.0)
        self.assertEqual(self.outputs.after("t1", 1), ([Piece(2, 1.0, b"b"), Piece(4, 2.0, b"d")], False))
        self.assertEqual(self.outputs.after("t1", 4), ([], False))

    def test_it_says_when_something_is_missing(self) -> None:
        """Of what came after the number, not of what came before it."""
        for _ in range(4):
            self.outputs.add("t1", [b"x" * 6], 1.0)
        self.assertEqual(self.outputs.after("t1", 0)[1], True)
        self.assertEqual(self.outputs.after("t1", 2), ([Piece(3, 1.0, b"x" * 6), Piece(4, 1.0, b"x" * 6)], False))

    def test_whoever_adds_is_told_whether_somebody_follows(self) -> None:
        """By task."""
        self.outputs.followed.add("t1")
        self.assertTrue(self.outputs.add("t1", [b"x"], 1.0))
        self.assertFalse(self.outputs.add("t2", [b"x"], 1.0))

    def test_reports_on_several_tasks_are_told_apart(self) -> None:
        """Those on none are not kept."""
        self.outputs.followed.update(["t2", "t3"])
        runs = [("t1", 1), (None, 2), ("t2", 3), ("t1", 4)]
        followed = self.outputs.add_runs(runs, [b"0", b"1", b"2", b"3", b"4", b"5"], 1.0)
        self.assertEqual(followed, ["t2"])
        self.assertEqual(payloads(self.outputs, "t1"), [b"1", b"4", b"5"])
        self.assertEqual(payloads(self.outputs, "t2"), [b"3"])


class RelayTests(ReportTestCase):
    """What the relay keeps of what daemons report."""

    def start_with_two_tasks(self) -> None:
        """Both are with the first daemon."""
        self.start()
        self.connect_server()
        self.join()
        self.spawn("t1")
        self.spawn("t2")

    def kept(self, task_id: str = "t1") -> list[bytes]:
        """What is kept of a task."""
        return payloads(self.relay.outputs, task_id)

    def test_output_is_kept_from_the_first_report_on(self) -> None:
        """Of whatever type, but for the end of the task."""
        self.start_with_task()
        first, second = wire("taskOutput", taskId="t1", output="1"), wire("task_progress", taskId="t1")
        self.report(1, first)
        self.report(1, second)
        self.report(1, wire("taskComplete", taskId="t1", success=True))
        self.assertEqual(self.kept(), [first, second])
        self.assertEqual(self.relay.outputs.of("t1")[0].at, AT)

    def test_a_burst_on_several_tasks_is_kept(self) -> None:
        """What came in one read is told apart."""
        self.start_with_two_tasks()
        reports = [wire("taskOutput", taskId=f"t{1 + place % 2}", n=place) for place in range(6)]
        for payload in reports[:2]:
            self.report(1, payload)
        decided = self.relay.reports_received(1, [read_report(each) for each in reports[2:]], NOW)
        self.assertEqual([type(effect) for effect in decided], [SendReports])
        self.assertEqual(self.kept("t1"), reports[::2])
        self.assertEqual(self.kept("t2"), reports[1::2])

    def test_whoever_follows_is_told_after_the_server(self) -> None:
        """And only of the task that it follows."""
        self.start_with_two_tasks()
        self.relay.outputs.followed.add("t1")
        payload = wire("taskOutput", taskId="t1")
        self.assertEqual(
            self.report(1, payload),
            [SaveTask(RUNNING, AT, before=TaskStatus.DISPATCHED), *relayed(payload), AnnounceOutput("t1")],
        )
        self.assertEqual(self.report(1, payload), [*relayed(payload, 2), AnnounceOutput("t1")])
        self.assertNotIn(AnnounceOutput("t2"), self.report(1, wire("taskOutput", taskId="t2")))

    def test_a_new_attempt_begins_with_none(self) -> None:
        """What the one before had put out is gone."""
        self.start_with_task()
        self.report(1, wire("taskOutput", taskId="t1"))
        self.report(1, wire("taskComplete", taskId="t1", success=False))
        self.assertEqual(len(self.kept()), 1)
        self.spawn("t1")
        self.assertEqual(self.kept(), [])

    def test_late_output_of_a_finished_task_belongs_to_it(self) -> None:
        """If it had some; else it would never be forgotten."""
        self.start_with_two_tasks()
        self.report(1, wire("taskComplete", taskId="t1", success=True))
        self.report(1, wire("taskOutput", taskId="t1"))
        self.assertEqual(self.kept(), [])
        late = wire("taskOutput", taskId="t2", n=2)
        self.report(1, wire("taskOutput", taskId="t2"))
        self.report(1, wire("taskComplete", taskId="t2", success=True))
        self.report(1, late)
        self.assertEqual(self.kept("t2")[-1], late)

    def test_of_tasks_that_have_finished_the_latest_have_output(self) -> None:
        """Or the first to finish would be as long in memory as the relay runs."""
        self.start_with_two_tasks()
        for number in range(MOST_FINISHED + 1):
            self.spawn(f"x{number}")
            self.report(1, wire("taskOutput", taskId=f"x{number}"))
            self.report(1, wire("taskComplete", taskId=f"x{number}", success=True))
        self.assertEqual([len(self.kept(f"x{number}")) for number in (0, 1, MOST_FINISHED)], [0, 1, 1])

    def test_another_daemons_task_is_not_written_to(self) -> None:
        """Its report is refused."""
        self.start_with_task()
        self.join("m2")
        self.report(2, wire("taskOutput", taskId="t1"))
        self.assertEqual(self.kept(), [])

    def test_nothing_is_kept_if_nothing_is_to_be(self) -> None:
        """``--keep-output 0``."""
        self.start_with_task(Policy(keep_output=0))
        for _ in range(2):
            self.report(1, wire("taskOutput", taskId="t1"))
        self.assertNotIn("t1", self.relay.outputs)
