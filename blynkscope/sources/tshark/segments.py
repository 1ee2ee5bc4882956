"""What tshark tells of one packet, as TCP segments and DNS datagrams.

A packet may hold several TCP headers: one inside a tunnel inside another, one quoted in an ICMP error, several in one
aggregated 802.11 frame. `frame.protocols` names the protocols in the order in which they were met, so that each value of
a field finds the header that it belongs to.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from datetime import datetime

from blynkscope.sources.packets import address_name
from blynkscope.sources.tshark.adapter import Fields
from blynkscope.wire.dns import PORT as DNS_PORT
from blynkscope.wire.events import Datagram

TLS_1_3_OUTSIDE = 0x0303
"""Version that records of TLS 1.3 name."""

VERSIONS = {0x0300: "ssl3.0", 0x0301: "tls1.0", 0x0302: "tls1.1", 0x0303: "tls1.2", 0x0304: "tls1.3"}

EMPTY_RECORD_MAX = 64
"""Bytes that an encrypted record without content may have before TLS 1.3: explicit IV, MAC and padding. Old stacks send
such records ahead of each write."""


@dataclass(slots=True)
class Segment:
    """One TCP segment, as `reassembly.Flows.segment` takes it, and what was decrypted with it.

    `plain` holds the content of the TLS records that this segment completes, `closed` the sizes of records with
    application data that could not be decrypted. `tls` is True where Wireshark takes the stream for TLS; `version` then
    names it, as far as the record tells.
    """

    key: bytes
    seq: int
    ack: int
    flags: int
    data: bytes
    missing: int
    tls: bool = False
    version: str = "tls"
    plain: list[bytes] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Told:
    """A packet: its time in seconds since the epoch, size, segments, datagrams, and whether 802.11 encryption hid it."""

    time: float = 0.0
    size: int = 0
    segments: list[Segment] = field(default_factory=list)
    datagrams: list[Datagram] = field(default_factory=list)
    encrypted: bool = False


def is_no_packet(fields: Fields) -> bool:
    """Are these the fields of a block of a pcapng that is no packet (an event, a block of an unknown type)?"""
    return "frame.time_epoch" not in fields and not _only(fields, "frame.protocols", "")


def read_packet(fields: Fields, before: float = 0.0) -> Told:
    """Sort the fields of a packet.

    Args:
        fields: As the adapter gives them.
        before: Time of the packet before it, for packets that a file keeps without a time.

    Raises:
        ValueError: They do not fit together, or hold something else than they should.
    """
    time = _time(fields["frame.time_epoch"][0]) if "frame.time_epoch" in fields else before
    told = Told(time, int(_only(fields, "frame.cap_len", "0")))
    protocols = _only(fields, "frame.protocols", "").split(":")
    if "tcp" in protocols:
        told.segments = _segments(fields, protocols)
    elif "udp" in protocols:
        told.datagrams = _datagrams(fields, protocols, told.time)
    else:
        hidden = fields.get("wlan.fc.protected", ())
        told.encrypted = "data" in protocols and any(value in {"1", "True"} for value in hidden)
    return told


def _only(fields: Fields, name: str, otherwise: str) -> str:
    values = fields.get(name)
    return values[0] if values else otherwise


def _time(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return datetime.fromisoformat(word).timestamp()  # some versions write dates


class _Addresses:
    """The addresses of the innermost IP header so far."""

    def __init__(self, fields: Fields) -> None:
        self._ends = {
            4: list(zip(fields.get("ip.src", ()), fields.get("ip.dst", ()), strict=True)),
            6: list(zip(fields.get("ipv6.src", ()), fields.get("ipv6.dst", ()), strict=True)),
        }
        self._used = {4: 0, 6: 0}
        self.current: tuple[bytes, bytes] | None = None

    def met(self, protocol: str) -> None:
        """The next protocol of the packet."""
        version = {"ip": 4, "ipv6": 6}.get(protocol)
        if version is None:
            return
        place, known = self._used[version], self._ends[version]
        self._used[version] += 1
        if place >= len(known):
            # A protocol is named again where a part of it is looked at again; its addresses are still the last ones.
            return
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        try:
            source, target = (socket.inet_pton(family, word) for word in known[place])
        except OSError:
            raise ValueError("an address is none") from None
        self.current = (source, target)


def _segments(fields: Fields, protocols: list[str]) -> list[Segment]:
    def numbers(name: str, base: int = 10) -> list[int]:
        return [int(value, base) for value in fields.get(name, ())]

    sources, targets = numbers("tcp.srcport"), numbers("tcp.dstport")
    seqs, acks, flags, sizes = (
        numbers("tcp.seq_raw"),
        numbers("tcp.ack_raw"),
        numbers("tcp.flags", 16),
        numbers("tcp.len"),
    )
    payloads = [bytes.fromhex(value) for value in fields.get("tcp.payload", ())]
    headers = len(seqs)
    if not len(sources) == len(targets) == len(flags) == headers or len(acks) > headers:
        raise ValueError("a TCP header is incomplete")
    if headers > 1 and (len(sizes) != headers or len(acks) != headers):
        raise ValueError("a TCP header is incomplete")
    addresses = _Addresses(fields)
    segments: list[Segment] = []
    place, quoted, used = 0, False, 0
    several = protocols.count("tcp") > 1
    content = [bytes.fromhex(value) for value in fields.get("data.data", ())]
    for number, protocol in enumerate(protocols):
        addresses.met(protocol)
        if protocol in {"icmp", "icmpv6"}:
            quoted = True
        elif protocol in {"llc", "eth", "wlan"}:
            quoted = False
        if protocol != "tcp" or place >= headers:
            continue
        size = sizes[place] if place < len(sizes) else 0
        data = payloads[used] if size and used < len(payloads) else b""
        used += bool(size and data)
        if addresses.current is None or not (0 <= sources[place] < 65536 and 0 <= targets[place] < 65536):
            raise ValueError("a TCP segment without addresses")
        if not quoted:
            ends = addresses.current
            key = ends[0] + ends[1] + sources[place].to_bytes(2, "big") + targets[place].to_bytes(2, "big")
            ack = acks[place] if place < len(acks) else 0
            segment = Segment(
                key, seqs[place] & 0xFFFFFFFF, ack & 0xFFFFFFFF, flags[place] & 0xFF, data[:size],
                max(0, size - len(data)),
            )  # fmt: skip
            rest = protocols[number + 1 :]
            rest = rest[: rest.index("tcp")] if "tcp" in rest else rest
            if "tls" in rest:
                inner = rest.count("data")
                _secure(fields, segment, content[:inner] if several else content, alone=not several)
                content = content[inner:] if several else content
            segments.append(segment)
        place += 1
    return segments


def _secure(fields: Fields, segment: Segment, content: list[bytes], *, alone: bool) -> None:
    segment.tls = True
    segment.plain = content
    versions = fields.get("tls.record.version", ())
    version = int(versions[0], 16) if versions else 0
    inner = fields.get("tls.record.opaque_type", ())
    if inner and version == TLS_1_3_OUTSIDE:
        segment.version = VERSIONS[0x0304]
    else:
        segment.version = VERSIONS.get(version, "tls")
    if not alone:
        return
    # Wireshark gives the encrypted bytes of each record with application data, decrypted or not.
    sealed = [len(value) // 2 for value in fields.get("tls.app_data", ())]
    if len(sealed) > len(content):
        if not inner:
            sealed = [size for size in sealed if size > EMPTY_RECORD_MAX]
        segment.closed = sealed[len(content) :]


def _datagrams(fields: Fields, protocols: list[str], time: float) -> list[Datagram]:
    """The innermost datagram, where it is one of DNS."""
    if "icmp" in protocols or "icmpv6" in protocols:
        return []
    addresses = _Addresses(fields)
    for protocol in protocols:
        addresses.met(protocol)
    ports = [int(fields[name][-1]) for name in ("udp.srcport", "udp.dstport") if fields.get(name)]
    payloads = fields.get("udp.payload")
    if DNS_PORT not in ports or len(ports) != 2 or not payloads or addresses.current is None:
        return []
    source, target = addresses.current
    return [Datagram(time, address_name(source, ports[0]), address_name(target, ports[1]), bytes.fromhex(payloads[-1]))]
