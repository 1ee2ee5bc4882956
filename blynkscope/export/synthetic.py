"""One TCP connection as a capture would hold it, made up from what was said on it: Ethernet, IP, TCP, all of it sound.

Nothing is lost, repeated or out of order, every checksum is right, and each side acknowledges what the other one sends.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

CLIENT, SERVER = 0, 1
Address = IPv4Address | IPv6Address
Endpoint = tuple[Address, int]

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
MTU = 1500
"""Bytes of an IP packet on Ethernet: readers that reassemble nothing still see whole small frames."""
WINDOW = 65535
"""The greatest window without scaling; acknowledgements come long before it is full."""
_TCP_HEADER = 20
_SEQUENCES = 1 << 32
_MACS = (bytes.fromhex("020000000001"), bytes.fromhex("020000000002"))
"""Locally administered: no real card has them."""
_ETHER_TYPES = {4: b"\x08\x00", 6: b"\x86\xdd"}
_TCP = 6
_HOPS = 64
_DO_NOT_FRAGMENT = 0x4000
_UNACKNOWLEDGED = 2
"""Segments that a side takes before it acknowledges them, as RFC 9293 asks."""


def endpoint(text: str | None) -> Endpoint | None:
    """`192.0.2.1:8080` or `[2001:db8::1]:8080` as address and port; None for a host's name and anything else."""
    host, _, port = (text or "").rpartition(":")
    try:
        address, number = ip_address(host.removeprefix("[").removesuffix("]").partition("%")[0]), int(port)
    except ValueError:
        return None
    return (address, number) if 0 < number <= 0xFFFF else None


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    # The sum of 16-bit words in ones' complement is the remainder by 65535; one of nothing but zeros stays zero.
    total = int.from_bytes(data, "big") % 0xFFFF
    return 0xFFFF - total if total or not any(data) else 0


class Connection:
    """Makes the packets of one connection, in the order in which they are asked for.

    Args:
        client, server: Who talks; both of the same IP version.
        number: From which the first sequence numbers are made.
    """

    __slots__ = ("_ends", "_mss", "_next", "_owed", "_version")

    def __init__(self, client: Endpoint, server: Endpoint, number: int) -> None:
        self._ends = client, server
        self._version = client[0].version
        self._mss = MTU - _TCP_HEADER - (20 if self._version == 4 else 40)
        self._next = [(number * 0x01000193 + side * 0x40000000 + 1) % _SEQUENCES for side in (CLIENT, SERVER)]
        self._owed = [0, 0]
        """Segments of each side that the other one has not acknowledged."""

    def open(self) -> Iterator[bytes]:
        """The three packets that begin it."""
        size = struct.pack(">BBH", 2, 4, self._mss)
        yield self._segment(CLIENT, SYN, options=size, acknowledges=False)
        yield self._segment(SERVER, SYN | ACK, options=size)
        yield self._segment(CLIENT, ACK)

    def say(self, side: int, data: bytes) -> Iterator[bytes]:
        """Bytes of one side, in segments of at most the greatest size; the last packet holds the last of them."""
        for at in range(0, len(data), self._mss):
            if self._owed[side] >= _UNACKNOWLEDGED:
                yield self.acknowledge(side)
            part = data[at : at + self._mss]
            ends = at + self._mss >= len(data)
            self._owed[side] += 1
            self._owed[1 - side] = 0
            yield self._segment(side, ACK | PSH if ends else ACK, part)

    def skip(self, side: int, size: int) -> None:
        """So many bytes of a side are not there; readers see that segments are missing."""
        self._next[side] = (self._next[side] + size) % _SEQUENCES

    def acknowledge(self, side: int) -> bytes:
        """The peer acknowledges all that this side has sent."""
        self._owed[side] = 0
        return self._segment(1 - side, ACK)

    def settle(self) -> Iterator[bytes]:
        """Acknowledgements of what still waits for one."""
        for side in (CLIENT, SERVER):
            if self._owed[side]:
                yield self.acknowledge(side)

    def finish(self, side: int) -> Iterator[bytes]:
        """One side ends it, and the other one does the same."""
        yield from self.settle()
        yield self._segment(side, FIN | ACK)
        yield self._segment(1 - side, FIN | ACK)
        yield self._segment(side, ACK)

    def reset(self, side: int) -> Iterator[bytes]:
        """One side breaks it off."""
        yield from self.settle()
        yield self._segment(side, RST | ACK)

    def _segment(
        self, side: int, flags: int, data: bytes = b"", options: bytes = b"", *, acknowledges: bool = True
    ) -> bytes:
        (source, from_port), (target, to_port) = self._ends[side], self._ends[1 - side]
        number, other = self._next[side], self._next[1 - side] if acknowledges else 0
        self._next[side] = (number + len(data) + bool(flags & (SYN | FIN))) % _SEQUENCES
        offset = (_TCP_HEADER + len(options)) // 4 << 4
        head = struct.pack(">HHIIBBHHH", from_port, to_port, number, other, offset, flags, WINDOW, 0, 0) + options
        size = len(head) + len(data)
        pseudo = source.packed + target.packed + struct.pack(">IHBB", size, 0, 0, _TCP)
        total = checksum(pseudo + head + data)
        segment = head[:16] + total.to_bytes(2, "big") + head[18:] + data
        return _MACS[1 - side] + _MACS[side] + _ETHER_TYPES[self._version] + self._datagram(source, target, segment)

    def _datagram(self, source: Address, target: Address, segment: bytes) -> bytes:
        if self._version == 6:
            return struct.pack(">IHBB", 6 << 28, len(segment), _TCP, _HOPS) + source.packed + target.packed + segment
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), 0, _DO_NOT_FRAGMENT, _HOPS, _TCP, 0)
        head += source.packed + target.packed
        return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + segment
