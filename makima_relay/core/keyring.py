"""What becomes of daemon keys, kept and told (``http-api.md``, *Who may ask*)."""

from __future__ import annotations

from collections.abc import Iterable

from makima_relay.core import effects
from makima_relay.core.attendance import Attendance
from makima_relay.core.keys import DaemonKey
from makima_relay.core.shared_keys import SharedName
from makima_relay.core.state import State


class Keyring:
    """Makes, rotates and revokes keys, and ends those whose time is over.

    :param state: the relay's memory.
    :param attendance: sends daemons away.
    """

    def __init__(self, state: State, attendance: Attendance) -> None:
        self._state = state
        self._attendance = attendance

    def make(self, name: str, digest: bytes, now: float) -> None:
        """Add the first key of a name."""
        key = self._state.keys.make(name, digest, self._state.wall(now))
        self._state.note(effects.SaveKey(key))
        self._state.log(now, "key_made", "a daemon key was made", key=name)

    def rotate(self, name: str, digest: bytes, now: float) -> None:
        """Add a further key to a name; the older one ends after ``--key-rotation-grace``."""
        grace = self._state.policy.key_rotation_grace
        for key in self._state.keys.rotate(name, digest, self._state.wall(now), grace):
            self._state.note(effects.SaveKey(key))
        self._state.log(now, "key_rotated", f"a further key was made; the older one ends in {grace:g} s", key=name)

    def revoke(self, name: str, now: float) -> None:
        """Take back all keys of a name."""
        keys = self._state.keys.revoke(name, self._state.wall(now)).keys
        self._state.note(effects.RevokeKeys(name, self._state.keys.revoked[name]))
        self._state.log(now, "key_revoked", "the daemon keys of a name were revoked", key=name)
        self._send_away(keys, "revoked", now)

    def merge(self, shared: SharedName, now: float) -> None:
        """Take over what another relay knows of a name, if it changed there after it changed here."""
        keys, name = self._state.keys, shared.name
        changed_at = keys.changed_at(name)
        if changed_at is not None and changed_at >= shared.changed_at:
            return
        if shared.revoked_at is not None and (changed_at is None or changed_at < shared.revoked_at):
            self._revoke_as_elsewhere(name, shared.revoked_at, now)
        theirs = shared.daemon_keys(keys, self._state.wall(now))
        if not theirs:
            return
        is_new = not keys.of(name)
        gone, changed = keys.replace(name, theirs)
        if gone:
            self._state.note(effects.ForgetKeys(tuple(key.digest for key in gone)))
        for key in changed:
            self._state.note(effects.SaveKey(key))
        event, words = ("key_made", "a daemon key") if is_new else ("key_rotated", "a further key")
        self._state.log(now, event, f"{words} was made at another relay", key=name)
        self._send_away(gone, "taken no more", now)

    def _revoke_as_elsewhere(self, name: str, at: float, now: float) -> None:
        keys = self._state.keys
        ended = keys.revoke(name, at).keys if keys.of(name) else []
        keys.revoked[name] = at
        keys.ever_made = True
        self._state.note(effects.RevokeKeys(name, at))
        if ended:
            self._state.log(now, "key_revoked", "the daemon keys of a name were revoked at another relay", key=name)
            self._send_away(ended, "revoked", now)

    def claim(self, name: str, machine_ids: Iterable[str]) -> None:
        """Have machines belong to a name because another relay says so; those that belong to one stay."""
        keys = self._state.keys
        for machine_id in machine_ids:
            if keys.of(name) and keys.has_room(machine_id, name) and keys.claim(machine_id, name):
                self._state.note(effects.SaveMachine(machine_id, name))

    def expire(self, now: float) -> None:
        """End the keys that were rotated long enough ago."""
        over = self._state.keys.expire(self._state.wall(now))
        if not over:
            return
        self._state.note(effects.ForgetKeys(tuple(key.digest for key in over)))
        for key in over:
            self._state.log(now, "key_expired", "a daemon key that was rotated is taken no more", key=key.name)
        self._send_away(over, "taken no more", now)

    def _send_away(self, keys: list[DaemonKey], what: str, now: float) -> None:
        ended = {key.digest for key in keys}
        for daemon in list(self._state.fleet.connected()):
            if daemon.key in ended:
                self._attendance.expel(daemon, f"its key is {what}", now)
        self._attendance.expel_parting(ended, now)

    def used(self, key: DaemonKey, machine_id: str, address: str, now: float) -> None:
        """Note that a machine has authenticated with a key: from then on it belongs to the key's name."""
        state = self._state
        wall = state.wall(now)
        state.keys.used(key.name, wall, address)
        state.note(effects.SaveKeyUse(key.name, wall, address))
        if state.keys.claim(machine_id, key.name):
            state.note(effects.SaveMachine(machine_id, key.name))
