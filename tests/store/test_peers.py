"""What the database has of other relays: what is known of them, and the entries toward them."""

from __future__ import annotations

from makima_relay.core.cluster_effects import DropEntries, ForgetEntries, KeepEntry, SavePeer, SaveReceived
from makima_relay.core.snapshot import StoredPeer
from tests.store.case import StoreTestCase


class PeerTests(StoreTestCase):
    """Names, and the numbers of what peers were told and told."""

    def peers(self) -> tuple[StoredPeer, ...]:
        """What the next relay has of them."""
        return self.reopen().peers

    def test_a_peer_is_taken_up_with_its_name(self) -> None:
        """That of the last time."""
        self.write(SavePeer("relay-b", "old", 1.0), SavePeer("relay-b", "edge-b", 2.0))
        self.write(SavePeer("relay-a", "edge-a", 3.0))
        names = [("relay-a", "edge-a"), ("relay-b", "edge-b")]
        self.assertEqual(self.peers(), tuple(StoredPeer(relay_id=each, agent_name=name) for each, name in names))

    def test_what_was_received_is_known_by_its_highest_number(self) -> None:
        """Of each peer, also of one that was never seen; its name does not change that."""
        self.write(SaveReceived("relay-b", 3), SaveReceived("relay-c", 1), SaveReceived("relay-b", 5))
        self.write(SavePeer("relay-b", "edge-b", 2.0))
        self.assertEqual([(each.agent_name, each.received) for each in self.peers()], [("edge-b", 5), ("", 1)])

    def test_entries_are_taken_up_oldest_first(self) -> None:
        """Of each peer its own, byte for byte."""
        self.write(KeepEntry("relay-b", 1, b"\x00\xff"), KeepEntry("relay-c", 1, b"c"), KeepEntry("relay-b", 2, b""))
        first, second = self.peers()
        self.assertEqual((first.entries, first.next_number), (((1, b"\x00\xff"), (2, b"")), 3))
        self.assertEqual((second.entries, second.next_number), (((1, b"c"),), 2))

    def test_acknowledged_entries_are_gone_and_their_numbers_are_not_used_again(self) -> None:
        """Those of other peers stay, and those above."""
        self.write(*(KeepEntry(peer, number, b"x") for number in (1, 2, 3) for peer in ("relay-b", "relay-c")))
        self.write(KeepEntry("relay-b", 4, b"y"), ForgetEntries("relay-b", 3))
        self.assertEqual([each.entries for each in self.peers()], [((4, b"y"),), ((1, b"x"), (2, b"x"), (3, b"x"))])
        self.write(ForgetEntries("relay-b", 4))
        first = self.peers()[0]
        self.assertEqual((first.entries, first.next_number), ((), 5))

    def test_entries_that_were_taken_back_are_gone(self) -> None:
        """Also those of the same batch; their numbers are not used again."""
        self.write(*(KeepEntry("relay-b", number, b"x") for number in (1, 2, 3, 4)), DropEntries("relay-b", (2, 4)))
        (peer,) = self.peers()
        self.assertEqual(([number for number, _ in peer.entries], peer.next_number), ([1, 3], 5))
