"""Packets and capture files, built by `struct` alone, so that the readers are tested against another hand."""

import io
import struct

from blynkscope.sources import CaptureSource
from blynkscope.sources.fused import read_batch
from blynkscope.sources.packets import PacketReader
from blynkscope.wire.events import Acked, Data, Gap

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
CLIENT_IP, SERVER_IP = bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])
WRAP = 1 << 32


def tcp(source, target, seq, ack, flags, data=b"", options=b"", offset=None):
    size = (20 + len(options)) // 4 if offset is None else offset
    return (
        struct.pack(">HHIIBBHHH", source, target, seq % WRAP, ack % WRAP, size << 4, flags, 1024, 0, 0) + options + data
    )


def ipv4(source, target, payload, *, protocol=6, ident=1, fragment=0, options=b"", total=None, head=None):
    size = 20 + len(options)
    first = 0x40 | size // 4 if head is None else head
    total = size + len(payload) if total is None else total
    return (
        struct.pack(">BBHHHBBH4s4s", first, 0, total, ident, fragment, 64, protocol, 0, source, target)
        + options
        + payload
    )


def ipv6(source, target, payload, following=6, length=None):
    length = len(payload) if length is None else length
    return struct.pack(">IHBB16s16s", 6 << 28, length, following, 64, source, target) + payload


def ethernet(payload, kind=0x0800):
    return bytes(12) + struct.pack(">H", kind) + payload


class Wire:
    """A TCP connection whose packets are written one by one; offsets instead of sequence numbers."""

    def __init__(self, isns=(1000, 5000), ports=(50000, 8080)):
        self.isns, self.ports = isns, ports
        self.packets = []
        self.time = 1000.0

    def send(self, side, at, data=b"", *, ack=None, flags=ACK, time=None, keep=None):
        """A segment of `side` whose first byte is payload byte `at` (-1: the SYN's own number)."""
        self.time = self.time + 0.001 if time is None else time
        ends = (CLIENT_IP, SERVER_IP)
        number = 0 if ack is None else self.isns[1 - side] + 1 + ack
        segment = tcp(self.ports[side], self.ports[1 - side], self.isns[side] + 1 + at, number, flags, data)
        packet = ethernet(ipv4(ends[side], ends[1 - side], segment))
        self.packets.append((self.time, packet[:keep] if keep else packet, len(packet)))

    def handshake(self):
        self.send(0, -1, flags=SYN)
        self.send(1, -1, ack=0, flags=SYN | ACK)
        self.send(0, 0, ack=0)


def read(packets, link=1, *, general=False, batch=16):
    """The reader after `(time, bytes, wire length)` packets, batch by batch, and after its end."""
    reader = PacketReader()
    for start in range(0, len(packets), batch):
        buffer, found = b"", []
        for time, data, wire in packets[start : start + batch]:
            found.append((time, link, len(buffer), len(buffer) + len(data), wire))
            buffer += data
        if general:
            for packet in found:
                reader.packet(buffer, packet)
        else:
            read_batch(reader, buffer, found)
    reader.finish()
    return reader


def both_ways(packets, link=1):
    """The events of packets; the short way and the general path must agree on them and on all counts."""
    short, general = read(packets, link), read(packets, link, general=True)
    assert short.events == general.events
    assert short.flows.counts == general.flows.counts
    assert short.unused == general.unused
    return short.events


def payload(events, stream=1):
    """By direction: bytes by offset, and the set of offsets that are reported missing."""
    got, missing, at = ({}, {}), (set(), set()), [0, 0]
    for event in events:
        if getattr(event, "stream", None) != stream:
            continue
        if isinstance(event, Data):
            got[event.direction].update(enumerate(event.data, at[event.direction]))
            at[event.direction] += len(event.data)
        elif isinstance(event, Gap):
            missing[event.direction].update(range(at[event.direction], at[event.direction] + event.missing))
            at[event.direction] += event.missing
    return got, missing


def sent(events, direction, stream=1):
    """The bytes of a direction in one piece."""
    return b"".join(e.data for e in events if isinstance(e, Data) and (e.stream, e.direction) == (stream, direction))


def acked(events, direction, stream=1):
    """The offsets that were acknowledged, in order."""
    return [e.upto for e in events if isinstance(e, Acked) and (e.stream, e.direction) == (stream, direction)]


def of_kind(events, kind):
    return [event for event in events if isinstance(event, kind)]


# --- files --------------------------------------------------------------------------------------------------------------


def pcap(packets, *, order="<", magic=0xA1B2C3D4, link=1, unit=1e-6, extra=b""):
    data = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, link)
    for time, body, wire in packets:
        seconds = int(time)
        data += struct.pack(order + "IIII", seconds, round((time - seconds) / unit), len(body), wire) + extra + body
    return data


def block(kind, body, *, order="<", length=None, trailer=None):
    body += bytes(-len(body) % 4)
    size = 12 + len(body) if length is None else length
    return struct.pack(order + "II", kind, size) + body + struct.pack(order + "I", size if trailer is None else trailer)


def section(order="<"):
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order=order)


def interface(link=1, options=b"", order="<", snaplen=0):
    return block(1, struct.pack(order + "HHI", link, 0, snaplen) + options, order=order)


def option(code, value, order="<", length=None):
    size = len(value) if length is None else length
    return struct.pack(order + "HH", code, size) + value + bytes(-len(value) % 4)


def enhanced(data, ticks, *, number=0, order="<", captured=None, wire=None, options=b""):
    captured = len(data) if captured is None else captured
    wire = len(data) if wire is None else wire
    head = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, captured, wire)
    return block(6, head + data + bytes(-len(data) % 4) + options, order=order)


class Dribble(io.RawIOBase):
    """A pipe that gives a few bytes at a time."""

    def __init__(self, data, sizes=(1, 7, 2, 5, 3)):
        self._data, self._at, self._sizes, self._turn = data, 0, sizes, 0

    def readable(self):
        return True

    def read(self, size=-1):
        size = min(self._sizes[self._turn % len(self._sizes)], size if size >= 0 else 7)
        self._turn += 1
        chunk = self._data[self._at : self._at + size]
        self._at += len(chunk)
        return chunk

    def readinto(self, buffer):
        chunk = self.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)


def open_bytes(data, *, general=False, dribble=None):
    stream = Dribble(data, dribble) if dribble else io.BytesIO(data)
    return CaptureSource(stream, "capture", general=general)


def events_of(source):
    return [event for batch in source for event in batch]
