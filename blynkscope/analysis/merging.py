"""A log and a capture of the same run on one time line.

The frames that the log tells are found among those of the capture, by their bytes and their order. Each pair ties the
log's clock to the capture's: between two pairs the log's own seconds count. So every line of the log gets its time and
its connection: lines of frames follow their frame, other lines stand where they were said.

Two passes: `learn` takes the records of a first analysis of the capture, `settle` finds the pairs; then `events` and
`records` weave the log into a second analysis.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from statistics import median
from typing import NamedTuple

from blynkscope.analysis.records import FrameRecord, LogRecord, Observed, Record
from blynkscope.protocol import limits
from blynkscope.wire.events import LOG_END, Closed, Event, Line, Message, Opened, Secrets

AHEAD = 64
"""Frames of the capture among which the next one of the log is looked for: more than a log leaves out at once."""
FRAMES_MAX = 2_000_000
"""Frames of the capture that are remembered; a log of so many would have some 100 MB."""
LEAST_SHARE = 0.34
"""Share of a log's connection that one of the capture must hold to be called the same."""
FIRST_LOOK = 8
"""Messages of a connection that are compared before all of them are."""
LOOKS_MAX = 200_000
"""Comparisons of connections that one log is worth: some seconds."""
LISTED = 8
"""Streams that a note lists."""
UNDATED = 1e8
"""Seconds between the clocks of log and capture (three years) from which on the log's has no date."""
_FRAME_LINE, _MISSING_LINE = "frame", "frame-not-captured"


class _Seen(NamedTuple):
    """A frame of the capture, as far as it is compared."""

    n: int
    time: float | None
    cmd: int
    id: int
    word: int
    body: int
    """Hash of its bytes."""


class _Placed(NamedTuple):
    """Where a line of the log belongs: stream and time in the capture."""

    stream: int
    time: float | None
    line: Line
    roof: float | None
    """Time of the next frame of the log, which the line comes before; None where it may come as late as it is."""


class Merge:
    """One log that is woven into captures.

    Args:
        events: The log's events, all of them.
        text_of: Gives the text of a line by its 1-based number.
    """

    def __init__(self, events: Iterable[Event], text_of: Callable[[int], str]) -> None:
        self._text_of = text_of
        self._items = [
            event
            for event in events
            if isinstance(event, Message) or (isinstance(event, Line) and event.kind != LOG_END)
        ]
        self._seen: dict[tuple[int, int], list[_Seen]] = {}
        self._count = 0
        self._pairs: dict[int, _Seen] = {}
        """Frames of the capture by the place of their message among the items."""
        self._behind: dict[int, list[LogRecord]] = {}
        self._waiting: deque[_Placed] = deque()
        self._open: set[int] = set()
        self.offset: float | None = None
        """Seconds to add to the log's times; the median of all pairs."""
        self.notes: list[str] = []

    @property
    def told(self) -> Iterator[tuple[int, bytes]]:
        """Command and body of every frame that the log tells, whether the capture has it or not."""
        return ((item.cmd, item.body) for item in self._items if isinstance(item, Message))

    # --- first pass ---

    def learn(self, records: Iterable[Record]) -> None:
        """Take in the frames of the capture."""
        for record in records:
            if isinstance(record, Observed) and self._count < FRAMES_MAX:
                self._count += 1
                side = 1 if record.facts.sender == "server" else 0
                known = self._seen.setdefault((record.facts.stream, side), [])
                known.append(
                    _Seen(record.n, record.time, record.cmd, record.id, record.word, hash(record.body))
                )  # fmt: skip

    def settle(self) -> None:
        """Find the pairs, and with them the place of every line."""
        told: dict[int, list[tuple[int, Message]]] = {}
        for at, item in enumerate(self._items):
            if isinstance(item, Message):
                told.setdefault(item.stream, []).append((at, item))
        free = dict.fromkeys(sorted({stream for stream, _ in self._seen}))
        places: dict[int, int] = {}
        looks = LOOKS_MAX
        for stream in sorted(told):
            items = told[stream]
            best: dict[int, _Seen] = {}
            alike: list[int] = []
            for candidate in free:
                if looks <= 0:
                    break
                looks -= 1
                # A connection that does not hold one of the first messages is another one.
                if not self._pair(items[:FIRST_LOOK], candidate):
                    continue
                pairs = self._pair(items, candidate)
                looks -= len(items) // FIRST_LOOK
                # Of several that fit alike the last one: it is the end of a story that gets pasted.
                if pairs and len(pairs) >= len(best):
                    alike = [*alike, candidate] if len(pairs) == len(best) else [candidate]
                    best = pairs
            if len(best) < max(LEAST_SHARE * len(items), 1):
                continue
            places[stream] = alike[-1]
            del free[alike[-1]]
            self._pairs |= best
            if len(alike) > 1:
                fits = ", ".join(map(str, alike[:LISTED]))
                self.notes.append(f"the log fits streams {fits} alike; it was taken for stream {alike[-1]}")
        if looks <= 0:
            self.notes.append("log and capture hold too many connections to compare them all")
        self._place(places)
        shifts = [
            seen.time - moment
            for at, seen in self._pairs.items()
            if seen.time is not None and (moment := self._items[at].time) is not None
        ]
        self.offset = median(shifts) if shifts else None
        self._say(sum(map(len, told.values())))

    def _pair(self, items: list[tuple[int, Message]], stream: int) -> dict[int, _Seen]:
        """The frames of a stream that messages of the log tell, each direction in its order."""
        pairs: dict[int, _Seen] = {}
        for side in (0, 1):
            known, at = self._seen.get((stream, side), []), 0
            for place, message in items:
                if message.direction != side:
                    continue
                whole = message.word == len(message.body) and not message.cut
                body = hash(message.body)
                for ahead in range(at, min(at + AHEAD, len(known))):
                    seen = known[ahead]
                    if seen.cmd != message.cmd or seen.id != message.id:
                        continue
                    if (message.word is None or seen.word == message.word) and (not whole or seen.body == body):
                        pairs[place] = seen
                        at = ahead + 1
                        break
        return pairs

    def _place(self, places: dict[int, int]) -> None:
        anchors = sorted(self._pairs)
        for at, item in enumerate(self._items):
            seen = self._pairs.get(at)
            if seen is not None:
                stream = places[item.stream]
                record = LogRecord(stream, seen.time, item.line, _FRAME_LINE, self._text_of(item.line))
                self._behind.setdefault(seen.n, []).append(record)
                continue
            after = bisect_right(anchors, at)
            stream = places.get(item.stream) or next(iter(places.values()), 0)
            line = item
            if isinstance(item, Message):
                line = Line(stream, item.time, item.line, _MISSING_LINE, self._text_of(item.line))
            assert isinstance(line, Line)
            moment, roof = self._moment(item.time, anchors, after)
            self._waiting.append(_Placed(stream, moment, line, roof))

    def _moment(self, time: float | None, anchors: list[int], after: int) -> tuple[float | None, float | None]:
        """The capture's time of a line between the pairs `after - 1` and `after`, and the time that it comes before."""
        before = anchors[after - 1] if after else None
        behind = anchors[after] if after < len(anchors) else None
        near = before if before is not None else behind
        if near is None:
            return None, None
        seen, said = self._pairs[near].time, self._items[near].time
        if seen is None:
            return None, None
        moment = seen + (time - said) if time is not None and said is not None else seen
        floor = self._pairs[before].time if before is not None else None
        roof = self._pairs[behind].time if behind is not None else None
        if floor is not None:
            moment = max(moment, floor)
        if roof is not None:
            moment = min(moment, roof)
        # Frames of one segment have one time: a line between two of them comes behind both.
        return moment, roof if floor is None or roof is None or roof > floor else None

    def _say(self, told: int) -> None:
        if not self._pairs:
            why = f"none of its {told} frames is in the capture" if told else "it holds no frame that could be matched"
            self.notes.append(f"the log could not be tied to the capture: {why}; its lines come first, without a time")
            return
        missing = told - len(self._pairs)
        shift = _shift(self.offset) if self.offset is not None else ""
        less = f", {missing} only in the log" if missing else ""
        self.notes.append(f"the log was tied to the capture by {len(self._pairs)} frames{less}{shift}")

    # --- second pass ---

    def events(self, batch: list[Event]) -> list[Event]:
        """The capture's events with the log's lines between them."""
        if not self._waiting:
            return batch
        out: list[Event] = []
        for event in batch:
            time = None if isinstance(event, Secrets) else event.time
            # What is said at the time of a frame follows it; a connection must be open to take a line.
            while self._waiting and self._is_due(self._waiting[0], time):
                out.append(self._line(self._waiting.popleft()))
            if isinstance(event, Opened):
                self._open.add(event.stream)
            elif isinstance(event, Closed):
                while self._waiting and self._waiting[0].stream == event.stream and self._soon(time):
                    out.append(self._line(self._waiting.popleft()))
                self._open.discard(event.stream)
            out.append(event)
        return out

    def _is_due(self, placed: _Placed, now: float | None) -> bool:
        if placed.time is None:
            return True
        return now is not None and (now > placed.time or (placed.roof is not None and now >= placed.roof))

    def _soon(self, now: float | None) -> bool:
        moment = self._waiting[0].time
        return moment is None or now is None or moment <= now + limits.REORDER_SECONDS

    def _line(self, placed: _Placed) -> Line:
        line = placed.line
        stream = placed.stream if placed.stream in self._open else 0
        return Line(stream, placed.time, line.line, line.kind, line.text, line.facts)

    def rest(self) -> list[Event]:
        """The lines that come behind everything in the capture."""
        out: list[Event] = [self._line(placed) for placed in self._waiting]
        self._waiting.clear()
        return out

    def records(self, records: list[Record]) -> list[Record]:
        """The records with the log's lines behind the frames that they tell."""
        behind = self._behind
        if not behind:
            return records
        out: list[Record] = []
        for record in records:
            out.append(record)
            if isinstance(record, Observed | FrameRecord) and record.n in behind:
                out += behind.pop(record.n)
        return out


def _shift(offset: float) -> str:
    """How the log's clock stands to the capture's; one that counts from a start is told by the time of that."""
    if offset > UNDATED:
        try:
            began = datetime.fromtimestamp(offset, UTC)
        except (OverflowError, OSError, ValueError):  # a capture may claim any time
            return f", clock offset {offset:+.3f} s"
        return f"; the log's clock began at {began:%Y-%m-%d %H:%M:%S}.{began.microsecond // 1000:03} UTC"
    return f", clock offset {offset:+.3f} s"
