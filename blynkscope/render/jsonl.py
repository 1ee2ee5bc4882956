"""JSON Lines: one record a line, in UTF-8 without unprintable characters. The fastest way out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, BinaryIO

import msgspec

from blynkscope.analysis.records import Observed, Record, WriteRecord
from blynkscope.protocol.limits import TOKEN_LENGTH
from blynkscope.render.lines import FrameLines, write_line
from blynkscope.render.options import Options

_DEPTH_MAX = 200


def escaped(line: bytes) -> bytes:
    """Encoded JSON whose every character is printable, but for its line feeds: others become `\\uNNNN`.

    JSON itself escapes C0 only. C1 controls and bidirectional marks are legal in it and steer the terminal behind a
    pipe; U+0085 and U+2028 are legal too and end a line for many readers.
    """
    if line.isascii() and b"\x7f" not in line:
        return line
    return _UNSAFE.sub(_spelled, line.decode("utf-8")).encode("utf-8")


_UNSAFE = re.compile(r"[^\x0a\x20-\x7e\u00a1-\u00ac\u00ae-\u00ff]")


def _spelled(match: re.Match[str]) -> str:
    char = match[0]
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def cleaned(value: Any, depth: int = 0) -> Any:
    """A value that every encoder takes: lone surrogates spelled out, and nothing nested without end."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if depth > _DEPTH_MAX:
        return "(nested too deep)"
    if isinstance(value, list | tuple):
        return [cleaned(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {cleaned(key): cleaned(item, depth + 1) for key, item in value.items()}
    return value


class Encoder:
    """Records → JSON Lines, for `jsonl` and `json` alike."""

    __slots__ = ("_encoder", "_frames", "_redactor")

    def __init__(self, options: Options) -> None:
        self._encoder = msgspec.json.Encoder()
        self._redactor = options.redactor
        self._frames = FrameLines()

    def lines(self, records: Sequence[Record]) -> bytes:
        """A batch as lines, each with its line feed."""
        lines: list[str] = []
        add, fast, redactor = lines.append, self._frames.line, self._redactor
        for record in records:
            if isinstance(record, Observed):
                # A secret is as long as a token, or in a command that the fast lane does not know.
                short = len(record.body) < TOKEN_LENGTH and not redactor.knows_short
                line = fast(record) if short else None
                add(line or self._general(record))
            elif isinstance(record, WriteRecord):
                add(write_line(record))
            else:
                add(self._general(record))
        return "".join(lines).encode()

    def _general(self, record: Record) -> str:
        whole = record.record() if isinstance(record, Observed) else record
        return escaped(self._one(self._redactor.apply(whole))).decode()

    def _one(self, record: Record) -> bytes:
        try:
            return self._encoder.encode(record) + b"\n"
        except (UnicodeEncodeError, RecursionError):
            names = record.__struct_fields__
            tag = record.__struct_config__.tag
            value = {"record": tag, **{name: cleaned(getattr(record, name)) for name in names}}
            return self._encoder.encode(value) + b"\n"


class JsonLines:
    """The output `jsonl`."""

    def __init__(self, stream: BinaryIO, options: Options) -> None:
        self._stream = stream
        self._encoder = Encoder(options)
        self.redactor = options.redactor
        """The one that keeps secrets out of the lines."""

    def write(self, records: Sequence[Record]) -> None:
        """Write a batch, one record a line."""
        if records:
            self._stream.write(self._encoder.lines(records))
            self._stream.flush()

    def close(self) -> None:
        """Nothing follows the last line."""
