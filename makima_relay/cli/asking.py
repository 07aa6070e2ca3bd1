"""Gives the commands that ask a relay their relay, and the options by which it is found."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import attrs
import click

from makima_relay.cli.errors import ExitStatus


def _run(main: Callable[[Any], Any]) -> Any:
    from makima_relay.cli.running import run

    return run(main)


def _http(reactor: Any, place: Any) -> Any:
    from makima_relay.cli.client import http_client

    return http_client(reactor, place)


@attrs.frozen
class Surroundings:
    """What commands need of the process around them.

    :ivar run: runs a coroutine function, to which it gives the reactor, to its end.
    :ivar http: makes of a reactor and a place what asks as treq does.
    """

    run: Callable[[Callable[[Any], Any]], Any] = _run
    http: Callable[[Any, Any], Any] = _http


def surroundings() -> Surroundings:
    """Those of the command that runs."""
    return click.get_current_context().find_object(Surroundings) or Surroundings()


_OPTIONS = (
    click.option(
        "--url",
        metavar="URL",
        envvar="MAKIMA_RELAY_URL",
        show_envvar=True,
        help="The relay: http://, https:// or unix:PATH.  [default: by the local settings]",
    ),
    click.option(
        "--ca",
        "authorities",
        metavar="FILE",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="PEM certificates to trust for https:// instead of the system's.",
    ),
    click.option(
        "--env-file", metavar="FILE", help="Settings of this machine.  [env var: MAKIMA_RELAY_ENV_FILE; default: .env]"
    ),
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON as the relay answers it.")


def relay_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options by which a relay is found; a command gets them as one argument, ``wanted``."""

    @wraps(command)
    def run(url: str | None, authorities: Path | None, env_file: str | None, **given: Any) -> Any:
        from makima_relay.cli.places import Wanted

        return command(wanted=Wanted(url, authorities, env_file), **given)

    for option in reversed(_OPTIONS):
        run = option(run)
    return run


def ask(wanted: Any, work: Callable[[Any], Any]) -> Any:
    """Do something with the relay that is wanted.

    :param wanted: says which.
    :param work: a coroutine function that takes a :class:`~makima_relay.cli.client.RelayClient`.
    """
    from makima_relay.cli.client import RelayClient
    from makima_relay.cli.places import find_place, find_token

    around = surroundings()
    place, token = find_place(wanted), find_token(wanted)
    if place.is_clear and token is not None:
        click.echo(f"makima-relay: {place.url} is not encrypted: who listens on the way has the token", err=True)
    return around.run(lambda reactor: work(RelayClient(around.http(reactor, place), place, reactor, token)))


def asking(command: Callable[..., Any]) -> Callable[..., Any]:
    """Make of a coroutine function that takes a relay first what click calls, with the options to find it."""

    @relay_options
    @wraps(command)
    def run(wanted: Any, **given: Any) -> None:
        status = ask(wanted, lambda relay: command(relay, **given))
        if status is not None:
            raise SystemExit(ExitStatus(status))

    return run
