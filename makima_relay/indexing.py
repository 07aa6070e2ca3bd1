"""Keeps the history quick to search: the texts of tasks are put side by side behind them."""

from __future__ import annotations

from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred

from makima_relay.clock import Clock
from makima_relay.rounds import Rounds

#: Seconds between two rounds; the first is at the start.
INTERVAL: Final = 60.0
#: The pause after a slice, in seconds.
PAUSE: Final = 0.05


class SearchedStore(Protocol):
    """What is needed of the store."""

    def keep_texts(self, number: int) -> Deferred[int | None]:
        """Keep the texts of the next stretch of tasks whose texts are not kept: some milliseconds.

        :param number: the first stretch that is looked at.
        :return: the next that is to be looked at; none when there is no other.
        """


class Indexer(Rounds):
    """Goes through the whole history at the start and then every minute; most of it is done already."""

    interval = INTERVAL
    subject = "making the history quick to search"

    def __init__(self, store: SearchedStore, clock: Clock) -> None:
        super().__init__(clock)
        self._store = store

    def make_round(self) -> Any:
        """See :meth:`makima_relay.rounds.Rounds.make_round`."""
        number = 0
        while (number := (yield self._store.keep_texts(number))) is not None:
            yield self.pause(PAUSE)
        return True
