"""One direction of a stream: what it speaks, and what is kept of it."""

from __future__ import annotations

from blynkscope.analysis.acks import Waiting
from blynkscope.analysis.layer import Layer
from blynkscope.analysis.records import Facts
from blynkscope.analysis.tempo import Tempo
from blynkscope.protocol import limits
from blynkscope.protocol.model import Dialect, Sender
from blynkscope.wire import recognise
from blynkscope.wire.framing import Framer


class Lane:
    """One direction of a stream."""

    __slots__ = (
        "chunks", "counts", "dialect", "direction", "dst", "facts", "framer", "guess", "heard_at", "hunted", "hunter",
        "joined", "layers", "next_id", "peer", "prefix", "room", "seen", "sender", "src", "start", "targeted", "tempo",
        "via", "waiting", "whole",
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
        self.tempo = Tempo()
        self.heard_at: float | None = None
        """Time of its last bytes."""
        self.counts: dict[int, int] = {}
        """Frames by command; pin operations are the ones that are not counted here."""
        self.next_id = 1
        """The id that follows the last frame's."""
        self.room = limits.HARDWARE_BODY_MAX
        """The longest body that its sender can receive, as it announced; the dialect's limit before that."""
        self.joined = False
        """True where the first (innermost) byte that is seen need not begin a message."""
        self.layers: list[Layer] = []
        """What is unwrapped, outside in."""
        self.via: tuple[str, ...] = ()
        """The layers that its frames come through, outside in."""
