"""What the demo has done, and how each of it must end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from makima_relay.core.tasks import TaskStatus


@attrs.frozen(kw_only=True)
class Scene:
    """One task.

    :ivar command: a shell command, for any POSIX shell.
    :ivar status: the status that it must end with.
    :ivar exit_status: likewise; none when a signal ends it.
    :ivar last_line: the last line that it must print; none when that is up to chance.
    :ivar lines: how many lines it must print; none when that is up to chance.
    :ivar interrupted: whether it is interrupted once it has printed something.
    """

    name: str
    command: str
    status: TaskStatus = TaskStatus.COMPLETED
    exit_status: int | None = 0
    last_line: str | None = None
    lines: int | None = None
    interrupted: bool = False


@attrs.frozen(kw_only=True)
class Outcome:
    """How a task ended, as relay and server saw it."""

    status: str
    attempts: int
    exit_status: int | None
    last_line: str | None
    lines: int


def faults(scene: Scene, outcome: Outcome) -> list[str]:
    """What is not as it should be, in a few words each.

    :param scene: how it should be.
    :param outcome: how it was.
    """
    found = []
    if outcome.status != scene.status:
        found.append(f"{outcome.status}, not {scene.status}")
    if outcome.exit_status != scene.exit_status:
        found.append(f"exit status {outcome.exit_status}, not {scene.exit_status}")
    if outcome.attempts != 1:
        found.append(f"{outcome.attempts} attempts")
    if scene.last_line is not None and outcome.last_line != scene.last_line:
        found.append(f"its last line is {outcome.last_line!r}")
    if scene.lines is not None and outcome.lines != scene.lines:
        found.append(f"{outcome.lines} lines, not {scene.lines}")
    return found


def _steps(count: int, pause: float, line: str) -> str:
    """A command that prints a line for each step.

    :param pause: seconds before each.
    :param line: may use ``$i`` of ``$n``, and ``$p`` percent.
    """
    return (
        f'n={count}; i=0; while [ "$i" -lt "$n" ]; do sleep {pause}; i=$((i + 1)); p=$((100 * i / n)); '
        f'echo "{line}"; done'
    )


#: More than the daemons have slots, so that some have to wait.
SCENES: Final = (
    Scene(name="compile", command=_steps(12, 0.3, "compiling part $i of $n: $p%"), lines=12),
    Scene(name="unit tests", command=_steps(40, 0.1, "test $i of $n passed ($p%)"), lines=40),
    Scene(
        name="fails",
        command='echo "looking for space"; sleep 2; echo "no space left" >&2; exit 3',
        status=TaskStatus.FAILED,
        exit_status=3,
        last_line="no space left",
    ),
    Scene(
        name="runs for ever",
        command='trap "" HUP; while :; do echo "still here"; sleep 0.5; done',
        status=TaskStatus.CANCELLED,
        exit_status=None,
        last_line="still here",
        interrupted=True,
    ),
    Scene(
        name="speaks French",
        command='printf "un "; sleep 1; printf "na\\303"; sleep 1; printf "\\257ve caf\\303\\251 \\342\\230\\225\\n"',
        last_line="un naïve café ☕",
        lines=1,
    ),
    Scene(name="download", command=_steps(20, 0.2, "got $i MiB of $n, $p%"), lines=20),
    Scene(name="says nothing", command="sleep 2", lines=0),
    Scene(
        name="talks a lot",
        command='i=0; while [ "$i" -lt 5000 ]; do i=$((i + 1)); echo "line $i"; done',
        last_line="line 5000",
        lines=5000,
    ),
    Scene(name="lint", command=_steps(5, 0.4, "file $i of $n, $p%"), lines=5),
    Scene(
        name="has children",
        command='(sleep 2; echo "the younger") & (sleep 1; echo "the elder") & wait; echo "all home"',
        last_line="all home",
        lines=3,
    ),
    Scene(name="render docs", command=_steps(15, 0.25, "page $i of $n: $p%"), lines=15),
    Scene(name="pack", command=_steps(10, 0.2, "packing... $p%") + '; echo "done"', last_line="done", lines=11),
)

#: The daemons, and how many tasks each takes at once.
DAEMONS: Final[Mapping[str, int]] = {"east": 3, "west": 2}
