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
    LinkRecord,
    LogRecord,
    MessageRecord,
    Observed,
    Record,
    StreamRecord,
    SummaryRecord,
    WriteRecord,
)
from blynkscope.render.layering import Layers, Recognised
from blynkscope.render.notices import PRINTED, Notices
from blynkscope.render.options import Options
from blynkscope.render.rows import PROOFS, Rows
from blynkscope.render.summary import Tally

_SETTLED_SHOWN = 8
"""Lines of a batch about writes that no row speaks of; a connection that breaks may lose a thousand at once."""


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
        self._verbose = options.verbose
        self._rows = Rows(options)
        self._notices = Notices(options)
        self._layers = Layers()
        self._recognised = Recognised(options.redactor)
        self._tally = Tally()
        self._options = options
        self._headed = False
        # Of the batch that is being written: frames whose rows tell what they prove, and lines about other writes.
        self._told: set[int] = set()
        self._untold: dict[str, int] = {}
        self._shown_settled = 0

    def write(self, records: Sequence[Record]) -> None:
        """Write a batch of records as lines."""
        lines: list[str] = []
        if records and not self._headed:
            self._head(lines)
        apply, row, tally = self._apply, self._rows.row, self._tally
        if not self._rows.many_streams:
            self._rows.many_streams = any(map(_of_another_stream, records))
        # What a frame proves comes behind it, but its row is to say so.
        proofs: dict[int | None, list[WriteRecord]] = {}
        for record in records:
            if type(record) is WriteRecord and record.state in PROOFS:
                proofs.setdefault(record.by, []).append(record)
        self._told.clear()
        self._untold.clear()
        self._shown_settled = 0
        waiting = bool(self._recognised.waiting)
        for record in records:
            if type(record) is WriteRecord:
                # As frequent as frames, and nothing in it can be a secret.
                self._write(record, lines)
                continue
            if waiting or type(record) is StreamRecord:
                before = self._recognised.pass_on(record)
                waiting = bool(self._recognised.waiting)
                if before != (record,):
                    for one in before:
                        if one is not record:
                            self._other(apply(one), lines)
                    if not before:
                        continue
            shown = apply(record)
            if isinstance(shown, FrameRecord):
                tally.frame(shown)
                if len(shown.via) > 1 and not self._quiet:
                    self._through(shown.stream, shown.via, shown.dialect, shown.time, lines)
                proved = proofs.get(shown.n) if proofs else None
                if proved:
                    self._told.add(shown.n)
                    lines.append(row(shown, proved))
                else:
                    lines.append(row(shown))
            else:
                self._other(shown, lines)
        for state, count in self._untold.items():
            lines.append(self._notices.more_settled(state, count))
        if lines:
            lines.append("")
            self._stream.write("\n".join(lines))
            self._stream.flush()

    def close(self) -> None:
        """Write the closing summary."""
        lines: list[str] = []
        for record in self._recognised.rest():
            self._other(self._apply(record), lines)
        if lines:
            self._stream.write("\n".join([*lines, ""]))
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
            lines += self._notices.stream(record, self._rows.clock(record.time))
        elif isinstance(record, MessageRecord):
            self._tally.message(record)
            if not self._quiet:
                self._through(record.stream, record.via, record.protocol, record.time, lines)
            lines.append(self._rows.message(record))
        elif isinstance(record, LinkRecord):
            if not self._quiet:
                lines.append(self._notices.link(record))
        elif isinstance(record, LogRecord):
            self._rows.begin(record.time)
            if record.kind == PRINTED and not self._verbose:
                self._tally.unshown += 1
            elif not self._quiet:
                lines += self._notices.log(record, self._rows.clock(record.time))
        elif isinstance(record, SummaryRecord):
            self._tally.summary = record

    def _through(self, stream: int, via: tuple[str, ...], inside: str, time: float | None, lines: list[str]) -> None:
        """A line before the first message that came through layers."""
        if layers := self._layers.news(stream, via, inside):
            lines.append(self._notices.layers(stream, layers, self._rows.clock(time)))

    def _write(self, record: WriteRecord, lines: list[str]) -> None:
        """Count the state, and tell it where no row does: nothing proves a loss, and a filter may hide a proof."""
        pin = self._tally.settled(record)
        if self._verbose:
            lines += self._notices.write(record)
            return
        state = record.state
        if self._quiet or not (state == "lost" or (state in PROOFS and record.by not in self._told)):
            return
        if self._shown_settled < _SETTLED_SHOWN:
            self._shown_settled += 1
            lines.append(self._notices.settled(record, pin))
        else:
            self._untold[state] = self._untold.get(state, 0) + 1


def _of_another_stream(record: Record) -> bool:
    stream = record.facts.stream if isinstance(record, Observed) else getattr(record, "stream", None)
    return stream is not None and stream > 1
