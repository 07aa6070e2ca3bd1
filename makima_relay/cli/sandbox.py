"""``makima-relay sandbox``: stand-ins for a Makima server and a daemon."""

from __future__ import annotations

import os
import signal
import socket
import sys
from functools import partial

import click

from makima_relay.cli.chaos import chaos
from makima_relay.cli.dev import dev
from makima_relay.core.members import LONGEST_NAME
from makima_relay.core.messages import MOST_SLOTS
from makima_relay.sandbox import DEFAULT_KEY, SandboxError

_KEY_VARIABLE = "MAKIMA_API_KEY"


def _say(line: str) -> None:
    try:
        click.echo(line)
    except BrokenPipeError:
        # Nobody reads any more: end as programs in a pipe do, without another word.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        os.kill(os.getpid(), signal.SIGTERM)


@click.group(invoke_without_command=True)
@click.pass_context
def sandbox(context: click.Context) -> None:
    """Stand-ins for a Makima server and a daemon, to try the relay with.

    Their key comes from the variable MAKIMA_API_KEY; without it, it is "sandbox".
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


# "\b" keeps click from filling the lines that follow.
_EXAMPLES = """\b
Try it with
  curl -d '{"command": "echo hello"}' http://127.0.0.1:8788/tasks
  curl http://127.0.0.1:8788/tasks
"""


@sandbox.command(epilog=_EXAMPLES)
@click.option(
    "--listen",
    metavar="ENDPOINT",
    default="tcp:8788:interface=127.0.0.1",
    show_default=True,
    help="A Twisted endpoint for relays, daemons and HTTP; port 0 takes a free one.",
)
def server(listen: str) -> None:
    """Be a Makima server: takes shell commands by HTTP and has them run."""
    from makima_relay.sandbox.running import run
    from makima_relay.sandbox.serving import serve

    run(partial(serve, listen=listen, key=os.environ.get(_KEY_VARIABLE) or None, say=_say))


def _checked_name(_context: click.Context, _parameter: click.Parameter, name: str) -> str:
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise click.BadParameter(f"{name!r} is not allowed; it takes 1 to {LONGEST_NAME} printable characters")
    return name


@sandbox.command()
@click.option(
    "--server-url",
    metavar="URL",
    default="ws://127.0.0.1:8787",
    show_default=True,
    help="The relay or server to connect to.",
)
@click.option("--name", default=socket.gethostname, show_default="the host's", callback=_checked_name, help="Its name.")
@click.option(
    "--slots",
    type=click.IntRange(1, MOST_SLOTS),
    default=4,
    show_default=True,
    help="How many tasks it runs at once.",
)
def daemon(server_url: str, name: str, slots: int) -> None:
    """Be a daemon: runs each task's plan as a shell command, with your rights."""
    from makima_relay.sandbox.daemon import DaemonOptions
    from makima_relay.sandbox.running import run
    from makima_relay.sandbox.working import peer_url, work

    key = os.environ.get(_KEY_VARIABLE) or DEFAULT_KEY
    try:
        options = DaemonOptions(url=peer_url(server_url), key=key, name=name, slots=slots)
    except SandboxError as error:
        raise SystemExit(f"makima-relay: {error}") from None
    run(partial(work, options=options, say=_say))


sandbox.add_command(chaos)
sandbox.add_command(dev)
