"""What comes from the other relays of the cluster, and from Redis in between (``cluster.md``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from makima_relay.core.cluster import Cluster
from makima_relay.core.entries import (
    Adopted,
    Ended,
    Holding,
    Inquiry,
    Interrupt,
    InvalidEntryError,
    Moved,
    Offer,
    Placed,
    Relayed,
    Released,
    Reported,
    Returned,
    decode_entry,
)
from makima_relay.core.from_holders import FromHolders
from makima_relay.core.from_origins import FromOrigins
from makima_relay.core.heard import Heard
from makima_relay.core.inputs import told
from makima_relay.core.peers import Peer, Presence
from makima_relay.core.upstream_inputs import UpstreamInputs

#: Seconds between two journal entries that say that what a peer sent cannot be read.
_COMPLAINT_INTERVAL: Final = 10.0


class ClusterInputs(UpstreamInputs):
    """The inputs that come from peers."""

    _cluster: Cluster
    _from_origins: FromOrigins
    _from_holders: FromHolders
    _entry_doers: dict[type, Callable[[Peer, Any, float], None]]

    @told
    def cluster_ready(self, now: float, acknowledged: Mapping[str, int]) -> None:
        """Redis is there, for the first time or again, and may have lost everything.

        :param acknowledged: up to which number each peer has acted on entries of this relay, as far as Redis knows.
        """
        self._state.log(now, "redis_connected", "the other relays can be reached")
        self._cluster.ready(acknowledged, now)

    @told
    def cluster_lost(self, now: float, reason: str) -> None:
        """Redis is away."""
        if self._state.peers.is_connected:
            self._state.log(now, "redis_disconnected", f"the other relays cannot be reached: {reason}")
            self._cluster.lost(now)

    @told
    def peer_present(self, presence: Presence, now: float) -> None:
        """A peer said how it is."""
        if presence.relay_id != self._state.peers.relay_id:
            self._cluster.present(presence, now)

    @told
    def peer_left(self, relay_id: str, now: float) -> None:
        """A peer took leave."""
        peer = self._state.peers.get(relay_id)
        if peer is not None:
            self._cluster.left(peer, "it has stopped", now)

    @told
    def entries_received(self, peer: str, entries: Sequence[tuple[int, bytes]], now: float) -> None:
        """A peer's entries came.

        :param peer: its relay id.
        :param entries: as (number, payload), in the order in which they came; some may have come before.
        """
        sender = self._state.peers.known(peer, now)
        has_come_before = False
        for number, framed in entries:
            payload = sender.box.take(number, framed)
            if payload is None:
                has_come_before = True
            else:
                self._entry_received(Heard(sender, number, payload), now)
        if has_come_before:
            sender.box.acknowledge()

    def _entry_received(self, heard: Heard, now: float) -> None:
        try:
            heard.entry = decode_entry(heard.payload)
        except InvalidEntryError as error:
            self._complain(heard.peer, f"from a relay: {error}", now)
        if self._look_ups.pass_entry(heard):
            self._act_on_entry(heard, now)

    def _complain(self, peer: Peer, detail: str, now: float) -> None:
        if now >= peer.complain_at:
            peer.complain_at = now + _COMPLAINT_INTERVAL
            self._state.log(now, "invalid_message", detail, source="cluster", relayId=peer.relay)

    def _act_on_entry(self, heard: Heard, now: float) -> None:
        if isinstance(heard.entry, Inquiry):
            self._from_origins.asked(heard.peer, heard.number)
        elif heard.entry is not None:
            self._entry_doers[type(heard.entry)](heard.peer, heard.entry, now)
        heard.peer.box.acted_on(heard.number)

    def _make_entry_doers(self) -> dict[type, Callable[[Peer, Any, float], None]]:
        """What is done about each class of entries."""
        origins, holders = self._from_origins, self._from_holders
        return {
            Offer: origins.offered,
            Relayed: origins.commanded,
            Interrupt: origins.interrupted,
            Released: origins.released,
            Adopted: origins.adopted,
            Placed: holders.placed,
            Reported: holders.reported,
            Returned: holders.returned,
            Ended: holders.ended,
            Holding: holders.holding,
            Moved: holders.moved,
        }

    @told
    def entries_acknowledged(self, peer: str, up_to: int, now: float) -> None:
        """A peer has acted on every entry up to and with a number."""
        self._state.peers.known(peer, now).box.acknowledged(up_to)

    @told
    def taken_back(self, peer: str, numbers: Sequence[int], now: float) -> None:
        """Entries that a peer had not read were taken out of its inbox.

        :param numbers: of those entries.
        """
        self._cluster.taken_back(self._state.peers.known(peer, now), numbers, now)

    @told
    def directory_listed(self, task_ids: Sequence[str]) -> None:
        """The directory names this relay as the origin of tasks: those that it does not have are left over."""
        directory, unfinished, asked = (
            self._state.directory,
            self._state.ledger.unfinished,
            self._look_ups.lanes.is_asked,
        )
        left = [each for each in task_ids if unfinished(each) is None and not asked(each)]
        directory.forget(each for each in left if not directory.has_just_ended(each))

    @told
    def record_wanted(self) -> None:
        """Others have had their turn: more of the directory's entries are written again."""
        self._state.directory.go_on(self._state.ledger.unfinished)
