"""Where ``makima-relay keys`` finds daemon keys: at a relay that runs, or in the database of one that does not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from makima_relay.cli.asking import ask
from makima_relay.cli.errors import CommandError, RefusedError, SettingError, UnreachableError
from makima_relay.clock import rfc3339
from makima_relay.core.keys import KeyNameTakenError, NamedKeys, UnknownKeyError, digest_of
from makima_relay.core.policy import Policy
from makima_relay.new_key import new_key
from makima_relay.settings import SettingsError, load_one

if TYPE_CHECKING:
    from makima_relay.cli.client import RelayClient
    from makima_relay.cli.places import Wanted
    from makima_relay.store.offline import Offline


class Ring(Protocol):
    """Where keys are kept; what it answers is as in ``http-api.md``, *Shapes*."""

    def made(self, name: str) -> Any:
        """Make the first key of a name."""

    def rotated(self, name: str) -> Any:
        """Make a further key of a name."""

    def revoked(self, name: str) -> Any:
        """Take back all keys of a name.

        :return: the names that are left, as of :meth:`all`.
        """

    def all(self) -> Any:
        """All names."""


@attrs.frozen
class RunningKeys:
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

        async def work(relay: RelayClient) -> Any:
            await relay.delete(f"/keys/{name}")
            return await relay.get("/keys")

        return self._ask(name, work)

    def all(self) -> Any:
        """See :meth:`Ring.all`."""
        return ask(self.wanted, lambda relay: relay.get("/keys"))


@attrs.frozen
class StoppedKeys:
    """The keys in a database on which no relay runs."""

    database: str | None
    env_file: str | None

    @contextmanager
    def _opened(self) -> Iterator[Offline]:
        # No other command needs the store: it starts sooner without.
        from makima_relay.store.database import DatabaseError
        from makima_relay.store.offline import offline

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
            return _all(stopped)

    def all(self) -> Any:
        """See :meth:`Ring.all`."""
        with self._opened() as stopped:
            return _all(stopped)


@attrs.frozen
class EitherKeys:
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


def _all(stopped: Offline) -> dict[str, Any]:
    return {"keys": [_listed(each) for each in stopped.relay.keys]}


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
