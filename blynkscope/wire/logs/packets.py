"""Dumps of whole packets (`tcpdump -X`, Wireshark's hex dump of a frame) → the bytes of TCP in them."""

from __future__ import annotations

import re
from typing import NamedTuple

_ROW = re.compile(
    r"[ \t]*+(?:0x)?([0-9a-fA-F]{4,8}):?[ \t]{1,3}((?:[0-9a-fA-F]{2}){1,2}(?=[ \t]|\Z)"
    r"(?:[ ]{1,2}[0-9a-fA-F]{2}(?:[0-9a-fA-F]{2})?(?=[ \t]|\Z))*+)"
)
_ROW_MAX = 256
"""Characters of a row; longer lines are none."""
_ROW_BYTES = 16
_LINKS = ((0, b""), (14, b"\x08\x00"), (14, b"\x86\xdd"), (16, b"\x08\x00"), (16, b"\x86\xdd"), (4, b""))
"""Where IP begins (bare, Ethernet, Linux's SLL, loopback), and the two bytes in front of it."""
_TCP = 6
_V4_HEADER, _V6_HEADER, _TCP_HEADER = 20, 40, 20

End = tuple[bytes, int]
"""Address and port."""


class Segment(NamedTuple):
    """The payload of one TCP segment."""

    source: End
    target: End
    data: bytes


def read(text: str) -> list[Segment] | None:
    """The segments with payload, in order; None where the text is not a dump of packets alone. Linear in the text."""
    segments = [_segment(packet) for packet in dumps(text)]
    if not segments or None in segments:
        return None
    return [one for one in segments if one is not None and one.data]


def dumps(text: str) -> list[bytes]:
    """The bytes of each dump in a text: rows with offsets that go on from 0. Empty where an offset does not fit."""
    packets: list[bytearray] = []
    for line in text.split("\n"):
        match = _ROW.match(line) if len(line) <= _ROW_MAX else None
        if match is None:
            continue
        offset, data = int(match[1], 16), _row(match[2])
        if offset == 0:
            packets.append(bytearray())
        if not packets or offset != len(packets[-1]):
            return []
        packets[-1] += data
    return [bytes(packet) for packet in packets]


def _row(printed: str) -> bytes:
    """The bytes of a row: the character column may hold digits too, so no more than a row has."""
    return bytes.fromhex(printed.replace(" ", ""))[:_ROW_BYTES]


def _segment(packet: bytes) -> Segment | None:
    for begin, kind in _LINKS:
        if packet[begin - len(kind) : begin] == kind and (found := _ip(packet[begin:])) is not None:
            return found
    return None


def _ip(packet: bytes) -> Segment | None:
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= _V4_HEADER:
        header, total, protocol = (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big"), packet[9]
        source, target = packet[12:16], packet[16:20]
    elif version == 6 and len(packet) >= _V6_HEADER:
        header, total, protocol = _V6_HEADER, _V6_HEADER + int.from_bytes(packet[4:6], "big"), packet[6]
        source, target = packet[8:24], packet[24:40]
    else:
        return None
    tcp = packet[header:total]
    if protocol != _TCP or header < _V4_HEADER or total < header + _TCP_HEADER or len(tcp) < _TCP_HEADER:
        return None
    ports = int.from_bytes(tcp[:2], "big"), int.from_bytes(tcp[2:4], "big")
    size = (tcp[12] >> 4) * 4
    return None if size < _TCP_HEADER else Segment((source, ports[0]), (target, ports[1]), tcp[size:])
