"""Shows results as text."""

from __future__ import annotations

from benchmarks.model import Column, Result


def shown(result: Result) -> str:
    """A result as a table with medians, spread and ratios."""
    measurement = result.measurement
    first = next(iter(result.samples))
    titles = ["", *(column.title for column in measurement.columns), f"{first} ÷ it"]
    lines = [titles]
    for label in result.samples:
        cells = [_cell(result, label, column) for column in measurement.columns]
        ratio = result.ratio(label)
        lines.append([label, *cells, "" if ratio is None else f"{ratio:.2f}"])
    heading = f"{measurement.name}: {measurement.title}"
    goal = f"\n  wanted: {measurement.goal}" if measurement.goal else ""
    return f"{heading}{goal}\n{_aligned(lines)}\n"


def _cell(result: Result, label: str, column: Column) -> str:
    middle = result.median(label, column.key)
    if middle is None:
        return ""
    spread = f" ±{result.spread(label, column.key):.0%}" if len(result.values(label, column.key)) > 1 else ""
    return f"{middle:,.{column.digits}f}{spread}"


def _aligned(lines: list[list[str]]) -> str:
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    shown = []
    for line in lines:
        cells = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        shown.append("  " + "  ".join([line[0].ljust(widths[0]), *cells]).rstrip())
    return "\n".join(shown)
