"""Whether the relay is well: its database can be written, its ports are open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet import defer
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IListeningPort
from twisted.python.failure import Failure

from makima_relay.clock import Clock
from makima_relay.engine import Engine
from makima_relay.origin import is_loopback
from makima_relay.ports import StoreUnavailableError
from makima_relay.store import SQLiteStore

#: A commit that succeeded so lately proves that the database can be written, in seconds.
_FRESH = 1.0
#: A disk that takes longer than this, in seconds, cannot be written.
_PATIENCE = 2.0


class Health:
    """Answers for ``/health`` and ``/readyz``, and for who may use the admin routes.

    :param engine: knows of its commits.
    :param store: can try one.
    """

    def __init__(self, engine: Engine, store: SQLiteStore, clock: Clock) -> None:
        self._engine = engine
        self._store = store
        self._clock = clock
        self._ports: Sequence[IListeningPort] = ()
        self._proven_at: float | None = None
        self._asking: list[Deferred[bool]] = []

    def opened(self, ports: Sequence[IListeningPort]) -> None:
        """Learn which ports are open."""
        self._ports = ports

    @property
    def listening(self) -> bool:
        """Whether anybody can connect."""
        return bool(self._ports)

    def only_loopback(self) -> bool:
        """Whether nobody from another machine can connect."""
        return self.listening and all(map(_is_local, self._ports))

    @inlineCallbacks
    def writable(self) -> Any:
        """Whether the database can be written; tried out when nothing was written lately.

        :return: a Deferred of a boolean.
        """
        if self._engine.is_suspended:
            return False
        last = max(self._engine.last_commit, self._proven_at or 0.0)
        if self._clock.monotonic() - last <= _FRESH:
            return True
        asking: Deferred[bool] = Deferred()
        self._asking.append(asking)
        if len(self._asking) == 1:
            self._prove().addCallback(self._tell)
        return (yield asking)

    def _tell(self, writable: bool) -> None:
        """Tell all who have asked meanwhile: everybody may, and commits must not wait behind a write for each."""
        asking, self._asking = self._asking, []
        for each in asking:
            each.callback(writable)

    @inlineCallbacks
    def _prove(self) -> Any:
        try:
            yield self._store.prove_writable().addTimeout(_PATIENCE, self._clock.reactor)
        except (StoreUnavailableError, defer.TimeoutError):
            return False
        except Exception:
            # The file is damaged: the same commit of the engine's would fail for good.
            self._engine.break_off(Failure())
            return False
        self._proven_at = self._clock.monotonic()
        return True


def _is_local(port: IListeningPort) -> bool:
    address = port.getHost()
    if isinstance(address, IPv4Address | IPv6Address):
        return is_loopback(address.host)
    return isinstance(address, UNIXAddress)
