"""A frame taken apart: every byte belongs to a field with a name, a value and a meaning. For `tree` and `hexdump`."""

from __future__ import annotations

from dataclasses import dataclass

from blynkscope.analysis.records import FrameRecord
from blynkscope.protocol import bodies, commands
from blynkscope.protocol.derived import HEADER_STRUCTS, WORD_STRUCTS
from blynkscope.protocol.limits import TOKEN_LENGTH
from blynkscope.protocol.model import Command, Dialect
from blynkscope.protocol.schema import Fields, Span, readable

VALUE_MAX = 400
"""Characters of a value that are shown; all of its bytes are."""


@dataclass(frozen=True, slots=True)
class Field:
    """A run of a frame's bytes.

    Args:
        start: Offset in the frame.
        raw: Its bytes.
        separator: The NUL behind it, if any.
        name: What it is called.
        value: What it says; wire text, not yet safe.
        meaning: What that means, where it is not plain.
    """

    start: int
    raw: bytes
    separator: bytes
    name: str
    value: str
    meaning: str = ""


def command_of(record: FrameRecord) -> Command | None:
    """The row of the command table that explains a frame: the one whose name it bears, else the most likely one."""
    dialect = Dialect(record.dialect)
    named = (row for row in commands.rows(record.cmd) if row.name == record.name and dialect in row.dialects)
    return next(named, None) or commands.find(record.cmd, dialect, None)


def fields_of(record: FrameRecord) -> list[Field]:
    """The header's fields and those of the body, in order. The record must be redacted already."""
    body = bytes.fromhex(record.body)
    header = _header(record, body)
    size = header[-1].start + len(header[-1].raw)
    return [*header, *_body(record, body, size)]


def header_bytes(record: FrameRecord) -> bytes:
    """The header as it was on the wire."""
    return b"".join(field.raw for field in _header(record, bytes.fromhex(record.body)))


def _header(record: FrameRecord, body: bytes) -> list[Field]:
    dialect = Dialect(record.dialect)
    whole = record.status if record.status is not None else record.length if record.length is not None else len(body)
    if dialect is Dialect.WEB:
        raw = HEADER_STRUCTS[dialect].pack(record.cmd, record.id)
        raw += WORD_STRUCTS[dialect].pack(record.status) if record.status is not None else b""
    else:
        raw = HEADER_STRUCTS[dialect].pack(record.cmd, record.id, whole)
    found = [
        Field(0, raw[:1], b"", "command", str(record.cmd), record.name),
        Field(1, raw[1:3], b"", "id", str(record.id)),
    ]
    if record.status is not None:
        found.append(Field(3, raw[3:], b"", "status", str(record.status), record.status_name or ""))
    elif dialect is not Dialect.WEB:
        found.append(Field(3, raw[3:], b"", "length", str(whole), _length(whole, len(body))))
    return found


def header_begun(raw: bytes, dialect: Dialect) -> list[Field]:
    """The fields of a header of which not all bytes are there."""
    found = [Field(0, raw[:1], b"", "command", str(raw[0]), commands.command_name(raw[0], dialect))]
    if len(raw) > 1:
        whole = len(raw) > 2
        told = str(int.from_bytes(raw[1:3], "big")) if whole else "?"
        found.append(Field(1, raw[1:3], b"", "id", told, "" if whole else "its second byte is missing"))
    if len(raw) > 3:
        found.append(Field(3, raw[3:], b"", "status" if not raw[0] else "length", "?", "not all of its bytes are here"))
    return found


def _length(declared: int, seen: int) -> str:
    words = "byte of body" if declared == 1 else "bytes of body"
    return words if declared == seen else f"{words}, of which {seen} are here"


def _body(record: FrameRecord, body: bytes, offset: int) -> list[Field]:
    row = command_of(record)
    schema = row.body if row else bodies.RAW
    spans = schema.spans(body)
    if schema is bodies.INTERNAL:
        spans = _key_values(spans)
    found: list[Field] = []
    at = 0
    for index, span in enumerate(spans):
        if span.start > at and not found:
            # Nothing that a schema declares begins with a separator; shown all the same.
            found.append(Field(offset + at, body[at : span.start], b"", "?", ""))
        following = spans[index + 1].start if index + 1 < len(spans) else len(body)
        value = _value(span, record.fields)
        meaning = _meaning(span, spans[:index])
        found.append(
            Field(
                offset + span.start, span.raw, body[span.end : following], span.name.replace("_", " "), value, meaning
            )
        )
        at = following
    if at < len(body):
        found.append(Field(offset + at, body[at:], b"", "body", readable(body[at : at + VALUE_MAX])))
    return found


def _value(span: Span, fields: Fields | None) -> str:
    """The field's value: the placeholder where the bytes are masked."""
    if span.raw and span.raw.count(b"*") == len(span.raw) and fields and isinstance(fields.get(span.name), str):
        return str(fields[span.name])[:VALUE_MAX]
    return readable(span.raw[:VALUE_MAX])


def _meaning(span: Span, before: list[Span]) -> str:
    if span.secret == "token":  # noqa: S105
        length = len(span.raw)
        return "" if length == TOKEN_LENGTH else f"{length} characters: a token has {TOKEN_LENGTH}"
    text = readable(span.raw[:4])
    if span.name == "op" and text in bodies.OPERATIONS:
        return bodies.OPERATIONS[text].doc
    if span.name == "op" and text == "i":
        return "set up the bridge"
    if span.name.startswith("pin"):
        letter = next((bodies.OPERATIONS[op].letter for op in _operations(before)), "V")
        return letter + text if text.isdigit() else ""
    return ""


def _operations(spans: list[Span]) -> list[str]:
    found = [readable(span.raw[:4]) for span in spans if span.name == "op"]
    return [op for op in found if op in bodies.OPERATIONS]


def _key_values(spans: list[Span]) -> list[Span]:
    whole = bool(spans) and readable(spans[0].raw) in bodies.WHOLE_KEYS
    named: list[Span] = []
    for index, span in enumerate(spans):
        if index == len(spans) - 1 and index and not span.raw:
            name = "end"
        elif whole:
            name = "value" if index else "key"
        else:
            name = "value" if index % 2 else "key"
        named.append(Span(span.start, span.end, name, span.raw, span.secret))
    return named
