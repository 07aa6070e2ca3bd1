"""``makima-relay demo``: the whole of it on this machine, in a few seconds."""

from __future__ import annotations

from functools import partial

import click


@click.command()
@click.option("--keep", is_flag=True, help="Leave everything running afterwards, until Ctrl-C.")
@click.option("--cluster", is_flag=True, help="With two relays on one Redis; the daemons are the second's.")
def demo(keep: bool, cluster: bool) -> None:
    """Start a server, a relay and two daemons here, and watch them work.

    The server and the daemons are stand-ins; the relay is the real one. Nothing of it is left when it ends. The exit
    status is 0 only if every task ended as it should.
    """
    from makima_relay.sandbox.demo.performance import perform
    from makima_relay.sandbox.running import run

    run(partial(perform, keep=keep, cluster=cluster))
