"""What tshark tells of one packet, as TCP segments and DNS datagrams.

A packet may hold several TCP headers: one inside a tunnel inside another, one quoted in an ICMP error, several in one
aggregated 802.11 frame. `frame.protocols` names the protocols in the order in which they were met, so that each value
of a field finds the header that it belongs to.
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

TLS_HEADER = 5
"""Bytes of a record's header."""

VERSIONS = {0x0300: "ssl3.0", 0x0301: "tls1.0", 0x0302: "tls1.1", 0x0303: "tls1.2", 0x0304: "tls1.3"}

EMPTY_RECORD_MAX = 64
"""Bytes that an encrypted record without content may have before TLS 1.3: explicit IV, MAC and padding. Old stacks send
such records ahead of each write."""

_QUOTERS = frozenset({"icmp", "icmpv6"})
"""Their errors quote the beginning of a packet that did not arrive."""

_BEGINNINGS = frozenset({"llc", "eth", "wlan"})
"""Behind them something new begins."""


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
    records: int = 0
    """Bytes of the TLS records that this segment completes, of any kind, with their headers."""


_DOCUMENTS = frozenset({"json", "mime_dlt", "rfc7468"})
"""What Wireshark calls the whole content of a file that it opens though it is no capture."""


@dataclass(slots=True)
class Told:
    """A packet: its time (seconds since the epoch), size, segments, datagrams, and whether 802.11 encryption hid it."""

    time: float = 0.0
    size: int = 0
    segments: list[Segment] = field(default_factory=list)
    datagrams: list[Datagram] = field(default_factory=list)
    encrypted: bool = False


def is_no_packet(fields: Fields) -> bool:
    """Are these the fields of a block of a pcapng that is no packet (an event, a block of an unknown type)?"""
    return "frame.time_epoch" not in fields and not _only(fields, "frame.protocols", "")


def is_document(fields: Fields) -> bool:
    """Is this no packet but a whole file of another kind, of which Wireshark makes one (a certificate, a picture)?"""
    return _only(fields, "frame.protocols", "").partition(":")[0] in _DOCUMENTS


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
    headers = _headers(protocols)
    if any(not quoted for _, quoted in headers):
        told.segments = _segments(fields, protocols, headers)
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


def _headers(protocols: list[str]) -> list[tuple[int, bool]]:
    """Where the TCP headers are among the protocols, and whether each is only quoted in an ICMP error."""
    found, quoted = [], False
    for place, protocol in enumerate(protocols):
        if protocol in _QUOTERS:
            quoted = True
        elif protocol in _BEGINNINGS:
            quoted = False
        elif protocol == "tcp":
            found.append((place, quoted))
    return found


def _segments(fields: Fields, protocols: list[str], headers: list[tuple[int, bool]]) -> list[Segment]:
    sources, targets = _numbers(fields, "tcp.srcport"), _numbers(fields, "tcp.dstport")
    seqs, acks = _numbers(fields, "tcp.seq_raw"), _numbers(fields, "tcp.ack_raw")
    flags, sizes = _numbers(fields, "tcp.flags", 16), _numbers(fields, "tcp.len")
    if not len(sources) == len(targets) == len(seqs) == len(acks) == len(flags) == len(sizes) == len(headers):
        raise ValueError("a TCP header is incomplete")
    if max(sources + targets) > 0xFFFF:
        raise ValueError("a port is none")
    payloads = [bytes.fromhex(value) for value in fields.get("tcp.payload", ())]
    content = [bytes.fromhex(value) for value in fields.get("data.data", ())]
    addresses = _Addresses(fields)
    segments: list[Segment] = []
    done = 0
    for number, (place, quoted) in enumerate(headers):
        for protocol in protocols[done:place]:
            addresses.met(protocol)
        done = place
        ends = addresses.current
        if ends is None:
            raise ValueError("a TCP segment without addresses")
        size = sizes[number]
        # The capture may have cut the payload off, but only that of the last header of a packet.
        data = payloads.pop(0)[:size] if size and payloads else b""
        following = headers[number + 1][0] if number + 1 < len(headers) else len(protocols)
        inside = protocols[place + 1 : following]
        count = inside.count("data") if len(headers) > 1 else len(content)
        mine, content = content[:count], content[count:]
        if quoted:
            continue
        segment = Segment(
            ends[0] + ends[1] + sources[number].to_bytes(2, "big") + targets[number].to_bytes(2, "big"),
            seqs[number] & 0xFFFFFFFF, acks[number] & 0xFFFFFFFF, flags[number] & 0xFF, data, max(0, size - len(data)),
        )  # fmt: skip
        if "tls" in inside:
            _secure(fields, segment, mine, alone=len(headers) == 1)
        segments.append(segment)
    return segments


def _numbers(fields: Fields, name: str, base: int = 10) -> list[int]:
    numbers = [int(value, base) for value in fields.get(name, ())]
    if any(number < 0 for number in numbers):
        raise ValueError(f"{name} is negative")
    return numbers


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
    lengths = _numbers(fields, "tls.record.length")
    # Where there are several headers it is not told whose records these are: too many are better than too few.
    segment.records = sum(lengths) + TLS_HEADER * len(lengths)
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
    if not _QUOTERS.isdisjoint(protocols):
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
