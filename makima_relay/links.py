"""The connections to the peers, by number: sends and closes on them, and knows who is read.

A daemon is not read while the core holds it, nor while the database cannot be written. The server is read even then,
so that its new tasks can be refused, until what else it sends has filled the room for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from makima_relay.core import effects
from makima_relay.ports import DaemonLink, UpstreamLink

#: Bytes of the server's messages that may wait for the database; then the server is not read either.
MOST_WAITING: Final = 1 << 20
#: What each of them takes besides its own bytes, about: it is logged, and answered.
_OVERHEAD: Final = 1 << 10
#: Bytes that are gathered at most before they are sent: joining them takes as much memory once more.
_MOST_GATHERED: Final = 1 << 20


class Links:
    """All connections that are live.

    :ivar is_suspended: whether the database cannot be written at the moment.
    """

    def __init__(self) -> None:
        self._daemons: dict[int, DaemonLink] = {}
        self._held: set[int] = set()
        self._upstream: tuple[int, UpstreamLink] | None = None
        self._server_held = False
        self._congested = False
        self._waiting = 0
        self._gathering = False
        self._gathered = 0
        self._for_daemons: dict[int, list[bytes]] = {}
        self._for_server: list[bytes] = []
        self._last_for_server = 0
        self.is_suspended = False

    # ---------------------------------------------------------------------------------------------- who is there

    def daemon_joined(self, connection: int, link: DaemonLink) -> None:
        """There is a daemon more."""
        self._daemons[connection] = link

    def daemon_gone(self, connection: int) -> None:
        """Nothing can be sent to a daemon any more; nothing happens if it was gone already."""
        self._daemons.pop(connection, None)
        self._held.discard(connection)

    def upstream_ready(self, connection: int, link: UpstreamLink) -> None:
        """There is a connection to the server."""
        self._upstream = (connection, link)
        self._server_held = self._congested = False
        self._hold_or_read_server()

    def upstream_lost(self) -> None:
        """There is none any more."""
        self._upstream = None

    # --------------------------------------------------------------------------------------------- what they get

    def gather(self) -> None:
        """Let what is to be sent wait for :meth:`send_gathered`, so that each peer gets its part in one write.

        What goes to different peers may change places: nobody can tell, and all of it is committed.
        """
        self._gathering = True

    def send_gathered(self) -> None:
        """Send what was gathered, each peer's in its order, and gather no more."""
        self._gathering = False
        self._flush()

    def _flush(self) -> None:
        if not self._gathered:
            return
        self._gathered = 0
        for_daemons, self._for_daemons = self._for_daemons, {}
        for connection, payloads in for_daemons.items():
            # To send to one may find out that another is gone.
            link = self._daemons.get(connection)
            if link is not None:
                link.send(payloads)
        reports, self._for_server = self._for_server, []
        if reports and self._upstream is not None:
            self._upstream[1].send_reports(reports, self._last_for_server)

    def _count(self, payloads: Sequence[bytes]) -> None:
        self._gathered += sum(map(len, payloads))
        if self._gathered > _MOST_GATHERED:
            self._flush()

    def send_upstream(self, effect: effects.SendUpstream) -> None:
        """Send the server one message; if that connection is gone, nothing."""
        if self._upstream is None or self._upstream[0] != effect.connection:
            return
        if effect.number is None:
            self._flush()
            self._upstream[1].send(effect.payload, None)
        else:
            self._report(self._upstream[1], (effect.payload,), effect.number)

    def send_reports(self, effect: effects.SendReports) -> None:
        """Send the server reports; if that connection is gone, nothing."""
        if self._upstream is not None and self._upstream[0] == effect.connection:
            self._report(self._upstream[1], effect.payloads, effect.number)

    def _report(self, link: UpstreamLink, payloads: Sequence[bytes], number: int) -> None:
        if not self._gathering:
            link.send_reports(payloads, number)
            return
        if self._last_for_server != number - len(payloads):
            self._flush()
        self._for_server += payloads
        self._last_for_server = number
        self._count(payloads)

    def answer_server(self, payload: bytes) -> None:
        """Send the server what does not wait for a commit."""
        if self._upstream is not None:
            self._upstream[1].send(payload, None)

    def send_to_daemon(self, effect: effects.SendToDaemon) -> None:
        """Send a daemon one message; if that connection is gone, nothing."""
        link = self._daemons.get(effect.connection)
        if link is None:
            return
        if self._gathering:
            self._for_daemons.setdefault(effect.connection, []).append(effect.payload)
            self._count((effect.payload,))
        else:
            link.send((effect.payload,))

    def close_daemon(self, effect: effects.CloseDaemon) -> None:
        """Close a connection to a daemon."""
        self._flush()
        link = self._daemons.get(effect.connection)
        self.daemon_gone(effect.connection)
        if link is not None:
            link.close(effect.code, effect.reason)

    # -------------------------------------------------------------------------------------------------- who is read

    def hold(self, connection: int) -> None:
        """Read a daemon no more."""
        link = self._daemons.get(connection)
        if link is not None:
            self._held.add(connection)
            link.pause()

    def release(self, connection: int) -> None:
        """Read a daemon again, as far as it is for the core to say."""
        self._held.discard(connection)
        link = self._daemons.get(connection)
        if link is not None and not self.is_suspended:
            link.resume()

    def suspend(self) -> None:
        """The database cannot be written: read no daemon."""
        self.is_suspended = True
        self._waiting = 0
        for link in self._daemons.values():
            link.pause()
        self._hold_or_read_server()

    def resume(self) -> None:
        """The database can be written again: read whom the core does not hold."""
        self.is_suspended = False
        for connection, link in self._daemons.items():
            if connection not in self._held:
                link.resume()
        self._hold_or_read_server()

    def waits(self, size: int) -> None:
        """Something of the server's waits for the database.

        :param size: bytes.
        """
        self._waiting += size + _OVERHEAD
        self._hold_or_read_server()

    def congested(self, *, congested: bool) -> None:
        """The server does not take what it is sent, or does again."""
        self._congested = congested
        self._hold_or_read_server()

    def _hold_or_read_server(self) -> None:
        """While it takes no refusals, or has sent too much that waits, the server is not read."""
        hold = self.is_suspended and (self._congested or self._waiting > MOST_WAITING)
        if self._upstream is not None and hold != self._server_held:
            self._server_held = hold
            if hold:
                self._upstream[1].pause()
            else:
                self._upstream[1].resume()
