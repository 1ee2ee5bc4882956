"""The HTTPS API of Blynk IoT: `/external/api/update?token=…&V1=…` and its company, as its documentation tells.

There are no templates here: a datastream is a virtual pin, and `dataStreamId` is the number of the pin. The history
comes as JSON, or as a link to a file of CSV.
"""

from __future__ import annotations

import json as parser
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from blynkscope.protocol.commands import REST_WRITE_ID
from blynkscope.protocol.rest import is_iot_path
from blynkscope.server import rest
from blynkscope.server.hub import NO_ROOM
from blynkscope.server.store import DESCRIPTION_MAX, is_name
from blynkscope.server.web_model import JSON, UNKNOWN, Answer, Pin, Request, json, pin, text, values

if TYPE_CHECKING:
    from blynkscope.server.hub import Hub
    from blynkscope.server.projects import Device

NAME_MAX = 64
"""Characters of the name of an event or of a metadata field; the documentation's have some ten."""
VALUE_MAX = 1024
"""Bytes of a string value, as documented."""
POINTS_MAX = 10_000
"""Values of one upload with times: what the documentation allows a day."""
POINTS_AT_ONCE = 512
"""Values of a history that are made into JSON at once."""
_API = "/external/api/"
_OWN = frozenset({"token", "pin", "datastreamid", "value", "format", "period", "output"})
"""Parameters of the API itself, in lower case; others name pins, or properties."""
Pairs = list[tuple[str, str]]


def error(message: str, status: int = 400) -> Answer:
    """What the API says where a call is wrong."""
    return json({"error": {"message": message}}, status)


def answer(hub: Hub, request: Request) -> Answer:
    """The answer to a call of this API, or 404."""
    if not is_iot_path(request.path):
        return error("Not found.", 404)
    handler = _HANDLERS.get(request.path[len(_API) :].strip("/"))
    if handler is None or (request.method == "HEAD" and handler in _WRITING):
        return error("This function of the API does not exist here.", 404)
    pairs = request.pairs()
    if pairs is None:
        return error("Request with incorrect parameters")
    token = _first(pairs, "token")
    if token is None:
        return error("No token provided.")
    device = hub.device(token)
    return handler(hub, request, device, pairs) if device is not None else error(rest.INVALID_TOKEN)


def _first(pairs: Pairs, name: str) -> str | None:
    return next((value for given, value in pairs if given.lower() == name.lower()), None)


def _named(pairs: Pairs) -> str | None:
    """The pin that a call names by a parameter; the number of a datastream is taken for that of a pin."""
    named = _first(pairs, "pin")
    stream = _first(pairs, "dataStreamId")
    return named if named is not None else f"V{stream}" if stream is not None else None


def _others(pairs: Pairs) -> Pairs:
    return [(name, value) for name, value in pairs if name.lower() not in _OWN]


def _update(hub: Hub, request: Request, device: Device, pairs: Pairs) -> Answer:
    writes: list[tuple[Pin, list[bytes]]] = []
    named = _named(pairs)
    given = [value for name, value in pairs if name.lower() == "value"]
    asked = [(named, given)] if named is not None else []
    if named is not None and not given and request.body:
        return _points(hub, request, device, named)
    # A pin that is named twice has several values.
    several: dict[str, list[str]] = {}
    for name, value in _others(pairs):
        several.setdefault(name.lower(), []).append(value)
    for name, of_pin in (*asked, *several.items()):
        found = pin(name)
        if found is None:
            return error(rest.WRONG_PIN)
        raw = values(of_pin)
        if raw is None or any(len(one) > VALUE_MAX for one in raw):
            return error("Value is too long.")
        if not of_pin:
            return error("No value provided.")
        writes.append((found, raw))
    if not writes:
        return error(rest.WRONG_PIN)
    for found, raw in writes:
        if hub.write(device, found.op, found.number, raw, id=REST_WRITE_ID) == NO_ROOM:
            return error(rest.NO_ROOM_LEFT, 507)
    return text(200)


def _points(hub: Hub, request: Request, device: Device, named: str) -> Answer:
    """Values with their times: `[[1648054765458, 1.0], …]`. They are for the history; nobody is told."""
    found = pin(named)
    if found is None:
        return error(rest.WRONG_PIN)
    try:
        rows = rest.parsed(request.body)
    except rest.BodyError:
        return error("Wrong body.")
    if not isinstance(rows, list) or len(rows) > POINTS_MAX:
        return error("Wrong body.")
    for row in rows:
        if not isinstance(row, list) or len(row) != 2 or not all(isinstance(one, str) for one in row):
            return error("Wrong body.")
        if not row[0].isdecimal() or len(row[0]) > 15:
            return error("Wrong timestamp.")
    for time, value in rows:
        rest.add_data(hub, device, found, value, int(time) / 1000)
    return text(200)


def _get(hub: Hub, _: Request, device: Device, pairs: Pairs) -> Answer:
    named = _named(pairs)
    names = [name for name, _ in _others(pairs)] if named is None else [named]
    pins = [pin(name) for name in names]
    if not pins or None in pins:
        return error(rest.WRONG_PIN)
    stored = {one.key.decode(): hub.store.pin(device.token, one.key) for one in pins if one is not None}
    if len(stored) > 1:
        return json({name: _value(given) for name, given in stored.items() if given is not None})
    (given,) = stored.values()
    if given is None:
        return error(rest.NO_PIN)
    if len(given) > 1:
        return json([one.decode("utf-8", "replace") for one in given])
    return Answer(200, given[0] if given else b"", "application/json;charset=utf-8")


def _get_all(hub: Hub, _: Request, device: Device, __: Pairs) -> Answer:
    stored = hub.store.pins(device.token)
    return json({key.decode("ascii", "replace"): _value(given) for key, given in stored.items()})


def _value(given: list[bytes]) -> object:
    """A value as JSON: a number where it is written as JSON writes one."""
    shown = [one.decode("utf-8", "replace") for one in given]
    if len(shown) != 1:
        return shown
    try:
        read = parser.loads(shown[0], parse_constant=str) if len(shown[0]) < 20 else None
    except (ValueError, RecursionError):
        return shown[0]
    return read if isinstance(read, int | float) and not isinstance(read, bool) and read - read == 0 else shown[0]


def _property(hub: Hub, _: Request, device: Device, pairs: Pairs) -> Answer:
    found = pin(_named(pairs))
    if found is None:
        return error(rest.WRONG_PIN)
    several: dict[str, list[str]] = {}
    for name, value in _others(pairs):
        several.setdefault(name, []).append(value)
    if not several:
        return error("No properties for update provided.")
    for name, given in several.items():
        raw = values(given)
        if raw is None or len(name) > NAME_MAX:
            return error("Value is too long.")
        if hub.set_property(device, found.number, name.encode(), raw, id=REST_WRITE_ID, origin=None) != rest.OK:
            return error("Wrong property or value.")
    return text(200)


def _log_event(hub: Hub, _: Request, device: Device, pairs: Pairs) -> Answer:
    code = _first(pairs, "code")
    if not code or len(code) > NAME_MAX:
        return error("Event code is not provided.")
    description = (_first(pairs, "description") or "")[:DESCRIPTION_MAX]
    name = code.encode("utf-8", "replace")
    refused = hub.log_event(device, name, description.encode("utf-8", "replace"), hub.clock())
    if refused is not None:
        return error(rest.NO_ROOM_LEFT, 507) if is_name(name) else error("Wrong event code.")
    return text(200)


def _hardware(hub: Hub, _: Request, device: Device, __: Pairs) -> Answer:
    return json(bool(hub.online(device.token)))


def _app(hub: Hub, _: Request, device: Device, __: Pairs) -> Answer:
    return json(rest.app_connected(hub, device))


def _field(pairs: Pairs) -> bytes | None:
    name = _first(pairs, "metaFieldName") or _first(pairs, "metaFieldId")
    raw = name.encode("utf-8", "replace") if name else b""
    return raw if is_name(raw) else None


def _meta(hub: Hub, _: Request, device: Device, pairs: Pairs) -> Answer:
    name = _field(pairs)
    if name is None:
        return error("Wrong metaField format.")
    known = hub.store.meta(device.token, name)
    if known is None:
        return error("MetaField doesn't exist.")
    shown = known.decode("utf-8", "replace")
    return json({"name": name.decode("utf-8", "replace"), "type": "Text", "value": shown})


def _set_meta(hub: Hub, _: Request, device: Device, pairs: Pairs) -> Answer:
    name = _field(pairs)
    if name is None:
        return error("Wrong metaField format")
    value = (_first(pairs, "value") or "").encode("utf-8", "replace")
    if len(value) > VALUE_MAX or not hub.store.set_meta(device.token, name, value):
        return error("Wrong value")
    return text(200)


def _data(hub: Hub, request: Request, device: Device, pairs: Pairs) -> Answer:
    found = pin(_named(pairs))
    if found is None:
        return error(rest.WRONG_PIN)
    if not hub.store.has_data(device.token, found.key):
        return error("No data", 500)
    if (_first(pairs, "output") or "FILE").upper() == "JSON":
        rows = hub.store.data(device.token, found.key)
        return Answer(200, kind=JSON, stream=_points_of(rows), length=UNKNOWN)
    scheme = "https" if request.secure else "http"
    query = f"token={quote(device.token, safe='')}&pin={found.key.decode()}"
    return json({"link": f"{scheme}://{request.host}{_API}data/file?{query}"})


def _points_of(rows: Iterator[tuple[float, int]]) -> Iterator[bytes]:
    """An array of JSON in pieces."""
    before = b"["
    while points := [{"createdAt": time, "value": value} for value, time in islice(rows, POINTS_AT_ONCE)]:
        yield before + msgspec.json.encode(points)[1:-1]
        before = b","
    yield b"[]" if before == b"[" else b"]"


def _data_file(hub: Hub, _: Request, device: Device, pairs: Pairs) -> Answer:
    found = pin(_named(pairs))
    if found is None:
        return error(rest.WRONG_PIN)
    if not hub.store.has_data(device.token, found.key):
        return error("No data", 500)
    rows = hub.store.data(device.token, found.key)
    return Answer(200, kind="application/x-gzip", stream=rest.csv(rows, device.id), length=UNKNOWN)


_HANDLERS: dict[str, Callable[[Hub, Request, Device, Pairs], Answer]] = {
    "update": _update,
    "batch/update": _update,
    "update/property": _property,
    "get": _get,
    "getAll": _get_all,
    "logEvent": _log_event,
    "isHardwareConnected": _hardware,
    "isAppConnected": _app,
    "device/meta": _meta,
    "device/meta/update": _set_meta,
    "data/get": _data,
    "data/file": _data_file,
}
_WRITING = frozenset({_update, _property, _log_event, _set_meta})
"""What changes something: not for who asks for the head of an answer only."""
