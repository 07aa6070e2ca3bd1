"""Which relays cannot reach the others: what they may do then, and are forgiven, is more than usual.

A relay that was cut off is in order again only when it says that it has Redis: it tries that later and later.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

import attrs

#: For so long at least a relay's presence lasts when it is not renewed, in seconds: 15, less the 5 between two.
_UNNOTICED: Final = 10.0


@attrs.define(eq=False)
class _Site:
    """One relay.

    :ivar faults: how many faults keep it from the others.
    :ivar since: when the first of them began; none while it is in order.
    :ivar stuck_since: likewise, of it or of another that was in trouble then: to that it could pass nothing on.
    :ivar missed_since: from when on others may have noticed that it is not there; likewise.
    """

    faults: int = 0
    since: float | None = None
    stuck_since: float = 0.0
    missed_since: float | None = None


class Troubles:
    """The troubles of all relays. Times are monotonic seconds.

    :param relays: how many there are.
    :param patience: for how long the others wait at least for one that is away, in seconds.
    :param on_change: told the places of relays whose trouble begins or is over.
    """

    def __init__(self, relays: int, patience: float, on_change: Callable[[Collection[int]], object]) -> None:
        self._sites = [_Site() for _ in range(relays)]
        self._patience = patience
        self._on_change = on_change

    def began(self, places: Collection[int], now: float, *, alone: bool, says_so: bool = False) -> None:
        """Relays cannot reach the others from now on.

        :param alone: whether the others can reach each other, and so may give up what these have.
        :param says_so: whether they take leave; else they are missed when their presence is over.
        """
        for site in (self._sites[place] for place in places):
            site.faults += 1
            if site.since is None:
                site.stuck_since = min((each.since for each in self._sites if each.since is not None), default=now)
                site.since = now
            if alone:
                missed_since = now if says_so else now + _UNNOTICED
                site.missed_since = missed_since if site.missed_since is None else min(missed_since, site.missed_since)
        self._on_change(places)

    def healed(self, places: Collection[int]) -> None:
        """What kept relays from the others is mended; they have to notice yet."""
        for place in places:
            self._sites[place].faults -= 1

    def linked(self, place: int) -> None:
        """A relay said, after all faults, that it can reach the others."""
        site = self._sites[place]
        if site.since is not None and not site.faults:
            site.since = site.missed_since = None
            self._on_change((place,))

    def is_troubled(self, place: int) -> bool:
        """Whether a relay cannot reach the others, or may not know that it can."""
        return self._sites[place].since is not None

    def stuck_since(self, places: Collection[int]) -> float | None:
        """Since when the first of some relays could not pass on all that it had read; none if none is in trouble.

        :return: monotonic seconds.
        """
        sites = (self._sites[place] for place in places)
        return min((site.stuck_since for site in sites if site.since is not None), default=None)

    def is_given_up(self, place: int, now: float) -> bool:
        """Whether the others may have given up what a relay has of theirs."""
        missed_since = self._sites[place].missed_since
        return missed_since is not None and now - missed_since >= self._patience
