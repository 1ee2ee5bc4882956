"""The annotated dump: each field's bytes, its name, its value and what that means, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TextIO

from blynkscope.analysis.pasted import Piece, Reading
from blynkscope.analysis.records import FrameRecord, StreamRecord
from blynkscope.protocol import tls
from blynkscope.protocol.model import Dialect
from blynkscope.protocol.statuses import STATUSES
from blynkscope.render.console import Palette, cells, fit, wrapped
from blynkscope.render.fields import Field, command_of, fields_of, header_begun, header_bytes
from blynkscope.render.options import Options
from blynkscope.render.safe import safe, safe_line

_WIDE = 110
_SMALL = 56
_COLORS = ("field0", "field1", "field2", "field3", "field4")
_NAME = 9
_TLS_NAME = 11
_TEXT_WIDTH = 100
_FOREIGN_ROWS = 16
"""Rows of bytes that are no Blynk: the first of them name the protocol, the rest says nothing here."""
_CONTENT_SHOWN = 64
"""Bytes of a TLS record behind its header: what they are can be seen from few."""
_VALUE_LINES = 6
_BETWEEN = " · "


class Dump:
    """Prints readings of pasted bytes.

    Args:
        stream: Where to.
        options: Width, colour, secrets.
    """

    def __init__(self, stream: TextIO, options: Options) -> None:
        self._stream = stream
        self._options = options
        self._palette = options.palette
        self._dialect = Dialect.HARDWARE
        self._per_row = 16 if options.width >= _WIDE else 8 if options.width >= _SMALL else 4

    def show(self, reading: Reading) -> None:
        """Print all pieces, with an empty line between them."""
        lines: list[str] = []
        self._dialect = reading.dialect
        for piece in reading.pieces:
            lines += ([""] if lines else []) + self._piece(piece)
        self._stream.write("\n".join([*lines, ""]))
        self._stream.flush()

    def _piece(self, piece: Piece) -> list[str]:
        record = self._options.redactor.apply(piece.record)
        if isinstance(record, FrameRecord):
            lines = [*self._heading(record), *explained(record, self._palette, self._options.width)]
            return lines + field_lines(
                fields_of(record), piece.start, self._palette, self._options.width, self._per_row
            )
        assert isinstance(record, StreamRecord)
        if record.kind == "malformed":
            return self._malformed(piece, record)
        return self._foreign(piece, record)

    def _malformed(self, piece: Piece, record: StreamRecord) -> list[str]:
        if piece.partial is None:
            need = f" of the {len(piece.raw) + piece.missing} that a header has" if piece.missing else ""
            reason = safe_line(str(record.detail.get("reason", "")), 80)
            head = self._warning(f"△ {_bytes(len(piece.raw))}{need}: {reason}")
            begun = header_begun(piece.raw, self._dialect)
            return [*head, *field_lines(begun, piece.start, self._palette, self._options.width, self._per_row)]
        partial = self._options.redactor.apply(piece.partial)
        assert isinstance(partial, FrameRecord)
        size = len(header_bytes(partial))
        reason = safe_line(str(record.detail.get("reason", "")), 80)
        lines = [
            *self._heading(partial),
            *explained(partial, self._palette, self._options.width),
            *field_lines(fields_of(partial), piece.start, self._palette, self._options.width, self._per_row),
        ]
        have = max(len(piece.raw) - size, 0)
        if partial.length is not None and have > partial.length:
            told = f"△ {_bytes(have - partial.length)} more than declared"
        else:
            told = f"△ {_bytes(piece.missing)} missing: {reason}"
        told += f" ({have} of {partial.length} bytes of body are here)"
        lines += [f"  {line}" for line in self._warning(told, 2)]
        return lines + self._advice(record)

    def _foreign(self, piece: Piece, record: StreamRecord) -> list[str]:
        """Bytes of something else: what it is, why it looks like Blynk, what to do."""
        paint, width = self._palette.paint, min(self._options.width, _TEXT_WIDTH)
        detail = record.detail
        label = safe_line(str(detail.get("label") or detail.get("looks_like") or "unknown bytes"), 60)
        if record.kind == "resync":
            lines = self._warning(f"△ {_bytes(len(piece.raw))} skipped: no frame begins here ({label})")
        else:
            lines = self._warning(f"△ {_bytes(len(piece.raw))} · {label} · not Blynk")
        if "content_type" in detail:
            told = _tls_story(piece.raw)
            lines += [f"  {line}" for line in wrapped(told, width - 2)]
            lines += field_lines(
                _tls_fields(piece.raw),
                piece.start,
                self._palette,
                self._options.width,
                self._per_row,
                name_width=_TLS_NAME if tls.alert_of(piece.raw) else _NAME,
            )
        else:
            for name in ("request", "status_line", "line", "banner"):
                if detail.get(name):
                    shown = f"{name.replace('_', ' ')}: {safe_line(str(detail[name]), 400)}"
                    lines += [paint("quiet", f"  {line}") for line in wrapped(shown, width - 2)]
            lines += self._raw(piece.start, piece.raw, "")
        return lines + self._advice(record)

    def _heading(self, record: FrameRecord) -> list[str]:
        return _broken(heading(record, Palette(False)), heading(record, self._palette), self._options.width)

    def _warning(self, text: str, indent: int = 0) -> list[str]:
        return [self._palette.paint("warning", line) for line in wrapped(text, self._options.width - indent)]

    def _advice(self, record: StreamRecord) -> list[str]:
        advice, width = str(record.detail.get("advice") or ""), min(self._options.width, _TEXT_WIDTH)
        if not advice:
            return []
        return [self._palette.paint("good", f"  {line}") for line in wrapped("→ " + safe(advice), width - 2)]

    def _raw(self, start: int, raw: bytes, name: str) -> list[str]:
        """Bytes without fields, the first rows of them."""
        hidden = self._options.redactor.unknown(raw)
        shown = hidden[: _FOREIGN_ROWS * self._per_row]
        text = shown.decode("ascii", "replace").replace("\ufffd", ".")
        text = "".join(char if " " <= char <= "~" else "." for char in text)
        fields = [
            Field(at, shown[at : at + self._per_row], b"", name, text[at : at + self._per_row])
            for at in range(0, len(shown), self._per_row)
        ]
        lines = field_lines(fields, start, self._palette, self._options.width, self._per_row, colors=("quiet",))
        if len(raw) > len(shown):
            lines.append(self._palette.paint("quiet", f"  … {_bytes(len(raw) - len(shown))} more"))
        return lines


def heading(record: FrameRecord, palette: Palette) -> str:
    """`frame 1 · MSG_HW_LOGIN (29) · id 1 · 32 bytes · device → server`."""
    size = len(record.body) // 2
    parts = [f"{safe_line(record.name, 40)} ({record.cmd})", f"id {record.id}"]
    if record.status is None:
        declared = record.length if record.length is not None else size
        parts.append(_bytes(size) if declared == size else f"{size} of {_bytes(declared)}")
    else:
        parts.append(f"{record.status} {safe_line(record.status_name or '', 40)}")
    peer = {"device": "server", "app": "server", "server": "device" if record.dialect == "hardware" else "app"}
    route = f"{record.sender} → {peer[record.sender]}" if record.sender in peer else "sender unknown"
    mark = palette.paint("strong", f"frame {record.n}")
    return f"{mark} · " + " · ".join([*parts, palette.paint(record.sender, route)])


def _broken(plain: str, painted: str, width: int) -> list[str]:
    """A heading in lines of at most `width` columns, broken between its parts; only the last part is painted over."""
    if cells(plain) <= width:
        return [painted]
    lines: list[str] = []
    taken = width + 1
    for part, shown in zip(plain.split(_BETWEEN), painted.split(_BETWEEN), strict=True):
        if taken + len(_BETWEEN) + cells(part) <= width:
            lines[-1] += _BETWEEN + shown
            taken += len(_BETWEEN) + cells(part)
        else:
            lines.append(f"  {shown}" if lines else shown)
            taken = cells(part) + (2 if len(lines) > 1 else 0)
    return lines


def explained(record: FrameRecord, palette: Palette, width: int) -> list[str]:
    """A sentence on the command, or on the status and what to do about it."""
    width = min(width, _TEXT_WIDTH)
    if record.status is not None:
        row = STATUSES.get(record.status)
        if row is None:
            return []
        lines = [palette.paint("quiet", f"  {line}") for line in wrapped(row.doc, width - 2)]
        return lines + [palette.paint("good", f"  {line}") for line in wrapped("→ " + row.fix, width - 2) if row.fix]
    command = command_of(record)
    if command is None:
        return [palette.paint("warning", "  This command is in no table: the bytes may not begin at a frame.")]
    first = command.doc.split(". ")[0].removesuffix(".") + "."
    return [palette.paint("quiet", f"  {line}") for line in wrapped(first, width - 2)]


def field_lines(
    fields: Sequence[Field],
    offset: int,
    palette: Palette,
    width: int,
    per_row: int,
    *,
    colors: Sequence[str] = _COLORS,
    name_width: int = _NAME,
) -> list[str]:
    """Rows of offset, bytes and words; each field begins a row of its own.

    Args:
        fields: Fields of one frame, in order.
        offset: Offset of the frame's first byte.
        palette: Colours; each field has one, for its bytes and its name alike.
        width: Columns to fill.
        per_row: Bytes of a row.
        colors: Styles that take turns.
        name_width: Columns of the names.
    """
    lines: list[str] = []
    column = 2 + 6 + 3 * per_row + 1
    room = max(width - column - name_width - 1, 12)
    for index, field in enumerate(fields):
        color = colors[index % len(colors)]
        data = field.raw + field.separator
        rows = [data[at : at + per_row] for at in range(0, len(data), per_row)] or [b""]
        words = safe(field.value)
        if field.meaning:
            words = f"{words}  {safe(field.meaning)}" if words else safe(field.meaning)
        texts = wrapped(words, room)
        if len(texts) > max(_VALUE_LINES, len(rows)):
            texts = [*texts[: max(_VALUE_LINES, len(rows)) - 1], "…"]
        for row, (chunk, text) in enumerate(zip_longest(rows, texts)):
            shown = "" if chunk is None else chunk.hex(" ")
            place = f"{offset + field.start + row * per_row:04x}" if chunk is not None else "    "
            name = " " * name_width
            if row == 0:
                name = palette.paint(color, f"{fit(safe(field.name), name_width):<{name_width}}")
            gap = " " * (3 * per_row - len(shown))
            hexed = _hexed(shown, len(field.raw) - row * per_row, color, palette)
            lines.append(f"  {palette.paint('quiet', place)}  {hexed}{gap} {name} {text or ''}".rstrip())
    return lines


def _hexed(shown: str, own: int, color: str, palette: Palette) -> str:
    """The hex text of a row, of which `own` bytes are the field's; the separator behind them is dim."""
    cut = max(3 * own - 1, 0)
    return palette.paint(color, shown[:cut]) + palette.paint("quiet", shown[cut:])


def _tls_fields(raw: bytes) -> list[Field]:
    """The header of a TLS record, what an alert says, and the rest as one field (its first bytes)."""
    fields = [
        Field(0, raw[:1], b"", "type", str(raw[0]), tls.TYPES.get(raw[0], "")),
        Field(1, raw[1:3], b"", "version", tls.VERSIONS.get(raw[2], "?") if len(raw) > 2 else "?"),
    ]
    if len(raw) >= 5:
        fields.append(Field(3, raw[3:5], b"", "length", str(int.from_bytes(raw[3:5], "big")), "bytes of record"))
    at = tls.HEADER_SIZE
    if (alert := tls.alert_of(raw)) is not None:
        level, number = alert
        fields.append(Field(at, raw[at : at + 1], b"", "level", str(level), tls.LEVELS[level]))
        if number is not None:
            meaning = tls.alert_name(number)
            fields.append(Field(at + 1, raw[at + 1 : at + 2], b"", "description", str(number), meaning))
        at += tls.ALERT_SIZE
    if len(raw) > at:
        inside = "encrypted" if raw[0] == tls.APPLICATION_DATA else "TLS, not Blynk"
        shown = raw[at : at + _CONTENT_SHOWN]
        left = len(raw) - at - len(shown)
        fields.append(Field(at, shown, b"", "content", inside + (f", {_bytes(left)} more" if left else "")))
    return fields


def _tls_story(raw: bytes) -> str:
    """Why a TLS record is taken for a Blynk message, and what it really says."""
    fields = _tls_fields(raw)
    facts = [fields[0].meaning, fields[1].value]
    if len(fields) > 2:
        facts.append(f"{fields[2].value} bytes")
    status = STATUSES.get(raw[0])
    told = f"This is a TLS record ({', '.join(facts)})"
    if status is not None:
        told += f", not a Blynk status {raw[0]} {status.name.removeprefix('STA_')}"
    else:
        told += f", not a Blynk command {raw[0]}"
    told += ": its first byte is the type of the record, and what follows are version and length."
    missing = int.from_bytes(raw[3:5], "big") + 5 - len(raw) if len(raw) >= 5 else 0
    return told + (
        f" {_bytes(missing)} of the record {'is' if missing == 1 else 'are'} not here." if missing > 0 else ""
    )


def _bytes(count: int) -> str:
    return f"{count} byte{'' if count == 1 else 's'}"
