"""Bodies of the app and web dialects of the legacy server: numbers of dashboards and what is in them, then JSON.

Most commands begin with the number of a dashboard, many go on with that of a device, a widget or a tag. An answer of
the same command is the JSON document alone.
"""

from __future__ import annotations

import struct
from typing import Any

import construct as con

from blynkscope.protocol import limits
from blynkscope.protocol.bodies import json_fields, json_problem, json_reading
from blynkscope.protocol.schema import Body, BoundedZlib, Fields, Part, Parts, readable, words
from blynkscope.protocol.two_way_bodies import NUMBER, Leading, labelled, present


def numbers(*names: str, rest: str | None = None, required: int = 0) -> Body:
    """A body of named parts that are numbers or short words, none of them secret."""

    def reading(fields: Fields) -> str:
        return " · ".join([*_named(fields, names), *fields.get(rest or "extra", [])])

    return words(*names, rest=rest, required=required, longest=limits.PLAUSIBLE_TEXT_BODY, reading=reading)


def _named(fields: Fields, names: tuple[str, ...]) -> list[str]:
    """Each part with its name before it, but for the target, whose form tells what it is."""
    return [fields[name] if name == "target" else f"{name} {fields[name]}" for name in names if fields.get(name)]


def document(*names: str) -> Body:
    """Numbers, each of which may be missing, then a JSON document; an answer is the document alone."""

    def project(parsed: Any) -> Fields:
        fields = present(parsed, *names)
        if parsed.json is not None:
            fields.update(json_fields(parsed.json))
        if parsed.extra:
            fields["extra"] = [readable(part) for part in parsed.extra]
        return fields

    def reading(fields: Fields) -> str:
        shown = [json_reading(fields)] if {"json", "text"} & fields.keys() else []
        return " · ".join([*_named(fields, names), *shown])

    return Body(
        " · ".join([f"[{name}]" for name in names] + ["JSON"]),
        con.Struct(*(name / Leading(NUMBER) for name in names), "json" / Part(), "extra" / Parts()),
        project,
        reading,
        lambda parsed: json_problem(parsed.json),
        longest=limits.APP_BODY_MAX,
    )


DASH = numbers("dash")
DASH_STATE = numbers("dash", "state")
DASH_DEVICE = numbers("dash", "device")
DASH_WIDGET = numbers("dash", "widget")
DASH_TAG = numbers("dash", "tag")
DASH_REPORT = numbers("dash", "report")
DASH_APP = numbers("dash", "app")
DASH_WIDGET_TEMPLATE = numbers("dash", "widget", "template")
TARGET = numbers("target")
TARGET_WIDGET = numbers("target", "widget", "stream")
TARGET_DATASTREAMS = numbers("target", rest="datastreams")
TARGET_ARGS = numbers("target", rest="args")
"""A target, then parts of which nothing is known."""
ENERGY = numbers("energy")
PURCHASE = numbers("energy", "transaction", required=2)
APP_ID = numbers("app")
PHONE = numbers("uid")
REDEEM = words("code", secrets={"code": "token"}, required=1, longest=limits.PLAUSIBLE_TOKEN_BODY, reading=labelled)
APP_LOGIN = words(
    "email", "password_hash", "client", "version", "app",
    secrets={"email": "email", "password_hash": "password"}, required=2, longest=limits.PLAUSIBLE_TEXT_BODY,
)  # fmt: skip
REGISTER = words(
    "email", "password_hash", "app",
    secrets={"email": "email", "password_hash": "password"}, required=2, longest=limits.PLAUSIBLE_TEXT_BODY,
)  # fmt: skip
SHARE_LOGIN = words(
    "email", "token", "client", "version",
    secrets={"email": "email", "token": "token"}, required=2, longest=limits.PLAUSIBLE_TEXT_BODY,
)  # fmt: skip
ASSIGN_TOKEN = words("dash", "token", secrets={"token": "token"}, required=2, longest=limits.PLAUSIBLE_TEXT_BODY)

JSON = document()
DASH_DOCUMENT = document("dash")
DEVICE_DOCUMENT = document("dash", "device")
TAG_DOCUMENT = document("dash", "tag")
REPORT_DOCUMENT = document("dash", "report")
WIDGET_DOCUMENT = document("dash", "widget", "template")
"""A widget may be inside a template of a device-tiles widget, which stand before it then."""

PUSH_TOKEN = Body(
    "[dash ·] uid · token",
    con.Struct("dash" / Leading(NUMBER), "uid" / Part(), "token" / Part("token"), "extra" / Parts()),
    lambda parsed: {
        **present(parsed, "dash", "uid", "token"),
        **({"extra": [readable(part) for part in parsed.extra]} if parsed.extra else {}),
    },
    labelled,
    longest=limits.PLAUSIBLE_TEXT_BODY,
)


# --- properties -------------------------------------------------------------------------------------------------------

_PROPERTY = words("target", "item", "property", rest="values", required=3, longest=limits.APP_BODY_MAX)


def _property_fields(parsed: Any) -> Fields:
    """The server names the device and a pin, an app the dashboard alone and a widget."""
    fields = dict(_PROPERTY.project(parsed) or {})
    if "item" in fields:
        pin = b"-" in (parsed.target or b"")
        named = {"pin": "V" + fields["item"]} if pin else {"widget": fields["item"]}
        fields = {"target": fields["target"], **named, **{key: fields[key] for key in fields if key != "item"}}
    return fields


def _property_reading(fields: Fields) -> str:
    item = fields.get("pin") or (f"widget {fields['widget']}" if "widget" in fields else "?")
    return f"{fields.get('target', '?')}: {item} {fields.get('property', '?')} = {', '.join(fields.get('values', []))}"


TARGET_PROPERTY = Body(
    "dash-device · pin · property · value…, or dash · widget · property · value",
    _PROPERTY.schema,
    _property_fields,
    _property_reading,
    _PROPERTY.check,
    longest=limits.APP_BODY_MAX,
)


# --- mails, passwords -------------------------------------------------------------------------------------------------

_TEMPLATE = "template"


def _mail_fields(parsed: Any) -> Fields:
    fields = dict(DASH_DEVICE.project(parsed) or {})
    if fields.get("dash") == _TEMPLATE:
        extra = fields.pop("extra", [])
        asked = [part for part in (fields.pop("device", None), *extra) if part is not None]
        del fields["dash"]
        fields = dict(zip(("dash", "widget", "template"), asked, strict=False))
        if asked[3:]:
            fields["extra"] = asked[3:]
    return fields


MAIL = Body(
    "dash [· device], or template · dash · widget · template",
    DASH_DEVICE.schema,
    _mail_fields,
    labelled,
    DASH_DEVICE.check,
    longest=limits.PLAUSIBLE_TEXT_BODY,
)


_RESET = words("step", "token", "app", secrets={"token": "token"}, required=1, longest=limits.PLAUSIBLE_TEXT_BODY)


def _reset_fields(parsed: Any) -> Fields:
    fields = dict(_RESET.project(parsed) or {})
    if fields.get("step") == "start":
        # What is declared a token is an address here, which redaction tells by its form.
        names = {"step": "step", "token": "email", "app": "app", "extra": "extra"}
    else:
        names = {"step": "step", "token": "token", "app": "password_hash", "extra": "extra"}
    return {names[key]: value for key, value in fields.items()}


RESET_PASSWORD = Body(
    "start · email · app, or verify · token, or reset · token · password hash",
    _RESET.schema,
    _reset_fields,
    labelled,
    _RESET.check,
    longest=limits.PLAUSIBLE_TEXT_BODY,
)


# --- charts -----------------------------------------------------------------------------------------------------------

GRAPH_STREAMS_MAX = 64
"""Streams of one chart; the app allows four, and more are other data."""
_POINT = struct.Struct(">dq")
_COUNT = struct.Struct(">i")
_CHART = ("target", "widget", "period", "page")
_INFLATED = BoundedZlib(con.GreedyBytes)


def _graph_streams(data: bytes, at: int) -> list[Fields] | None:
    """For each stream of a chart how many points it has, and those at its ends; None where the data is other."""
    streams: list[Fields] = []
    while at != len(data):
        if len(data) - at < _COUNT.size or len(streams) == GRAPH_STREAMS_MAX:
            return None
        (count,) = _COUNT.unpack_from(data, at)
        at += _COUNT.size
        end = at + count * _POINT.size
        if count < 0 or end > len(data):
            return None
        stream: Fields = {"points": count}
        if count:
            stream |= {"first": _point(data, at), "last": _point(data, end - _POINT.size)}
        streams.append(stream)
        at = end
    return streams


def _point(data: bytes, at: int) -> Fields:
    value, stamp = _POINT.unpack_from(data, at)
    return {"time_ms": stamp, "value": value if value - value == 0 else str(value)}


def _points_fields(data: bytes, headed: bool) -> Fields | None:
    """The points of a chart, behind the number of the dashboard where `headed`; None where it is no zlib data."""
    packed = _INFLATED.parse(data) if data[:1] == b"\x78" else None
    if packed is None or packed.data is None:
        return None
    fields: Fields = {"inflated": len(packed.data)}
    if headed and len(packed.data) >= _COUNT.size:
        fields["dash"] = str(_COUNT.unpack_from(packed.data)[0])
    problem = packed.problem
    streams = None if problem else _graph_streams(packed.data, _COUNT.size if headed else 0)
    if streams is not None:
        fields["streams"] = streams
    elif problem is None:
        problem = "not the points of a chart"
    return {**fields, "problem": problem} if problem else fields


def _graph_fields(parsed: Any) -> Fields:
    parts = [parsed.period, parsed.page, *parsed.extra]
    if parsed.target is None and parsed.widget is None:
        points = _points_fields(b"\0".join(part for part in parts if part is not None), True)
        if points is not None:
            return points
    fields = present(parsed, *_CHART)
    return {**fields, "extra": [readable(part) for part in parsed.extra]} if parsed.extra else fields


def _graph_reading(fields: Fields) -> str:
    if "text" in fields:
        return str(fields["text"])
    if "inflated" not in fields:
        return " · ".join([*_named(fields, _CHART), *fields.get("extra", [])])
    points = ", ".join(str(stream["points"]) for stream in fields.get("streams", []))
    return f"{fields['inflated']} bytes inflated" + (f": points {points}" if points else "")


GRAPH = Body(
    "target · widget · period [· page] in the request, zlib(dash, points) in the answer",
    con.Struct(
        "target" / Leading(NUMBER), "widget" / Leading(NUMBER), "period" / Part(), "page" / Part(), "extra" / Parts()
    ),
    _graph_fields,
    _graph_reading,
    longest=limits.APP_BODY_MAX,
)
GRAPH_RESPONSE = Body(
    "zlib(points)",
    con.Struct("data" / con.GreedyBytes),
    lambda parsed: _points_fields(parsed.data, False) or {"text": readable(parsed.data)},
    _graph_reading,
    longest=limits.APP_BODY_MAX,
)
