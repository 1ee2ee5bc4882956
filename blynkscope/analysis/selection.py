"""Which records are shown: the filter and the streams that were asked for."""

from __future__ import annotations

from collections.abc import Sequence

from blynkscope.analysis.filters import compile_filter
from blynkscope.analysis.records import FindingRecord, FrameRecord, Observed, Record, StreamRecord, WriteRecord

REMEMBERED_MAX = 100_000
"""Shown writes whose final state may still come."""


class Selection:
    """Lets through the frames that match, and what concerns them. The analysis has seen everything all the same.

    Args:
        expression: A filter expression; None for all frames.
        streams: Numbers of streams; empty for all.

    Raises:
        FilterError: The expression does not parse.
    """

    def __init__(self, expression: str | None, streams: Sequence[int] = ()) -> None:
        self._matches = compile_filter(expression) if expression is not None else None
        self._streams = frozenset(streams)
        self._writes: dict[int, None] = {}

    def of(self, records: list[Record]) -> list[Record]:
        """The records of a batch that are shown."""
        if self._matches is None and not self._streams:
            return records
        return [record for record in records if self._shows(record)]

    def _shows(self, record: Record) -> bool:
        if isinstance(record, Observed):
            return self._shows(record.record())
        if isinstance(record, FrameRecord):
            shown = (not self._streams or record.stream in self._streams) and (
                self._matches is None or self._matches(record)
            )
            if shown and record.write is not None:
                self._writes[record.n] = None
                if len(self._writes) > REMEMBERED_MAX:
                    del self._writes[next(iter(self._writes))]
            return shown
        if isinstance(record, WriteRecord):
            return record.frame in self._writes
        if isinstance(record, StreamRecord | FindingRecord):
            return not self._streams or record.stream in self._streams
        return True
