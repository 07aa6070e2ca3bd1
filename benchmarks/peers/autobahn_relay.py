"""The relay itself, reading and writing through Autobahn alone: ``python -m benchmarks.peers.autobahn_relay``.

Takes the arguments of ``twistd``. Core, outbox, acknowledgement and database are the relay's own; each message comes
by Autobahn's ``onMessage`` and goes by its ``sendMessage``.
"""

from __future__ import annotations

from autobahn.twisted.websocket import WebSocketClientProtocol, WebSocketServerProtocol
from twisted.scripts.twistd import run

from makima_relay.downstream import DaemonProtocol
from makima_relay.server_link import ServerProtocol
from makima_relay.websocket import WebSocketEnd

#: How Autobahn takes what comes apart, and puts together what goes.
_AUTOBAHNS_OWN = (
    "dataReceived",
    "_dataReceived",
    "processData",
    "onFrameBegin",
    "onFrameData",
    "onFrameEnd",
    "onMessageBegin",
    "onMessageFrameBegin",
    "onMessageFrameData",
    "onMessageFrameEnd",
    "onMessageEnd",
    "sendFrame",
    "sendData",
)


def _send_text(self: WebSocketEnd, payload: bytes) -> None:
    if self.speaking:
        self.sendMessage(payload)  # type: ignore[attr-defined]


def use_autobahn_alone() -> None:
    """Put Autobahn's own methods back wherever the relay has faster ones."""
    for link, autobahns in ((DaemonProtocol, WebSocketServerProtocol), (ServerProtocol, WebSocketClientProtocol)):
        for name in _AUTOBAHNS_OWN:
            setattr(link, name, getattr(autobahns, name))
        setattr(link, "send_text", _send_text)  # noqa: B010 - a type checker knows only the relay's own


if __name__ == "__main__":
    use_autobahn_alone()
    run()
