"""The demo from beginning to end."""

from __future__ import annotations

import io
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text
from twisted.internet.task import deferLater

from makima_relay.sandbox import SandboxError
from makima_relay.sandbox.demo.household import Household
from makima_relay.sandbox.demo.scenes import DAEMONS, SCENES
from makima_relay.sandbox.demo.screen import screen_of
from makima_relay.sandbox.demo.starting import start, start_cluster
from makima_relay.sandbox.demo.summary import results, show_where_to_look, verdict
from makima_relay.sandbox.demo.watch import Act, Watch
from makima_relay.sandbox.running import until_stopped
from makima_relay.sandbox.working import without_settings

#: All tasks together may take so long, in seconds.
_CURTAIN: Final = 45.0
_POLL_INTERVAL: Final = 0.1
#: Where no terminal says how wide it is, in columns.
_PLAIN_WIDTH: Final = 120


async def perform(reactor: Any, *, keep: bool, cluster: bool) -> int:
    """Start everything, give the server its tasks, show what becomes of them, stop everything.

    :param keep: whether all is left running afterwards, until stopped.
    :param cluster: whether two relays work as one, of which the second has the daemons.
    :return: the exit status: 0 when every task ended as it should.
    :raises SandboxError: when something cannot be started, or dies.
    """
    directory = Path(tempfile.mkdtemp(prefix="makima-relay-demo-"))
    household = Household(reactor, directory, _environment())
    console = _console()
    try:
        watch = await (start_cluster if cluster else start)(household, console)
        acts = await _play(reactor, household, watch, console)
        fault = await _look_back(household, watch, console, acts, keep=keep)
    finally:
        await household.stop()
        shutil.rmtree(directory, ignore_errors=True)
    if fault is not None:
        raise SandboxError(fault)
    return 0


def _environment() -> dict[str, str]:
    """What all processes get: one key, and nothing of the settings that the user may have."""
    return {**without_settings(os.environ), "MAKIMA_API_KEY": secrets.token_urlsafe(16), "PYTHONUNBUFFERED": "1"}


def _console() -> Console:
    # A terminal that cannot show "☕" shall not end the demo.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_PLAIN_WIDTH)


# ---------------------------------------------------------------------------------------------------------- playing


async def _play(reactor: Any, household: Household, watch: Watch, console: Console) -> list[Act]:
    """Have all tasks done, and show it."""
    while not await watch.is_ready(len(DAEMONS)):
        household.check()
        await deferLater(reactor, _POLL_INTERVAL)
    acts = await watch.begin(SCENES)
    began = time.monotonic()
    screen = screen_of(console)
    try:
        while not all(act.ended for act in acts) and time.monotonic() - began < _CURTAIN:
            await deferLater(reactor, _POLL_INTERVAL)
            household.check()
            await watch.look(acts)
            screen.show(acts, time.monotonic() - began)
    finally:
        screen.close()
    return acts


async def _look_back(
    household: Household, watch: Watch, console: Console, acts: Sequence[Act], *, keep: bool
) -> str | None:
    """Show how it went and where to look.

    :return: what did not end as it should, if anything.
    """
    console.print(Text("\nResults", "bold"))
    console.print(results(acts))
    await show_where_to_look(console, watch, keep=keep)
    if keep:
        console.print(Text(f"\nEverything is left running in {household.directory}; Ctrl-C stops it.", "bold"))
        await until_stopped()
    return verdict(acts)
