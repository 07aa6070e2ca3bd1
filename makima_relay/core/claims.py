"""What waits for the directory of the cluster besides the store (``cluster.md``, *Links*).

Every task that is not in mind is asked for, and so becomes this relay's own unless it is a peer's already.
"""

from __future__ import annotations

from makima_relay.core.fleet import Daemon
from makima_relay.core.lookups import LookUps
from makima_relay.core.messages import DaemonMessage, Heartbeat, Listed, ServerMessage, Spawn


class Claims(LookUps):
    """The look-ups of a relay in a cluster."""

    def _is_known(self, task_id: str) -> bool:
        """Whether nothing would be found that is not in mind: only of tasks in mind it is known whose they are."""
        return self._state.ledger.find(task_id) is not None

    def pass_command(self, task_id: str | None, message: ServerMessage) -> bool:
        """Whether a message of the server's can be acted on now: a finished task may be a peer's by now."""
        to_ask = isinstance(message, Spawn) and self._state.ledger.is_at_rest(message.task_id)
        return self._pass_upstream(task_id, message, to_ask=to_ask)

    def pass_report(self, connection: int, daemon: Daemon, report: DaemonMessage | Listed) -> bool:
        """Whether a message of a daemon's can be acted on now; its first list may name peers' tasks."""
        if isinstance(report, Heartbeat) and report.active_tasks and not daemon.reconciled:
            for task_id in sorted(report.active_tasks):
                if not self._is_known(task_id):
                    super().pass_report(connection, daemon, Listed(task_id))
        return super().pass_report(connection, daemon, report)
