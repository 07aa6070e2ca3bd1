"""``makima-relay sandbox dev``: a relay that is started again whenever its source changes."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec

import click

_PORT = click.IntRange(0, 65535)


@click.command(epilog="What follows `--` are further options of the relay, as in `dev -- --daemon-grace 5`.")
@click.option("--port", type=_PORT, default=8787, show_default=True, help="The relay's port; 0 takes a free one.")
@click.option("--server-port", type=_PORT, default=8788, show_default=True, help="The server's port; likewise.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def dev(port: int, server_port: int, options: tuple[str, ...]) -> None:
    """Run a relay between a server and two daemons, and start it again when its source changes.

    The server and the daemons are stand-ins. Tasks and reports survive each restart, because the database does; it
    goes when all of this ends.
    """
    if find_spec("watchfiles") is None:
        raise SystemExit("makima-relay: watchfiles is not installed; ./setup.sh dev installs it")
    from makima_relay.sandbox.dev import develop
    from makima_relay.sandbox.running import run

    run(partial(develop, port=port, server_port=server_port, options=options, say=click.echo))
