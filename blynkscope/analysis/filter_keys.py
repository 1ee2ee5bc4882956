"""What a filter may ask about: keys of frames and of messages of other protocols, and how their values are got."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import construct as con

from blynkscope.analysis.pins import BAD, LADDER
from blynkscope.analysis.records import FrameRecord, MessageRecord
from blynkscope.protocol import commands, statuses
from blynkscope.protocol.bodies import WHOLE_KEYS
from blynkscope.protocol.schema import Part, Parts

Speech = FrameRecord | MessageRecord
Predicate = Callable[[Speech], bool]
Getter = Callable[[Speech], tuple[Any, ...]]


WRITE_STATES = (*LADDER, *BAD)
KEYS: dict[str, str] = {
    "n": "number of the frame",
    "time": "seconds since the epoch",
    "stream": "number of the connection",
    "src": "sender's address:port",
    "dst": "receiver's address:port",
    "sender": "device, server, app or unknown",
    "dialect": "hardware, app or web",
    "via": "layers, outside in: tcp, tls1.2, websocket, …; tls stands for any version",
    "layer": "the same",
    "cmd": "command, by number or any of its names",
    "name": "canonical name of the command, as text",
    "id": "message id",
    "length": "declared length of the body",
    "status": "status of a RESPONSE, by number or any of its names; of an HTTP call, by number",
    "status_name": "canonical name of the status, as text",
    "body": "the body, as hex digits",
    "text": "the one-line reading",
    "answers": "number of the frame (of the message, where it is one) that this one answers",
    "rtt_ms": "milliseconds since that; of an HTTP call, until its answer",
    "write": "final state of a pin write; alone: is it a pin write",
    "findings": "ids of findings",
    "pin": "pins of the body, like V1; of an HTTP call or MQTT packet, those that it writes or reads",
    "value": "values of the body",
    "protocol": "http or mqtt, of messages that are no frames; null of frames",
    "kind": "what such a message is for: rest-update, ota-start, firmware-download, uplink-ds, …",
}
WORDS: dict[str, str] = {
    "answer": "the frame answers another one",
    "error": "a RESPONSE with another status than success, an HTTP status of 400 or more, a refusal of MQTT",
    **{state: f"a pin write that ended as {state}" for state in WRITE_STATES},
}
_UNREAD = frozenset({"parts", "modes"})
"""Parts of schemas that no `fields` have under this name."""
_PROJECTED = frozenset(
    {"args", "bridge", "extra", "inflated", "json", "mode", "op", "pins", "problem", "streams", "subject", "target",
     "text", "to", "values"}
)  # fmt: skip
"""Keys that bodies make of their parts, beside the names of the parts."""
_DEVICE_KEYS = frozenset(
    {"blynk", "buff-in", "build", "con", "cpu", "dev", "fw", "fw-type", "h-beat", "mcu", "net", "sdk", "tmpl", "ver"}
)
"""What devices say about themselves; other keys than these can only be written `fields.KEY`."""
MESSAGE_KEYS = frozenset(
    {"method", "target", "path", "host", "content_type", "user_agent", "location", "topic", "qos", "retain", "user",
     "client_id", "datastream", "return_code", "reason"}
)  # fmt: skip
"""Members of the detail of messages that may be written alone; others are written `fields.KEY`."""
_HTTP_ERRORS = 400
"""HTTP statuses from here on are errors."""
_MQTT_REFUSALS = 0x80
"""Reason codes of MQTT from here on are errors; before, only those of a CONNACK are."""


def _part_names(schema: Any, name: str = "") -> Iterator[str]:
    """The names under which a schema has its parts."""
    if isinstance(schema, con.Renamed):
        yield from _part_names(schema.subcon, schema.name or name)
    elif isinstance(schema, con.Struct):
        for sub in schema.subcons:
            yield from _part_names(sub)
    elif isinstance(schema, con.Switch):
        for case in (*schema.cases.values(), schema.default):
            yield from _part_names(case, name)
    elif isinstance(schema, Part | Parts):
        yield name


@cache
def field_names() -> frozenset[str]:
    """The keys of bodies that may be written without `fields.`.

    They are those of the command table's schemas, what devices are known to say about themselves, and those of HTTP
    and MQTT.
    """
    named = {name for row in commands.COMMANDS for name in _part_names(row.body.schema)}
    return frozenset((named - _UNREAD) | _PROJECTED | _DEVICE_KEYS | WHOLE_KEYS | MESSAGE_KEYS)


def number_of(value: Any) -> float | None:
    """A value as a number; None where it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str) and len(value) <= 40:
        try:
            return float(int(value, 16)) if value[:2] in {"0x", "0X"} else float(value)
        except (ValueError, OverflowError):
            return None
    return None


def _field_values(record: Speech, key: str) -> tuple[Any, ...]:
    fields = record.detail if isinstance(record, MessageRecord) else record.fields
    if not fields:
        return ()
    if key in fields:
        value = fields[key]
        return tuple(value) if isinstance(value, list) else (value,)
    return ()


def _entries(record: Speech) -> list[dict[str, Any]]:
    """The pins of a HW body; none of a body in which a device happens to have a key of that name."""
    if isinstance(record, MessageRecord):
        return []
    entries = (record.fields or {}).get("pins")
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _written(record: MessageRecord) -> dict[str, Any]:
    """What a message writes to several pins or datastreams."""
    values = record.detail.get("values")
    return values if isinstance(values, dict) else {}


def _pins(record: Speech) -> tuple[Any, ...]:
    if isinstance(record, MessageRecord):
        return tuple(dict.fromkeys([*_field_values(record, "pin"), *_written(record)]))
    return tuple(entry["pin"] for entry in _entries(record)) or _field_values(record, "pin")


def _values(record: Speech) -> tuple[Any, ...]:
    if isinstance(record, MessageRecord):
        each = [item for value in _written(record).values() for item in (value if isinstance(value, list) else [value])]
        return (*_field_values(record, "value"), *(each or _field_values(record, "values")))
    entries = _entries(record)
    if entries:
        return tuple(value for entry in entries for value in entry.get("values", ()))
    return _field_values(record, "values")


def _modes(record: Speech) -> tuple[Any, ...]:
    return tuple(entry.get("mode") for entry in _entries(record)) or _field_values(record, "mode")


_OF_BODIES: dict[str, Getter] = {"pin": _pins, "pins": _pins, "value": _values, "values": _values, "mode": _modes}


def getter_of(key: str) -> Getter:
    """How the values of a key are got from a record; none where it lacks the key."""
    inner = key.removeprefix("fields.")
    if inner in _OF_BODIES:
        return _OF_BODIES[inner]
    if key in {"via", "layer"}:
        return _layers
    if key == "findings":
        return lambda record: record.findings
    if key == "status":
        return lambda record: (_status(record),)
    if key in KEYS:
        return lambda record: (getattr(record, key, None),)
    return lambda record: _field_values(record, inner)


def _layers(record: Speech) -> tuple[Any, ...]:
    tls = ("tls",) if any(layer.startswith("tls") for layer in record.via) else ()
    return (*record.via, *tls)


def _status(record: Speech) -> Any:
    return record.detail.get("status") if isinstance(record, MessageRecord) else record.status


def _is_error(record: Speech) -> bool:
    if not isinstance(record, MessageRecord):
        return record.status is not None and record.status != statuses.SUCCESS
    if record.protocol == "http":
        status = number_of(_status(record))
        return status is not None and status >= _HTTP_ERRORS
    code = number_of(record.detail.get("return_code") or record.detail.get("code")) or 0
    return code >= _MQTT_REFUSALS or (record.name == "CONNACK" and code > 0) or bool(record.detail.get("failed"))


def _in_state(state: str) -> Predicate:
    return lambda record: getattr(record, "write", None) == state


FLAGS: dict[str, Predicate] = {
    "answer": lambda record: record.answers is not None,
    "error": _is_error,
    **{state: _in_state(state) for state in WRITE_STATES},
}
