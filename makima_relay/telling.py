"""Tells the core what happened outside: what daemons did, what the server did, what operators ask for.

While the database cannot be written, what cannot wait for it is answered here.
"""

from __future__ import annotations

from collections.abc import Sequence

from makima_relay.core import effects
from makima_relay.core.keys import DaemonKey
from makima_relay.core.messages import Command, DaemonMessage, Hello, ServerMessage, Spawn
from makima_relay.core.rejections import Rejection
from makima_relay.performing import Performing
from makima_relay.ports import DaemonLink, UpstreamLink


class Telling(Performing):
    """The inputs of the shells: each adds the time, tells the core, and has its answer performed."""

    # ----------------------------------------------------------------------------------------------- downstream

    def daemon_joined(self, link: DaemonLink, hello: Hello, address: str, key: DaemonKey | None = None) -> int:
        """A daemon has authenticated.

        :param key: the daemon key that it presented; none for the shared one.
        :return: the number of its connection, for the other inputs.
        """
        connection = next(self._connections)
        self._links.daemon_joined(connection, link)
        self._perform(self.relay.daemon_joined(connection, hello, address, self._now(), key))
        return connection

    def daemon_parting(self, connection: int, reason: str) -> None:
        """A daemon's connection closes: nothing can be sent on it any more."""
        self._links.daemon_gone(connection)
        self._perform(self.relay.daemon_parting(connection, reason, self._now()))

    def daemon_lost(self, connection: int, reason: str) -> None:
        """A daemon's connection is gone."""
        self._links.daemon_gone(connection)
        self._perform(self.relay.daemon_lost(connection, reason, self._now()))

    def reports_received(self, connection: int, reports: Sequence[DaemonMessage]) -> None:
        """A daemon sent messages."""
        self._perform(self.relay.reports_received(connection, reports, self._now()))

    def invalid_report_received(self, connection: int, reason: str) -> None:
        """A daemon sent something that cannot be read."""
        self._perform(self.relay.invalid_report_received(connection, reason, self._now()))

    def daemon_seen(self, connection: int) -> None:
        """A daemon answered a ping."""
        self._perform(self.relay.daemon_seen(connection, self._now()))

    # ------------------------------------------------------------------------------------------------- upstream

    def upstream_ready(self, link: UpstreamLink, url: str, daemon_id: str | None) -> None:
        """The server has authenticated a connection."""
        connection = next(self._connections)
        self._links.upstream_ready(connection, link)
        if self.is_suspended:
            self._links.answer_server(self.relay.heartbeat())
        self._perform(self.relay.upstream_ready(connection, self._now(), url=url, daemonId=daemon_id))

    def heartbeat_due(self) -> None:
        """The server is to be told which tasks are at work; it is also told while nothing can be committed."""
        if self.is_suspended:
            self._links.answer_server(self.relay.heartbeat())
        else:
            self._perform(self.relay.heartbeat_due())

    def upstream_lost(self, reason: str) -> None:
        """The live upstream connection is gone."""
        self._links.upstream_lost()
        self._perform(self.relay.upstream_lost(self._now(), reason))

    def command_received(self, message: ServerMessage) -> None:
        """The server sent a message; while the database cannot be written, a new task is refused."""
        refusal = self.relay.refusal(message) if self.is_suspended else None
        if refusal is not None:
            # Not behind what waits for the commit: by then there would be nothing to refuse any more.
            self._links.answer_server(refusal)
            return
        if self.is_suspended:
            self._links.waits(len(message.payload) if isinstance(message, Spawn | Command) else 0)
        self._perform(self.relay.command_received(message, self._now()))

    def invalid_command_received(self, reason: str) -> None:
        """The server sent something that cannot be read."""
        if self.is_suspended:
            self._links.waits(len(reason))
        self._perform(self.relay.invalid_command_received(reason, self._now()))

    def upstream_congested(self) -> None:
        """The server does not take what it was sent as fast as it comes."""
        self._links.congested(congested=True)
        self._perform(self.relay.upstream_congested())

    def upstream_drained(self) -> None:
        """The server has taken most of what it was sent."""
        self._links.congested(congested=False)
        self._perform(self.relay.upstream_drained())

    def acknowledged(self, number: int) -> None:
        """The server has read every report up to and with this number."""
        self._perform(self.relay.acknowledged(number))

    # ------------------------------------------------------------------------------------------------ operators

    def cancel_requested(self, task_id: str) -> None:
        """See :meth:`makima_relay.core.operators.Operators.cancel_requested`."""
        self._perform(self.relay.cancel_requested(task_id, self._now()))

    def drain_requested(self, daemon_id: str, *, draining: bool) -> None:
        """See :meth:`makima_relay.core.operators.Operators.drain_requested`."""
        self._perform(self.relay.drain_requested(daemon_id, draining, self._now()))

    def key_made(self, name: str, digest: bytes) -> None:
        """See :meth:`makima_relay.core.operators.Operators.key_made`."""
        self._perform(self.relay.key_made(name, digest, self._now()))

    def key_rotated(self, name: str, digest: bytes) -> None:
        """See :meth:`makima_relay.core.operators.Operators.key_rotated`."""
        self._perform(self.relay.key_rotated(name, digest, self._now()))

    def keys_revoked(self, name: str) -> None:
        """See :meth:`makima_relay.core.operators.Operators.keys_revoked`."""
        decided = self.relay.keys_revoked(name, self._now())
        self._perform(decided)
        if self.is_suspended:
            # All that it sends goes to those whose key it was: they shall not stay until the database is mended.
            for effect in decided:
                if isinstance(effect, effects.SendToDaemon | effects.CloseDaemon):
                    self.perform(effect)

    def turned_away(self, reason: Rejection, event: str | None, detail: str = "", address: str = "") -> None:
        """Somebody was turned away at the edge.

        :param event: for the journal; none if it is only to be counted.
        :param detail: the sentence for the journal.
        :param address: where it came from.
        """
        self.relay.rejected[reason] += 1
        if event is not None:
            self.noted(event, detail, address=address)

    def noted(self, event: str, detail: str, **fields: str | int | None) -> None:
        """Something happened at the edge that only the journal needs to know.

        While the database cannot be written it is only logged: strangers could fill the memory with it.
        """
        if self.is_suspended:
            self._log.info("{event}: {detail} {fields}", event=event, detail=detail, fields=fields)
            return
        self._perform(self.relay.noted(self._now(), event, detail, **fields))
