"""How far a pin write is known to have got.

A stream has one memory of its pins. A write goes up the ladder sent → delivered → passed → confirmed as proofs come in,
or ends as contradicted, rejected or lost. It is final when it got one of the last four or `confirmed`, when its pin is
written again, and when its stream ends.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

from blynkscope.analysis.records import WriteRecord
from blynkscope.protocol import limits

SENT, DELIVERED, PASSED, CONFIRMED = "sent", "delivered", "passed", "confirmed"
CONTRADICTED, REJECTED, LOST = "contradicted", "rejected", "lost"
LADDER = (SENT, DELIVERED, PASSED, CONFIRMED)
"""Proofs of arrival, weakest first."""
BAD = (CONTRADICTED, REJECTED, LOST)

RING = 64
"""Writes of one direction that an error status can still name by id; a flooding client sends that many in a third of a second."""


class Write:
    """A pin write that is not final yet."""

    __slots__ = ("by", "cmd", "end", "final", "id", "index", "key", "n", "said", "sender_lane", "sent_at", "state", "time", "values")

    def __init__(
        self, n: int, message_id: int, index: int, end: int, key: str, values: list[str], sent_at: float | None, lane: int
    ) -> None:
        self.n = n
        self.cmd = 20
        self.id = message_id
        self.index = index
        self.end = end
        self.key = key
        self.values = values
        self.sent_at = sent_at
        self.sender_lane = lane
        self.state = self.said = SENT
        self.by: int | None = None
        self.time: float | None = None
        self.final = False


class Tally:
    """The writes of one pin that were not confirmed: how many got how far, and which frames they were."""

    __slots__ = ("frames", "states")

    def __init__(self) -> None:
        self.states: Counter[str] = Counter()
        self.frames: list[int] = []


class Pins:
    """The writes of one stream.

    Args:
        emit: Called with a `WriteRecord` when a write's final state differs from what its line said.
    """

    __slots__ = ("_emit", "_open", "_undelivered", "_unpassed", "acked", "tallies")

    def __init__(self, emit: Callable[[WriteRecord], None]) -> None:
        self._emit = emit
        self._open: dict[str, Write] = {}
        # Per direction; bounded, because a write that is final no longer needs its place.
        self._undelivered: tuple[deque[Write], deque[Write]] = (deque(), deque())
        self._unpassed: deque[Write] = deque()
        self.acked = [0, 0]
        self.tallies: dict[str, Tally] = {}

    def add(self, write: Write) -> str:
        """A write was seen; gives its state as known now."""
        key = write.key
        lane = write.sender_lane
        before = self._open.pop(key, None)
        if before is not None:
            self._finish(before)
        elif len(self._open) >= limits.OPEN_WRITES_MAX:
            self._finish(self._open.pop(next(iter(self._open))))
        self._open[key] = write
        if write.end <= self.acked[lane]:
            write.state = write.said = DELIVERED
        else:
            queue = self._undelivered[lane]
            queue.append(write)
            if len(queue) > limits.OPEN_WRITES_MAX:
                queue.popleft()
        if lane == 0:
            self._unpassed.append(write)
            if len(self._unpassed) > limits.OPEN_WRITES_MAX:
                self._unpassed.popleft()
        return write.said

    def delivered(self, lane: int, upto: int, time: float | None) -> None:
        """TCP acknowledged the bytes of a direction below `upto`."""
        if upto > self.acked[lane]:
            self.acked[lane] = upto
        queue = self._undelivered[lane]
        while queue and queue[0].end <= upto:
            write = queue.popleft()
            if write.state is SENT and not write.final:
                write.state = DELIVERED
                write.time = time

    def passed(self, index: int, by: int, time: float | None) -> None:
        """The frame with this index of the client was answered by frame `by`."""
        queue = self._unpassed
        while queue and queue[0].index < index:
            write = queue.popleft()
            if not write.final and (write.state is SENT or write.state is DELIVERED):
                write.state, write.by, write.time = PASSED, by, time

    def rejected(self, write: Write, by: int, time: float | None) -> None:
        """An error status names the write. Even where its pin was written again since, this is what became of it."""
        if write.state in BAD or write.state is CONFIRMED:
            return
        if write.final:
            # It was told as final already: take it out of the tally of its former state.
            tally = self.tallies.get(write.key)
            if tally is not None and tally.states[write.state] > 0:
                tally.states[write.state] -= 1
        write.final = False
        self._settle(write, REJECTED, by, time)

    def synchronised(self, key: str, values: list[str], by: int, time: float | None) -> str | None:
        """A sync answer carried the pin's value: what does it say of the last write to the pin?

        Returns:
            "confirmed", "contradicted", or None where there is no open write of the client.
        """
        write = self._open.get(key)
        if write is None or write.sender_lane != 0 or write.final:
            return None
        state = CONFIRMED if write.values == values else CONTRADICTED
        self._settle(write, state, by, time)
        return state

    def end(self, time: float | None, *, ended: bool, heard: tuple[bool, bool]) -> None:
        """The stream is over. `ended` is True where the connection itself ended, so that unacknowledged bytes are lost."""
        for lane in (0, 1):
            for write in self._undelivered[lane]:
                # Where the peer was never heard, its acknowledgements are missing from the capture, not from the wire.
                if ended and heard[1 - lane] and write.state is SENT and not write.final:
                    self._settle(write, LOST, None, time)
            self._undelivered[lane].clear()
        self._unpassed.clear()
        for write in sorted(self._open.values(), key=lambda one: one.n):
            self._finish(write)
        self._open.clear()

    def _settle(self, write: Write, state: str, by: int | None, time: float | None) -> None:
        write.state, write.by, write.time = state, by, time
        self._finish(write)

    def _finish(self, write: Write) -> None:
        """The write's state is final."""
        if write.final:
            return
        write.final = True
        state = write.state
        if state is not write.said:
            self._emit(WriteRecord(write.n, state, write.by, write.time))
        if write.sender_lane == 0 and state is not CONFIRMED:
            tally = self.tallies.get(write.key)
            if tally is None:
                tally = self.tallies[write.key] = Tally()
            tally.states[state] += 1
            if len(tally.frames) < limits.PROVING_FRAMES_MAX:
                tally.frames.append(write.n)
