"""``makima-relay cluster``: the relays that share their work with the one that is asked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from makima_relay.cli.asking import asking, json_option
from makima_relay.cli.showing import Column, Screen, ago, duration, shown

if TYPE_CHECKING:
    from makima_relay.cli.client import RelayClient

_COLUMNS = (
    Column("RELAY"),
    Column("STATE", whole=True),
    Column("SERVER", whole=True, room=70),
    Column("DAEMONS", whole=True, room=90),
    Column("SLOTS", whole=True),
    Column("ACTIVE", whole=True),
    Column("PENDING", whole=True),
    Column("WAITS", whole=True, room=100),
    Column("FOREIGN", whole=True),
    Column("SEEN", whole=True, room=80),
    Column("VERSION", room=110),
)


@click.command()
@json_option
@asking
async def cluster(relay: RelayClient, as_json: bool) -> None:
    """List the relays of the cluster that the relay is in, and what they have.

    SLOTS is how many of the daemons' are busy, and how many there are. ACTIVE and PENDING are a relay's own tasks,
    wherever they run, WAITS for how long the oldest pending one has; FOREIGN is how many of other relays its
    daemons have.

    \b
    Examples:
      makima-relay cluster
      makima-relay cluster --json | jq '.totals.freeSlots'
    """  # noqa: D301 - click's mark for lines that stay
    answer = await relay.get("/cluster")
    screen = Screen()
    if as_json:
        screen.json(answer)
        return
    screen.facts(cluster_facts(answer))
    screen.table(_COLUMNS, [_row(each, screen) for each in answer["relays"]])


def cluster_facts(answer: Any, now: datetime | None = None) -> list[tuple[str, str | Text]]:
    """What ``/cluster`` says of all together, in words."""
    now = now or datetime.now(UTC)
    totals = answer["totals"]
    present = sum(each["present"] for each in answer["relays"])
    slots = totals["freeSlots"] + totals["busySlots"]
    tasks = f"{totals['activeTasks']} active, {totals['pendingTasks']} pending"
    return [
        ("cluster", f"{shown(answer['cluster'])}, {present} of {len(answer['relays'])} relays present"),
        ("redis", _redis(answer, now)),
        ("tasks", f"{tasks}; {totals['foreignTasks']} at another relay's daemons"),
        ("slots", f"{totals['freeSlots']} of {slots} free, {totals['connectedDaemons']} daemons"),
    ]


def _redis(answer: Any, now: datetime) -> Text:
    """Whether it is there; if it is not, how old the rest is."""
    redis = answer["redis"]
    since = ago(redis["since"], now)
    if redis["connected"]:
        return Text("connected", "green").append(f", since {since}", "")
    as_of = answer["asOf"]
    known = (
        "nothing is known of other relays"
        if as_of is None
        else f"other relays are shown as they were {ago(as_of, now)}"
    )
    return Text("away", "red").append(f", since {since}: {known}", "")


def _row(each: Any, screen: Screen) -> list[Text]:
    waits = each["oldestPendingSeconds"]
    busy = each["busySlots"]
    return [
        shown(each["agentName"]),
        Text("present", "green") if each["present"] else Text("away", "red"),
        Text("connected", "green") if each["upstreamConnected"] else Text("away", "yellow"),
        Text(str(each["connectedDaemons"])),
        Text(f"{busy}/{busy + each['freeSlots']}"),
        Text(str(each["activeTasks"])),
        Text(str(each["pendingTasks"])),
        Text(duration(waits) if waits else "-"),
        Text(str(each["foreignTasks"])),
        screen.when(each["lastSeen"]),
        shown(each["version"]),
    ]
