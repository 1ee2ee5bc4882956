"""Containers: capture files of every form, written field by field so that any of them can be made wrong on purpose."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from struct import pack
from typing import NamedTuple

from talk import Talk

FOLDER = Path(__file__).resolve().parent.parent / "made"
LITTLE, BIG = "<", ">"
ETHERNET = 1


class Captured(NamedTuple):
    """A packet as a file holds it: time in nanoseconds, bytes, and the length that it had on the wire."""

    time: int
    data: bytes
    wire: int


def captured(time: int, data: bytes, snaplen: int = 65535) -> Captured:
    return Captured(time, data[:snaplen], len(data))


def pcap(
    packets: Iterable[Captured], link: int = ETHERNET, *, order: str = LITTLE, nano: bool = False, snaplen: int = 65535
) -> bytes:
    """A classic capture file."""
    magic, unit = (0xA1B23C4D, 1) if nano else (0xA1B2C3D4, 1000)
    parts = [pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, link)]
    for packet in packets:
        seconds, rest = divmod(packet.time, 1_000_000_000)
        parts.append(pack(order + "IIII", seconds, rest // unit, len(packet.data), packet.wire) + packet.data)
    return b"".join(parts)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def option(order: str, code: int, data: bytes) -> bytes:
    return pack(order + "HH", code, len(data)) + padded(data)


def block(order: str, kind: int, body: bytes) -> bytes:
    """A pcapng block with equal lengths at both ends."""
    total = 12 + len(body)
    return pack(order + "II", kind, total) + body + pack(order + "I", total)


def section(order: str = LITTLE) -> bytes:
    return block(order, 0x0A0D0D0A, pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(order: str = LITTLE, link: int = ETHERNET, options: Sequence[bytes] = (), snaplen: int = 65535) -> bytes:
    tail = b"".join(options) + (option(order, 0, b"") if options else b"")
    return block(order, 1, pack(order + "HHI", link, 0, snaplen) + tail)


def enhanced(order: str, number: int, packet: Captured, ticks: int, options: Sequence[bytes] = ()) -> bytes:
    """An enhanced packet block; `ticks` is the time in the unit of its interface."""
    head = pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(packet.data), packet.wire)
    tail = b"".join(options) + (option(order, 0, b"") if options else b"")
    return block(order, 6, head + padded(packet.data) + tail)


def pcapng(packets: Iterable[Captured], link: int = ETHERNET, order: str = LITTLE) -> bytes:
    """One section, one interface, microseconds."""
    blocks = [enhanced(order, 0, packet, packet.time // 1000) for packet in packets]
    return section(order) + interface(order, link) + b"".join(blocks)


def gzipped(data: bytes) -> bytes:
    """The gzip form without a name and a time, so that the same data gives the same bytes."""
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = squeezed.compress(data) + squeezed.flush()
    return b"\x1f\x8b\x08\0\0\0\0\0\x02\xff" + body + pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def save(name: str, data: bytes, *talks: Talk) -> None:
    """Write a capture and its truth, whose rows are those of each connection in turn, by time."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / name).write_bytes(data)
    rows = sorted((row for talk in talks for row in talk.truth), key=lambda row: row["ts"])
    lines = [json.dumps(row, separators=(",", ":")) + "\n" for row in rows]
    (FOLDER / f"{name.partition('.')[0]}.truth.jsonl").write_text("".join(lines), encoding="utf-8")
