"""Keeps an idle connection small: what Autobahn gives each one of its own, they share while it is as it began.

Autobahn keeps some fifty attributes a connection, most of which never change, and all that it learnt in the handshake.
A class that :func:`configured` made has the former as its own, and :func:`slim` takes both from a connection.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import cached_property
from typing import Any, Final, TypeVar

from autobahn.websocket.protocol import TrafficStats, WebSocketProtocol
from autobahn.websocket.types import ConnectionRequest
from autobahn.websocket.utf8validator import Utf8Validator

from makima_relay.frames import FastFrames
from makima_relay.handshake import accepting, read_upgrade


class Thrifty:
    """Mixed into Autobahn's server protocols, before them: what they do at each step, without words for its log.

    To make those takes longer than the step itself. Its classes are made by :func:`configured`: how a connection begins
    is in the class, and Autobahn's own beginning would only write it into each connection once more.
    """

    factory: Any
    transport: Any
    tcpNoDelay: bool
    fast_frames: bool
    data: bytes
    onOpen: Callable[[], None]
    onConnect: Callable[[ConnectionRequest], object]
    sendData: Callable[[bytes], None]
    dataReceived: Callable[[bytes], None]

    def __init__(self) -> None:
        """Be as the class is."""

    def connectionMade(self) -> None:
        """Begin to wait for the request."""
        # Only TCP knows of it.
        with contextlib.suppress(AttributeError, OSError):
            self.transport.setTcpNoDelay(self.tcpNoDelay)
        self.factory.countConnections += 1

    @cached_property
    def utf8validator(self) -> Any:
        """Looks at the texts that the fast path leaves to Autobahn; most connections never have any."""
        return Utf8Validator()

    def processHandshake(self) -> None:
        """Accept a plain request at once, and leave any other to Autobahn."""
        upgrade = read_upgrade(self.data, compression=self.factory.compression) if self.fast_frames else None
        if upgrade is None:
            super().processHandshake()  # type: ignore[misc]
            return
        headers, end = upgrade
        rest, self.data = self.data[end:], b""
        self.onConnect(ConnectionRequest("", headers, headers["host"], "", {}, 13, None, [], []))
        self.sendData(accepting(headers["sec-websocket-key"], self.factory.server))
        self.state = WebSocketProtocol.STATE_OPEN
        self.onOpen()
        if rest:
            self.dataReceived(rest)

    def _onOpen(self) -> None:
        self.onOpen()


class _NobodyWaits:
    """Stands for the Deferreds of an end and a beginning that nobody waits for."""

    def callback(self, result: object) -> None:
        """Nobody is told."""


#: Attributes as they are in a connection to which nothing has happened yet.
_AT_REST: Final[dict[str, Any]] = {
    "_perMessageCompress": None,
    "autoPingPending": None,
    "autoPingPendingCall": None,
    "autoPingPendingSent": None,
    "autoPingPendingSeq": 0,
    "autoPingTimeoutCall": None,
    "closeHandshakeTimeoutCall": None,
    "closedByMe": False,
    "current_frame": None,
    "data": b"",
    "droppedByMe": False,
    "failedByMe": False,
    "inside_message": False,
    "localCloseCode": None,
    "localCloseReason": None,
    "openHandshakeTimeoutCall": None,
    "remoteCloseCode": None,
    "remoteCloseReason": None,
    "send_state": 0,
    "state": WebSocketProtocol.STATE_CONNECTING,
    "trackedTimings": None,
    "triggered": False,
    "wasClean": False,
    "wasCloseHandshakeTimeout": False,
    "wasMaxFramePayloadSizeExceeded": False,
    "wasMaxMessagePayloadSizeExceeded": False,
    "wasNotCleanReason": None,
    "wasOpenHandshakeTimeout": False,
    "wasServerConnectionDropTimeout": False,
    "wasServingFlashSocketPolicyFile": False,
    "websocket_version": 13,
}
#: What is never looked at in an open connection, or looked at and never changed, or only counted.
_UNUSED: Final[dict[str, Any]] = {
    "_results": None,
    "_transport_details": None,
    "_valid_events": None,
    "is_closed": _NobodyWaits(),
    "is_open": _NobodyWaits(),
    "peer": "",
    "send_queue": (),
    "trafficStats": TrafficStats(),
}
_HANDSHAKE: Final = frozenset(
    {
        "_wskey",
        "http_headers",
        "http_request_data",
        "http_request_host",
        "http_request_params",
        "http_request_path",
        "http_request_uri",
        "http_response_data",
        "http_status_line",
        "websocket_extensions",
        "websocket_extensions_in_use",
        "websocket_origin",
        "websocket_protocol_in_use",
        "websocket_protocols",
    }
)
_DROPPED: Final = _HANDSHAKE.union(_UNUSED)
_LinkT = TypeVar("_LinkT", bound=FastFrames)


def configured(link: type[_LinkT], factory: Any, *, fast_frames: bool, **attributes: Any) -> type[_LinkT]:
    """Make a protocol class that has what all of its connections have alike.

    :param factory: its options are the class's; else Autobahn gives each connection a copy of all of them.
    :param attributes: further attributes.
    """
    options = {name: getattr(factory, name) for name in link.CONFIG_ATTRS}  # type: ignore[attr-defined]
    members = {
        **(_AT_REST | _UNUSED if link.is_server else {}),
        **{name: staticmethod(value) if callable(value) else value for name, value in options.items()},
        "CONFIG_ATTRS": (),
        "factory": factory,
        "fast_frames": link.fast_frames and fast_frames,
        "longest_simple": min(link.longest_simple, options["maxMessagePayloadSize"]),
        **attributes,
    }
    return type(link.__name__, (link,), members)


def slim(connection: Any) -> None:
    """Take from an open connection what only the handshake needed, and what is as its class has it."""
    # A dictionary keeps the room of what was in it, so it is made anew.
    connection.__dict__ = {
        name: value
        for name, value in connection.__dict__.items()
        if name not in _DROPPED and getattr(type(connection), name, slim) is not value
    }
