"""Searching by text finds the same whether texts are kept side by side or not, and whatever happened to the tasks."""

from __future__ import annotations

import string
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.members import LONGEST_TEXT
from makima_relay.core.tasks import TaskStatus
from makima_relay.store import reader, tasks_writer, texts
from makima_relay.store.filters import Filter, condition
from makima_relay.store.search import Counts
from makima_relay.store.texts import STRETCH
from tests.store.case import StoreTestCase, finished, make_task, save
from tests.untraced import untraced

#: Letters with and without another case in ASCII and beyond, what LIKE and SQL take for special, and what UTF-8 looks
#: like from inside.
TEXTS = st.text(st.sampled_from("aAbBäÄéKk%_\\'\0\n😀"), max_size=6)
NEEDLES = TEXTS.map(lambda text: text.replace("\0", "")).filter(bool)
#: Some at the borders of stretches, and a stretch that has none.
POSITIONS = st.sampled_from(
    [place + stretch * STRETCH for stretch in (0, 1, 3, 4) for place in (1, 2, 77, STRETCH - 2, STRETCH - 1, STRETCH)]
)
FILTERS = st.builds(
    Filter,
    text=NEEDLES,
    status=st.sampled_from([None, None, TaskStatus.PENDING, TaskStatus.COMPLETED]),
    daemon=st.sampled_from([None, None, "d1"]),
)


class SearchTestCase(StoreTestCase):
    """Has tasks, and texts of them."""

    def keep_texts(self) -> int:
        """Keep all texts that can be kept.

        :return: in how many slices.
        """
        slices, number = 0, 0
        while (following := self.read(texts.keep_texts, number)) is not None:
            slices, number = slices + 1, following
        return slices

    def kept(self) -> list[int]:
        """The stretches whose texts are kept."""
        return [row[0] for row in self.connection.execute("SELECT number FROM task_texts ORDER BY number")]

    def add(self, position: int, name: str | None = None, *, ended: bool = True) -> None:
        """Add a task."""
        task = make_task(position, name=name)
        self.write(save(finished(task) if ended else task))

    def found(self, text: str) -> list[int]:
        """The keys of the tasks that a search finds."""
        rows, total = self.read(reader.read_page, Filter(text=text), 500, 0)
        self.assertEqual(len(rows), total)
        return [row.task.key for row in rows]


class AnyTests(SearchTestCase):
    """With any tasks, in any state of the texts."""

    def expected(self, wanted: Filter) -> list[int]:
        """The positions that a plain scan finds, newest first."""
        where, values = condition(wanted)
        rows = self.connection.execute(f"SELECT position FROM tasks WHERE {where} ORDER BY position DESC", values)
        return [row[0] for row in rows]

    @untraced
    @settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
    @given(
        st.dictionaries(POSITIONS, st.tuples(st.none() | TEXTS, TEXTS, st.booleans()), max_size=12),
        st.lists(st.tuples(st.sampled_from(["remove", "rename", "renew"]), st.integers(0, 99)), max_size=3),
        FILTERS,
        st.tuples(st.integers(1, 5), st.integers(0, 8)),
    )
    @example({2: ("a", "b", True), 9_000: ("c", "d", True)}, [("renew", 0)], Filter(text="a"), (5, 0))
    def test_what_is_found_is_what_a_scan_finds(
        self,
        tasks: dict[int, tuple[str | None, str, bool]],
        changes: list[tuple[str, int]],
        wanted: Filter,
        page: tuple[int, int],
    ) -> None:
        """After removals, renamings and new attempts too, and whether the texts are kept anew or not."""
        self.connection.execute("BEGIN")
        self.counts = Counts()
        try:
            for position, (name, task_id, ended) in tasks.items():
                task = make_task(position, f"{task_id}{position}", name=name)
                self.write_one(finished(task) if ended else task)
            self.keep_texts()
            for change, which in changes:
                self.change(change, which)
                self.check(wanted, *page)
            for _ in range(2):
                self.keep_texts()
                self.check(wanted, *page)
        finally:
            self.connection.rollback()

    def write_one(self, task: Any) -> None:
        """Add a task in the transaction that there is."""
        tasks_writer.write_tasks(self.connection.cursor(), [save(task)])

    def change(self, change: str, which: int) -> None:
        """Do something to one of the tasks."""
        keys = [row[0] for row in self.connection.execute("SELECT key FROM tasks ORDER BY key")]
        if not keys:
            return
        key = keys[which % len(keys)]
        query = {
            "remove": "DELETE FROM tasks WHERE key = ?",
            "rename": "UPDATE tasks SET name = 'Äa' || coalesce(name, '') WHERE key = ?",
            "renew": "UPDATE tasks SET position = (SELECT 1 + max(position) FROM tasks) WHERE key = ?",
        }
        self.connection.execute(query[change], [key])

    def check(self, wanted: Filter, limit: int, offset: int) -> None:
        """Compare a page with what a scan finds."""
        rows, total = self.read(reader.read_page, wanted, limit, offset, self.counts)
        everything = self.expected(wanted)
        self.assertEqual([row.task.position for row in rows], everything[offset : offset + limit])
        self.assertEqual(total, len(everything))

    @given(st.text(max_size=4), st.text(min_size=1, max_size=2))
    def test_folding_is_that_of_like(self, text: str, needle: str) -> None:
        """A to Z are as a to z, and nothing else is as anything else."""
        # SQLite takes these two for U+FFFD.
        if set(needle + text) & set("\0\ufffe\uffff\ufffd"):
            return
        escaped = "".join(f"\\{each}" for each in needle)
        is_like = self.connection.execute("SELECT ? LIKE ? ESCAPE '\\'", [text, f"%{escaped}%"]).fetchone()[0]
        self.assertEqual(texts.fold(needle) in texts.fold(text), bool(is_like))


class CountTests(SearchTestCase):
    """How many tasks of a stretch have a text, by either way of counting."""

    def test_each_task_counts_once(self) -> None:
        """However often it has the text, and wherever; holes never do."""
        for tasks in (3, STRETCH - 10):
            cursor = self.connection.cursor()
            batch = [make_task(key, f"aa-{key}", name="aaa-b AAA") for key in range(1, tasks + 1)]
            batch += [make_task(STRETCH - 1, "last", name="-"), make_task(STRETCH + 1, "x", name=None)]
            tasks_writer.write_tasks(cursor, [save(each) for each in batch])
            self.keep_texts()
            for text, total in (("a", tasks + 1), ("aa", tasks), ("A-B", tasks), ("-", tasks + 1), ("aa-1", None)):
                found = self.read(reader.read_page, Filter(text=text), 1, 0)[1]
                expected = total or sum(f"aa-{key}".startswith("aa-1") for key in range(1, tasks + 1))
                self.assertEqual(found, expected, (text, tasks))
            self.connection.rollback()

    def test_nothing_is_found_across_texts(self) -> None:
        """Neither in a name and an id together, nor in two tasks."""
        self.write(save(make_task(1, "cd", name="ab")), save(make_task(2, "gh", name="ef")), save(make_task(STRETCH)))
        self.keep_texts()
        self.assertEqual(self.kept(), [0])
        for text in ("bc", "de", "abcd", "cdef"):
            self.assertEqual(self.found(text), [], text)


class KeepingTests(SearchTestCase):
    """Which texts are kept, and for how long."""

    def test_full_stretches_that_have_tasks_are_kept_one_in_a_slice(self) -> None:
        """Not that of the newest, which still grows; where there are no tasks nothing is kept."""
        for position in (1, STRETCH - 1, 5 * STRETCH, 1_000_000 * STRETCH, 1_000_001 * STRETCH):
            self.add(position)
        self.assertEqual(self.keep_texts(), 3)
        self.assertEqual(self.kept(), [0, 5, 1_000_000])
        self.assertEqual(self.keep_texts(), 0)

    def test_texts_that_are_too_long_are_not_kept_and_the_tasks_are_searched(self) -> None:
        """Nor are they looked at again in each round."""
        self.write(*(save(make_task(position, name="x" * LONGEST_TEXT)) for position in range(1, 514)))
        for position in (STRETCH, 2 * STRETCH, 3 * STRETCH):
            self.add(position, "short x")
        self.assertEqual(self.keep_texts(), 3)
        sizes = self.connection.execute("SELECT length(texts) FROM task_texts ORDER BY number").fetchall()
        self.assertEqual([size > 0 for (size,) in sizes], [False, True, True])
        self.assertEqual(self.keep_texts(), 0)
        for wanted in (Filter(text="X"), Filter(text="X", daemon="d1"), Filter(text="X", status=TaskStatus.PENDING)):
            rows, total = self.read(reader.read_page, wanted, 4, 1)
            where, values = condition(wanted)
            query = f"SELECT position FROM tasks WHERE {where} ORDER BY position DESC"
            expected = [row[0] for row in self.connection.execute(query, values)]
            self.assertEqual((total, [row.task.position for row in rows]), (len(expected), expected[1:5]))

    def test_of_an_empty_history_nothing_is_kept(self) -> None:
        """There is nothing yet."""
        self.assertEqual(self.keep_texts(), 0)

    def test_the_usual_way_of_a_task_throws_nothing_away(self) -> None:
        """It may end long after its texts were kept."""
        task = make_task(1).dispatched("d1", 1.0)
        self.write(save(task))
        self.add(STRETCH)
        self.keep_texts()
        ran = task.running("d1", 2.0)
        self.write(save(ran, before=TaskStatus.DISPATCHED))
        self.write(save(ran.ended(TaskStatus.COMPLETED, 3.0, None), before=TaskStatus.RUNNING))
        self.assertEqual(self.kept(), [0])

    def test_a_new_attempt_is_found_where_it_is_now(self) -> None:
        """Under its new name."""
        self.add(1, "old name")
        self.add(STRETCH, "other")
        self.keep_texts()
        again = finished(make_task(1)).asked_again(STRETCH + 1, "new name", 1.0)
        self.write(save(again, before=TaskStatus.COMPLETED))
        for _ in range(2):
            self.assertEqual((self.found("old name"), self.found("new name")), ([], [1]))
            self.assertEqual(self.found(string.ascii_lowercase[4]), [1, STRETCH])
            self.keep_texts()

    def test_pruned_tasks_are_not_found(self) -> None:
        """Whether their stretch was kept anew or not."""
        for position in (1, 2, STRETCH):
            self.add(position, "same")
        self.keep_texts()
        self.write(save(finished(make_task(3, name="same"))))
        self.read(tasks_writer.prune, 1e9, 1)
        for _ in range(2):
            self.assertEqual(self.found("same"), [STRETCH, 3, 2])
            self.keep_texts()

    def test_positions_that_are_given_anew_are_searched(self) -> None:
        """When the newest tasks were pruned and the relay starts again, new ones come behind those that are left."""
        for position in (1, STRETCH, 3 * STRETCH):
            self.add(position, "same", ended=position != 1)
        self.keep_texts()
        with self.connection:
            self.read(tasks_writer.prune, 1e9, 1_000)
        self.assertEqual(self.reopen().next_key, 2)
        self.add(2, "same")
        self.assertEqual(self.found("same"), [2, 1])


class CountsTests(SynchronousTestCase):
    """What searches counted."""

    def test_the_text_that_was_not_searched_for_the_longest_is_forgotten(self) -> None:
        """Only a few are remembered."""
        counts = Counts()
        for number in [*range(8), 0, 8]:
            counts.remember(b"%d" % number, {1: number})
        remembered = [number for number in range(10) if counts.of(b"%d" % number) == {1: number}]
        self.assertEqual(remembered, [0, 2, 3, 4, 5, 6, 7, 8])


class SearchCostTests(SearchTestCase):
    """What a search costs, in steps of SQLite's virtual machine."""

    def test_texts_that_are_kept_are_searched_without_a_look_at_the_tasks(self) -> None:
        """But for those of the page; who looks again costs less."""
        batch = [make_task(key, name="rare" if key == 5 else "often") for key in range(1, 10 * STRETCH + 1)]
        self.write(*map(save, batch))
        self.keep_texts()
        counts, counted = Counts(), []
        self.connection.set_progress_handler(lambda: counted.append(len(counted)), 1)
        for most in (1_000, 300):
            counted.clear()
            rows, total = self.read(reader.read_page, Filter(text="rare"), 500, 0, counts)
            self.assertEqual(([row.task.key for row in rows], total), ([5], 1))
            self.assertLess(len(counted), most)
