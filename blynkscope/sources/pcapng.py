"""Writes pcapng (draft-ietf-opsawg-pcapng): section, interfaces, packets with comments, TLS secrets, statistics.

Times have nanosecond resolution. Everything is little-endian, whatever machine writes it, so that the same input gives
the same bytes everywhere.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from blynkscope import __version__
from blynkscope.protocol import limits
from blynkscope.sources.capture import TLS_KEY_LOG

COMMENT_MAX = 16 * 1024
"""Bytes of a comment or a name: the length field of an option has 16 bits, and nobody reads more in a window."""
NANOSECONDS = 9
SECOND = 1_000_000_000

_SHB, _IDB, _ISB, _EPB, _DSB = 0x0A0D0D0A, 1, 5, 6, 10
_COMMENT, _END = 1, 0
_SHB_APPLICATION = 4
_IF_NAME, _IF_DESCRIPTION, _IF_RESOLUTION, _IF_FILTER = 2, 3, 9, 11
_EPB_FLAGS = 2
_INBOUND, _OUTBOUND = 1, 2
_ISB_RECEIVED, _ISB_DROPPED = 4, 5
_UNKNOWN_LENGTH = 0xFFFF_FFFF_FFFF_FFFF
_LARGEST_STAMP = 0xFFFF_FFFF_FFFF_FFFF
_LARGEST_SECRETS = limits.BLOCK_MAX - 64

_PACKET = struct.Struct("<IIIIIII")
_LENGTH = struct.Struct("<I")
_OPTION = struct.Struct("<HH")
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


class PcapngWriter:
    """Writes one section into a stream, block by block; nothing is kept, and the stream is never closed or flushed.

    Args:
        stream: Binary output. What it raises (OSError) is passed on; then the last block may be there in part.
        application: Name and version of the program, for the section header.
    """

    def __init__(self, stream: BinaryIO, *, application: str = f"blynkscope {__version__}") -> None:
        self._write = stream.write
        self._interfaces = 0
        self.written = 0
        """Bytes so far."""
        head = struct.pack("<IHHQ", 0x1A2B3C4D, 1, 0, _UNKNOWN_LENGTH)
        self._block(_SHB, head + _options((_SHB_APPLICATION, _text(application))))

    def interface(
        self,
        link_type: int,
        *,
        name: str = "",
        description: str = "",
        snaplen: int = 0,
        filter: str = "",  # noqa: A002
    ) -> int:
        """Describe an interface; gives the number by which its packets name it.

        Args:
            link_type: LINKTYPE_ number (1 is Ethernet).
            name: What the system calls it, like `eth0`.
            description: For people.
            snaplen: Most bytes that are kept of a packet; 0 for no limit.
            filter: The capture filter, as it was typed.

        Raises:
            ValueError: The link type has more than 16 bits, or the snapshot length more than 32.
        """
        if not 0 <= link_type <= 0xFFFF or not 0 <= snaplen <= 0xFFFF_FFFF:
            raise ValueError(f"no link type {link_type} or snapshot length {snaplen}")
        options = _options(
            (_IF_NAME, _text(name)),
            (_IF_DESCRIPTION, _text(description)),
            (_IF_RESOLUTION, bytes([NANOSECONDS])),
            (_IF_FILTER, b"\0" + _text(filter) if filter else b""),  # 0: a string of libpcap's language
        )
        self._block(_IDB, struct.pack("<HHI", link_type, 0, snaplen) + options)
        self._interfaces += 1
        return self._interfaces - 1

    def packet(
        self,
        interface: int,
        time: float | int,
        data: bytes,
        *,
        wire: int | None = None,
        comment: str | None = None,
        inbound: bool | None = None,
    ) -> None:
        """Write one packet.

        Args:
            interface: Number that `interface` gave.
            time: Since the epoch: a float in seconds, an int in *nanoseconds* (a float of today has 0.2 µs).
            data: The packet from its link layer on.
            wire: Its length on the wire, where the capture cut it; None for all of it.
            comment: Shown beside it; NUL is left out, more than COMMENT_MAX bytes are cut.
            inbound: The direction as the interface saw it; None where nobody knows.

        Raises:
            ValueError: There is no such interface, or the packet is larger than readers take.
        """
        size = len(data)
        if not 0 <= interface < self._interfaces:
            raise ValueError(f"no interface {interface}")
        if size > limits.PACKET_MAX:
            raise ValueError(f"a packet of {size} bytes; readers take {limits.PACKET_MAX}")
        options = b""
        if comment or inbound is not None:
            flags = b"" if inbound is None else _LENGTH.pack(_INBOUND if inbound else _OUTBOUND)
            options = _options((_COMMENT, _text(comment or "")), (_EPB_FLAGS, flags))
        stamp = nanoseconds(time)
        padding = _PADDING[size & 3]
        length = 32 + size + len(padding) + len(options)
        head = _PACKET.pack(
            _EPB, length, interface, stamp >> 32, stamp & 0xFFFF_FFFF, size, max(size, min(wire or size, 0xFFFF_FFFF))
        )
        self._write(b"".join((head, data, padding, options, _LENGTH.pack(length))))
        self.written += length

    def secrets(self, keylog: bytes) -> None:
        """Write lines of a TLS key log; they belong before the packets that they open.

        More than fits into one block is cut into several, between lines.
        """
        while keylog:
            cut = len(keylog)
            if cut > _LARGEST_SECRETS:
                cut = keylog.rfind(b"\n", 0, _LARGEST_SECRETS) + 1 or _LARGEST_SECRETS
            part, keylog = keylog[:cut], keylog[cut:]
            self._block(_DSB, struct.pack("<II", TLS_KEY_LOG, len(part)) + part + _PADDING[len(part) & 3])

    def statistics(self, interface: int, *, received: int, dropped: int, time: float | int) -> None:
        """Say how much an interface has seen; belongs behind its packets.

        Args:
            interface: Number that `interface` gave.
            received: Packets that came to the capture.
            dropped: Packets that it lost.
            time: When these numbers were read, as in `packet`.

        Raises:
            ValueError: There is no such interface.
        """
        if not 0 <= interface < self._interfaces:
            raise ValueError(f"no interface {interface}")
        stamp = nanoseconds(time)
        counts = ((_ISB_RECEIVED, _count(received)), (_ISB_DROPPED, _count(dropped)))
        self._block(_ISB, struct.pack("<III", interface, stamp >> 32, stamp & 0xFFFF_FFFF) + _options(*counts))

    def _block(self, kind: int, body: bytes) -> None:
        length = 12 + len(body)
        self._write(struct.pack("<II", kind, length) + body + _LENGTH.pack(length))
        self.written += length


def nanoseconds(time: float | int) -> int:
    """The stamp of a time since the epoch: a float in seconds, an int in nanoseconds. What has none is the nearest."""
    if isinstance(time, float):
        if time != time:  # noqa: PLR0124 - not a number
            return 0
        if not 0 < time < _LARGEST_STAMP / SECOND:
            return 0 if time <= 0 else _LARGEST_STAMP
        whole = int(time)
        time = whole * SECOND + round((time - whole) * SECOND)
    return max(0, min(time, _LARGEST_STAMP))


def _count(number: int) -> bytes:
    return struct.pack("<Q", max(0, min(number, 0xFFFF_FFFF_FFFF_FFFF)))


def _text(text: str) -> bytes:
    """UTF-8 without NUL, of bounded length, cut between characters."""
    data = text.replace("\0", "").encode("utf-8", "backslashreplace")
    return data if len(data) <= COMMENT_MAX else data[:COMMENT_MAX].decode("utf-8", "ignore").encode()


def _options(*options: tuple[int, bytes]) -> bytes:
    """Options of a block with their end; those without a value are left out."""
    parts = [_OPTION.pack(code, len(value)) + value + _PADDING[len(value) & 3] for code, value in options if value]
    return b"".join(parts) + _OPTION.pack(_END, 0) if parts else b""
