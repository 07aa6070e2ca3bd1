"""``makima-relay sandbox chaos``: the relay while everything around it fails."""

from __future__ import annotations

import secrets
from functools import partial
from pathlib import Path

import click

from makima_relay.sandbox.chaos.faults import CLUSTERED, PLAIN, Kind

_KINDS = ", ".join(PLAIN)
_MORE_KINDS = ", ".join(CLUSTERED)


def _chosen_kinds(context: click.Context, _parameter: click.Parameter, text: str) -> tuple[Kind, ...]:
    words = [word.strip() for word in text.split(",")]
    allowed = tuple(Kind) if context.params["relays"] > 1 else PLAIN
    if words == ["all"]:
        return allowed
    if words == ["none"]:
        return ()
    for word in words:
        if word not in allowed:
            takes = f"it takes all, none, or some of {', '.join(allowed)}"
            raise click.BadParameter(f"{word!r} is not allowed; {takes}")
    return tuple(kind for kind in Kind if kind in words)


@click.command()
@click.option(
    "--seconds",
    type=click.FloatRange(5, 1_000_000),
    default=60,
    show_default=True,
    help="How long it takes, but for the last reports.",
)
@click.option("--seed", type=click.IntRange(0), help="Makes the schedule; by default a random one, which is shown.")
@click.option("--daemons", type=click.IntRange(1, 1_000), default=20, show_default=True, help="How many there are.")
@click.option(
    "--relays",
    type=click.IntRange(1, 9),
    default=1,
    show_default=True,
    is_eager=True,
    help="So many work as one, through a redis-server of their own.",
)
@click.option(
    "--rate",
    type=click.FloatRange(1, 1_000_000),
    default=2_000,
    show_default=True,
    help="Reports a second, of all daemons together.",
)
@click.option(
    "--on-daemon-loss",
    type=click.Choice(["requeue", "fail"]),
    default="requeue",
    show_default=True,
    help="The relay's setting.",
)
@click.option(
    "--faults",
    "kinds",
    metavar="KINDS",
    default="all",
    show_default=True,
    callback=_chosen_kinds,
    help=f"With commas between them: {_KINDS}; with several relays also {_MORE_KINDS}; or none.",
)
@click.option(
    "--disk",
    type=click.Choice(["limit", "tmpfs"]),
    default="limit",
    show_default=True,
    help="What becomes full: the relay's limit for files, or a small file system, which only root can make.",
)
@click.option(
    "--every", type=click.FloatRange(0.1), help="Mean seconds between faults.  [default: 3, or less if it is short]"
)
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw memory and database as SVG into a file."
)
@click.option(
    "--json", "figures", type=click.Path(dir_okay=False, path_type=Path), help="Write all figures into a file."
)
def chaos(
    seconds: float,
    seed: int | None,
    daemons: int,
    relays: int,
    rate: float,
    on_daemon_loss: str,
    kinds: tuple[Kind, ...],
    disk: str,
    every: float | None,
    plot: Path | None,
    figures: Path | None,
) -> None:
    """Have everything around a real relay fail, and count what is lost.

    The server and the daemons are stand-ins; the relay is the real one. It works in a temporary directory, which stays
    if something was found that must not be. The exit status is 0 only if nothing was.
    """
    from makima_relay.sandbox.chaos.options import ChaosOptions
    from makima_relay.sandbox.chaos.performance import perform
    from makima_relay.sandbox.running import run

    options = ChaosOptions(
        seconds=seconds,
        seed=secrets.randbelow(1_000_000) if seed is None else seed,
        daemons=daemons,
        relays=relays,
        rate=rate,
        on_daemon_loss=on_daemon_loss,
        kinds=kinds,
        small_disk=disk == "tmpfs",
        every=every,
        plot=plot,
        figures=figures,
    )
    run(partial(perform, options=options))
