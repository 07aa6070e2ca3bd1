"""The table that the experiment ends with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.table import Table
from rich.text import Text

from makima_relay.sandbox.chaos.figures import STOP_LIMIT, Figures
from makima_relay.sandbox.chaos.kills import KILL_WINDOW, WINDOW_TOLERANCE

_MIB: Final = 1 << 20
#: What it is, how much it is, what it may be: none when anything is well.
_Row = tuple[str, str, bool | None]


def results(figures: Figures) -> Table:
    """The table of all figures; those that must not be are marked."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold underline")
    table.add_column("what", no_wrap=True)
    table.add_column("how much", justify="right", no_wrap=True)
    table.add_column("as it should?", no_wrap=True)
    for rows in (_reports(figures), _tasks(figures), _relay(figures), _faults(figures)):
        for what, much, good in rows:
            table.add_row(what, much, _verdict(good))
        table.add_section()
    return table


def _verdict(good: bool | None) -> Text:
    if good is None:
        return Text("")
    return Text("yes", "green") if good else Text("no", "bold red")


def _none(what: str, count: int) -> _Row:
    """Something that must not be."""
    return what, f"{count:,}", count == 0


def _reports(figures: Figures) -> Iterator[_Row]:
    reports = figures.reports
    window = f"{1000 * KILL_WINDOW:.0f} ms (+ {1000 * WINDOW_TOLERANCE:.0f} ms for measuring)"
    yield "reports sent", f"{reports.sent:,}", None
    yield "reports delivered", f"{reports.delivered:,}", None
    yield "reports duplicated", f"{reports.duplicated:,}", None
    yield _none("reports lost", reports.lost)
    yield f"reports lost within {window} of a SIGKILL", f"{reports.lost_in_window:,}", None
    if reports.lost_in_window:
        yield "  the oldest of them, before it", f"{1000 * reports.oldest_in_window:.0f} ms", None
    yield "reports refused: the task had gone elsewhere", f"{reports.refused:,}", None
    yield _none("reports out of order", reports.reordered)
    yield "reports after their task's end: sent again after a SIGKILL", f"{reports.sent_again:,}", None
    if figures.relays > 1:
        yield "reports after later ones: their daemon had left a relay that was cut off", f"{reports.overtaken:,}", None
        yield "reports that came to another relay's server", f"{reports.elsewhere:,}", None
    yield _none("reports that the relay did not take", reports.unproven)


def _tasks(figures: Figures) -> Iterator[_Row]:
    tasks = figures.tasks
    yield "tasks spawned", f"{tasks.spawned:,}", None
    yield "tasks refused for the time being", f"{tasks.refused:,}", None
    yield "tasks completed", f"{tasks.completed:,}", None
    yield _none("completions lost", tasks.completions_lost)
    yield "tasks failed: their daemon was away too long", f"{tasks.failed - tasks.wrongly_failed:,}", None
    yield _none("tasks wrongly failed", tasks.wrongly_failed)
    yield "tasks run again after a loss", f"{tasks.requeued:,}", None
    if figures.relays > 1:
        yield "runs at a daemon of another relay", f"{tasks.moved:,}", None
    yield _none("tasks that two runs ended toward one server", tasks.ended_twice)
    yield _none("tasks wrongly taken away", tasks.taken_away)
    yield "longest at work twice", f"{tasks.longest_overlap:.2f} s", tasks.longest_overlap <= figures.overlap_limit
    yield "tasks lost within the same of a SIGKILL", f"{tasks.lost_in_window:,}", None
    yield _none("tasks without an end", tasks.unfinished)


def _relay(figures: Figures) -> Iterator[_Row]:
    relay = figures.relay
    yield "relay started", f"{relay.starts:,}", None
    yield _none("relay ended by itself", relay.deaths)
    yield "slowest start", f"{relay.slowest_start:.2f} s", None
    yield "slowest clean stop", f"{relay.slowest_stop:.2f} s", relay.slowest_stop < STOP_LIMIT
    yield _none("bad exit statuses", len(relay.bad_stops))
    yield "largest resident memory", f"{relay.largest_rss / _MIB:.1f} MiB", None
    if relay.memory_slope is not None:
        yield "growth of memory, once warm", f"{relay.memory_slope / _MIB:.2f} MiB/h", None
    yield "largest database with its log", f"{relay.largest_database / _MIB:.1f} MiB", None
    yield "database at the end", f"{relay.final_database / _MIB:.1f} MiB", None
    yield f"damaged databases, of {relay.checks:,} checked", f"{len(relay.damaged):,}", not relay.damaged
    yield _none("reports left in the database", relay.reports_left)


def _faults(figures: Figures) -> Iterator[_Row]:
    for kind, count in figures.faults.items():
        yield f"faults played: {kind}", f"{count:,}", None
