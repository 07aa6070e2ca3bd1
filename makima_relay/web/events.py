"""The routes by which people follow what happens: events, and the output of a task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.web.iweb import IRequest

from makima_relay.clock import Clock
from makima_relay.engine import Engine
from makima_relay.store import SQLiteStore
from makima_relay.web import bodies
from makima_relay.web.access import Access
from makima_relay.web.answers import json_answer
from makima_relay.web.event_feed import EventFeed
from makima_relay.web.event_streams import EventStreams
from makima_relay.web.parameters import OF_EVENTS, meant, wanted_events
from makima_relay.web.problems import NO_SUCH_TASK, ProblemError
from makima_relay.web.reports import shown_piece
from makima_relay.web.routing import Media, route

#: Reports that are shown in one turn of the reactor: to look for secrets takes a while.
_AT_A_TIME: Final = 200


class EventRoutes:
    """Lets people follow what happens."""

    access: Access
    engine: Engine
    clock: Clock
    store: SQLiteStore
    redact: Callable[[str], str]
    feed: EventFeed
    streams: EventStreams

    @route(
        "GET",
        "/events",
        admin=True,
        parameters=OF_EVENTS,
        answers={200: Media("text/event-stream")},
        errors=(400, 404, 503),
    )
    def events(self, request: IRequest) -> bytes | Deferred[bytes]:
        """What happens, as it happens (Server-Sent Events)."""
        wanted = wanted_events(request)
        if wanted.task_id is not None and not self.engine.relay.outputs.limit:
            raise ProblemError(404, "no output is kept here: --keep-output is 0")
        request.setHeader(b"content-type", b"text/event-stream; charset=utf-8")
        request.setHeader(b"cache-control", b"no-store")
        # Or nginx would gather events before it passes them on.
        request.setHeader(b"x-accel-buffering", b"no")
        return b"" if request.method == b"HEAD" else self.streams.open(request, wanted)

    @route("GET", "/tasks/<task_id>/output", admin=True, answers={200: bodies.Output}, errors=(404,))
    @inlineCallbacks
    def output(self, request: IRequest, task_id: str) -> Any:
        """What a task has put out lately."""
        wanted = meant(task_id)
        relay = self.engine.relay
        task = relay.task(wanted)
        if task is None:
            yield self.engine.settled()
            found = yield self.store.task(wanted)
            if found is None:
                raise ProblemError(404, NO_SUCH_TASK)
            task = found[0].task
        outputs = relay.outputs
        pieces = outputs.of(wanted)
        answer = bodies.Output(
            task_id=wanted,
            output=[],
            truncated=outputs.is_cut(wanted, task.started_at),
            limit=outputs.limit,
            last_event_id=self.feed.id_of(self.feed.end(with_output=True)),
        )
        for start in range(0, len(pieces), _AT_A_TIME):
            if start:
                yield deferLater(self.clock.reactor, 0)
            answer.output.extend(shown_piece(piece, self.redact) for piece in pieces[start : start + _AT_A_TIME])
        return json_answer(request, answer)
