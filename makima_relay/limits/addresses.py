"""Where connections come from: for people, and for limits."""

from __future__ import annotations

import functools
import ipaddress

from twisted.internet.address import IPv4Address, IPv6Address

#: Bits of an IPv6 address that one customer of a provider has in common, and so one stranger: RFC 6177, section 2.
_PREFIX = 64
#: Hosts whose origin is remembered: to read an address takes longer than to look one up.
_REMEMBERED = 10_000


def shown_address(address: object) -> str:
    """An address for people."""
    if isinstance(address, IPv4Address):
        return f"{address.host}:{address.port}"
    if isinstance(address, IPv6Address):
        return f"[{address.host}]:{address.port}"
    return "unix"


def origin_of(address: object) -> str | None:
    """Who is behind an address, for limits per address.

    :return: an IPv4 address or an IPv6 network; none for this machine itself, where limits per address would be those
        of a reverse proxy, that is of everybody.
    """
    return _origin(address.host) if isinstance(address, IPv4Address | IPv6Address) else None


@functools.lru_cache(_REMEMBERED)
def _origin(host: str) -> str | None:
    try:
        parsed = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            return None if parsed.is_loopback else str(ipaddress.ip_network((parsed, _PREFIX), strict=False))
        parsed = parsed.ipv4_mapped
    return None if parsed.is_loopback else str(parsed)
