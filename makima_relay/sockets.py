"""What Twisted's transports do not tell of themselves, and a quicker way to write to them."""

from __future__ import annotations

from typing import Any

from twisted.internet.tcp import Connection


def socket_of(transport: Any) -> Any:
    """The innermost transport of a connection: under TLS it is the one that has the buffers."""
    while (inner := getattr(transport, "transport", None)) is not None:
        transport = inner
    return transport


def unsent(transport: Any) -> int:
    """Bytes that wait in a transport to be taken by the peer."""
    socket = socket_of(transport)
    # Twisted has no public word for it: a test with a real socket fails if these change.
    return int(len(socket.dataBuffer) - socket.offset + socket._tempDataLen)  # noqa: SLF001


def write_now(transport: Any, data: bytes) -> None:
    """Write what the socket takes at once, if nothing waits before it; the rest waits in the transport as usual.

    Twisted would ask the system to be told when the socket can be written, write in its next turn, and ask to be told
    no more: of a report that comes by itself that takes more than half of the time.
    """
    if (
        isinstance(transport, Connection)
        and transport.connected
        and not transport.disconnecting
        and _is_empty(transport)
    ):
        data = data[_taken(transport.socket, data) :]
    if data:
        transport.write(data)


def _is_empty(transport: Any) -> bool:
    # See unsent.
    return not transport.dataBuffer and not transport._tempDataLen  # noqa: SLF001


def _taken(socket: Any, data: bytes) -> int:
    """Send some data.

    :return: how much was taken: nothing if the socket is full, or broken, which the transport will notice.
    """
    try:
        return int(socket.send(data))
    except OSError:
        return 0
