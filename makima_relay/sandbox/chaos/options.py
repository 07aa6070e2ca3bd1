"""What an experiment is to be."""

from __future__ import annotations

from pathlib import Path

import attrs

from makima_relay.sandbox.chaos.faults import PLAIN, Kind


@attrs.frozen(kw_only=True)
class ChaosOptions:
    """What an experiment is to be. Times are in seconds.

    :ivar rate: reports a second, of all daemons together.
    :ivar relays: how many work as one.
    :ivar on_daemon_loss: the relay's setting.
    :ivar kinds: the faults that are played.
    :ivar small_disk: whether the database is on a file system of its own, which only root can make.
    :ivar every: mean time between faults; none for what suits the length.
    :ivar plot: where a drawing goes, if anywhere.
    :ivar figures: where all figures go as JSON, if anywhere.
    """

    seconds: float
    seed: int
    daemons: int
    rate: float
    relays: int = 1
    on_daemon_loss: str = "requeue"
    kinds: tuple[Kind, ...] = PLAIN
    small_disk: bool = False
    every: float | None = None
    plot: Path | None = None
    figures: Path | None = None
