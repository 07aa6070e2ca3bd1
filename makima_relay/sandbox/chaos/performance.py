"""Makes the experiment from beginning to end, and shows what it found."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec
from rich.console import Console
from rich.text import Text
from twisted.internet.defer import CancelledError

from makima_relay.sandbox import SandboxError
from makima_relay.sandbox.chaos.disk import Disk, LimitedFiles, SmallDisk
from makima_relay.sandbox.chaos.experiment import Experiment
from makima_relay.sandbox.chaos.figures import Figures
from makima_relay.sandbox.chaos.gauges import Reading
from makima_relay.sandbox.chaos.options import ChaosOptions
from makima_relay.sandbox.chaos.plot import check_plotting, draw
from makima_relay.sandbox.chaos.screen import Screen, screen_of
from makima_relay.sandbox.chaos.table import results

#: Where no terminal says how wide it is, in columns.
_PLAIN_WIDTH: Final = 160


async def perform(reactor: Any, options: ChaosOptions) -> int:
    """Make the experiment, and show what it found.

    :return: the exit status: 0 when nothing was found that must not be.
    :raises SandboxError: when it cannot be made.
    """
    if options.plot is not None:
        check_plotting()
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=_PLAIN_WIDTH)
    directory = Path(tempfile.mkdtemp(prefix="makima-relay-chaos-"))
    console.print(f"seed {options.seed}, in {directory}", soft_wrap=True)
    try:
        figures, readings = await _make(reactor, options, directory, screen_of(console))
    except CancelledError:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    console.print(results(figures))
    _write(options, figures, readings)
    found = figures.faults_found()
    if found:
        console.print(Text(f"not as it should be: {', '.join(found)}", "bold red"), soft_wrap=True)
        console.print(f"seed {options.seed}; logs and database are in {directory}", soft_wrap=True)
        return 1
    shutil.rmtree(directory, ignore_errors=True)
    return 0


async def _make(
    reactor: Any, options: ChaosOptions, directory: Path, screen: Screen
) -> tuple[Figures, Sequence[Reading]]:
    """Make the experiment, and leave nothing of it running."""
    with ExitStack() as stack:
        disks = [stack.enter_context(closing(_disk(directory, number, options))) for number in range(options.relays)]
        experiment = Experiment(reactor, options, directory, disks)
        try:
            return await experiment.play(screen), experiment.readings
        finally:
            screen.close()
            await experiment.stop()


def _disk(directory: Path, number: int, options: ChaosOptions) -> Disk:
    """Make the disk of a relay."""
    path = directory / (f"database-{number + 1}" if options.relays > 1 else "database")
    path.mkdir()
    return SmallDisk(path) if options.small_disk else LimitedFiles(path)


def _write(options: ChaosOptions, figures: Figures, readings: Sequence[Reading]) -> None:
    """Write the files that were asked for."""
    if options.plot is not None:
        title = f"{options.daemons} daemons, {options.rate:,.0f} reports a second, seed {options.seed}"
        draw(readings, title, options.plot)
    if options.figures is not None:
        try:
            options.figures.write_bytes(msgspec.json.format(msgspec.json.encode(attrs.asdict(figures))) + b"\n")
        except OSError as error:
            raise SandboxError(f"--json {options.figures}: {error.strerror}") from None
