"""Reads what tests ask of a page of Markdown: its links, anchors, tables and examples."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]
_FENCED = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@attrs.frozen
class Example:
    """A block between fences.

    :ivar info: what stands behind the opening fence.
    """

    info: str
    text: str


@attrs.frozen
class Page:
    """One page.

    :ivar path: its file.
    :ivar text: all of it.
    :ivar prose: the same without what is between fences.
    """

    path: Path
    text: str
    prose: str

    @property
    def name(self) -> str:
        """Its place in the repository."""
        return str(self.path.relative_to(ROOT))

    @property
    def examples(self) -> list[Example]:
        """What is between fences."""
        return [Example(found["info"], found["text"]) for found in _FENCED.finditer(self.text)]

    @property
    def links(self) -> list[str]:
        """Where its links lead."""
        return _LINK.findall(self.prose)

    @property
    def code(self) -> list[str]:
        """What is between backticks."""
        return _CODE.findall(self.prose)

    @property
    def anchors(self) -> set[str]:
        """What links can lead to in it: its headings, as GitHub makes anchors of them."""
        return {_anchor(heading) for heading in _HEADING.findall(self.prose)}

    def rows(self, first_cell: str) -> list[list[str]]:
        """The rows of the table whose heading begins with a cell."""
        lines = self.prose.splitlines()
        start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first_cell} |"))
        rows = []
        for line in lines[start + 2 :]:
            if not line.startswith("|"):
                break
            rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
        return rows


def _anchor(heading: str) -> str:
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")


def in_code(cell: str) -> list[str]:
    """What is between backticks in a cell."""
    return _CODE.findall(cell)


def page(name: str) -> Page:
    """A page by its place in the repository."""
    path = ROOT / name
    text = path.read_text(encoding="utf-8")
    return Page(path, text, _FENCED.sub("", text))


def all_pages() -> list[Page]:
    """Every page of the repository."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return [page(str(path.relative_to(ROOT))) for path in sorted(found)]
