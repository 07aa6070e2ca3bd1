"""``makima-relay task`` and ``cancel``: one task."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from makima_relay.cli.asking import asking, json_option
from makima_relay.cli.errors import CommandError, ExitStatus
from makima_relay.cli.showing import Screen, shown
from makima_relay.cli.tasks import change, reason, shown_status
from makima_relay.core.spelling import folded

if TYPE_CHECKING:
    from makima_relay.cli.client import RelayClient
    from makima_relay.cli.events import Event

#: How the command ends that has followed a task to its end.
_ENDS = {
    "completed": ExitStatus.OK,
    "failed": ExitStatus.TASK_FAILED,
    "cancelled": ExitStatus.TASK_CANCELLED,
}
_PROGRESS = "taskprogress"
#: The members of a report in which daemons put what a task printed.
_TEXTS = ("output", "text", "data", "content", "message", "line")


@click.command()
@click.argument("task_id", metavar="ID")
@click.option("--output", is_flag=True, help="Show what it printed, as far as the relay has kept it.")
@click.option("--follow", "-f", is_flag=True, help="Go on until it has finished.")
@json_option
@asking
async def task(relay: RelayClient, task_id: str, output: bool, follow: bool, as_json: bool) -> ExitStatus | None:
    """Show one task: what became of it and when, or what it printed.

    With --follow a line comes whenever it changes or, with --output, whatever it prints; the end of the task ends
    it, with exit status 5 if the task has failed and 6 if it was cancelled. With --json too, each line is a task as it
    is then, or a report.

    \b
    Examples:
      makima-relay task 5f0c2a
      makima-relay task 5f0c2a --output --follow
    """  # noqa: D301 - click's mark for lines that stay
    screen = Screen()
    if output or follow:
        return await TaskFollowing(relay, task_id, screen, output=output, as_json=as_json).show(follow=follow)
    answer = await relay.get(path_of(task_id))
    if as_json:
        screen.json(answer)
    else:
        _show(answer, screen)
    return None


@click.command()
@click.argument("task_id", metavar="ID")
@json_option
@asking
async def cancel(relay: RelayClient, task_id: str, as_json: bool) -> None:
    """Take a task out of the queue, or have its daemon interrupt it."""
    answer = await relay.post(f"{path_of(task_id)}/cancel")
    screen = Screen()
    if as_json:
        screen.json(answer)
    elif answer["status"] in _ENDS:
        screen.line(f"{shown(task_id)} is {answer['status']}")
    else:
        daemon = shown(answer["daemonHostname"] or answer["daemonId"])
        when = "is told when it returns" if answer["status"] == "orphaned" else "is told to interrupt it"
        screen.line(f"{shown(task_id)} is {answer['status']}: {daemon} {when}")


def path_of(task_id: str) -> str:
    """Where a task is."""
    from makima_relay.cli.client import segment

    return f"/tasks/{segment(task_id)}"


def _show(answer: Any, screen: Screen) -> None:
    facts = [
        ("task", shown(answer["taskId"])),
        ("name", shown(answer["taskName"])),
        ("status", shown_status(answer)),
        ("daemon", shown(answer["daemonHostname"])),
        ("daemon id", shown(answer["daemonId"])),
        *([("relay", shown(answer["relay"]))] if answer.get("relay") else []),
        ("attempts", shown(answer["attempts"])),
        ("received", shown(answer["receivedAt"])),
        ("dispatched", shown(answer["dispatchedAt"])),
        ("started", shown(answer["startedAt"])),
        ("finished", shown(answer["finishedAt"])),
    ]
    if answer.get("traceparent"):
        facts.append(("traceparent", shown(answer["traceparent"])))
    if reason(answer):
        facts.append(("reason", shown(reason(answer))))
    screen.facts(facts)
    for event in answer["events"]:
        _show_event(event, screen)


def _show_event(event: Any, screen: Screen) -> None:
    cells = [shown(event["timestamp"]), shown_status(event)]
    cells += [shown(event[member]) for member in ("daemonId", "error") if event[member]]
    screen.line(*cells)


class TaskFollowing:
    """Shows one task's changes or output, now and as they come."""

    def __init__(self, relay: RelayClient, task_id: str, screen: Screen, *, output: bool, as_json: bool) -> None:
        self._relay = relay
        self._task_id = task_id
        self._screen = screen
        self._output = output
        self._as_json = as_json
        self._task: Any = None
        self._last: Any = None
        self._overlap: list[Any] = []

    async def show(self, *, follow: bool) -> ExitStatus:
        """Show what there is, and what comes.

        :return: what became of the task if it was followed to its end.
        """
        from makima_relay.cli.events import Stream

        if follow:
            query = {"output": self._task_id} if self._output else {}
            await Stream(self._relay, self._took, self._look, query).follow()
            if self._output:
                self._tell_end(self._task)
            return _ENDS[self._task["status"]]
        await self._look()
        return ExitStatus.OK

    def _tell_end(self, task: Any) -> None:
        """Say that what was printed is not all that there should be."""
        if task["status"] != "completed":
            became = "has failed" if task["status"] == "failed" else "was cancelled"
            why = f": {shown(task['error'])}" if task["error"] else ""
            click.echo(f"makima-relay: the task {became}{why}", err=True)

    async def _look(self) -> bool:
        # The task first: when it has finished, all of its output is there.
        task = await self._relay.get(path_of(self._task_id))
        if self._output:
            self._saw_output(await self._kept())
        return self._saw({name: value for name, value in task.items() if name != "events"})

    async def _kept(self) -> Any:
        kept = await self._relay.get(f"{path_of(self._task_id)}/output")
        if kept.get("limit") == 0:
            raise CommandError("this relay keeps no output (--keep-output)")
        return kept

    def _saw_output(self, kept: Any) -> None:
        reports = [_report(each) for each in kept["output"]]
        new = reports
        if self._last in reports:
            new = reports[len(reports) - reports[::-1].index(self._last) :]
        elif kept["truncated"] or self._last is not None:
            click.echo("makima-relay: what came before is not kept any more", err=True)
        for report in new:
            self._print(report)
        self._overlap = reports

    def _came(self, report: Any) -> None:
        """Take a report as it comes; what came while the kept ones were asked for may be among them."""
        if report in self._overlap:
            self._overlap = self._overlap[self._overlap.index(report) + 1 :]
        else:
            self._overlap = []
            self._print(report)

    def _took(self, event: Event) -> bool:
        data = event.data
        if not isinstance(data, dict) or data.get("taskId", self._task_id) != self._task_id:
            return True
        if event.kind == "output":
            if data.get("missed"):
                click.echo("makima-relay: some output came too fast to be kept", err=True)
            self._came(_report(data))
        return self._saw(data) if event.kind == "task" else True

    def _saw(self, task: Any) -> bool:
        """Take a task as it is now; whether anything may become of it still."""
        if task != self._task and not self._output:
            if self._as_json:
                self._screen.json_line(task)
            else:
                self._screen.line(*change(task))
        self._task = task
        return task["status"] not in _ENDS

    def _print(self, report: Any) -> None:
        self._last = report
        if self._as_json:
            self._screen.json_line(report)
            return
        for line in printed(report["payload"]):
            self._screen.line(line)


def _report(data: Any) -> dict[str, Any]:
    """A report, whether it is one of those that were kept or has just come."""
    return {"at": data["at"], "payload": data["payload"]}


def printed(payload: Any) -> list[Text]:
    """What a report says that a task printed, by lines; the report itself when it says it in a way of its own.

    One that tells only how far the task is has printed nothing.
    """
    if isinstance(payload, dict):
        for member in _TEXTS:
            text = payload.get(member)
            if isinstance(text, str):
                style = "red" if payload.get("stream") == "stderr" else ""
                return [shown_line(line, style) for line in text.removesuffix("\n").split("\n")]
        if folded(str(payload.get("type"))) == _PROGRESS:
            return []
    return [shown_line(json.dumps(payload), "dim")]


def shown_line(text: str, style: str = "") -> Text:
    """A line that a task printed; an empty one stays empty."""
    return shown(text.replace("\t", "    ").removesuffix("\r"), style) if text else Text("")
