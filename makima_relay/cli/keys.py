"""``makima-relay keys``: daemon keys, at a relay that runs or in the database of one that does not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import click
from rich.text import Text

from makima_relay.cli.asking import ask, json_option, relay_options
from makima_relay.cli.errors import CommandError, RefusedError, SettingError, UnreachableError
from makima_relay.cli.showing import Column, Screen, shown
from makima_relay.clock import rfc3339
from makima_relay.core.keys import KEY_NAME, KEY_NAME_TAKES, KeyNameTakenError, NamedKeys, UnknownKeyError, digest_of
from makima_relay.core.state import Policy
from makima_relay.new_key import new_key
from makima_relay.settings import SettingsError, load_one
from makima_relay.store.database import DatabaseError
from makima_relay.store.offline import Offline, offline

if TYPE_CHECKING:
    from makima_relay.cli.client import RelayClient
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


class Ring(Protocol):
    """Where keys are kept; what it answers is as in ``http-api.md``, *Shapes*."""

    def made(self, name: str) -> Any:
        """Make the first key of a name."""

    def rotated(self, name: str) -> Any:
        """Make a further key of a name."""

    def revoked(self, name: str) -> Any:
        """Take back all keys of a name."""

    def all(self) -> Any:
        """All names."""


@attrs.frozen
class _Running:
    """The keys of a relay that runs."""

    wanted: Wanted

    def _ask(self, name: str, work: Callable[[RelayClient], Any]) -> Any:
        try:
            return ask(self.wanted, work)
        except RefusedError as error:
            raise {404: _unknown(name), 409: _taken(name)}.get(error.status, error) from None

    def made(self, name: str) -> Any:
        """See :meth:`Ring.made`."""
        return self._ask(name, lambda relay: relay.post("/keys", {"name": name}))

    def rotated(self, name: str) -> Any:
        """See :meth:`Ring.rotated`."""
        return self._ask(name, lambda relay: relay.post(f"/keys/{name}/rotate"))

    def revoked(self, name: str) -> Any:
        """See :meth:`Ring.revoked`."""
        return self._ask(name, lambda relay: relay.delete(f"/keys/{name}"))

    def all(self) -> Any:
        """See :meth:`Ring.all`."""
        return ask(self.wanted, lambda relay: relay.get("/keys"))


@attrs.frozen
class _Stopped:
    """The keys in a database on which no relay runs."""

    database: str | None
    env_file: str | None

    @contextmanager
    def _opened(self) -> Iterator[Offline]:
        options = {"database": self.database, "env-file": self.env_file}
        try:
            policy = Policy(key_rotation_grace=load_one("key-rotation-grace", options, os.environ))
            with offline(load_one("database", options, os.environ), policy) as stopped:
                yield stopped
        except SettingsError as error:
            raise SettingError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(str(error)) from None
        except UnknownKeyError as error:
            raise _unknown(str(error)) from None
        except KeyNameTakenError as error:
            raise _taken(str(error)) from None

    def made(self, name: str) -> Any:
        """See :meth:`Ring.made`."""
        key = new_key()
        with self._opened() as stopped:
            stopped.write(stopped.relay.key_made(name, digest_of(key), time.time()))
            return _new(stopped, name, key)

    def rotated(self, name: str) -> Any:
        """See :meth:`Ring.rotated`."""
        key = new_key()
        with self._opened() as stopped:
            stopped.write(stopped.relay.key_rotated(name, digest_of(key), time.time()))
            return _new(stopped, name, key)

    def revoked(self, name: str) -> Any:
        """See :meth:`Ring.revoked`."""
        with self._opened() as stopped:
            stopped.write(stopped.relay.keys_revoked(name, time.time()))

    def all(self) -> Any:
        """See :meth:`Ring.all`."""
        with self._opened() as stopped:
            return {"keys": [_listed(each) for each in stopped.relay.keys]}


@attrs.frozen
class _Either:
    """The keys of the relay of this machine if it runs, else those in its database."""

    running: Ring
    stopped: Ring

    def _try(self, work: Callable[[Ring], Any]) -> Any:
        try:
            return work(self.running)
        except UnreachableError as unreachable:
            try:
                return work(self.stopped)
            except CommandError as error:
                if "another relay uses it" not in error.message:
                    raise
                # It runs, but is not where the settings say.
                raise UnreachableError(f"{unreachable.message}; {error.message}; or give --url") from None

    def made(self, name: str) -> Any:
        """See :meth:`Ring.made`."""
        return self._try(lambda ring: ring.made(name))

    def rotated(self, name: str) -> Any:
        """See :meth:`Ring.rotated`."""
        return self._try(lambda ring: ring.rotated(name))

    def revoked(self, name: str) -> Any:
        """See :meth:`Ring.revoked`."""
        return self._try(lambda ring: ring.revoked(name))

    def all(self) -> Any:
        """See :meth:`Ring.all`."""
        return self._try(lambda ring: ring.all())


def _unknown(name: str) -> CommandError:
    return CommandError(f"there is no key named {name}")


def _taken(name: str) -> CommandError:
    return CommandError(f"the name {name} is in use: revoke or rotate it, or take another")


def _new(stopped: Offline, name: str, key: str) -> dict[str, Any]:
    created_at = stopped.relay.keys.named(name).keys[-1].created_at
    return {"name": name, "key": key, "createdAt": rfc3339(created_at)}


def _listed(named: NamedKeys) -> dict[str, Any]:
    older = max((key.ends_at for key in named.keys if key.ends_at is not None), default=None)
    return {
        "name": named.name,
        "createdAt": rfc3339(named.keys[-1].created_at),
        "lastUsedAt": rfc3339(named.last_used_at),
        "lastAddress": named.last_address,
        "machines": len(named.machines),
        "connected": 0,
        "olderKeysUntil": rfc3339(older),
    }


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
        stopped = _Stopped(database, wanted.env_file)
        if database is not None or offline:
            command(stopped, **given)
        elif wanted.url is not None:
            command(_Running(wanted), **given)
        else:
            command(_Either(_Running(wanted), stopped), **given)

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
@_on_keys
def revoke(ring: Ring, name: str) -> None:
    """Take back all keys of NAME; its machines are free, the name may be used again."""
    ring.revoked(name)


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
