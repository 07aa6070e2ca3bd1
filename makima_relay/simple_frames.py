"""Simple frames as bytes: takes them from what was read, and makes them of what is sent.

A frame is *simple* when it is a whole text message of less than 64 KiB, masked as it has to be, without extensions and
of valid UTF-8. Of pongs that are whole the bytes are known here too.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, repeat
from typing import Final

try:
    from websockets.speedups import apply_mask
except ImportError:  # It is in C, and not built for every machine.
    from websockets.utils import apply_mask

#: The first byte of a text frame that is a whole message and has no extensions; the bit of the second for a mask.
_TEXT: Final = 0x81
_MASKED: Final = 0x80
#: The first byte of a pong.
_PONG: Final = 0x8A
#: The smallest sizes that stand in the two bytes, and in the eight, behind the second.
_MEDIUM: Final = 126
_BIG: Final = 1 << 16
#: The longest payload of a simple frame, in bytes.
LONGEST: Final = _BIG - 1
#: The size in the second byte that says so.
_IN_TWO, _IN_EIGHT = 126, 127
#: Bytes of randomness that are fetched at a time.
_POOL: Final = 16 << 10
_MEDIUM_START: Final = _TEXT << 8 | _MASKED | _IN_TWO

_masked_start = struct.Struct("!HH4s").unpack_from
_small_head = struct.Struct("!BB4s").pack
_medium_head = struct.Struct("!HH4s").pack
_big_head = struct.Struct("!BBQ4s").pack
_unmasked_medium_head = struct.Struct("!BBH").pack
_unmasked_big_head = struct.Struct("!BBQ").pack
_each_mask = struct.Struct("4s").iter_unpack

#: Takes the simple frames from data at a position, up to the first frame that is none, with payloads of at most so many
#: bytes; returns the payloads and the position behind them.
Splitter = Callable[[bytes, int, int], tuple[list[bytes], int]]


# ------------------------------------------------------------------------------------------------------- reading


def split_masked(data: bytes, position: int, longest: int) -> tuple[list[bytes], int]:
    """Split what a client sent; see :data:`Splitter`."""
    payloads: list[bytes] = []
    end = len(data)
    while end - position >= 8:
        first, size, mask = _masked_start(data, position)
        start = position + 8
        if first != _MEDIUM_START:
            size = (first & 0xFF) - _MASKED
            if first >> 8 != _TEXT or not 0 <= size < _MEDIUM:
                break
            start = position + 6
            mask = data[position + 2 : start]
        elif size < _MEDIUM:
            break
        stop = start + size
        if stop > end or size > longest:
            break
        payload = apply_mask(data[start:stop], mask)
        if not payload.isascii() and not _is_text(payload):
            break
        payloads.append(payload)
        position = stop
    return payloads, position


def split_unmasked(data: bytes, position: int, longest: int) -> tuple[list[bytes], int]:
    """Split what a server sent; see :data:`Splitter`."""
    payloads: list[bytes] = []
    end = len(data)
    while end - position >= 4 and data[position] == _TEXT:
        start, size = position + 2, data[position + 1]
        if size == _IN_TWO:
            start, size = position + 4, int.from_bytes(data[start : position + 4], "big")
            if size < _MEDIUM:
                break
        elif size > _IN_TWO:
            break
        stop = start + size
        if stop > end or size > longest:
            break
        payload = data[start:stop]
        if not payload.isascii() and not _is_text(payload):
            break
        payloads.append(payload)
        position = stop
    return payloads, position


def split_pong(data: bytes, position: int, *, masked: bool) -> tuple[bytes, int] | None:
    """Take a whole pong from data at a position.

    :param masked: whether it has to be masked.
    :return: its payload and the position behind it; none if there is none.
    """
    if len(data) - position < 2 or data[position] != _PONG:
        return None
    start, size = position + (6 if masked else 2), data[position + 1] - (_MASKED if masked else 0)
    stop = start + size
    if not 0 <= size < _MEDIUM or stop > len(data):
        return None
    payload = data[start:stop]
    return (apply_mask(payload, data[start - 4 : start]) if masked else payload), stop


def _is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_begun(data: bytes, position: int, longest: int, *, masked: bool) -> bool:
    """Whether data ends within a frame that can still turn out to be simple.

    :param position: where the frame begins.
    :param longest: the longest payload that is wanted, in bytes.
    :param masked: whether it has to be masked.
    """
    have = len(data) - position
    size = data[position + 1] - (_MASKED if masked else 0) if have > 1 else 0
    if data[position] != _TEXT or not 0 <= size <= _IN_TWO:
        return False
    head = (4 if size == _IN_TWO else 2) + (4 if masked else 0)
    if have < head:
        return True
    if size == _IN_TWO:
        size = int.from_bytes(data[position + 2 : position + 4], "big")
        if size < _MEDIUM:
            return False
    if size > longest or have >= head + size:
        return False
    part = data[position + head :]
    # What else comes in pieces is Autobahn's: it looks at each byte once.
    return (apply_mask(part, data[position + head - 4 : position + head]) if masked else part).isascii()


def frame_end(data: bytes, position: int) -> int:
    """Where the frame at a position ends; the end of the data while that cannot be told."""
    if len(data) - position < 2:
        return len(data)
    second = data[position + 1]
    start, size = position + 2, second & ~_MASKED
    if size >= _IN_TWO:
        start += 2 if size == _IN_TWO else 8
        if start > len(data):
            return len(data)
        size = int.from_bytes(data[position + 2 : start], "big")
    return start + (4 if second & _MASKED else 0) + size


# ------------------------------------------------------------------------------------------------------- writing


def _fresh_masks() -> Iterator[bytes]:
    while True:
        for (mask,) in _each_mask(os.urandom(_POOL)):
            yield mask


#: Masks that nobody can foretell; many at a time cost much less.
_masks: Final = _fresh_masks()


def join_masked(payloads: Sequence[bytes]) -> bytes:
    """Make text frames as a client sends them: each under a fresh mask that nobody can foretell (RFC 6455, 5.3)."""
    if len(payloads) == 1:
        (payload,), mask = payloads, next(_masks)
        return _masked_head(len(payload), mask) + apply_mask(payload, mask)
    sizes, masks = list(map(len, payloads)), list(islice(_masks, len(payloads)))
    pieces = [b""] * (2 * len(payloads))
    if min(sizes) >= _MEDIUM and max(sizes) < _BIG:
        pieces[0::2] = map(_medium_head, repeat(_MEDIUM_START), sizes, masks)
    else:
        pieces[0::2] = map(_masked_head, sizes, masks)
    pieces[1::2] = map(apply_mask, payloads, masks)
    return b"".join(pieces)


def _masked_head(size: int, mask: bytes) -> bytes:
    if _MEDIUM <= size < _BIG:
        return _medium_head(_MEDIUM_START, size, mask)
    if size < _MEDIUM:
        return _small_head(_TEXT, _MASKED | size, mask)
    return _big_head(_TEXT, _MASKED | _IN_EIGHT, size, mask)


def join_unmasked(payloads: Sequence[bytes]) -> bytes:
    """Make text frames as a server sends them."""
    if len(payloads) == 1:
        return _unmasked_head(len(payloads[0])) + payloads[0]
    pieces = [b""] * (2 * len(payloads))
    pieces[0::2] = map(_unmasked_head, map(len, payloads))
    pieces[1::2] = payloads
    return b"".join(pieces)


def _unmasked_head(size: int) -> bytes:
    if size < _MEDIUM:
        return bytes((_TEXT, size))
    if size < _BIG:
        return _unmasked_medium_head(_TEXT, _IN_TWO, size)
    return _unmasked_big_head(_TEXT, _IN_EIGHT, size)
