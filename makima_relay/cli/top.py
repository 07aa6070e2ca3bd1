"""``makima-relay top``: the relay, its fleet and its tasks on one screen, drawn again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from makima_relay.cli.asking import asking
from makima_relay.cli.errors import UnreachableError
from makima_relay.cli.showing import Screen

if TYPE_CHECKING:
    from makima_relay.cli.client import RelayClient
    from makima_relay.cli.top_screen import View


#: More than fit on a screen.
_MOST_TASKS = 100
#: The statuses of tasks that are not over, those that say most first.
_UNFINISHED = ("running", "orphaned", "dispatched", "pending")


@click.command()
@click.option(
    "--interval",
    type=click.FloatRange(0.2, 3600),
    default=2.0,
    show_default=True,
    help="Seconds between two looks.",
)
@asking
async def top(relay: RelayClient, interval: float) -> None:
    """Show the relay, its daemons and its tasks on the whole screen, until q or Ctrl-C.

    It needs a terminal; for scripts there are status, daemons and tasks, with --json.
    """
    from rich.live import Live

    from makima_relay.cli.keyboard import keyboard
    from makima_relay.cli.top_screen import View, draw

    screen = Screen()
    if not screen.is_terminal:
        raise click.UsageError("top needs a terminal; status, daemons and tasks do not")
    view = await _look(relay, View())
    with Live(console=screen.console, screen=True, auto_refresh=False) as live, keyboard(relay.reactor) as keys:
        while not keys.is_quitting:
            live.update(draw(view, *screen.console.size), refresh=True)
            await keys.pause(interval)
            if not keys.is_quitting:
                view = await _look_again(relay, view)


async def _look(relay: RelayClient, before: View) -> View:
    """Ask for all that is on the screen."""
    status = await relay.get("/status")
    daemons = (await relay.get("/daemons"))["daemons"]
    tasks = await _tasks(relay, status["activeTasks"] + status["pendingTasks"])
    logs = (await relay.get("/logs", limit=20))["logs"]
    return before.followed_by(status, daemons, tasks, logs)


async def _tasks(relay: RelayClient, unfinished: int) -> list[Any]:
    """The newest tasks; and if some that are not over are older than those, these first.

    :param unfinished: how many tasks are not over.
    """
    newest: list[Any] = (await relay.get("/tasks", limit=_MOST_TASKS))["tasks"]
    over = [each for each in newest if each["status"] not in _UNFINISHED]
    if len(newest) - len(over) >= min(unfinished, _MOST_TASKS):
        return newest
    answers = [await relay.get("/tasks", status=status, limit=_MOST_TASKS) for status in _UNFINISHED]
    return [task for answer in answers for task in answer["tasks"]] + over


async def _look_again(relay: RelayClient, before: View) -> View:
    try:
        return await _look(relay, before)
    except UnreachableError as error:
        return before.without_relay(error.message)
