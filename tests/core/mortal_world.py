"""A world in which time passes and the relay comes to its end, in one way or another, and begins anew."""

from __future__ import annotations

from collections import Counter

from makima_relay.core.outbox import KEEP_AFTER
from tests.core.world import World


class MortalWorld(World):
    """Looks at what is left of the reports that a relay had."""

    def pass_time(self, seconds: float) -> None:
        """Let time pass; the relay is told whenever it wants to be."""
        end = self.now + seconds
        while self.now < end:
            self.now = max(self.now, min(end, self.relay.next_deadline() or end))
            self.told(self.relay.time_passed(self.now, self.wall))
            deadline = self.relay.next_deadline()
            assert deadline is None or deadline > self.now, "what is due is not done"

    def crash(self, *, lands: bool, performed: int) -> None:
        """Kill the relay anywhere in what it is doing, and start it again. Its peers live on."""
        just_now = {payload for payload, at in self.acted_on.items() if self.now - at < KEEP_AFTER}
        handed_over = set(self.queue.would_be().reports.values())
        self.queue.crash(lands=lands, performed=performed)
        lost = self._lost(just_now | handed_over | set(self.waiting_for_look_ups()))
        self.lose_server()
        self.links.clear()
        self._begin_again()
        assert not lost, f"reports are lost that came long ago: {lost}"

    def stop(self) -> None:
        """Stop the relay as it is meant to stop, and start it again."""
        self.told(self.relay.stopping())
        self.rest()
        for connection in sorted(self.machines):
            if connection in self.links:
                self.end(connection)
        if self.upstream is not None:
            self.lose_server()
            self.told(self.relay.upstream_lost(self.now, "the relay stops"))
        self.rest()
        self.told(self.relay.stopped(self.now))
        self.rest()
        lost = self._lost(set())
        self._begin_again()
        assert not lost, f"reports are lost though the relay was asked to stop: {lost}"

    def rest(self) -> None:
        """Do all that takes time."""
        self.queue.commit()
        while self.go_on():
            pass

    def _lost(self, may_go: set[bytes]) -> Counter[tuple[str, str]]:
        """The reports, by machine and task, that neither the server nor the store has, and that may not go."""
        safe = may_go | set(self.queue.store.reports.values())
        lost = Counter(owed for payload, owed in self.owed.items() if payload not in safe)
        return lost - self.refused

    def _begin_again(self) -> None:
        store = self.queue.store
        for daemon_id, daemon in self.daemons.items():
            daemon.connection = None
            daemon.draining = daemon_id in store.daemons and store.daemons[daemon_id].draining
        self.begin(store)
