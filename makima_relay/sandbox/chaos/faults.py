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


#: Faults of a group never overlap; those of daemons do, as there are many daemons.
UPSTREAM: Final = (Kind.CUT, Kind.STALL, Kind.BLACKHOLE, Kind.REFUSE)
RELAY: Final = (Kind.DISK, Kind.TERM, Kind.KILL)
DAEMONS: Final = (Kind.RESET, Kind.ABSENCE, Kind.LOSS)


@attrs.frozen
class Fault:
    """One fault.

    :ivar seconds: how long it lasts: of a relay that is stopped or killed, how long it stays away.
    :ivar daemons: the places of the daemons that it concerns.
    """

    kind: Kind
    seconds: float = 0.0
    daemons: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = f" of {len(self.daemons)}" if self.daemons else ""
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
