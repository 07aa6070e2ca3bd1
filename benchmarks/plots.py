"""Draws curves as SVG."""

from __future__ import annotations

from pathlib import Path

import pygal  # type: ignore[import-untyped]

from benchmarks.measurements.curves import Curve
from benchmarks.model import Result


def draw(curve: Curve, result: Result, directory: Path) -> Path:
    """Draw one curve for each subject.

    :return: the file.
    """
    chart = pygal.XY(
        title=curve.title,
        x_title=curve.axis,
        y_title="CPU µs/report",
        logarithmic=True,
        xrange=(min(curve.points), max(curve.points)),
        x_labels=list(curve.points),
        js=[],
        legend_at_bottom=True,
    )
    for subject in curve.subjects():
        points = [(point, result.median(curve.label(subject, point), "cost")) for point in curve.points]
        chart.add(subject, [(x, y) for x, y in points if y])
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{curve.name}.svg"
    path.write_bytes(chart.render())
    return path
