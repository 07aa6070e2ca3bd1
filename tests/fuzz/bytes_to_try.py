"""What is tried: the corpus and its mutations."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

CORPUS: Final = Path(__file__).with_name("corpus")
#: The first byte of what a stream target is given says in which pieces the rest comes: of so many bytes, 0 for one.
PIECES: Final = (0, 1, 2, 3, 7, 64, 1_000)
#: What parsers look for.
_WORDS: Final = (
    *(b"\r\n", b"\r\n\r\n", b"\0", b"\xff", b"\xed\xa0\x80", b"\xc3", b"%2F", b"%00", b"%FF", b"//", b"..", b"?", b"#"),
    *(b"GET ", b"POST ", b"HTTP/1.0", b"HTTP/1.1", b"Content-Length: ", b"Transfer-Encoding: chunked", b"Expect: 100-"),
    *(b"Sec-WebSocket-Extensions: ", b"permessage-deflate; client_max_window_bits=8", b"Origin: null", b"Host: "),
    *(
        b'{"type":',
        b'"taskId":',
        b'"task_id":',
        b'"success":',
        b'"error":',
        b'"activeTasks":',
        b'"\\ud800"',
        b"[" * 990,
    ),
    *(b"null", b"true", b"1e999", b"-", b"9" * 5_000, b"\\u0000", b'"type":"taskComplete",', b'"type":"heartbeat",'),
    *(b"\x81\x80\0\0\0\0", b"\x01\x80\0\0\0\0", b"\0\x80\0\0\0\0", b"\x80\x80\0\0\0\0", b"\x88\x82\0\0\0\0\x03\xe8"),
    *(b"\x89\x80\0\0\0\0", b"\x8a\x80\0\0\0\0", b"\xc1", b"\x81\xfe\0\x05", b"\x81\xff\x80\0\0\0\0\0\0\x05"),
)


def corpus(target: str) -> list[bytes]:
    """What is kept for a target, in a fixed order."""
    return [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]


def in_pieces(data: bytes) -> Iterator[bytes]:
    """What a stream target is given, in the pieces in which it is to come."""
    size = PIECES[data[0] % len(PIECES)] if data else 0
    rest = data[1:]
    # Very many pieces take long, and tell no more than many.
    size = max(size, len(rest) // 1_000) if size else len(rest)
    for place in range(0, len(rest), max(1, size)):
        yield rest[place : place + size]


def mutations(kept: Sequence[bytes], number: int, seed: int) -> Iterator[bytes]:
    """So many mutations of what is kept, the same for the same seed."""
    chance = random.Random(seed)
    for _ in range(number):
        data = chance.choice(kept)
        for _ in range(chance.choice((1, 1, 2, 4, 8))):
            data = chance.choice(_CHANGES)(chance, data, kept)
        yield data


def _flip(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    if not data:
        return data
    place = chance.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]


def _put(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    place, word = chance.randint(0, len(data)), chance.choice(_WORDS)
    return data[:place] + word + data[place + chance.choice((0, 0, len(word))) :]


def _drop(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    place = chance.randint(0, len(data))
    return data[:place] + data[place + chance.choice((1, 2, 4, 16, 256)) :]


def _repeat(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start = chance.randint(0, len(data))
    part = data[start : start + chance.choice((1, 8, 64, 1_024))]
    return data[:start] + part * chance.choice((2, 3, 100)) + data[start + len(part) :]


def _cross(chance: random.Random, data: bytes, kept: Sequence[bytes]) -> bytes:
    other = chance.choice(kept)
    return data[: chance.randint(0, len(data))] + other[chance.randint(0, len(other)) :]


def _stop(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return data[: chance.randint(0, len(data))]


_CHANGES: Final[tuple[Callable[[random.Random, bytes, Sequence[bytes]], bytes], ...]] = (
    *(_flip, _flip, _put, _put, _drop, _repeat, _cross, _stop),
)
