"""Declares routes: what Klein goes by, who may ask, and what ``/openapi.json`` says, in one place each."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar, cast

import attrs
from twisted.web.iweb import IRequest

from makima_relay.web.application import app
from makima_relay.web.bodies import Body
from makima_relay.web.parameters import Parameter

#: What an admin route may answer besides: no or a wrong token, not from here, too many wrong ones.
_ADMIN_ERRORS: Final = (401, 403, 429)
_PLACE: Final = re.compile(r"<(\w+)>")


@attrs.frozen
class Media:
    """A body that is no JSON object with a type of its own.

    :ivar type: its media type.
    :ivar schema: what it is in JSON Schema.
    """

    type: str
    schema: Mapping[str, Any] = attrs.field(factory=lambda: {"type": "string"})


#: What an answer has: one or several kinds of bodies, or none.
Answer = type[Body] | Media | Sequence[type[Body] | Media] | None


@attrs.frozen(kw_only=True)
class Route:
    """A route as it was declared.

    :ivar path: with ``{names}`` in camelCase for its variable parts.
    :ivar places: those names.
    :ivar name: of the operation, unique.
    :ivar answers: by status, those that are no errors.
    :ivar errors: the statuses of errors.
    """

    method: str
    path: str
    places: tuple[str, ...]
    name: str
    summary: str
    admin: bool
    answers: Mapping[int, Answer]
    errors: tuple[int, ...]
    parameters: tuple[Parameter, ...]
    body: tuple[type[Body] | Media, ...]


#: All routes, in the order in which they were declared.
ROUTES: Final[list[Route]] = []


_FunctionT = TypeVar("_FunctionT", bound=Callable[..., Any])


def route(
    method: str,
    path: str,
    *,
    answers: Mapping[int, Answer],
    errors: Sequence[int] = (),
    parameters: Sequence[Parameter] = (),
    body: Sequence[type[Body] | Media] = (),
    admin: bool = False,
    name: str | None = None,
) -> Callable[[_FunctionT], _FunctionT]:
    """Make a method the answer to a route.

    The first line of its docstring is the summary.

    :param path: as Klein takes it, ``<task_id>`` for a variable part.
    :param answers: what it answers with when all is well, by status.
    :param errors: the statuses of its errors, besides those that any route and any admin route has.
    :param parameters: those of the query.
    :param body: the kinds of bodies that it takes, any of them.
    :param admin: only operators may ask; that is seen to here.
    :param name: of the operation, if it is not the method's; each operation needs one of its own.
    """

    def declare(function: _FunctionT) -> _FunctionT:
        words = (name or function.__name__).split("_")
        summary = (function.__doc__ or "").strip().partition("\n")[0].rstrip(".")
        ROUTES.append(
            Route(
                method=method,
                path=_PLACE.sub(lambda place: f"{{{_camel(place[1])}}}", path),
                places=tuple(map(_camel, _PLACE.findall(path))),
                name=_camel("_".join(words)),
                summary=summary,
                admin=admin,
                answers=answers,
                errors=tuple(sorted({*errors, *(_ADMIN_ERRORS if admin else ())})),
                parameters=tuple(parameters),
                body=tuple(body),
            )
        )
        answering = _guarded(function) if admin else function
        app.route(path, methods=[method])(answering)
        return answering

    return declare


def _guarded(function: _FunctionT) -> _FunctionT:
    """Have a method answer only operators; it is of an object that has an ``access``."""

    @functools.wraps(function)
    def checked(self: Any, request: IRequest, *args: Any, **kwargs: Any) -> Any:
        self.access.check_admin(request)
        return function(self, request, *args, **kwargs)

    return cast("_FunctionT", checked)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
