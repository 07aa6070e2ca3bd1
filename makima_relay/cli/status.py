"""``makima-relay status`` and ``reconnect``: the relay itself, and its connection to the server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from makima_relay.cli.asking import asking, json_option
from makima_relay.cli.showing import Screen, ago, duration, moment, shown, size

if TYPE_CHECKING:
    from makima_relay.cli.client import RelayClient

_STYLES = {"ok": "green", "connecting": "yellow", "disconnected": "red"}


@click.command()
@json_option
@asking
async def status(relay: RelayClient, as_json: bool) -> None:
    """Show how the relay is doing.

    \b
    Examples:
      makima-relay status
      makima-relay status --url https://relay.example --json | jq .pendingTasks
    """  # noqa: D301 - click's mark for lines that stay
    answer = await relay.get("/status")
    screen = Screen()
    if as_json:
        screen.json(answer)
    else:
        screen.facts(status_facts(answer))


@click.command()
@json_option
@asking
async def reconnect(relay: RelayClient, as_json: bool) -> None:
    """Have the relay connect to the server anew, now.

    It drops the connection if there is one. After the relay gave up, this is what has it try again.
    """
    answer = await relay.post("/reconnect")
    screen = Screen()
    if as_json:
        screen.json(answer)
    else:
        screen.line("the relay connects to the server anew; makima-relay status shows how far it is")


def status_facts(answer: Any, now: datetime | None = None) -> list[tuple[str, str | Text]]:
    """What ``/status`` says, in words."""
    now = now or datetime.now(UTC)
    outbox = answer["upstream"]
    held = outbox.get("outboxBytes") or {"memory": 0, "disk": 0}
    full = "" if outbox.get("outboxHasRoom", True) else "; full: daemons are not read until there is room"
    return [
        ("relay", f"{shown(answer['agentName'])} {answer['version']}, up for {duration(answer['uptimeSeconds'])}"),
        ("server", server_line(answer, now)),
        ("heartbeat", ago(answer["lastHeartbeat"], now)),
        ("daemons", f"{answer['connectedDaemons']} connected"),
        ("tasks", _tasks_line(answer)),
        *_cluster(answer),
        (
            "outbox",
            f"{outbox['outbox']} reports, {size(held['memory'])} in memory, {size(held['disk'])} in the database{full}",
        ),
    ]


def _cluster(answer: Any) -> list[tuple[str, str]]:
    """The cluster that it is in, if it is in one; earlier relays know of none."""
    if not answer.get("cluster"):
        return []
    return [("cluster", f"{shown(answer['cluster'])}, {answer['foreignTasks']} tasks of other relays here")]


def _tasks_line(answer: Any) -> str:
    counts = ("activeTasks", "active"), ("pendingTasks", "pending"), ("totalTasksProcessed", "finished")
    return ", ".join(f"{answer[member]} {word}" for member, word in counts)


def server_line(answer: Any, now: datetime) -> Text:
    """How the connection to the server is."""
    upstream = answer["upstream"]
    line = Text(str(upstream["state"]).replace("_", " "), _STYLES.get(answer["status"], ""))
    line.append(f"  {shown(upstream['url'])}", "")
    if answer["upstreamConnected"]:
        line.append(f" as {shown(answer['daemonId'])}")
    elif answer["status"] == "disconnected":
        line.append(f", after {upstream['attempt']} attempts; makima-relay reconnect tries again")
    elif upstream["attempt"]:
        line.append(f", {upstream['attempt']} failed attempts; makima-relay logs says why")
    at = moment(upstream["nextAttemptAt"])
    if at is not None:
        line.append(f", the next in {duration((at - now).total_seconds())}")
    return line
