"""Hardware addresses and network names below IP: link headers, and the management frames of Wi-Fi."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from blynkscope.sources.packets import ETHERNET, RADIOTAP, SLL, SLL2, WIFI

_SSID_TAG = 0
_FIXED = {0: 4, 2: 10, 4: 0, 5: 12, 8: 12}
"""Bytes in front of the tags, by subtype: (re)association, probe, its answer, beacon."""
_ADDRESS = 6


def _frame_at(link: int, data: bytes) -> int | None:
    """Where the 802.11 header begins."""
    if link == WIFI:
        return 0
    if link == RADIOTAP and len(data) >= 4:
        return int(struct.unpack_from("<H", data, 2)[0])
    return None


def hardware_addresses(link: int, data: bytes) -> Iterator[int]:
    """Where the MAC addresses of a packet's link header are; groups and the broadcast address are left out."""
    places: tuple[int, ...] = ()
    if link == ETHERNET:
        places = (0, 6)
    elif link == SLL and data[4:6] == b"\0\x06":
        places = (6,)
    elif link == SLL2 and data[11:12] == b"\x06":
        places = (12,)
    elif (start := _frame_at(link, data)) is not None:
        control = data[start] if start < len(data) else 0
        # Control frames have one or two addresses, all others three and more.
        count = 1 if control & 0x0C == 0x04 else 3
        places = tuple(start + 4 + _ADDRESS * number for number in range(count))
    for place in places:
        address = data[place : place + _ADDRESS]
        if len(address) == _ADDRESS and any(address) and not address[0] & 1:
            yield place


def network_name(link: int, data: bytes) -> tuple[int, int] | None:
    """Where the SSID of a Wi-Fi management frame is, if the packet is one that names it."""
    start = _frame_at(link, data)
    if start is None or len(data) < start + 24 or data[start] & 0x0C:
        return None
    at = start + 24 + _FIXED.get(data[start] >> 4, len(data))
    while at + 2 <= len(data):
        tag, size = data[at], data[at + 1]
        if tag == _SSID_TAG:
            return (at + 2, at + 2 + size) if size and at + 2 + size <= len(data) else None
        at += 2 + size
    return None
