"""The HTTP API of the legacy server: `/{token}/update/V1?value=…` and its company.

Paths, statuses and texts are those of the real server (most of them measured); what a path means is in
`protocol.rest`. Other than there, the history of a pin is the answer itself, not a redirection to it, an e-mail or a
notification needs no widget and goes nowhere, and there is no QR code.
"""

from __future__ import annotations

import json as parser
import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import unquote

from blynkscope.protocol.commands import REST_WRITE_ID
from blynkscope.protocol.model import Era
from blynkscope.protocol.rest import Meaning, meaning
from blynkscope.server import boards
from blynkscope.server.app_documents import Documents
from blynkscope.server.hub import NO_ROOM
from blynkscope.server.web_model import UNKNOWN, Answer, Pin, Request, json, pin, text, values

if TYPE_CHECKING:
    from blynkscope.server.hub import Hub
    from blynkscope.server.projects import Device

NOTIFICATION_MAX = 255
"""Characters of a notification (measured texts of the real server)."""
VALUES_MAX = 1024
"""Values of one PUT; a frame of a device holds some hundred."""
LINES_AT_ONCE = 512
"""Lines of a history that are made at once: a client waits for the next of other clients no longer."""
NO_ROOM_LEFT = "The server has no more room."
INVALID_TOKEN = "Invalid token."  # noqa: S105 - an answer
WRONG_PIN = "Wrong pin format."
NO_PIN = "Requested pin doesn't exist in the app."
TOO_LONG = "The value is too long."
OK = 200


class BodyError(Exception):
    """The body of a call is not what it has to be."""


def answer(hub: Hub, request: Request) -> Answer:
    """The answer to a call of this API, or 404."""
    read = meaning("GET" if request.method == "HEAD" else request.method, request.path, request.query)
    handler = _HANDLERS.get(read.kind)
    parts = request.path.split("/")[1:]
    if read.era is not Era.LEGACY or handler is None:
        return text(404)
    if read.kind == "rest-get" and parts[1] == "pin":
        # Reading by the older path is gone from the real server too (measured).
        return text(404)
    if request.method == "HEAD" and read.kind in {"rest-update", "rest-property"}:
        # Who asks for the head of an answer wants nothing to happen.
        return text(404)
    try:
        return handler(hub, request, read, unquote(parts[0]))
    except BodyError as error:
        return text(500, str(error))


def csv(rows: Iterator[tuple[float, int]], device: int) -> Iterator[bytes]:
    """The history of a pin as the real server gives it, in pieces: `value,timestamp in ms,device`, with gzip."""
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    while lines := [f"{number(value)},{time},{device}\n" for value, time in islice(rows, LINES_AT_ONCE)]:
        if packed := packer.compress("".join(lines).encode()):
            yield packed
    yield packer.flush()


def number(value: float) -> str:
    """A number of the history, as it was written: `12`, not `12.0`."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def parsed(body: bytes) -> object:
    """JSON with its numbers as they are written.

    Raises:
        BodyError: It is none.
    """
    try:
        found: object = parser.loads(body, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        shown = body[:200].decode("utf-8", "replace")
        raise BodyError(f"Error parsing body param. {shown}") from None
    return found


def texts(found: object) -> list[str] | None:
    """An array of JSON as texts; None where it is no array of strings and numbers."""
    if not isinstance(found, list) or len(found) > VALUES_MAX:
        return None
    if not all(isinstance(one, str | bool) for one in found):
        return None
    return [one if isinstance(one, str) else str(one).lower() for one in found]


def _pinned(hub: Hub, read: Meaning, token: str) -> tuple[Device, Pin] | Answer:
    device = hub.device(token)
    if device is None:
        return text(400, INVALID_TOKEN)
    found = pin(read.pin)
    return (device, found) if found is not None else text(400, WRONG_PIN)


def _get(hub: Hub, _: Request, read: Meaning, token: str) -> Answer:
    found = _pinned(hub, read, token)
    if isinstance(found, Answer):
        return found
    device, of = found
    stored = hub.store.pin(device.token, of.key)
    if stored is None:
        return text(400, NO_PIN)
    return json([value.decode("utf-8", "replace") for value in stored])


def _update(hub: Hub, request: Request, read: Meaning, token: str) -> Answer:
    pairs = request.pairs()
    if pairs is None:
        return text(400, "Too many parameters.")
    if request.method in {"GET", "HEAD"}:
        given: list[str] | None = [value for name, value in pairs if name == "value"]
        if not given:
            return text(400, "Wrong request format.")
        history = None
    else:
        found = parsed(request.body)
        history = _history(found)
        given = [history[0][0]] if history else texts(found)
        if given is None:
            raise BodyError(f"Error parsing body param. {request.body[:200].decode('utf-8', 'replace')}")
        if not given:
            return text(400, "No pin for update provided.")
    known = _pinned(hub, read, token)
    if isinstance(known, Answer):
        return known
    device, of = known
    raw = values(given)
    if raw is None:
        return text(413, TOO_LONG)
    for value, time in history or ():
        add_data(hub, device, of, value, time)
    if hub.write(device, of.op, of.number, raw, id=REST_WRITE_ID) == NO_ROOM:
        return text(507, NO_ROOM_LEFT)
    return text(200)


def _history(found: object) -> list[tuple[str, float]] | None:
    """Values with their times (`/extra/pin`): text, seconds since 1970. None where it is something else."""
    if not isinstance(found, list) or not found or len(found) > VALUES_MAX:
        return None
    rows = []
    for one in found:
        value = one.get("value") if isinstance(one, dict) else None
        time = one.get("timestamp") if isinstance(one, dict) else None
        if not isinstance(value, str) or not isinstance(time, str) or not time.isdecimal() or len(time) > 15:
            return None
        rows.append((value, int(time) / 1000))
    return rows


def add_data(hub: Hub, device: Device, of: Pin, value: str, time: float) -> None:
    """Keep a value with its own time, where it is a number: only numbers have a history."""
    try:
        read = float(value)
    except ValueError:
        return
    if read - read == 0:
        # Neither infinite nor no number.
        hub.store.add_data(device.token, of.key, read, time)


def _property(hub: Hub, request: Request, read: Meaning, token: str) -> Answer:
    known = _pinned(hub, read, token)
    if isinstance(known, Answer):
        return known
    device, of = known
    for name, value in read.properties:
        raw = values([value])
        if raw is None:
            return text(413, TOO_LONG)
        status = hub.set_property(device, of.number, name.encode(), raw, id=REST_WRITE_ID, origin=None)
        if status != OK:
            return text(400, "Project is not active." if status is None else "Error setting widget property.")
    return text(200) if read.properties else text(400, "Wrong request format.")


def _status(hub: Hub, request: Request, _: Meaning, token: str) -> Answer:
    device = hub.device(token)
    if device is None:
        return text(400, INVALID_TOKEN)
    if request.path.rstrip("/").endswith("isHardwareConnected"):
        return json(bool(hub.online(device.token)))
    return json(app_connected(hub, device))


def app_connected(hub: Hub, device: Device) -> bool:
    """Does an app show the dashboard of this device, and is it running?"""
    return hub.app_connected(device) and boards.is_active(hub.board(device))


def _project(hub: Hub, _: Request, __: Meaning, token: str) -> Answer:
    device = hub.device(token)
    if device is None:
        return text(400, INVALID_TOKEN)
    documents = Documents(hub.projects, hub.store, hub.updates.info)
    return json(documents.dash(device.account, device.dash, public=True))


def _data(hub: Hub, _: Request, read: Meaning, token: str) -> Answer:
    known = _pinned(hub, read, token)
    if isinstance(known, Answer):
        return known
    device, of = known
    if not hub.store.has_data(device.token, of.key):
        return text(400, "No data.")
    name = f"{device.dash}_{device.id}_{of.key.decode()}.csv.gz"
    headers = ((b"content-disposition", f"attachment; filename={name}".encode()),)
    rows = csv(hub.store.data(device.token, of.key), device.id)
    return Answer(200, kind="application/x-gzip", headers=headers, stream=rows, length=UNKNOWN)


def _rtc(hub: Hub, _: Request, __: Meaning, token: str) -> Answer:
    device = hub.device(token)
    if device is None:
        return text(400, INVALID_TOKEN)
    return json([hub.local_time(device)])


def _message(hub: Hub, request: Request, read: Meaning, token: str) -> Answer:
    if request.method != "POST":
        return text(404)
    found = parsed(request.body)
    if hub.device(token) is None:
        return text(400, INVALID_TOKEN)
    fields = found if isinstance(found, dict) else {}
    if read.kind == "rest-notify":
        body = fields.get("body")
        if not isinstance(body, str) or not 0 < len(body) <= NOTIFICATION_MAX:
            return text(400, "Body is empty or larger than 255 chars.")
    elif not all(isinstance(fields.get(name), str) and fields[name] for name in ("to", "subj")):
        return text(400, "Email body is wrong. Missing or empty fields 'to', 'subj'.")
    return text(200)


def _qr(hub: Hub, request: Request, _: Meaning, token: str) -> Answer:
    if not request.path.rstrip("/").endswith("/qr"):
        # To clone a project by its code is not possible here.
        return text(404)
    if hub.device(token) is None:
        return text(400, INVALID_TOKEN)
    return text(501, "This server draws no QR codes.")


_HANDLERS: dict[str, Callable[[Hub, Request, Meaning, str], Answer]] = {
    "rest-get": _get,
    "rest-update": _update,
    "rest-property": _property,
    "rest-status": _status,
    "rest-project": _project,
    "rest-data": _data,
    "rest-rtc": _rtc,
    "rest-notify": _message,
    "rest-email": _message,
    "rest-qr": _qr,
}
