"""The fast lane: formats and decoders that are derived from the schema at import, and hold no meaning of their own.

construct reads some forty thousand frames a second. The header formats here are the `struct` formats of the schema's
own fields, and the body decoders are made from the schema's declarations (`bodies.OPERATIONS`, the named parts of a
`Body`). Property tests hold both lanes equal on random and hostile bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from typing import Any

import construct as con

from blynkscope.protocol import bodies, commands, limits
from blynkscope.protocol.frames import HEADERS, WORDS
from blynkscope.protocol.model import Dialect, Era
from blynkscope.protocol.schema import Body, Fields, Part, Parts
from blynkscope.protocol.statuses import STATUSES

Decoder = Callable[[bytes], tuple[Fields | None, str]]


def _format_of(schema: con.Struct) -> str:
    """`struct` format of a construct Struct that holds nothing but numbers, e.g. `>BHH`."""
    fields: list[Any] = schema.subcons
    codes: list[str] = [field.subcon.fmtstr for field in fields]
    orders = {code[0] for code in codes}
    if len(orders) != 1:
        raise TypeError(f"mixed byte orders in {schema}")
    return orders.pop() + "".join(code[1:] for code in codes)


HEADER_STRUCTS: dict[Dialect, struct.Struct] = {
    dialect: struct.Struct(_format_of(header)) for dialect, header in HEADERS.items()
}
WORD_STRUCTS: dict[Dialect, struct.Struct] = {dialect: struct.Struct(word.fmtstr) for dialect, word in WORDS.items()}

KNOWN_STATUSES = frozenset(STATUSES)


@cache
def longest_bodies(dialect: Dialect) -> tuple[int, ...]:
    """For each command code the greatest body length that is believed at once; -1 for codes unknown to the dialect."""
    cap = limits.HARDWARE_BODY_MAX if dialect is Dialect.HARDWARE else limits.APP_BODY_MAX
    table = []
    for code in range(256):
        rows = [row for row in commands.rows(code) if dialect in row.dialects and row.on_wire]
        table.append(max((min(row.body.longest, cap) for row in rows), default=-1))
    table[commands.RESPONSE] = 0
    return tuple(table)


# --- bodies -----------------------------------------------------------------------------------------------------------


def _operation_decoder(body: Body) -> Decoder:
    """Decoder of HW bodies: the operations of one pin and its values are read here, the others by the schema."""
    letters = {code: operation.letter for code, operation in bodies.OPERATIONS.items() if operation.shape == "values"}
    general = body.decode

    def decode(data: bytes) -> tuple[Fields | None, str]:
        try:
            op, pin, *values = data.decode().split("\0")
            pin = letters[op] + pin
        except (ValueError, KeyError):  # too few parts, no UTF-8 (a ValueError), or another operation
            return general(data)
        text = values[0] if len(values) == 1 else ", ".join(values)
        return {"op": op, "pins": [{"pin": pin, "values": values}]}, f"{pin} = {text}"

    return decode


def _empty_decoder(body: Body) -> Decoder:
    nothing = body.decode(b"")
    general = body.decode

    def decode(data: bytes) -> tuple[Fields | None, str]:
        return general(data) if data else nothing

    return decode


def _flat_decoder(body: Body) -> Decoder | None:
    """Decoder of a body that is a row of named parts, then at most one list; None where the schema is another."""
    names: list[str] = []
    tail: str | None = None
    for sub in getattr(body.schema, "subcons", ()):
        element = sub.subcon if isinstance(sub, con.Renamed) else sub
        if type(element) is Part and tail is None:
            names.append(sub.name)
        elif type(element) is Parts and tail is None:
            tail = sub.name
        else:
            return None
    if tail is None:
        return None
    count, project, reading = len(names), body.project, body.reading
    missing: list[Any] = [None] * count
    nothing = body.decode(b"")

    def decode(data: bytes) -> tuple[Fields | None, str]:
        if not data:
            return nothing
        parts: list[bytes] = data.split(b"\0")
        parsed: con.Container[Any] = con.Container(zip(names, parts + missing, strict=False))
        parsed[tail] = parts[count:]
        fields = project(parsed)
        return fields, reading(fields or {})

    return decode


_SPECIAL: tuple[tuple[Body, Callable[[Body], Decoder]], ...] = (
    (bodies.PIN_OPERATION, _operation_decoder),
    (bodies.EMPTY, _empty_decoder),
)


def decoder_of(body: Body) -> Decoder:
    """The fastest decoder of a body: bytes → (`fields`, one-line reading), equal to `body.decode`."""
    for special, make in _SPECIAL:
        if body is special:
            return make(body)
    return _flat_decoder(body) or body.decode


@cache
def decoders(dialect: Dialect, era: Era | None = None) -> tuple[Decoder, ...]:
    """For each of the 256 command codes the decoder of its body in this dialect and era."""
    table = []
    for code in range(256):
        row = commands.find(code, dialect, era)
        table.append(decoder_of(row.body if row else bodies.RAW))
    return tuple(table)


@cache
def names(dialect: Dialect, era: Era | None = None) -> tuple[str, ...]:
    """For each of the 256 command codes its canonical name in this dialect and era."""
    return tuple(commands.command_name(code, dialect, era) for code in range(256))


def decode_body(cmd: int, data: bytes, dialect: Dialect = Dialect.HARDWARE) -> tuple[Fields | None, str]:
    """One body by the fast lane; the era unknown."""
    return decoders(dialect)[cmd](data)
