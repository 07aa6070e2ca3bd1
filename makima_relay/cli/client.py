"""Asks a relay by HTTP, and says in one line what is wrong when it does not answer as wanted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode

import attrs
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, ResponseFailed
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from makima_relay.cli.errors import CommandError, NotAllowedError, RefusedError, SettingError, UnreachableError
from makima_relay.cli.places import Place
from makima_relay.core.journal import printable
from makima_relay.reasons import describe
from makima_relay.settings import TOKEN_VARIABLE

#: Seconds that an answer may take.
_TIMEOUT: Final = 15.0
_NOT_ALLOWED: Final = {401, 403, 429}


@implementer(IAgentEndpointFactory)
@attrs.frozen
class _EndpointOf:
    """Has every request go to one place."""

    place: Place
    reactor: Any

    def endpointForURI(self, _uri: object) -> IStreamClientEndpoint:
        """What connects to it."""
        return self.place.endpoint(self.reactor)


def http_client(reactor: Any, place: Place) -> HTTPClient:
    """What asks a relay, as treq does."""
    pool = HTTPConnectionPool(reactor, persistent=True)
    return HTTPClient(Agent.usingEndpointFactory(reactor, _EndpointOf(place, reactor), pool))


def segment(text: str) -> str:
    """An id as a segment of a path.

    :raises SettingError: when it is no text.
    """
    return quote(_encoded(text), safe="")


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise SettingError("an argument or option is not UTF-8 text") from None


class Body(Protocol):
    """The body of an answer, which may go on for as long as the relay runs.

    :param response: the answer.
    """

    def __init__(self, response: Any) -> None:
        self._response = response
        self._received: Callable[[bytes], object] = lambda _: None
        self._ended: Callable[[], object] = lambda: None
        self._is_closed = False

    def read(self, received: Callable[[bytes], object], ended: Callable[[], object]) -> None:
        """Read it.

        :param received: takes what comes.
        :param ended: called when nothing more comes.
        """
        self._received, self._ended = received, ended
        self._response.deliverBody(self)

    def dataReceived(self, data: bytes) -> None:
        """Some more of it."""
        if not self._is_closed:
            self._received(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """That was all."""
        self._ended()

    def close(self) -> None:
        """Read no more; the connection goes."""
        self._is_closed = True
        if self.transport is not None:
            self.transport.loseConnection()


@attrs.frozen
class RelayClient:
    """One relay, as it can be asked.

    :ivar http: asks, as treq's client does.
    :ivar reactor: tells and waits for times.
    :ivar token: the admin token, if there is one.
    """

    http: Any
    place: Place
    reactor: Any
    token: str | None = attrs.field(default=None, repr=False)

    async def get(self, path: str, **query: str | int | None) -> Any:
        """The JSON at a path.

        :param query: its parameters; none are left out.
        :raises CommandError: when the relay does not answer, or says no.
        """
        return await self._ask("GET", _with_query(path, query))

    async def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Have something done; see :meth:`get`."""
        return await self._ask("POST", path, body)

    async def delete(self, path: str) -> Any:
        """Have something taken back; see :meth:`get`."""
        return await self._ask("DELETE", path)

    async def open(self, path: str, headers: Mapping[str, str], **query: str | int | None) -> Body:
        """Ask for an answer that goes on and on; see :meth:`get`."""
        response = await self._request("GET", _with_query(path, query), {"Accept": "text/event-stream", **headers})
        if response.code != 200:
            self._checked(response.code, await self._content(response))
        elif not (response.headers.getRawHeaders("content-type") or [""])[0].startswith("text/event-stream"):
            raise self._no_relay(response.code)
        return Body(response)

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        response = await self._request(method, path, {"Accept": "application/json"}, body)
        return self._checked(response.code, await self._content(response))

    async def _request(
        self, method: str, path: str, headers: dict[str, str], body: Mapping[str, Any] | None = None
    ) -> Any:
        if self.token is not None:
            headers = {**headers, "Authorization": f"Bearer {self.token}"}
        url = f"{self.place.url}{path}"
        data = None if body is None else json.dumps(body).encode()
        asked = self.http.request(
            method,
            url,
            headers=headers,
            data=data,
            allow_redirects=False,
            unbuffered=True,
            timeout=_TIMEOUT,
            reactor=self.reactor,
        )
        return await self._reached(asked)

    async def _content(self, response: Any) -> bytes:
        chunks: list[bytes] = []
        done: Deferred[None] = Deferred()
        Body(response).read(chunks.append, partial(_fire, done))
        await self._reached(done.addTimeout(_TIMEOUT, self.reactor))
        return b"".join(chunks)

    async def _reached(self, asked: Deferred[Any]) -> Any:
        try:
            return await asked
        except CancelledError:
            raise
        except ResponseFailed as error:
            raise self._unreachable(error.reasons[0]) from None
        except Exception:
            raise self._unreachable(Failure()) from None

    def _unreachable(self, failure: Failure) -> UnreachableError:
        return UnreachableError(f"no relay answers at {self.place.shown}: {describe(failure)}")

    def _no_relay(self, code: int) -> UnreachableError:
        return UnreachableError(f"what answers at {self.place.shown} is no relay (HTTP {code})")

    def _checked(self, code: int, content: bytes) -> Any:
        """The answer's JSON, if it is one that the relay gives when it did as asked."""
        if code == 204:
            return None
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or 300 <= code < 400:
            raise self._no_relay(code)
        # /health and /readyz answer 503 with what is the matter.
        if code < 400 or "detail" not in answer:
            return answer
        raise self._refusal(code, printable(str(answer["detail"])))

    def _refusal(self, code: int, detail: str) -> CommandError:
        if code not in _NOT_ALLOWED:
            return RefusedError(code, detail)
        if code == 401 and self.token is not None:
            detail = f"the relay does not take this admin token ({TOKEN_VARIABLE})"
        elif code == 401:
            detail = f"the relay wants its admin token: set {TOKEN_VARIABLE}, or {TOKEN_VARIABLE}_FILE"
        return NotAllowedError(detail)


def _fire(done: Deferred[None]) -> None:
    if not done.called:
        done.callback(None)


def _with_query(path: str, query: Mapping[str, str | int | None]) -> str:
    given = {name: _encoded(str(value)) for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path
