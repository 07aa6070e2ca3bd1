"""``makima-relay daemons``, ``drain`` and ``resume``: the fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from makima_relay.cli.asking import asking, json_option
from makima_relay.cli.errors import CommandError
from makima_relay.cli.showing import Column, Screen, shown

if TYPE_CHECKING:
    from makima_relay.cli.client import RelayClient

_COLUMNS = (
    Column("DAEMON", whole=True, room=80),
    Column("USED", whole=True),
    Column("STATE", whole=True),
    Column("SEEN", whole=True),
    Column("ADDRESS", room=60),
    Column("HOST"),
)
_STYLES = {"ready": "green", "full": "cyan", "draining": "yellow", "unhealthy": "red"}


def state_of(daemon: Any) -> str:
    """What a daemon is good for at the moment, in one word."""
    if not daemon["healthy"]:
        return "unhealthy"
    if daemon["draining"]:
        return "draining"
    return "full" if daemon["activeTasks"] >= daemon["maxConcurrentTasks"] else "ready"


def shown_state(daemon: Any) -> Text:
    """The same with its colour."""
    state = state_of(daemon)
    return Text(state, _STYLES[state])


@click.command()
@json_option
@asking
async def daemons(relay: RelayClient, as_json: bool) -> None:
    """List the connected daemons, and how many of their slots are used.

    STATE is ready, full (no free slot), draining (it gets no new tasks) or unhealthy (it has been silent for long).

    \b
    Examples:
      makima-relay daemons
      makima-relay daemons --json | jq -r '.daemons[] | select(.draining) | .hostname'
    """  # noqa: D301 - click's mark for lines that stay
    answer = await relay.get("/daemons")
    screen = Screen()
    if as_json:
        screen.json(answer)
        return
    screen.table(
        _COLUMNS, [_row(each, screen) for each in sorted(answer["daemons"], key=lambda each: each["hostname"])]
    )


def _row(daemon: Any, screen: Screen) -> list[Text]:
    return [
        shown(daemon["daemonId"]),
        Text(f"{daemon['activeTasks']}/{daemon['maxConcurrentTasks']}"),
        shown_state(daemon),
        screen.when(daemon["lastSeen"]),
        shown(daemon["address"]),
        shown(daemon["hostname"]),
    ]


@click.command()
@click.argument("daemon")
@json_option
@asking
async def drain(relay: RelayClient, daemon: str, as_json: bool) -> None:
    """Give DAEMON no new tasks; those that it has go on.

    DAEMON is an id, or the hostname of one daemon only. It stays so when it connects again, until it is resumed.
    """
    await _set(relay, daemon, "drain", "gets no new tasks", as_json=as_json)


@click.command()
@click.argument("daemon")
@json_option
@asking
async def resume(relay: RelayClient, daemon: str, as_json: bool) -> None:
    """Give DAEMON tasks again.

    DAEMON is an id, or the hostname of one daemon only.
    """
    await _set(relay, daemon, "resume", "gets tasks again", as_json=as_json)


async def _set(relay: RelayClient, name: str, action: str, became: str, *, as_json: bool) -> None:
    from makima_relay.cli.client import segment

    daemon_id = _named(name, (await relay.get("/daemons"))["daemons"])
    answer = await relay.post(f"/daemons/{segment(daemon_id)}/{action}")
    screen = Screen()
    if as_json:
        screen.json(answer)
    else:
        screen.line(f"{shown(answer['hostname'])} {became}; it has {answer['activeTasks']}")


def _named(name: str, fleet: list[Any]) -> str:
    """The id of the daemon that is meant.

    :raises CommandError: when none is, or more than one.
    """
    if any(each["daemonId"] == name for each in fleet):
        return name
    found = [str(each["daemonId"]) for each in fleet if each["hostname"] == name]
    if len(found) > 1:
        raise CommandError(
            f"{len(found)} daemons have the hostname {shown(name)}: give an id, {' or '.join(found[:5])}"
        )
    if not found:
        raise CommandError(f"no daemon of the id or hostname {shown(name)} is connected")
    return found[0]
