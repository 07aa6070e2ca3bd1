"""The ``makima-relay`` command: a module for each of its commands or a few, put together here."""

from __future__ import annotations

import click

from makima_relay import __version__
from makima_relay.cli.backup import backup
from makima_relay.cli.check import check
from makima_relay.cli.cluster import cluster
from makima_relay.cli.daemons import daemons, drain, resume
from makima_relay.cli.demo import demo
from makima_relay.cli.errors import MEANINGS
from makima_relay.cli.group import Command
from makima_relay.cli.keys import keys
from makima_relay.cli.logs import logs
from makima_relay.cli.sandbox import sandbox
from makima_relay.cli.setup import setup
from makima_relay.cli.status import reconnect, status
from makima_relay.cli.task import cancel, task
from makima_relay.cli.tasks import tasks
from makima_relay.cli.top import top

_STATUSES = "\b\nExit status:\n" + "\n".join(f"  {status.value:<4} {meaning}" for status, meaning in MEANINGS.items())


@click.group(
    cls=Command,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_STATUSES,
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def makima_relay(context: click.Context) -> None:
    """The self-hosted edge between a Makima server and its daemons.

    The relay itself is started with `twistd makima-relay`. The commands that ask a relay find it by --url or
    MAKIMA_RELAY_URL, else by the settings of this machine; its admin token is in MAKIMA_RELAY_ADMIN_TOKEN, or
    in the file that MAKIMA_RELAY_ADMIN_TOKEN_FILE names.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (
    status,
    top,
    tasks,
    task,
    daemons,
    cluster,
    logs,
    reconnect,
    cancel,
    drain,
    resume,
    keys,
    setup,
    check,
    backup,
    demo,
    sandbox,
):
    makima_relay.add_command(command)


def main() -> None:
    """Run the command; whatever goes wrong is one line, and an exit status."""
    makima_relay(prog_name="makima-relay")
