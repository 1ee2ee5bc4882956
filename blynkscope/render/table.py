"""The running table: what a person watches. One line a frame, written as it comes, columns that never move.

A rich table costs a third of a millisecond a row and must know all rows first. So lines are composed here: fixed
columns on the left, the reading, and what became of the frame at the right edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from blynkscope.analysis.records import (
    FindingRecord,
    FrameRecord,
    LogRecord,
    Observed,
    Record,
    StreamRecord,
    SummaryRecord,
    WriteRecord,
)
from blynkscope.render.notices import Notices
from blynkscope.render.options import Options
from blynkscope.render.rows import Rows
from blynkscope.render.summary import Tally


class Table:
    """The output `table`.

    Args:
        stream: Where to.
        options: Width, colour and the rest.
    """

    def __init__(self, stream: TextIO, options: Options) -> None:
        self._stream = stream
        self._apply = options.redactor.apply
        self._quiet = options.quiet
        self._rows = Rows(options)
        self._notices = Notices(options)
        self._tally = Tally()
        self._options = options
        self._headed = False

    def write(self, records: Sequence[Record]) -> None:
        """Write a batch of records as lines."""
        lines: list[str] = []
        if records and not self._headed:
            self._head(lines)
        apply, row, tally = self._apply, self._rows.row, self._tally
        if not self._rows.many_streams:
            self._rows.many_streams = any(map(_of_another_stream, records))
        for record in records:
            shown = apply(record)
            if isinstance(shown, FrameRecord):
                tally.frame(shown)
                lines.append(row(shown))
            else:
                self._other(shown, lines)
        if lines:
            lines.append("")
            self._stream.write("\n".join(lines))
            self._stream.flush()

    def close(self) -> None:
        """Write the closing summary."""
        if not self._quiet:
            self._stream.write("\n".join([*self._tally.lines(self._options), ""]))
        self._stream.flush()

    def _head(self, lines: list[str]) -> None:
        self._headed = True
        if not self._quiet:
            lines.append(self._rows.head())

    def _other(self, record: Record, lines: list[str]) -> None:
        if isinstance(record, FindingRecord):
            self._tally.finding(record)
            lines += self._notices.finding(record)
        elif isinstance(record, StreamRecord):
            self._rows.begin(record.time)
            self._tally.stream(record)
            if not self._quiet or record.kind not in {"opened", "closed", "tls"}:
                lines += self._notices.stream(record, self._rows.clock(record.time))
        elif isinstance(record, LogRecord):
            self._rows.begin(record.time)
            if not self._quiet:
                lines += self._notices.log(record, self._rows.clock(record.time))
        elif isinstance(record, WriteRecord):
            # Its proof is a row of its own, right above; only the closing summary needs the state.
            self._tally.settled(record)
            if self._options.verbose:
                lines += self._notices.write(record)
        elif isinstance(record, SummaryRecord):
            self._tally.summary = record


def _of_another_stream(record: Record) -> bool:
    stream = record.facts.stream if isinstance(record, Observed) else getattr(record, "stream", None)
    return stream is not None and stream > 1
