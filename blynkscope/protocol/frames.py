"""The three headers, and whole frames, as construct schemas.

    hardware   cmd u8 · id u16 · word u16 · body
    app        cmd u8 · id u16 · word u32 · body
    web        cmd u8 · id u16 · (RESPONSE: word u32) body to the end of the WebSocket message

All integers are big endian. The word is the length of the body, but in a RESPONSE it is the status and no body follows.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import construct as con
import msgspec

from blynkscope.protocol import commands
from blynkscope.protocol.model import Dialect, Era
from blynkscope.protocol.statuses import STATUSES

COMMAND = "cmd" / con.Int8ub
MESSAGE_ID = "id" / con.Int16ub
WORDS: dict[Dialect, con.FormatField[int, int]] = {
    Dialect.HARDWARE: con.Int16ub,
    Dialect.APP: con.Int32ub,
    Dialect.WEB: con.Int32ub,
}
"""Width of the word by dialect; the web dialect has it in a RESPONSE only."""

HEADERS: dict[Dialect, con.Struct] = {
    Dialect.HARDWARE: con.Struct(COMMAND, MESSAGE_ID, "word" / WORDS[Dialect.HARDWARE]),
    Dialect.APP: con.Struct(COMMAND, MESSAGE_ID, "word" / WORDS[Dialect.APP]),
    Dialect.WEB: con.Struct(COMMAND, MESSAGE_ID),
}
HEADER_SIZE: dict[Dialect, int] = {dialect: header.sizeof() for dialect, header in HEADERS.items()}


class Frame(msgspec.Struct, frozen=True):
    """One message: command, id, and the status (RESPONSE) or the body (everything else)."""

    dialect: Dialect
    cmd: int
    id: int
    status: int | None = None
    body: bytes = b""


@cache
def frame_schema(dialect: Dialect, era: Era | None = None) -> con.Struct:
    """The schema of whole frames of one dialect, with the bodies that its commands have in this era.

    Parses to `cmd`, `id`, `status` (int, RESPONSE only) and `body` (the body schema's container, else None).
    Unknown commands keep their body as bytes.
    """
    word = WORDS[dialect]
    bodies = {code: row.body.schema for code in range(1, 256) if (row := commands.find(code, dialect, era)) is not None}
    body = con.Switch(con.this.cmd, bodies, default=con.GreedyBytes)
    framed = body if dialect is Dialect.WEB else con.Prefixed(word, body)
    response = con.this.cmd == commands.RESPONSE
    return con.Struct(
        COMMAND,
        MESSAGE_ID,
        "status" / con.If(response, con.Enum(word, **{row.name: code for code, row in STATUSES.items()})),
        "body" / con.If(con.this.cmd != commands.RESPONSE, framed),
    )


@cache
def _plain_schema(dialect: Dialect) -> con.Struct:
    word = WORDS[dialect]
    body = con.GreedyBytes if dialect is Dialect.WEB else con.Prefixed(word, con.GreedyBytes)
    response = con.this.cmd == commands.RESPONSE
    return con.Struct(
        COMMAND,
        MESSAGE_ID,
        "status" / con.If(response, word),
        "body" / con.If(con.this.cmd != commands.RESPONSE, body),
    )


def parse(wire: bytes, dialect: Dialect = Dialect.HARDWARE) -> Frame:
    """The first frame in `wire`, by the schema alone. Bytes after it are not looked at.

    Raises:
        construct.StreamError: The bytes end before the frame does.
    """
    parsed = _plain_schema(dialect).parse(wire)
    return Frame(dialect, parsed.cmd, parsed.id, parsed.status, parsed.body or b"")


def build(frame: Frame) -> bytes:
    """The bytes of a frame; the inverse of `parse`.

    Raises:
        construct.ConstructError: A number does not fit its field.
    """
    values: dict[str, Any] = {"cmd": frame.cmd, "id": frame.id, "status": frame.status, "body": frame.body}
    return bytes(_plain_schema(frame.dialect).build(values))
