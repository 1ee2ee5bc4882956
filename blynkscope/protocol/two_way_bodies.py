"""Bodies whose layout depends on who wrote them, although the command is the same.

An app's request begins with the number of a dashboard (`1`, or `1-0` with the device); its answer is a token, a host or
a JSON document. A device names its bridge pin first; what the server hands on to the other device is a bare HW body.
`Leading` tells them apart by their first bytes, so that a token is masked and a dashboard's number is not.
"""

from __future__ import annotations

from typing import Any

import construct as con

from blynkscope.protocol import limits
from blynkscope.protocol.bodies import (
    BRIDGE,
    TARGET_OPERATION,
    Leading,
    operation_fields,
    operation_problem,
    operation_reading,
)
from blynkscope.protocol.schema import Body, Fields, Part, Parts, readable

__all__ = [
    "APP_SYNC",
    "BRIDGE_MESSAGE",
    "DASH_OR_TOKEN",
    "NUMBER",
    "SERVER_ADDRESS",
    "Leading",
    "labelled",
    "present",
]

NUMBER = rb"[0-9]{1,10}(-[0-9]{1,10})?(\0.*)?"
"""A dashboard, a dashboard and device, a widget or a tag: decimal, then the end or a separator."""


def present(parsed: Any, *names: str) -> Fields:
    """The named parts that are there, as text."""
    return {name: readable(parsed[name]) for name in names if parsed[name] is not None}


def labelled(fields: Fields) -> str:
    """Each text with its name before it."""
    return " · ".join(f"{name} {value}" for name, value in fields.items() if isinstance(value, str) and value)


DASH_OR_TOKEN = Body(
    "dash[-device] in the request, token in the answer",
    con.Struct("dash" / Leading(NUMBER), "token" / Part("token"), "extra" / Parts()),
    lambda parsed: {
        **present(parsed, "dash", "token"),
        **({"extra": [readable(part) for part in parsed.extra]} if parsed.extra else {}),
    },
    labelled,
    longest=limits.PLAUSIBLE_TEXT_BODY,
)
SERVER_ADDRESS = Body(
    "email · app in the request, host in the answer",
    con.Struct("host" / Leading(rb"[^\0@]+"), "email" / Part("email"), "app" / Part(), "extra" / Parts()),
    lambda parsed: present(parsed, "host", "email", "app"),
    labelled,
    longest=limits.PLAUSIBLE_TEXT_BODY,
)


APP_SYNC = Body(
    f"dash[-device] in the request; {TARGET_OPERATION.layout} in what is replayed",
    TARGET_OPERATION.schema,
    lambda parsed: present(parsed, "target") if parsed.op is None else TARGET_OPERATION.project(parsed),
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
