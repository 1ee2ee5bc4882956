"""Logs, pasted bytes and raw bytes as a source of events, told apart by their content."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from itertools import islice

from blynkscope.protocol import limits
from blynkscope.wire import recognise
from blynkscope.wire.events import CLIENT, LOG_END, Closed, Data, Event, Line, Message, Opened
from blynkscope.wire.logs import pastes
from blynkscope.wire.logs.transcript import Transcript

INPUT_MAX = 64 * 1024 * 1024
"""Bytes of a text that are read; a board that prints all day fills some 20 MiB."""

LINE_MAX = 256 * 1024
"""Characters of a line: the greatest frame in bracket notation, all of whose bytes take three characters."""

_BATCH = 512
"""Lines after which events are given out."""

_PROBE = 64 * 1024
"""Bytes in which it is decided whether the input is text."""

_CONTROL_SHARE = 0.3
"""Part of control characters and of bytes that are no UTF-8 above which an input without stamps is no text."""

_WIDE_PROBE, _WIDE_MIN, _WIDE_SHARE = 4096, 16, 0.9
"""Bytes that are looked at for UTF-16, characters that are needed for it, and part of them that is plain text."""

_RAW_CHUNK = 32 * 1024
_STAMPED = re.compile(rb"(?m)^[^\n]{0,200}?\[\d{1,10}\] |^\d\d:\d\d:\d\d|^[<>]{1,2} ?\[[0-9A-Fa-f]{2}\|")
_OWN_STAMP = re.compile(r"(?m)^[ \t>]{0,8}(?:\[\d{1,10}\]|\[?\d\d:\d\d:\d\d\b|\d{4}-\d\d-\d\d[T ]\d\d:)")
_STAMPS_MIN = 5
"""Lines with stamps that make a text a log with stamps."""
_CONTROL = bytes(set(range(32)) - set(b"\t\r\n\x1b\x08\x0c"))


class TextSource:
    """The events of a log, of pasted bytes or of raw bytes, in batches: iterate over it once.

    Logs and pastes are one or more streams with `via` ("log",). Messages of a log come as `Message`, bytes of a paste
    as `Data`. The last event is a `Line` of kind `log-end`, with facts `frames`, `lines`, `library` and `notation`.

    Args:
        data: The whole input; beyond `INPUT_MAX` bytes it is not read.
        name: What to call it in messages.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self.name = name
        self.size: int | None = len(data)
        self.packets = 0
        """Lines read so far."""
        self.damage = None
        self.lost: dict[str, int] = {}
        """What could not be read, counted by reason."""
        self.notes: list[str] = []
        """Things about the input that a person should know."""
        self.on_read: Callable[[int], None] | None = None
        """Called with the bytes read, now and then."""
        self._text: list[str] | None = None
        self._data = self._all = data[:INPUT_MAX]
        if len(data) > INPUT_MAX:
            self.notes.append(f"{name}: only the first {INPUT_MAX} bytes were read")
            self.lost["bytes_beyond_limit"] = len(data) - INPUT_MAX

    def close(self) -> None:
        """Nothing is held open."""

    def line(self, number: int) -> str:
        """The text of a line by its 1-based number, as it stands in the log; empty where there is none."""
        if self._text is None:
            self._text = list(_lines(_text(self._all)))
        return self._text[number - 1][:LINE_MAX] if 0 < number <= len(self._text) else ""

    def __iter__(self) -> Iterator[list[Event]]:
        data, self._data = self._data, b""
        if _is_raw(data):
            yield from self._raw([(pastes.side_of(data), data)], "raw bytes", None)
            return
        text = _text(data)
        yield from self._told(text, len(data))

    # --- logs ---

    def _told(self, text: str, size: int) -> Iterator[list[Event]]:
        probe = text[:_PROBE]
        pasted = None
        if not _holds_messages(probe) and (
            len(text) <= _PROBE or pastes.read(probe[: probe.rfind("\n") + 1 or _PROBE])
        ):
            pasted = pastes.read(text)
        if pasted is not None:
            self.packets = text.count("\n") + 1
            self.notes += [f"{self.name}: {note}" for note in pasted.notes]
            if pasted.examples:
                yield self._examples(pasted)
            else:
                yield from self._raw(pasted.runs, pasted.notation, pasted.frames)
            return
        transcript = Transcript(stamped=len(list(islice(_OWN_STAMP.finditer(text), _STAMPS_MIN))) == _STAMPS_MIN)
        cut = done = 0
        for line in _lines(text):
            done += len(line) + 1
            cut += len(line) > LINE_MAX
            transcript.line(line[:LINE_MAX])
            self.packets = transcript.lines
            if transcript.lines % _BATCH == 0:
                if self.on_read is not None:
                    self.on_read(min(size, size * done // len(text)))
                if events := transcript.take():
                    yield events
        events = transcript.finish()
        if cut:
            self.notes.append(f"{self.name}: {cut} lines were read up to {LINE_MAX} characters only")
        if transcript.unread:
            self.lost["log_lines_unread"] = transcript.unread
        if transcript.gutter:
            self.notes.append(
                f"{self.name}: these are the characters of a dump without its bytes: a dot may be any byte, so no "
                "frame can be read from them; paste the hex digits too"
            )
        facts = {"frames": transcript.frames, "lines": transcript.lines, "library": transcript.library}
        facts["notation"] = transcript.notation
        if not transcript.frames:
            self.notes.append(f"{self.name}: no Blynk frame is in this log")
        if not any(isinstance(event, Opened) for event in events) and not transcript.streams:
            events = [Opened(1, None, None, None, 0, 0, True, ("log",)), *events]
            events.append(Closed(1, None, "end", None, (True, True)))
        last = f"{transcript.frames} frames in {transcript.lines} lines"
        events.append(Line(0, transcript.time, max(transcript.lines, 1), LOG_END, last, facts))
        if self.on_read is not None:
            self.on_read(size)
        yield events

    # --- bytes ---

    def _examples(self, pasted: pastes.Pasted) -> list[Event]:
        """Messages that have nothing to do with each other but their place on the page."""
        events: list[Event] = [Opened(1, None, None, None, 0, 0, True, ("log",))]
        for one in pasted.examples:
            cut = bool(one.cmd) and len(one.body) < one.word
            events.append(Message(1, one.direction, None, one.cmd, one.id, one.word, one.body, one.line, cut, True))
        facts = {"frames": len(pasted.examples), "lines": self.packets, "library": "unknown"}
        facts["notation"] = pasted.notation
        said = f"{len(pasted.examples)} messages as {pasted.notation}"
        return [*events, Closed(1, None, "end", None, (True, True)), Line(0, None, self.packets, LOG_END, said, facts)]

    def _raw(self, runs: list[tuple[int, bytes]], notation: str, frames: int | None) -> Iterator[list[Event]]:
        server = None
        yield [Opened(1, None, None, server, 0, 0, True, ("log",))]
        done = 0
        for side, data in runs:
            for at in range(0, len(data), _RAW_CHUNK):
                yield [Data(1, side, None, data[at : at + _RAW_CHUNK])]
            done += len(data)
            if self.on_read is not None:
                self.on_read(min(done, self.size or done))
        sides = {side for side, _ in runs}
        heard = (CLIENT in sides, 1 in sides)
        facts = {"frames": frames, "lines": self.packets, "library": "unknown", "notation": notation}
        yield [
            Closed(1, None, "end", None, heard),
            Line(0, None, max(self.packets, 1), LOG_END, f"{done} bytes as {notation}", facts),
        ]


def _is_raw(data: bytes) -> bool:
    """Bytes as they go over the wire, not text about them."""
    head = data[:_PROBE]
    if not head or head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF8)):
        return False
    if _STAMPED.search(head):
        return False
    if _wide(head) is not None:
        return False
    kind = recognise.name_bytes(head[: limits.NOISE_WINDOW]).kind
    if kind in {"hardware", "app", "tls", "mqtt"}:
        return True
    if kind in {"http", "websocket", "ssh"}:
        return True
    controls = len(head) - len(head.translate(None, _CONTROL))
    foreign = head.decode("utf-8", "replace").count("\ufffd")
    return controls + foreign > _CONTROL_SHARE * len(head)


def _wide(data: bytes) -> str | None:
    """UTF-16 without a mark, as some terminal programs write it: every other byte of plain text is 0."""
    head = data[:_WIDE_PROBE]
    half = len(head) // 2
    if half < _WIDE_MIN:
        return None
    first, second = head[::2].count(0) / half, head[1::2].count(0) / half
    if second > _WIDE_SHARE and first < 1 - _WIDE_SHARE:
        return "utf-16-le"
    return "utf-16-be" if first > _WIDE_SHARE and second < 1 - _WIDE_SHARE else None


def _text(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    if (order := _wide(data)) is not None:
        return data.decode(order, "replace")
    return data.decode("utf-8-sig", "replace")


def _lines(text: str) -> Iterator[str]:
    """The lines, ended by LF, CR LF or, where there is no LF, by CR."""
    end = "\n" if "\n" in text else "\r"
    at = 0
    while at < len(text):
        found = text.find(end, at)
        found = len(text) if found < 0 else found
        yield text[at:found].rstrip("\r")
        at = found + 1


def _holds_messages(probe: str) -> bool:
    """Whether the beginning of a text is a log with messages, or tells of a crash, whose words are no bytes."""
    transcript = Transcript()
    for line in _lines(probe):
        transcript.line(line[:LINE_MAX])
        if transcript.crashed:
            return True
    transcript.finish()
    return transcript.frames > 0
