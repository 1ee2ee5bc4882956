"""What a reader of a layer gives: the bytes that travel inside it, holes in them, and facts about the layer itself.

A layer is TLS, an HTTP connection that was upgraded, WebSocket. What is inside may be another layer, or Blynk frames.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from blynkscope.wire.facts import Fact


class Content(msgspec.Struct, frozen=True, gc=False):
    """Bytes of what travels inside, in order.

    `behind` is the offset, among the bytes that the layer itself was fed (missing ones count), behind which everything
    that `data` was made of has been seen: what the peer's TCP acknowledged up to there was delivered. `time` is that of
    the last of those bytes.
    """

    data: bytes
    time: float | None
    behind: int


class Hole(msgspec.Struct, frozen=True, gc=False):
    """Inner bytes are missing; `missing` is None where nobody knows how many."""

    missing: int | None
    time: float | None


Piece = Content | Hole | Fact


class LayerReader(Protocol):
    """Reads one direction of a layer. Incremental; never raises; bounded memory.

    However the bytes are cut, the contents joined, the holes and the facts are the same.
    """

    def feed(self, data: bytes, time: float | None) -> list[Piece]:
        """Take the next bytes; give what they complete."""

    def gap(self, missing: int | None, time: float | None) -> list[Piece]:
        """Bytes are missing here; None where nobody knows how many."""

    def finish(self, time: float | None) -> list[Piece]:
        """The direction is over; give what only the end tells."""

    def drop(self, time: float | None) -> list[Piece]:
        """Give up what is held of something incomplete; what follows is read on, as far as its beginning is known."""

    @property
    def buffered(self) -> int:
        """Bytes that are held of what is incomplete."""
