"""Cuts the pcapng that a capturing program writes into packets with their exact times, while it is written.

The reader of captures waits for more; this one takes what there is. It reads what a program of this machine writes: one
section, in the byte order of the machine.
"""

from __future__ import annotations

import struct
import sys

from blynkscope.protocol import limits
from blynkscope.sources.capture import Packet
from blynkscope.sources.live.model import Chunk, Stamp

_SHB, _IDB, _EPB = 0x0A0D0D0A, 1, 6
_ORDER = "<" if sys.byteorder == "little" else ">"
_HEAD = struct.Struct(_ORDER + "II").unpack_from
_PACKET = struct.Struct(_ORDER + "IIIII").unpack_from
_OPTION = struct.Struct(_ORDER + "HH").unpack_from


class BrokenStreamError(ValueError):
    """What came through the pipe is no pcapng."""


class Blocks:
    """Cuts pcapng, as it comes, into packets. It takes any cut, and keeps no more than one incomplete block."""

    def __init__(self) -> None:
        self._rest = b""
        self._interfaces: list[tuple[int, int, int, int]] = []
        """Link type; nanoseconds of a tick of its clock, as a fraction: times, through; where its clock begins."""

    @property
    def described(self) -> int:
        """Interfaces so far."""
        return len(self._interfaces)

    def feed(self, data: bytes) -> Chunk:
        """Take what came.

        Raises:
            BrokenStreamError: It is no pcapng.
        """
        data = self._rest + data if self._rest else data
        at, size = 0, len(data)
        packets: list[Packet] = []
        stamps: list[Stamp] = []
        add, stamp, described = packets.append, stamps.append, self._interfaces
        while size - at >= 12:
            kind, length = _HEAD(data, at)
            if length < 12 or length % 4 or length > limits.BLOCK_MAX:
                raise BrokenStreamError(f"a block of {length} bytes")
            end = at + length
            if end > size:
                break
            if kind == _EPB:
                if length < 32:
                    raise BrokenStreamError("a short packet block")
                number, high, low, captured, wire = _PACKET(data, at + 8)
                if number >= len(described) or captured > length - 32:
                    raise BrokenStreamError("a packet that does not fit its block")
                link, times, through, offset = described[number]
                moment = (high << 32 | low) * times // through + offset
                add((moment * 1e-9, link, at + 28, at + 28 + captured, wire))
                stamp(Stamp(moment, number))
            elif kind == _IDB:
                if len(described) >= limits.INTERFACES_MAX:
                    raise BrokenStreamError("too many interfaces")
                self._interface(data, at + 8, end - 4)
            elif kind == _SHB:
                described.clear()
            at = end
        self._rest = data[at:]
        return Chunk(data, packets, stamps)

    def _interface(self, data: bytes, at: int, end: int) -> None:
        link = int.from_bytes(data[at : at + 2], sys.byteorder)
        at += 8
        times, through, offset = 1000, 1, 0  # microseconds, where nothing is said
        while end - at >= 4:
            code, length = _OPTION(data, at)
            if code == 0:
                break
            if code == 9 and length == 1:
                exponent = data[at + 4]
                if exponent & 0x80:
                    times, through = 1_000_000_000, 1 << (exponent & 0x7F)
                else:
                    times, through = 10 ** max(0, 9 - exponent), 10 ** max(0, exponent - 9)
            elif code == 14 and length == 8:
                offset = int.from_bytes(data[at + 4 : at + 12], sys.byteorder, signed=True) * 1_000_000_000
            at += 4 + (length + 3) // 4 * 4
        self._interfaces.append((link, times, through, offset))
