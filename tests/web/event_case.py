"""What the tests of events share: readers with an HTTP connection in memory, and what they make of the answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs
from twisted.internet.interfaces import IProtocol

from makima_relay.announcements import INTERVAL
from makima_relay.web.site import make_site
from tests.fakes import elapse
from tests.web.case import LOOPBACK, ApiTestCase
from tests.wire import MemoryTransport, Peer, ServerPeer


@attrs.frozen
class Received:
    """One event as a browser reads it.

    :ivar id: the last that was seen, of this event or one before.
    """

    kind: str
    data: Any
    id: str


class EventReader(Peer):
    """A browser that reads events.

    :ivar head: of the answer.
    :ivar retry: what it was told to wait, in milliseconds.
    :ivar comments: how many came.
    :ivar last_id: what it would send when it comes back.
    :ivar has_ended: whether the answer has come to its proper end.
    """

    def __init__(self, reactor: Any, protocol: IProtocol, path: str, headers: Mapping[str, str]) -> None:
        super().__init__(reactor, protocol, masks=False)
        self.retry: int | None = None
        self.comments = 0
        self.last_id = ""
        self.has_ended = False
        self._text = b""
        self._events: list[Received] = []
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self.deliver("\r\n".join(lines).encode())
        self.head = self.take_head().decode()
        if self.status == 200:
            self.read_on()

    @property
    def status(self) -> int:
        """The status of the answer."""
        return int(self.head.split(" ")[1])

    def header(self, name: str) -> str | None:
        """A header of the answer."""
        fields = dict(line.lower().split(": ", 1) for line in self.head.split("\r\n")[1:] if line)
        return fields.get(name.lower())

    def take_events(self) -> list[Received]:
        """All that came and was not taken."""
        self.read_on()
        taken, self._events = self._events, []
        return taken

    def read_on(self) -> None:
        """Read what came."""
        self._read_chunks()
        *blocks, self._text = self._text.split(b"\n\n")
        self._events += [event for block in blocks if (event := self._event(block.decode())) is not None]

    def _read_chunks(self) -> None:
        body = self.transport.value()
        self.transport.clear()
        while body and not self.has_ended:
            size, _, rest = body.partition(b"\r\n")
            length = int(size, 16)
            assert rest[length : length + 2] == b"\r\n", rest[:100]
            self._text += rest[:length]
            body = rest[length + 2 :]
            self.has_ended = length == 0
        assert not body, body

    def _event(self, block: str) -> Received | None:
        """Read an event as the standard has it; none if there is nothing to tell of it."""
        kind, data = "message", None
        for line in block.split("\n"):
            name, _, value = line.partition(": ")
            match name:
                case "event":
                    kind = value
                case "data":
                    assert data is None, "two lines of data"
                    data = value
                case "id":
                    self.last_id = value
                case "retry":
                    self.retry = int(value)
                case _:
                    assert line == ":", line
                    self.comments += 1
        return None if data is None else Received(kind, json.loads(data), self.last_id)


class EventsTestCase(ApiTestCase):
    """Has a relay with its HTTP side, and readers of events."""

    server: ServerPeer

    def restart(self, **options: Any) -> None:
        """Start a relay; what is told of that is over."""
        super().restart(**options)
        self.wait()

    def read(self, path: str = "/events", headers: Mapping[str, str] | None = None) -> EventReader:
        """Have somebody read events."""
        protocol = make_site(self.api.app.resource(), reactor=self.reactor).buildProtocol(LOOPBACK)
        assert protocol is not None
        return EventReader(self.reactor, protocol, path, {"Host": "localhost", **(headers or {})})

    def wait(self, seconds: float = INTERVAL) -> None:
        """Let what has happened be announced."""
        elapse(self.reactor, seconds)

    def spawn(self, *task_ids: str) -> None:
        """Have the server spawn tasks."""
        if not self.upstream.live:
            self.server = self.go_live()
        for task_id in task_ids:
            self.server.send("spawnTask", taskId=task_id)

    def note(self, *details: str) -> None:
        """Have something written into the journal."""
        for detail in details:
            self.engine.noted("noted", detail)

    def details(self, reader: EventReader) -> list[Any]:
        """Of the events that came: what the journal's entries say, and of others what they are."""
        return [each.data["detail"] if each.kind == "log" else each.kind for each in reader.take_events()]

    def stall(self, reader: EventReader) -> MemoryTransport:
        """Have a reader take nothing any more."""
        transport = reader.transport
        transport.producer.pauseProducing()
        return transport
