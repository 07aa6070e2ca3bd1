"""``makima-relay keys``: daemon keys, at a relay that runs or in the database of one that does not."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from makima_relay.cli.asking import json_option, relay_options
from makima_relay.cli.key_rings import EitherKeys, Ring, RunningKeys, StoppedKeys
from makima_relay.cli.showing import Column, Screen, shown
from makima_relay.core.keys import KEY_NAME, KEY_NAME_TAKES

if TYPE_CHECKING:
    from makima_relay.cli.places import Wanted

_COLUMNS = (
    Column("NAME", whole=True),
    Column("CREATED", room=60),
    Column("LAST USED", whole=True),
    Column("FROM", room=80),
    Column("MACHINES", room=70),
    Column("CONNECTED", whole=True),
    Column("OLDER KEYS UNTIL", room=100),
)

_NOBODY = "no key is left, so no daemon can join until you add one"


@click.group(invoke_without_command=True)
@click.pass_context
def keys(context: click.Context) -> None:
    """Daemon keys: list, add, rotate and revoke them.

    A relay that runs is asked by HTTP. Where none runs, the keys in the database of this machine's settings are
    changed; --offline asks for that, and --database names another one.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _on_keys(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the keys that are wanted."""

    @click.option("--database", metavar="FILE", help="The database of a relay that does not run; implies --offline.")
    @click.option("--offline", is_flag=True, help="Ask no relay: none runs on this machine's database.")
    @relay_options
    @wraps(command)
    def run(wanted: Wanted, database: str | None, offline: bool, **given: Any) -> None:
        stopped = StoppedKeys(database, wanted.env_file)
        if database is not None or offline:
            command(stopped, **given)
        elif wanted.url is not None:
            command(RunningKeys(wanted), **given)
        else:
            command(EitherKeys(RunningKeys(wanted), stopped), **given)

    return run


def _name(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not KEY_NAME.fullmatch(value):
        raise click.BadParameter(f"it takes {KEY_NAME_TAKES}")
    return value


_named = click.argument("name", callback=_name)


@keys.command()
@_named
@json_option
@_on_keys
def add(ring: Ring, name: str, as_json: bool) -> None:
    """Make the first key of NAME and print it; it is never shown again.

    From the first key on daemons need one: MAKIMA_API_KEY is for the server alone.

    \b
    Example:
      makima-relay keys add build-7 > build-7.key
    """  # noqa: D301 - click's mark for lines that stay
    _show_key(ring.made(name), as_json=as_json)


@keys.command()
@_named
@json_option
@_on_keys
def rotate(ring: Ring, name: str, as_json: bool) -> None:
    """Make a further key of NAME and print it; the older one is taken for MAKIMA_RELAY_KEY_ROTATION_GRACE."""
    _show_key(ring.rotated(name), as_json=as_json)


@keys.command()
@_named
@json_option
@_on_keys
def revoke(ring: Ring, name: str, as_json: bool) -> None:
    """Take back all keys of NAME; its machines are free, the name may be used again."""
    left, screen = ring.revoked(name), Screen()
    if as_json:
        # The relay answers nothing.
        screen.json({"name": name, "revoked": True})
    else:
        screen.line(f"{name} is revoked" + ("" if left["keys"] else f"; {_NOBODY}"))


@keys.command("list")
@json_option
@_on_keys
def list_(ring: Ring, as_json: bool) -> None:
    """List the names; a key itself is not known any more."""
    answer, screen = ring.all(), Screen()
    if as_json:
        screen.json(answer)
    else:
        screen.table(_COLUMNS, [_row(each, screen) for each in answer["keys"]])


def _show_key(answer: Any, *, as_json: bool) -> None:
    if as_json:
        Screen().json(answer)
    else:
        # Alone in its line, for scripts.
        click.echo(answer["key"])
        Screen().note("It is not shown again. Once there was a key, MAKIMA_API_KEY lets no daemon in.")


def _row(key: Any, screen: Screen) -> list[Text]:
    return [
        shown(key["name"]),
        screen.when(key["createdAt"]),
        screen.when(key["lastUsedAt"]) if key["lastUsedAt"] else Text("never"),
        shown(key["lastAddress"]),
        shown(key["machines"]),
        shown(key["connected"]),
        shown(key["olderKeysUntil"]),
    ]
