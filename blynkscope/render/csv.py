"""Frames, and the messages of other protocols, as rows for a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import TextIO

from blynkscope.analysis.records import FrameRecord, MessageRecord, Record
from blynkscope.render.calls import status_of
from blynkscope.render.options import Options
from blynkscope.render.safe import safe

COLUMNS = (
    "n", "time", "stream", "src", "dst", "sender", "dialect", "cmd", "name", "id", "length", "status_name", "text",
    "answers", "rtt_ms", "write", "record", "via", "status", "protocol", "kind",
)  # fmt: skip
"""Keys of the records, in the order of the columns; what a record lacks is empty. New columns come at the end."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def cell(value: object) -> object:
    """A value for one cell: numbers stay, absent facts are empty, and no text can be taken for a formula."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    # The first character is judged before it is spelled out: a TAB is a formula's beginning too.
    return ("'" if value.startswith(_FORMULA) else "") + safe(value)


def _value(record: FrameRecord | MessageRecord, name: str) -> object:
    if name == "record":
        return record.__struct_config__.tag
    if name == "via":
        return " ".join(record.via)
    if name == "status" and isinstance(record, MessageRecord):
        return status_of(record)
    return getattr(record, name, None)


class Csv:
    """The output `csv`: a header row, and one row a frame or message (RFC 4180, lines end in LF).

    The column `record` tells them apart: messages have numbers of their own, which `answers` refers to.
    """

    def __init__(self, stream: TextIO, options: Options) -> None:
        self._stream = stream
        self._apply = options.redactor.apply
        self._writer = csv.writer(stream, lineterminator="\n")
        self._begun = False

    def write(self, records: Sequence[Record]) -> None:
        """Write the frames and messages of a batch; records of other kinds have no columns here."""
        self._begin()
        shown = (self._apply(record) for record in records)
        self._writer.writerows(
            [cell(_value(record, name)) for name in COLUMNS]
            for record in shown
            if isinstance(record, FrameRecord | MessageRecord)
        )
        self._stream.flush()

    def close(self) -> None:
        """An input without frames still gets its header row."""
        self._begin()
        self._stream.flush()

    def _begin(self) -> None:
        if not self._begun:
            self._writer.writerow(COLUMNS)
            self._begun = True
