"""``makima-relay tasks``: the history, and how it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import click
from rich.text import Text

from makima_relay.cli.asking import asking, json_option
from makima_relay.cli.showing import STATUS_STYLES, Column, Screen, shown

if TYPE_CHECKING:
    from makima_relay.cli.client import RelayClient
    from makima_relay.cli.events import Event

_COLUMNS = (
    Column("TASK", whole=True),
    Column("STATUS", whole=True),
    Column("RECEIVED", room=80),
    Column("DAEMON", room=70),
    Column("NAME"),
    Column("REASON", room=90),
)
_OFFSET_AND_FOLLOW = "--offset does not go with --follow, which begins with the newest"
STATUSES = ("pending", "dispatched", "running", "orphaned", "completed", "failed", "cancelled")


def shown_status(task: Any) -> Text:
    """A task's status with its colour."""
    return shown(task["status"], STATUS_STYLES.get(task["status"], ""))


def reason(task: Any) -> str | None:
    """Why a task waits, or what went wrong."""
    found: str | None = task["error"] or task["pendingReason"]
    return found


def _row(task: Any, screen: Screen) -> list[Text]:
    return [
        shown(task["taskId"]),
        shown_status(task),
        screen.when(task["receivedAt"]),
        shown(task["daemonHostname"] or task["daemonId"]),
        shown(task["taskName"]),
        shown(reason(task)),
    ]


@attrs.frozen
class Wanted:
    """Which tasks are wanted; none means any.

    :ivar status: a status.
    :ivar daemon: the id or hostname of the daemon that has or had it.
    :ivar text: a part of its name or id.
    """

    status: str | None
    daemon: str | None
    text: str | None

    @property
    def query(self) -> dict[str, str | None]:
        """The same as parameters of ``/tasks``."""
        return {"status": self.status, "daemon": self.daemon, "q": self.text}

    def has(self, task: Any) -> bool:
        """Whether a task is one of them, as the relay would say."""
        text = (self.text or "").lower()
        return (
            (self.status is None or task["status"] == self.status)
            and (self.daemon is None or self.daemon in (task["daemonId"], task["daemonHostname"]))
            and any(text in str(task[member] or "").lower() for member in ("taskName", "taskId"))
        )


@click.command()
@click.option("--status", type=click.Choice(STATUSES), help="Only tasks of this status.")
@click.option("--daemon", metavar="DAEMON", help="Only tasks that this daemon has or had; its id or hostname.")
@click.option("--query", metavar="TEXT", help="Only tasks whose name or id has this in it.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="How many at most.")
@click.option("--offset", type=click.IntRange(0), default=0, help="How many of the newest to leave out.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what becomes of them, until Ctrl-C.")
@json_option
@asking
async def tasks(
    relay: RelayClient,
    status: str | None,
    daemon: str | None,
    query: str | None,
    limit: int,
    offset: int,
    follow: bool,
    as_json: bool,
) -> None:
    """List the tasks, newest first.

    With --follow the oldest of them comes first, and a line follows whenever one of them changes or a new one
    comes; with --json too, each line is a task.

    \b
    Examples:
      makima-relay tasks --status pending
      makima-relay tasks --daemon build-7 --query login --limit 10
      makima-relay tasks --follow --json | jq -r 'select(.status == "failed") | .taskId'
    """  # noqa: D301 - click's mark for lines that stay
    wanted = Wanted(status, daemon, query)
    if follow and offset:
        raise click.UsageError(_OFFSET_AND_FOLLOW)
    if follow:
        await Following(relay, wanted, limit, as_json=as_json).follow()
        return
    answer = await relay.get("/tasks", **wanted.query, limit=limit, offset=offset)
    screen = Screen()
    if as_json:
        screen.json(answer)
        return
    screen.table(_COLUMNS, [_row(each, screen) for each in answer["tasks"]])
    screen.note(_where(answer))


def _where(answer: Any) -> str:
    """Which tasks of all these are."""
    first, shown_tasks, total = answer["offset"] + 1, len(answer["tasks"]), answer["total"]
    last = answer["offset"] + shown_tasks
    if not shown_tasks:
        return "no task" if not total else f"no task behind {total}"
    return f"{first} to {last} of {total}" + (f"; --offset {last} has more" if last < total else "")


class Following:
    """Shows tasks whenever they change."""

    def __init__(self, relay: RelayClient, wanted: Wanted, limit: int, *, as_json: bool) -> None:
        self._relay = relay
        self._wanted = wanted
        self._limit = limit
        self._as_json = as_json
        self._screen = Screen()
        self._known: dict[str, Any] = {}

    async def follow(self) -> None:
        """Show them until the end."""
        from makima_relay.cli.events import Stream

        await Stream(self._relay, self._took, self._look).follow()

    async def _look(self) -> bool:
        answer = await self._relay.get("/tasks", **self._wanted.query, limit=self._limit)
        for task in reversed(answer["tasks"]):
            self._changed(task)
        return True

    def _took(self, event: Event) -> bool:
        if event.kind == "task" and self._wanted.has(event.data):
            self._changed(event.data)
        return True

    def _changed(self, task: Any) -> None:
        if self._known.get(task["taskId"]) == task:
            return
        # What is known is only there to show nothing twice: the latest are enough.
        self._known.pop(task["taskId"], None)
        self._known[task["taskId"]] = task
        if len(self._known) > 2 * self._limit:
            del self._known[next(iter(self._known))]
        if self._as_json:
            self._screen.json_line(task)
        else:
            self._screen.line(*change(task))


def change(task: Any) -> list[Text]:
    """A task as a line: when it became what it is, and what that is."""
    at = task["finishedAt"] or task["startedAt"] or task["dispatchedAt"] or task["receivedAt"]
    cells = [shown(at), shown(task["taskId"]), Text(f"{task['status']:<10}", STATUS_STYLES.get(task["status"], ""))]
    cells += [shown(task["daemonHostname"] or task["daemonId"]), shown(task["taskName"])]
    return [*cells, shown(reason(task))] if reason(task) else cells
