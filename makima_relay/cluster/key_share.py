"""Daemon keys that all relays of the cluster share: what each knows of a name, and which machines belong to it.

At the begin of a session each tells what it knows that is newer, and takes over what is. From then on changes are told
as they happen.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any, Final, Protocol

import msgspec
from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from makima_relay.cluster.names import Names
from makima_relay.cluster.scripts import SHARE_KEYS, SHARE_MACHINES
from makima_relay.cluster.session import Session
from makima_relay.core.members import LONGEST_NAME
from makima_relay.core.shared_keys import SharedName

#: Machines that are asked for, or told, in one go, and seconds until the next.
_PAGE: Final = 500
_PAUSE: Final = 0.01
_LONGEST: Final = 1 << 20


class KeyHolder(Protocol):
    """Who knows this relay's keys."""

    def keys_merged(self, names: Sequence[SharedName]) -> None:
        """Other relays say what they know of daemon keys."""

    def machines_merged(self, name: str, machine_ids: Iterable[str]) -> None:
        """Other relays say which machines belong to a name."""

    def key_names(self) -> list[str]:
        """All names that have keys, or had some that were taken back."""

    def key_name(self, name: str) -> SharedName | None:
        """What is known of the keys of a name."""

    def machines_of(self, name: str) -> list[str]:
        """The machines that belong to the name of a daemon key."""


class _Machine(msgspec.Struct, frozen=True):
    """A machine that belongs to a name."""

    of: str
    machine: str


_decode_name = msgspec.json.Decoder(SharedName).decode
_decode_machine = msgspec.json.Decoder(_Machine).decode
_encode = msgspec.json.Encoder().encode


class KeyShare:
    """Shares this relay's daemon keys.

    :param holder: knows them.
    """

    def __init__(self, holder: KeyHolder, names: Names, reactor: IReactorTime) -> None:
        self._holder = holder
        self._names = names
        self._reactor = reactor
        self._session: Session | None = None
        self._merging: Deferred[None] = succeed(None)
        self._changed: dict[str, None] = {}
        self._new_machines: dict[str, list[str]] = {}
        self._flushing = False

    @property
    def channels(self) -> list[str]:
        """Whose messages it wants."""
        return [self._names.keys]

    def begin(self, session: Session) -> None:
        """Merge what is known both ways."""
        self._session = session
        self._merging = self._merge(session)
        self._merging.addErrback(lambda failure: failure.trap(CancelledError))

    def end(self) -> None:
        """There is no session any more."""
        self._session = None
        self._merging.cancel()

    @inlineCallbacks
    def _merge(self, session: Session) -> Generator[Deferred[Any], Any, None]:
        raw = yield session.command("HGETALL", self._names.keys)
        self._holder.keys_merged([found for each in raw[1::2] if (found := read_name(each)) is not None])
        for name in self._holder.key_names():
            self._tell(session, name)
            yield from self._merge_machines(session, name)

    def _merge_machines(self, session: Session, name: str) -> Generator[Deferred[Any], Any, None]:
        """First those that others know, then those that they may not know."""
        cursor = b""
        while cursor != b"0":
            cursor, raw = yield session.command("SSCAN", self._names.machines(name), cursor or "0", "COUNT", _PAGE)
            self._holder.machines_merged(name, [found for each in raw if (found := read_machine_id(each)) is not None])
            if cursor != b"0":
                yield deferLater(self._reactor, _PAUSE)
        own = self._holder.machines_of(name)
        for start in range(0, len(own), _PAGE):
            self._tell_machines(session, name, own[start : start + _PAGE])
            if start + _PAGE < len(own):
                yield deferLater(self._reactor, _PAUSE)

    # --------------------------------------------------------------------------------------------------- telling

    def share(self, name: str) -> None:
        """The keys of a name have changed; several changes in a moment are told once."""
        self._changed[name] = None
        self._flush_soon()

    def share_machine(self, name: str, machine_id: str) -> None:
        """A machine belongs to a name from now on."""
        self._new_machines.setdefault(name, []).append(machine_id)
        self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._reactor.callLater(0, self._flush)

    def _flush(self) -> None:
        """Tell what has changed: a name goes before its machines."""
        self._flushing = False
        changed, self._changed = self._changed, {}
        machines, self._new_machines = self._new_machines, {}
        if self._session is None:
            # All is told when there is one.
            return
        for name in changed:
            self._tell(self._session, name)
        for name, machine_ids in machines.items():
            self._tell_machines(self._session, name, machine_ids)

    def _tell(self, session: Session, name: str) -> None:
        known = self._holder.key_name(name)
        if known is not None:
            keys = [self._names.keys, self._names.machines(name)]
            state = "keys" if known.keys else "none"
            session.call(SHARE_KEYS, keys, [name, repr(known.changed_at), state, _encode(known), self._names.keys])

    def _tell_machines(self, session: Session, name: str, machine_ids: Iterable[str]) -> None:
        keys = [self._names.keys, self._names.machines(name)]
        told = (_encode(_Machine(name, each)) for each in machine_ids)
        session.call(SHARE_MACHINES, keys, [name, self._names.keys, *told])

    # --------------------------------------------------------------------------------------------------- hearing

    def message(self, message: bytes) -> None:
        """Another relay told of a change."""
        if self._session is None:
            return
        name = read_name(message)
        if name is not None:
            self._holder.keys_merged([name])
            return
        machine = _read_machine(message)
        if machine is not None:
            self._holder.machines_merged(machine.of, [machine.machine])


def read_name(text: bytes) -> SharedName | None:
    """Read what a relay knows of a name; none of what none can have said."""
    try:
        # In the hash it stands behind when it changed, and whether it has keys.
        found = _decode_name(text[text.find(b"{") :] if len(text) <= _LONGEST else b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found if found.is_sound else None


def _read_machine(text: bytes) -> _Machine | None:
    try:
        found = _decode_machine(text if len(text) <= _LONGEST else b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found if 0 < len(found.machine) <= LONGEST_NAME else None


def read_machine_id(text: bytes) -> str | None:
    """Read a machine in the set of a name."""
    found = _read_machine(text)
    return None if found is None else found.machine
