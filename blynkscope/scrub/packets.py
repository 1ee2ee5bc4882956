"""Packets as `sources.packets` reads them, with the places of everything in the file."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from blynkscope.sources.capture import Packet
from blynkscope.sources.packets import PacketReader
from blynkscope.sources.reassembly import SYN, serial_difference

UDP = 17
"""The protocol number of UDP; everything else that is told of is TCP."""
_FRAGMENTS_KEPT = 65_536
"""Fragments whose places are kept until their datagram is whole."""


class Stretch(NamedTuple):
    """Bytes of a datagram: from `start` on they lie at offset `at` of the file, `size` of them."""

    start: int
    at: int
    size: int


class Segment(NamedTuple):
    """The payload of a TCP segment or a UDP datagram.

    `stream`, `direction` and `offset` say where TCP has it (stream 0: nowhere). `data` is the segment with its header,
    `payload` where its payload begins in it. `stretches` say where its bytes are in the file, `whole` whether the
    capture has all of it. `pseudo` is the pseudo header but for the addresses.
    """

    stream: int
    direction: int
    offset: int
    data: bytes
    payload: int
    stretches: tuple[Stretch, ...]
    whole: bool
    addresses: bytes
    protocol: int


class IpHeader(NamedTuple):
    """An IP header: offset in the file, and its bytes up to the addresses' end."""

    at: int
    data: bytes


class TracingReader(PacketReader):
    """Reads packets by the general path and tells where their parts are.

    Args:
        segment: Called with each TCP segment and UDP datagram.
        header: Called with each IP header, before what it carries.
    """

    def __init__(self, segment: Callable[[Segment], None], header: Callable[[IpHeader], None]) -> None:
        super().__init__()
        self.base = 0
        """Offset in the file of the first byte of the buffer."""
        self._segment = segment
        self._header = header
        self._buffer = b""
        self._pieces: dict[tuple[bytes, int, int], list[Stretch]] = {}
        self._whole_of: list[Stretch] = []
        self._cut = 0
        self.seen = False
        """Whether the last packet held TCP or UDP."""

    def packet(self, buffer: bytes, packet: Packet) -> None:
        """One packet."""
        self._buffer = buffer
        self.seen = False
        super().packet(buffer, packet)

    def _ipv4(self, data: bytes, time: float, at: int, end: int, cut: int) -> None:
        if end - at >= 20:
            self._header(IpHeader(self.base + at, data[at : at + 20]))
        super()._ipv4(data, time, at, end, cut)

    def _ipv6(self, data: bytes, time: float, at: int, end: int, cut: int) -> None:
        if end - at >= 40:
            self._header(IpHeader(self.base + at, data[at : at + 40]))
        super()._ipv6(data, time, at, end, cut)

    def _fragment(
        self, data: bytes, time: float, key: tuple[bytes, int, int], at: int, end: int, offset: int, *, last: bool
    ) -> None:
        self.seen = True
        if end > at:
            if len(self._pieces) > _FRAGMENTS_KEPT:
                self._pieces.pop(next(iter(self._pieces)))
            self._pieces.setdefault(key, []).append(Stretch(offset, self.base + at, end - at))
        self._whole_of = self._pieces.get(key, [])
        super()._fragment(data, time, key, at, end, offset, last=last)
        if key not in self._datagrams:
            self._pieces.pop(key, None)

    def _tcp(self, data: bytes, time: float, addresses: bytes, at: int, end: int, missing: int) -> None:
        super()._tcp(data, time, addresses, at, end, missing)
        self.seen = True
        begin = min(at + (data[at + 12] >> 4) * 4, end)
        seq = int.from_bytes(data[at + 4 : at + 8], "big") + bool(data[at + 13] & SYN)
        half = self.flows.halves.get(addresses + data[at : at + 4])
        stream = direction = offset = 0
        if half is not None and half.next is not None:
            stream, direction = half.stream, half.direction
            offset = half.offset + serial_difference(seq & 0xFFFFFFFF, half.next)
        stretches = self._stretches(data, at, end)
        self._segment(
            Segment(stream, direction, offset, data[at:end], begin - at, stretches, not missing, addresses, 6)
        )

    def _udp(self, data: bytes, time: float, addresses: bytes, at: int, end: int) -> None:
        super()._udp(data, time, addresses, at, end)
        if end - at < 8:
            return
        self.seen = True
        (length,) = struct.unpack_from(">H", data, at + 4)
        stop = min(end, at + length) if length >= 8 else end
        whole = length >= 8 and at + length <= end
        self._segment(Segment(0, 0, 0, data[at:stop], 8, self._stretches(data, at, stop), whole, addresses, 17))

    def _stretches(self, data: bytes, at: int, end: int) -> tuple[Stretch, ...]:
        """Where the bytes `data[at:end]` are in the file; what fragments hold may be there more than once."""
        if data is self._buffer:
            return (Stretch(0, self.base + at, end - at),)
        found = []
        for start, place, size in self._whole_of:
            first, last = max(start, at), min(start + size, end)
            if first < last:
                found.append(Stretch(first - at, place + first - start, last - first))
        return tuple(found)
