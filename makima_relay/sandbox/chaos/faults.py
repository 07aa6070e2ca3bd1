"""What can fail, as values."""

from __future__ import annotations

import enum
from typing import Final

import attrs


class Kind(enum.StrEnum):
    """The kinds of faults; the words are those of ``--faults``."""

    #: Both sides of the upstream connection are reset.
    CUT = "cut"
    #: Nothing more is read from the relay, the connection stays.
    STALL = "stall"
    #: Everything is accepted, nothing is passed on or answered.
    BLACKHOLE = "blackhole"
    #: The connection is reset, and new ones are refused.
    REFUSE = "refuse"
    #: Daemons reset their connections and come back at once.
    RESET = "reset"
    #: They come back within the grace.
    ABSENCE = "absence"
    #: They come back when the grace is over.
    LOSS = "loss"
    #: The relay cannot write its database.
    DISK = "disk"
    #: The relay is stopped with SIGTERM and started again.
    TERM = "term"
    #: Likewise with SIGKILL.
    KILL = "kill"
    #: Daemons reset their connections and come back at another relay.
    MOVE = "move"
    #: Redis stands still (SIGSTOP).
    REDIS_STOP = "redis-stop"
    #: Redis is killed, and started again with its data.
    REDIS_KILL = "redis-kill"
    #: Likewise without.
    REDIS_LOSS = "redis-loss"
    #: Redis is emptied.
    REDIS_FLUSH = "redis-flush"
    #: A relay's connections to Redis are reset, and new ones are refused.
    REDIS_CUT = "redis-cut"
    #: What a relay sends to Redis is accepted and not passed on.
    REDIS_BLACKHOLE = "redis-blackhole"


#: Faults of a group never overlap; those of daemons do, as there are many daemons.
UPSTREAM: Final = (Kind.CUT, Kind.STALL, Kind.BLACKHOLE, Kind.REFUSE)
RELAY: Final = (Kind.DISK, Kind.TERM, Kind.KILL)
DAEMONS: Final = (Kind.RESET, Kind.ABSENCE, Kind.LOSS, Kind.MOVE)
REDIS: Final = (
    Kind.REDIS_STOP,
    Kind.REDIS_KILL,
    Kind.REDIS_LOSS,
    Kind.REDIS_FLUSH,
    Kind.REDIS_CUT,
    Kind.REDIS_BLACKHOLE,
)
#: Those of one relay's way to Redis.
LINK: Final = (Kind.REDIS_CUT, Kind.REDIS_BLACKHOLE)
#: Those that need several relays, and those that do not.
CLUSTERED: Final = (Kind.MOVE, *REDIS)
PLAIN: Final = tuple(kind for kind in Kind if kind not in CLUSTERED)


@attrs.frozen
class Fault:
    """One fault.

    :ivar seconds: how long it lasts: of a relay that is stopped or killed, how long it stays away.
    :ivar daemons: the places of the daemons that it concerns.
    :ivar relay: the place of the relay that it concerns; of daemons that move, the one that they go to.
    """

    kind: Kind
    seconds: float = 0.0
    daemons: tuple[int, ...] = ()
    relay: int = 0

    def __str__(self) -> str:
        where = f" of {len(self.daemons)}" if self.daemons else ""
        if self.kind is Kind.MOVE or self.relay:
            where += f" {'to' if self.daemons else 'at'} relay-{self.relay + 1}"
        return f"{self.kind}{where}" + (f" for {self.seconds:.1f} s" if self.seconds else "")


@attrs.frozen
class Planned:
    """A fault and when it begins.

    :ivar at: seconds after the beginning.
    """

    at: float
    fault: Fault

    @property
    def healed_at(self) -> float:
        """When it is over, in seconds after the beginning."""
        return self.at + self.fault.seconds
