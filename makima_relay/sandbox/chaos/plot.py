"""Draws the relay's memory and database over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from makima_relay.sandbox import SandboxError
from makima_relay.sandbox.chaos.gauges import Reading

#: More points than this say nothing more.
_MOST_POINTS: Final = 600
_MIB: Final = 1 << 20


def check_plotting() -> None:
    """Make sure that there is something to draw with.

    :raises SandboxError: saying how to install it.
    """
    _pygal()


def _pygal() -> Any:
    try:
        import pygal  # type: ignore[import-untyped]
    except ImportError:
        raise SandboxError("--plot needs pygal: pip install 'makima-relay[plots]'") from None
    return pygal


def draw(readings: Sequence[Reading], title: str, path: Path) -> None:
    """Draw readings.

    :param path: where the SVG is written.
    :raises SandboxError: when it cannot be.
    """
    step = max(1, -(-len(readings) // _MOST_POINTS))
    shown = readings[::step]
    # Nothing is fetched from elsewhere when somebody looks at it.
    quiet = {"js": (), "show_dots": False, "truncate_legend": -1, "legend_at_bottom": True}
    chart = _pygal().XY(title=title, x_title="seconds", y_title="MiB", include_x_axis=True, **quiet)
    chart.add("resident memory", [(each.at, each.rss / _MIB) for each in shown if each.rss is not None])
    chart.add("database and its log", [(each.at, each.database / _MIB) for each in shown])
    try:
        chart.render_to_file(str(path))
    except OSError as error:
        raise SandboxError(f"--plot {path}: {error.strerror}") from None
