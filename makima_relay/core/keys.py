"""Daemon keys: which are taken, whose machine is whose (``http-api.md``, *Who may ask*).

Only a key's digest is known here. A key has 256 random bits, so a digest without salt tells nothing about it, and how
long a dictionary takes to find one tells nothing about another.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

#: What a key's name looks like (``http-api.md``, *Shapes*).
KEY_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
KEY_NAME_TAKES: Final = "1 to 64 characters of A-Z, a-z, 0-9, dot, underscore and hyphen"
#: Machines that may belong to one name.
MOST_MACHINES: Final = 100_000
#: Seconds that a change is after the one before it, at least.
_MOMENT: Final = 0.001


class KeyNameTakenError(Exception):
    """Another key has this name."""


class UnknownKeyError(Exception):
    """No key has this name."""


def digest_of(key: str) -> bytes:
    """What is kept of a key: its SHA-256.

    :param key: as it was presented; half a surrogate pair is no reason to fail differently from any wrong key.
    """
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


class DaemonKey(msgspec.Struct, frozen=True):
    """One key.

    :ivar digest: see :func:`digest_of`.
    :ivar created_at: seconds since the epoch.
    :ivar ends_at: when it is taken no more, in seconds since the epoch; none for as long as its name lasts.
    """

    digest: bytes
    name: str
    created_at: float
    ends_at: float | None = None

    def __repr__(self) -> str:
        return f"DaemonKey(name={self.name!r})"


class StoredKeys(msgspec.Struct, frozen=True, kw_only=True):
    """All that the store has of keys.

    :ivar ever_made: whether a key was ever made.
    :ivar keys: oldest first.
    :ivar uses: name, when a key of it was last used (seconds since the epoch), and from which address.
    :ivar machines: machine id and the name of the key that it first used.
    :ivar revoked: name, and when all keys that it had were taken back (seconds since the epoch).
    """

    ever_made: bool = False
    keys: tuple[DaemonKey, ...] = ()
    uses: tuple[tuple[str, float, str], ...] = ()
    machines: tuple[tuple[str, str], ...] = ()
    revoked: tuple[tuple[str, float], ...] = ()


class NamedKeys:
    """The keys of one name: one, and for a while after a rotation older ones.

    :ivar keys: oldest first, never empty.
    :ivar machines: the ids of the machines that belong to the name.
    :ivar last_used_at: seconds since the epoch; none before the first use.
    """

    __slots__ = ("keys", "last_address", "last_used_at", "machines", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.keys: list[DaemonKey] = []
        self.machines: set[str] = set()
        self.last_used_at: float | None = None
        self.last_address: str | None = None


class DaemonKeys:
    """All daemon keys, by digest and by name.

    :param stored: what an earlier run left.
    :ivar ever_made: whether a key was ever made: from then on only daemon keys are taken.
    :ivar revoked: by name, when all keys that it had were last taken back, in seconds since the epoch.
    """

    def __init__(self, stored: StoredKeys = StoredKeys()) -> None:  # noqa: B008 - it cannot change
        self.ever_made = stored.ever_made
        self._keys: dict[bytes, DaemonKey] = {}
        self._names: dict[str, NamedKeys] = {}
        self._owners: dict[str, str] = {}
        self.revoked: dict[str, float] = dict(stored.revoked)
        for key in stored.keys:
            self._add(key)
        for name, at, address in stored.uses:
            if name in self._names:
                self.used(name, at, address)
        for machine_id, name in stored.machines:
            if name in self._names:
                self.claim(machine_id, name)

    def __iter__(self) -> Iterator[NamedKeys]:
        return iter(self._names.values())

    def find(self, presented: str) -> DaemonKey | None:
        """The key that a daemon presents, if it is taken."""
        return self._keys.get(digest_of(presented))

    def name_of(self, digest: bytes) -> str | None:
        """Whose key has this digest."""
        key = self._keys.get(digest)
        return None if key is None else key.name

    def of(self, name: str) -> list[DaemonKey]:
        """The keys of a name, oldest first; none if there is no such name."""
        named = self._names.get(name)
        return [] if named is None else list(named.keys)

    def is_others(self, machine_id: str, name: str) -> bool:
        """Whether a machine belongs to another name than this."""
        return self._owners.get(machine_id, name) != name

    def has_room(self, machine_id: str, name: str) -> bool:
        """Whether a machine belongs to a name already, or may come to: else one key could make up more and more."""
        return machine_id in self._owners or len(self._names[name].machines) < MOST_MACHINES

    def make(self, name: str, digest: bytes, wall: float) -> DaemonKey:
        """Add the first key of a name.

        :param wall: seconds since the epoch.
        :raises KeyNameTakenError: when the name is in use.
        """
        if name in self._names:
            raise KeyNameTakenError(name)
        self.ever_made = True
        return self._add(DaemonKey(digest, name, self._after_last_change(name, wall)))

    def rotate(self, name: str, digest: bytes, wall: float, grace: float) -> list[DaemonKey]:
        """Add a further key to a name; older ones are taken for a while still, and never longer than they were.

        :param grace: for how long, in seconds.
        :return: all that changed: the older ones, then the new one.
        :raises UnknownKeyError: when there is no such name.
        """
        named = self.named(name)
        end = wall + grace
        named.keys = [
            msgspec.structs.replace(key, ends_at=end if key.ends_at is None else min(end, key.ends_at))
            for key in named.keys
        ]
        for key in named.keys:
            self._keys[key.digest] = key
        older = list(named.keys)
        return [*older, self._add(DaemonKey(digest, name, self._after_last_change(name, wall)))]

    def revoke(self, name: str, wall: float) -> NamedKeys:
        """Take away all keys of a name; its machines are free, the name may be used again.

        :param wall: seconds since the epoch; :attr:`revoked` says what is kept of it.
        :raises UnknownKeyError: when there is no such name.
        """
        named = self.named(name)
        self.revoked[name] = self._after_last_change(name, wall)
        del self._names[name]
        for key in named.keys:
            del self._keys[key.digest]
        for machine_id in named.machines:
            del self._owners[machine_id]
        return named

    def changed_at(self, name: str) -> float | None:
        """When a name was last changed: a key made, or all taken back; none if neither ever happened."""
        named = self._names.get(name)
        return self.revoked.get(name) if named is None else named.keys[-1].created_at

    def _after_last_change(self, name: str, wall: float) -> float:
        """A moment after the last change, whichever relay's clock it was by: the last change counts everywhere."""
        before = self.changed_at(name)
        return wall if before is None or before < wall else before + _MOMENT

    def replace(self, name: str, keys: Sequence[DaemonKey]) -> tuple[list[DaemonKey], list[DaemonKey]]:
        """Have a name have these keys and no others.

        :param keys: oldest first, not empty; none of them another name's.
        :return: the keys that it had and has no more, and those that are new or have changed.
        """
        before = {key.digest: key for key in self._names[name].keys} if name in self._names else {}
        gone = [key for digest, key in before.items() if digest not in {each.digest for each in keys}]
        for key in before.values():
            del self._keys[key.digest]
        if name in self._names:
            self._names[name].keys.clear()
        self.ever_made = True
        for key in keys:
            self._add(key)
        return gone, [key for key in keys if before.get(key.digest) != key]

    def expire(self, wall: float) -> list[DaemonKey]:
        """Take away the keys whose time is over.

        :param wall: seconds since the epoch.
        """
        over = [key for key in self._keys.values() if key.ends_at is not None and key.ends_at <= wall]
        for key in over:
            del self._keys[key.digest]
            self._names[key.name].keys.remove(key)
        return over

    def named(self, name: str) -> NamedKeys:
        """The keys of a name.

        :raises UnknownKeyError: when there is no such name.
        """
        try:
            return self._names[name]
        except KeyError:
            raise UnknownKeyError(name) from None

    def used(self, name: str, wall: float, address: str) -> None:
        """Note that a daemon has authenticated with a key of a name."""
        named = self._names[name]
        named.last_used_at, named.last_address = wall, address

    def claim(self, machine_id: str, name: str) -> bool:
        """Have a machine belong to a name, if it belongs to none yet.

        :return: whether that is new.
        """
        if machine_id in self._owners:
            return False
        self._owners[machine_id] = name
        self._names[name].machines.add(machine_id)
        return True

    def _add(self, key: DaemonKey) -> DaemonKey:
        self._keys[key.digest] = key
        self._names.setdefault(key.name, NamedKeys(key.name)).keys.append(key)
        return key
