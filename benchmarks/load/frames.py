"""Builds and takes apart WebSocket frames (RFC 6455, section 5.2)."""

from __future__ import annotations

import os
import struct
from typing import Final

TEXT: Final = 0x81
CLOSE: Final = 0x88
PING: Final = 0x89
PONG: Final = 0x8A
_MASKED: Final = 0x80


def plain_frame(payload: bytes, first: int = TEXT) -> bytes:
    """One whole frame as a server sends it.

    :param first: its first byte.
    """
    return _head(len(payload), first, 0) + payload


def masked_frame(payload: bytes, first: int = TEXT) -> bytes:
    """One whole frame as a client sends it, with a mask of its own.

    :param first: its first byte.
    """
    key = os.urandom(4)
    return _head(len(payload), first, _MASKED) + key + _masked(payload, key)


def _head(length: int, first: int, bit: int) -> bytes:
    if length < 126:
        return bytes([first, bit | length])
    if length < 1 << 16:
        return bytes([first, bit | 126]) + struct.pack("!H", length)
    return bytes([first, bit | 127]) + struct.pack("!Q", length)


def _masked(payload: bytes, key: bytes) -> bytes:
    size = len(payload)
    pad = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")


def split(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Take whole frames that a server sent off the front of some bytes.

    :return: the first byte and the payload of each, and the rest.
    """
    frames, position, end = [], 0, len(data)
    while end - position >= 2:
        start, size = position + 2, data[position + 1]
        if size > 125:
            wide = 2 if size == 126 else 8
            size = int.from_bytes(data[start : start + wide], "big")
            start += wide
        if start + size > end:
            break
        frames.append((data[position], data[start : start + size]))
        position = start + size
    return frames, data[position:] if position else data
