"""Every frame with all its fields and all its bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TextIO

from blynkscope.analysis.records import (
    FindingRecord,
    FrameRecord,
    LinkRecord,
    LogRecord,
    MessageRecord,
    Record,
    StreamRecord,
    SummaryRecord,
    WriteRecord,
)
from blynkscope.render.calls import failed, number_of, reading_of, title_of, took
from blynkscope.render.console import MARKS, fit, wrapped
from blynkscope.render.dump import field_lines, heading
from blynkscope.render.fields import fields_of
from blynkscope.render.jsonl import cleaned
from blynkscope.render.layering import Recognised, layers_of
from blynkscope.render.notices import Notices
from blynkscope.render.options import Options
from blynkscope.render.safe import safe_line
from blynkscope.render.spans import elapsed
from blynkscope.render.summary import Tally

_WIDE = 110
_TEXT_MAX = 2000
"""Characters of a value that are shown: enough for any document that a person reads in a terminal."""
_FACTS_SHOWN = 40
_FRAMES_SHOWN = 12


class Tree:
    """The output `tree`."""

    def __init__(self, stream: TextIO, options: Options) -> None:
        self._stream = stream
        self._options = options
        self._palette = options.palette
        self._notices = Notices(options, lists=True)
        self._recognised = Recognised(options.redactor)
        self._tally = Tally()
        self._first: float | None = None
        self._per_row = 16 if options.width >= _WIDE else 8

    def write(self, records: Sequence[Record]) -> None:
        """Write a batch; frames are set apart by empty lines."""
        lines: list[str] = []
        for record in records:
            for one in self._recognised.pass_on(record):
                shown = self._options.redactor.apply(one)
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
        for record in self._recognised.rest():
            self._stream.write("\n".join([*self._other(self._options.redactor.apply(record)), ""]))
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
        over = safe_line(" over ".join(reversed(record.via)), 80)
        facts.append(layers_of(record.via, record.dialect) or over)
        if record.answers is not None:
            took = f" after {record.rtt_ms:.1f} ms" if record.rtt_ms is not None else ""
            facts.append(f"answers #{record.answers}{took}")
        if record.write in MARKS:
            facts.append(f"write {MARKS[record.write]} {record.write}")
        lines = ["", heading(record, self._palette), paint("quiet", "  " + " · ".join(fact for fact in facts if fact))]
        return lines + field_lines(fields_of(record), 0, self._palette, self._options.width, self._per_row)

    def _message(self, record: MessageRecord) -> list[str]:
        """A message with all its facts."""
        paint, width = self._palette.paint, self._options.width
        head = f"{number_of(record.n)} {title_of(record)}"
        facts = [f"stream {record.stream}"]
        if record.time is not None:
            clock = self._clock(record.time).strip()
            facts.append(clock if "d" in clock else f"{clock} s")
        if record.src and record.dst:
            facts.append(f"{safe_line(record.src, 60)} → {safe_line(record.dst, 60)}")
        facts.append(layers_of(record.via, record.protocol) or safe_line(" over ".join(reversed(record.via)), 80))
        facts.append(safe_line(record.kind, 40))
        if record.answers is not None:
            facts.append(f"answers {number_of(record.answers)}")
        if record.rtt_ms is not None:
            facts.append(f"{took(record)} to the answer" if record.answers is None else f"after {took(record)}")
        if record.frames:
            facts.append("caused " + ", ".join(f"#{frame}" for frame in record.frames[:_FRAMES_SHOWN]))
        line = fit(safe_line(reading_of(record, _TEXT_MAX), _TEXT_MAX), max(width - len(head) - 2, 8))
        lines = ["", f"{paint('strong', head)}  {paint('error', line) if failed(record) else line}".rstrip()]
        lines += [
            paint("quiet", f"  {text}") for text in wrapped(" · ".join(fact for fact in facts if fact), width - 2)
        ]
        for name, value in list(record.detail.items())[:_FACTS_SHOWN]:
            if value in (None, "", [], {}, ()):
                continue
            key = safe_line(str(name), 20)
            first, *rest = wrapped(safe_line(_plain(value), _TEXT_MAX), max(width - 24, 12))
            lines.append(f"  {paint('key', f'{key:<20}')}  {first}")
            lines += [f"{'':24}{text}" for text in rest]
        return lines

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
            self._tally.opened(record)
            lines = self._notices.stream(record, self._clock(record.time))
            return ["", *lines] if lines else []
        if isinstance(record, MessageRecord):
            self._tally.message(record)
            return self._message(record)
        if isinstance(record, LinkRecord):
            return ["", self._notices.link(record)]
        if isinstance(record, LogRecord):
            return ["", *self._notices.log(record, self._clock(record.time))]
        if isinstance(record, WriteRecord):
            self._tally.settled(record)
            return ["", *self._notices.write(record)]
        if isinstance(record, SummaryRecord):
            self._tally.summary = record
        return []


def _plain(value: Any) -> str:
    """A fact as one text: lists with commas, what has members as JSON."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple) and not any(isinstance(item, dict | list | tuple) for item in value):
        return ", ".join(map(str, value[:_FACTS_SHOWN]))
    if isinstance(value, dict | list | tuple):
        return json.dumps(cleaned(value), ensure_ascii=False, default=str)
    return str(value)
