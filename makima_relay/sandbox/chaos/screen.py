"""Shows the experiment while it runs: a live line on a terminal, a plain one now and then anywhere else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import attrs
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

#: Seconds between plain lines.
PLAIN_INTERVAL: Final = 10.0
_BAR_WIDTH: Final = 20


@attrs.frozen(kw_only=True)
class Moment:
    """How it stands.

    :ivar elapsed: seconds since the beginning.
    :ivar seconds: how long all of it takes.
    :ivar relays: of each relay whether it runs.
    :ivar faults: the faults of the moment, in words.
    """

    elapsed: float
    seconds: float
    sent: int
    delivered: int
    tasks: int
    relays: Sequence[bool]
    faults: str

    def words(self) -> str:
        """It in one line."""
        behind = self.sent - self.delivered
        state = " ".join("up" if up else "down" for up in self.relays)
        relays = "relay" if len(self.relays) == 1 else "relays"
        return (
            f"{self.elapsed:6.1f} s  reports: {self.sent:,} sent, {self.delivered:,} delivered, "
            f"{behind:,} under way or refused  "
            f"tasks: {self.tasks:,} done  {relays}: {state}  {self.faults}"
        ).rstrip()


class Screen(Protocol):
    """Where the experiment is shown."""

    def show(self, moment: Moment) -> None:
        """Show how it stands."""

    def close(self) -> None:
        """Leave the screen to others."""


class LiveScreen:
    """A bar and a line that are drawn again and again."""

    def __init__(self, console: Console) -> None:
        # Drawn by the caller: rich's own way would be a thread.
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._live.start()

    def show(self, moment: Moment) -> None:
        """See :meth:`Screen.show`."""
        table = Table.grid(padding=(0, 1))
        table.add_column(width=_BAR_WIDTH)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        table.expand = True
        bar = ProgressBar(total=moment.seconds, completed=min(moment.elapsed, moment.seconds), width=_BAR_WIDTH)
        table.add_row(bar, Text(moment.words(), "" if all(moment.relays) else "yellow"))
        self._live.update(table, refresh=True)

    def close(self) -> None:
        """See :meth:`Screen.close`."""
        self._live.stop()


class PlainScreen:
    """A line now and then, for logs and pipes.

    :param write: takes lines.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._next = PLAIN_INTERVAL

    def show(self, moment: Moment) -> None:
        """See :meth:`Screen.show`."""
        if moment.elapsed >= self._next:
            self._next = moment.elapsed + PLAIN_INTERVAL
            self._write(moment.words())

    def close(self) -> None:
        """See :meth:`Screen.close`."""


def screen_of(console: Console) -> Screen:
    """The screen that suits a console."""
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveScreen(console)
    return PlainScreen(lambda line: console.out(line, highlight=False))
