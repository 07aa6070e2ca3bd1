"""What comes from the server: its connection, how fast it takes reports, what has arrived, and its commands."""

from __future__ import annotations

from collections.abc import Sequence

from makima_relay.core import effects
from makima_relay.core.inputs import told
from makima_relay.core.messages import Authenticated, Command, ServerError, ServerMessage, Spawn
from makima_relay.core.operators import Operators


class UpstreamInputs(Operators):
    """The inputs that come from the server, and those about what is on its way there."""

    @told
    def upstream_ready(self, connection: int, now: float, /, **fields: str | int | None) -> None:
        """The server has authenticated a connection: after a heartbeat, what it may not have goes first."""
        state = self._state
        state.tally.upstream_connections += 1
        state.flow.upstream_ready(connection)
        self._commands.new_connection()
        state.log(now, "upstream_connected", "the server accepted the connection", **fields)
        self._beat()
        state.flow.send_on()

    @told
    def heartbeat_due(self) -> None:
        """The server is to be told which tasks are at work."""
        self._beat()

    def _beat(self) -> None:
        if self._state.flow.upstream is not None:
            self._state.note(effects.SendHeartbeat(self._state.flow.upstream))

    @told
    def upstream_lost(self, now: float, reason: str) -> None:
        """The live upstream connection is gone."""
        self._state.flow.upstream_lost()
        self._state.log(now, "upstream_disconnected", f"the connection to the server is lost: {reason}")

    @told
    def upstream_congested(self) -> None:
        """The server does not take what it was sent as fast as it comes."""
        self._state.flow.congested()

    @told
    def upstream_drained(self) -> None:
        """The server has taken most of what it was sent."""
        self._state.flow.drained()

    @told
    def more_wanted(self, connection: int) -> None:
        """Others have had their turn: the backlog goes on, if the connection still stands."""
        if connection == self._state.flow.upstream:
            self._state.flow.send_on()

    @told
    def release_wanted(self) -> None:
        """Others have had their turn: more of the daemons that are held are read again, if there is room still."""
        self._state.flow.release_more()

    @told
    def reports_loaded(self, connection: int, reports: Sequence[tuple[int, bytes]], up_to: int) -> None:
        """Kept reports were read back.

        :param connection: the upstream connection that they are for.
        :param reports: as (number, payload), oldest first.
        :param up_to: no report up to this number was left out.
        """
        self._state.flow.loaded(connection, reports, up_to)

    @told
    def reports_stored(self, up_to: int) -> None:
        """All reports up to a number that were to be kept are in the database."""
        self._state.outbox.stored(up_to)
        self._state.flow.release()

    @told
    def acknowledged(self, number: int) -> None:
        """The server has read every report up to and with this number."""
        if self._state.outbox.acknowledged(number):
            self._state.note(effects.ForgetReports(number))
        if self._state.flow.held:
            self._state.flow.release()

    @told
    def command_received(self, message: ServerMessage, now: float) -> None:
        """The server sent a message."""
        task_id = None
        if isinstance(message, Spawn | Command):
            task_id = message.task_id
            self._state.tally.command(message.type if isinstance(message, Command) else "spawnTask")
        if self._look_ups.pass_command(task_id, message):
            self._act_on_command(message, now)

    def _act_on_command(self, message: object, now: float) -> None:
        match message:
            case Spawn():
                self._commands.spawn(message, now)
            case Command():
                self._commands.route(message, now)
            case ServerError():
                self._commands.server_error(message, now)
            case Authenticated():
                # It was authenticated before: there is nothing to change.
                return

    def refusal(self, message: ServerMessage) -> bytes | None:
        """What to answer the server while nothing can be stored; none for what can wait until that is over."""
        return self._commands.refusal(message) if isinstance(message, Spawn) else None

    @told
    def invalid_command_received(self, reason: str, now: float) -> None:
        """The server sent something that cannot be read."""
        self._commands.invalid(reason, now)
