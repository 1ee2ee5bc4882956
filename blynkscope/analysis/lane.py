"""One direction of a stream: what it speaks, and what is kept of it."""

from __future__ import annotations

from blynkscope.analysis.acks import Waiting
from blynkscope.analysis.records import Facts
from blynkscope.protocol.model import Dialect, Sender
from blynkscope.wire import recognise
from blynkscope.wire.framing import Framer


class Lane:
    """One direction of a stream."""

    __slots__ = (
        "chunks", "dialect", "direction", "dst", "facts", "framer", "guess", "hunted", "hunter", "peer", "prefix",
        "seen", "sender", "src", "start", "targeted", "waiting", "whole",
    )  # fmt: skip

    def __init__(self, direction: int, src: str | None, dst: str | None) -> None:
        self.direction = direction
        self.src = src
        self.dst = dst
        self.peer: Lane = self
        self.sender: str = Sender.UNKNOWN.value
        self.dialect = Dialect.HARDWARE
        self.targeted = False
        """True where a HW body begins with the address of a device (app and web dialect)."""
        self.facts: Facts | None = None
        self.framer: Framer | None = None
        self.hunter: Framer | None = None
        self.hunted = 0
        self.guess: recognise.Guess | None = None
        self.prefix = bytearray()
        self.chunks: list[tuple[bytes, float | None]] = []
        self.seen = 0
        self.start = 0
        """Stream offset of the first byte that was seen."""
        self.whole = True
        """False once bytes of it were missing before it was recognised."""
        self.waiting = Waiting()
