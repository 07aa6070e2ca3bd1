"""Where connections come from, as far as limits are concerned."""

from __future__ import annotations

import ipaddress

from twisted.internet.address import IPv4Address, IPv6Address

#: Bits of an IPv6 address that one customer of a provider has in common, and so one stranger: RFC 6177, section 2.
_PREFIX = 64


def origin_of(address: object) -> str | None:
    """Who is behind an address, for limits per address.

    :return: an IPv4 address or an IPv6 network; none for this machine itself, where limits per address would be those
        of a reverse proxy, that is of everybody.
    """
    if not isinstance(address, IPv4Address | IPv6Address):
        return None
    try:
        parsed = ipaddress.ip_address(address.host.partition("%")[0])
    except ValueError:
        return address.host
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            return None if parsed.is_loopback else str(ipaddress.ip_network((parsed, _PREFIX), strict=False))
        parsed = parsed.ipv4_mapped
    return None if parsed.is_loopback else str(parsed)
