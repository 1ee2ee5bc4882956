"""What devices tell people and the server itself: notifications, mails, events, info, time, metadata.

The dashboard that the server makes for its devices has the widgets that notifications, mails, tweets and SMS need, and
a phone, so these are answered by 200 and go nowhere. On other dashboards the legacy server's refusals hold: 14 without
the widget, or without a phone.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from blynkscope.protocol import commands
from blynkscope.protocol.model import Era
from blynkscope.protocol.statuses import (
    ILLEGAL_COMMAND,
    ILLEGAL_COMMAND_BODY,
    NO_ACTIVE_DASHBOARD,
    NOT_ALLOWED,
    NTF_INVALID_BODY,
    NTF_NOT_AUTHORIZED,
    QUOTA_LIMIT,
)
from blynkscope.server import boards, timing
from blynkscope.server.answering import DONE, OK, Outcome, frame, response
from blynkscope.server.store import is_name

if TYPE_CHECKING:
    from blynkscope.server.hardware import HardwareSession
    from blynkscope.server.projects import Device

NOTIFICATION_MAX = 255
"""Bytes of a notification, a tweet or an SMS; the legacy server refuses longer ones."""
NOTIFICATION_SECONDS = 5.0
"""The legacy server takes one notification of a device in this time."""
_INFO_LETTERS = frozenset(b"vfhbdct")
"""First letters of keys that the legacy server takes for info: ver, fw, h-beat, build, buff-in, dev, conn, tmpl."""
_SERVICE_KEYS = frozenset({b"acon", b"adis", b"ota", b"meta", b"vfs", b"dbg"})
"""Keys that are no info on Blynk IoT."""
_DIGITS = 10
"""Digits of a number in info that is read."""


def internal(session: HardwareSession, number: int, body: bytes, time: float) -> Outcome:
    """INTERNAL: info, the time, metadata, or a report on an update."""
    key, _, rest = body.partition(b"\0")
    device, hub = session.device, session.hub
    if not key or device is None:
        return ILLEGAL_COMMAND
    iot = hub.settings.like is Era.IOT
    if key == b"rtc" or (not iot and key[:1] == b"r"):
        return _clock(session, number, time)
    if iot and key == b"utc":
        return _utc(number, rest, time)
    if iot and key == b"meta":
        return _metadata(session, device, number, rest)
    if key == b"ota":
        hub.updates.reported(device.token, rest)
        return None
    by_letter = not iot and "info-by-first-letter" in hub.settings.quirks
    if key[0] in _INFO_LETTERS if by_letter else key not in _SERVICE_KEYS:
        return _info(session, device, number, body)
    return None


def _info(session: HardwareSession, device: Device, number: int, body: bytes) -> Outcome:
    parts = body.removesuffix(b"\0").split(b"\0")
    info = dict(zip(parts[::2], parts[1::2], strict=False))
    heartbeat = _number(info.get(b"h-beat"))
    if heartbeat:
        session.bear(timing.patience(session.hub.settings.like, min(heartbeat, timing.HEARTBEAT_MAX)))
    session.buffer = _number(info.get(b"buff-in")) or 0
    url = session.hub.heard_info(device, info)
    session.send(response(number, OK))
    if url is not None:
        session.hub.send_internal(device, b"ota", url)
    return None


def _number(text: bytes | None) -> int | None:
    """A whole number above 0; None where it is none."""
    return int(text) if text is not None and text.isdigit() and len(text) <= _DIGITS else None


def _clock(session: HardwareSession, number: int, time: float) -> bytes:
    device = session.device
    now = boards.local_seconds(session.hub.board(device), time) if device is not None else int(time)
    return frame(commands.INTERNAL, number, b"rtc\0%d" % now)


def _utc(number: int, rest: bytes, time: float) -> bytes:
    """The time as Blynk IoT gives it: `time` in milliseconds, `iso`, or the zone, which is UTC here."""
    asked = rest.partition(b"\0")[0]
    if asked == b"iso":
        value = datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds")
    elif asked == b"tz_name":
        value = "UTC"
    elif asked == b"tz":
        value = "0"
    else:
        asked, value = b"time", str(int(time * 1000))
    return frame(commands.INTERNAL, number, b"\0".join((b"utc", asked, value.encode())))


def _metadata(session: HardwareSession, device: Device, number: int, rest: bytes) -> Outcome:
    verb, _, rest = rest.partition(b"\0")
    field, _, value = rest.partition(b"\0")
    if not field:
        return ILLEGAL_COMMAND
    if verb == b"set":
        if not is_name(field):
            return ILLEGAL_COMMAND_BODY
        return response(number, OK) if session.hub.store.set_meta(device.token, field, value) else NOT_ALLOWED
    if verb != b"get":
        return ILLEGAL_COMMAND
    known = session.hub.store.meta(device.token, field)
    if known is None:
        known = device.name.encode() if field == b"Device Name" else b""
    return frame(commands.INTERNAL, number, b"\0".join((b"meta", field, known)))


def event(session: HardwareSession, number: int, body: bytes, time: float) -> Outcome:
    """EVENT_LOG: Blynk IoT keeps it, the legacy server reads it and does nothing. Neither answers.

    What is not kept is refused: with 11 for what is no name, with 19 where there is no room.
    """
    name, _, description = body.partition(b"\0")
    device, hub = session.device, session.hub
    if name and device is not None and hub.settings.like is Era.IOT:
        return hub.log_event(device, name, description, session.stamp or time) or DONE
    return DONE


def clear(session: HardwareSession, number: int, body: bytes, time: float) -> Outcome:
    """EVENT_CLEAR (Blynk IoT): events of a name are resolved, which is an event of its own in what is kept."""
    name, _, scope = body.partition(b"\0")
    device, hub = session.device, session.hub
    if name and device is not None and hub.settings.like is Era.IOT:
        return hub.log_event(device, name, b"resolved" + (b" (all)" if scope else b""), session.stamp or time) or DONE
    return DONE


def notify(session: HardwareSession, number: int, body: bytes, time: float) -> Outcome:
    """NOTIFY: 13 for a text that is empty or too long, 8, 14 without a widget or a phone, 1 too often, else 200."""
    if not body or len(body) > NOTIFICATION_MAX:
        return NTF_INVALID_BODY
    refused = _without(session, "NOTIFICATION")
    if refused is not None or not _has_phone(session):
        return refused or NTF_NOT_AUTHORIZED
    if time - session.notified < NOTIFICATION_SECONDS:
        return QUOTA_LIMIT
    session.notified = time
    return DONE


def _has_phone(session: HardwareSession) -> bool:
    if session.device is None or session.hub.settings.like is Era.IOT:
        return True
    found = boards.widget(session.hub.board(session.device), "NOTIFICATION") or {}
    return bool(found.get("androidTokens") or found.get("iOSTokens"))


def tweet(session: HardwareSession, number: int, body: bytes, time: float) -> Outcome:
    """TWEET: 2 for a text that is empty or too long, 14 without a widget."""
    if not body or len(body) > NOTIFICATION_MAX:
        return ILLEGAL_COMMAND
    refused = _without(session, "TWITTER")
    return DONE if refused is None else refused


def sms(session: HardwareSession, number: int, body: bytes, time: float) -> Outcome:
    """SMS: 2 for a text that is empty or too long, 14 without a widget."""
    if not body or len(body) > NOTIFICATION_MAX:
        return ILLEGAL_COMMAND
    refused = _without(session, "SMS")
    return DONE if refused is None else refused


def mail(session: HardwareSession, number: int, body: bytes, time: float) -> Outcome:
    """EMAIL: 2 where subject and text are not there, 6 without a widget; it is taken, and sent to nobody."""
    if body.count(b"\0") < 1:
        return ILLEGAL_COMMAND
    refused = _without(session, "EMAIL", NOT_ALLOWED)
    return DONE if refused is None else refused


def _without(session: HardwareSession, kind: str, status: int = NTF_NOT_AUTHORIZED) -> int | None:
    """Why the dashboard does not let a device tell people; Blynk IoT has no widgets for it."""
    if session.device is None or session.hub.settings.like is Era.IOT:
        return None
    board = session.hub.board(session.device)
    if not boards.is_active(board):
        return NO_ACTIVE_DASHBOARD
    return None if boards.widget(board, kind) is not None else status
