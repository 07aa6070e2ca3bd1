"""``makima-relay logs``: the connection events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from makima_relay.cli.asking import asking, json_option
from makima_relay.cli.showing import Screen, shown

if TYPE_CHECKING:
    from makima_relay.cli.client import RelayClient
    from makima_relay.cli.events import Event

#: Events that tell of something wrong.
_BAD = frozenset(
    {
        "upstream_error",
        "upstream_gave_up",
        "daemon_rejected",
        "token_rejected",
        "connection_rejected",
        "task_lost",
        "invalid_message",
        "reload_failed",
    }
)
#: Members that every event has.
_COMMON = frozenset({"id", "timestamp", "event", "detail"})


def cells(entry: Any) -> list[Text]:
    """An event as a line."""
    more = [f"{name}={value}" for name, value in entry.items() if name not in _COMMON and value is not None]
    line = [
        shown(entry["timestamp"]),
        Text(f"{shown(entry['event']).plain:<21}", "red" if entry["event"] in _BAD else "cyan"),
        shown(entry["detail"]),
    ]
    return [*line, shown(" ".join(more), "dim")] if more else line


@click.command()
@click.option("--limit", "-n", type=click.IntRange(1, 200), default=50, show_default=True, help="How many at most.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@json_option
@asking
async def logs(relay: RelayClient, limit: int, follow: bool, as_json: bool) -> None:
    """Show the latest connection events, the newest last.

    With --json each line is an event. The relay keeps the last 200.

    \b
    Examples:
      makima-relay logs --follow
      makima-relay logs -n 200 --json | jq -r 'select(.event == "daemon_rejected") | .detail'
    """  # noqa: D301 - click's mark for lines that stay
    from makima_relay.cli.events import Stream

    tail = Tail(relay, limit, as_json=as_json)
    if follow:
        await Stream(relay, tail.took, tail.look).follow()
    else:
        await tail.look()


class Tail:
    """Shows each event once."""

    def __init__(self, relay: RelayClient, limit: int, *, as_json: bool) -> None:
        self._relay = relay
        self._limit = limit
        self._as_json = as_json
        self._screen = Screen()
        self._last = 0

    async def look(self) -> bool:
        """Show what is new in the relay's log."""
        limit = 200 if self._last else self._limit
        for entry in reversed((await self._relay.get("/logs", limit=limit))["logs"]):
            self._show(entry)
        return True

    def took(self, event: Event) -> bool:
        """Take an event of the relay's."""
        if event.kind == "log":
            self._show(event.data)
        return True

    def _show(self, entry: Any) -> None:
        if entry["id"] <= self._last:
            return
        self._last = entry["id"]
        if self._as_json:
            self._screen.json_line(entry)
        else:
            self._screen.line(*cells(entry))
