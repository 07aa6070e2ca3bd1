"""Reads the parameters of requests, with errors that name them."""

from __future__ import annotations

from urllib.parse import unquote, urlencode

import attrs
from twisted.web.iweb import IRequest

from makima_relay.core.members import LONGEST_TASK_ID
from makima_relay.core.tasks import TaskStatus
from makima_relay.store.filters import Filter
from makima_relay.web.event_reader import Wanted
from makima_relay.web.problems import NOTHING_HERE, ProblemError

#: SQLite's largest integer; more rows than that there will not be.
_MOST_OFFSET = 2**63 - 1


def _raw(request: IRequest, name: str) -> bytes | None:
    """The last value of a query parameter, if it is given."""
    values: list[bytes] = request.args.get(name.encode(), [])
    return values[-1] if values else None


def _text(request: IRequest, name: str) -> str | None:
    """The last value of a query parameter; an empty one counts as not given."""
    value = _raw(request, name)
    if not value:
        return None
    # SQLite's LIKE ends at a NUL, and would find what was not asked for.
    if b"\0" in value:
        raise ProblemError(400, f"{name} must not have a NUL character")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise ProblemError(400, f"{name} must be UTF-8 text") from None


def whole_number(request: IRequest, name: str, default: int, least: int, most: int) -> int:
    """A query parameter that is a whole number.

    :raises ProblemError: 400 when it is anything else, or out of range.
    """
    value = _raw(request, name)
    if value is None:
        return default
    text = value.decode("ascii", "replace")
    if text.isdecimal() and text.isascii() and len(text) <= len(str(most)) and least <= int(text) <= most:
        return int(text)
    bounds = f"of {least} or more" if most == _MOST_OFFSET else f"from {least} to {most}"
    raise ProblemError(400, f"{name} must be an integer {bounds}")


@attrs.frozen
class Page:
    """A page of the history."""

    wanted: Filter
    limit: int
    offset: int

    def links(self, total: int) -> str | None:
        """The ``Link`` header (RFC 8288) to the pages around this one."""
        links = []
        if self.offset + self.limit < total:
            links.append(f'<{self._url(self.offset + self.limit)}>; rel="next"')
        if self.offset > 0:
            links.append(f'<{self._url(max(0, self.offset - self.limit))}>; rel="prev"')
        return ", ".join(links) or None

    def _url(self, offset: int) -> str:
        query: dict[str, str | int] = {"limit": self.limit, "offset": offset}
        if self.wanted.status is not None:
            query["status"] = self.wanted.status.value
        if self.wanted.daemon is not None:
            query["daemon"] = self.wanted.daemon
        if self.wanted.text is not None:
            query["q"] = self.wanted.text
        return f"/tasks?{urlencode(query)}"


def page(request: IRequest) -> Page:
    """The page of the history that a request wants.

    :raises ProblemError: 400.
    """
    limit = whole_number(request, "limit", 50, 1, 500)
    offset = whole_number(request, "offset", 0, 0, _MOST_OFFSET)
    wanted = Filter(status=_status(request), daemon=_text(request, "daemon"), text=_text(request, "q"))
    return Page(wanted, limit, offset)


def _status(request: IRequest) -> TaskStatus | None:
    text = _text(request, "status")
    if text is None:
        return None
    try:
        return TaskStatus(text)
    except ValueError:
        raise ProblemError(400, f"status must be one of {', '.join(TaskStatus)}") from None


def wanted_events(request: IRequest) -> Wanted:
    """The events that a request wants.

    What a browser has seen when it connects again stands in the header, so that counts before the parameter.

    :raises ProblemError: 400.
    """
    task_id = _text(request, "output")
    if task_id is not None and len(task_id) > LONGEST_TASK_ID:
        raise ProblemError(400, f"output must be a task id of at most {LONGEST_TASK_ID} characters")
    only = _text(request, "only")
    if only not in (None, "output"):
        raise ProblemError(400, "only must be output")
    if only is not None and task_id is None:
        raise ProblemError(400, "only=output needs output with a task id")
    header = request.getHeader(b"last-event-id")
    last_id = header.decode("latin-1") if header else _text(request, "lastEventId")
    return Wanted(only is None, task_id, last_id)


def meant(segment: str) -> str:
    """A segment of the path as it was meant, ``%2F`` and all.

    :raises ProblemError: 404 when it is no UTF-8 text.
    """
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError:
        raise ProblemError(404, NOTHING_HERE) from None
