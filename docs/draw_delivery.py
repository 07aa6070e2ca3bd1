"""Draws ``docs/delivery.svg``, the sequence that ``docs/delivery.md`` explains: ``python docs/draw_delivery.py``."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

TITLE = "From a task to the proof that the server has its reports"
TEXT = """The server sends spawnTask; the relay stores it and only then sends it to the daemon. The daemon's
taskOutput goes through to the server at once; the relay pings, the pong proves that it arrived, and
the relay forgets it. Then the connection to the server is gone. The next taskOutput waits in memory
and is stored after 80 ms; taskComplete is stored at once, together with the task's new status. Only
then the relay answers the daemon's ping. When the server is back, what it may not have is sent
again in order; another ping and pong, and the relay forgets that too."""

PEERS = ("daemon", "relay", "database", "server")
_D, _R, _DB, _S = range(4)
#: From, to and words of each message; without the first two a remark over the whole width.
STEPS: tuple[tuple[int | None, int | None, str], ...] = (
    (_S, _R, "spawnTask t-1"),
    (_R, _DB, "commit: t-1, dispatched"),
    (_R, _D, "spawnTask t-1"),
    (_D, _R, "taskOutput 1"),
    (_R, _S, "taskOutput 1"),
    (_R, _S, "ping: read up to 1"),
    (_S, _R, "pong: 1 is forgotten"),
    (None, None, "the connection to the server is gone"),
    (_D, _R, "taskOutput 2"),
    (_R, _DB, "80 ms later: commit 2"),
    (_D, _R, "taskComplete 3"),
    (_R, _DB, "commit: 3, and t-1 completed"),
    (_D, _R, "ping"),
    (_R, _D, "pong: 3 is stored"),
    (None, None, "the server is back"),
    (_R, _S, "authenticate, heartbeat"),
    (_R, _S, "taskOutput 2, taskComplete 3"),
    (_R, _S, "ping: read up to 3"),
    (_S, _R, "pong: 2 and 3 are forgotten"),
    (_R, _DB, "delete 2 and 3"),
)

_WIDTH, _STEP, _TOP, _GAP, _LEFT = 900, 34, 70, 235, 97
_STYLE = """text{font:14px system-ui,sans-serif;fill:#1f2328}.peer{font-weight:600;text-anchor:middle}
.words{text-anchor:middle}.remark{text-anchor:middle;font-style:italic}
line,path{stroke:#59636e;fill:none}.life{stroke-dasharray:3 5}.arrow{stroke-width:1.5}.head{fill:#59636e;stroke:none}
.band{fill:#fff1e5}.paper{fill:#fff}
@media (prefers-color-scheme:dark){text{fill:#f0f6fc}line,path{stroke:#9198a1}.head{fill:#9198a1}
.band{fill:#3d2a1a}.paper{fill:#0d1117}}"""


def _place(peer: int) -> int:
    return _LEFT + peer * _GAP


def _message(start: int, end: int, words: str, y: int) -> Iterator[str]:
    """An arrow with its words above."""
    left, right = _place(start), _place(end)
    tip = -8 if right > left else 8
    yield f'<line class="arrow" x1="{left}" y1="{y}" x2="{right + tip}" y2="{y}"/>'
    yield f'<path class="head" d="M{right} {y}l{tip} -5v10z"/>'
    # Beside its own end: in the middle of a long arrow another's line of life would cross it.
    near = left + (_GAP if right > left else -_GAP) // 2
    yield f'<text class="words" x="{near}" y="{y - 6}">{escape(words)}</text>'


def _remark(words: str, y: int) -> Iterator[str]:
    yield f'<rect class="band" x="0" y="{y - 20}" width="{_WIDTH}" height="26"/>'
    yield f'<text class="remark" x="{_WIDTH // 2}" y="{y - 2}">{escape(words)}</text>'


def drawing() -> str:
    """The whole picture."""
    height = _TOP + _STEP * len(STEPS) + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="t d">',
        f'<title id="t">{escape(TITLE)}</title>',
        f'<desc id="d">{escape(TEXT)}</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{_WIDTH}" height="{height}"/>',
    ]
    for peer, name in enumerate(PEERS):
        lines.append(f'<line class="life" x1="{_place(peer)}" y1="36" x2="{_place(peer)}" y2="{height - 10}"/>')
        lines.append(f'<text class="peer" x="{_place(peer)}" y="26">{name}</text>')
    for number, (start, end, words) in enumerate(STEPS):
        y = _TOP + _STEP * number
        lines += _remark(words, y) if start is None or end is None else _message(start, end, words, y)
    return "\n".join([*lines, "</svg>\n"])


if __name__ == "__main__":
    Path(__file__).with_name("delivery.svg").write_text(drawing(), encoding="utf-8")
