"""One layer of one direction: who reads it, and how its offsets go over into those of what is inside."""

from __future__ import annotations

from collections import deque
from typing import Any

from blynkscope.protocol import limits
from blynkscope.wire.layers import Content, LayerReader


class Layer:
    """A layer that is unwrapped.

    Args:
        kind: "tls", "http", "websocket" or "mqtt".
        reader: Reads it; None for TLS, whose two directions are read together.

    Attributes:
        begun: True once something came out of it.
        holed: True where bytes were missing before that.
        known: What was agreed about it, for the layer that follows.
    """

    __slots__ = ("_marks", "begun", "holed", "inner", "kind", "known", "reader")

    def __init__(self, kind: str, reader: LayerReader | None) -> None:
        self.kind = kind
        self.reader = reader
        self.begun = False
        self.holed = False
        self.known: dict[str, Any] = {}
        self.inner = 0
        """Bytes that came out of it."""
        # (offset in its own bytes, inner offset); where no acknowledgements are seen the oldest are forgotten.
        self._marks: deque[tuple[int, int]] = deque(maxlen=limits.MARKS_MAX)

    def took(self, content: Content) -> None:
        """Content came out of it."""
        self.inner += len(content.data)
        self._marks.append((content.behind, self.inner))

    def delivered(self, upto: int) -> int | None:
        """The inner offset that was delivered when all its own bytes below `upto` were; None where nothing new was."""
        marks, inner = self._marks, None
        while marks and marks[0][0] <= upto:
            inner = marks.popleft()[1]
        return inner
