"""Questions to the store: tasks by id, and pages of the history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from makima_relay.core.tasks import TaskStatus
from makima_relay.store import reader
from makima_relay.store.filters import Filter
from tests.store.case import StoreTestCase, finished, make_task, save, save_daemon
from tests.untraced import untraced


class RecallTests(StoreTestCase):
    """Tasks by id."""

    def test_only_what_is_stored_is_found(self) -> None:
        """Unknown ids are left out."""
        tasks = [make_task(1), finished(make_task(2)), make_task(3)]
        self.write(*map(save, tasks))
        self.assertEqual(self.read(reader.read_tasks, ["t3", "nobody", "t2"]), [tasks[1], tasks[2]])
        self.assertEqual(self.read(reader.read_tasks, []), [])

    def test_more_ids_than_sqlite_takes_parameters_are_asked_for(self) -> None:
        """A daemon may report on very many tasks at once."""
        self.write(*[save(make_task(key)) for key in range(1, 1202)])
        wanted = [f"t{key}" for key in range(1, 40_000)]
        self.assertEqual(len(self.read(reader.read_tasks, wanted)), 1201)

    def test_ids_are_told_in_slices(self) -> None:
        """In their order, above the last that was told, whatever the tasks' statuses."""
        self.write(save(make_task(1, "b")), save(finished(make_task(2, "ä"))), save(make_task(3, "a")))
        self.assertEqual(self.read(reader.read_task_ids, "", 2), ["a", "b"])
        self.assertEqual(self.read(reader.read_task_ids, "b", 2), ["ä"])
        self.assertEqual(self.read(reader.read_task_ids, "ä", 2), [])

    def test_one_task_comes_with_the_name_of_its_daemon(self) -> None:
        """If that is known."""
        self.write(save_daemon(1, "build-7"), save(finished(make_task(1))), save(make_task(2)))
        for task_id, hostname in (("t1", "build-7"), ("t2", None)):
            found = self.read(reader.read_task, task_id)
            assert found is not None
            self.assertEqual((found[0].task.task_id, found[0].hostname), (task_id, hostname))
        self.assertIs(self.read(reader.read_task, "nobody"), None)


class PageTests(StoreTestCase):
    """Pages of the history."""

    def setUp(self) -> None:
        """Have ten tasks: two daemons, several statuses, awkward names."""
        super().setUp()
        self.write(save_daemon(1, "one"), save_daemon(2, "two"), save_daemon(3, "one"))
        names = ["100%", "100x", "a_b", "axb", r"back\slash", "Deploy", "deploy again", None, "ümlaut", "last"]
        for key, name in enumerate(names, 1):
            task = make_task(key, f"id-{key}", name=name)
            if key % 3:
                task = finished(task, error="x" if key == 2 else None)
                task = task if key % 3 == 1 else make_task(key, f"id-{key}", name=name).dispatched("d2", 1.0)
            self.write(save(task))

    def page(self, limit: int = 50, offset: int = 0, **wanted: Any) -> tuple[list[int], int]:
        """The keys of the tasks of a page, and the total."""
        rows, total = self.read(reader.read_page, Filter(**wanted), limit, offset)
        return [row.task.key for row in rows], total

    def test_the_newest_come_first(self) -> None:
        """By arrival."""
        self.assertEqual(self.page(), ([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], 10))

    def test_a_new_attempt_comes_anew(self) -> None:
        """A task that the server asked for again is new again."""
        again = finished(make_task(4)).asked_again(11, "again", 1.0)
        self.write(save(again, before=TaskStatus.COMPLETED))
        self.assertEqual(self.page(limit=2), ([4, 10], 10))

    def test_offsets_leave_out_the_newest(self) -> None:
        """Beyond the end there is nothing, and the total is still told."""
        self.assertEqual(self.page(limit=3, offset=2), ([8, 7, 6], 10))
        self.assertEqual(self.page(limit=3, offset=9), ([1], 10))
        self.assertEqual(self.page(limit=3, offset=10), ([], 10))
        self.assertEqual(self.page(limit=3, offset=2**63 - 1), ([], 10))

    def test_every_page_is_a_piece_of_the_whole(self) -> None:
        """From whichever end it is looked for, and however it is filtered."""
        for wanted in (Filter(), Filter(status=TaskStatus.COMPLETED), Filter(daemon="two"), Filter(text="deploy")):
            whole, total = self.read(reader.read_page, wanted, 50, 0)
            self.assertEqual(len(whole), total)
            for offset in range(total + 1):
                for limit in range(1, total + 2):
                    page = self.read(reader.read_page, wanted, limit, offset)
                    self.assertEqual(page, (whole[offset : offset + limit], total), (wanted, limit, offset))

    def test_a_status_is_picked_out(self) -> None:
        """With its own total."""
        self.assertEqual(self.page(status=TaskStatus.PENDING), ([9, 6, 3], 3))
        self.assertEqual(self.page(status=TaskStatus.COMPLETED, limit=2, offset=1), ([7, 4], 4))
        self.assertEqual(self.page(status=TaskStatus.CANCELLED), ([], 0))

    def test_a_daemon_is_picked_out_by_id_or_hostname(self) -> None:
        """Several daemons may have one hostname."""
        self.assertEqual(self.page(daemon="d1"), ([10, 7, 4, 1], 4))
        self.assertEqual(self.page(daemon="two"), ([8, 5, 2], 3))
        self.write(save(make_task(11).dispatched("d3", 1.0)))
        self.assertEqual(self.page(daemon="one"), ([11, 10, 7, 4, 1], 5))
        self.assertEqual(self.page(daemon="nobody"), ([], 0))

    def test_text_is_found_in_name_and_id(self) -> None:
        """As a part of either, in any case."""
        self.assertEqual(self.page(text="deploy"), ([7, 6], 2))
        self.assertEqual(self.page(text="ID-1"), ([10, 1], 2))
        self.assertEqual(self.page(text="ümlaut"), ([9], 1))

    def test_wildcards_of_sql_are_plain_text(self) -> None:
        """``%``, ``_`` and the backslash mean themselves."""
        self.assertEqual(self.page(text="0%"), ([1], 1))
        self.assertEqual(self.page(text="a_b"), ([3], 1))
        self.assertEqual(self.page(text="k\\s"), ([5], 1))
        self.assertEqual(self.page(text="%"), ([1], 1))
        self.assertEqual(self.page(text="' OR 1 --"), ([], 0))

    def test_filters_narrow_each_other(self) -> None:
        """All that are given must fit."""
        self.assertEqual(self.page(daemon="d1", status=TaskStatus.COMPLETED, text="last"), ([10], 1))
        self.assertEqual(self.page(daemon="d1", status=TaskStatus.PENDING), ([], 0))
        self.assertEqual(self.page(daemon="two", text="e", limit=1), ([], 0))

    def test_rows_have_the_names_of_their_daemons(self) -> None:
        """None where there is no daemon."""
        rows, _ = self.read(reader.read_page, Filter(), 3, 0)
        self.assertEqual([row.hostname for row in rows], ["one", None, "two"])


class CostTests(StoreTestCase):
    """What a page costs, in steps of SQLite's virtual machine: they do not depend on the machine."""

    def steps(self, wanted: Filter, offset: int = 0) -> int:
        """How many steps reading a page of 50 takes."""
        counted: list[None] = []
        self.connection.set_progress_handler(lambda: counted.append(None), 1)
        rows, _ = self.read(reader.read_page, wanted, 50, offset)
        self.connection.set_progress_handler(None, 0)
        self.assertEqual(len(rows), 50)
        return len(counted)

    def fill(self, keys: Sequence[int]) -> None:
        """Add finished tasks to the history."""
        self.write(*[save(finished(make_task(key))) for key in keys])

    @untraced
    def test_the_first_page_of_a_long_history_costs_what_that_of_a_short_one_does(self) -> None:
        """Five hundred times as many tasks make less than a tenth of difference, also with a status picked out."""
        wanted = [Filter(), Filter(status=TaskStatus.COMPLETED)]
        self.write(save_daemon(1, "one"))
        self.fill(range(1, 101))
        short = [self.steps(each) for each in wanted]
        self.fill(range(101, 50_001))
        for before, after in zip(short, [self.steps(each) for each in wanted], strict=True):
            self.assertLess(abs(after - before), before / 10)

    def test_a_late_page_skips_over_an_index_alone(self) -> None:
        """Rows that are left out cost a few steps each, not a reading of the row."""
        self.fill(range(1, 10_051))
        self.assertLess(self.steps(Filter(), 5_000) - self.steps(Filter()), 5_000 * 4)

    def test_the_last_page_costs_what_the_first_does(self) -> None:
        """It is looked for from its own end."""
        self.fill(range(1, 10_051))
        self.assertLess(self.steps(Filter(), 10_000), self.steps(Filter()) * 1.5)
