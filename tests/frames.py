"""WebSocket by hand: upgrade requests and frames as bytes.

They are made and read here and not by Autobahn, so that a test judges bytes and not what one library says to itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Mapping
from typing import Any

import attrs

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
_MASK = b"\x37\xfa\x21\x3d"
_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@attrs.frozen
class Frame:
    """One WebSocket frame."""

    opcode: int
    payload: bytes

    @property
    def message(self) -> Any:
        """The JSON that a text frame holds."""
        assert self.opcode == TEXT, self
        return json.loads(self.payload)

    @property
    def close_code(self) -> int:
        """The code of a close frame."""
        assert self.opcode == CLOSE, self
        return int.from_bytes(self.payload[:2], "big")


def encode_frame(opcode: int, payload: bytes, *, masked: bool, final: bool = True) -> bytes:
    """Make the bytes of a frame (RFC 6455, section 5.2)."""
    size, mask_bit = len(payload), 0x80 if masked else 0
    first = bytes([opcode | (0x80 if final else 0)])
    if size < 126:
        head = first + bytes([mask_bit | size])
    elif size < 1 << 16:
        head = first + struct.pack("!BH", mask_bit | 126, size)
    else:
        head = first + struct.pack("!BQ", mask_bit | 127, size)
    return head + (_MASK + _masked(payload, _MASK) if masked else payload)


def _masked(payload: bytes, mask: bytes) -> bytes:
    whole = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")).to_bytes(len(payload), "big")


def decode_frames(data: bytes) -> tuple[list[Frame], bytes]:
    """Read the whole frames at the start of some bytes.

    :return: the frames, and the bytes that are left.
    """
    frames = []
    while len(data) >= 2:
        masked, size, at = data[1] & 0x80, data[1] & 0x7F, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
        mask = data[at : at + 4] if masked else b""
        at += len(mask)
        if len(data) < at + size:
            break
        payload = data[at : at + size]
        frames.append(Frame(data[0] & 0x0F, _masked(payload, mask) if mask else payload))
        data = data[at + size :]
    return frames, data


def upgrade_request(path: str = "/ws/daemon", headers: Mapping[str, str] | None = None) -> bytes:
    """What a daemon sends first of all."""
    fields = {
        "Host": "localhost:8787",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": _KEY,
        "Sec-WebSocket-Version": "13",
        **(headers or {}),
    }
    lines = [f"GET {path} HTTP/1.1", *[f"{name}: {value}" for name, value in fields.items()], "", ""]
    return "\r\n".join(lines).encode()


def upgrade_answer(request: bytes) -> bytes:
    """What a server answers to an upgrade request."""
    key = header_of(request, "Sec-WebSocket-Key").encode()
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ).encode()


def header_of(head: bytes, name: str) -> str:
    """The value of a header in the head of a request or answer."""
    for line in head.decode("latin-1").split("\r\n")[1:]:
        field, _, value = line.partition(":")
        if field.lower() == name.lower():
            return value.strip()
    raise KeyError(name)
