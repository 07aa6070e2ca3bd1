"""What Twisted's transports do not tell of themselves."""

from __future__ import annotations

from typing import Any


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
