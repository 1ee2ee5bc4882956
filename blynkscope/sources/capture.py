"""Capture files and pipes: pcap and pcapng, plain or gzip-compressed, read as a stream.

A reader yields *batches*: a bytes buffer and a list of packets `(time, link type, start, end, wire length)` whose bytes
lie at `buffer[start:end]`. Times are seconds since the epoch. Damage is no exception: the packets before it have been
yielded, and `damage` says where the file broke and how.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from io import BufferedIOBase, RawIOBase
from typing import BinaryIO, NamedTuple

from blynkscope.errors import CaptureError
from blynkscope.protocol import limits

Packet = tuple[float, int, int, int, int]
Batch = tuple[bytes, list[Packet]]

_PCAP_MAGICS: dict[bytes, tuple[str, float]] = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
    b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9),
}
_MODIFIED_PCAP = {b"\x34\xcd\xb2\xa1": "<", b"\xa1\xb2\xcd\x34": ">"}
_SECTION = b"\x0a\x0d\x0d\x0a"
_GZIP = b"\x1f\x8b"
TLS_KEY_LOG = 0x544C534B
"""Type of a decryption secrets block that holds a TLS key log."""
_SHB, _IDB, _PB, _SPB, _EPB, _DSB = 0x0A0D0D0A, 1, 2, 3, 6, 10


LEGS = ("device leg", "upstream leg")
"""Names of the interfaces in a recording of `blynkscope proxy`: every connection is in it twice."""
LEG_DESCRIPTION = "blynkscope proxy: "
"""How the descriptions of these interfaces begin."""


class Damage(NamedTuple):
    """Where an input broke: offset in the (uncompressed) data, and what was wrong there."""

    offset: int
    what: str


class Interface(NamedTuple):
    """One interface of a pcapng section."""

    link_type: int
    snaplen: int
    resolution: float
    offset: int
    leg: str = ""
    """Of which way of a relay it holds the packets, where `blynkscope proxy` recorded it: one of `LEGS`."""


class _Input:
    """A byte stream that is consumed from the front; knows how much was consumed before what it holds."""

    def __init__(self, stream: BinaryIO, first: bytes) -> None:
        self._stream = stream
        # A pipe gives what it has (read1), so that output appears while the writer still runs.
        self._read = getattr(stream, "read1", stream.read)
        self.data = first
        self.offset = 0
        self.broken: str | None = None

    def more(self, used: int) -> bool:
        """Drop `used` bytes from the front and read on. False at the end of the input."""
        if self.broken is not None:
            return False
        try:
            chunk = self._read(limits.READ_SIZE)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            self.broken = f"the gzip data is damaged ({error})"
            return False
        if not chunk:
            return False
        self.data = self.data[used:] + chunk
        self.offset += used
        return True


class CaptureReader:
    """Packets of one capture.

    Args:
        stream: Binary input, positioned at `first`'s end.
        first: Bytes already read from it, at least four of them where it has as many.
        name: What to call it in messages.
    """

    def __init__(self, stream: BinaryIO, first: bytes, name: str) -> None:
        self._input = _Input(stream, first)
        self.name = name
        self.damage: Damage | None = None
        self.packets = 0
        self.skipped_blocks = 0
        self.secrets: list[tuple[int, bytes]] = []
        """Decryption secrets blocks: (type, data)."""
        self.passed_on: set[int] = set()
        """Where the packets of the batch begin that a proxy recorded of its way to the server."""

    def __iter__(self) -> Iterator[Batch]:
        magic = self._input.data[:4]
        if magic in _PCAP_MAGICS or magic in _MODIFIED_PCAP:
            yield from self._pcap(magic)
        else:
            yield from self._pcapng()
        if self._input.broken and self.damage is None:
            self._break(len(self._input.data), self._input.broken)

    def _break(self, at: int, what: str) -> None:
        if self.damage is None:
            self.damage = Damage(self._input.offset + at, what)

    # --- pcap ---

    def _pcap(self, magic: bytes) -> Iterator[Batch]:
        source = self._input
        order, unit = _PCAP_MAGICS.get(magic, (_MODIFIED_PCAP.get(magic, "<"), 1e-6))
        header_size = 24 if magic in _MODIFIED_PCAP else 16
        while len(source.data) < 24:
            if not source.more(0):
                self._break(len(source.data), "the file header ends early")
                return
        link_type = struct.unpack_from(order + "I", source.data, 20)[0] & 0x0FFFFFFF
        unpack = struct.Struct(order + "IIII").unpack_from
        at, cap = 24, limits.PACKET_MAX
        while True:
            data = source.data
            size = len(data)
            packets: list[Packet] = []
            add = packets.append
            while size - at >= header_size:
                seconds, fraction, captured, wire = unpack(data, at)
                end = at + header_size + captured
                if end > size or captured > cap:
                    if captured > cap:
                        yield data, packets
                        self.packets += len(packets)
                        what = f"a packet claims {captured} bytes; no capture program writes more than {cap}"
                        self._break(at, what)
                        return
                    break
                add((seconds + fraction * unit, link_type, at + header_size, end, wire))
                at = end
            if packets:
                self.packets += len(packets)
                yield data, packets
            if not source.more(at):
                left = len(source.data) - at
                if left:
                    self._break(at, f"the file ends inside a packet ({left} bytes of it are there)")
                return
            at = 0

    # --- pcapng ---

    def _pcapng(self) -> Iterator[Batch]:
        source = self._input
        order = "<"
        at = 0
        interfaces: list[Interface] = []
        while True:
            data, size = source.data, len(source.data)
            packets: list[Packet] = []
            self.passed_on.clear()
            problem: str | None = None
            while size - at >= 12:
                kind, length = struct.unpack_from(order + "II", data, at)
                if data[at : at + 4] == _SECTION:
                    new = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(data[at + 8 : at + 12])
                    if new is None:
                        problem = "a section header without a byte-order magic"
                        break
                    order, kind = new, _SHB
                    (length,) = struct.unpack_from(order + "I", data, at + 4)
                if length < 12 or length % 4 or length > limits.BLOCK_MAX:
                    problem = f"a block claims a length of {length}"
                    break
                end = at + length
                if end > size:
                    break
                if struct.unpack_from(order + "I", data, end - 4)[0] != length:
                    problem = "the two lengths of a block differ"
                    break
                problem = self._block(kind, order, data, at + 8, end - 4, interfaces, packets)
                if problem:
                    break
                at = end
            if packets:
                self.packets += len(packets)
                yield data, packets
            if problem:
                self._break(at, problem)
                return
            if not source.more(at):
                left = len(source.data) - at
                if left:
                    self._break(at, f"the file ends inside a block ({left} bytes of it are there)")
                return
            at = 0

    def _block(
        self, kind: int, order: str, data: bytes, at: int, end: int, interfaces: list[Interface], packets: list[Packet]
    ) -> str | None:
        """Read one block whose body is `data[at:end]`; what is wrong with it, or None."""
        if kind == _EPB:
            if end - at < 20:
                return "a packet block is too short"
            number, high, low, captured, wire = struct.unpack_from(order + "IIIII", data, at)
            start = at + 20
        elif kind == _SPB:
            if end - at < 4:
                return "a simple packet block is too short"
            if not interfaces:
                return "a packet before any interface"
            (wire,) = struct.unpack_from(order + "I", data, at)
            number = high = low = 0
            start = at + 4
            captured = min(wire, interfaces[0].snaplen or wire, end - start)
        elif kind == _PB:
            if end - at < 20:
                return "a packet block is too short"
            number, _, high, low, captured, wire = struct.unpack_from(order + "HHIIII", data, at)
            start = at + 20
        elif kind == _SHB:
            interfaces.clear()
            return None
        elif kind == _IDB:
            return self._interface(order, data, at, end, interfaces)
        elif kind == _DSB:
            if end - at >= 8:
                secret, length = struct.unpack_from(order + "II", data, at)
                if sum(len(kept) for _, kept in self.secrets) + length <= limits.SECRETS_MAX:
                    self.secrets.append((secret, data[at + 8 : min(at + 8 + length, end)]))
                else:
                    self.skipped_blocks += 1
            return None
        else:
            self.skipped_blocks += 1
            return None
        if number >= len(interfaces):
            return f"a packet of interface {number}, which is not described"
        if start + captured > end:
            return f"a packet claims {captured} bytes in a block that has {end - start}"
        link_type, _, resolution, offset, leg = interfaces[number]
        if leg == LEGS[1]:
            self.passed_on.add(start)
        packets.append(((high << 32 | low) * resolution + offset, link_type, start, start + captured, wire))
        return None

    def _interface(self, order: str, data: bytes, at: int, end: int, interfaces: list[Interface]) -> str | None:
        if end - at < 8:
            return "an interface description is too short"
        if len(interfaces) >= limits.INTERFACES_MAX:
            return f"more than {limits.INTERFACES_MAX} interfaces"
        link_type, _, snaplen = struct.unpack_from(order + "HHI", data, at)
        resolution, offset = 1e-6, 0
        name = description = b""
        at += 8
        while end - at >= 4:
            code, length = struct.unpack_from(order + "HH", data, at)
            value = data[at + 4 : min(at + 4 + length, end)]
            if code == 0 or len(value) < length:
                break
            if code == 9 and value:
                exponent = value[0] & 0x7F
                resolution = 2.0**-exponent if value[0] & 0x80 else 10.0**-exponent
            elif code == 14 and length == 8:
                (offset,) = struct.unpack(order + "q", value)
            elif code == 2:
                name = value
            elif code == 3:
                description = value
            at += 4 + (length + 3) // 4 * 4
        known = name in {leg.encode() for leg in LEGS} and description.startswith(LEG_DESCRIPTION.encode())
        interfaces.append(Interface(link_type, snaplen, resolution, offset, name.decode() if known else ""))
        return None


def is_capture(first: bytes) -> bool:
    """True where the bytes begin a pcap or pcapng file."""
    return first[:4] in _PCAP_MAGICS or first[:4] in _MODIFIED_PCAP or first[:4] == _SECTION


def _at_least(stream: BinaryIO, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = stream.read(count - len(data))
        if not chunk:
            break
        data += chunk
    return data


class _Rejoined(RawIOBase):
    """A stream with bytes put back in front, for gzip, which wants to see its own magic."""

    def __init__(self, first: bytes, stream: BinaryIO) -> None:
        self._first = first
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._first:
            chunk, self._first = self._first[: len(buffer)], self._first[len(buffer) :]
        else:
            chunk = getattr(self._stream, "read1", self._stream.read)(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)


def unpacked(stream: BinaryIO, name: str) -> tuple[BinaryIO, bytes]:
    """The stream behind any gzip, and the first bytes that were already read from it.

    Raises:
        CaptureError: The gzip data is damaged at its beginning.
    """
    first = _at_least(stream, 4)
    if first[:2] != _GZIP:
        return stream, first
    source: BinaryIO = gzip.GzipFile(fileobj=_Rejoined(first, stream))  # type: ignore[assignment]
    try:
        return source, _at_least(source, 4)
    except (EOFError, zlib.error, OSError) as error:
        raise CaptureError(f"{name}: damaged gzip data ({error})") from None


def read_capture(stream: BinaryIO | BufferedIOBase, name: str) -> CaptureReader:
    """A reader for a binary stream.

    Raises:
        CaptureError: It is empty, or neither pcap nor pcapng.
    """
    source, first = unpacked(stream, name)  # type: ignore[arg-type]
    if not first:
        raise CaptureError(f"{name}: empty: there is no capture in it")
    if not is_capture(first):
        start = first.hex(" ")
        raise CaptureError(
            f"{name}: not a capture: it begins with {start}, not with the magic of pcap or pcapng. "
            "Write one with `tcpdump -w FILE`, dumpcap or Wireshark; for pasted bytes use `blynkscope hexdump`."
        )
    return CaptureReader(source, first, name)
