"""What kind of address an IP address is."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_TRANSLATED = ip_network("64:ff9b::/96")
"""IPv4 addresses behind a NAT64 (RFC 6052): the last 32 bits are the address."""


def plain(address: str) -> IPv4Address | IPv6Address:
    """An address without zone, as IPv4 where it is an IPv4 address in IPv6 notation.

    Raises:
        ValueError: It is no address.
    """
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return parsed.ipv4_mapped
        if parsed in _TRANSLATED:
            return IPv4Address(int(parsed) & 0xFFFFFFFF)
    return parsed


def is_public(address: str) -> bool:
    """Is it an address of the public internet? Loopback, private, link-local (the metadata of clouds) are not."""
    try:
        parsed = plain(address)
    except ValueError:
        return False
    return parsed.is_global and not parsed.is_multicast
