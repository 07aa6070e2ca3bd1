"""What every input of a relay in a cluster ends with: what it made for peers goes out together."""

from __future__ import annotations

from makima_relay.core import effects
from makima_relay.core.cluster_effects import AnnouncePresence
from makima_relay.core.peers import MOST_BYTES
from makima_relay.core.state import State


class ClusteredState(State):
    """The memory of a relay that has peers."""

    _had_room = False
    _now = 0.0

    def set_clock(self, now: float, wall: float) -> None:
        """See :meth:`makima_relay.core.state.State.set_clock`."""
        super().set_clock(now, wall)
        self._now = now

    def take_effects(self) -> list[effects.Effect]:
        """Hand over what was noted, in order, with what was gathered for peers, and with what they are to know."""
        if any(peer.box.has_news for peer in self.peers):
            # What an entry brought is kept with its number: nobody sends it again once that is acknowledged.
            self.keep_reports()
        self.peers.settle()
        if self.peers.held and self.peers.size <= MOST_BYTES // 2:
            for connection in self.peers.held:
                self.note(effects.ReleaseDaemon(connection))
            self.peers.held.clear()
        has_room = self.fleet.least_loaded(self._now) is not None
        if has_room != self._had_room:
            self._had_room = has_room
            self.note(AnnouncePresence())
        return super().take_effects()
