"""Ends a relay that has nothing to do, where systemd keeps its socket: the next connection starts it again.

A hibernating relay is no process at all. It is not connected to the server and receives no tasks, so it is for those
whose daemons come when there is work for them; what it knows is in its database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from twisted.internet.interfaces import IDelayedCall

from makima_relay.clock import Clock
from makima_relay.endpoints import StartError, is_kept_by_systemd
from makima_relay.engine import Engine
from makima_relay.listener import Listener

#: Looked at least this often whether there is something to do, in seconds.
_LOOK_INTERVAL: Final = 1.0


def check_hibernation(after: float | None, listen: Iterable[str]) -> None:
    """See whether anybody could start a relay again that hibernates.

    :param after: ``--hibernate-after``.
    :param listen: the descriptions of the listening endpoints.
    :raises StartError: when nobody could.
    """
    if after is not None and not any(map(is_kept_by_systemd, listen)):
        raise StartError(
            "--hibernate-after: nothing would start the relay again; it takes --listen systemd:, a socket that systemd "
            "keeps open"
        )


class Hibernation:
    """Watches for how long a relay has had nothing to do.

    That is: no connection of any kind, no unfinished task (of another relay's either), nothing that the server or
    another relay may not have yet, and a database that can be written.

    :param after: seconds of that after which it hibernates; none for never.
    :param hibernate: called once then; it is to stop the relay.
    """

    def __init__(
        self, after: float | None, engine: Engine, listener: Listener, clock: Clock, hibernate: Callable[[], object]
    ) -> None:
        self._after = after
        self._engine = engine
        self._listener = listener
        self._clock = clock
        self._hibernate = hibernate
        self._since: float | None = None
        self._seen = 0
        self._timer: IDelayedCall | None = None

    def start(self) -> None:
        """Begin to count."""
        if self._after is not None:
            self._look(self._after)

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, after: float) -> None:
        self._timer = None
        now = self._clock.monotonic()
        if self._is_busy():
            self._since = None
        elif self._since is None:
            self._since = now
        left = after if self._since is None else self._since + after - now
        if left > 0:
            self._timer = self._clock.reactor.callLater(min(left, _LOOK_INTERVAL), self._look, after)
            return
        # What the server sends from now on would lie there until somebody connects.
        self._engine.stopping()
        self._engine.noted("hibernating", f"nothing to do for {after:g} s; the next connection starts the relay")
        self._hibernate()

    def _is_busy(self) -> bool:
        """Whether there is something to do, or was since the last look."""
        seen, self._seen = self._seen, self._listener.accepted
        is_visited = self._seen != seen or bool(self._listener.connections)
        return is_visited or not self._engine.relay.is_idle or self._engine.is_suspended
