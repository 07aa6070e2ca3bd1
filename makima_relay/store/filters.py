"""Which tasks of the history are wanted, and how SQL says that."""

from __future__ import annotations

import attrs

from makima_relay.core.tasks import TaskStatus

#: The names of daemons elsewhere are with the tasks that they had.
_OF_DAEMON = """
    tasks.daemon_id IN (
        SELECT ? UNION SELECT daemon_id FROM daemons WHERE hostname = ?
        UNION SELECT elsewhere.daemon_id FROM tasks AS elsewhere WHERE elsewhere.hostname = ?
    )
"""


@attrs.frozen(kw_only=True)
class Filter:
    """Which tasks of the history are wanted; none means any.

    :ivar daemon: the id or the hostname of the daemon that has or had it.
    :ivar text: a part of its name or id, in any case; an empty one is in all.
    """

    status: TaskStatus | None = None
    daemon: str | None = None
    text: str | None = None


def condition(wanted: Filter) -> tuple[str, list[str]]:
    """The condition on a row of tasks that a filter is, and its parameters."""
    terms, values = ["true"], []
    if wanted.status is not None:
        terms.append("status = ?")
        values.append(wanted.status.value)
    if wanted.daemon is not None:
        terms.append(_OF_DAEMON)
        values += [wanted.daemon] * 3
    if wanted.text:
        escaped = wanted.text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
        terms.append(r"(name LIKE ? ESCAPE '\' OR task_id LIKE ? ESCAPE '\')")
        values += [f"%{escaped}%"] * 2
    return " AND ".join(terms), values
