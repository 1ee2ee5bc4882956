"""Packets in, TCP segments and DNS datagrams out: link layers, IPv4 with fragments, IPv6 with extension headers.

Checksums are not looked at: with offload, a host's own capture holds wrong ones, and segments larger than any wire
allows.
"""

from __future__ import annotations

import socket
import struct
from bisect import bisect_left
from dataclasses import dataclass, field

from blynkscope.protocol import limits
from blynkscope.sources.capture import Packet
from blynkscope.sources.reassembly import Flows
from blynkscope.wire.dns import PORT as DNS_PORT
from blynkscope.wire.events import Datagram, Event

_TCP, _UDP = 6, 17
_IPV4, _IPV6 = 0x0800, 0x86DD
_VLANS = frozenset({0x8100, 0x88A8, 0x9100, 0x9200})
_PPPOE_SESSION = 0x8864
_PPP = {0x0021: _IPV4, 0x0057: _IPV6}
_FAMILIES = {2: _IPV4, 10: _IPV6, 24: _IPV6, 28: _IPV6, 30: _IPV6}
_EXTENSIONS = frozenset({0, 43, 60, 135, 139, 140})
_FRAGMENT, _AUTHENTICATION = 44, 51
_SNAP = b"\xaa\xaa\x03"

ETHERNET, BSD_NULL, RAW_BSD, RAW_OPENBSD, PPP, RAW, WIFI, BSD_LOOP, SLL, RADIOTAP, IPV4, IPV6, SLL2 = (
    1, 0, 12, 14, 9, 101, 105, 108, 113, 127, 228, 229, 276,
)  # fmt: skip
LINK_TYPES = {
    ETHERNET: "Ethernet", BSD_NULL: "BSD null", RAW_BSD: "raw IP", RAW_OPENBSD: "raw IP", PPP: "PPP", RAW: "raw IP",
    WIFI: "IEEE 802.11", BSD_LOOP: "BSD loopback", SLL: "Linux cooked v1", RADIOTAP: "IEEE 802.11 with radiotap",
    IPV4: "raw IPv4", IPV6: "raw IPv6", SLL2: "Linux cooked v2",
}  # fmt: skip


@dataclass(slots=True)
class Unused:
    """Packets that gave no event, counted by reason."""

    other: int = 0
    """Not IP, or neither TCP nor DNS: ARP, other UDP, ICMP, 802.11 management."""
    unknown_link: dict[int, int] = field(default_factory=dict)
    """Of a link type that is not known, by its number."""
    encrypted: int = 0
    """802.11 data frames that are encrypted."""
    broken: int = 0
    """A header is cut off or makes no sense."""
    fragments: int = 0
    """IP fragments that never became a whole datagram."""


class _Datagram:
    """An IP datagram under reassembly. Of overlapping fragments the bytes that came first stay."""

    __slots__ = ("_payload", "_spans", "fragments", "size", "time")

    def __init__(self, time: float) -> None:
        self.time = time
        self.fragments = 0
        self.size: int | None = None
        self._payload = bytearray()
        # What is there of the payload: (start, end), in order, with a hole between any two. So thousands of tiny
        # fragments cost little each, whatever their order.
        self._spans: list[tuple[int, int]] = []

    def add(self, start: int, data: bytes) -> None:
        """Take the bytes at `start` that are not there yet."""
        self.fragments += 1
        spans, payload = self._spans, self._payload
        stop = start + len(data)
        if len(payload) < stop:
            payload.extend(bytes(stop - len(payload)))
        first = last = bisect_left(spans, start, key=lambda span: span[1])
        low, high, at = start, stop, start
        while last < len(spans) and spans[last][0] <= stop:
            begin, end = spans[last]
            if at < begin:
                payload[at:begin] = data[at - start : begin - start]
            at = max(at, end)
            low, high = min(low, begin), max(high, end)
            last += 1
        if at < stop:
            payload[at:stop] = data[at - start :]
        spans[first:last] = [(low, high)]

    def whole(self) -> bytes | None:
        """The payload, once every byte is there."""
        if self.size is None or self._spans[0][0] or self._spans[0][1] < self.size:
            return None
        return bytes(self._payload[: self.size])


def address_name(address: bytes, port: int) -> str:
    """`192.0.2.1:8080` or `[2001:db8::1]:8080`."""
    if len(address) == 4:
        return f"{address[0]}.{address[1]}.{address[2]}.{address[3]}:{port}"
    return f"[{socket.inet_ntop(socket.AF_INET6, address)}]:{port}"


_TCP_HEADER = struct.Struct(">HHIIBB").unpack_from
_UDP_HEADER = struct.Struct(">HHH2x")
_IPV4_HEADER = struct.Struct(">BxHHHxB2x4s4s").unpack_from
_IPV6_HEADER = struct.Struct(">IHBx16s16s").unpack_from


class PacketReader:
    """Turns packets into the events of their connections.

    `events` grows as packets are read; whoever drives the reader takes them out.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.flows = Flows(address_name, self.events)
        self.unused = Unused()
        self._datagrams: dict[tuple[bytes, int, int], _Datagram] = {}

    @property
    def lost(self) -> dict[str, int]:
        """What could not be used, counted by reason; reasons without a case are there with 0."""
        unused, flows = self.unused, self.flows.counts
        return {
            "bytes_missing": flows.gap_bytes,
            "packets_broken": unused.broken,
            "packets_encrypted": unused.encrypted,
            "packets_unknown_link": sum(unused.unknown_link.values()),
            "fragments_incomplete": unused.fragments,
            "segments_conflicting": flows.conflicts,
            "segments_after_close": flows.after_close,
            "segments_out_of_window": flows.out_of_window,
            "streams_evicted": flows.evicted,
        }

    def packet(self, buffer: bytes, packet: Packet) -> None:
        """One packet, by the general path: any link type, any IP."""
        time, link, start, end, wire = packet
        try:
            self._link(buffer, time, link, start, end, max(0, wire - (end - start)))
        except (struct.error, IndexError):
            self.unused.broken += 1

    def finish(self) -> None:
        """The input has ended."""
        self.unused.fragments += sum(one.fragments for one in self._datagrams.values())
        self._datagrams.clear()
        self.flows.finish()

    # --- link layer ---

    def _link(self, data: bytes, time: float, link: int, at: int, end: int, cut: int) -> None:
        if link == ETHERNET:
            self._ethernet(data, time, at + 12, end, cut)
        elif link == SLL:
            self._network(data, time, _u16(data, at + 14, end), at + 16, end, cut)
        elif link == SLL2:
            self._network(data, time, _u16(data, at, end), at + 20, end, cut)
        elif link in {BSD_NULL, BSD_LOOP}:
            if end - at < 4:
                raise IndexError
            family = data[at : at + 4]
            kind = _FAMILIES.get(int.from_bytes(family, "big")) or _FAMILIES.get(int.from_bytes(family, "little"))
            self._network(data, time, kind or 0, at + 4, end, cut)
        elif link in {RAW, RAW_BSD, RAW_OPENBSD, IPV4, IPV6}:
            version = data[at] >> 4 if at < end else 0
            self._network(data, time, {4: _IPV4, 6: _IPV6}.get(version, 0), at, end, cut)
        elif link == PPP:
            at += 2 if data[at : at + 2] == b"\xff\x03" else 0
            self._network(data, time, _PPP.get(_u16(data, at, end), 0), at + 2, end, cut)
        elif link == RADIOTAP:
            self._radiotap(data, time, at, end, cut)
        elif link == WIFI:
            self._wifi(data, time, at, end, cut, padded=False)
        else:
            self.unused.unknown_link[link] = self.unused.unknown_link.get(link, 0) + 1

    def _ethernet(self, data: bytes, time: float, at: int, end: int, cut: int) -> None:
        """EtherType at `at`, behind any VLAN tags."""
        kind = _u16(data, at, end)
        while kind in _VLANS:
            at += 4
            kind = _u16(data, at, end)
        at += 2
        if kind == _PPPOE_SESSION:
            kind = _PPP.get(_u16(data, at + 6, end), 0)
            at += 8
        elif kind <= 1500 and data[at : min(at + 3, end)] == _SNAP:
            kind = _u16(data, at + 6, end)
            at += 8
        self._network(data, time, kind, at, end, cut)

    def _radiotap(self, data: bytes, time: float, at: int, end: int, cut: int) -> None:
        # The next packet follows in the buffer: nothing of it may be read as a part of this one.
        if end - at < 8:
            raise IndexError
        length, present = struct.unpack_from("<HI", data, at + 2)
        if not 8 <= length <= end - at:
            raise IndexError
        words, first = at + 4, present
        while present & 0x80000000 and words + 8 <= at + length:
            words += 4
            (present,) = struct.unpack_from("<I", data, words)
        place = words + 4
        if first & 1:  # TSFT: eight bytes, aligned to eight
            place = at + (place - at + 7) // 8 * 8 + 8
        flags = data[place] if first & 2 and place < end else 0
        self._wifi(data, time, at + length, end, cut, padded=bool(flags & 0x20))

    def _wifi(self, data: bytes, time: float, at: int, end: int, cut: int, *, padded: bool) -> None:
        if end - at < 2:
            raise IndexError
        control, flags = data[at], data[at + 1]
        if control & 0x0C != 0x08 or control & 0x40:  # no data frame, or one without data
            self.unused.other += 1
            return
        if flags & 0x40:
            self.unused.encrypted += 1
            return
        size = 24 + (6 if flags & 0x03 == 0x03 else 0)
        if control & 0x80:
            size += 2 + (4 if flags & 0x80 else 0)
        if padded:
            size = (size + 3) // 4 * 4
        at += size
        if end - at < 8:
            raise IndexError
        if data[at : at + 3] != _SNAP:
            self.unused.other += 1
            return
        self._network(data, time, _u16(data, at + 6, end), at + 8, end, cut)

    # --- network layer ---

    def _network(self, data: bytes, time: float, kind: int, at: int, end: int, cut: int) -> None:
        if kind == _IPV4:
            self._ipv4(data, time, at, end, cut)
        elif kind == _IPV6:
            self._ipv6(data, time, at, end, cut)
        else:
            self.unused.other += 1

    def _ipv4(self, data: bytes, time: float, at: int, end: int, cut: int) -> None:
        if end - at < 20:
            raise IndexError
        head, total, ident, fragment, protocol, source, target = _IPV4_HEADER(data, at)
        size = (head & 0x0F) * 4
        if head >> 4 != 4 or size < 20:
            raise IndexError
        # A length of zero: segmentation was offloaded, and the packet is as long as it is.
        stop = at + total if total else end + cut
        begin = at + size
        if fragment & 0x3FFF:
            key = (source + target, ident, protocol)
            last = not fragment & 0x2000
            self._fragment(data, time, key, begin, min(stop, end), (fragment & 0x1FFF) * 8, last=last)
        elif protocol == _TCP:
            self._tcp(data, time, source + target, begin, min(stop, end), max(0, min(stop, end + cut) - end))
        elif protocol == _UDP:
            self._udp(data, time, source + target, begin, min(stop, end))
        else:
            self.unused.other += 1

    def _ipv6(self, data: bytes, time: float, at: int, end: int, cut: int) -> None:
        if end - at < 40:
            raise IndexError
        head, length, following, source, target = _IPV6_HEADER(data, at)
        if head >> 28 != 6:
            raise IndexError
        stop = at + 40 + length if length else end + cut
        addresses = source + target
        self._ipv6_chain(data, time, addresses, following, at + 40, min(stop, end), max(0, min(stop, end + cut) - end))

    def _ipv6_chain(
        self, data: bytes, time: float, addresses: bytes, following: int, at: int, limit: int, missing: int
    ) -> None:
        """Extension headers from `at` on, up to the TCP header."""
        while following in _EXTENSIONS or following in {_FRAGMENT, _AUTHENTICATION}:
            if limit - at < 8:
                raise IndexError
            kind, following = following, data[at]
            if kind == _FRAGMENT:
                place, ident = struct.unpack_from(">xxHI", data, at)
                if place & 0xFFF9:
                    key = (addresses, ident, following)
                    self._fragment(data, time, key, at + 8, limit, place & 0xFFF8, last=not place & 1)
                    return
                at += 8
            else:
                at += (data[at + 1] + 2) * 4 if kind == _AUTHENTICATION else (data[at + 1] + 1) * 8
        if following == _TCP:
            self._tcp(data, time, addresses, at, limit, missing)
        elif following == _UDP:
            self._udp(data, time, addresses, at, limit)
        else:
            self.unused.other += 1

    def _fragment(
        self, data: bytes, time: float, key: tuple[bytes, int, int], at: int, end: int, offset: int, *, last: bool
    ) -> None:
        addresses, _, following = key
        interesting = following in _EXTENSIONS or following in (_TCP, _AUTHENTICATION)
        if not interesting or offset + end - at > limits.DATAGRAM_MAX or end <= at:
            self.unused.other += 1
            return
        waiting = self._datagrams
        datagram = waiting.get(key)
        if datagram is None or time - datagram.time > limits.FRAGMENT_SECONDS:
            if datagram is not None:
                self.unused.fragments += waiting.pop(key).fragments
            while len(waiting) >= limits.FRAGMENTS_MAX:
                self.unused.fragments += waiting.pop(next(iter(waiting))).fragments
            datagram = waiting[key] = _Datagram(time)
        datagram.add(offset, data[at:end])
        if last and datagram.size is None:
            datagram.size = offset + end - at
        payload = datagram.whole()
        if payload is not None:
            del waiting[key]
            if len(addresses) == 8:
                self._tcp(payload, time, addresses, 0, len(payload), 0)
            else:
                self._ipv6_chain(payload, time, addresses, following, 0, len(payload), 0)

    # --- transport layer ---

    def _tcp(self, data: bytes, time: float, addresses: bytes, at: int, end: int, missing: int) -> None:
        if end - at < 20:
            raise IndexError
        _, _, seq, ack, offset, flags = _TCP_HEADER(data, at)
        begin = at + (offset >> 4) * 4
        if offset >> 4 < 5:
            raise IndexError
        if begin > end:  # the capture cut the options off
            missing = max(0, missing - (begin - end))
            begin = end
        self.flows.segment(time, addresses + data[at : at + 4], seq, ack, flags, data[begin:end], missing)

    def _udp(self, data: bytes, time: float, addresses: bytes, at: int, end: int) -> None:
        """A datagram of DNS; all other UDP is passed over. Fragments of UDP never come here."""
        if end - at < _UDP_HEADER.size:
            self.unused.other += 1
            return
        source, target, length = _UDP_HEADER.unpack_from(data, at)
        if DNS_PORT not in (source, target):
            self.unused.other += 1
            return
        # A length below the header's own means nothing; padding behind the datagram is none of it.
        stop = min(end, at + length) if length > _UDP_HEADER.size else end
        width = len(addresses) // 2
        source_name = address_name(addresses[:width], source)
        target_name = address_name(addresses[width:], target)
        self.events.append(Datagram(time, source_name, target_name, data[at + _UDP_HEADER.size : stop]))


def _u16(data: bytes, at: int, end: int) -> int:
    if at + 2 > end:
        raise IndexError
    return data[at] << 8 | data[at + 1]
