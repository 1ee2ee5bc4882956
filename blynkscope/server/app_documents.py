"""Profiles, dashboards and devices as the apps read them: what is stored, with what is known at this moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from blynkscope.server import app_widgets
from blynkscope.server.app_widgets import Json

if TYPE_CHECKING:
    from blynkscope.server.projects import Device, Projects
    from blynkscope.server.store import Store, Values

_INFO = (
    ("ver", "blynkVersion"), ("fw", "firmwareVersion"), ("dev", "boardType"), ("cpu", "cpuType"),
    ("con", "connectionType"), ("build", "build"), ("tmpl", "templateId"), ("h-beat", "heartbeatInterval"),
    ("buff-in", "buffIn"),
)  # fmt: skip
"""Key of INTERNAL info, as devices send it → name in the apps' JSON."""
_NUMBERS = frozenset({"h-beat", "buff-in"})
_NUMBER_DIGITS = 9


class Documents:
    """What may be read of projects.

    Args:
        projects: The projects.
        store: Values of pins, and properties.
        info: By token what a device has said of itself: keys and values of INTERNAL info.
    """

    __slots__ = ("_info", "_projects", "_store")

    def __init__(self, projects: Projects, store: Store, info: Callable[[str], Mapping[str, str]]) -> None:
        self._projects = projects
        self._store = store
        self._info = info

    def device(self, device: Device, *, whole: bool = True) -> Json:
        """A device; in lists the legacy server leaves two fields out (`whole` False)."""
        seen = self._projects.seen(device)
        made: Json = {
            "id": device.id, "name": device.name, "boardType": device.board, "token": device.token,
            "connectionType": device.connection, "status": "ONLINE" if seen.online > 0 else "OFFLINE",
            "disconnectTime": int(seen.disconnected * 1000), "connectTime": int(seen.connected * 1000),
        }  # fmt: skip
        if whole:
            made["firstConnectTime"] = int(seen.first * 1000)
        made["dataReceivedAt"] = int(self._store.last_write(device.token) * 1000)
        if whole and seen.address:
            made["lastLoggedIP"] = seen.address
        info = _info(self._info(device.token))
        if info:
            made["hardwareInfo"] = info
        return {**made, "isUserIcon": False, **device.extra}

    def widget(self, account: str, dash: int, found: Json) -> Json:
        """A widget with the value of its pin and the properties that its device has set."""
        key = app_widgets.key_of(found)
        device = self._projects.find(account, dash, found.get("deviceId", 0)) if key is not None else None
        if key is None or device is None:
            return found
        store = self._store
        return app_widgets.shown(found, store.pin(device.token, key), store.properties(device.token).get(key, {}))

    def dash(self, account: str, number: int, *, public: bool = False) -> Json:
        """A dashboard with its devices, values and properties as they are now.

        Args:
            account: Whose it is.
            number: Its number.
            public: For guests, and for whoever has the token of a device: no tokens, no addresses.

        Raises:
            Refused: 2, there is none.
        """
        made: Json = {}
        for name, value in self._projects.dash(account, number).items():
            if (name == "tags" and not value) or name == "cloneCode" or (public and name == "sharedToken"):
                continue
            made[name] = value
            if name == "widgets":
                made[name] = [self.widget(account, number, found) for found in value]
                devices = self._projects.devices(account, number)
                made["devices"] = [public_device(each) if public else self.device(each) for each in devices]
        return made

    def profile(self, account: str) -> Json:
        """All dashboards of an account, and the values of pins that no widget shows."""
        dashes = [self.dash(account, dash["id"]) for dash in self._projects.dashes(account)]
        kept: Json = {}
        for device in self._projects.devices(account):
            place = f"{device.dash}-{device.id}"
            for key, values in self.loose_pins(device).items():
                kept[f"{place}-{key.decode()}"] = _text(values)
            for key, name, values in self.loose_properties(device):
                kept[f"{place}-{key.decode()}-{name.decode('utf-8', 'replace')}"] = _text(values)
        return {"dashBoards": dashes, "pinsStorage": kept}

    def loose_pins(self, device: Device) -> dict[bytes, Values]:
        """The pins of a device that have a value and no widget."""
        pins = self._store.pins(device.token)
        shown = {app_widgets.key_of(found) for found in self._projects.widgets_of(device)} if pins else set()
        return {key: values for key, values in pins.items() if key not in shown}

    def loose_properties(self, device: Device) -> list[tuple[bytes, bytes, Values]]:
        """The properties that a device has set and that are no field of a widget: pin, name, values."""
        found = self._store.properties(device.token)
        if not found:
            return []
        widgets = {app_widgets.key_of(each): each for each in self._projects.widgets_of(device)}
        return [
            (key, name, values)
            for key, named in found.items()
            for name, values in named.items()
            if key not in widgets or not app_widgets.is_own(widgets[key], name.decode("utf-8", "replace"))
        ]


def public_device(device: Device) -> Json:
    """A device as whoever may read is shown it: without token, address and times (measured)."""
    return {
        "id": device.id, "name": device.name, "boardType": device.board, "connectionType": device.connection,
        "isUserIcon": False,
    }  # fmt: skip


def _info(known: Mapping[str, str]) -> Json:
    made: Json = {}
    for key, name in _INFO:
        text = known.get(key)
        if text is None:
            continue
        is_number = key in _NUMBERS and text.isascii() and text.isdecimal() and len(text) <= _NUMBER_DIGITS
        made[name] = int(text) if is_number else text
    return made


def _text(values: Values) -> str:
    return b"\0".join(values).decode("utf-8", "replace")
