"""How reports flow to the server: in order, in bounded pieces, and no faster than they can go on.

When the server does not keep up, or what waits in memory is not sent yet, or the outbox is full, each daemon is held
when it next sends something: it is not read until there is room again. Nothing is dropped (``protocol.md``, *Nothing is
lost*).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final

from makima_relay.core import effects
from makima_relay.core.outbox import MEMORY_LIMIT, Outbox

#: Bytes of backlog that are sent in one piece, and that are read back from the database at a time.
PIECE: Final = 1 << 20
PAGE: Final = 1 << 20
#: Daemons that are released at a time: what all have in their sockets would be read in one turn of the reactor.
_RELEASED_AT_A_TIME: Final = 32


class Flow:
    """Decides what is sent to the server next, and who is held.

    :param limit: bytes of reports in the database above which daemons are held.
    :param outbox: the reports.
    :param note: has something done.
    :ivar upstream: the number of the live upstream connection, or none.
    :ivar waiting: bytes of messages that wait for a look-up, and may yet come to be reports.
    :ivar held: the connections of daemons that are not read, in the order in which they were held.
    """

    def __init__(self, limit: int, outbox: Outbox, note: Callable[[effects.Effect], None]) -> None:
        self._limit = limit
        self._outbox = outbox
        self._note = note
        self._congested = False
        self._loading = False
        self._behind = False
        self.upstream: int | None = None
        self._releasing = False
        self.waiting = 0
        self.held: dict[int, None] = {}

    def upstream_ready(self, connection: int) -> None:
        """A new connection has been sent nothing yet; :meth:`send_on` begins."""
        self.upstream = connection
        self._congested = self._loading = self._behind = False
        self._outbox.begin()

    def upstream_lost(self) -> None:
        """Nothing can be sent; what comes is kept."""
        self.upstream = None
        self._congested = self._loading = self._behind = False
        self.release()

    def congested(self) -> None:
        """The server takes no more for now."""
        self._congested = True

    def drained(self) -> None:
        """The server takes more again."""
        self._congested = False
        self.send_on()
        self.release()

    # -------------------------------------------------------------------------------------------------- sending

    def reports_added(self, number: int, payloads: Sequence[bytes]) -> None:
        """Send the reports that were added last, if it is their turn.

        :param number: the number of the last.
        """
        if self.upstream is not None and not self._congested and self._outbox.take_latest(len(payloads)):
            self._send(self.upstream, payloads, number)

    def send_on(self) -> None:
        """Send the next piece of what waits."""
        if self.upstream is None or self._congested or self._loading:
            return
        page = self._outbox.next_page()
        if page is not None:
            self._loading, self._behind = True, False
            self._note(effects.LoadReports(self.upstream, *page, PAGE))
            return
        self._send_runs(self.upstream, self._outbox.take(PIECE))
        # Daemons together can send more in each turn of the reactor than a piece: then it would never catch up.
        self._behind = self._outbox.has_more
        if self._behind:
            self._note(effects.SendMore(self.upstream))
        else:
            self.release()

    def loaded(self, connection: int, reports: Sequence[tuple[int, bytes]], up_to: int) -> None:
        """Send what was read back.

        :param connection: the connection that it was read for; if that is gone, it is of no use.
        :param reports: as (number, payload), oldest first.
        :param up_to: no report up to this number was left out.
        """
        if connection != self.upstream:
            return
        self._loading = False
        known = self._outbox.acknowledged_up_to
        self._send_runs(connection, (report for report in reports if report[0] > known))
        self._outbox.page_sent(reports, up_to)
        if self._outbox.has_more:
            self._note(effects.SendMore(connection))

    def _send_runs(self, connection: int, reports: Iterable[tuple[int, bytes]]) -> None:
        """Send reports of ascending numbers: together where none is missing between them."""
        run: list[bytes] = []
        last = 0
        for number, payload in reports:
            if run and number != last + 1:
                self._send(connection, run, last)
                run = []
            run.append(payload)
            last = number
        if run:
            self._send(connection, run, last)

    def _send(self, connection: int, payloads: Sequence[bytes], number: int) -> None:
        if len(payloads) == 1:
            self._note(effects.SendUpstream(connection, payloads[0], number))
        else:
            self._note(effects.SendReports(connection, payloads, number))

    # -------------------------------------------------------------------------------------------------- holding

    @property
    def has_room(self) -> bool:
        """Whether the outbox takes reports at all."""
        return self._outbox.memory + self.waiting <= MEMORY_LIMIT and self._outbox.disk < self._limit

    def hold_if_needed(self, connection: int) -> bool:
        """Hold a daemon that has just sent something, if there is no room for more.

        :return: whether it is held.
        """
        if not self._congested and not self._behind and self.has_room:
            return False
        if connection not in self.held:
            self.held[connection] = None
            self._note(effects.HoldDaemon(connection))
        return True

    def forget(self, connection: int) -> None:
        """A daemon's connection is gone, held or not."""
        self.held.pop(connection, None)

    def release(self) -> None:
        """Read some daemons again, those first that were held first, when there is room for a good while."""
        if self._releasing or not self.held or not self._has_much_room:
            return
        for connection in list(islice(self.held, _RELEASED_AT_A_TIME)):
            del self.held[connection]
            self._note(effects.ReleaseDaemon(connection))
        if self.held:
            self._releasing = True
            self._note(effects.ReleaseMore())

    def release_more(self) -> None:
        """Others have had their turn."""
        self._releasing = False
        self.release()

    @property
    def _has_much_room(self) -> bool:
        outbox = self._outbox
        if self._congested or self._behind:
            return False
        return outbox.memory + self.waiting <= MEMORY_LIMIT // 2 and outbox.disk <= self._limit * 0.9
