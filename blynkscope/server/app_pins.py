"""Pins as apps see them: dashboards that start and stop, writes both ways, synchronisation, properties of widgets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from blynkscope.protocol import commands, limits
from blynkscope.protocol.model import Era
from blynkscope.protocol.statuses import (
    DEVICE_NOT_IN_NETWORK,
    ILLEGAL_COMMAND,
    ILLEGAL_COMMAND_BODY,
    NOT_ALLOWED,
    SERVER_EXCEPTION,
)
from blynkscope.server import app_widgets, boards
from blynkscope.server.answering import DONE, OK, Outcome, message
from blynkscope.server.app_login import words
from blynkscope.server.app_widgets import FIRST_TAG, NUMBER_MAX, WRITES, Refused
from blynkscope.server.hub import MODES_ID, NO_ROOM
from blynkscope.server.ordering import pin_number
from blynkscope.server.pinning import sound

if TYPE_CHECKING:
    from blynkscope.server.app import AppSession
    from blynkscope.server.projects import Device
    from blynkscope.server.store import Values

SYNC_ID = 1111
"""The id of all messages that answer a synchronisation, measured."""
SYNC_BYTES = 2 * 1024 * 1024
"""Bytes of one synchronisation: half of what may wait for a client. Beyond it no more values come."""
_DIGITS = 10


def number_of(text: str) -> int:
    """A number of a dashboard, device, widget or tag. Raises `Refused` 2 where it is none."""
    if not (text.isascii() and text.isdecimal()) or len(text) > _DIGITS or int(text) > NUMBER_MAX:
        raise Refused(ILLEGAL_COMMAND)
    return int(text)


def dash_of(session: AppSession, text: str) -> int:
    """A dashboard that the session is shown.

    Raises:
        Refused: 2, there is none of this number; 6, the guest may not see it.
    """
    number = number_of(text)
    if not session.sees(number):
        raise Refused(NOT_ALLOWED)
    session.hub.projects.dash(session.account, number)
    return number


def target_of(session: AppSession, text: str) -> tuple[int, int | None]:
    """`dash-device` or `dash`; see `dash_of`."""
    dash, between, device = text.partition("-")
    return dash_of(session, dash), number_of(device) if between else None


# --- dashboards start and stop ----------------------------------------------------------------------------------------


def activate(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """ACTIVATE_DASHBOARD: devices are told the modes of their pins, the app gets all values.

    Status 7 where no device is online, and the dashboard is active all the same. Where some are, the legacy server says
    7 for each of the others, with the id of the message that these would have got (measured).
    """
    hub = session.hub
    dash = dash_of(session, words(body, 1)[0])
    _set_active(session, dash, active=True)
    devices = hub.projects.devices(session.account, dash)
    online = [device for device in devices if hub.online(device.token)]
    answers = []
    if online:
        for device in devices:
            if hub.online(device.token):
                hub.send_modes(device)
            elif hub.settings.like is Era.LEGACY:
                answers.append(session.response(MODES_ID, DEVICE_NOT_IN_NETWORK))
    answers.append(session.response(number, OK if online else DEVICE_NOT_IN_NETWORK))
    _tell_others(session, commands.ACTIVATE_DASHBOARD, number, dash)
    session.send_all([*answers, *synced(session, devices)])
    return None


def deactivate(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """DEACTIVATE_DASHBOARD: one, or without a body all of them."""
    projects = session.hub.projects
    dashes = (
        [dash_of(session, words(body, 1)[0])] if body else [dash["id"] for dash in projects.dashes(session.account)]
    )
    for dash in dashes:
        _set_active(session, dash, active=False)
        _tell_others(session, 8, number, dash)
    return DONE


def _set_active(session: AppSession, number: int, *, active: bool) -> None:
    projects = session.hub.projects
    dash = projects.dash(session.account, number)
    if dash["isActive"] is not active:
        dash["isActive"] = active
        projects.keep(session.account, dash)


def _tell_others(session: AppSession, cmd: int, number: int, dash: int) -> None:
    for other in tuple(session.hub.apps(session.account)):
        if other is not session and other.sees(dash):
            other.push(cmd, number, b"%d" % dash)


# --- writes -----------------------------------------------------------------------------------------------------------


def write(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """HW: `dash-device`, operation, pin, values. Nothing on success; 7 where no device of the target is online.

    Nothing happens, and nothing is answered, where the dashboard is not active, and to requests to read (measured).
    """
    hub = session.hub
    body = sound(body)
    parts = body.split(b"\0")
    if len(parts) < 3:
        return ILLEGAL_COMMAND
    dash, wanted = target_of(session, parts[0].decode("utf-8", "replace"))
    op, pin, values = parts[1], parts[2], parts[3:]
    devices = hub.projects.targets(session.account, dash, wanted or 0)
    if not devices:
        return ILLEGAL_COMMAND
    if not boards.is_active(hub.projects.board(devices[0])) or op in _READS:
        return None
    if op not in _WRITES:
        return NOT_ALLOWED
    if not values:
        return ILLEGAL_COMMAND_BODY
    known = pin_number(pin)
    if known is None or len(body) - len(parts[0]) - 1 > limits.HARDWARE_BODY_MAX:
        return ILLEGAL_COMMAND
    got = 0
    for device in devices:
        reached = hub.write(device, op, known, values, id=number, origin=session)
        if reached == NO_ROOM:
            return SERVER_EXCEPTION
        got += reached
    return DONE if got else DEVICE_NOT_IN_NETWORK


_WRITES = frozenset(WRITES.values())
_READS = frozenset({b"vr", b"dr", b"ar"})


# --- synchronisation --------------------------------------------------------------------------------------------------


def sync(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """APP_SYNC: a dashboard, or one device of it. 200, then the values."""
    projects = session.hub.projects
    dash, wanted = target_of(session, words(body, 1)[0])
    devices = projects.devices(session.account, dash)
    if wanted is not None:
        devices = projects.targets(session.account, dash, wanted)
    session.send_all([session.response(number, OK), *synced(session, devices)])
    return None


def synced(session: AppSession, devices: list[Device]) -> list[bytes]:
    """Frames with all values of these devices: first what no widget shows, then widgets, in their order."""
    frames: list[bytes] = []
    size = 0
    for cmd, body in _values(session, devices):
        frames.append(message(cmd, SYNC_ID, body, session.framing))
        size += len(frames[-1])
        if size > SYNC_BYTES:
            break
    return frames


def _values(session: AppSession, devices: list[Device]) -> Iterator[tuple[int, bytes]]:
    documents, store = session.documents(), session.hub.store
    for device in devices:
        for key, values in documents.loose_pins(device).items():
            yield commands.APP_SYNC, _operation(device, WRITES[key[:1]], key[1:], values)
        for key, name, values in documents.loose_properties(device):
            yield commands.PROPERTY, _operation(device, key[1:], name, values)
    if not devices:
        return
    by_number = {device.id: device for device in devices}
    for found in session.hub.projects.board(devices[0]).get("widgets", ()):
        pin = app_widgets.key_of(found)
        shown = by_number.get(found.get("deviceId", 0))
        if pin is None or shown is None:
            continue
        kept = store.pin(shown.token, pin)
        if kept:
            op = b"vm" if app_widgets.is_multi(found) and pin[:1] == b"v" else WRITES[pin[:1]]
            yield commands.APP_SYNC, _operation(shown, op, pin[1:], kept)


def _operation(device: Device, first: bytes, second: bytes, values: Values) -> bytes:
    return b"\0".join((device.target, first, second, *values))


# --- properties -------------------------------------------------------------------------------------------------------


def change(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """PROPERTY: dashboard, widget, property, value. 11 for one that no widget has."""
    hub = session.hub
    dash, item, name, *values = [*words(body, 3)]
    if not values or not name or len(name) > _NAME_MAX or name in _FIXED:
        return ILLEGAL_COMMAND_BODY
    place = dash_of(session, dash)
    found = hub.projects.widget(session.account, place, number_of(item))
    raw = [value.encode() for value in values]
    if not app_widgets.is_own(found, name) and name not in _KNOWN:
        return ILLEGAL_COMMAND_BODY
    key = app_widgets.key_of(found)
    device = hub.projects.find(session.account, place, found.get("deviceId", 0)) if key is not None else None
    changed = app_widgets.shown(found, None, {name.encode(): raw})
    if name not in changed:
        changed[name] = values[0] if len(values) == 1 else values
    _replace(session, place, changed)
    if device is not None and key is not None and hub.store.property(device.token, key, name.encode()) is not None:
        hub.store.set_property(device.token, key, name.encode(), raw)
    return DONE


_NAME_MAX = 64
_FIXED = frozenset({"id", "type", "pin", "pinType", "deviceId", "value"})
_KNOWN = frozenset({"onLabel", "offLabel", "labels", "isOnPlay", "url", "urls", "opacity", "rotation", "scale", "step"})
"""Properties that a widget may get without having had them."""


def _replace(session: AppSession, number: int, changed: app_widgets.Json) -> None:
    projects = session.hub.projects
    dash = projects.dash(session.account, number)
    dash["widgets"] = [changed if each["id"] == changed["id"] else each for each in dash["widgets"]]
    projects.keep(session.account, dash)


def seed(session: AppSession, dash: int, found: app_widgets.Json, time: float) -> None:
    """The value that a new widget brings becomes that of its pin, unless the pin has one."""
    key, value = app_widgets.key_of(found), found.get("value")
    if key is None or not isinstance(value, str) or found.get("deviceId", 0) >= FIRST_TAG:
        return
    device = session.hub.projects.find(session.account, dash, found.get("deviceId", 0))
    if device is not None and session.hub.store.pin(device.token, key) is None:
        session.hub.store.set_pin(device.token, key, value.encode().split(b"\0"), time)
