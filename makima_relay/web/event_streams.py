"""All who read events: brings each what is new, a few at a time, and sees to it that they may be here.

Everybody reads from one memory, at its own pace: a slow reader takes no room but the little that its transport holds,
and is dropped when it takes nothing any more. However many there are, the relay does other things in between.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.web.iweb import IRequest

from makima_relay.announcements import Announcements
from makima_relay.clock import Clock
from makima_relay.core.output import Outputs
from makima_relay.web.event_feed import EventFeed
from makima_relay.web.event_reader import Reader, Wanted
from makima_relay.web.problems import ProblemError
from makima_relay.web.site import settle_down

#: Readers that are served in one turn of the reactor: what else comes waits for them.
_AT_A_TIME: Final = 8
#: After a round the next one waits for so many times as long as it took, but not longer than this, in seconds.
_REST: Final = 10
_LONGEST_REST: Final = 1.0
#: A round that has taken so many seconds brings nobody one more piece.
_LONG: Final = 0.1
#: Seconds between two looks at who is slow and whom nothing was sent for long, and so many looks between two at who
#: may be here, and at the daemons' health.
_LOOK: Final = 1.0
_LOOKS: Final = 15
_RETRY_AFTER: Final = {"Retry-After": "10"}


class EventStreams:
    """The readers.

    :param feed: what there is to read.
    :param announcements: tell when there is something new.
    :param outputs: told which tasks are followed.
    :param most: how many readers there may be.
    :param is_admitted: whether whoever made a request may still read.
    :param on_refused: called for each for whom there is no room.
    """

    def __init__(
        self,
        feed: EventFeed,
        announcements: Announcements,
        outputs: Outputs,
        clock: Clock,
        most: int,
        is_admitted: Callable[[IRequest], bool],
        on_refused: Callable[[], object],
    ) -> None:
        self._feed = feed
        self._announcements = announcements
        self._outputs = outputs
        self._clock = clock
        self._most = most
        self._is_admitted = is_admitted
        self._on_refused = on_refused
        self._readers: dict[Reader, None] = {}
        self._followers: Counter[str] = Counter()
        self._queue: deque[Reader] = deque()
        self._round: IDelayedCall | None = None
        self._is_news = False
        self._round_began = 0.0
        self._rested_at = 0.0
        self._look: IDelayedCall | None = None
        self._looks = 0
        self._ended = False
        announcements.listeners.append(self.serve)

    def __len__(self) -> int:
        return len(self._readers)

    # ----------------------------------------------------------------------------------------- coming and going

    def open(self, request: IRequest, wanted: Wanted) -> Deferred[bytes]:
        """Begin to answer a request with events.

        :return: fires with the end of the answer; to cancel it is to say that the reader is gone.
        :raises ProblemError: 503 when there are too many readers, or the relay stops.
        """
        if self._ended:
            raise ProblemError(503, "the relay stops", _RETRY_AFTER)
        if len(self._readers) >= self._most:
            self._on_refused()
            raise ProblemError(503, f"there are {self._most} readers of events already", _RETRY_AFTER)
        settle_down(request)
        reader = Reader(self._feed, request, wanted, self._clock.monotonic(), self._serve_on)
        self._readers[reader] = None
        if wanted.task_id is not None:
            self._followers[wanted.task_id] += 1
            self._outputs.followed.add(wanted.task_id)
        if self._look is None:
            self._look = self._clock.reactor.callLater(_LOOK, self._look_around)
        self.serve()
        gone: Deferred[bytes] = Deferred(lambda _: self._forget(reader))
        reader.done.chainDeferred(gone)
        return gone

    def _forget(self, reader: Reader) -> None:
        if reader not in self._readers:
            return
        del self._readers[reader]
        if reader.task_id is not None:
            self._followers[reader.task_id] -= 1
            if not self._followers[reader.task_id]:
                del self._followers[reader.task_id]
                self._outputs.followed.discard(reader.task_id)

    def end_all(self) -> None:
        """End all answers, and begin none any more."""
        self._ended = True
        for reader in list(self._readers):
            self._end(reader)
        for timer in (self._look, self._round):
            if timer is not None and timer.active():
                timer.cancel()

    def _end(self, reader: Reader) -> None:
        self._forget(reader)
        reader.end()

    def check_again(self) -> None:
        """End the answers to all who may not read any more."""
        for reader in [each for each in self._readers if not self._is_admitted(each.request)]:
            self._end(reader)

    # -------------------------------------------------------------------------------------------------- serving

    def serve(self) -> None:
        """There is something new: bring it to everybody, soon."""
        self._is_news = True
        if self._round is None and self._readers and not self._ended:
            wait = max(0.0, self._rested_at - self._clock.monotonic())
            self._round = self._clock.reactor.callLater(wait, self._begin_round)

    def _serve_on(self, reader: Reader) -> None:
        """A reader has taken what it was sent: it gets what else there is."""
        if reader in self._readers:
            self._queue.append(reader)
            if self._round is None:
                self._round_began = self._clock.monotonic()
                self._round = self._clock.reactor.callLater(0, self._go_on)

    def _begin_round(self) -> None:
        self._is_news = False
        self._round_began = self._clock.monotonic()
        self._queue.extend(self._readers)
        self._go_on()

    def _go_on(self) -> None:
        """Serve some, and then let the reactor do other things."""
        self._round = None
        began = self._clock.monotonic()
        is_long = began - self._round_began > _LONG
        for _ in range(min(_AT_A_TIME, len(self._queue))):
            reader = self._queue.popleft()
            if reader in self._readers and reader.serve(began):
                if is_long:
                    self._is_news = True
                else:
                    self._queue.append(reader)
        if self._queue:
            self._round = self._clock.reactor.callLater(0, self._go_on)
            return
        # With what the reactor did in between: most of it was to send what was written.
        ended = self._clock.monotonic()
        self._rested_at = ended + min(_REST * (ended - self._round_began), _LONGEST_REST)
        if self._is_news:
            self.serve()

    def _look_around(self) -> None:
        self._look = None
        now = self._clock.monotonic()
        for reader in [each for each in self._readers if each.is_too_slow(now)]:
            self._forget(reader)
            reader.drop()
        self._looks += 1
        if self._looks % _LOOKS == 0:
            self.check_again()
            self._announcements.look_at_health()
        if self._readers:
            self._look = self._clock.reactor.callLater(_LOOK, self._look_around)
            self.serve()
