"""Server-Sent Events: reads the stream of ``GET /events``, and takes it up again where it broke off."""

from __future__ import annotations

import codecs
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import attrs
import click
from twisted.internet.defer import DeferredQueue
from twisted.internet.task import deferLater

from makima_relay.cli.client import RelayClient
from makima_relay.cli.errors import RefusedError, UnreachableError

#: Seconds without a byte after which a stream counts as broken; a relay sends comments to keep it alive.
SILENCE: Final = 90.0
#: Seconds before a stream is taken up again, and between two questions where there is no stream.
AGAIN: Final = 2.0


@attrs.frozen
class Event:
    """One event of the stream.

    :ivar kind: ``task``, ``daemon``, ``upstream``, ``log``, ``output`` or ``reset``.
    :ivar data: its JSON; none if it has none.
    """

    kind: str
    data: Any = None


class EventReader:
    """Takes the stream apart, however it is cut into chunks (WHATWG HTML, *Server-sent events*).

    :ivar last_id: of the last event, by which the stream can be taken up again.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._rest = ""
        self._after_return = False
        self._kind = ""
        self._data: list[str] = []
        self._id: str | None = None
        self.last_id: str | None = None

    def feed(self, data: bytes) -> list[Event]:
        """Take a chunk.

        :return: the events that it completes.
        """
        text = self._decoder.decode(data)
        if not text:
            return []
        if self._after_return:
            text = text.removeprefix("\n")
        self._after_return = text.endswith("\r")
        *lines, self._rest = (self._rest + text.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
        return [event for line in lines if (event := self._line(line)) is not None]

    def begin(self) -> None:
        """A stream begins anew: what the last one left unfinished is no event."""
        self._decoder.reset()
        self._rest, self._after_return = "", False
        self._kind, self._data, self._id = "", [], None

    def _line(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._kind = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
            case _:
                pass
        return None

    def _dispatch(self) -> Event | None:
        kind, data = self._kind, self._data
        self._kind, self._data = "", []
        if self._id is not None:
            self.last_id = self._id
        if not data and not kind:
            return None
        try:
            return Event(kind, json.loads("\n".join(data)) if data else None)
        except ValueError:
            return None


@attrs.define(eq=False)
class Stream:
    """Follows what happens at a relay: by its events, or by asking again and again where it has none.

    :ivar relay: which.
    :ivar took: takes each event; whether more are wanted.
    :ivar look: asks for the present state and shows what is new in it; whether more is wanted. It is called when a
        stream begins, when events have been missed, and again and again where there are none.
    :ivar query: parameters of the stream.
    """

    relay: RelayClient
    took: Callable[[Event], bool]
    look: Callable[[], Awaitable[bool]]
    query: Mapping[str, str] = attrs.field(factory=dict)
    _reader: EventReader = attrs.field(init=False, factory=EventReader)
    _answered: bool = attrs.field(init=False, default=False)

    async def follow(self) -> None:
        """Follow until nothing more is wanted; a relay that goes away after its first answer is waited for.

        :raises CommandError: when the relay says no.
        """
        step, told = self._read, False
        while True:
            try:
                if not await step():
                    return
                told = False
            except UnreachableError as error:
                if not self._answered:
                    raise
                if not told:
                    click.echo(f"makima-relay: {error.message}; waiting for it", err=True)
                told = True
            except RefusedError as error:
                if error.status != 404 or step == self._poll:
                    raise
                step = self._poll
                continue
            await deferLater(self.relay.reactor, AGAIN)

    async def _poll(self) -> bool:
        wants_more = await self.look()
        self._answered = True
        return wants_more

    async def _read(self) -> bool:
        """Read the stream until it breaks off; whether more is wanted then."""
        self._reader.begin()
        known = self._reader.last_id
        body = await self.relay.open("/events", {} if known is None else {"Last-Event-ID": known}, **self.query)
        self._answered = True
        queue: DeferredQueue[Event | None] = DeferredQueue()
        silence = self.relay.reactor.callLater(SILENCE, body.close)

        def received(data: bytes) -> None:
            silence.reset(SILENCE)
            for event in self._reader.feed(data):
                queue.put(event)

        body.read(received, lambda: queue.put(None))
        try:
            # The stream is open before the present state is asked for: nothing falls in between.
            return (known is not None or await self.look()) and await self._take(queue)
        finally:
            body.close()
            if silence.active():
                silence.cancel()

    async def _take(self, queue: DeferredQueue[Event | None]) -> bool:
        while True:
            event = await queue.get()
            if event is None:
                return True
            wants_more = await self.look() if event.kind == "reset" else self.took(event)
            if not wants_more:
                return False
