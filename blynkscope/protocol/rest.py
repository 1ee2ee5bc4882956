"""The HTTP calls of both eras as one table: the legacy server's REST API, Blynk IoT's HTTPS API, and their company.

A pattern is a path whose segments stand for themselves, or for `{token}`, `{pin}` or `{any}`; `{rest}` stands for all
that follows, also for nothing. The first row that fits a call tells what it means.
"""

from __future__ import annotations

import json
import re
from operator import itemgetter
from urllib.parse import unquote_plus

import msgspec

from blynkscope.protocol import commands
from blynkscope.protocol.model import Era

TOKEN_LEAST = 16
"""Characters of what is taken for a token where only its place in the path tells: half a token, and no common word."""
PARAMETERS_MAX = 256
"""Parameters of a query that are read: a batch of Blynk IoT has one for each datastream of a template."""
VALUES_MAX = 256
"""Values of one write that are read; a frame on a device holds some hundred."""
BODY_MAX = 2048
"""Characters of a JSON body that are parsed for its values."""
_PIN = re.compile(r"([vVdDaA])(\d{1,3})")
_FIRMWARE = (".bin", ".bin.gz", ".hex", ".uf2", ".elf")
"""Ends of the paths of firmware."""
_HISTORY = ".csv.gz"
"""End of the path to which a legacy server redirects whoever asks for the history of a pin."""
UPDATERS = ("http-update", "httpupdate", "http-ota", "esp-http-client")
"""In the User-Agent of the update libraries of ESP8266 and ESP32, in lower case."""
_IOT = "/external/api/"
RELAY_ID = commands.REST_WRITE_ID
"""Message id of the frames in which a server relays writes."""
RELAYED = frozenset({"rest-update", "rest-batch"})
"""Kinds of calls that the server relays to the device as pin writes."""


class Call(msgspec.Struct, frozen=True):
    """A row of the table.

    `methods` is None where any will do. `doc` says what the call does, in one line.
    """

    kind: str
    methods: tuple[str, ...] | None
    pattern: str
    era: Era | None
    doc: str


class PinWrite(msgspec.Struct, frozen=True):
    """What a call writes: the pin's key as in a frame (`vw1`), and its values."""

    pin: str
    values: tuple[str, ...]

    @property
    def key(self) -> bytes:
        """The pin as the writes of frames name it: `vw1`."""
        return (self.pin[0].lower() + "w" + self.pin[1:]).encode("ascii")

    @property
    def raw(self) -> bytes:
        """The values as a frame carries them."""
        return "\0".join(self.values).encode("utf-8", "replace")


class Meaning(msgspec.Struct, frozen=True):
    """What a call means.

    `token` is the device's, in either place, where it is long enough to be one; `pin` the first one that it names;
    `writes` what its URL writes, and `properties` what it sets of a widget or datastream.
    """

    kind: str
    era: Era | None
    doc: str
    token: str | None = None
    pin: str | None = None
    writes: tuple[PinWrite, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()


_GET, _PUT, _POST = ("GET",), ("PUT",), ("POST",)
_L, _N = Era.LEGACY, Era.IOT

CALLS: tuple[Call, ...] = (
    # Blynk IoT
    Call("rest-batch", None, "/external/api/batch/update", _N, "writes several datastreams"),
    Call("rest-property", None, "/external/api/update/property", _N, "sets a property of a datastream's widgets"),
    Call("rest-update", None, "/external/api/update", _N, "writes a datastream"),
    Call("rest-get", None, "/external/api/get", _N, "reads datastreams"),
    Call("rest-get", None, "/external/api/getAll", _N, "reads all datastreams"),
    Call("rest-event", None, "/external/api/logEvent", _N, "logs an event, which may notify people"),
    Call("rest-status", None, "/external/api/isHardwareConnected", _N, "asks whether the device is online"),
    Call("rest-status", None, "/external/api/isAppConnected", _N, "asks whether an app is online"),
    Call("rest-meta", None, "/external/api/device/meta/{rest}", _N, "reads or writes a metadata field of the device"),
    Call("rest-data", None, "/external/api/data/{rest}", _N, "reads the history of a datastream"),
    Call("upload", None, "/external/api/upload", _N, "uploads a file"),
    Call("rest-provision", None, "/external/api/provision", _N, "claims a device"),
    Call("rest-qr", None, "/external/api/qr", _N, "fetches the QR code of a device"),
    Call("other", None, "/external/api/{rest}", _N, "calls an unknown function of the HTTPS API"),
    # firmware
    Call("ota-start", ("GET", "POST"), "/{any}/ota/start", _L, "orders a firmware update"),
    Call("ota-start", ("GET", "POST"), "/ota/start", _L, "orders a firmware update"),
    Call("ota-stop", ("GET", "POST"), "/{any}/ota/stop", _L, "takes back the order of a firmware update"),
    Call("ota-stop", ("GET", "POST"), "/ota/stop", _L, "takes back the order of a firmware update"),
    Call("firmware-download", ("GET", "HEAD"), "/static/ota/{rest}", None, "downloads firmware"),
    Call("firmware-download", ("GET", "HEAD"), "/static/fw/{rest}", None, "downloads firmware"),
    Call("firmware-download", ("GET", "HEAD"), "/static/fw_{rest}", None, "downloads firmware"),
    Call("upload", ("POST", "PUT"), "/upload/{rest}", None, "uploads a file"),
    Call("upload", ("POST", "PUT"), "/{any}/upload/{rest}", None, "uploads a file"),
    # pages of the server
    Call("page", ("GET", "HEAD"), "/", None, "opens the server's start page"),
    Call("page", None, "/static/{rest}", None, "loads a file of a page"),
    Call("page", None, "/admin/{rest}", None, "opens the administration interface"),
    Call("page", None, "/dashboard/{rest}", None, "opens the web dashboard"),
    Call("page", None, "/business/{rest}", None, "opens the web interface"),
    Call("page", None, "/landing/{rest}", None, "opens a page of the server"),
    Call("page", None, "/favicon.ico", None, "loads the icon of a page"),
    Call("page", None, "/robots.txt", None, "asks what robots may read"),
    Call("rest-qr", _GET, "/{token}/clone/{any}", _L, "clones a project"),
    # the legacy server
    Call("rest-update", ("GET", "PUT", "POST"), "/{token}/update/{pin}", _L, "writes a pin"),
    Call("rest-update", _PUT, "/{token}/extra/pin/{pin}", _L, "writes a pin, with the times of its values"),
    Call("rest-update", ("PUT", "POST"), "/{token}/pin/{pin}", _L, "writes a pin"),
    Call("rest-get", _GET, "/{token}/get/{pin}", _L, "reads a pin"),
    Call("rest-get", _GET, "/{token}/pin/{pin}", _L, "reads a pin (the older path)"),
    Call("rest-data", None, "/{token}/data/{pin}", _L, "reads the history of a pin (CSV: value, time in ms, device)"),
    Call("rest-status", _GET, "/{token}/isHardwareConnected", _L, "asks whether the device is online"),
    Call("rest-status", _GET, "/{token}/isAppConnected", _L, "asks whether an app is online"),
    Call("rest-project", _GET, "/{token}/project", _L, "reads the project"),
    Call("rest-notify", None, "/{token}/notify", _L, "sends a push notification"),
    Call("rest-email", None, "/{token}/email", _L, "sends an e-mail"),
    Call("rest-rtc", _GET, "/{token}/rtc", _L, "asks for the time"),
    Call("rest-qr", _GET, "/{token}/qr", _L, "fetches the QR code that clones the project"),
    Call("rest-property", _PUT, "/{token}/widget/{pin}", _L, "sets a property of a pin's widget"),
)
KINDS = tuple(dict.fromkeys([row.kind for row in CALLS] + ["websocket-upgrade", "mqtt-upgrade", "tunnel", "other"]))
"""Everything that a call may be."""
_Candidates = dict[str, list[tuple[int, Call, list[str]]]]


def _by_segment() -> tuple[_Candidates, _Candidates]:
    """The rows with their places in the table, by the first segment, or the second where the first may be any."""
    first: _Candidates = {}
    second: _Candidates = {}
    for place, row in enumerate(CALLS):
        pattern = row.pattern.split("/")[1:]
        at = 1 if pattern[0].startswith("{") else 0
        (second if at else first).setdefault(pattern[at], []).append((place, row, pattern))
    return first, second


_FIRST, _SECOND = _by_segment()
_TOKEN_NAMES = frozenset({"token", "auth_token"})
_OWN = frozenset({*_TOKEN_NAMES, "pin", "value", "datastreamid", "datastreamname", "format", "period"})
"""Parameters of the API itself, in lower case; others name datastreams, or properties."""


def meaning(
    method: str, path: str, query: str = "", *, upgrade: str | None = None, agent: str | None = None,
    token: str | None = None, subprotocol: str | None = None,
) -> Meaning:  # fmt: skip
    """What a call means.

    Args:
        method: GET, PUT, …
        path: Path of its URL, raw.
        query: What follows the `?`, raw.
        upgrade: The protocol that the request asks for, in lower case.
        agent: Its User-Agent.
        token: The token, where the caller found one by its form.
        subprotocol: What WebSocket shall carry.
    """
    if method == "CONNECT":
        return Meaning("tunnel", None, "asks a proxy for a tunnel")
    if upgrade == "websocket":
        mqtt = path.rstrip("/").endswith("/mqtt") or (subprotocol or "").lower().startswith("mqtt")
        kind, what = ("mqtt-upgrade", "MQTT") if mqtt else ("websocket-upgrade", "Blynk")
        return Meaning(kind, None, f"opens a WebSocket for {what}", token)
    parts = path.split("/")[1:]
    trailing = parts[:-1] if len(parts) > 1 and not parts[-1] else parts
    candidates = _FIRST.get(trailing[0] if trailing else "", []) + _SECOND.get("".join(trailing[1:2]), [])
    for _, row, pattern in sorted(candidates, key=itemgetter(0)):
        if row.methods is None or method in row.methods:
            found = _fits(pattern, trailing)
            if found is not None:
                return _read(row, found, query, token)
    low = path.lower()
    if method == "GET" and low.endswith(_HISTORY):
        return Meaning("rest-data", None, "loads the history of a pin (CSV: value, time in ms, device)", token)
    if method in {"GET", "HEAD"} and (low.endswith(_FIRMWARE) or any(one in (agent or "").lower() for one in UPDATERS)):
        return Meaning("firmware-download", None, "downloads firmware", token)
    return Meaning("other", None, "is no call that Blynk knows", token)


def _fits(pattern: list[str], parts: list[str]) -> dict[str, str] | None:
    """What the segments of a pattern stand for; None where it does not fit."""
    found: dict[str, str] = {}
    for at, piece in enumerate(pattern):
        if piece == "{rest}":
            return found
        if piece.endswith("{rest}"):
            return found if at < len(parts) and parts[at].startswith(piece[: -len("{rest}")]) else None
        if at >= len(parts):
            return None
        part = parts[at]
        if piece.startswith("{"):
            if not part:
                return None
            found[piece[1:-1]] = part
        elif part != piece:
            return None
    return found if len(parts) == len(pattern) else None


def _read(row: Call, found: dict[str, str], query: str, token: str | None) -> Meaning:
    pairs = _pairs(query)
    segment = found.get("token", "")
    if len(segment) >= TOKEN_LEAST:
        token = segment
    else:
        token = next((value for name, value in pairs if name.lower() in _TOKEN_NAMES), token)
    kind, doc = row.kind, row.doc
    if row.era is Era.LEGACY:
        pin = found.get("pin")
        values = tuple(value for name, value in pairs if name == "value")
        properties = tuple((name, value) for name, value in pairs if name != "value")
        if kind == "rest-update" and not values and properties:
            return Meaning("rest-property", row.era, "sets a property of a pin's widget", token, pin, (), properties)
        writes = _write(pin, values) if kind == "rest-update" and values else ()
        return Meaning(kind, row.era, doc, token, pin, writes, ())
    named = next((value for name, value in pairs if name.lower() in {"pin", "datastreamid", "datastreamname"}), None)
    others = tuple((name, value) for name, value in pairs if name.lower() not in _OWN)
    if kind == "rest-property":
        return Meaning(kind, row.era, doc, token, named, (), others)
    given = tuple(value for name, value in pairs if name.lower() == "value")
    if kind not in RELAYED:
        # `/get?token=…&V1`: a parameter without a value.
        named = named or next((name for name, value in others if not value), None)
        return Meaning(kind, row.era, doc, token, named if kind in {"rest-get", "rest-data"} else None)
    writes = _write(named, given) if named is not None and given else ()
    for name, value in others:
        writes += _write(name, (value,))
    if row.kind == "rest-update" and named is None and others:
        named = others[0][0]
    return Meaning(kind, row.era, doc, token, named, writes)


def _write(pin: str | None, values: tuple[str, ...]) -> tuple[PinWrite, ...]:
    name = _PIN.fullmatch(pin or "")
    return (PinWrite(name[1].upper() + name[2], values[:VALUES_MAX]),) if name is not None else ()


def written(read: Meaning, body: str | None) -> tuple[PinWrite, ...]:
    """What a call writes, with what its body says.

    Args:
        read: What its URL means.
        body: Text of its body, whole; None where there is none.

    Returns:
        One write for each pin.
    """
    if read.writes or read.kind != "rest-update":
        return read.writes
    values = _parsed(body)
    if not isinstance(values, list):
        return ()
    if values and isinstance(values[0], dict):
        # Values with their times are for the history; the pin gets the first one.
        first = _as_text(values[0].get("value"))
        return _write(read.pin, (first,)) if first is not None else ()
    texts = tuple(text for one in values[:VALUES_MAX] if (text := _as_text(one)) is not None)
    return _write(read.pin, texts) if len(texts) == len(values) else ()


def values_in(answer: str | None) -> tuple[str, ...] | None:
    """The values that the answer to a call holds: a JSON array, or (Blynk IoT) one value; None where it is neither."""
    found = _parsed(answer)
    values = found[:VALUES_MAX] if isinstance(found, list) else [found]
    texts = tuple(text for one in values if (text := _as_text(one)) is not None)
    return texts if len(texts) == len(values) else None


def _parsed(body: str | None) -> object:
    """JSON with its numbers as they are written; None where there is none."""
    if not body or len(body) > BODY_MAX:
        return None
    try:
        found: object = json.loads(body, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return None
    return found


def _as_text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else None


def _pairs(query: str) -> list[tuple[str, str]]:
    """The parameters of a query, decoded; one without `=` has an empty value."""
    pairs = []
    for part in query.split("&", PARAMETERS_MAX)[:PARAMETERS_MAX]:
        name, _, value = part.partition("=")
        if name:
            pairs.append((unquote_plus(name), unquote_plus(value)))
    return pairs


def is_iot_path(path: str) -> bool:
    """Is this a path of Blynk IoT's HTTPS API?"""
    return path.startswith(_IOT)
