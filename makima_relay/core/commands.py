"""What the server's messages do (``protocol.md``, *Upstream: server → relay*), and an operator's cancel."""

from __future__ import annotations

from makima_relay.core.journal import printable
from makima_relay.core.messages import Command, ServerError, Spawn
from makima_relay.core.rejections import Rejection
from makima_relay.core.spelling import folded
from makima_relay.core.state import State
from makima_relay.core.takeovers import Takeovers
from makima_relay.core.tasks import BEFORE_DISPATCH, Task, TaskStatus

#: Types of one connection that are remembered as logged; a server that makes up more is not worth more lines.
_MOST_UNROUTABLE_TYPES = 1_000
#: Seconds between two journal entries that say that something was not taken.
_OVERLOAD_LOG_INTERVAL = 10.0
#: Journal entries of one kind about one connection; what the server does more often is told once in so many seconds.
_MOST_ENTRIES, _ENTRY_INTERVAL = 10, 10.0


class Commands:
    """Stores and dispatches tasks, routes commands.

    :param state: the relay's memory.
    :param takeovers: knows which tasks are a peer's.
    """

    def __init__(self, state: State, takeovers: Takeovers) -> None:
        self._state = state
        self._takeovers = takeovers
        self._logged_types: set[str] = set()
        self._log_overload_at = 0.0
        self._entries: dict[str, tuple[int, float]] = {}

    def new_connection(self) -> None:
        """Log the first of each unroutable type, and of each kind of trouble, again: a new connection begins."""
        self._logged_types.clear()
        self._entries.clear()

    def _log(self, now: float, event: str, detail: str, /, **fields: str | int | None) -> None:
        """Log what the server can have happen as often as it likes: an entry takes longer than its message."""
        count, at = self._entries.get(event, (0, now))
        if count < _MOST_ENTRIES or now >= at:
            self._entries[event] = count + 1, now + _ENTRY_INTERVAL
            self._state.log(now, event, detail, **fields)

    def spawn(self, message: Spawn, now: float) -> None:
        """Store a task and dispatch what can be; a duplicate is only counted."""
        state = self._state
        known = state.ledger.get(message.task_id)
        if known is not None and not known.finished:
            self._duplicate(message, now)
            return
        if self._takeovers.refuses(message.task_id, now):
            self._duplicate(message, now)
            reason = "another relay has this task, which is not finished"
            state.answer_server(state.composer.error("duplicate_task", reason, message.task_id))
            return
        if state.is_stopping:
            state.answer_server(self._refusal(message, "it is stopping"))
            return
        if self._is_full:
            self._overloaded("it has as much to do as it may", message.task_id, now)
            return
        at = state.wall(now)
        position = state.ledger.number()
        if known is None:
            task = Task(
                key=position,
                position=position,
                task_id=message.task_id,
                name=message.name,
                received_at=at,
                traceparent=message.traceparent,
            )
        else:
            task = known.asked_again(position, message.name, at, message.traceparent)
            state.outputs.forget(message.task_id)
        state.save(task, now, message.payload)
        self._takeovers.begin(task, now)
        state.dispatch_waiting(now)

    def _duplicate(self, message: Spawn, now: float) -> None:
        self._state.rejected[Rejection.DUPLICATE_TASK] += 1
        self._log(now, "duplicate_task", "spawnTask for a task that is not finished", taskId=message.task_id)

    @property
    def _is_full(self) -> bool:
        """Whether more than is allowed waits for daemons: somebody has to be told, before the memory is full."""
        state = self._state
        policy = state.policy
        return (
            state.ledger.counts[TaskStatus.PENDING] >= policy.most_pending or state.waiting.size >= policy.most_waiting
        )

    def _overloaded(self, reason: str, task_id: str, now: float) -> None:
        """Tell the server that something is not taken because too much waits already."""
        state = self._state
        state.answer_server(state.composer.error("overloaded", f"the relay does not take this: {reason}", task_id))
        state.rejected[Rejection.OVERLOADED] += 1
        if now >= self._log_overload_at:
            self._log_overload_at = now + _OVERLOAD_LOG_INTERVAL
            state.log(now, "overloaded", f"something of the server's was not taken: {reason}", taskId=task_id)

    def refusal(self, message: Spawn) -> bytes | None:
        """What to answer a task that cannot be stored now; none for one that is known, which is a duplicate."""
        known = self._state.ledger.get(message.task_id)
        if known is not None and not known.finished:
            return None
        return self._refusal(message, "its database cannot be written")

    def _refusal(self, message: Spawn, reason: str) -> bytes:
        return self._state.composer.error("unavailable", f"the relay takes no new task: {reason}", message.task_id)

    def route(self, message: Command, now: float) -> None:
        """Hand a command to the daemon that it is for."""
        state = self._state
        task = None if message.task_id is None else state.ledger.get(message.task_id)
        if task is not None and not task.finished:
            self._route_to_holder(message, task, now)
            return
        daemon = None if message.daemon_id is None else state.fleet.get(message.daemon_id)
        if daemon is not None and daemon.connection is not None:
            state.relay_command(daemon, message.payload)
        else:
            self._unroutable(message, now)

    def _route_to_holder(self, message: Command, task: Task, now: float) -> None:
        state = self._state
        holder = state.holder(task)
        if task.status is TaskStatus.PENDING and message.withdraws:
            self._withdraw(task, now)
        elif holder is None or not holder.is_there or task.is_offered:
            self._keep(message, task, now)
        elif holder.may_return and state.peers.are_full:
            self._overloaded("too much waits for other relays", task.task_id, now)
        else:
            state.hand_on(holder, task, message.payload)

    def _keep(self, message: Command, task: Task, now: float) -> None:
        """Let a command wait, if there is room; what would stop the task always has some."""
        state = self._state
        waiting = len(state.waiting.commands(task.task_id))
        is_full = waiting >= state.policy.most_commands or state.waiting.size >= state.policy.most_waiting
        if is_full and not (message.withdraws and not state.waiting.will_stop(task.task_id)):
            self._overloaded(f"{waiting} commands wait for its daemon", task.task_id, now)
        else:
            state.keep_command(task, message.payload)

    def _withdraw(self, task: Task, now: float) -> None:
        self._state.fail_unreported(task, TaskStatus.CANCELLED, BEFORE_DISPATCH, now)
        # It may have been the one for which all others waited.
        self._state.dispatch_waiting(now)

    def _unroutable(self, message: Command, now: float) -> None:
        self._state.rejected[Rejection.UNROUTABLE] += 1
        shown = printable(message.type)
        word = folded(shown)
        if word not in self._logged_types and len(self._logged_types) < _MOST_UNROUTABLE_TYPES:
            self._logged_types.add(word)
            self._state.log(
                now,
                "unroutable",
                f"no daemon to relay {shown} to",
                type=message.type,
                taskId=message.task_id,
                daemonId=message.daemon_id,
            )

    def server_error(self, message: ServerError, now: float) -> None:
        """Note what the server complains about."""
        self._log(
            now, "upstream_error", f"the server says: {message.message}", code=message.code, message=message.message
        )

    def invalid(self, reason: str, now: float) -> None:
        """Answer a message that cannot be read."""
        self._state.rejected[Rejection.INVALID_MESSAGE] += 1
        self._state.answer_server(self._state.composer.error("invalid_message", reason))
        self._log(now, "invalid_message", f"from the server: {reason}", source="upstream")

    def cancel(self, task: Task, now: float) -> None:
        """Do what an operator's cancel asks: withdraw a pending task, have the holder of another interrupt it."""
        state = self._state
        holder = state.holder(task)
        if task.status is TaskStatus.PENDING:
            self._withdraw(task, now)
        elif holder is None or not holder.is_there or task.is_offered:
            if not state.waiting.will_stop(task.task_id):
                state.keep_command(task, None)
        else:
            state.hand_on(holder, task, None)
