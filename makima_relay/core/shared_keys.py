"""Daemon keys that several relays share: what one tells the others of a name, and what they make of it.

The last change of a name counts, by its time. A revocation is a change too, and is remembered, so that no relay that
was away can bring back what was taken back.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from makima_relay.core.keys import KEY_NAME, DaemonKey, DaemonKeys

#: Keys that a name may have at a time.
_MOST_KEYS: Final = 1_000
_Time = Annotated[float, msgspec.Meta(ge=0, le=1e11)]


class SharedKey(msgspec.Struct, frozen=True, rename="camel"):
    """One key of a name; see :class:`~makima_relay.core.keys.DaemonKey`."""

    digest: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    created_at: _Time
    ends_at: _Time | None = None


class SharedName(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All that a relay knows of the keys of one name.

    :ivar changed_at: when they last changed, in seconds since the epoch; the other times likewise.
    :ivar revoked_at: when all that the name had were last taken back, if ever.
    :ivar keys: oldest first; none if they were taken back since.
    """

    name: Annotated[str, msgspec.Meta(pattern=f"^(?:{KEY_NAME.pattern})$")]
    changed_at: _Time
    revoked_at: _Time | None = None
    keys: Annotated[tuple[SharedKey, ...], msgspec.Meta(max_length=_MOST_KEYS)] = ()

    @property
    def is_sound(self) -> bool:
        """Whether a relay can have said it: a name's last key has no end, and was the last change of the name."""
        last = self.keys[-1] if self.keys else None
        if last is None:
            return self.revoked_at == self.changed_at
        return last.ends_at is None and last.created_at == self.changed_at

    def daemon_keys(self, keys: DaemonKeys, wall: float) -> list[DaemonKey]:
        """The keys that count: those of other names do not, nor those whose time is over.

        :param keys: what the relay knows of keys.
        :param wall: seconds since the epoch.
        """
        return [
            DaemonKey(each.digest, self.name, each.created_at, each.ends_at)
            for each in self.keys
            if (each.ends_at is None or each.ends_at > wall) and keys.name_of(each.digest) in (None, self.name)
        ]


def shared_name(keys: DaemonKeys, name: str) -> SharedName | None:
    """What a relay knows of a name; none if it never had a key."""
    changed_at = keys.changed_at(name)
    if changed_at is None:
        return None
    own = tuple(SharedKey(each.digest, each.created_at, each.ends_at) for each in keys.of(name))
    return SharedName(name=name, changed_at=changed_at, revoked_at=keys.revoked.get(name), keys=own)
