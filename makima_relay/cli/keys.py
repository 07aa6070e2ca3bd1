"""``makima-relay keys``: daemon keys, in the database of a relay that does not run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import click
from rich.console import Console
from rich.table import Table

from makima_relay.clock import rfc3339
from makima_relay.core.keys import KEY_NAME, KEY_NAME_TAKES, KeyNameTakenError, NamedKeys, UnknownKeyError, digest_of
from makima_relay.core.state import Policy
from makima_relay.new_key import new_key
from makima_relay.settings import SettingsError, load_one
from makima_relay.store.database import DatabaseError
from makima_relay.store.offline import Offline, offline

_P = ParamSpec("_P")


@click.group(invoke_without_command=True)
@click.pass_context
def keys(context: click.Context) -> None:
    """Daemon keys, in the database of a relay that does not run.

    A relay that runs is asked by HTTP: POST /keys and so on.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _on_database(command: Callable[Concatenate[Offline, _P], None]) -> Callable[..., None]:
    """Give a command the database, and make one line of what is wrong with it."""

    @click.option("--database", metavar="FILE", help="The relay's database [MAKIMA_RELAY_DATABASE].")
    @wraps(command)
    def run(database: str | None, *args: _P.args, **kwargs: _P.kwargs) -> None:
        with _opened(database) as stopped:
            command(stopped, *args, **kwargs)

    return run


@contextmanager
def _opened(database: str | None) -> Iterator[Offline]:
    try:
        policy = Policy(key_rotation_grace=load_one("key-rotation-grace", {}, os.environ))
        with offline(load_one("database", {"database": database}, os.environ), policy) as stopped:
            yield stopped
    except (SettingsError, DatabaseError) as error:
        raise click.ClickException(str(error)) from None
    except UnknownKeyError as error:
        raise click.ClickException(f"there is no key named {error}") from None
    except KeyNameTakenError as error:
        raise click.ClickException(f"the name {error} is in use: revoke or rotate it, or take another") from None


def _name(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not KEY_NAME.fullmatch(value):
        raise click.BadParameter(f"it takes {KEY_NAME_TAKES}")
    return value


_named = click.argument("name", callback=_name)


@keys.command()
@_named
@_on_database
def add(stopped: Offline, name: str) -> None:
    """Make the first key of NAME and print it; it is never shown again.

    From the first key on daemons need one: MAKIMA_API_KEY is for the server alone.
    """
    key = new_key()
    stopped.write(stopped.relay.key_made(name, digest_of(key), time.time()))
    click.echo(key)


@keys.command()
@_named
@_on_database
def rotate(stopped: Offline, name: str) -> None:
    """Make a further key of NAME and print it; the older one is taken for MAKIMA_RELAY_KEY_ROTATION_GRACE."""
    key = new_key()
    stopped.write(stopped.relay.key_rotated(name, digest_of(key), time.time()))
    click.echo(key)


@keys.command()
@_named
@_on_database
def revoke(stopped: Offline, name: str) -> None:
    """Take back all keys of NAME; its machines are free, the name may be used again."""
    stopped.write(stopped.relay.keys_revoked(name, time.time()))


@keys.command("list")
@_on_database
def list_(stopped: Offline) -> None:
    """List the names; a key itself is not known any more."""
    table = Table("name", "created", "last used", "from", "machines", "older keys until", box=None)
    for each in stopped.relay.keys:
        table.add_row(*_shown(each))
    Console().print(table)


def _shown(named: NamedKeys) -> list[Any]:
    older = max((key.ends_at for key in named.keys if key.ends_at is not None), default=None)
    return [
        named.name,
        rfc3339(named.keys[-1].created_at),
        rfc3339(named.last_used_at) or "never",
        named.last_address or "",
        str(len(named.machines)),
        rfc3339(older) or "",
    ]
