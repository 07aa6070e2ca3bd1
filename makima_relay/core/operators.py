"""What operators ask of the relay: to stop a task, to drain a daemon, to make and revoke daemon keys."""

from __future__ import annotations

from collections.abc import Iterable

from makima_relay.core.attendance import Attendance
from makima_relay.core.commands import Commands
from makima_relay.core.inputs import told
from makima_relay.core.keyring import Keyring
from makima_relay.core.lookups import LookUps
from makima_relay.core.recovery import Recovery
from makima_relay.core.shared_keys import SharedName
from makima_relay.core.state import State
from makima_relay.core.view import View


class UnknownTaskError(Exception):
    """No task has this id."""


class TaskFinishedError(Exception):
    """The task has finished, so there is nothing to cancel."""


class UnknownDaemonError(Exception):
    """No connected daemon has this id."""


class Operators(View):
    """The inputs that come from operators, by HTTP or at the command line.

    :param commands: stops tasks.
    :param attendance: drains daemons, and sends those away whose key is revoked.
    """

    def __init__(
        self, state: State, look_ups: LookUps, recovery: Recovery, commands: Commands, attendance: Attendance
    ) -> None:
        super().__init__(state, look_ups, recovery)
        self._commands = commands
        self._attendance = attendance
        self._keyring = Keyring(state, attendance)

    @told
    def cancel_requested(self, task_id: str, now: float) -> None:
        """An operator wants a task stopped.

        :raises UnknownTaskError: if it is not in mind: then it is unknown or long finished.
        :raises TaskFinishedError: if it has finished.
        """
        task = self._state.ledger.get(task_id)
        if task is None:
            raise UnknownTaskError(task_id)
        if task.finished:
            raise TaskFinishedError(task_id)
        self._commands.cancel(task, now)

    @told
    def drain_requested(self, daemon_id: str, draining: bool, now: float) -> None:
        """An operator wants a daemon to get no new tasks, or to get them again.

        :raises UnknownDaemonError: if no such daemon is connected.
        """
        daemon = self.daemon(daemon_id)
        if daemon is None:
            raise UnknownDaemonError(daemon_id)
        self._attendance.drain(daemon, draining, now)

    @told
    def key_made(self, name: str, digest: bytes, now: float) -> None:
        """An operator has made a daemon key; from now on only such keys are taken.

        :param digest: see :func:`makima_relay.core.keys.digest_of`.
        :raises KeyNameTakenError: when the name is in use.
        """
        self._keyring.make(name, digest, now)

    @told
    def key_rotated(self, name: str, digest: bytes, now: float) -> None:
        """An operator has made a further key for a name; the older one is taken for a while still.

        :param digest: of the new key.
        :raises UnknownKeyError: when there is no such name.
        """
        self._keyring.rotate(name, digest, now)

    @told
    def keys_revoked(self, name: str, now: float) -> None:
        """An operator takes back all keys of a name; connections that used them are closed.

        :raises UnknownKeyError: when there is no such name.
        """
        self._keyring.revoke(name, now)

    @told
    def keys_merged(self, names: Iterable[SharedName], now: float) -> None:
        """Other relays say what they know of the daemon keys of some names; later changes count."""
        for shared in names:
            self._keyring.merge(shared, now)

    @told
    def machines_merged(self, name: str, machine_ids: Iterable[str], now: float) -> None:
        """Other relays say which machines belong to the name of a daemon key."""
        self._keyring.claim(name, machine_ids)
