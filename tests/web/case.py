"""What the tests of the HTTP side share: a whole relay in memory, with its database in a file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import msgspec
from treq.testing import StubTreq
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress
from twisted.web.http_headers import Headers

from makima_relay.health import Health
from makima_relay.metrics import Metrics
from makima_relay.redaction import Redactor
from makima_relay.store import SQLiteStore
from makima_relay.store.database import open_database
from makima_relay.web.access import Access
from makima_relay.web.api import Api
from makima_relay.web.bodies import LogPage, Problem
from makima_relay.web.routing import ROUTES, Route
from makima_relay.web.sessions import Sessions
from makima_relay.web.site import make_site
from tests.fakes import Port, inline_store
from tests.relay_case import KEY, RelayTestCase
from tests.wire import Peer

LOOPBACK = IPv4Address("TCP", "127.0.0.1", 8787)
#: Every route for operators, with the methods that it takes.
ADMIN_ROUTES = [
    ("GET", "/tasks"),
    ("GET", "/tasks/t"),
    ("POST", "/tasks/t/cancel"),
    ("GET", "/daemons"),
    ("POST", "/daemons/d/drain"),
    ("POST", "/daemons/d/resume"),
    ("GET", "/cluster"),
    ("GET", "/cluster/tasks"),
    ("GET", "/cluster/daemons"),
    ("GET", "/logs"),
    ("GET", "/metrics"),
    ("POST", "/reconnect"),
    ("GET", "/keys"),
    ("POST", "/keys"),
    ("POST", "/keys/k/rotate"),
    ("DELETE", "/keys/k"),
    ("GET", "/tasks/t/output"),
    # With a parameter that is wrong, or the answer would have no end.
    ("GET", "/events?only=tasks"),
]
OPEN_ROUTES = ["/", "/status", "/health", "/livez", "/readyz", "/openapi.json", "/static/app.js"]


def declared(method: str, path: str) -> Route | None:
    """The route that a request goes to, if there is one."""
    for route in ROUTES:
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(route.path))
        if route.method == method and re.fullmatch(pattern, path.partition("?")[0]):
            return route
    return None


@attrs.frozen
class Answer:
    """An answer of the relay."""

    status: int
    headers: Headers
    body: bytes

    @property
    def json(self) -> Any:
        """The body, which must be JSON."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The one value of a header, if it is there."""
        values = self.headers.getRawHeaders(name, [])
        assert len(values) <= 1, values
        return values[0] if values else None


class ApiTestCase(RelayTestCase):
    """Has a relay with its HTTP side."""

    def setUp(self) -> None:
        """Start a relay with a new database, open to operators on loopback."""
        self.path = Path(self.mktemp()).absolute()
        self.addCleanup(open_database(self.path).release)
        super().setUp()
        self.restart()

    def restart(self, **options: Any) -> None:
        """Start a relay on what is in the database."""
        self.database: SQLiteStore = inline_store(self.path)
        self.addCleanup(self.database.close)
        self.start(self.database, self.successResultOf(self.database.snapshot()), **options)
        self.make_api()

    def make_api(
        self,
        token: str | None = None,
        addresses: Sequence[IAddress] = (LOOPBACK,),
        store: SQLiteStore | None = None,
        agent_name: str = "edge-1",
        most_event_streams: int = 1_000,
    ) -> None:
        """Make the HTTP side.

        :param addresses: those of the open ports.
        """
        self.health = Health(self.engine, self.database, self.clock)
        ports: list[Any] = [Port(address) for address in addresses]
        self.health.opened(ports)
        self.api = Api(
            engine=self.engine,
            upstream=self.upstream,
            store=store or self.database,
            access=Access(token, self.health.only_loopback, Sessions(self.clock)),
            health=self.health,
            clock=self.clock,
            metrics=Metrics(
                engine=self.engine,
                upstream=self.upstream,
                store=store or self.database,
                reports=self.daemons.reports,
                clock=self.clock,
            ),
            agent_name=agent_name,
            redact=Redactor([KEY]),
            most_event_streams=most_event_streams,
        )
        self.treq: Any = StubTreq(self.api.app.resource())

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """Send a request as treq does."""
        url = f"http://localhost:8787{path}"
        response = self.successResultOf(
            self.treq.request(method, url, headers=dict(headers or {}), data=body, allow_redirects=False)
        )
        answer = Answer(response.code, response.headers, self.successResultOf(self.treq.content(response)))
        self.assert_declared(method, path, answer)
        return answer

    def assert_declared(self, method: str, path: str, answer: Answer) -> None:
        """An answer is one of those that its route declares, member by member."""
        route = declared(method, path)
        if route is None:
            return
        self.assertIn(answer.status, {*route.answers, *route.errors, 405, 500}, f"{method} {path}")
        media_type = (answer.header("Content-Type") or "").partition(";")[0]
        bodies: Any = Problem if media_type == "application/problem+json" else route.answers.get(answer.status)
        of_types = {each for each in (bodies if isinstance(bodies, tuple) else (bodies,)) if isinstance(each, type)}
        if media_type.endswith("json") and of_types:
            (body,) = of_types
            read = msgspec.to_builtins(msgspec.json.decode(answer.body, type=body))
            # Entries of the log have members of their own.
            self.assertEqual(read if body is not LogPage else {**read, "logs": answer.json["logs"]}, answer.json)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Any:
        """The JSON at a path, which must be there."""
        answer = self.ask("GET", path, headers)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.header("Content-Type"), "application/json")
        return answer.json

    def post(self, path: str, status: int = 200) -> Any:
        """The JSON that a POST answers with."""
        answer = self.ask("POST", path)
        self.assertEqual(answer.status, status, answer.body)
        return answer.json

    def assert_problem(self, answer: Answer, status: int, title: str, detail: str | None = None) -> str:
        """An answer is an error as RFC 9457 has it.

        :return: its detail.
        """
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.header("Content-Type"), "application/problem+json")
        problem = answer.json
        said: str = problem.pop("detail")
        self.assertEqual(problem, {"type": "about:blank", "title": title, "status": status})
        if detail is not None:
            self.assertEqual(said, detail)
        return said

    def exchange(self, *segments: bytes) -> bytes:
        """Send raw bytes to the whole site, and read what comes back until nothing more does."""
        site = make_site(self.api.app.resource())
        peer = Peer(self.reactor, site.buildProtocol(LOOPBACK), masks=False)
        for segment in segments:
            peer.deliver(segment)
        received: bytes = peer.transport.value()
        peer.lose()
        return received

    def ask_raw(self, target: str, *headers: str, method: str = "GET") -> Answer:
        """Send a request whose path and headers no client would send as they are."""
        lines = [f"{method} {target} HTTP/1.1", *(headers or ("Host: localhost",)), "", ""]
        received = self.exchange("\r\n".join(lines).encode("latin-1"))
        head, _, body = received.partition(b"\r\n\r\n")
        first, *fields = head.decode("latin-1").split("\r\n")
        parsed = Headers()
        for field in fields:
            name, _, value = field.partition(": ")
            parsed.addRawHeader(name, value)
        return Answer(int(first.split(" ")[1]), parsed, body)
