"""Which fault comes when: made from a seed alone, so that a run can be had again."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from makima_relay.sandbox.chaos.faults import DAEMONS, LINK, PLAIN, REDIS, RELAY, UPSTREAM, Fault, Kind, Planned

#: Nothing fails at the end for this long, in seconds, or for this part of the run if that is shorter.
QUIET_END: Final = 12.0
_QUIET_PART: Final = 0.25
#: Mean seconds between faults, where nobody says otherwise.
_EVERY: Final = 3.0
#: No fault lasts longer, in seconds.
_LONGEST: Final = 12.0
_SHORTEST: Final = 0.2
#: Seconds after a fault before the next of its group.
_PAUSE: Final = 0.3
#: Seconds that the relay takes to start: else it would be killed again before it has done anything.
_RESTART: Final = {Kind.TERM: 1.0, Kind.KILL: 1.0}
_SHORT: Final = (0.2, 1.5)
#: Faults of Redis come so much more seldom in a run of this length, in seconds: relays try it later and later again.
_RARER: Final = (3.0, 180.0)
#: Of the faults for which the others may give a relay up, so many last long enough, by up to so many seconds.
_AWAY_CHANCE: Final = 0.25
_AWAY_LONGER: Final = 6.0
_AWAY: Final = (Kind.TERM, Kind.KILL, *LINK)


@attrs.frozen(kw_only=True)
class Plan:
    """What a schedule is made from. Times are in seconds.

    :ivar daemons: how many there are.
    :ivar grace: how long a daemon may be away without losing its tasks.
    :ivar every: mean time between faults; none for one that brings each kind at least once, and once a minute.
    :ivar relays: how many there are.
    :ivar patience: after how long an absence the others have surely given a relay up.
    """

    seed: int
    seconds: float
    daemons: int
    grace: float
    kinds: Sequence[Kind] = PLAIN
    every: float | None = None
    relays: int = 1
    patience: float = 0.0

    @property
    def end(self) -> float:
        """When all faults must be healed, in seconds after the beginning."""
        return self.seconds - min(QUIET_END, self.seconds * _QUIET_PART)


def schedule(plan: Plan) -> list[Planned]:
    """Make a schedule.

    :return: faults by time; all of them are healed some time before the end of the run.
    """
    planned: list[Planned] = []
    for group in (UPSTREAM, RELAY, DAEMONS, REDIS):
        chosen = [kind for kind in group if kind in plan.kinds]
        if chosen:
            for relay in range(plan.relays if group in (UPSTREAM, RELAY) else 1):
                planned += _Timeline(plan, chosen, relay).faults()
    return sorted(planned, key=lambda each: each.at)


class _Timeline:
    """Draws the faults of one group; where each relay has faults of its own, those of one relay.

    :param kinds: those of the group that are wanted.
    """

    def __init__(self, plan: Plan, kinds: Sequence[Kind], relay: int) -> None:
        self._plan = plan
        self._kinds = kinds
        self._relay = relay
        # Each draws from its own: what one does changes nothing about the others.
        group = next(group[0] for group in (UPSTREAM, RELAY, DAEMONS, REDIS) if kinds[0] in group)
        self._chance = random.Random(f"{plan.seed} {group}" + (f" {relay}" if relay else ""))  # noqa: S311
        share = len(plan.kinds) / len(kinds)
        if group in (UPSTREAM[0], RELAY[0]):
            share *= plan.relays
        elif group is REDIS[0]:
            share *= min(_RARER[0], max(1.0, plan.seconds / _RARER[1]))
        self._gap = (plan.every or min(_EVERY, plan.end / (len(plan.kinds) + 1))) * share

    def faults(self) -> Iterator[Planned]:
        """One after the other, until there is no time for more."""
        at = self._gap * self._chance.uniform(0.2, 0.5)
        for kind in self._draw():
            restart = _RESTART.get(kind, 0.0)
            room = self._plan.end - at - restart
            if room < _SHORTEST:
                return
            fault = self._fault(kind, room)
            if fault is not None:
                yield Planned(at, fault)
                over = at + _PAUSE + restart + (0.0 if kind in DAEMONS else fault.seconds)
                at = max(over, at + self._gap * self._chance.uniform(0.6, 1.2))

    def _draw(self) -> Iterator[Kind]:
        """Each kind once, in any order, again and again; at first those that take longest, so that they fit."""
        kinds = list(self._kinds)
        self._chance.shuffle(kinds)
        kinds.sort(key=lambda kind: kind is not Kind.LOSS and kind not in _RESTART)
        for _ in range(int(self._plan.seconds / _PAUSE) + 1):
            yield from kinds
            self._chance.shuffle(kinds)

    def _fault(self, kind: Kind, room: float) -> Fault | None:
        """Draw one fault.

        :param room: seconds that it may take.
        :return: none if it would take longer.
        """
        if kind in (Kind.CUT, Kind.RESET, Kind.REDIS_FLUSH):
            seconds = 0.0
        elif kind in (Kind.ABSENCE, Kind.MOVE):
            seconds = min(room, self._chance.uniform(0.1, 0.6) * self._plan.grace)
        elif kind is Kind.LOSS:
            seconds = self._plan.grace + self._chance.uniform(0.5, 3.0)
        else:
            seconds = min(room, self._seconds(kind))
        return None if seconds > room else Fault(kind, seconds, self._some_daemons(kind), self._some_relay(kind))

    def _some_relay(self, kind: Kind) -> int:
        """The one that it is drawn for, or any."""
        return self._chance.randrange(self._plan.relays) if kind is Kind.MOVE or kind in LINK else self._relay

    def _seconds(self, kind: Kind) -> float:
        """Short, or as long as the pace allows; sometimes as long as the other relays wait for one."""
        if self._plan.relays > 1 and kind in _AWAY and self._chance.random() < _AWAY_CHANCE:
            return self._plan.patience + self._chance.uniform(0.0, _AWAY_LONGER)
        longest = max(_SHORTEST, min(_LONGEST, 0.8 * self._gap - _RESTART.get(kind, 0.0)))
        bounds = _SHORT if self._chance.random() < 0.5 else (0.4 * longest, longest)
        return max(_SHORTEST, min(longest, self._chance.uniform(*bounds)))

    def _some_daemons(self, kind: Kind) -> tuple[int, ...]:
        """One daemon, or some, or all of them: with many, each of these is likely."""
        if kind not in DAEMONS:
            return ()
        most = self._plan.daemons
        count = self._chance.choice(
            [1, max(1, most // 4), max(1, most // 2) if kind in (Kind.LOSS, Kind.MOVE) else most]
        )
        return tuple(sorted(self._chance.sample(range(most), count)))
