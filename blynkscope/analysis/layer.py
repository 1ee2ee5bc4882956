"""One layer of one direction: who reads it, and how its offsets go over into those of what is inside."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from blynkscope.protocol import limits
from blynkscope.wire.layers import LayerReader

if TYPE_CHECKING:
    from blynkscope.wire.tls_side import Side


class Layer:
    """A layer that is unwrapped.

    Args:
        kind: "tls", "http", "websocket" or "mqtt".
        reader: Reads it; None for TLS, whose two directions are read together.
        side: This direction of TLS, for what it can give alone.

    Attributes:
        begun: True once something came out of it.
        holed: True where bytes were missing before that.
        known: What was agreed about it, for the layer that follows.
    """

    __slots__ = ("_marks", "begun", "holed", "inner", "kind", "known", "reader", "side")

    def __init__(self, kind: str, reader: LayerReader | None, side: Side | None = None) -> None:
        self.kind = kind
        self.reader = reader
        self.side = side
        self.begun = False
        self.holed = False
        self.known: dict[str, Any] = {}
        self.inner = 0
        """Bytes that came out of it."""
        # (offset in its own bytes, inner offset); where no acknowledgements are seen the oldest are forgotten.
        self._marks: deque[tuple[int, int]] = deque(maxlen=limits.MARKS_MAX)

    def took(self, size: int, behind: int) -> None:
        """So much content came out of it; see `Content` for `behind`."""
        self.inner = inner = self.inner + size
        self._marks.append((behind, inner))

    def delivered(self, upto: int) -> int | None:
        """The inner offset that was delivered when all its own bytes below `upto` were; None where nothing new was."""
        marks, inner = self._marks, None
        while marks and marks[0][0] <= upto:
            inner = marks.popleft()[1]
        return inner
