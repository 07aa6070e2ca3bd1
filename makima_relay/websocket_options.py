"""What both ends of the relay's WebSockets ask of Autobahn."""

from __future__ import annotations

from typing import Any

from autobahn.websocket.compress import (
    PerMessageDeflateOffer,
    PerMessageDeflateOfferAccept,
    PerMessageDeflateResponse,
    PerMessageDeflateResponseAccept,
)


def protocol_options(max_message_size: int, *, compression: bool, is_server: bool) -> dict[str, Any]:
    """The options that both factories give to Autobahn's ``setProtocolOptions``.

    :param max_message_size: bytes; a longer message closes the connection with 1009.
    """
    options: dict[str, Any] = {
        "maxFramePayloadSize": max_message_size,
        "maxMessagePayloadSize": max_message_size,
        # Close with a code, not by cutting: the peer shall learn why.
        "failByDrop": False,
        "echoCloseCodeReason": True,
        "openHandshakeTimeout": 0,
        "closeHandshakeTimeout": 0,
        "autoPingInterval": 0,
        "tcpNoDelay": True,
    }
    if not is_server:
        options["serverConnectionDropTimeout"] = 0
    if compression and is_server:
        options["perMessageCompressionAccept"] = _accept_offer
    elif compression:
        options["perMessageCompressionOffers"] = [PerMessageDeflateOffer()]
        options["perMessageCompressionAccept"] = _accept_response
    return options


def _accept_offer(offers: list[Any]) -> Any:
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer):
            return PerMessageDeflateOfferAccept(offer)
    return None


def _accept_response(response: Any) -> Any:
    return PerMessageDeflateResponseAccept(response) if isinstance(response, PerMessageDeflateResponse) else None
