"""Peers come and go (``cluster.md``, *Rules*), and Redis with them: what that means for tasks and for entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from makima_relay.core.cluster_effects import SavePeer, TakeBack
from makima_relay.core.commands import Commands
from makima_relay.core.entries import Inquiry, Offer, Relayed
from makima_relay.core.from_holders import FromHolders
from makima_relay.core.from_server import read_command
from makima_relay.core.grace import Graces
from makima_relay.core.losses import Losses
from makima_relay.core.messages import Command
from makima_relay.core.peers import Peer, Presence
from makima_relay.core.state import State

#: Seconds without a sign of a peer after which it is away.
AWAY_AFTER: Final = 15.0


class Cluster:
    """Notes who is there, and has tasks and entries go where they can.

    :param state: the relay's memory.
    :param losses: waits for those who are away.
    :param commands: routes commands anew that were taken back.
    :param holders: takes tasks back.
    """

    def __init__(self, state: State, losses: Losses, commands: Commands, holders: FromHolders) -> None:
        self._state = state
        self._losses = losses
        self._commands = commands
        self._holders = holders
        #: How long those are waited for whose tasks are here.
        self._origins = Graces()
        self._origins.deaf(0.0)

    # ----------------------------------------------------------------------------------------------------- Redis

    def ready(self, acknowledged: Mapping[str, int], now: float) -> None:
        """Redis is there: all peers have fresh time to be seen, and whoever is present is sent what it may not have."""
        state = self._state
        state.peers.is_connected = True
        state.peers.session += 1
        self._losses.peers_hearing(now)
        self._origins.hearing(now)
        for relay_id, number in acknowledged.items():
            state.peers.known(relay_id, now).box.acknowledged(number)
        for peer in state.peers:
            self._again(peer, now)
        state.directory.record_again(state.ledger.all_unfinished())
        state.directory.go_on(state.ledger.unfinished)

    def _again(self, peer: Peer, now: float) -> None:
        peer.seen_at = now
        peer.free = 0
        peer.box.acknowledge()
        if peer.is_there:
            peer.box.open(self._state.peers.session)
            peer.ask(now)
        elif peer.is_away:
            peer.asked_back = 0
            self._take_back(peer)

    def lost(self, now: float) -> None:
        """Redis is away: nobody's absence means anything, and nothing can be sent."""
        self._state.peers.is_connected = False
        self._losses.peers_deaf(now)
        self._origins.deaf(now)
        for peer in self._state.peers:
            peer.box.close()

    # ----------------------------------------------------------------------------------------------------- peers

    def present(self, presence: Presence, now: float) -> None:
        """A peer was seen."""
        state = self._state
        peer = state.peers.known(presence.relay_id, now)
        peer.says(presence)
        peer.seen_at = now
        if not peer.is_there:
            self._came(peer, now)
        state.dispatch_waiting(now)

    def _came(self, peer: Peer, now: float) -> None:
        """Send a peer all that it may not have, and ask which tasks it has."""
        state = self._state
        peer.is_there = True
        peer.is_away = peer.is_deserted = False
        self._origins.end(peer.relay)
        self._save(peer, now)
        state.log(now, "peer_connected", "a relay is present", relayId=peer.relay, agentName=peer.agent_name)
        peer.interrupted.clear()
        peer.box.open(state.peers.session)
        peer.ask(now)

    def left(self, peer: Peer, reason: str, now: float) -> None:
        """A peer is away; nothing happens if it was already."""
        if peer.is_away:
            return
        state = self._state
        peer.is_there, peer.is_away, peer.free = False, True, 0
        self._save(peer, now)
        state.log(now, "peer_disconnected", f"a relay is away: {reason}", relayId=peer.relay, agentName=peer.agent_name)
        self._losses.orphan_all(peer, now)
        self._origins.begin(peer.relay, state.policy.peer_grace, now)
        self._take_back(peer)

    def _take_back(self, peer: Peer) -> None:
        """Take back what a peer has not read; what Redis may not have is put there first, so that it counts."""
        session = self._state.peers.session
        peer.asked_back += 1
        peer.box.open(session)
        peer.box.close()
        self._state.note(TakeBack(peer.relay, session))

    def _save(self, peer: Peer, now: float) -> None:
        self._state.note(SavePeer(peer.relay, peer.agent_name, self._state.wall(now)))

    def expire(self, now: float) -> None:
        """Find out who is away, and whose server is not to be waited for any more."""
        state = self._state
        state.directory.expire(state.ledger.unfinished, now)
        if not state.peers.is_connected:
            return
        for peer in state.peers:
            if not peer.is_away and now - peer.seen_at >= AWAY_AFTER:
                self.left(peer, f"not seen for {AWAY_AFTER:g} s", now)
        while (relay_id := self._origins.pop(now)) is not None:
            self._losses.hosting.desert(state.peers.known(relay_id, now), now)

    # ----------------------------------------------------------------------------------------- what was not read

    def taken_back(self, peer: Peer, numbers: Sequence[int], now: float) -> None:
        """What an away peer has not read of tasks and commands can go elsewhere; the rest waits for its return."""
        peer.asked_back = max(0, peer.asked_back - 1)
        if peer.asked_back or not peer.is_away:
            # It was sent again meanwhile.
            return
        unread = peer.box.unsent().union(numbers)
        offers: list[Offer] = []
        commands: list[Relayed] = []
        dropped = []
        for number, entry in peer.box:
            if number in unread and isinstance(entry, Offer | Relayed | Inquiry):
                dropped.append(number)
                if isinstance(entry, Offer):
                    offers.append(entry)
                elif isinstance(entry, Relayed):
                    commands.append(entry)
        peer.box.drop(dropped)
        self._place_again(peer, offers, commands, now)

    def _place_again(self, peer: Peer, offers: Sequence[Offer], commands: Sequence[Relayed], now: float) -> None:
        ledger = self._state.ledger
        for offer in offers:
            task = ledger.get(offer.task_id)
            if task is not None and task.at_work and task.relay == peer.relay and task.attempts == offer.attempt:
                self._losses.end_grace(task.task_id)
                self._holders.take_back(task, now)
        for command in commands:
            self._command_again(command, now)
        self._state.dispatch_waiting(now)

    def _command_again(self, entry: Relayed, now: float) -> None:
        task = self._state.ledger.get(entry.task_id)
        if task is None or task.finished or task.attempts != entry.attempt:
            return
        if entry.payload is None:
            self._commands.cancel(task, now)
            return
        message = read_command(entry.payload)
        if isinstance(message, Command):
            self._commands.route(message, now)
