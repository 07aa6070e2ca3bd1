"""The Makima server of the benchmarks: authenticates whoever connects and hands over all that they report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from benchmarks import BenchmarkError

_HELLO = b'{"type":"authenticated","daemonId":"b"}'


class _Link(WSListener):
    """One connection to the server; a relay has one, a proxy has one for each daemon."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._heard: Callable[[bytes], None] | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Nothing is read of it while the server stalls."""
        self._server.opened(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A message came."""
        if frame.msg_type != _TEXT:
            self._control(transport, frame)
        elif self._heard is not None:
            self._heard(frame.get_payload_as_bytes())
        else:
            self._authenticate(transport, frame.get_payload_as_bytes())

    def _authenticate(self, transport: WSTransport, payload: bytes) -> None:
        if not payload.startswith(b'{"type":"authenticate"'):
            raise BenchmarkError(f"the first message to the server is {payload[:80]!r}")
        transport.send(_TEXT, _HELLO)
        self._heard = self._server.heard
        self._server.joined(transport)

    def _control(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.PONG:
            self._server.pong.set()
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """It is gone."""
        self._server.parted(transport)


_TEXT = WSMsgType.TEXT


class Server:
    """Listens on a free port.

    :param heard: told each text message after ``authenticate``, heartbeats too; it must not change meanwhile.
    :ivar links: the authenticated connections, oldest first.
    :ivar live: set while there is one.
    :ivar pong: set when a pong came.
    """

    def __init__(self, heard: Callable[[bytes], None]) -> None:
        self.heard = heard
        self.links: list[WSTransport] = []
        self.live = asyncio.Event()
        self.pong = asyncio.Event()
        self.port = 0
        self._listening: asyncio.Server | None = None
        self._open: set[WSTransport] = set()
        self._stalls = False

    async def listen(self, port: int = 0) -> None:
        """Begin.

        :param port: 0 for any.
        """

        def link(_: WSUpgradeRequest) -> Any:
            return _Link(self)

        self._listening = await ws_create_server(link, "127.0.0.1", port, max_frame_size=1 << 26)
        self.port = int(self._listening.sockets[0].getsockname()[1])

    def opened(self, transport: WSTransport) -> None:
        """Somebody has connected."""
        self._open.add(transport)
        if self._stalls:
            transport.underlying_transport.pause_reading()

    def joined(self, transport: WSTransport) -> None:
        """Somebody has authenticated."""
        self.links.append(transport)
        self.live.set()

    def parted(self, transport: WSTransport) -> None:
        """Somebody's connection is gone."""
        self._open.discard(transport)
        if transport in self.links:
            self.links.remove(transport)
        if not self.links:
            self.live.clear()

    @property
    def relay(self) -> asyncio.Transport:
        """The socket of the latest connection, for frames that are built already."""
        return self.links[-1].underlying_transport

    async def settled(self) -> None:
        """Wait until the relay has made safe all that it was sent: it answers no ping before."""
        self.pong.clear()
        self.links[-1].send_ping(b"settled?")
        await self.pong.wait()

    def stall(self) -> None:
        """Read nothing more, also of new connections, until :meth:`go_on`."""
        self._stalls = True
        for link in self._open:
            link.underlying_transport.pause_reading()

    def go_on(self) -> None:
        """Read again."""
        self._stalls = False
        for link in self._open:
            link.underlying_transport.resume_reading()

    def leave(self) -> None:
        """Cut all connections, and take no others until :meth:`listen` is called again."""
        if self._listening is not None:
            self._listening.close()
        for link in list(self.links):
            link.underlying_transport.abort()
