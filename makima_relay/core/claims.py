"""Look-ups in a cluster: what waits for the directory as well as for the store (``cluster.md``, *Links*).

Every task that is not in mind is asked for, and so becomes this relay's own unless it is a peer's already.
"""

from __future__ import annotations

from makima_relay.core.fleet import Daemon
from makima_relay.core.lookups import UPSTREAM, LookUps
from makima_relay.core.messages import DaemonMessage, Heartbeat, Listed, ServerMessage, Spawn


class Claims(LookUps):
    """The look-ups of a relay in a cluster."""

    def _is_known(self, task_id: str) -> bool:
        """Whether nothing would be found that is not in mind: only of tasks in mind it is known whose they are."""
        return self._state.ledger.find(task_id) is not None

    def pass_command(self, task_id: str | None, message: ServerMessage) -> bool:
        """Whether a message of the server's can be acted on now: a finished task may be a peer's by now."""
        to_ask = isinstance(message, Spawn) and self._state.ledger.is_at_rest(message.task_id)
        return self._pass(UPSTREAM, task_id, message, to_ask=to_ask)

    def pass_report(self, connection: int, daemon: Daemon, report: DaemonMessage | Listed) -> bool:
        """Whether a message of a daemon's can be acted on now; its first list may name peers' tasks."""
        if isinstance(report, Heartbeat):
            if not daemon.reconciled:
                self._ask_for_listed(connection, daemon, report)
            return super().pass_report(connection, daemon, report)
        to_ask = report.task_id is not None and self._state.ledger.is_at_rest(report.task_id)
        return self._pass(daemon.daemon_id, report.task_id, (connection, daemon, report), to_ask=to_ask)

    def _ask_for_listed(self, connection: int, daemon: Daemon, heartbeat: Heartbeat) -> None:
        for task_id in sorted(heartbeat.active_tasks or ()):
            if self._state.ledger.is_at_rest(task_id):
                self._pass(daemon.daemon_id, task_id, (connection, daemon, Listed(task_id)), to_ask=True)
