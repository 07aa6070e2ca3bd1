"""Which relays there are: what they say of themselves, checked, and each told once."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Annotated, Any, Final

import msgspec

from makima_relay.core.peers import Presence

#: Seconds between two presences of a relay, for which it is listed when it has none, and bytes of one at most.
INTERVAL: Final = 5.0
LISTED: Final = 3600.0
#: What a relay's id looks like.
RELAY_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_LONGEST: Final = 8 << 10
#: What is older than what was seen, by no more than this, is only late: seconds. Beyond, Redis's clock was set back.
_LATEST: Final = 60.0
_SECOND: Final = 1_000_000


class Sighting(msgspec.Struct, frozen=True):
    """A presence or a good-bye.

    :ivar at: when it was, in microseconds since the epoch, by Redis's clock.
    :ivar left: the id of the relay that says good-bye.
    """

    at: Annotated[int, msgspec.Meta(ge=0, le=(1 << 53) - 1)]
    presence: Presence | None = None
    left: str | None = None

    @property
    def relay_id(self) -> str:
        """Whose it is."""
        return self.left or (self.presence.relay_id if self.presence is not None else "")


_decode = msgspec.json.Decoder(Sighting).decode
encode_presence = msgspec.json.Encoder().encode


def read_sighting(text: object) -> Sighting | None:
    """Read what is in Redis; none of what is no sighting."""
    if not isinstance(text, bytes) or len(text) > _LONGEST:
        return None
    try:
        sighting = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    presence = sighting.presence
    if presence is not None and not math.isfinite(presence.oldest_pending_seconds):
        return None
    return sighting if RELAY_ID.fullmatch(sighting.relay_id) else None


class Sightings:
    """The other relays, as they were last seen.

    :param relay_id: the relay's own, which is none of them.
    :ivar latest: of each its last presence, with whether it is present.
    """

    def __init__(self, relay_id: str) -> None:
        self._relay_id = relay_id
        self._seen: dict[str, int] = {}
        self.latest: dict[str, tuple[Sighting, bool]] = {}

    def begin(self) -> None:
        """Forget what was told: whoever is there now is news."""
        self._seen = {}

    def is_news(self, sighting: Sighting) -> bool:
        """Note a sighting.

        :return: whether it is another relay's and newer than what was known; else nobody needs to hear of it.
        """
        relay_id = sighting.relay_id
        before = self._seen.get(relay_id, -1)
        # A good-bye may be of the same moment as the presence that it ends.
        is_old = sighting.at < before or (sighting.at == before and sighting.left is None)
        if relay_id == self._relay_id or (is_old and before - sighting.at <= _LATEST * _SECOND):
            return False
        self._seen[relay_id] = sighting.at
        if sighting.left is None:
            self.latest[relay_id] = sighting, True
        elif relay_id in self.latest:
            self.latest[relay_id] = self.latest[relay_id][0], False
        return True

    def looked(self, listed: Iterable[Sighting], present: Iterable[Sighting], now: int) -> tuple[list[Any], list[str]]:
        """Note what is in Redis now: messages may have been missed.

        :param listed: the last presences of all that are listed.
        :param present: the presences that have not vanished.
        :param now: Redis's time, in microseconds since the epoch.
        :return: the presences that are news, and the ids of those that need not be listed any more.
        """
        there = {sighting.relay_id: sighting for sighting in present if sighting.presence is not None}
        stale = []
        for sighting in listed:
            relay_id = sighting.relay_id
            if now - sighting.at > LISTED * _SECOND:
                stale.append(relay_id)
                self.latest.pop(relay_id, None)
            elif relay_id != self._relay_id and relay_id not in there:
                self.latest[relay_id] = sighting, False
        news = [sighting.presence for sighting in there.values() if self.is_news(sighting)]
        return news, stale
