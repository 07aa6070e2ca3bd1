"""One connection that has not authenticated."""

from __future__ import annotations

from makima_relay.limits.guard import Guard


class Stranger:
    """Its place among the strangers, to be given up once: when it is gone, or has authenticated.

    :param guard: counts it; has let it in.
    :param address: where it comes from.
    """

    __slots__ = ("_address", "_guard")

    def __init__(self, guard: Guard, address: object) -> None:
        self._guard: Guard | None = guard
        self._address = address

    def known(self) -> None:
        """It is no stranger any more; nothing happens if that is known."""
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.leave(self._address)
