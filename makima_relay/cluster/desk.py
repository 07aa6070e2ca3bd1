"""Stands between the engine and the cluster: tells the core what comes from other relays, and does what it decides.

An engine without a cluster knows nothing of it: the desk teaches its engine the further effects, and whom else to ask
about tasks that are not in mind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from makima_relay.clock import Clock
from makima_relay.cluster.membership import Membership
from makima_relay.cluster.summaries import Summaries
from makima_relay.core import cluster_effects, effects
from makima_relay.core.journal import Entry
from makima_relay.core.peers import Presence
from makima_relay.core.shared_keys import SharedName, shared_name
from makima_relay.core.tasks import Task
from makima_relay.engine import Engine

#: Seconds between two pieces of the directory that are written again: others have their turn.
_PAUSE = 0.01


class Desk:
    """The engine's :class:`~makima_relay.cluster.parts.ClusterUser`.

    :param engine: the relay's.
    """

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._relay = engine.relay

    def join(self, link: Membership, summaries: Summaries) -> None:
        """Have what the core decides carried to other relays, and shown there."""
        key_share, relay = link.key_share, self._relay

        def send(effect: cluster_effects.SendEntry) -> None:
            # What waited for a commit while the session ended would overtake what is sent again in the next.
            if effect.session == relay.cluster_session:
                link.send(effect.peer, effect.number, effect.payload)

        def take_back(effect: cluster_effects.TakeBack) -> None:
            if effect.session == relay.cluster_session:
                link.take_back(effect.peer)

        later = self._clock.reactor.callLater
        self._engine.learn(
            {
                cluster_effects.SendEntry: send,
                cluster_effects.AcknowledgeEntries: lambda effect: link.acknowledge(effect.peer, effect.number),
                cluster_effects.TakeBack: take_back,
                cluster_effects.RecordHolder: lambda effect: link.record(
                    effect.task_id, effect.attempt, effect.origin, effect.holder, effect.instead_of
                ),
                cluster_effects.RecordMore: lambda _: later(_PAUSE, self._record_more),
                cluster_effects.ForgetTasks: lambda effect: link.forget(effect.task_ids),
                cluster_effects.AnnouncePresence: lambda _: link.announce(),
                effects.SaveKey: lambda effect: key_share.share(effect.key.name),
                effects.RevokeKeys: lambda effect: key_share.share(effect.name),
                effects.SaveMachine: lambda effect: key_share.share_machine(effect.name, effect.machine_id),
                cluster_effects.SaveForeign: lambda effect: self._foreign_saved(effect.task, summaries),
                effects.SaveTask: lambda effect: summaries.task_saved(effect.task),
                effects.SaveDaemon: lambda effect: summaries.daemon_changed(effect.daemon_id),
                effects.SaveEntry: lambda effect: _of_daemon(effect.entry, summaries),
            },
            link.claim,
        )

    def _foreign_saved(self, task: Task, summaries: Summaries) -> None:
        """A daemon's load may be another, here and where it is shown."""
        if task.daemon_id is not None:
            self._engine.announcements.daemon_changed(task.daemon_id)
            summaries.daemon_changed(task.daemon_id)

    def _record_more(self) -> None:
        self._engine.act(self._relay.record_wanted())

    def _now(self) -> float:
        return self._clock.monotonic()

    # ----------------------------------------------------------------------------------------------- what comes

    def cluster_ready(self, acknowledged: Mapping[str, int]) -> None:
        """See :meth:`makima_relay.cluster.parts.ClusterUser.cluster_ready`; so for the others."""
        self._engine.act(self._relay.cluster_ready(self._now(), acknowledged))

    def cluster_lost(self, reason: str) -> None:
        """There is no session any more."""
        self._engine.act(self._relay.cluster_lost(self._now(), reason))

    def peer_present(self, presence: Presence) -> None:
        """Another relay renewed its presence."""
        self._engine.act(self._relay.peer_present(presence, self._now()))

    def peer_left(self, relay_id: str) -> None:
        """Another relay said good-bye."""
        self._engine.act(self._relay.peer_left(relay_id, self._now()))

    def entries_received(self, peer: str, entries: Sequence[tuple[int, bytes]]) -> None:
        """Another relay sent entries."""
        self._engine.act(self._relay.entries_received(peer, entries, self._now()))

    def entries_acknowledged(self, peer: str, up_to: int) -> None:
        """Another relay has acted on entries."""
        self._engine.act(self._relay.entries_acknowledged(peer, up_to, self._now()))

    def taken_back(self, peer: str, numbers: Sequence[int]) -> None:
        """Entries were taken out of another relay's inbox."""
        self._engine.act(self._relay.taken_back(peer, numbers, self._now()))

    def directory_listed(self, task_ids: Sequence[str]) -> None:
        """The directory names this relay as the origin of tasks."""
        self._engine.act(self._relay.directory_listed(task_ids))

    # ---------------------------------------------------------------------------------------------- daemon keys

    def keys_merged(self, names: Sequence[SharedName]) -> None:
        """Other relays say what they know of daemon keys."""
        self._engine.act(self._relay.keys_merged(names, self._now()))

    def machines_merged(self, name: str, machine_ids: Iterable[str]) -> None:
        """Other relays say which machines belong to a name."""
        self._engine.act(self._relay.machines_merged(name, machine_ids, self._now()))

    def key_names(self) -> list[str]:
        """All names that have keys, or had some that were taken back."""
        keys = self._relay.keys
        return [*(named.name for named in keys), *(name for name in keys.revoked if not keys.of(name))]

    def key_name(self, name: str) -> SharedName | None:
        """What is known of the keys of a name."""
        return shared_name(self._relay.keys, name)

    def machines_of(self, name: str) -> list[str]:
        """The machines that belong to the name of a daemon key."""
        keys = self._relay.keys
        return sorted(keys.named(name).machines) if keys.of(name) else []


def _of_daemon(entry: Entry, summaries: Summaries) -> None:
    """Whatever daemon the journal names may have changed, or gone."""
    daemon_id = entry.fields.get("daemonId")
    if isinstance(daemon_id, str):
        summaries.daemon_changed(daemon_id)
