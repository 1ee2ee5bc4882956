"""Pasted bytes → records: what `hexdump` shows. One direction, no times; every byte lands in one piece."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from blynkscope.analysis.records import SCHEMA, FrameRecord, Record, StreamRecord, SummaryRecord
from blynkscope.protocol import commands, derived
from blynkscope.protocol.frames import HEADER_SIZE
from blynkscope.protocol.misread import explain_header
from blynkscope.protocol.model import Dialect, Era, Sender
from blynkscope.protocol.statuses import STATUSES, status_name
from blynkscope.wire import recognise
from blynkscope.wire.events import Event, Message
from blynkscope.wire.framing import Framer, Item, Malformed, RawFrame, web_message

_VIA = ("paste",)


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of the bytes and what it is.

    Args:
        start: Offset of its first byte.
        raw: Its bytes.
        record: The frame, or what is said about bytes that are none.
        missing: Bytes that the frame lacks; 0 where it is whole.
        partial: The frame as far as it is there, where `record` says that it is not whole but its header is.
    """

    start: int
    raw: bytes
    record: FrameRecord | StreamRecord
    missing: int = 0
    partial: FrameRecord | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """All pieces in order, and how they were read."""

    dialect: Dialect
    sender: Sender
    pieces: list[Piece] = field(default_factory=list)

    @property
    def cut_short(self) -> bool:
        """True where the bytes end before their last frame does, or a frame inside is not whole."""
        return any(isinstance(piece.record, StreamRecord) and piece.record.kind == "malformed" for piece in self.pieces)

    def records(self) -> list[Record]:
        """The records of all pieces and the summary, as any other run gives them."""
        out: list[Record] = [piece.record for piece in self.pieces]
        lost = {
            "bytes_skipped": sum(len(piece.raw) for piece in self.pieces if _kind(piece) == "resync"),
            "frames_incomplete": sum(1 for piece in self.pieces if _kind(piece) == "malformed"),
        }
        frames = sum(1 for piece in self.pieces if isinstance(piece.record, FrameRecord))
        findings = dict.fromkeys(("note", "warning", "error"), 0)
        out.append(SummaryRecord(frames, 1, findings, {name: count for name, count in lost.items() if count}))
        return out


def _kind(piece: Piece) -> str:
    return piece.record.kind if isinstance(piece.record, StreamRecord) else "frame"


def read(
    data: bytes, *, dialect: Dialect | None = None, sender: Sender | None = None, era: Era | None = None
) -> Reading:
    """Cut bytes into frames and name what is none.

    Args:
        data: At least one byte.
        dialect: Read in this dialect; None to find out, which also recognises other protocols.
        sender: Who sent the bytes; None to tell from the commands.
        era: Which meaning a code has where the eras differ.
    """
    guess = recognise.name_bytes(data)
    if guess.kind == "unknown" and len(data) < HEADER_SIZE[Dialect.HARDWARE]:
        guess = recognise.HARDWARE  # too short for a header: whatever it is, that is what there is to say
    if dialect is None and not guess.is_blynk:
        items = _hunted(data) if guess.kind in {"unknown", "text"} else []
        if not any(isinstance(item, RawFrame) for item in items):
            kind = "tls" if guess.kind == "tls" else "foreign"
            said = {"protocol": guess.kind, "label": guess.label, **guess.detail, "advice": _advice(guess, data)}
            by = sender or Sender.UNKNOWN
            return Reading(Dialect.HARDWARE, by, [Piece(0, data, StreamRecord(kind, 1, None, by, len(data), said))])
        spoken = Dialect.HARDWARE
    else:
        spoken = dialect or Dialect(guess.kind)
        items = _framed(data, spoken)
    by = sender or _sender_of(items, spoken, era)
    reader = _Reader(data, spoken, by, era)
    return Reading(spoken, by, [reader.piece(item) for item in items])


def _advice(guess: recognise.Guess, data: bytes) -> str:
    """What to do about bytes that are no frame; of a TLS record also what each byte is taken for by mistake."""
    misread = explain_header(data) if guess.kind == "tls" and "level" not in guess.detail else None
    return f"Byte by byte: {misread} {guess.advice}" if misread else guess.advice


def _framed(data: bytes, dialect: Dialect) -> list[Item]:
    if dialect is Dialect.WEB:
        return [web_message(data, None, len(data))]
    framer = Framer(dialect)
    return [*framer.feed(data, None), *framer.finish()]


def _hunted(data: bytes) -> list[Item]:
    framer = Framer(Dialect.HARDWARE, joined=True)
    return [*framer.feed(data, None), *framer.finish()]


def _sender_of(items: Iterable[Item], dialect: Dialect, era: Era | None) -> Sender:
    """Who alone sends such commands; unknown where nothing tells."""
    for item in items:
        cmd = getattr(item, "cmd", None)
        if cmd == commands.RESPONSE:
            return Sender.SERVER
        row = commands.find(cmd, dialect, era) if cmd is not None else None
        if row is not None and len(row.senders) == 1:
            return next(iter(row.senders))
        if row is not None and dialect is not Dialect.HARDWARE and Sender.APP in row.senders:
            return Sender.APP
    return Sender.UNKNOWN


class _Reader:
    """Makes pieces out of what the framer cut."""

    def __init__(
        self, data: bytes, dialect: Dialect, sender: Sender, era: Era | None, n: int = 0, time: float | None = None
    ) -> None:
        self._data = data
        self._dialect = dialect
        self._sender = sender
        self._decode = derived.decoders(dialect, era)
        self._names = derived.names(dialect, era)
        self._n = n
        self._time = time

    def piece(self, item: Item) -> Piece:
        """The piece of an item."""
        size = HEADER_SIZE[self._dialect]
        if isinstance(item, RawFrame):
            extra = derived.WORD_STRUCTS[Dialect.WEB].size if self._dialect is Dialect.WEB and not item.cmd else 0
            start = item.end - len(item.body) - size - extra
            return Piece(start, self._data[start : item.end], self._frame(item.cmd, item.id, item.word, item.body))
        if isinstance(item, Malformed):
            return self._malformed(item, size)
        raw = self._data[item.start : item.start + item.size]
        guess = recognise.name_bytes(item.sample)
        detail = {"reason": "no frame begins here", "offset": item.start, "looks_like": guess.label, **guess.detail}
        detail["advice"] = _advice(guess, item.sample)
        return Piece(item.start, raw, StreamRecord("resync", 1, None, self._sender, item.size, detail))

    def _malformed(self, item: Malformed, size: int) -> Piece:
        raw = self._data[item.start : item.start + item.have]
        facts: dict[str, Any] = {"reason": item.reason, "offset": item.start, "have": item.have}
        partial = None
        if item.cmd is not None and item.id is not None:
            facts |= {"need": item.need, "cmd": item.cmd, "name": self._names[item.cmd], "id": item.id}
            facts |= {"length": item.word if item.cmd else None}
            if item.word is not None:
                partial = self._frame(item.cmd, item.id, item.word, raw[size:])
                self._n -= 1
            if item.cmd and item.have == size and item.word in STATUSES:
                facts["advice"] = (
                    f"{item.word} is the length of the body, and no status: only in MSG_RSP (first byte 00) does this "
                    f"field hold one, and nobody said {status_name(item.word)} here"
                )
        missing = max((item.need or size) - item.have, 0)
        record = StreamRecord("malformed", 1, None, self._sender, item.have, facts)
        return Piece(item.start, raw, record, missing, partial)

    def _frame(self, cmd: int, message_id: int, word: int, body: bytes) -> FrameRecord:
        self._n += 1
        fields, text = self._decode[cmd](body) if cmd else (None, status_name(word))
        length = None if not cmd or self._dialect is Dialect.WEB else word
        status, named = (None, None) if cmd else (word, text)
        return FrameRecord(
            SCHEMA, self._n, self._time, 1, None, None, self._sender, self._dialect, _VIA, cmd, self._names[cmd],
            message_id, length, status, named, body.hex(), fields, text, None, None, None, (),
        )  # fmt: skip


def read_log(events: Iterable[Event], *, dialect: Dialect | None = None, era: Era | None = None) -> Reading:
    """Take apart the messages that a log tells, each with its sender; bytes are those that the log shows.

    Args:
        events: What a text source yields.
        dialect: As in `read`.
        era: As in `read`.
    """
    spoken = dialect or Dialect.HARDWARE
    pieces: list[Piece] = []
    n = at = 0
    for event in events:
        if not isinstance(event, Message):
            continue
        n += 1
        sender = Sender.SERVER if event.direction else Sender.DEVICE
        word = len(event.body) if event.word is None else event.word
        raw = derived.HEADER_STRUCTS[spoken].pack(event.cmd, event.id, word) + event.body
        reader = _Reader(raw, spoken, sender, era, n - 1, event.time)
        missing = word - len(event.body) if event.cmd else 0
        if missing:
            shows = "fewer" if missing > 0 else "more"
            reason = f"the log shows {shows} bytes than declared"
            need = max(len(raw) + missing, 0)
            item: Item = Malformed(0, len(raw), need, event.cmd, event.id, word, raw, reason, event.time)
            pieces.append(replace(reader.piece(item), start=at))
        else:
            item = RawFrame(event.cmd, event.id, word, event.body, len(raw), event.time)
            pieces.append(replace(reader.piece(item), start=at))
        at += len(raw)
    return Reading(spoken, Sender.UNKNOWN, pieces)
