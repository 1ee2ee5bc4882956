"""The numbers of pins, and the order in which a sync of all of them goes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from blynkscope.protocol import limits
from blynkscope.protocol.model import Era
from blynkscope.server import boards

if TYPE_CHECKING:
    from blynkscope.server.hub import Hub
    from blynkscope.server.projects import Device

NEIGHBOURS_MAX = 16
"""Devices of a dashboard that are counted for the order of a sync; no test bench has more."""
PINS = frozenset(str(number).encode() for number in range(256))
"""The numbers of pins as they are written."""


def pin_number(raw: bytes) -> bytes | None:
    """The number of a pin as the server keeps it, without leading zeros; None where it is none."""
    if raw in PINS:
        return raw
    if not raw.isdigit() or len(raw) > limits.TOKEN_LENGTH:
        return None
    number = raw.lstrip(b"0") or b"0"
    return number if number in PINS else None


def pins(hub: Hub, device: Device) -> dict[bytes, list[bytes]]:
    """The stored pins of a device: those of widgets in the order of the dashboard, then the others.

    The legacy server sends the others in the order of its hash table, here Blynk IoT in that of their first write.
    """
    stored = hub.store.pins(device.token)
    board = hub.board(device)
    shown = [key for key in boards.widget_keys(board, device.id) if key in stored]
    rest = [key for key in stored if key not in set(shown)]
    if hub.settings.like is Era.LEGACY and len(rest) > 1:
        rest = storage_order(rest, device.dash, device.id, _without_widget(hub, device, board))
    return {key: stored[key] for key in (*shown, *rest)}


def storage_order(keys: Iterable[bytes], dash: int, device: int, entries: int) -> list[bytes]:
    """Pins without a widget, in the order in which the legacy server sends them: that of its hash table.

    The hash of a pin is a chain of `31 * hash + part` over dashboard, device, pin number and letter. The table has a
    power of two of places, of which a quarter stays free.

    Args:
        keys: The pins, as the store calls them.
        dash: Number of the dashboard.
        device: Number of the device.
        entries: How many pins and properties without a widget all devices of the dashboard have.
    """
    places = 16
    while entries * 4 > places * 3:
        places *= 2
    base = (dash * 31 + device) * 31

    def place(key: bytes) -> int:
        value = ((base + int(key[1:])) * 31 + key[0]) & 0xFFFFFFFF
        return (value ^ value >> 16) & (places - 1)

    return sorted(keys, key=place)


def _without_widget(hub: Hub, device: Device, board: boards.Board) -> int:
    """How many pins and properties of a dashboard's devices are not in its widgets."""
    entries = 0
    for other in hub.projects.devices(device.account, device.dash)[:NEIGHBOURS_MAX]:
        widgets = set(boards.widget_keys(board, other.id))
        entries += len(hub.store.pins(other.token).keys() - widgets)
        entries += sum(map(len, hub.store.properties(other.token).values()))
    return entries
