"""How far a pin write is known to have got.

A stream has one memory of its pins. A write goes up the ladder sent → delivered → passed → confirmed as proofs come in,
or ends as contradicted, rejected or lost. It is final when it got `confirmed` or one of the last three, when its pin is
written again (by either side), and when its stream ends.
"""

from __future__ import annotations

from collections import deque

import msgspec

from blynkscope.analysis.records import Record, WriteRecord
from blynkscope.protocol import bodies, limits
from blynkscope.protocol.schema import readable

SENT, DELIVERED, PASSED, CONFIRMED = "sent", "delivered", "passed", "confirmed"
CONTRADICTED, REJECTED, LOST = "contradicted", "rejected", "lost"
LADDER = (SENT, DELIVERED, PASSED, CONFIRMED)
"""Proofs of arrival, weakest first."""
BAD = (CONTRADICTED, REJECTED, LOST)


_LETTERS = {code: operation.letter for code, operation in bodies.OPERATIONS.items()}


def pin_name(key: bytes) -> str:
    """The name of a pin from its key: `V1`, or `1-0 V1` where an app addressed it."""
    target, _, rest = key.rpartition(b"\0")
    name = _LETTERS.get(rest[:2].decode("ascii", "replace"), "") + readable(rest[2:]) if rest else "other pins"
    return f"{readable(target)} {name}" if target else name


class Digest(bytes):
    """Stands for values that are too long to be kept."""


class Write(msgspec.Struct, gc=False, eq=False):
    """A pin write: its frame (`n`, `id`, time, offset behind it) and how far it got.

    `key` names the pin within the stream, `values` are the bytes behind it. `lane` is its direction. `said` is the
    state that its line told; `by` the frame that proves the state, where one does.
    """

    n: int
    id: int
    end: int
    sent_at: float | None
    lane: int
    key: bytes
    values: bytes | None
    state: str
    said: str
    by: int | None
    time: float | None
    final: bool
    answered: bool = False


class Pin:
    """One pin of a stream: its last write while that is open, and the client's writes that were not confirmed.

    `key` names it; the writes that are remembered share it instead of holding one each.
    `states` counts those by final state, `frames` lists the first of them. `writes` counts the writes of both
    sides that are final; `settled` is the last of these.
    """

    __slots__ = ("frames", "key", "last", "room", "settled", "states", "writes")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.last: Write | None = None
        self.states: dict[str, int] = {}
        self.frames: list[int] = []
        self.room = limits.PROVING_FRAMES_MAX
        self.writes = 0
        self.settled: Write | None = None


class Pins:
    """The writes of one stream.

    Args:
        out: Takes a `WriteRecord` when a write's final state differs from what its line said.
    """

    __slots__ = ("_out", "acked", "pins", "undelivered")

    def __init__(self, out: list[Record]) -> None:
        self._out = out
        self.pins: dict[bytes, Pin] = {}
        # A write that is final no longer needs its place, so the queues can be short.
        self.undelivered: tuple[deque[Write], deque[Write]] = (
            deque(maxlen=limits.OPEN_WRITES_MAX),
            deque(maxlen=limits.OPEN_WRITES_MAX),
        )
        self.acked = [0, 0]

    def swap(self) -> None:
        """The sides turn out to be the other way round; what was counted so far were the server's writes."""
        for pin in self.pins.values():
            pin.states.clear()
            pin.frames.clear()
            pin.room = limits.PROVING_FRAMES_MAX
            if pin.last is not None:
                pin.last.lane = 1 - pin.last.lane

    def new_pin(self, key: bytes) -> Pin:
        """Memory for a pin that was not written before."""
        pins = self.pins
        if len(pins) >= limits.OPEN_WRITES_MAX:
            # Hostile: no device has so many pins. The oldest is closed and counted with its like.
            oldest = next(known for known in pins if known)
            gone = pins.pop(oldest)
            if gone.last is not None:
                self.finish(gone, gone.last)
            rest = pins.setdefault(b"", Pin(b""))
            for state, count in gone.states.items():
                rest.states[state] = rest.states.get(state, 0) + count
            rest.frames = (rest.frames + gone.frames)[: limits.PROVING_FRAMES_MAX]
        pin = pins[key] = Pin(key)
        return pin

    def delivered(self, lane: int, upto: int, time: float | None) -> None:
        """TCP acknowledged the bytes of a direction below `upto`."""
        acked = self.acked
        if upto > acked[lane]:  # noqa: PLR1730 - runs for every acknowledgement; max() costs a call
            acked[lane] = upto
        queue = self.undelivered[lane]
        while queue and queue[0].end <= upto:
            write = queue.popleft()
            if write.state is SENT and not write.final:
                write.state = DELIVERED
                write.time = time

    def passed(self, asked: int, by: int, time: float | None) -> None:
        """Frame `asked` of the client was answered by frame `by`, so the server has read past all before it."""
        for pin in self.pins.values():
            write = pin.last
            if (
                write is not None
                and write.n < asked
                and write.lane == 0
                and (write.state is SENT or write.state is DELIVERED)
            ):
                write.state, write.by, write.time = PASSED, by, time

    def rejected(self, write: Write, by: int, time: float | None) -> None:
        """An error status names the write. Even where its pin was written again since, this is what became of it."""
        if write.state in BAD or write.state is CONFIRMED:
            return
        pin = self.pins.get(write.key)
        if write.final:
            # It was told as final already: take it out of the count of its former state, which is its pin's, or that
            # of the other pins where its own had to make room.
            holders = (pin, self.pins.get(b""))
            pin = next((one for one in holders if one is not None and one.states.get(write.state)), None)
            if pin is None:
                return
            pin.states[write.state] -= 1
            if write.n in pin.frames:
                pin.frames.remove(write.n)
                pin.room += 1
            write.final = False
        if pin is not None:
            self._settle(pin, write, REJECTED, by, time)

    def synchronises(self, key: bytes, asked: int) -> Write | None:
        """The client's write that the answer to sync `asked` tells about."""
        pin = self.pins.get(key)
        # The server answered before it read what the client wrote behind its sync: that says nothing about it.
        if pin is None or (write := pin.last) is None or write.lane != 0 or write.n > asked:
            return None
        return write

    def synchronised(self, key: bytes, values: bytes | None, asked: int, by: int, time: float | None) -> None:
        """The answer to sync `asked` carried the pin's value: it confirms or contradicts the client's last write."""
        write = self.synchronises(key, asked)
        if write is None:
            return
        self._settle(self.pins[key], write, CONFIRMED if write.values == values else CONTRADICTED, by, time)

    def end(self, time: float | None, *, ended: bool, heard: tuple[bool, bool]) -> None:
        """The stream is over.

        `ended` is True where the connection itself ended, so that unacknowledged bytes are lost.
        """
        last = sorted(
            ((pin.last, pin) for pin in self.pins.values() if pin.last is not None), key=lambda entry: entry[0].n
        )
        for write, pin in last:
            # Where the peer was never heard, its acknowledgements are missing from the capture, not from the wire.
            if ended and write.state is SENT and heard[1 - write.lane]:
                self._settle(pin, write, LOST, None, time)
            else:
                self.finish(pin, write)
        for queue in self.undelivered:
            queue.clear()

    def _settle(self, pin: Pin, write: Write, state: str, by: int | None, time: float | None) -> None:
        write.state, write.by, write.time = state, by, time
        self.finish(pin, write)
        if pin.last is write:
            pin.last = None

    def finish(self, pin: Pin, write: Write) -> None:
        """The write's state is final, its pin was written again or the stream is over."""
        write.final = True
        pin.writes += 1
        pin.settled = write
        state = write.state
        if state is not write.said:
            self._out.append(WriteRecord(write.n, state, write.by, write.time))
        if not write.lane and state is not CONFIRMED:
            try:
                pin.states[state] += 1
            except KeyError:
                pin.states[state] = 1
            if pin.room:
                pin.room -= 1
                pin.frames.append(write.n)
