"""The fast path of the opening handshake: a plain upgrade request never reaches Autobahn's parser.

A request is *plain* when it is what a client sends that wants a WebSocket and nothing besides: each header once and in
printable ASCII, no query, no ``Origin``, no subprotocols, no extensions that would be taken. All else stays Autobahn's,
unchanged: above all whatever is to be refused.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from typing import Final

#: RFC 6455, section 1.3.
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_END: Final = b"\r\n\r\n"
_is_plain = re.compile(rb"GET /[\w./-]* HTTP/1\.1(?:\r\n[\w-]+:[ -~]*)+", re.ASCII).fullmatch
_is_plain_host = re.compile(r"[\w.-]*(?::[0-9]{1,5})?", re.ASCII).fullmatch
_is_key = re.compile(r"[A-Za-z0-9+/]{22}==").fullmatch
#: Headers that ask for more than a WebSocket.
_MORE: Final = frozenset({"origin", "sec-websocket-protocol"})
#: What clients offer that can compress and do not insist; where nothing is compressed there is nothing to answer.
_OFFERS: Final = frozenset({"permessage-deflate", "permessage-deflate; client_max_window_bits"})


def read_upgrade(data: bytes, *, compression: bool = False) -> tuple[dict[str, str], int] | None:
    """Read a plain upgrade request.

    :param data: all that came so far.
    :param compression: whether an offer to compress would be taken.
    :return: the headers, their names in small letters, and where the request ends; none when it is not plain, or not
        all there.
    """
    end = data.find(_END)
    if end < 0 or not _is_plain(data, 0, end):
        return None
    lines = data[:end].decode("ascii").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if len(headers) != len(lines) - 1 or not _asks_for_nothing_else(headers):
        return None
    offer = headers.get("sec-websocket-extensions")
    if offer is not None and (compression or offer not in _OFFERS):
        return None
    return headers, end + len(_END)


def _asks_for_nothing_else(headers: dict[str, str]) -> bool:
    get = headers.get
    return (
        get("upgrade", "").lower() == "websocket"
        and get("connection", "").lower() == "upgrade"
        and get("sec-websocket-version") == "13"
        and _is_key(get("sec-websocket-key", "")) is not None
        and _is_plain_host(get("host", "?")) is not None
        and _MORE.isdisjoint(headers)
    )


def accepting(key: str, server: str) -> bytes:
    """What is answered to a plain upgrade request.

    :param key: the client's ``Sec-WebSocket-Key``.
    :param server: what the server calls itself.
    """
    accept = b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()
    return (
        f"HTTP/1.1 101 Switching Protocols\r\nServer: {server}\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ).encode()
