"""Shows what a relay answered: tables on a terminal, plain lines that nothing is cut from anywhere else.

Strings may come from peers: they are escaped, and never read as rich's markup.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import attrs
import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from makima_relay.core.journal import escaped

#: How each status of a task is coloured.
STATUS_STYLES: Final = {
    "pending": "dim",
    "dispatched": "cyan",
    "running": "cyan",
    "orphaned": "yellow",
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
}
#: What stands where there is nothing.
NOTHING: Final = "-"
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


@attrs.frozen
class Column:
    """A column of a table.

    :ivar whole: whether it is cut only when there is no other way.
    :ivar room: columns that a terminal must have for it to be there at all.
    """

    name: str
    whole: bool = False
    room: int = 0


def shown(value: object, style: str = "") -> Text:
    """A value of the relay's as it may be shown."""
    return Text(NOTHING if value is None or value == "" else escaped(str(value)), style)


def moment(text: str | None) -> datetime | None:
    """The moment that a relay wrote."""
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None


def duration(seconds: float) -> str:
    """So many seconds in words."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def ago(text: str | None, now: datetime | None = None) -> str:
    """How long ago a moment of the relay's was."""
    at = moment(text)
    if at is None:
        return NOTHING
    return f"{duration(((now or datetime.now(UTC)) - at).total_seconds())} ago"


def size(number: int) -> str:
    """So many bytes in words."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number} B"


class Screen:
    """Where a command shows what it has.

    :param console: the standard output's, if none is given.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(markup=False, highlight=False, emoji=False)

    @property
    def is_terminal(self) -> bool:
        """Whether people look at it, and not programs."""
        return self.console.is_terminal and not self.console.is_dumb_terminal

    def when(self, text: str | None) -> Text:
        """A moment: how long ago for people, as the relay wrote it for programs."""
        return Text(ago(text)) if self.is_terminal else shown(text)

    def line(self, *cells: str | Text) -> None:
        """Show one line."""
        parts = [Text(each) if isinstance(each, str) else each for each in cells]
        if self.is_terminal:
            self.console.print(Text("  ").join(parts), soft_wrap=True)
        else:
            click.echo("  ".join(part.plain for part in parts).rstrip())

    def facts(self, facts: Sequence[tuple[str, str | Text]]) -> None:
        """Show what has a name each."""
        width = max(len(name) for name, _ in facts)
        for name, value in facts:
            self.line(Text(name.ljust(width), "bold"), value)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Text]]) -> None:
        """Show rows."""
        if not self.is_terminal:
            self._plain(columns, rows)
            return
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        fitting = [place for place, column in enumerate(columns) if column.room <= self.console.width]
        for column in (columns[place] for place in fitting):
            table.add_column(column.name, overflow="fold" if column.whole else "ellipsis", no_wrap=column.whole)
        for row in rows:
            for cell in row:
                # Rich narrows the columns that may wrap first; a row is one line all the same.
                cell.no_wrap = True
            table.add_row(*(row[place] for place in fitting))
        self.console.print(table)

    def _plain(self, columns: Sequence[Column], rows: Sequence[Sequence[Text]]) -> None:
        lines = [[column.name for column in columns], *([cell.plain for cell in row] for row in rows)]
        widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
        for line in lines:
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())

    @contextmanager
    def progress(self, text: str) -> Iterator[Callable[[float], object]]:
        """Show people how far something is.

        :return: takes how far, from 0 to 1.
        """
        if not self.is_terminal:
            yield lambda _: None
            return
        with Progress(console=self.console, transient=True, auto_refresh=False) as progress:
            task = progress.add_task(text, total=1.0)
            yield lambda part: progress.update(task, completed=part, refresh=True)

    def note(self, text: str) -> None:
        """Show people something that programs need not have."""
        if self.is_terminal:
            self.console.print(Text(text, "dim"))

    def json(self, value: Any) -> None:
        """Show JSON; other characters than those of ASCII are escaped."""
        click.echo(json.dumps(value, indent=2))

    def json_line(self, value: Any) -> None:
        """Show JSON that is one of many."""
        click.echo(json.dumps(value))
