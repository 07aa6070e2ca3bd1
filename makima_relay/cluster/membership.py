"""A relay's membership in its cluster: it keeps a session to Redis, and carries what the core decides to other relays.

Lifecycle: :meth:`Membership.start`; sessions come and go, with longer and longer waits while Redis cannot be used;
:meth:`Membership.leave` before the daemons are sent away, :meth:`Membership.stop` when everything is committed. The
relay goes on alone whenever there is no session.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from makima_relay.clock import Clock
from makima_relay.cluster.answers import read_acknowledged, read_directory, read_entries, read_numbers, within
from makima_relay.cluster.connection import Dial, RedisUnusableError
from makima_relay.cluster.inbox import Inbox
from makima_relay.cluster.key_share import KeyShare
from makima_relay.cluster.names import Names
from makima_relay.cluster.outgoing import Outgoing
from makima_relay.cluster.parts import ClusterUser, Part
from makima_relay.cluster.roll_call import RollCall
from makima_relay.cluster.session import Session
from makima_relay.connector_options import Backoff
from makima_relay.core.directory import DirectoryEntry
from makima_relay.core.peers import Presence

#: Seconds that the directory has to answer; then a task counts as unknown to all.
_CLAIM_TIMEOUT: Final = 1.0
#: Seconds that a good-bye may take.
_FAREWELL: Final = 1.0
#: Entries of the directory that are looked at in one go, about, and seconds until the next.
_PAGE: Final = 500
_PAUSE: Final = 0.01
#: A session that lived for so many seconds was a good one: after it the waits begin anew.
_GOOD: Final = 30.0


class Membership:
    """A member of the cluster.

    It is the engine's :class:`~makima_relay.ports.ClusterLink`.

    :param user: told what comes.
    :param presence: tells how the relay is now.
    :param relay_id: the relay's own id.
    :param dial: where Redis is.
    :param parts: what else takes part in each session.
    :ivar is_connected: whether there is a session.
    :ivar since: since when that is so, in seconds since the epoch.
    :ivar roll_call: knows who is there.
    :ivar key_share: tells other relays of daemon keys.
    """

    _log = Logger()

    def __init__(
        self,
        user: ClusterUser,
        presence: Callable[[], Presence],
        *,
        names: Names,
        relay_id: str,
        dial: Dial,
        clock: Clock,
        backoff: Backoff,
        parts: Sequence[Part] = (),
    ) -> None:
        self._user = user
        self._names = names
        self._relay_id = relay_id
        self.dial = dial
        self._clock = clock
        self._backoff = backoff
        self._parts = parts
        self.roll_call = RollCall(user, presence, names, relay_id, clock)
        self.is_connected = False
        self.since = clock.wall()
        self.key_share = KeyShare(user, names, clock.reactor)
        self._outgoing = Outgoing(names, relay_id, clock.reactor)
        self._session: Session | None = None
        self._inbox: Inbox | None = None
        self._opening: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None
        self._listing: Deferred[None] = succeed(None)
        self._live_since = 0.0
        self._waits = 0
        self._complaint: str | None = None
        self._stopped = False
        self._leaving = False

    # ------------------------------------------------------------------------------------------------ lifecycle

    def start(self) -> None:
        """Connect, and stay connected."""
        self._timer = None
        session = Session(self.dial, self._names, self._relay_id, self._clock.reactor)
        self._opening = self._open(session)
        self._opening.addErrback(self._failed)

    def redial(self, dial: Dial) -> None:
        """Go another way to Redis, at once if there is no session."""
        self.dial = dial
        if self._timer is not None:
            self._stop_waiting()
            self._waits = 0
            self.start()

    @inlineCallbacks
    def _open(self, session: Session) -> Generator[Deferred[Any], Any, None]:
        yield session.open([*self.roll_call.channels, *self.key_share.channels])
        session.on_lost = self._lost
        session.on_message = self._message
        raw = yield session.command("HGETALL", self._names.acknowledged(self._relay_id))
        self._opening = None
        self._begin(session, read_acknowledged(raw))

    def _begin(self, session: Session, acknowledged: dict[str, int]) -> None:
        """Use a session: the engine is told of it, then of who is there, then of what came."""
        self._session = session
        self._change(is_connected=True)
        self._live_since = self._clock.monotonic()
        self._complaint = None
        self._log.info("joined the cluster of relays at {url}", url=str(self.dial.url))
        self._outgoing.begin(session)
        self._inbox = Inbox(session, self._relay_id, self._user.entries_received, self._drop)
        self._user.cluster_ready(dict(acknowledged))
        known = self.roll_call.begin(session, acknowledged)
        known.addCallback(self._read, self._inbox).addErrback(session.broke)

    def _message(self, channel: bytes, message: bytes) -> None:
        if channel == self._names.keys.encode():
            self.key_share.message(message)
        else:
            self.roll_call.message(channel, message)

    def _read(self, _: object, inbox: Inbox) -> None:
        """Read what came, now that those are known from whom it came."""
        if inbox is self._inbox and self._session is not None:
            inbox.start()
            for part in (self.key_share, *self._parts):
                part.begin(self._session)
            self._listing = self._list_directory(self._session)
            self._listing.addErrback(lambda failure: failure.trap(CancelledError))

    @inlineCallbacks
    def _list_directory(self, session: Session) -> Generator[Deferred[Any], Any, None]:
        """Tell page by page what the directory says of this relay's tasks: it may have missed that some have ended."""
        cursor, raw = yield session.command("HSCAN", self._names.tasks, "0", "COUNT", _PAGE)
        while True:
            own = [task_id for task_id, entry in read_directory(raw).items() if entry.origin == self._relay_id]
            if own:
                self._user.directory_listed(own)
            if cursor == b"0":
                return
            # Others have their turn.
            yield deferLater(self._clock.reactor, _PAUSE)
            cursor, raw = yield session.command("HSCAN", self._names.tasks, cursor, "COUNT", _PAGE)

    def leave(self) -> Deferred[None]:
        """Take the presence away, so that no relay hands anything more to this one; what it has to say still goes.

        :return: fires when that is done, or has taken too long.
        """
        self._leaving = True
        self._stop_waiting()
        if self._inbox is None:
            return self._give_up_opening()
        self._inbox.stop()
        self._listing.cancel()
        self.key_share.end()
        return within(self.roll_call.leave(self._inbox.last), _FAREWELL, self._clock).addCallback(lambda _: None)

    def _give_up_opening(self) -> Deferred[None]:
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """Send what is left, and disconnect.

        :return: fires when that is done, or has taken too long.
        """
        self._stopped = self._leaving = True
        self._end_parts()
        self.roll_call.end()
        self._outgoing.flush()
        self._stop_waiting()
        if self._session is None:
            return self._give_up_opening()
        # It is answered after all that was sent before.
        return within(self._session.command("PING"), _FAREWELL, self._clock).addCallback(self._disconnect)

    def _disconnect(self, _: object) -> None:
        session, self._session = self._session, None
        self._outgoing.end()
        if session is not None:
            session.close()

    def _lost(self, reason: str) -> None:
        self._session = self._inbox = None
        self._end_parts()
        self._outgoing.end()
        self.roll_call.end()
        self._change(is_connected=False)
        if self._clock.monotonic() - self._live_since > _GOOD:
            self._waits = 0
        if not self._stopped:
            self._user.cluster_lost(reason)
            self._retry(reason)

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        self._opening = None
        if failure.check(RedisUnusableError):
            self._retry(failure.getErrorMessage())
        else:
            self._log.failure("the connection to Redis cannot be made", failure)
            self._retry("there is a bug")

    def _retry(self, reason: str) -> None:
        """Try again later; the same complaint is made once."""
        if self._leaving:
            return
        delay = self._backoff.delay(self._waits)
        self._waits += 1
        if reason != self._complaint:
            self._complaint = reason
            words = "Redis at {url} cannot be used, the relay goes on alone: {reason}; next attempt in {delay:.1f} s"
            self._log.warn(words, url=str(self.dial.url), reason=reason, delay=delay)
        self._timer = self._clock.reactor.callLater(delay, self.start)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end_parts(self) -> None:
        self._listing.cancel()
        for part in (self.key_share, *self._parts):
            part.end()

    def _change(self, *, is_connected: bool) -> None:
        self.is_connected = is_connected
        self.since = self._clock.wall()

    # -------------------------------------------------------------------------------------------------- entries

    @property
    def session(self) -> Session | None:
        """The session, if there is one."""
        return self._session

    def announce(self) -> None:
        """See :meth:`makima_relay.ports.ClusterLink.announce`."""
        self.roll_call.announce()

    def _drop(self, places: Sequence[bytes]) -> None:
        self._outgoing.acknowledge("", 0, places)

    def send(self, peer: str, number: int, payload: bytes) -> None:
        """See :meth:`makima_relay.ports.ClusterLink.send`."""
        self._outgoing.send(peer, number, payload)

    def acknowledge(self, peer: str, number: int) -> None:
        """See :meth:`makima_relay.ports.ClusterLink.acknowledge`."""
        if self._inbox is not None:
            self._outgoing.acknowledge(peer, number, self._inbox.acknowledged(peer, number))

    def take_back(self, peer: str) -> None:
        """See :meth:`makima_relay.ports.ClusterLink.take_back`."""
        self._outgoing.take_back(peer, lambda numbers: self._user.taken_back(peer, read_numbers(numbers)))

    # ------------------------------------------------------------------------------------------------ directory

    def claim(self, task_ids: Sequence[str]) -> Deferred[Mapping[str, DirectoryEntry]]:
        """See :meth:`makima_relay.ports.ClusterLink.claim`."""
        if self._session is None:
            # The engine is in the middle of something.
            return deferLater(self._clock.reactor, 0, dict)
        found = self._outgoing.claim(task_ids).addCallback(lambda raw: read_entries(task_ids, raw))
        return within(found, _CLAIM_TIMEOUT, self._clock).addCallback(lambda entries: entries or {})

    def record(self, task_id: str, attempt: int, origin: str, holder: str, instead_of: str | None = None) -> None:
        """See :meth:`makima_relay.ports.ClusterLink.record`."""
        self._outgoing.record(task_id, DirectoryEntry(origin, holder, attempt), instead_of)

    def forget(self, task_ids: Sequence[str]) -> None:
        """See :meth:`makima_relay.ports.ClusterLink.forget`."""
        self._outgoing.forget(task_ids)
