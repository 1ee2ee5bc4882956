"""What one line of a log can hold."""

from __future__ import annotations

from typing import Any

import msgspec

from blynkscope.wire.events import CLIENT, SERVER

DEVICE_SENDS, DEVICE_RECEIVES = CLIENT, SERVER


class Said(msgspec.Struct, frozen=True):
    """One message that a line tells field by field (`> 0 1 | 200`, `Cmd: HW, Id: 3, …`).

    `direction` is None where the line does not tell it. `word` is the status of a RESPONSE, else the declared length;
    None where the line tells neither. `body` holds the bytes with their NULs restored where the notation replaced
    them. `follows` is True where the body is printed on the next line (C++ before 0.3.6).
    """

    direction: int | None
    cmd: int
    id: int
    word: int | None
    body: bytes = b""
    follows: bool = False
    facts: dict[str, Any] = {}


class Chunk(msgspec.Struct, frozen=True):
    """Bytes of a direction as a line prints them. The beginning of a line's bytes is often that of a frame.

    `layer` names the printer, so that a message printed by two layers (raw and parsed) counts once.
    """

    direction: int | None
    data: bytes
    layer: str = ""


class Told(msgspec.Struct, frozen=True):
    """Text that means something: becomes a log record. `kind` and `facts` as in `wire.events.Line`."""

    kind: str
    text: str
    facts: dict[str, Any] = {}


Content = Said | Chunk | Told
