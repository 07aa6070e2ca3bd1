"""The ``makima-relay`` command: a module for each of its commands, put together here."""

from __future__ import annotations

import sys

import click

from makima_relay import __version__
from makima_relay.cli.demo import demo
from makima_relay.cli.keys import keys
from makima_relay.cli.sandbox import sandbox
from makima_relay.sandbox import bug_in_one_line


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def makima_relay(context: click.Context) -> None:
    """The self-hosted edge between a Makima server and its daemons.

    The relay itself is started with `twistd makima-relay`.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


makima_relay.add_command(demo)
makima_relay.add_command(keys)
makima_relay.add_command(sandbox)


def main() -> None:
    """Run the command; whatever goes wrong is one line, and an exit status."""
    try:
        makima_relay(prog_name="makima-relay")
    except Exception as error:
        sys.exit(f"makima-relay: {bug_in_one_line(error)}")
