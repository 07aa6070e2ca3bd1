"""Stands in for systemd, as far as it wants to hear of the relay."""

from __future__ import annotations

import socket
import uuid


class Listening:
    """A socket that somebody is told things at.

    :param name: as ``NOTIFY_SOCKET`` has it.
    """

    def __init__(self, name: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self.socket.settimeout(0)

    def heard(self) -> list[str]:
        """What came since it was last asked; each datagram is one text."""
        texts: list[str] = []
        while True:
            try:
                texts.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return texts


def a_name() -> str:
    """A name that nobody else has, of the kind that needs no file."""
    return f"@makima-relay-{uuid.uuid4()}"
