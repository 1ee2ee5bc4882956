"""Every frame with all its fields and all its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from blynkscope.analysis.records import (
    FindingRecord,
    FrameRecord,
    LogRecord,
    Record,
    StreamRecord,
    SummaryRecord,
    WriteRecord,
)
from blynkscope.render.console import MARKS
from blynkscope.render.dump import field_lines, heading
from blynkscope.render.fields import fields_of
from blynkscope.render.notices import Notices
from blynkscope.render.options import Options
from blynkscope.render.rows import elapsed
from blynkscope.render.safe import safe_line
from blynkscope.render.summary import Tally

_WIDE = 110


class Tree:
    """The output `tree`."""

    def __init__(self, stream: TextIO, options: Options) -> None:
        self._stream = stream
        self._options = options
        self._palette = options.palette
        self._notices = Notices(options)
        self._tally = Tally()
        self._first: float | None = None
        self._per_row = 16 if options.width >= _WIDE else 8

    def write(self, records: Sequence[Record]) -> None:
        """Write a batch; frames are set apart by empty lines."""
        lines: list[str] = []
        for record in records:
            shown = self._options.redactor.apply(record)
            if isinstance(shown, FrameRecord):
                self._tally.frame(shown)
                lines += self._frame(shown)
            else:
                lines += self._other(shown)
        if lines:
            self._stream.write("\n".join([*lines, ""]))
            self._stream.flush()

    def close(self) -> None:
        """Write the closing summary."""
        if not self._options.quiet:
            self._stream.write("\n".join([*self._tally.lines(self._options), ""]))
        self._stream.flush()

    def _frame(self, record: FrameRecord) -> list[str]:
        paint = self._palette.paint
        facts = [f"stream {record.stream}"]
        if record.time is not None:
            clock = self._clock(record.time).strip()
            facts.append(clock if "d" in clock else f"{clock} s")
        if record.src and record.dst:
            facts.append(f"{safe_line(record.src, 60)} → {safe_line(record.dst, 60)}")
        facts.append(safe_line(" over ".join(reversed(record.via)), 80))
        if record.answers is not None:
            took = f" after {record.rtt_ms:.1f} ms" if record.rtt_ms is not None else ""
            facts.append(f"answers #{record.answers}{took}")
        if record.write in MARKS:
            facts.append(f"write {MARKS[record.write]} {record.write}")
        lines = ["", heading(record, self._palette), paint("quiet", "  " + " · ".join(fact for fact in facts if fact))]
        return lines + field_lines(fields_of(record), 0, self._palette, self._options.width, self._per_row)

    def _clock(self, time: float | None) -> str:
        if time is None:
            return " " * 10
        if self._first is None:
            self._first = time
        return f"{elapsed(time - self._first, 10):>10}"

    def _other(self, record: Record) -> list[str]:
        if isinstance(record, FindingRecord):
            self._tally.finding(record)
            return ["", *self._notices.finding(record)]
        if isinstance(record, StreamRecord):
            self._tally.moment(record.time)
            return ["", *self._notices.stream(record, self._clock(record.time))]
        if isinstance(record, LogRecord):
            return ["", *self._notices.log(record, self._clock(record.time))]
        if isinstance(record, WriteRecord):
            self._tally.settled(record)
            return ["", *self._notices.write(record)]
        if isinstance(record, SummaryRecord):
            self._tally.summary = record
        return []
