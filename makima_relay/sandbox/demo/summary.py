"""What the demo shows at its end: how each task ended, and where to look for more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from makima_relay.core.journal import printable
from makima_relay.sandbox.demo.screen import shown_line, shown_status
from makima_relay.sandbox.demo.watch import Act, Watch

#: What to ask the relay, and what for.
QUESTIONS: Final = (
    ("/status", "how the relay is doing"),
    ("/tasks?limit=2", "the history, newest first"),
    ("/logs?limit=3", "what happened to connections"),
)
#: Likewise of one that works with another as one.
CLUSTER_QUESTIONS: Final = (*QUESTIONS, ("/cluster", "both relays"))
#: Characters of an answer that are shown.
_LONGEST_ANSWER: Final = 300


def results(acts: Sequence[Act]) -> Table:
    """The table of how all tasks ended."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, expand=True, header_style="bold underline")
    for name in ("task", "status", "daemon"):
        table.add_column(name, no_wrap=True)
    for name in ("attempts", "exit", "took"):
        table.add_column(name, justify="right", no_wrap=True)
    # The one column that gives way on a narrow terminal.
    table.add_column("last line", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("as it should?", width=7)
    for act in acts:
        took = "" if act.took is None else f"{act.took:.1f} s"
        status = "-" if act.exit_status is None else str(act.exit_status)
        verdict = Text("no", "bold red") if act.faults else Text("yes", "green")
        row = (
            act.scene.name,
            shown_status(act),
            act.place or "-",
            str(act.attempts),
            status,
            took,
            shown_line(act),
            verdict,
        )
        table.add_row(*row)
    return table


def verdict(acts: Sequence[Act]) -> str | None:
    """What did not end as it should, in one line; none when all did."""
    wrong = [f"{act.scene.name} ({'; '.join(act.faults)})" for act in acts if act.faults]
    return f"not as it should be: {', '.join(map(printable, wrong))}" if wrong else None


async def show_where_to_look(console: Console, watch: Watch, *, keep: bool) -> None:
    """Show how to ask the relay for more.

    :param keep: whether the relay stays, so that the reader can ask it; else it is asked now, and answers in short.
    """
    console.print(Text("\nWhere to look", "bold"))
    for path, about in QUESTIONS if watch.holder == watch.relay else CLUSTER_QUESTIONS:
        url = f"{watch.relay}{path}"
        console.print(Text(f"  curl '{url}'", "cyan"), Text(f"  # {about}", "dim"), soft_wrap=True)
        if not keep:
            console.print(Text(f"    {shortened(await watch.get(url))}"), soft_wrap=True)


def shortened(answer: Any) -> str:
    """An answer as JSON, cut to a readable length."""
    text = printable_json(answer)
    return text if len(text) <= _LONGEST_ANSWER else f"{text[:_LONGEST_ANSWER]}…"


def printable_json(answer: Any) -> str:
    """JSON in which nothing can upset a terminal."""
    text = msgspec.json.encode(answer).decode()
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text)
