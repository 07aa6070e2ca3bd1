"""What a model of the store has of other relays."""

from __future__ import annotations

from makima_relay.core.cluster_effects import DropEntries, ForgetEntries, KeepEntry, SavePeer, SaveReceived
from makima_relay.core.outbox import Backlog
from makima_relay.core.snapshot import StoredPeer

#: What is saved of peers and of the entries toward them.
OfPeers = SavePeer | SaveReceived | KeepEntry | ForgetEntries | DropEntries


class ModelPeers:
    """Peers and entries as the database has them.

    :ivar peer_entries: by peer and number.
    :ivar agent_names: of peers; what else is known of them likewise.
    """

    def __init__(self) -> None:
        self.peer_entries: dict[tuple[str, int], bytes] = {}
        self.agent_names: dict[str, str] = {}
        self.received: dict[str, int] = {}
        self.next_numbers: dict[str, int] = {}

    def change_peers(self, effect: OfPeers) -> None:
        """Write one of these."""
        match effect:
            case SavePeer(relay_id, agent_name):
                self.agent_names[relay_id] = agent_name
            case SaveReceived(peer, number):
                assert number > self.received.get(peer, 0), "what was acted on is acted on again"
                self.received[peer] = number
            case KeepEntry(peer, number, payload):
                assert number >= self.next_numbers.get(peer, 1), "an entry's number is used twice"
                self.peer_entries[peer, number] = payload
                self.next_numbers[peer] = number + 1
            case ForgetEntries(peer, up_to):
                kept = self.peer_entries.items()
                self.peer_entries = {each: payload for each, payload in kept if each[0] != peer or each[1] > up_to}
            case DropEntries(peer, numbers):
                for number in numbers:
                    self.peer_entries.pop((peer, number), None)

    def peers(self) -> tuple[StoredPeer, ...]:
        """What a relay takes up of them when it starts."""
        return tuple(map(self._peer, sorted({*self.agent_names, *self.received, *self.next_numbers})))

    def _peer(self, peer: str) -> StoredPeer:
        entries = {number: payload for (each, number), payload in self.peer_entries.items() if each == peer}
        return StoredPeer(
            relay_id=peer,
            agent_name=self.agent_names.get(peer, ""),
            received=self.received.get(peer, 0),
            next_number=self.next_numbers.get(peer, 1),
            entries=tuple(sorted(entries.items())),
        )


def backlog_of(payloads: dict[int, bytes]) -> Backlog:
    """What is told of numbered payloads before they are read."""
    if not payloads:
        return Backlog()
    return Backlog(min(payloads), max(payloads), len(payloads), sum(map(len, payloads.values())))
