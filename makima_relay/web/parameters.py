"""Reads the parameters of requests, with errors that name them."""

from __future__ import annotations

from typing import Any, Final
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


@attrs.frozen
class WholeNumber:
    """A query parameter that is a whole number.

    :ivar default: what counts if it is not given.
    :ivar about: what it is for.
    """

    name: str
    default: int
    least: int
    most: int
    about: str

    def read(self, request: IRequest) -> int:
        """What a request has it be.

        :raises ProblemError: 400 when it is anything else, or out of range.
        """
        value = _raw(request, self.name)
        if value is None:
            return self.default
        text = value.decode("ascii", "replace")
        is_number = text.isdecimal() and text.isascii() and len(text) <= len(str(self.most))
        if is_number and self.least <= int(text) <= self.most:
            return int(text)
        bounds = f"of {self.least} or more" if self.most == _MOST_OFFSET else f"from {self.least} to {self.most}"
        raise ProblemError(400, f"{self.name} must be an integer {bounds}")

    def schema(self) -> dict[str, Any]:
        """The same in JSON Schema."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most, "default": self.default}


@attrs.frozen
class Words:
    """A query parameter that is text; an empty one counts as not given.

    :ivar about: what it is for.
    """

    name: str
    about: str

    def read(self, request: IRequest) -> str | None:
        """What a request has it be.

        :raises ProblemError: 400 when it is no text.
        """
        return _text(request, self.name)

    def schema(self) -> dict[str, Any]:
        """The same in JSON Schema."""
        return {"type": "string", "pattern": "^[^\\u0000]*$"}


@attrs.frozen
class StatusWord:
    """A query parameter that is a task's status; an empty one counts as not given.

    :ivar about: what it is for.
    """

    name: str
    about: str

    def read(self, request: IRequest) -> TaskStatus | None:
        """What a request has it be.

        :raises ProblemError: 400 when it is no status.
        """
        text = _text(request, self.name)
        if text is None:
            return None
        try:
            return TaskStatus(text)
        except ValueError:
            raise ProblemError(400, f"{self.name} must be one of {', '.join(TaskStatus)}") from None

    def schema(self) -> dict[str, Any]:
        """The same in JSON Schema."""
        return {"type": "string", "enum": ["", *TaskStatus]}


Parameter = WholeNumber | Words | StatusWord

_LIMIT: Final = WholeNumber("limit", 50, 1, 500, "how many tasks at most")
_OFFSET: Final = WholeNumber("offset", 0, 0, _MOST_OFFSET, "how many to leave out before them")
_STATUS: Final = StatusWord("status", "only tasks of this status")
_DAEMON: Final = Words("daemon", "only tasks that the daemon of this id or hostname has or had")
_TEXT: Final = Words("q", "only tasks with this in their name or id, in any case")
#: Those of the history.
OF_PAGE: Final[tuple[Parameter, ...]] = (_LIMIT, _OFFSET, _STATUS, _DAEMON, _TEXT)
#: That of the log.
LOG_LIMIT: Final = WholeNumber("limit", 50, 1, 200, "how many entries at most")


@attrs.frozen
class Page:
    """A page of the history.

    :ivar path: where it is asked for.
    """

    wanted: Filter
    limit: int
    offset: int
    path: str = "/tasks"

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
        return f"{self.path}?{urlencode(query)}"


def page(request: IRequest, path: str = "/tasks") -> Page:
    """The page of the history that a request wants.

    :param path: where it is asked for.
    :raises ProblemError: 400.
    """
    limit, offset = _LIMIT.read(request), _OFFSET.read(request)
    wanted = Filter(status=_STATUS.read(request), daemon=_DAEMON.read(request), text=_TEXT.read(request))
    return Page(wanted, limit, offset, path)


_OUTPUT: Final = Words("output", "the id of a task whose output is wanted too, as it comes")
_ONLY: Final = Words("only", "output, if nothing but that is wanted")
_LAST_EVENT_ID: Final = Words("lastEventId", "the id of the last event that was seen, as the header Last-Event-ID")
#: The parameters of a stream of events.
OF_EVENTS: Final = (_OUTPUT, _ONLY, _LAST_EVENT_ID)


def wanted_events(request: IRequest) -> Wanted:
    """The events that a request wants.

    What a browser has seen when it connects again stands in the header, so that counts before the parameter.

    :raises ProblemError: 400.
    """
    task_id = _OUTPUT.read(request)
    if task_id is not None and len(task_id) > LONGEST_TASK_ID:
        raise ProblemError(400, f"output must be a task id of at most {LONGEST_TASK_ID} characters")
    only = _ONLY.read(request)
    if only not in (None, "output"):
        raise ProblemError(400, "only must be output")
    if only is not None and task_id is None:
        raise ProblemError(400, "only=output needs output with a task id")
    header = request.getHeader(b"last-event-id")
    last_id = header.decode("latin-1") if header else _LAST_EVENT_ID.read(request)
    return Wanted(only is None, task_id, last_id)


def meant(segment: str) -> str:
    """A segment of the path as it was meant, ``%2F`` and all.

    :raises ProblemError: 404 when it is no UTF-8 text.
    """
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError:
        raise ProblemError(404, NOTHING_HERE) from None
