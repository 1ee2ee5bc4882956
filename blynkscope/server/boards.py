"""What a device's session needs to know of its dashboard, which is the JSON of the legacy server's profiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from blynkscope.server.app_widgets import Json, key_of

Board = Mapping[str, Any]
_READING = frozenset({"DIGIT4_DISPLAY", "LABELED_VALUE_DISPLAY", "GAUGE", "LEVEL_DISPLAY", "VERTICAL_LEVEL_DISPLAY"})
"""Widgets that only show their pin."""
NO_BOARD: Board = {"isActive": False, "widgets": []}
"""The dashboard of a device that was removed while it was online."""


def is_active(board: Board) -> bool:
    """Whether the dashboard is running."""
    return board.get("isActive") is True


def tells_apps(board: Board) -> bool:
    """Whether devices are told that apps come and go."""
    return board.get("isAppConnectedOn") is True


def widget(board: Board, kind: str) -> Json | None:
    """The first widget of a type, as `RTC` or `NOTIFICATION`."""
    return next((found for found in board["widgets"] if found.get("type") == kind), None)


def widget_keys(board: Board, device: int) -> list[bytes]:
    """The pins of a device's widgets as keys of the store (`b"v1"`), in the order of the widgets, each once."""
    return list(dict.fromkeys(key for pin in _pins(board, device) if (key := key_of(pin)) is not None))


def modes(board: Board, device: int) -> bytes:
    """Body of the message that sets up the pins of a device; empty where its widgets have no real pins."""
    parts = [b"pm"]
    for pin in _pins(board, device):
        if pin.get("pinType") in ("DIGITAL", "ANALOG") and (key := key_of(pin)) is not None:
            parts += [key[1:], b"in" if pin.get("type") in _READING else b"pwm" if pin.get("pwmMode") else b"out"]
    return b"\0".join(parts) if len(parts) > 1 else b""


def local_seconds(board: Board, now: float) -> int:
    """Seconds since 1970 in the time zone of the dashboard's clock widget, as devices are given them."""
    clock = widget(board, "RTC")
    name = clock.get("tzName") if clock else None
    if isinstance(name, str) and name:
        try:
            offset = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(name)).utcoffset()
        except (ValueError, OSError, KeyError):  # no such zone, or no zones on this machine
            return int(now)
        return int(now) + (int(offset.total_seconds()) if offset else 0)
    return int(now)


def _pins(board: Board, device: int) -> Iterator[Json]:
    """What names a pin of this device: a widget, or each of its `pins`."""
    for found in board["widgets"]:
        if found.get("deviceId", 0) != device:
            continue
        pins = found.get("pins")
        if isinstance(pins, list):
            yield from ({**pin, "type": found.get("type")} for pin in pins if isinstance(pin, dict))
        else:
            yield found
