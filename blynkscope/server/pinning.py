"""Pins of a device: writes, synchronisation, properties."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blynkscope.protocol import commands, limits
from blynkscope.protocol.statuses import ILLEGAL_COMMAND, ILLEGAL_COMMAND_BODY, SERVER_EXCEPTION, SUCCESS
from blynkscope.server import boards
from blynkscope.server.answering import DONE, Outcome, frame
from blynkscope.server.ordering import PINS, pin_number

if TYPE_CHECKING:
    from blynkscope.server.hardware import HardwareSession
    from blynkscope.server.hub import Hub
    from blynkscope.server.projects import Device

SYNC_MAX = 1024 * 1024
"""Bytes of values that a device may ask for in a second: all pins of any template. Beyond it nothing more comes, as
from the real server to a client that does not read."""
SYNC_SECONDS = 1.0
_SYNC_COST = 256
"""Bytes that stand for the work of a request; a value has a quarter of it."""
SYNC_PINS_MAX = 1024
"""Pins that one request names; there are no more."""
_SHORTEST = 4
"""Bytes of the shortest operation, `vr` and a pin; the real server refuses shorter ones."""
_LETTERS = frozenset(b"vda")
_STAMP_DIGITS = 15
"""Digits of a time in milliseconds, until the year 33658."""


def sound(body: bytes) -> bytes:
    """A body as the server hands it on: what is no UTF-8 becomes EF BF BD."""
    if body.isascii():
        return body
    try:
        body.decode()
    except UnicodeDecodeError:
        return body.decode("utf-8", "replace").encode()
    return body


def write(session: HardwareSession, number: int, body: bytes, time: float) -> Outcome:
    """HW: a pin is written, or something else is told to the apps. A good one is never answered."""
    device = session.device
    if device is None or len(body) < _SHORTEST:
        return ILLEGAL_COMMAND
    refused = written(session.hub, device, number, body, session.stamp or time)
    return DONE if refused is None else refused


def written(hub: Hub, device: Device, number: int, body: bytes, time: float) -> int | None:
    """Store what a device writes and show it to the apps; a status where it is refused."""
    body = sound(body)
    if len(body) > limits.HARDWARE_BODY_MAX:
        # It has grown; what fits into no frame cannot be given back.
        return ILLEGAL_COMMAND
    if body[1:2] == b"w":
        parts = body.split(b"\0", 2)
        if len(parts) < 3 or not parts[2]:
            return ILLEGAL_COMMAND
        op, pin, rest = parts
        if op[0] not in _LETTERS:
            return ILLEGAL_COMMAND_BODY
        if pin not in PINS:
            pin = pin_number(pin) or b""
            if not pin:
                return ILLEGAL_COMMAND
        if not hub.keep(device, op[:1] + pin, rest.split(b"\0"), time):
            return SERVER_EXCEPTION
    if hub.apps(device.account) and boards.is_active(hub.board(device)):
        hub.tell_apps(device, commands.HW, number, device.target + b"\0" + body)
    return None


def sync(session: HardwareSession, number: int, body: bytes, time: float) -> Outcome:
    """HW_SYNC: the stored values, each as a HW with the id of the request; nothing for a pin without a value."""
    device, hub = session.device, session.hub
    if device is None:
        return ILLEGAL_COMMAND
    if not 0 <= time - session.synced_from < SYNC_SECONDS:
        session.synced_from, session.synced = time, 0
    if session.synced > SYNC_MAX:
        return None
    session.synced += _SYNC_COST
    if not body:
        pins = hub.pins(device)
    else:
        op, *names = body.removesuffix(b"\0").split(b"\0")
        if len(op) != 2 or op[0] not in _LETTERS or op[1:] != b"r" or not names:
            return ILLEGAL_COMMAND
        pins = {}
        for name in names[:SYNC_PINS_MAX]:
            pin = pin_number(name)
            if pin is None:
                return ILLEGAL_COMMAND
            if (values := hub.store.pin(device.token, op[:1] + pin)) is not None:
                pins[op[:1] + pin] = values
    frames = []
    for key, values in pins.items():
        wire = frame(commands.HW, number, b"\0".join((key[:1] + b"w", key[1:], *values)))
        session.synced += len(wire) + _SYNC_COST // 4
        if session.synced > SYNC_MAX:
            break
        frames.append(wire)
    return b"".join(frames)


def change(session: HardwareSession, number: int, body: bytes, time: float) -> Outcome:
    """PROPERTY: how a pin's widget looks."""
    if session.device is None:
        return ILLEGAL_COMMAND
    body = sound(body)
    if len(body) > limits.HARDWARE_BODY_MAX:
        return ILLEGAL_COMMAND
    parts = body.split(b"\0")
    if len(parts) < 3:
        return ILLEGAL_COMMAND_BODY
    status = session.hub.set_property(session.device, parts[0], parts[1], parts[2:], id=number)
    return DONE if status == SUCCESS else status


def group(session: HardwareSession, number: int, body: bytes, time: float) -> Outcome:
    """GROUP (Blynk IoT): the writes between its begin and its end have one time."""
    mark, _, stamp = body.partition(b"\0")
    if mark == b"b":
        session.stamp = time
    elif mark == b"t" and stamp.isdigit() and len(stamp) <= _STAMP_DIGITS:
        session.stamp = int(stamp) / 1000
    else:
        session.stamp = 0.0
    return DONE
