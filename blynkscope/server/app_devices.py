"""Devices of projects: what is kept of them, and when they were there."""

from __future__ import annotations

from typing import Any

import msgspec

from blynkscope.server.app_widgets import Json, Refused
from blynkscope.server.store import Store

TEXT_MAX = 256
"""Characters of a device's name, and of its other texts."""
_TAKEN = frozenset({"id", "name", "boardType", "connectionType", "token", "status", "hardwareInfo", "lastLoggedIP"})
_SEEN = "seen"
"""What the store calls it among what the server itself keeps of a device."""


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A device of a project.

    Attributes:
        token: What it logs in with.
        dash: Number of its dashboard.
        id: Number in its dashboard.
        account: E-mail address, in lower case, of who owns it.
        name: Name for people.
        board: `boardType` of the app: the hardware.
        connection: `connectionType` of the app: WI_FI, ETHERNET, ….
        extra: What else the app says of it.
    """

    token: str
    dash: int
    id: int
    account: str
    name: str = "Device"
    board: str = "ESP8266"
    connection: str = "WI_FI"
    extra: dict[str, Any] = {}

    @property
    def target(self) -> bytes:
        """`dash-device`, as it stands before the bodies of apps."""
        return b"%d-%d" % (self.dash, self.id)


class Seen(msgspec.Struct):
    """When a device was there; times in seconds since 1970, 0 for never."""

    first: float = 0.0
    connected: float = 0.0
    disconnected: float = 0.0
    address: str = ""
    online: int = 0
    """How many connections it has now."""


class Presence:
    """When devices come and go."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: dict[str, Seen] = {}

    def came(self, device: Device, time: float, address: str) -> None:
        """A connection of a device has logged in."""
        seen = self._seen.setdefault(device.token, self.seen(device))
        seen.online += 1
        seen.connected = time
        seen.first = seen.first or time
        seen.address = address or seen.address
        self._keep(device, seen)

    def went(self, device: Device, time: float, *, kept: bool) -> None:
        """A connection of a device is gone; `kept` False where the device is deleted."""
        seen = self._seen.get(device.token)
        if seen is None:
            return
        seen.online -= 1
        seen.disconnected = time
        if kept:
            self._keep(device, seen)
        if seen.online <= 0:
            del self._seen[device.token]

    def seen(self, device: Device) -> Seen:
        """When a device was there, and whether it is."""
        seen = self._seen.get(device.token)
        if seen is not None:
            return seen
        known = self._store.own(device.token, _SEEN)
        if known is None:
            return Seen()
        try:
            first, connected, disconnected, address = msgspec.json.decode(known, type=tuple[float, float, float, str])
        except msgspec.DecodeError:
            return Seen()
        return Seen(first, connected, disconnected, address)

    def _keep(self, device: Device, seen: Seen) -> None:
        kept = (seen.first, seen.connected, seen.disconnected, seen.address)
        # Where there is no room for it, it is forgotten with the connection.
        self._store.set_own(device.token, _SEEN, msgspec.json.encode(kept))


def described(device: Device, found: Json) -> Device:
    """A device with what an app's document says of it. Raises `Refused` 11 where that is no description."""
    texts = [found.get(name, old) for name, old in (
        ("name", device.name), ("boardType", device.board), ("connectionType", device.connection),
    )]  # fmt: skip
    if not all(isinstance(text, str) and len(text) <= TEXT_MAX for text in texts):
        raise Refused(11)
    extra = {name: value for name, value in found.items() if name not in _TAKEN and not name.endswith("Time")}
    extra.pop("dataReceivedAt", None)
    name, board, connection = texts
    return msgspec.structs.replace(
        device, name=name, board=board, connection=connection, extra={**device.extra, **extra}
    )
