"""Internet checksums that follow changes (RFC 1624): what was right stays right, what was wrong is not touched."""

from __future__ import annotations

import struct

from blynkscope.scrub.packets import UDP, Segment

_CHECKSUM_AT = {6: 16, UDP: 6}
"""Where the checksum is in a segment, by protocol."""


def ones_sum(data: bytes) -> int:
    """The ones' complement sum of 16-bit words; a byte at the end counts as the upper half of a word."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def followed(checksum: int, before: bytes, after: bytes, *, odd: bool = False) -> int:
    """The checksum of data after some bytes of it changed.

    Args:
        checksum: The one before.
        before: The bytes that changed.
        after: What they became, as many.
        odd: True where they begin in the lower half of a word.
    """
    if odd:
        before, after = b"\0" + before, b"\0" + after
    total = (~checksum & 0xFFFF) + (~ones_sum(before) & 0xFFFF) + ones_sum(after)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def is_right(pseudo: bytes, data: bytes) -> bool:
    """Whether the checksum inside the data, together with the pseudo header, says that it is whole."""
    return ones_sum(pseudo + data) == 0xFFFF


def was_wrong(one: Segment) -> bool:
    """Whether the checksum of a whole segment is wrong, as where the network card was to fill it in."""
    at = _CHECKSUM_AT[one.protocol]
    if not one.whole or len(one.data) < at + 2 or (one.protocol == UDP and not any(one.data[at : at + 2])):
        return False
    return not is_right(_pseudo(one.addresses, one.protocol, len(one.data)), one.data)


def with_checksum(one: Segment, new: bytes, addresses: bytes) -> bytes:
    """The changed segment with a checksum that is right where it was right before, or could not be judged."""
    at = _CHECKSUM_AT[one.protocol]
    if len(one.data) < at + 2:
        return new
    (old,) = struct.unpack_from(">H", one.data, at)
    if one.protocol == UDP and not old:
        return new
    if was_wrong(one):
        return new
    value = followed(old, one.data, new)
    value = followed(value, one.addresses, addresses)
    if one.protocol == UDP and not value:
        value = 0xFFFF
    return new[:at] + struct.pack(">H", value) + new[at + 2 :]


def _pseudo(addresses: bytes, protocol: int, length: int) -> bytes:
    if len(addresses) == 8:
        return addresses + struct.pack(">HH", protocol, length)
    return addresses + struct.pack(">II", length, protocol)
