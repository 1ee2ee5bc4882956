"""Bodies whose layout depends on who wrote them, although the command is the same.

An app's request begins with the number of a dashboard (`1`, or `1-0` with the device); its answer is a token, a host or
a JSON document. A device names its bridge pin first; what the server hands on to the other device is a bare HW body.
`Leading` tells them apart by their first bytes, so that a token is masked and a dashboard's number is not.
"""

from __future__ import annotations

import re
from typing import Any

import construct as con

from blynkscope.protocol import limits
from blynkscope.protocol.bodies import (
    BRIDGE,
    TARGET_OPERATION,
    json_fields,
    json_reading,
    operation_fields,
    operation_problem,
    operation_reading,
)
from blynkscope.protocol.schema import Body, Fields, Part, Parts, part_came_before, readable, words


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


_NUMBER = rb"[0-9]{1,10}(-[0-9]{1,10})?(\0.*)?"
"""A dashboard, a dashboard and device, a widget or a tag: decimal, then the end or a separator."""


def _present(parsed: Any, *names: str) -> Fields:
    return {name: readable(parsed[name]) for name in names if parsed[name] is not None}


def _labelled(fields: Fields) -> str:
    return " · ".join(f"{name} {value}" for name, value in fields.items() if isinstance(value, str) and value)


DASH_OR_TOKEN = Body(
    "dash[-device] in the request, token in the answer",
    con.Struct("dash" / Leading(_NUMBER), "token" / Part("token"), "extra" / Parts()),
    lambda parsed: {
        **_present(parsed, "dash", "token"),
        **({"extra": [readable(part) for part in parsed.extra]} if parsed.extra else {}),
    },
    _labelled,
    longest=limits.PLAUSIBLE_TEXT_BODY,
)
SERVER_ADDRESS = Body(
    "email · app in the request, host in the answer",
    con.Struct("host" / Leading(rb"[^\0@]+"), "email" / Part("email"), "app" / Part(), "extra" / Parts()),
    lambda parsed: _present(parsed, "host", "email", "app"),
    _labelled,
    longest=limits.PLAUSIBLE_TEXT_BODY,
)


def _document_fields(parsed: Any) -> Fields:
    fields = _present(parsed, "dash", "item")
    if parsed.json is not None:
        fields.update(json_fields(parsed.json))
    if parsed.extra:
        fields["extra"] = [readable(part) for part in parsed.extra]
    return fields


def _document_reading(fields: Fields) -> str:
    head = [f"{name} {fields[name]}" for name in ("dash", "item") if name in fields]
    return " · ".join([*head, *([json_reading(fields)] if {"json", "text"} & fields.keys() else [])])


DOCUMENT = Body(
    "[dash[-device] ·] [item ·] JSON",
    con.Struct("dash" / Leading(_NUMBER), "item" / Leading(_NUMBER), "json" / Part(), "extra" / Parts()),
    _document_fields,
    _document_reading,
    longest=limits.APP_BODY_MAX,
)
PUSH_TOKEN = words("dash", "uid", "token", secrets={"token": "token"}, required=3, longest=limits.PLAUSIBLE_TEXT_BODY)
TARGET_PROPERTY = words(
    "target", "item", "property", rest="values", required=3, longest=limits.APP_BODY_MAX,
    reading=lambda fields: f"{fields.get('target', '?')}: {fields.get('item', '?')} {fields.get('property', '?')} = "
    + ", ".join(fields.get("values", [])),
)  # fmt: skip
APP_SYNC = Body(
    f"dash[-device] in the request; {TARGET_OPERATION.layout} in what is replayed",
    TARGET_OPERATION.schema,
    lambda parsed: _present(parsed, "target") if parsed.op is None else TARGET_OPERATION.project(parsed),
    lambda fields: TARGET_OPERATION.reading(fields) if "op" in fields else f"sync {fields.get('target', '?')}",
    TARGET_OPERATION.check,
    longest=limits.APP_BODY_MAX,
)


def _names_bridge(parsed: Any) -> bool:
    return parsed.pin is not None or parsed.op == b"i"


_BRIDGE: Any = BRIDGE.schema
BRIDGE_MESSAGE = Body(
    f"{BRIDGE.layout}; to the other device: (HW body)",
    con.Struct("pin" / Leading(rb"[0-9]+(\0.*)?"), *_BRIDGE.subcons[1:]),
    lambda parsed: BRIDGE.project(parsed) if _names_bridge(parsed) else operation_fields(parsed),
    lambda fields: BRIDGE.reading(fields) if "bridge" in fields else operation_reading(fields),
    lambda parsed: BRIDGE.check(parsed) if _names_bridge(parsed) else operation_problem(parsed),
)
