"""What the chaos experiment shows: while it runs, at its end, as a drawing; and what it thinks of its figures."""

from __future__ import annotations

import io
import re
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import attrs
from rich.console import Console
from twisted.logger import Logger, LogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.sandbox import SandboxError
from makima_relay.sandbox.chaos.errors import Errors
from makima_relay.sandbox.chaos.figures import Figures, RelayFigures, ReportFigures, TaskFigures
from makima_relay.sandbox.chaos.gauges import Gauges, Reading, slope
from makima_relay.sandbox.chaos.plot import check_plotting, draw
from makima_relay.sandbox.chaos.screen import LiveScreen, Moment, PlainScreen, screen_of
from makima_relay.sandbox.chaos.table import results


def figures(**changes: Any) -> Figures:
    """Figures with which all is as it should be."""
    made = Figures(
        seed=1,
        seconds=60.0,
        overlap_limit=1.5,
        faults={"cut": 3, "kill": 2},
        reports=ReportFigures(sent=12_345, delivered=12_340, lost_in_window=5, oldest_in_window=0.048),
        tasks=TaskFigures(spawned=100, completed=100),
        relay=RelayFigures(starts=3, checks=3, largest_rss=70 << 20),
    )
    for path, value in changes.items():
        part, _, name = path.partition("_")
        setattr(getattr(made, part), name, value)
    return made


def moment(**changes: Any) -> Moment:
    """How it stands in the midst."""
    usual = Moment(elapsed=12.34, seconds=60.0, sent=2_000, delivered=1_900, tasks=7, relays=[True], faults="")
    return attrs.evolve(usual, **changes)


class FiguresTests(SynchronousTestCase):
    """What must not be."""

    def test_figures_that_are_as_they_should_be(self) -> None:
        """What a SIGKILL may take, duplicates, what is refused or run again: all that may be."""
        allowed = figures(reports_duplicated=9, reports_refused=9, reports_sent_again=9, tasks_failed=9)
        self.assertEqual(allowed.faults_found(), [])

    def test_whatever_must_not_be_is_told(self) -> None:
        """In a few words, with how much."""
        for change, words in (
            ({"reports_lost": 1_234}, "reports lost: 1,234"),
            ({"reports_reordered": 1}, "reports out of order: 1"),
            ({"reports_unproven": 1}, "reports that the relay did not take: 1"),
            ({"tasks_completions_lost": 1}, "completions lost: 1"),
            ({"tasks_wrongly_failed": 1}, "tasks wrongly failed: 1"),
            ({"tasks_taken_away": 1}, "tasks wrongly taken away: 1"),
            ({"tasks_ended_twice": 1}, "tasks that two runs ended: 1"),
            ({"tasks_unfinished": 1}, "tasks without an end: 1"),
            ({"tasks_longest_overlap": 1.6}, "a task was at work twice for 1.6 s"),
            ({"relay_deaths": 1}, "relay ended by itself: 1"),
            ({"relay_bad_stops": [1, None]}, "bad exit statuses: 2"),
            ({"relay_damaged": ["row 1 missing"]}, "damaged databases: 1"),
            ({"relay_reports_left": 1}, "reports left in the database: 1"),
            ({"relay_slowest_stop": 5.0}, "a clean stop took 5.0 s"),
        ):
            self.assertEqual(figures(**change).faults_found(), [words])
        failed = figures()
        failed.errors = 2
        self.assertEqual(failed.faults_found(), ["errors of the experiment itself: 2"])


class TableTests(SynchronousTestCase):
    """The table at the end."""

    def table(self, **changes: Any) -> str:
        """The table as text."""
        console = Console(file=io.StringIO(), width=160)
        console.print(results(figures(**changes)))
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    def test_it_shows_all_figures(self) -> None:
        """And which of them are as they should be."""
        table = self.table()
        for line in (
            r"reports sent +12,345",
            r"reports lost +0 +yes",
            r"reports lost within 100 ms \(\+ 50 ms for measuring\) of a SIGKILL +5",
            r"  the oldest of them, before it +48 ms",
            r"tasks completed +100",
            r"largest resident memory +70\.0 MiB",
            r"damaged databases, of 3 checked +0 +yes",
            r"faults played: kill +2",
        ):
            self.assertRegex(table, rf"(?m)^{line} *$")
        self.assertNotRegex(table, r" no *\n")

    def test_what_only_several_relays_can_have_is_shown_for_them(self) -> None:
        """For one it would be noise."""
        for relays in (1, 3):
            console = Console(file=io.StringIO(), width=160)
            console.print(results(attrs.evolve(figures(tasks_moved=7, reports_elsewhere=8), relays=relays)))
            shown = console.file.getvalue()  # type: ignore[attr-defined]
            for line in (r"runs at a daemon of another relay +7", r"reports that came to another relay's server +8"):
                self.assertIs(bool(re.search(line, shown)), relays > 1)

    def test_the_figures_of_relays_are_put_together(self) -> None:
        """Counts are sums, the rest is the worst."""
        all_of_them = RelayFigures(starts=2, slowest_stop=1.0, bad_stops=[1], largest_rss=5)
        all_of_them.add(RelayFigures(starts=3, slowest_stop=2.0, bad_stops=[2], largest_rss=4))
        self.assertEqual(all_of_them, RelayFigures(starts=5, slowest_stop=2.0, bad_stops=[1, 2], largest_rss=5))

    def test_what_must_not_be_is_marked(self) -> None:
        """Each line of it."""
        table = self.table(reports_lost=2, tasks_longest_overlap=9.0, relay_slowest_stop=6.0)
        self.assertRegex(table, r"(?m)^reports lost +2 +no *$")
        self.assertRegex(table, r"(?m)^longest at work twice +9\.00 s +no *$")
        self.assertRegex(table, r"(?m)^slowest clean stop +6\.00 s +no *$")


class ScreenTests(SynchronousTestCase):
    """While it runs."""

    def test_plain_lines_come_now_and_then(self) -> None:
        """With all that matters."""
        lines: list[str] = []
        screen = PlainScreen(lines.append)
        for elapsed in (9.9, 10.1, 15.0, 20.0, 20.2):
            screen.show(moment(elapsed=elapsed))
        screen.show(moment(elapsed=31.0, relays=[False], faults="kill for 2.0 s"))
        screen.close()
        counts = "reports: 2,000 sent, 1,900 delivered, 100 under way or refused  tasks: 7 done"
        self.assertEqual(
            lines,
            [
                f"  10.1 s  {counts}  relay: up",
                f"  20.2 s  {counts}  relay: up",
                f"  31.0 s  {counts}  relay: down  kill for 2.0 s",
            ],
        )

    def test_a_terminal_shows_one_line_with_a_bar(self) -> None:
        """Drawn again each time, and gone at the end."""
        file = io.StringIO()
        console = Console(file=file, force_terminal=True, width=160, _environ={"TERM": "xterm"})
        screen = screen_of(console)
        self.assertIsInstance(screen, LiveScreen)
        screen.show(moment())
        screen.show(moment(sent=2_001, faults="stall for 1.0 s"))
        screen.close()
        self.assertIn("2,001 sent", file.getvalue())
        self.assertIn("stall for 1.0 s", file.getvalue())
        self.assertIn("━", file.getvalue())

    def test_anything_else_gets_plain_lines(self) -> None:
        """Pipes, files, dumb terminals."""
        file = io.StringIO()
        screen = screen_of(Console(file=file, width=160))
        screen.show(moment())
        self.assertRegex(file.getvalue(), r"^  12\.3 s  reports: [^\n]*\n$")


class StillRelay:
    """A relay whose memory and database have a size that a test says."""

    def __init__(self) -> None:
        self.figures = RelayFigures()
        self.rss: int | None = 5
        self.size = 7

    def resident_memory(self) -> int | None:
        """What the test says."""
        return self.rss

    def size_of_database(self) -> int:
        """What the test says."""
        return self.size


class GaugesTests(SynchronousTestCase):
    """Memory and database over time."""

    def test_they_are_read_once_a_second_and_the_largest_is_kept(self) -> None:
        """Also while the relay is away."""
        relay: Any = StillRelay()
        gauges = Gauges(relay)
        gauges.read(0.0)
        gauges.read(0.9)
        relay.rss, relay.size = None, 9
        gauges.read(1.0)
        relay.rss, relay.size = 4, 2
        gauges.read(2.0)
        self.assertEqual(gauges.readings, [Reading(0.0, 5, 7), Reading(1.0, None, 9), Reading(2.0, 4, 2)])
        self.assertEqual((relay.figures.largest_rss, relay.figures.largest_database), (5, 9))

    def test_growth_is_told_of_a_relay_that_was_never_away(self) -> None:
        """Once it is warm; too few readings say nothing."""
        warming = [Reading(float(at), 1000 * at, 0) for at in range(100)]
        warm = [Reading(100.0 + at, 100_000 + 2 * at, 0) for at in range(300)]
        self.assertAlmostEqual(slope(warming + warm) or 0.0, 2 * 3600.0)
        self.assertIsNone(slope(warming))
        away = Reading(250.5, None, 0)
        self.assertIsNone(slope([*warming, *warm[:150], away, *warm[150:]]))


class PlotTests(SynchronousTestCase):
    """The drawing."""

    def setUp(self) -> None:
        """Have somewhere to put it."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name) / "plot.svg"

    def test_it_draws_both_lines(self) -> None:
        """With few points, however long it took."""
        check_plotting()
        draw([Reading(float(at), (50 + at % 7) << 20, 1 << 20) for at in range(10_000)], "a title", self.path)
        text = self.path.read_text()
        ElementTree.fromstring(text)
        for word in ("a title", "resident memory", "database and its log", "MiB"):
            self.assertIn(word, text)
        self.assertLess(len(text), 1_000_000)

    def test_a_time_without_a_relay_is_no_point(self) -> None:
        """There is no memory then."""
        draw([Reading(0.0, None, 0), Reading(1.0, 1 << 20, 0)], "t", self.path)
        self.assertTrue(self.path.exists())

    def test_a_file_that_cannot_be_written_is_one_line(self) -> None:
        """With the reason."""
        with self.assertRaisesRegex(SandboxError, "^--plot .*: No such file or directory$"):
            draw([Reading(0.0, 1, 1)], "t", self.path / "x")

    def test_without_pygal_it_says_how_to_get_it(self) -> None:
        """Before anything is started."""
        hidden = dict.fromkeys([name for name in sys.modules if name.partition(".")[0] == "pygal"] + ["pygal"])
        before = {name: sys.modules.get(name) for name in hidden}
        self.addCleanup(sys.modules.update, {name: module for name, module in before.items() if module is not None})
        self.addCleanup(sys.modules.pop, "pygal", None)
        sys.modules.update(hidden)  # type: ignore[arg-type]
        with self.assertRaisesRegex(SandboxError, r"pip install 'makima-relay\[plots\]'"):
            check_plotting()


class ErrorsTests(SynchronousTestCase):
    """What goes wrong in the experiment itself."""

    def test_errors_are_counted_and_told(self) -> None:
        """Other events are not."""
        notes: list[str] = []
        errors = Errors(notes.append)
        log = Logger(observer=LogPublisher(errors))
        log.info("all is well")
        log.error("somewhat bad")
        log.failure("very bad", Failure(KeyError("key")))
        self.assertEqual(errors.count, 1)
        self.assertIn("very bad", notes[0])
        self.assertIn("KeyError", notes[0])
