"""WebSocket messages of one direction, taken apart just far enough to reach their payload in place (RFC 6455)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

_CONTINUATION, _CONTROL = 0, 8
_PAYLOAD_MAX = 1 << 40
"""A longer message is none: the framing was lost."""


class Piece(NamedTuple):
    """A run of bytes of a stream, and the mask under which they lie (empty for none); `phase` is its first byte's."""

    at: int
    size: int
    mask: bytes = b""
    phase: int = 0

    def masked(self, data: bytes) -> bytes:
        """The bytes as they stand in the stream; masking twice gives them back."""
        return masked(data, self.mask, self.phase)


def masked(data: bytes, mask: bytes, phase: int = 0) -> bytes:
    """Data under a mask of four bytes, of which the byte at `phase` meets `data[0]`."""
    if not mask:
        return data
    phase %= 4
    key = ((mask[phase:] + mask[:phase]) * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(len(data), "big")


class SocketReader:
    """Reads frames.

    Args:
        offset: Stream offset of the first byte.
        tell: Called with pieces, their unmasked bytes, the opcode of the message, whether it ends, and whether it is
            compressed.
    """

    def __init__(self, offset: int, tell: Callable[[list[Piece], bytes, int, bool, bool], None]) -> None:
        self._offset = offset
        self._tell = tell
        self._head = b""
        self._left = 0
        self._done = 0
        self._mask = b""
        self._last = False
        self._opcode = self._message = 0
        self._packed = False
        self._lost = False

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        at = 0
        while at < len(data) and not self._lost:
            if self._left:
                size = min(self._left, len(data) - at)
                self._payload(data[at : at + size], self._offset + at)
                at += size
                continue
            self._head += data[at : at + 1]
            at += 1
            self._begin()
        self._offset += len(data)

    def gap(self, missing: int) -> None:
        """Bytes are missing: inside a payload the framing is still known."""
        if self._left >= missing:
            self._left -= missing
            self._done += missing
        else:
            self._lost = True
        self._offset += missing

    def _begin(self) -> None:
        head = self._head
        if len(head) < 2:
            return
        short, keyed = head[1] & 0x7F, bool(head[1] & 0x80)
        wide = {126: 2, 127: 8}.get(short, 0)
        if len(head) < 2 + wide + 4 * keyed:
            return
        size = int.from_bytes(head[2 : 2 + wide], "big") if wide else short
        self._mask = head[2 + wide :] if keyed else b""
        self._last, self._opcode = bool(head[0] & 0x80), head[0] & 0x0F
        if self._opcode != _CONTINUATION and self._opcode < _CONTROL:
            self._message, self._packed = self._opcode, bool(head[0] & 0x40)
        self._head, self._left, self._done = b"", size, 0
        self._lost = size > _PAYLOAD_MAX or bool(head[0] & 0x30)
        if not size and self._opcode < _CONTROL:
            self._tell([], b"", self._message, self._last, self._packed)

    def _payload(self, data: bytes, at: int) -> None:
        piece = Piece(at, len(data), self._mask, self._done % 4)
        self._left -= len(data)
        self._done += len(data)
        if self._opcode < _CONTROL:
            final = self._last and not self._left
            self._tell([piece], piece.masked(data), self._message, final, self._packed)
