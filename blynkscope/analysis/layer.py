"""One layer of one direction: who reads it, and how its offsets go over into those of what is inside."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from blynkscope.wire.layers import LayerReader

if TYPE_CHECKING:
    from blynkscope.wire.tls_side import Side

MARKS_MAX = 64
"""Contents of one direction whose acknowledgement is waited for: more than a device has on its way at once. Beyond it
the oldest are forgotten, and count as delivered with the next one."""


class Layer:
    """A layer that is unwrapped.

    Args:
        kind: "tls", "http", "websocket" or "mqtt".
        reader: Reads it; None for TLS, whose two directions are read together.
        side: This direction of TLS, for what it can give alone.
        linear: True where its content stands in it byte for byte, so that a part of it can be acknowledged.

    Attributes:
        begun: True once something came out of it.
        holed: True where bytes were missing before that.
        known: What was agreed about it, for the layer that follows.
        inner: Bytes that came out of it; of holes, those whose number is known.
    """

    __slots__ = ("_acked", "_marks", "begun", "holed", "inner", "kind", "known", "linear", "reader", "side")

    def __init__(
        self, kind: str, reader: LayerReader | None, side: Side | None = None, *, linear: bool = False
    ) -> None:
        self.kind = kind
        self.reader = reader
        self.side = side
        self.linear = linear
        self.begun = False
        self.holed = False
        self.known: dict[str, Any] = {}
        self.inner = 0
        self._acked = 0
        # (offset in its own bytes, inner offset, size of the content)
        self._marks: deque[tuple[int, int, int]] = deque(maxlen=MARKS_MAX)

    def took(self, size: int, behind: int) -> bool:
        """So much content came out of it; see `Content` for `behind`.

        Returns:
            True where it was acknowledged already.
        """
        self.inner = inner = self.inner + size
        if behind <= self._acked:
            return True
        marks = self._marks
        if self.linear and marks:
            last = marks[-1]
            if last[0] == behind - size and last[1] == inner - size:
                # What follows without a break is one content.
                marks[-1] = (behind, inner, last[2] + size)
                return False
        marks.append((behind, inner, size))
        return False

    def delivered(self, upto: int) -> int | None:
        """The inner offset that was delivered when all its own bytes below `upto` were; None where nothing new was."""
        self._acked = max(self._acked, upto)
        marks, inner = self._marks, None
        while marks and marks[0][0] <= upto:
            inner = marks.popleft()[1]
        if self.linear and marks:
            behind, end, size = marks[0]
            if behind - size < upto:
                inner = end - (behind - upto)
        return inner
