"""One JSON document: an array of the records that JSON Lines would have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from blynkscope.analysis.records import Record
from blynkscope.render.jsonl import Encoder
from blynkscope.render.options import Options


class Json:
    """The output `json`: written as records come, one element a line, so that memory stays small."""

    def __init__(self, stream: BinaryIO, options: Options) -> None:
        self._stream = stream
        self._encoder = Encoder(options)
        self._any = False

    def write(self, records: Sequence[Record]) -> None:
        """Write a batch of elements."""
        if not records:
            return
        elements = self._encoder.lines(records).rstrip(b"\n").replace(b"\n", b",\n")
        self._stream.write((b",\n" if self._any else b"[\n") + elements)
        self._any = True
        self._stream.flush()

    def close(self) -> None:
        """Close the array; without records it is empty."""
        self._stream.write(b"\n]\n" if self._any else b"[]\n")
        self._stream.flush()
