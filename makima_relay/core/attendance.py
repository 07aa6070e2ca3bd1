"""Daemons come and go (``protocol.md``, *Downstream* and *A daemon is lost*), and are drained by operators."""

from __future__ import annotations

from collections.abc import Set

from makima_relay.core import effects
from makima_relay.core.composer import COMPOSERS
from makima_relay.core.fleet import Daemon, daemon_id_of
from makima_relay.core.keys import DaemonKey
from makima_relay.core.losses import Losses
from makima_relay.core.messages import Hello
from makima_relay.core.state import State

#: Close code for a connection that a newer one of the same machine replaces (``protocol.md``, *Refusals and closes*).
CLOSE_REPLACED = 4409
#: Close code for a connection whose key is revoked.
CLOSE_UNAUTHORIZED = 4401


class Attendance:
    """Gives daemons their connections and takes them away.

    :param state: the relay's memory.
    :param losses: takes care of the tasks of those that are gone.
    """

    def __init__(self, state: State, losses: Losses) -> None:
        self._state = state
        self._losses = losses
        #: Connections that take nothing more and are not gone yet, with whose they were.
        self._parting: dict[int, Daemon] = {}
        #: The digests of the daemon keys that they presented.
        self._keys_of_parting: dict[int, bytes] = {}

    def joined(self, connection: int, hello: Hello, address: str, now: float, key: DaemonKey | None = None) -> None:
        """Welcome a daemon that has authenticated; an older connection of the same machine is closed."""
        state = self._state
        daemon_id = daemon_id_of(hello.machine_id)
        daemon = state.fleet.get(daemon_id)
        if daemon is None:
            daemon = state.fleet.enlist(Daemon(daemon_id, hello.machine_id, hello.hostname))
        elif daemon.connection is not None:
            self._replace(daemon, now)
        state.fleet.join(daemon, connection, hello, COMPOSERS[hello.case], now)
        # A connection that was replaced and held nothing may have been forgotten just now.
        state.fleet.enlist(daemon)
        daemon.address = address
        daemon.key = None if key is None else key.digest
        daemon.connected_at = state.wall(now)
        state.save_daemon(daemon, now)
        state.log(
            now,
            "daemon_connected",
            "a daemon has connected",
            daemonId=daemon_id,
            hostname=hello.hostname,
            machineId=hello.machine_id,
            address=address,
        )
        state.send(daemon, COMPOSERS[hello.case].authenticated(daemon_id))
        self._send_what_waited(daemon)
        state.dispatch_waiting(now)

    def _replace(self, daemon: Daemon, now: float) -> None:
        assert daemon.connection is not None
        state = self._state
        state.note(effects.CloseDaemon(daemon.connection, CLOSE_REPLACED, "replaced by a newer connection"))
        state.log(
            now,
            "daemon_replaced",
            "the same machine has connected again",
            daemonId=daemon.daemon_id,
            hostname=daemon.hostname,
        )
        self._part(daemon, daemon.connection, now)

    def _send_what_waited(self, daemon: Daemon) -> None:
        """Hand a returned daemon the commands for what it held."""
        for task_id in sorted(daemon.tasks):
            task = self._state.ledger.find(task_id)
            if task is not None:
                self._state.send_waiting_commands(task, daemon)

    def heard_from(self, connection: int, now: float) -> Daemon | None:
        """Note a sign of life.

        :return: whose connection it is, or was until it began to close; none if it is unknown.
        """
        daemon = self._state.fleet.on(connection)
        if daemon is None:
            return self._parting.get(connection)
        if self._state.fleet.seen(daemon, now):
            self._state.dispatch_waiting(now)
        return daemon

    def parting(self, connection: int, reason: str, now: float) -> None:
        """Take from a daemon a connection that is not quite gone; nothing happens if that is done already."""
        state = self._state
        daemon = state.fleet.on(connection)
        if daemon is None:
            return
        self._log_disconnected(daemon, reason, now)
        self._part(daemon, connection, now)

    def _log_disconnected(self, daemon: Daemon, reason: str, now: float) -> None:
        self._state.log(
            now,
            "daemon_disconnected",
            f"a daemon has disconnected: {reason}",
            daemonId=daemon.daemon_id,
            hostname=daemon.hostname,
        )

    def _part(self, daemon: Daemon, connection: int, now: float) -> None:
        self._parting[connection] = daemon
        if daemon.key is not None:
            self._keys_of_parting[connection] = daemon.key
        daemon.parting.add(connection)
        self._take_away(daemon, connection, now)

    def _take_away(self, daemon: Daemon, connection: int, now: float) -> None:
        self._state.flow.forget(connection)
        self._state.fleet.part(daemon)
        self._losses.orphan_all(daemon, now)

    def expel(self, daemon: Daemon, reason: str, now: float) -> None:
        """Send a connected daemon away that may not be here any more: what it has yet to say does not count."""
        assert daemon.connection is not None
        assert daemon.composer is not None
        connection = daemon.connection
        self._state.send(daemon, daemon.composer.error("unauthorized", reason))
        self._state.note(effects.CloseDaemon(connection, CLOSE_UNAUTHORIZED, reason))
        self._log_disconnected(daemon, reason, now)
        self._take_away(daemon, connection, now)

    def expel_parting(self, keys: Set[bytes], now: float) -> None:
        """Hear no more of what still comes on connections that are being closed and used one of these keys.

        :param keys: their digests.
        """
        for connection in [each for each, key in self._keys_of_parting.items() if key in keys]:
            self.lost(connection, "its key is taken no more", now)

    def lost(self, connection: int, reason: str, now: float) -> None:
        """Note that a connection is gone: nothing comes on it any more."""
        self.parting(connection, reason, now)
        daemon = self._parting.pop(connection, None)
        self._keys_of_parting.pop(connection, None)
        if daemon is None:
            return
        daemon.parting.discard(connection)
        listed = daemon.listed
        if listed is not None and not daemon.parting:
            self._losses.lose_unlisted(daemon, listed, now)
            self._state.dispatch_waiting(now)

    def drain(self, daemon: Daemon, draining: bool, now: float) -> None:
        """Give a daemon no new tasks, or give it tasks again."""
        state = self._state
        if daemon.draining == draining:
            return
        daemon.draining = draining
        state.fleet.reconsider(daemon)
        state.save_daemon(daemon, now)
        state.log(
            now,
            "daemon_draining" if draining else "daemon_resumed",
            "the daemon gets no new tasks" if draining else "the daemon gets tasks again",
            daemonId=daemon.daemon_id,
            hostname=daemon.hostname,
        )
        state.dispatch_waiting(now)
