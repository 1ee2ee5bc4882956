"""Which records are shown: the filter and the streams that were asked for.

A filter that asks how far writes got can only be answered when that is final. So with such a filter the lines of pin
writes wait, and then tell the final state themselves.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence

import msgspec

from blynkscope.analysis.filters import compile_filter
from blynkscope.analysis.pins import BAD, CONFIRMED
from blynkscope.analysis.records import (
    FindingRecord,
    FrameRecord,
    LinkRecord,
    LogRecord,
    MessageRecord,
    Observed,
    Record,
    StreamRecord,
    SummaryRecord,
    WriteRecord,
)

REMEMBERED_MAX = 100_000
"""Writes that wait for their final state; those that were shown, and those that were passed over, and may change."""
_SETTLED = frozenset({CONFIRMED, *BAD})
"""States that nothing changes any more. A write that was overwritten in another one may still be rejected."""

Frame = Observed | FrameRecord
Speech = Frame | MessageRecord
"""What somebody said, in Blynk's frames or in another protocol: what a filter decides on."""


class Selection:
    """Lets through the frames and messages that match, and what concerns them; the analysis has seen everything.

    Args:
        expression: A filter expression; None for all frames.
        streams: Numbers of streams; empty for all.

    Raises:
        FilterError: The expression does not parse.
    """

    def __init__(self, expression: str | None, streams: Sequence[int] = ()) -> None:
        self._matches = compile_filter(expression) if expression is not None else None
        self._holds = self._matches is not None and self._matches.about_states
        self._streams = frozenset(streams)
        self._unseen = set(streams)
        # Ordered dictionaries give up their oldest entry at once; a plain one searches for it past all deleted ones.
        self._shown: OrderedDict[int, None] = OrderedDict()
        self._linked: OrderedDict[int, None] = OrderedDict()
        """Messages that were shown: what is told of them later is shown too."""
        self._held: OrderedDict[int, Frame] = OrderedDict()
        self._passed_over: OrderedDict[int, Frame] = OrderedDict()
        self._waiting: dict[int, set[int]] = {}

    @property
    def unseen_streams(self) -> list[int]:
        """Streams that were asked for and did not occur so far."""
        return sorted(self._unseen)

    def of(self, records: list[Record]) -> list[Record]:
        """The records of a batch that are shown."""
        if self._matches is None and not self._streams:
            return records
        return [shown for record in records for shown in self._of(record)]

    def parts(self, records: list[Record], watched: Collection[int]) -> Iterator[tuple[list[Record], Speech | None]]:
        """The same in parts, each with what is behind it that is not shown but that must be known: a login.

        Args:
            records: A batch.
            watched: Commands whose frames are given even where they are not shown; messages of other protocols always
                are, as a token may stand in any of them.
        """
        if self._matches is None and not self._streams:
            yield records, None
            return
        out: list[Record] = []
        for record in records:
            shown = list(self._of(record))
            out += shown
            if not shown and (
                isinstance(record, MessageRecord)
                or (isinstance(record, Observed | FrameRecord) and record.cmd in watched)
            ):
                yield out, record
                out = []
        yield out, None

    def _of(self, record: Record) -> Iterator[Record]:
        if isinstance(record, Observed | FrameRecord):
            stream = _stream(record)
            if not self._is_asked(stream):
                return
            if self._holds and record.write is not None:
                yield from self._hold(record, stream)
            elif self._is_match(record):
                self._remember(record)
                yield record
        elif isinstance(record, MessageRecord):
            if self._is_asked(record.stream) and (self._matches is None or self._matches(record)):
                self._linked[record.n] = None
                if len(self._linked) > REMEMBERED_MAX:
                    self._linked.popitem(last=False)
                yield record
        elif isinstance(record, LinkRecord):
            if record.message in self._linked:
                yield record
        elif isinstance(record, WriteRecord):
            yield from self._settle(record)
        elif isinstance(record, StreamRecord):
            if self._is_asked(record.stream):
                if record.kind == "closed":
                    yield from self._release(self._waiting.pop(record.stream, ()))
                yield record
        elif isinstance(record, FindingRecord | LogRecord):
            if self._concerns(record.stream):
                yield record
        else:
            if isinstance(record, SummaryRecord):
                self._waiting.clear()
                yield from self._release([*self._held, *self._passed_over])
            yield record

    def _concerns(self, stream: int | None) -> bool:
        """Is something shown that concerns this stream, or, where it is None, the run?"""
        return not self._streams or stream is None or stream in self._streams

    def _is_asked(self, stream: int) -> bool:
        if not self._streams:
            return True
        self._unseen.discard(stream)
        return stream in self._streams

    def _is_match(self, frame: Frame) -> bool:
        return self._matches is None or self._matches(frame.record() if isinstance(frame, Observed) else frame)

    def _remember(self, frame: Frame) -> None:
        """A write record that comes behind a shown line is shown too."""
        if frame.write is not None and frame.write not in _SETTLED:
            self._shown[frame.n] = None
            if len(self._shown) > REMEMBERED_MAX:
                self._shown.popitem(last=False)

    def _hold(self, frame: Frame, stream: int) -> Iterator[Record]:
        self._held[frame.n] = frame
        self._waiting.setdefault(stream, set()).add(frame.n)
        if len(self._held) > REMEMBERED_MAX:
            _, oldest = self._held.popitem(last=False)
            self._forget(oldest)
            if self._is_match(oldest):
                self._remember(oldest)
                yield oldest

    def _settle(self, record: WriteRecord) -> Iterator[Record]:
        """A write got its final state: its line is decided, or, where that was shown already, followed by this."""
        frame = self._held.pop(record.frame, None) or self._passed_over.pop(record.frame, None)
        if frame is None:
            if record.frame in self._shown:
                yield record
            return
        frame = msgspec.structs.replace(frame, write=record.state)
        if self._is_match(frame):
            self._forget(frame)
            self._remember(frame)
            yield frame
        elif record.state in _SETTLED:
            self._forget(frame)
        else:
            self._passed_over[frame.n] = frame
            if len(self._passed_over) > REMEMBERED_MAX:
                self._forget(self._passed_over.popitem(last=False)[1])

    def _release(self, numbers: Sequence[int] | set[int]) -> Iterator[Record]:
        """No more is coming about these writes."""
        for n in sorted(numbers):
            self._passed_over.pop(n, None)
            frame = self._held.pop(n, None)
            if frame is not None and self._is_match(frame):
                yield frame

    def _forget(self, frame: Frame) -> None:
        """It no longer waits for the end of its stream."""
        stream = _stream(frame)
        waiting = self._waiting.get(stream)
        if waiting is not None:
            waiting.discard(frame.n)
            if not waiting:
                del self._waiting[stream]


def _stream(frame: Frame) -> int:
    return frame.facts.stream if isinstance(frame, Observed) else frame.stream
