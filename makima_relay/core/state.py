"""What the rules share: the relay's memory, and the small moves of which every rule is made.

A move changes the memory at once and notes what has to be done outside. Nothing here decides; that is
:mod:`~makima_relay.core.commands`, :mod:`~makima_relay.core.reports` and :mod:`~makima_relay.core.losses`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from makima_relay.core import effects
from makima_relay.core.cluster_effects import SaveForeign
from makima_relay.core.composer import COMPOSERS
from makima_relay.core.directory import Directory
from makima_relay.core.entries import Released
from makima_relay.core.fleet import Daemon, Fleet
from makima_relay.core.flow import Flow
from makima_relay.core.journal import Journal
from makima_relay.core.keys import DaemonKeys
from makima_relay.core.ledger import Ledger
from makima_relay.core.outbox import Outbox
from makima_relay.core.output import Outputs
from makima_relay.core.peers import Peer, Peers
from makima_relay.core.policy import LossPolicy, Policy
from makima_relay.core.rejections import Rejection
from makima_relay.core.snapshot import Snapshot, StoredTask
from makima_relay.core.tally import Tally
from makima_relay.core.tasks import FINISHED, Task, TaskStatus
from makima_relay.core.waiting import Waiting

#: Who may have a task.
Holder = Daemon | Peer


class State:
    """The relay's memory and the effects that a running input has noted so far.

    :param policy: the settings.
    :param snapshot: what an earlier run left.
    :param redact: blacks out secrets in what is logged.
    :ivar is_stopping: whether no task is begun any more: everybody is about to be sent away.
    """

    def __init__(self, policy: Policy, snapshot: Snapshot, redact: Callable[[str], str] = str) -> None:
        self.policy = policy
        self.fleet = Fleet(policy.health_timeout)
        self.keys = DaemonKeys(snapshot.keys)
        self.ledger = Ledger(snapshot.next_key, snapshot.total_finished)
        self.outbox = Outbox(snapshot.backlog)
        self.flow = Flow(policy.outbox_limit, self.outbox, self.note)
        self.journal = Journal(snapshot.entries, redact)
        self.composer = COMPOSERS[policy.wire_case]
        self.waiting = Waiting()
        self.outputs = Outputs(policy.keep_output)
        self.rejected: Counter[Rejection] = Counter()
        self.tally = Tally()
        self.is_stopping = False
        self._clock_offset = 0.0
        self._effects: list[effects.Effect] = []
        self.peers = Peers(policy.relay_id, snapshot.peers, self.note)
        self.directory = Directory(policy.relay_id, self.note)
        #: Which daemon held a task before a peer was offered it: should that return it, the daemon may be back with it.
        self.held_before: dict[str, str] = {}

    # ------------------------------------------------------------------------------------------- time and effects

    def set_clock(self, now: float, wall: float) -> None:
        """Learn which wall-clock time belongs to a monotonic one, both in seconds."""
        self._clock_offset = wall - now

    def wall(self, now: float) -> float:
        """The wall-clock time, in seconds since the epoch, of a monotonic one."""
        return now + self._clock_offset

    def note(self, effect: effects.Effect) -> None:
        """Have something done, after all that was noted before."""
        self._effects.append(effect)

    def take_effects(self) -> list[effects.Effect]:
        """Hand over what was noted, in order."""
        taken, self._effects = self._effects, []
        return taken

    def log(self, now: float, event: str, detail: str, /, **fields: str | int | None) -> None:
        """Write an event into the journal."""
        self.note(effects.SaveEntry(self.journal.write(self.wall(now), event, detail, fields)))

    # -------------------------------------------------------------------------------------- reports and messages

    def relay_report(self, task: Task | None, payload: bytes, now: float, *, kept: bool = False) -> None:
        """Send a report to whose task it is about: the server, or a peer; now or as soon as that is there again.

        :param task: none for a report that is about no task.
        :param kept: whether it must survive a crash, in one transaction with what was saved just before.
        """
        if task is not None and task.origin is not None and not task.detached:
            box = self.peers.known(task.origin, now).box
            box.report(task.task_id, task.attempts, str(task.daemon_id), payload)
            if self.peers.are_full:
                self._hold(self.fleet.get(str(task.daemon_id)))
            return
        number = self.outbox.add(payload, now, kept=kept)
        if kept:
            self.note(effects.KeepReport(number, payload))
        self.flow.reports_added(number, [payload])

    def _hold(self, daemon: Daemon | None) -> None:
        """Read a daemon no more until there is room for what it has to tell peers."""
        if daemon is not None and daemon.connection is not None and daemon.connection not in self.peers.held:
            self.peers.held.add(daemon.connection)
            daemon.held = True
            self.note(effects.HoldDaemon(daemon.connection))

    def relay_reports(self, payloads: Sequence[bytes], now: float) -> None:
        """Send reports to the server that need not survive a crash, now or as soon as it is there again."""
        self.flow.reports_added(self.outbox.add_all(payloads, now), payloads)

    def keep_output(self, runs: Sequence[tuple[str | None, int]], payloads: Sequence[bytes], now: float) -> None:
        """Keep for people to see what tasks have put out.

        :param runs: the task of each run of reports, or none, with the place where it begins.
        :param payloads: the reports, which came together; the sequence must never change.
        """
        if self.outputs.limit:
            for task_id in self.outputs.add_runs(runs, payloads, self.wall(now)):
                self.note(effects.AnnounceOutput(task_id))

    def keep_reports(self) -> None:
        """Have the reports that the server may not have survive whatever happens to the relay."""
        waiting = self.outbox.take_to_keep()
        if waiting:
            self.note(effects.KeepReports(waiting))

    def answer_server(self, payload: bytes) -> None:
        """Send the server something that only matters on this connection."""
        if self.flow.upstream is not None:
            self.note(effects.SendUpstream(self.flow.upstream, payload))

    def send(self, daemon: Daemon, payload: bytes) -> None:
        """Send a daemon a message; it must be connected to get it."""
        if daemon.connection is not None:
            self.note(effects.SendToDaemon(daemon.connection, payload))

    def relay_command(self, daemon: Daemon, payload: bytes) -> None:
        """Send a daemon what the server sent; it must be connected to get it."""
        if daemon.connection is not None:
            self.tally.relayed_down += len(payload)
            self.note(effects.SendToDaemon(daemon.connection, payload))

    def hand_on(self, holder: Holder, task: Task, payload: bytes | None) -> None:
        """Give a command to whoever has its task, and is there.

        :param payload: as it came; none for an ``interruptTask`` of the relay's own.
        """
        self.tally.relayed_down += len(payload or b"")
        holder.take_command(task, payload, self.note)

    def interrupt(self, daemon: Daemon, task_id: str) -> None:
        """Have a daemon stop a task that is not its own any more, once per connection."""
        if daemon.composer is not None and task_id not in daemon.interrupted:
            daemon.interrupted.add(task_id)
            self.send(daemon, daemon.composer.interrupt_task(task_id))

    # ----------------------------------------------------------------------------------------------------- tasks

    def take_up(self, stored: StoredTask) -> None:
        """Keep in mind an unfinished task from an earlier run."""
        task_id = stored.task.task_id
        self.ledger.put(stored.task)
        if stored.message is not None:
            self.waiting.put_message(task_id, stored.message)
        self.waiting.add_commands(task_id, stored.commands)
        self._take_hold(stored.task)

    def holder(self, task: Task) -> Holder | None:
        """Who has a task, there or not: a daemon or a peer."""
        if not task.at_work:
            return None
        if task.relay is not None:
            return self.peers.get(task.relay)
        return None if task.daemon_id is None else self.fleet.get(task.daemon_id)

    def save(self, task: Task, now: float, message: bytes | None = None) -> None:
        """Keep a task as it is from now on, and move it between the hands that hold it.

        :param message: its ``spawnTask``, when that is new.
        """
        before = self.ledger.put(task)
        if before is None or before.at_work != task.at_work or before.is_elsewhere_than(task):
            self._change_hands(before, task)
        if message is not None:
            self.waiting.put_message(task.task_id, message)
        if task.origin is not None:
            self.note(SaveForeign(task, self.wall(now)))
            return
        elsewhere = task.relay is not None or (before is not None and before.relay is not None)
        status_before = None if before is None else before.status
        self.note(effects.SaveTask(task, self.wall(now), message, status_before, elsewhere))

    def _change_hands(self, before: Task | None, task: Task) -> None:
        holder = None if before is None else self.holder(before)
        if holder is not None:
            self._crew(holder).release(holder, task.task_id)
        self._take_hold(task)

    def _take_hold(self, task: Task) -> None:
        holder = self.holder(task)
        if holder is not None:
            self._crew(holder).hold(holder, task.task_id)

    def _crew(self, holder: Holder) -> Any:
        """The fleet or the peers, whichever a holder belongs to; they are told the same."""
        return self.fleet if holder.relay is None else self.peers

    def moved(self, former: Holder | None, before: Task, task: Task) -> None:
        """Have all know that a task which somebody else had is where it is now.

        :param before: the task as it was.
        """
        if before.relay == task.relay or task.origin is not None:
            return
        self.directory.record(task)
        if isinstance(former, Peer):
            former.box.put(Released(task.task_id, before.attempts, former.box.taken))

    def finish(self, task: Task, status: TaskStatus, error: str | None, now: float) -> None:
        """End a task; whoever reports that to the server does so next."""
        assert status in FINISHED
        if task.origin is None:
            self.tally.finished[status] += 1
            self.directory.ended(task, now)
        self.save(task.ended(status, self.wall(now), error), now)
        self.waiting.drop_message(task.task_id)
        self.held_before.pop(task.task_id, None)
        self.drop_commands(task)
        self.outputs.finished(task.task_id)

    def fail_unreported(self, task: Task, status: TaskStatus, error: str, now: float) -> None:
        """End a task of which no daemon will tell the server, and tell it."""
        self.finish(task, status, error, now)
        self.relay_report(task, self.composer.task_failed(task.task_id, error), now, kept=True)

    def keep_command(self, task: Task, payload: bytes | None) -> None:
        """Let a command wait until its task has a daemon.

        :param payload: as it came; none for an ``interruptTask`` of the relay's own, which is spelled only when it
            is known how the daemon spells.
        """
        self.waiting.add_commands(task.task_id, [payload])
        self.note(effects.KeepCommand(task.key, payload))

    def drop_commands(self, task: Task) -> list[bytes | None]:
        """Take away the commands that wait for a task, in order."""
        commands = self.waiting.take_commands(task.task_id)
        if commands:
            self.note(effects.ForgetCommands(task.key))
        return commands

    def send_waiting_commands(self, task: Task, holder: Holder) -> None:
        """Hand the commands that wait for a task to whoever has it now; a peer may have to return it yet."""
        if holder.is_there and not task.is_offered:
            for payload in self.drop_commands(task):
                self.hand_on(holder, task, payload)

    # -------------------------------------------------------------------------------------------------- dispatch

    def dispatch_waiting(self, now: float) -> None:
        """Send the oldest pending tasks out while there are free slots (``protocol.md``, *Dispatch*).

        Those of daemons go first; what finds none there goes to a peer (``cluster.md``, *Rules*).
        """
        # Whose close overtakes what is sent, because that waits for a commit, would return without the task.
        while not self.is_stopping and (task := self.ledger.oldest_pending()) is not None:
            holder = self.fleet.least_loaded(now) or self.peers.next_free(task, now)
            if holder is None or holder.may_have(task, now):
                return
            self._dispatch(task, holder, now)

    def _dispatch(self, task: Task, holder: Holder, now: float) -> None:
        self._crew(holder).dispatched(holder, task.task_id)
        if holder.may_return and task.daemon_id is not None:
            self.held_before[task.task_id] = task.daemon_id
        task = task.dispatched(holder.daemon_id, self.wall(now), holder.relay)
        self.save(task, now)
        self.directory.dispatched(task)
        message = self.waiting.message(task.task_id)
        self.tally.relayed_down += len(message)
        holder.take_task(task, message, self.note)
        if self.policy.on_loss is LossPolicy.FAIL and not holder.may_return:
            self.waiting.drop_message(task.task_id)
        self.send_waiting_commands(task, holder)

    def save_daemon(self, daemon: Daemon, now: float) -> None:
        """Keep what is known of a daemon beyond its connection."""
        self.note(
            effects.SaveDaemon(daemon.daemon_id, daemon.machine_id, daemon.hostname, daemon.draining, self.wall(now))
        )
