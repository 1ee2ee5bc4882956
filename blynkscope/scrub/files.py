"""Changes to a capture file: bytes replaced or left out, in order; and what stands in it beside the packets."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, NamedTuple

from blynkscope.protocol import limits

COPY = 1 << 20
_SHB, _IDB, _PB, _SPB, _NRB, _ISB, _EPB, _DSB = 0x0A0D0D0A, 1, 2, 3, 4, 5, 6, 10
_PACKET_BLOCKS = {_EPB: 20, _PB: 20}
_OPTIONS_AT = {_SHB: 16, _IDB: 8, _ISB: 12}


class Patch(NamedTuple):
    """At offset `at` of the file `size` bytes become `new`: as many, or none."""

    at: int
    size: int
    new: bytes


def patched(source: BinaryIO, target: BinaryIO, patches: Iterable[Patch], size: int) -> None:
    """Copy `size` bytes with the patches made; they come in order, and none over another."""
    source.seek(0)
    at = 0
    for patch in patches:
        if patch.at < at:
            raise ValueError("patches out of order")
        _copy(source, target, patch.at - at)
        source.seek(patch.size, 1)
        target.write(patch.new)
        at = patch.at + patch.size
    _copy(source, target, size - at)


def _copy(source: BinaryIO, target: BinaryIO, count: int) -> None:
    while count > 0:
        chunk = source.read(min(count, COPY))
        if not chunk:
            return
        target.write(chunk)
        count -= len(chunk)


class Beside(NamedTuple):
    """What stands beside the packets of a pcapng file: `kind` is "text", "names" or "secrets"."""

    kind: str
    at: int
    data: bytes


def beside_packets(source: BinaryIO, size: int) -> Iterator[Beside]:
    """Options that hold text, names of hosts, and whole blocks of decryption secrets; up to where the file breaks.

    Nothing for pcap, which has none of them.
    """
    at, order = 0, "<"
    while size - at >= 12:
        source.seek(at)
        head = source.read(12)
        if head[:4] == b"\x0a\x0d\x0d\x0a":
            order = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(head[8:12], "")
            if not order:
                return
        elif at == 0:
            return
        kind, length = struct.unpack_from(order + "II", head)
        if length < 12 or length % 4 or length > limits.BLOCK_MAX or at + length > size:
            return
        source.seek(at)
        block = source.read(length)
        if kind == _DSB:
            yield Beside("secrets", at, block)
        else:
            yield from _of_block(kind, order, block, at)
        at += length


def _of_block(kind: int, order: str, block: bytes, at: int) -> Iterator[Beside]:
    end = len(block) - 4
    if kind in _PACKET_BLOCKS:
        (captured,) = struct.unpack_from(order + "I", block, 20) if end >= 24 else (0,)
        yield from _options(order, block, 8 + _PACKET_BLOCKS[kind] + (captured + 3) // 4 * 4, end, at)
    elif kind in _OPTIONS_AT:
        yield from _options(order, block, 8 + _OPTIONS_AT[kind], end, at)
    elif kind == _NRB:
        place = 8
        while end - place >= 4:
            record, length = struct.unpack_from(order + "HH", block, place)
            if not record:
                yield from _options(order, block, place + 4, end, at)
                return
            yield Beside("names", at + place + 4, block[place + 4 : min(place + 4 + length, end)])
            place += 4 + (length + 3) // 4 * 4
    elif kind != _SPB:
        yield Beside("text", at + 8, block[8:end])


def _options(order: str, block: bytes, place: int, end: int, at: int) -> Iterator[Beside]:
    while end - place >= 4:
        code, length = struct.unpack_from(order + "HH", block, place)
        if not code:
            return
        yield Beside("text", at + place + 4, block[place + 4 : min(place + 4 + length, end)])
        place += 4 + (length + 3) // 4 * 4


def searched(source: BinaryIO, size: int, search: Callable[[bytes], bool], overlap: int) -> bool:
    """Whether a search finds something anywhere in a file, read piece by piece."""
    source.seek(0)
    last, left = b"", size
    while left > 0:
        chunk = source.read(min(COPY, left))
        if not chunk:
            break
        left -= len(chunk)
        if search(last + chunk):
            return True
        last = (last + chunk)[-overlap:]
    return False


class Reread:
    """A second position in a file that is being copied at the same time."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._at = 0

    def seek(self, at: int, whence: int = 0) -> int:
        """Go to a place."""
        before = self._stream.tell()
        self._at = self._stream.seek(at, whence)
        self._stream.seek(before)
        return self._at

    def read(self, count: int = -1) -> bytes:
        """Read on from there."""
        before = self._stream.tell()
        self._stream.seek(self._at)
        data = self._stream.read(count)
        self._at += len(data)
        self._stream.seek(before)
        return data
