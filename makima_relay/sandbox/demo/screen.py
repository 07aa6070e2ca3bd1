"""Shows the demo while it runs: a live table on a terminal, plain lines anywhere else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from makima_relay.core.journal import printable
from makima_relay.sandbox.demo.watch import Act

#: How each status is shown: its sign and its style.
STATUS_LOOKS: Final = {
    "waiting": ("·", "dim"),
    "pending": ("·", "dim"),
    "dispatched": ("▸", "cyan"),
    "running": ("▸", "cyan"),
    "orphaned": ("?", "yellow"),
    "completed": ("✓", "green"),
    "failed": ("✗", "red"),
    "cancelled": ("■", "yellow"),
}
_BAR_WIDTH: Final = 16


class Screen(Protocol):
    """Where the demo is shown."""

    def note(self, text: str) -> None:
        """Show a line that stays."""

    def show(self, acts: Sequence[Act], elapsed: float) -> None:
        """Show how far the tasks are.

        :param elapsed: seconds since the first.
        """

    def close(self) -> None:
        """Leave the screen to others."""


def shown_status(act: Act) -> Text:
    """A task's status with its sign."""
    sign, style = STATUS_LOOKS.get(act.status, ("?", "yellow"))
    return Text(f"{sign} {act.status}", style)


def shown_line(act: Act) -> Text:
    """What a task printed last; while it waits, why."""
    waits = act.status in ("waiting", "pending")
    return Text(f"({act.reason})", "dim") if waits and act.reason else Text(printable(act.last_line or ""))


def _bar(act: Act, elapsed: float) -> ProgressBar | Text:
    if act.status in ("waiting", "pending"):
        return Text("")
    if act.ended:
        style = STATUS_LOOKS[act.status][1]
        return ProgressBar(total=1, completed=1, width=_BAR_WIDTH, complete_style=style, finished_style=style)
    if act.percent is None:
        return ProgressBar(total=None, pulse=True, width=_BAR_WIDTH, animation_time=elapsed)
    return ProgressBar(total=100, completed=act.percent, width=_BAR_WIDTH)


def _summary(acts: Sequence[Act], elapsed: float) -> Text:
    waiting = sum(act.status in ("waiting", "pending") for act in acts)
    ended = sum(act.ended for act in acts)
    running = len(acts) - waiting - ended
    return Text(f"{elapsed:5.1f} s   {running} running   {waiting} waiting   {ended} ended", "bold")


class LiveScreen:
    """A table that is drawn again and again, for terminals."""

    def __init__(self, console: Console) -> None:
        self._console = console
        # Drawn by the caller: rich's own way would be a thread.
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._live.start()

    def note(self, text: str) -> None:
        """See :meth:`Screen.note`."""
        self._live.console.print(Text(text))

    def show(self, acts: Sequence[Act], elapsed: float) -> None:
        """See :meth:`Screen.show`."""
        table = Table.grid(padding=(0, 2))
        for width in (13, 11, _BAR_WIDTH, 4):
            table.add_column(no_wrap=True, min_width=width)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        table.expand = True
        for act in acts:
            table.add_row(
                act.scene.name, shown_status(act), _bar(act, elapsed), Text(act.place, "cyan"), shown_line(act)
            )
        self._live.update(Group(_summary(acts, elapsed), table), refresh=True)

    def close(self) -> None:
        """See :meth:`Screen.close`."""
        self._live.stop()


class PlainScreen:
    """A line for each change, for logs and pipes.

    :param write: takes lines.
    """

    #: Percentages at which a line is worth it.
    _STEP: Final = 25

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._shown: dict[str, tuple[str, int]] = {}

    def note(self, text: str) -> None:
        """See :meth:`Screen.note`."""
        self._write(text)

    def show(self, acts: Sequence[Act], elapsed: float) -> None:
        """See :meth:`Screen.show`."""
        for act in acts:
            state = (act.status, 0 if act.ended else int((act.percent or 0) // self._STEP))
            if self._shown.get(act.task_id) != state:
                self._shown[act.task_id] = state
                self._write(self._line(act, elapsed))

    @staticmethod
    def _line(act: Act, elapsed: float) -> str:
        percent = "" if act.percent is None or act.ended else f"{act.percent:.0f}%"
        line = f"{elapsed:5.1f} s  {act.scene.name:<15}{act.status:<12}{act.place:<6}{percent:>4}"
        return f"{line}  {shown_line(act).plain}".rstrip()

    def close(self) -> None:
        """See :meth:`Screen.close`."""


def screen_of(console: Console) -> Screen:
    """The screen that suits a console."""
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveScreen(console)
    return PlainScreen(lambda line: console.out(line, highlight=False))
