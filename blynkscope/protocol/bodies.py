"""What the bodies of messages look like, as construct schemas: one declaration a kind of body.

The elements and what a `Body` can do are in `protocol.schema`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import construct as con

from blynkscope.protocol import limits
from blynkscope.protocol.schema import (
    NUL,
    Body,
    BoundedZlib,
    Fields,
    Part,
    Parts,
    joined,
    part_came_before,
    readable,
    words,
)


class Leading(Part):
    """A part that is there only if what is left of the body matches; otherwise `None`, and nothing is consumed.

    Args:
        pattern: Regular expression for everything from this part to the end of the body.
        secret: What kind of secret it holds, if any.
    """

    def __init__(self, pattern: bytes, secret: str | None = None) -> None:
        super().__init__(secret)
        self.pattern = re.compile(pattern, re.DOTALL)

    def _parse(self, stream: Any, context: Any, path: str) -> bytes | None:
        start = stream.tell()
        rest = stream.read()
        stream.seek(start)
        if not self.pattern.fullmatch(rest, 1 if part_came_before(stream) else 0):
            return None
        return super()._parse(stream, context, path)


def _token_problem(parsed: Any) -> str | None:
    token = parsed["token"] or b""
    return None if all(0x20 < byte < 0x7F for byte in token) else "a token holds printable ASCII only"


EMPTY = Body(
    "(empty)",
    con.Struct("extra" / con.GreedyBytes),
    lambda parsed: {"extra": readable(parsed.extra)},
    lambda fields: f"unexpected body: {fields['extra']}" if fields else "",
    lambda parsed: "this command has no body",
    longest=0,
)
RAW = Body(
    "bytes",
    con.Struct("data" / con.GreedyBytes),
    lambda parsed: {"text": readable(parsed.data)},
    lambda fields: fields.get("text", ""),
)
TEXT = Body(
    "text",
    con.Struct("text" / con.GreedyBytes),
    lambda parsed: {"text": readable(parsed.text.removesuffix(NUL))},
    lambda fields: fields.get("text", ""),
    longest=limits.PLAUSIBLE_TEXT_BODY,
)
_LOGIN = words("token", secrets={"token": "token"}, required=1, longest=limits.PLAUSIBLE_TOKEN_BODY)
LOGIN = Body(
    "token",
    _LOGIN.schema,
    _LOGIN.project,
    lambda fields: f"token {fields['token']}" if fields.get("token") else "no token",
    _token_problem,
    limits.PLAUSIBLE_TOKEN_BODY,
)
REDIRECT = words(
    "host", "port", required=1, longest=limits.PLAUSIBLE_TEXT_BODY,
    reading=lambda fields: f"go to {fields.get('host', '')}" + (f":{fields['port']}" if fields.get("port") else ""),
)  # fmt: skip
EVENT_LOG = words(
    "event", "description", required=1, longest=limits.PLAUSIBLE_TEXT_BODY,
    reading=lambda fields: f"event {fields.get('event', '')}"
    + (f": {fields['description']}" if fields.get("description") else ""),
)  # fmt: skip
EVENT_CLEAR = words(
    "event", "scope", required=1, longest=limits.PLAUSIBLE_TEXT_BODY,
    reading=lambda fields: f"clear event {fields.get('event', '')}" + (" (all)" if fields.get("scope") else ""),
)  # fmt: skip
GROUP = words(
    "mark", "timestamp_ms", required=1, longest=limits.PLAUSIBLE_TOKEN_BODY,
    reading=lambda fields: {"b": "begin of a group", "t": "begin of a group at {} ms", "e": "end of a group"}
    .get(fields.get("mark", ""), "group " + fields.get("mark", ""))
    .replace("{}", fields.get("timestamp_ms", "?")),
)  # fmt: skip


def _pin_name(letter: str, number: str) -> str:
    return letter + number


def _property_reading(fields: Fields) -> str:
    return f"{fields.get('pin', '?')} {fields.get('property', '?')} = {joined(fields.get('values', []))}"


def _property_fields(parsed: Any) -> Fields:
    fields = _PROPERTY.project(parsed)
    if fields and "pin" in fields:
        fields["pin"] = _pin_name("V", fields["pin"])
    return fields or {}


_PROPERTY = words("pin", "property", rest="values", required=2)
PROPERTY = Body("pin · property · value…", _PROPERTY.schema, _property_fields, _property_reading, _PROPERTY.check)


def _mail_fields(parsed: Any) -> Fields:
    parts = [readable(part) for part in parsed["parts"]]
    if len(parts) >= 3:
        return {"to": parts[0], "subject": parts[1], "text": "\0".join(parts[2:])}
    return dict(zip(("subject", "text"), parts, strict=False))


EMAIL = Body(
    "[to ·] subject · text",
    con.Struct("parts" / Parts()),
    _mail_fields,
    lambda fields: (f"to {fields['to']}: " if "to" in fields else "") + fields.get("subject", ""),
    lambda parsed: None if len(parsed["parts"]) >= 2 else "no text after the subject",
    limits.PLAUSIBLE_TEXT_BODY,
)


# --- pins -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Operation:
    """What follows an operation code in a HW body.

    Args:
        letter: Letter before the pin's number: V, D or A.
        shape: "values" (pin, then values), "pins" (pins only) or "modes" (pin and mode in turn).
        writes: True where the operation sets the value of a pin.
        doc: What it does.
    """

    letter: str
    shape: str
    writes: bool
    doc: str


OPERATIONS: dict[str, Operation] = {
    "vw": Operation("V", "values", True, "write a virtual pin"),
    "dw": Operation("D", "values", True, "write a digital pin"),
    "aw": Operation("A", "values", True, "write an analog (PWM) pin"),
    "vm": Operation("V", "values", False, "several values for a virtual pin, replayed"),
    "vr": Operation("V", "pins", False, "ask for virtual pins"),
    "dr": Operation("D", "pins", False, "ask for digital pins"),
    "ar": Operation("A", "pins", False, "ask for analog pins"),
    "pm": Operation("D", "modes", False, "set pin modes (in, out, pu, pd, pwm)"),
}

_SHAPES = {
    "values": con.Struct("pin" / Part(), "values" / Parts()),
    "pins": con.Struct("pins" / Parts()),
    "modes": con.Struct("modes" / Parts()),
}
_ARGUMENTS = con.Switch(
    con.this.op,
    {code.encode(): _SHAPES[operation.shape] for code, operation in OPERATIONS.items()},
    default=con.Struct("args" / Parts()),
)


def _pins(op: str, operation: Operation, detail: Any) -> list[Fields]:
    if operation.shape == "values":
        if detail.pin is None:
            return []
        values = [readable(value) for value in detail["values"]]
        return [{"pin": _pin_name(operation.letter, readable(detail.pin)), "values": values}]
    if operation.shape == "pins":
        return [{"pin": _pin_name(operation.letter, readable(pin))} for pin in detail.pins]
    texts = [readable(part) for part in detail.modes]
    modes: list[str | None] = [*texts[1::2]]
    if len(texts) % 2:
        modes.append(None)
    return [
        {"pin": _pin_name(operation.letter, pin), "mode": mode} for pin, mode in zip(texts[::2], modes, strict=True)
    ]


def operation_fields(parsed: Any) -> Fields:
    """`op` and `pins` of a parsed HW body; `op` and `args` where the operation is unknown."""
    op = readable(parsed.op or b"")
    operation = OPERATIONS.get(op)
    if operation is None:
        return {"op": op, "args": [readable(part) for part in parsed.detail["args"]]}
    return {"op": op, "pins": _pins(op, operation, parsed.detail)}


def operation_reading(fields: Fields) -> str:
    """A HW body in a few words: `V1 = 23.5`, `read V1, V4`."""
    op = fields.get("op", "")
    operation = OPERATIONS.get(op)
    if operation is None:
        return " ".join([op, *fields.get("args", [])])
    pins = fields["pins"]
    if operation.shape == "values":
        return f"{pins[0]['pin']} = {joined(pins[0]['values'])}" if pins else f"{op} without a pin"
    if operation.shape == "pins":
        return "read " + joined([pin["pin"] for pin in pins]) if pins else f"{op} without a pin"
    return "pin mode " + joined([f"{pin['pin']} {pin['mode']}" for pin in pins]) if pins else "pin mode, no pins"


def _pin_problem(raw: bytes) -> str | None:
    # isdigit() of bytes is ASCII only, and no number is converted: a pin may be a million digits long.
    return None if raw.isdigit() and len(raw) <= 3 else f"{readable(raw[:20])!r} is no pin number"


def operation_problem(parsed: Any) -> str | None:
    """Why a HW body is not well-formed, or None."""
    op = readable(parsed.op or b"")
    operation = OPERATIONS.get(op)
    if operation is None:
        return None if len(op) == 2 and op.isascii() and op.isalpha() else f"{op[:20]!r} is no operation"
    detail = parsed.detail
    if operation.shape == "values":
        if detail.pin is None:
            return f"{op} without a pin"
        if not detail["values"]:
            return f"{op} without a value"
        return _pin_problem(detail.pin) or (f"{op} with an empty value" if detail["values"] == [b""] else None)
    if operation.shape == "pins":
        problems = [_pin_problem(pin) for pin in detail.pins if pin]
        return next((problem for problem in problems if problem), None)
    return next((problem for pin in detail.modes[::2] if pin and (problem := _pin_problem(pin))), None)


_OPERATION_LAYOUT = "vw · pin · value…, dw/aw · pin · value, vr/dr/ar · pin…, pm · pin · mode…"
PIN_OPERATION = Body(
    _OPERATION_LAYOUT,
    con.Struct("op" / Part(), "detail" / _ARGUMENTS),
    operation_fields,
    operation_reading,
    operation_problem,
    shortest=2,
)


def _target_fields(parsed: Any) -> Fields:
    return {"target": readable(parsed.target or b""), **operation_fields(parsed)}


def _target_problem(parsed: Any) -> str | None:
    target = parsed.target or b""
    dash, _, device = target.partition(b"-")
    if not dash.isdigit() or (device and not device.isdigit()):
        return f"{readable(target[:20])!r} is no dashboard-device address"
    return None if parsed.op is None else operation_problem(parsed)


TARGET_OPERATION = Body(
    f"dash[-device] · ({_OPERATION_LAYOUT})",
    con.Struct("target" / Part(), "op" / Part(), "detail" / _ARGUMENTS),
    _target_fields,
    lambda fields: f"{fields.get('target', '?')}: {operation_reading(fields)}",
    _target_problem,
    longest=limits.APP_BODY_MAX,
)


def _sync_reading(fields: Fields) -> str:
    pins = fields.get("pins")
    return "sync " + joined([pin["pin"] for pin in pins]) if pins else "sync all pins"


def _sync_problem(parsed: Any) -> str | None:
    if (parsed.op or b"") not in {b"vr", b"ar", b"dr"}:
        return f"{readable((parsed.op or b'')[:20])!r} cannot be synchronised"
    return operation_problem(parsed)


SYNC = Body(
    "(empty: all pins) or vr/ar/dr · pin…",
    PIN_OPERATION.schema,
    operation_fields,
    _sync_reading,
    _sync_problem,
    limits.PLAUSIBLE_TEXT_BODY,
)
_BRIDGE_INIT = con.Struct("token" / Part("token"), "extra" / Parts())
BRIDGE = Body(
    "pin · i · token, or pin · (HW body)",
    con.Struct(
        "pin" / Part(),
        "op" / Part(),
        "detail" / con.Switch(con.this.op, {b"i": _BRIDGE_INIT, **_ARGUMENTS.cases}, default=_ARGUMENTS.default),
    ),
    lambda parsed: (
        {
            "bridge": _pin_name("V", readable(parsed.pin or b"")),
            "op": "i",
            "token": readable(parsed.detail.token or b""),
        }
        if parsed.op == b"i"
        else {"bridge": _pin_name("V", readable(parsed.pin or b"")), **operation_fields(parsed)}
    ),
    lambda fields: (
        f"bridge {fields.get('bridge', '?')} to token {fields['token']}"
        if fields.get("op") == "i"
        else f"bridge {fields.get('bridge', '?')}: {operation_reading(fields)}"
    ),
    lambda parsed: _pin_problem(parsed.pin or b"") or (None if parsed.op else "no bridge command"),
)


# --- key and value ----------------------------------------------------------------------------------------------------

WHOLE_KEYS = frozenset({"rtc", "utc", "meta", "ota", "vfs", "dbg", "acon", "adis"})
"""INTERNAL messages whose first key takes all that follows; others are key/value pairs."""


def _key_values(parsed: Any) -> Fields:
    parts = [readable(part) for part in parsed.parts]
    # The C++ library ends its info with a NUL.
    if len(parts) > 1 and parts[-1] == "" and len(parts) % 2:
        parts.pop()
    if parts[0] in WHOLE_KEYS:
        rest = parts[1:]
        return {parts[0]: rest[0] if len(rest) == 1 else rest or None}
    fields: Fields = {}
    for key, value in zip(parts[::2], [*parts[1::2], None][: len(parts[::2])], strict=True):
        if key not in fields:
            fields[key] = value
        elif isinstance(fields[key], list):
            fields[key].append(value)
        else:
            fields[key] = [fields[key], value]
    return fields


def _key_value_reading(fields: Fields) -> str:
    shown = []
    for key, value in fields.items():
        text = " ".join(str(item) for item in value) if isinstance(value, list) else value
        shown.append(key if text is None else f"{key} {text}")
    return " · ".join(shown)


def _printable_problem(parsed: Any) -> str | None:
    key = parsed.parts[0]
    return None if key and all(0x20 < byte < 0x7F for byte in key) else f"{readable(key[:20])!r} is no key"


INTERNAL = Body(
    "key · value…, or rtc/utc/meta/ota/vfs/dbg · value…, or acon/adis",
    con.Struct("parts" / Parts()),
    _key_values,
    _key_value_reading,
    _printable_problem,
    shortest=2,
)


# --- JSON and profiles ------------------------------------------------------------------------------------------------


def json_fields(raw: bytes) -> Fields:
    """`json` with values that every JSON writer takes, or `text` where it is no JSON."""
    if len(raw) > limits.JSON_MAX:
        shown = readable(raw[: limits.JSON_MAX])
        return {"text": shown, "problem": f"longer than {limits.JSON_MAX} bytes: shown in part, and not parsed"}
    try:
        return {"json": _json_safe(json.loads(raw))}
    except (ValueError, RecursionError):
        return {"text": readable(raw)}


_CHECKED = 16 * 1024
"""Bytes of a document that are looked at to tell whether it is one."""
_LITERALS = ("true", "false", "null", "NaN", "-Infinity", "Infinity")
_NUMBER_REST = re.compile(r"[.eE+-]{1,2}")


def json_problem(raw: bytes | None) -> str | None:
    """Why this is no JSON document, or None. One that is cut at its end counts as one."""
    if raw is None:
        return None
    text = raw[:_CHECKED].decode("utf-8", "replace").rstrip("\ufffd")
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        rest = text[error.pos :]
        cut = not rest or error.msg.startswith("Unterminated") or ("escape" in error.msg and len(rest) <= len("uXXXX"))
        cut = cut or (error.msg == "Expecting value" and any(word.startswith(rest) for word in _LITERALS))
        cut = cut or _NUMBER_REST.fullmatch(rest) is not None
        return None if cut else f"no JSON at {error.pos}: {error.msg}"
    except (ValueError, RecursionError):
        return None
    return None


def _json_safe(value: Any, levels: int = limits.JSON_LEVELS_MAX) -> Any:
    """JSON values that every JSON reader takes: no NaN, no integers beyond 64 bits, no lone surrogates.

    Raises:
        ValueError: They are nested more deeply than `levels`.
    """
    if levels < 0:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        return str(value)
    if isinstance(value, list):
        return [_json_safe(item, levels - 1) for item in value]
    if isinstance(value, dict):
        return {_json_safe(key): _json_safe(item, levels - 1) for key, item in value.items()}
    return value


def json_reading(fields: Fields) -> str:
    """The beginning of a JSON body on one line."""
    if "json" in fields:
        return json.dumps(fields["json"], ensure_ascii=False, separators=(",", ":"))[:200]
    return str(fields.get("text", ""))


class _Packed(BoundedZlib):
    """The same of what is left of a body; None where nothing is."""

    def _decode(self, obj: bytes, context: Any, path: str) -> Any:
        return super()._decode(obj, context, path) if obj else None

    def _encode(self, obj: Any, context: Any, path: str) -> bytes:
        return b"" if obj is None else super()._encode(obj, context, path)


def _profile_fields(parsed: Any) -> Fields:
    fields: Fields = {name: readable(part) for name in _REQUESTED if (part := parsed[name]) is not None}
    profile = parsed.profile
    if profile is None:
        return fields
    if profile.data is None:
        return {**fields, "text": readable(profile.packed), "problem": profile.problem}
    fields |= {"inflated": len(profile.data), **json_fields(profile.data)}
    if profile.problem:
        fields["problem"] = profile.problem
    return fields


def _profile_reading(fields: Fields) -> str:
    if "inflated" in fields:
        return f"{fields['inflated']} bytes inflated: {json_reading(fields)}"
    asked = [f"{name} {fields[name]}" for name in _REQUESTED if fields.get(name)]
    return " · ".join(asked) if asked else json_reading(fields)


_REQUESTED = ("dash", "token", "published")
PROFILE = Body(
    "zlib(JSON); in a request dash, or token [· dash]",
    con.Struct(
        # Compressed JSON is never made of these characters alone.
        "dash" / Leading(rb"[0-9]{1,10}"),
        "token" / Leading(rb"[0-9A-Za-z_-]{2,64}(\0[0-9]{1,10})?", "token"),
        "published" / Leading(rb"[0-9]{1,10}"),
        "profile" / _Packed(con.GreedyBytes),
    ),
    _profile_fields,
    _profile_reading,
    longest=limits.APP_BODY_MAX,
)
