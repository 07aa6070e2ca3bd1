"""What is on the screen of ``makima-relay top``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import attrs
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from makima_relay.cli.daemons import shown_state
from makima_relay.cli.logs import cells as log_cells
from makima_relay.cli.showing import ago, duration, shown, size
from makima_relay.cli.status import server_line
from makima_relay.cli.tasks import reason, shown_status

_BAR: Final = 12
#: What is at work stands above what has ended.
_ENDED: Final = frozenset({"completed", "failed", "cancelled"})


@attrs.frozen
class View:
    """What was seen last.

    :ivar at: when.
    :ivar finished_a_second: how many tasks finished a second, between the last two looks.
    :ivar reports_a_second: how many reports came then.
    :ivar trouble: why the relay cannot be asked, if so.
    """

    at: datetime | None = None
    status: Any = None
    daemons: Sequence[Any] = ()
    tasks: Sequence[Any] = ()
    logs: Sequence[Any] = ()
    finished_a_second: float = 0.0
    reports_a_second: float = 0.0
    trouble: str | None = None

    def followed_by(
        self,
        status: Any,
        daemons: Sequence[Any],
        tasks: Sequence[Any],
        logs: Sequence[Any],
        at: datetime | None = None,
    ) -> View:
        """What is seen now."""
        at = at or datetime.now(UTC)
        return View(
            at,
            status,
            daemons,
            tasks,
            logs,
            self._speed(status, "totalTasksProcessed", at),
            self._speed(status, "totalReports", at),
        )

    def _speed(self, status: Any, member: str, at: datetime) -> float:
        """How much a count has grown a second; one that a relay of an older version does not tell stays where it is."""
        if self.at is None or at <= self.at:
            return 0.0
        more = status.get(member, 0) - self.status.get(member, 0)
        return max(0.0, float(more) / (at - self.at).total_seconds())

    def without_relay(self, trouble: str) -> View:
        """The same, since the relay does not answer."""
        return attrs.evolve(self, trouble=trouble)


def draw(view: View, width: int, height: int) -> RenderableType:
    """Draw the screen.

    :param width: its columns.
    :param height: its lines.
    """
    head = _head(view)
    room = max(0, height - len(head) - 6)
    logs = min(len(view.logs), max(1, room // 4))
    daemons = min(len(view.daemons), max(1, (room - logs) // 2))
    tasks = max(0, room - logs - daemons)
    now = view.at or datetime.now(UTC)
    parts: list[RenderableType] = [
        *head,
        Text(""),
        _daemons(view.daemons, daemons, width),
        Text(""),
        _tasks(view.tasks, tasks, width),
        Text(""),
        *(_event(entry, now) for entry in view.logs[:logs]),
    ]
    return Group(*parts)


def _line(cells: Sequence[Text]) -> Text:
    line = Text("  ").join(cells)
    line.no_wrap = True
    line.overflow = "ellipsis"
    return line


def _event(entry: Any, now: datetime) -> Text:
    """An event in one line, of which the end may be cut off: how long ago leaves most room."""
    return _line([Text(f"{ago(entry['timestamp'], now):<10}", "dim"), *log_cells(entry)[1:]])


def _head(view: View) -> list[Text]:
    status, now = view.status, view.at or datetime.now(UTC)
    held = status["upstream"].get("outboxBytes") or {"memory": 0, "disk": 0}
    slots = sum(each["maxConcurrentTasks"] for each in view.daemons)
    used = sum(each["activeTasks"] for each in view.daemons)
    title = shown(status["agentName"], "bold")
    title.append(f" {status['version']}, up for {duration(status['uptimeSeconds'])}", "")
    lines = [
        _line([title, Text("q quits", "dim")]),
        _line([Text("server "), server_line(status, now)]),
        _line(
            [
                Text(f"tasks   {status['activeTasks']} active"),
                Text(f"{status['pendingTasks']} pending", "yellow" if status["pendingTasks"] else ""),
                Text(f"{status['totalTasksProcessed']} finished, {view.finished_a_second:.1f} a second"),
            ]
        ),
        _line(
            [
                Text(f"daemons {status['connectedDaemons']} connected"),
                Text(f"{used} of {slots} slots used"),
                Text(f"{view.reports_a_second:.1f} reports a second"),
                Text(f"outbox {status['upstream']['outbox']} reports, {size(held['memory'] + held['disk'])}"),
            ]
        ),
    ]
    if view.trouble is not None:
        lines.append(_line([Text(f"{view.trouble}; trying again", "bold red")]))
    return lines


def _grid(width: int, *headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold reverse", width=width)
    for heading in headings[:-1]:
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    table.add_column(headings[-1], no_wrap=True, overflow="ellipsis", ratio=1)
    return table


def _daemons(fleet: Sequence[Any], rows: int, width: int) -> Table:
    table = _grid(width, "DAEMON", "USED", "", "STATE", "SEEN")
    busiest = sorted(fleet, key=lambda each: (each["healthy"], -each["activeTasks"], each["hostname"]))
    for each in busiest[:rows]:
        used, slots = each["activeTasks"], each["maxConcurrentTasks"]
        bar = ProgressBar(total=max(1, slots), completed=used, width=_BAR, complete_style="cyan", finished_style="cyan")
        table.add_row(
            shown(each["hostname"]), Text(f"{used}/{slots}"), bar, shown_state(each), Text(ago(each["lastSeen"]))
        )
    if len(fleet) > rows:
        table.caption = f"and {len(fleet) - rows} more"
        table.caption_justify = "left"
    return table


def _tasks(tasks: Sequence[Any], rows: int, width: int) -> Table:
    table = _grid(width, "STATUS", "RECEIVED", "ON", "NAME")
    # Sorting is stable: the newest stay first.
    for each in sorted(tasks, key=lambda task: task["status"] in _ENDED)[:rows]:
        name = shown(each["taskName"] or each["taskId"])
        if reason(each):
            name.append(f"  {shown(reason(each))}", "dim")
        where = shown(each["daemonHostname"] or each["daemonId"])
        table.add_row(shown_status(each), Text(ago(each["receivedAt"])), where, name)
    return table
