"""Makes the OpenAPI document of the declared routes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from makima_relay import __version__
from makima_relay.core.members import LONGEST_TASK_ID
from makima_relay.web.bodies import Body, KeyName, Problem
from makima_relay.web.examples import EXAMPLES
from makima_relay.web.examples import PROBLEM as _PROBLEM_EXAMPLE
from makima_relay.web.routing import Answer, Media, Route
from makima_relay.web.sessions import COOKIE

_REF: Final = "#/components/schemas/{name}"
_PROBLEM: Final = "application/problem+json"
#: What the variable parts of paths are.
_PLACES: Final[dict[str, tuple[str, Mapping[str, Any]]]] = {
    "taskId": (
        "the server's id of a task; a / in it is %2F",
        {"type": "string", "minLength": 1, "maxLength": LONGEST_TASK_ID},
    ),
    "file": ("the name of a file", {"type": "string", "minLength": 1}),
    "daemonId": ("the id of a connected daemon", {"type": "string", "minLength": 1}),
    "name": ("the name of daemon keys", msgspec.json.schema(KeyName)),
}
_HEADERS: Final = {
    401: ("WWW-Authenticate", "the scheme that is wanted"),
    405: ("Allow", "the methods that there are"),
    426: ("Upgrade", "the protocol that is wanted"),
    429: ("Retry-After", "seconds"),
}
_ABOUT: Final = (
    "What a relay between a Makima server and its daemons tells operators and monitoring, and what they may do. "
    "Without a configured admin token the routes that need one are open to this machine, and to no other."
)


def openapi(routes: Iterable[Route]) -> dict[str, Any]:
    """Describe routes as OpenAPI 3.1 does."""
    routes = list(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "makima-relay", "version": __version__, "description": _ABOUT, "license": {"name": "MIT"}},
        "servers": [{"url": "/"}],
        "tags": [{"name": "open", "description": "for everybody"}, {"name": "admin", "description": "for operators"}],
        "paths": paths,
        "components": {
            "schemas": _schemas(routes),
            "responses": {"Problem": _response("an error", [(_PROBLEM, Problem)])},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "the admin token"},
                "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "of POST /session"},
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    answers = {str(status): _answer(status, answer) for status, answer in route.answers.items()}
    errors = {str(status): _error(status) for status in route.errors}
    described: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": ["admin" if route.admin else "open"],
        "security": [{"token": []}, {"session": []}] if route.admin else [],
        "parameters": [*map(_place, route.places), *map(_parameter, route.parameters)],
        "responses": {**answers, **errors, "default": {"$ref": "#/components/responses/Problem"}},
    }
    if route.body:
        described["requestBody"] = {"required": True, "content": _content(map(_kind, route.body))}
    return described


def _place(name: str) -> dict[str, Any]:
    about, schema = _PLACES[name]
    return {"name": name, "in": "path", "required": True, "description": about, "schema": schema}


def _parameter(parameter: Any) -> dict[str, Any]:
    return {"name": parameter.name, "in": "query", "description": parameter.about, "schema": parameter.schema()}


def _answer(status: int, answer: Answer) -> dict[str, Any]:
    if answer is None:
        return _response(HTTPStatus(status).phrase, [])
    several = answer if isinstance(answer, Sequence) else [answer]
    return _response(HTTPStatus(status).phrase, map(_kind, several))


def _error(status: int) -> dict[str, Any]:
    described = _response(HTTPStatus(status).phrase, [(_PROBLEM, Problem)])
    if status == _PROBLEM_EXAMPLE["status"]:
        described["content"][_PROBLEM]["example"] = _PROBLEM_EXAMPLE
    if status in _HEADERS:
        name, about = _HEADERS[status]
        described["headers"] = {name: {"description": about, "schema": {"type": "string"}}}
    return described


def _kind(body: type[Body] | Media) -> tuple[str, type[Body] | Media]:
    return (body.type if isinstance(body, Media) else "application/json"), body


def _response(about: str, kinds: Iterable[tuple[str, type[Body] | Media]]) -> dict[str, Any]:
    content = _content(kinds)
    return {"description": about, **({"content": content} if content else {})}


def _content(kinds: Iterable[tuple[str, type[Body] | Media]]) -> dict[str, Any]:
    return {media_type: _described(body) for media_type, body in kinds}


def _described(body: type[Body] | Media) -> dict[str, Any]:
    if isinstance(body, Media):
        return {"schema": dict(body.schema)}
    example = {"example": EXAMPLES[body]} if body in EXAMPLES else {}
    return {"schema": {"$ref": _REF.format(name=body.__name__)}, **example}


def _schemas(routes: Iterable[Route]) -> dict[str, Any]:
    """The types of all bodies, and of what is in them."""
    used: dict[type[Body], None] = {Problem: None}
    for route in routes:
        for answer in (*route.answers.values(), *route.body):
            several = answer if isinstance(answer, Sequence) else [answer]
            used.update((each, None) for each in several if isinstance(each, type))
    return msgspec.json.schema_components(used, ref_template=_REF)[1]
