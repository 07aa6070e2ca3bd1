"""Who is there: tells the other relays how this one is, and finds out about them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IDelayedCall

from makima_relay.clock import Clock
from makima_relay.cluster.answers import read_acknowledged, read_sightings
from makima_relay.cluster.names import Names
from makima_relay.cluster.scripts import ANNOUNCE, LEAVE
from makima_relay.cluster.session import Session
from makima_relay.cluster.sightings import INTERVAL, Sighting, Sightings, encode_presence, read_sighting
from makima_relay.core.peers import Presence

#: Seconds between two presences that are announced at once.
_PROMPTLY: Final = 0.1


class RollCallUser(Protocol):
    """Who is told of the other relays."""

    def peer_present(self, presence: Presence) -> None:
        """Another relay renewed its presence."""

    def peer_left(self, relay_id: str) -> None:
        """Another relay said good-bye."""

    def entries_acknowledged(self, peer: str, up_to: int) -> None:
        """Another relay has acted on what it was sent, up to and with a number."""


class RollCall:
    """Says every few seconds that the relay is here, and looks who else is: a message about it may have been missed.

    :param user: told who is there.
    :param presence: tells how the relay is now.
    :param relay_id: the relay's own.
    :ivar sightings: the other relays.
    :ivar as_of: when it was last looked, in seconds since the epoch; none before the first time.
    """

    def __init__(
        self, user: RollCallUser, presence: Callable[[], Presence], names: Names, relay_id: str, clock: Clock
    ) -> None:
        self._user = user
        self._presence = presence
        self._names = names
        self._relay_id = relay_id
        self._clock = clock
        self.sightings = Sightings(relay_id)
        self.as_of: float | None = None
        self._session: Session | None = None
        self._acknowledged: dict[str, int] = {}
        self._beat_timer: IDelayedCall | None = None
        self._soon: IDelayedCall | None = None
        self._announced_at = 0.0

    @property
    def channels(self) -> list[str]:
        """Whose messages it wants."""
        return [self._names.presences, self._names.acknowledged(self._relay_id)]

    def begin(self, session: Session, acknowledged: Mapping[str, int]) -> Deferred[Any]:
        """Take part in a session.

        :param acknowledged: what others have acknowledged, as it is known already.
        :return: fires when all who are there were told.
        """
        self._session = session
        self._acknowledged = dict(acknowledged)
        self.sightings.begin()
        self._announce()
        self._beat_timer = self._clock.reactor.callLater(INTERVAL, self._beat)
        return self._look()

    def end(self) -> None:
        """Take part no more."""
        self._session = None
        for timer in (self._beat_timer, self._soon):
            if timer is not None and timer.active():
                timer.cancel()
        self._beat_timer = self._soon = None

    def leave(self, looked_at: bytes) -> Deferred[Any]:
        """Say good-bye, and take part no more.

        :param looked_at: the last entry of the inbox that was looked at; those behind it are unread again.
        :return: fires when it is said; never if there is no session, or it ends.
        """
        session, names = self._session, self._names
        self.end()
        if session is None:
            return Deferred()
        keys = [names.relay(self._relay_id), names.session(self._relay_id), names.inbox(self._relay_id)]
        return session.call(LEAVE, keys, [self._relay_id, session.run, names.presences, looked_at])

    # ------------------------------------------------------------------------------------------ saying it oneself

    def announce(self) -> None:
        """Tell the others at once how this relay is; several times in a moment count as once."""
        if self._session is not None and self._soon is None:
            wait = self._announced_at + _PROMPTLY - self._clock.monotonic()
            self._soon = self._clock.reactor.callLater(max(0.0, wait), self._announce)

    def _announce(self) -> None:
        self._soon = None
        session, names = self._session, self._names
        if session is None:
            return
        self._announced_at = self._clock.monotonic()
        kept = (names.session, names.inbox, names.sent, names.acknowledged)
        keys = [names.relay(self._relay_id), names.relays, *(name(self._relay_id) for name in kept)]
        said = encode_presence(self._presence())
        words = (self._relay_id, session.run, said, names.presences)
        session.call(ANNOUNCE, keys, words).addCallback(_announced, session)

    def _beat(self) -> None:
        self._beat_timer = self._clock.reactor.callLater(INTERVAL, self._beat)
        self._announce()
        self._look()
        if self._session is not None:
            self._session.ping_subscription()

    # -------------------------------------------------------------------------------------------- hearing of others

    @inlineCallbacks
    def _look(self) -> Generator[Deferred[Any], Any, None]:
        session, names = self._session, self._names
        if session is None:
            return
        acknowledged = session.command("HGETALL", names.acknowledged(self._relay_id))
        acknowledged.addCallback(lambda raw: self._tell_acknowledged(read_acknowledged(raw)))
        now = yield session.command("TIME")
        listed = read_sightings((yield session.command("HVALS", names.relays)))
        keys = [names.relay(sighting.relay_id) for sighting in listed]
        present = (yield session.command("MGET", *keys)) if keys else []
        if session is not self._session:
            return
        self.as_of = self._clock.wall()
        news, stale = self.sightings.looked(listed, read_sightings(present), int(now[0]) * 1_000_000)
        if stale:
            session.command("HDEL", names.relays, *stale)
        for presence in news:
            self._user.peer_present(presence)

    def message(self, channel: bytes, message: bytes) -> None:
        """Another relay said something."""
        if self._session is None:
            return
        if channel == self._names.presences.encode():
            self._sighted(read_sighting(message))
        else:
            number, _, relay_id = message.partition(b" ")
            self._tell_acknowledged(read_acknowledged([relay_id, number]))

    def _sighted(self, sighting: Sighting | None) -> None:
        if sighting is None or not self.sightings.is_news(sighting):
            return
        if sighting.presence is not None:
            self._user.peer_present(sighting.presence)
        else:
            self._user.peer_left(sighting.relay_id)

    def _tell_acknowledged(self, acknowledged: Mapping[str, int]) -> None:
        for relay_id, number in acknowledged.items():
            if self._session is not None and number > self._acknowledged.get(relay_id, 0):
                self._acknowledged[relay_id] = number
                self._user.entries_acknowledged(relay_id, number)


def _announced(answer: int | bytes, session: Session) -> None:
    """What is in Redis shows whether it is still the same, and the relay the only one with its id."""
    if answer == b"":
        session.fail("it was emptied: everything is told again")
    elif not isinstance(answer, int):
        session.fail("another relay has the same id: was its database copied from this one?")
