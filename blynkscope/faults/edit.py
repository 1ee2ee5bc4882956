"""Edits of a frame: of its body by the schema, of its status, and of its bytes."""

from __future__ import annotations

from random import Random
from typing import Any

import construct as con

from blynkscope.faults.model import Corrupt, Edit, Replace, SetBody, SetStatus
from blynkscope.protocol import commands
from blynkscope.protocol.bodies import EMAIL, OPERATIONS, WHOLE_KEYS
from blynkscope.protocol.frames import Frame, build
from blynkscope.protocol.model import Dialect
from blynkscope.protocol.schema import Body

_PROPERTY_LETTER = "V"
_MAIL_PARTS = ("to", "subject", "text")
UNWRITABLE = frozenset(
    {"bridge_token", "extra", "inflated", "json", "pins", "problem", "profile", "streams", "published"}
)
"""What is read out of a body and cannot be written back by its name alone."""
WRITABLE = frozenset(
    {"args", "bridge", "data", "dash", "description", "event", "host", "mark", "mode", "op", "pin", "port", "property",
     "scope", "subject", "target", "text", "timestamp_ms", "to", "token", "value", "values"}
)  # fmt: skip
"""Names that mean something in bodies of devices; others of the command table are taken too."""


class Unfit(Exception):  # noqa: N818 - it is no mistake: the edit does not suit the frame
    """The edit cannot be made to this frame, which stays as it is; the text says why."""


class Draft:
    """A frame while rules edit it. `data` is what will be sent; `damaged` once it is no frame any more."""

    __slots__ = ("body", "cmd", "damaged", "data", "dialect", "id", "word")

    def __init__(self, dialect: Dialect, cmd: int, message_id: int, word: int, body: bytes, wire: bytes) -> None:
        self.dialect = dialect
        self.cmd = cmd
        self.id = message_id
        self.word = word
        self.body = body
        self.data = wire
        self.damaged = False

    def apply(self, edit: Edit, random: Random) -> str:
        """Make one edit.

        Returns:
            What was done, in a few words.

        Raises:
            Unfit: It cannot be made; nothing was changed.
        """
        if isinstance(edit, Corrupt):
            return self._corrupt(edit, random)
        if isinstance(edit, Replace | SetBody | SetStatus):
            if self.damaged:
                raise Unfit("an earlier action damaged the frame")
            if isinstance(edit, SetStatus):
                return self._status(edit.status)
            if self.cmd == commands.RESPONSE:
                raise Unfit("a RESPONSE has no body")
            if isinstance(edit, SetBody):
                self._rebuild(edit.body)
                return f"a body of {len(edit.body)} bytes"
            self._rebuild(replaced(self.dialect, self.cmd, self.body, edit))
            return "new " + ", ".join(name for name, _ in edit.fields)
        if len(self.data) <= edit.size:
            raise Unfit(f"the frame has {len(self.data)} bytes only")
        whole = len(self.data)
        self.data = self.data[: edit.size]
        self.damaged = True
        return f"{edit.size} of {whole} bytes"

    def _status(self, status: int) -> str:
        if self.cmd != commands.RESPONSE:
            raise Unfit("it is no RESPONSE")
        before = self.word
        self.data = framed(self.dialect, commands.RESPONSE, self.id, status, b"")
        self.word = status
        return f"status {before} became {status}"

    def _rebuild(self, body: bytes) -> None:
        self.data = framed(self.dialect, self.cmd, self.id, None, body)
        self.body = body

    def _corrupt(self, edit: Corrupt, random: Random) -> str:
        size = len(self.data)
        # Both numbers are always drawn, so that one rule's chance does not hang on the frame's length.
        place, mask = random.random(), random.randrange(1, 256)
        offset = int(place * size) if edit.offset is None else edit.offset
        mask = mask if edit.xor is None else edit.xor
        if not -size <= offset < size:
            raise Unfit(f"the frame has {size} bytes, none at {offset}")
        offset %= size
        damaged = bytearray(self.data)
        damaged[offset] ^= mask
        self.data = bytes(damaged)
        self.damaged = True
        return f"byte {offset} xor 0x{mask:02X}"


def framed(dialect: Dialect, cmd: int, message_id: int, status: int | None, body: bytes) -> bytes:
    """The bytes of a frame.

    Raises:
        Unfit: The body is longer than the header can tell.
    """
    try:
        return build(Frame(dialect, cmd, message_id, status, body))
    except con.ConstructError:
        raise Unfit(f"a body of {len(body)} bytes does not fit the header") from None


def replaced(dialect: Dialect, cmd: int, body: bytes, edit: Replace) -> bytes:
    """A body with other texts in some of its fields; all others keep their bytes.

    Raises:
        Unfit: The body has no such field, or the schema cannot put it together again.
    """
    row = commands.find(cmd, dialect)
    if row is None:
        raise Unfit(f"command {cmd} is not known, so its body has no fields: use body")
    try:
        parsed = row.body.parse(body)
        checks = [_put(row.body, parsed, name, values) for name, values in edit.fields]
        made = row.body.build(parsed)
        again = row.body.parse(made)
        if all(_held(again, inner, key) == wanted for inner, key, wanted in checks):
            return made
    except (con.ConstructError, KeyError, AttributeError, TypeError, ValueError, IndexError):
        pass
    raise Unfit(f"the body of this {row.name} cannot be put together with the new values")


def _held(parsed: Any, inner: bool, key: str) -> Any:
    return (parsed.detail if inner else parsed)[key]


def _put(body: Body, parsed: Any, name: str, values: tuple[str, ...]) -> tuple[bool, str, Any]:
    """Set one field of a parsed body; returns where, and what must be there when the body is read again."""
    name = name.removeprefix("fields.")
    raw = [value.encode() for value in values]
    if "parts" in parsed:
        change = _in_mail if body is EMAIL else _in_pairs
        parsed["parts"] = change(parsed["parts"], name, raw)
        return False, "parts", list(parsed["parts"])
    detail = parsed.get("detail")
    for inner, holder in ((True, detail), (False, parsed)):
        if isinstance(holder, dict):
            key, value = _located(holder, parsed, inner, name, values, raw)
            if key:
                holder[key] = value
                return inner, key, value
    raise Unfit(f"its body has no {name}")


def _located(
    holder: Any, parsed: Any, inner: bool, name: str, values: tuple[str, ...], raw: list[bytes]
) -> tuple[str, Any]:
    """Under which key a holder has a field, and what to put there; no key where it lacks it."""
    operation = OPERATIONS.get((parsed.get("op") or b"").decode("latin-1"))
    if name == "pin":
        letter = operation.letter if inner and operation else _PROPERTY_LETTER
        pins = [_pin(value, letter) for value in values]
        if inner and "pins" in holder:
            return "pins", pins
        if "pin" in holder and (inner or "detail" not in parsed):
            return "pin", _single(pins, name)
        return "", None
    if name == "mode":
        modes = holder.get("modes")
        if not modes or len(modes) < 2:
            return "", None
        mode = _single(raw, name)
        return "modes", [mode if index % 2 else part for index, part in enumerate(modes)]
    if name == "bridge":
        return ("pin", _pin(values[0], _PROPERTY_LETTER)) if not inner and "detail" in holder else ("", None)
    key = {"value": "values"}.get(name, name)
    if key not in holder or key.startswith("_"):
        return "", None
    if isinstance(holder[key], list):
        return key, raw
    if isinstance(holder[key], bytes | None):
        return key, _single(raw, name)
    return "", None


def _single(values: list[bytes], name: str) -> bytes:
    if len(values) != 1:
        raise Unfit(f"its body has one {name}, not {len(values)}")
    return values[0]


def _pin(text: str, letter: str) -> bytes:
    number = text[1:] if text[:1].isalpha() else text
    if text[:1].isalpha() and text[0].upper() != letter:
        raise Unfit(f"its pins are {letter} pins")
    return number.encode()


def _in_pairs(parts: list[bytes], name: str, values: list[bytes]) -> list[bytes]:
    """A row of keys and values with another value for one of them."""
    key = name.encode()
    if parts and parts[0] == key and name in WHOLE_KEYS:
        return [key, *values]
    for index in range(0, len(parts) - 1, 2):
        if parts[index] == key:
            return [*parts[: index + 1], _single(values, name), *parts[index + 2 :]]
    raise Unfit(f"its body has no {name}")


def _in_mail(parts: list[bytes], name: str, values: list[bytes]) -> list[bytes]:
    """The parts of a mail with another recipient, subject or text."""
    if name not in _MAIL_PARTS:
        raise Unfit(f"its body has no {name}")
    index = _MAIL_PARTS.index(name) - (0 if len(parts) >= len(_MAIL_PARTS) else 1)
    if not 0 <= index < len(parts):
        raise Unfit(f"its body has no {name}")
    rest = parts[index + 1 :] if name != "text" else []
    return [*parts[:index], _single(values, name), *rest]
