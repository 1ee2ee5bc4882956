"""Dashboards and widgets as the JSON documents of Blynk's apps: what they must hold, and what a server fills in."""

from __future__ import annotations

from typing import Any

import msgspec

from blynkscope.protocol import limits
from blynkscope.server.store import Values

Json = dict[str, Any]

NUMBER_MAX = 2**31 - 1
"""Ids of dashboards, widgets, devices and tags are 32 bits wide."""
WIDGET_BYTES = 20 * 1024
"""Size of a widget that the legacy server takes."""
DASH_BYTES = 256 * 1024
"""Size of a dashboard that the legacy server takes."""
DASHES_MAX = 100
"""Dashboards of an account, as the legacy server has it."""
WIDGETS_MAX = 1024
"""Widgets of a dashboard."""
TAGS_MAX = 100
"""Tags of a dashboard, as the legacy server has it."""
TAG_DEVICES_MAX = 256
"""Devices of one tag."""
NAME_MAX = 256
"""Characters of the name of a dashboard or a tag."""
FIRST_TAG = 100_000
"""Ids below are devices, ids from here on are tags."""

KEYS = {"VIRTUAL": b"v", "DIGITAL": b"d", "ANALOG": b"a"}
"""`pinType` of a widget → first letter of the store's key."""
WRITES = {b"v": b"vw", b"d": b"dw", b"a": b"aw"}

_COMMON: Json = {"type": None, "id": 0, "x": 0, "y": 0, "color": 0, "width": 0, "height": 0, "tabId": 0}
_PIN: Json = {"pwmMode": False, "rangeMappingOn": False, "min": 0.0, "max": 0.0}
_BY_TYPE: dict[str, Json] = {
    "BUTTON": {"pushMode": False},
    "SLIDER": {"sendOnReleaseOn": False, "frequency": 0, "maximumFractionDigits": 0, "showValueOn": True},
    "DIGIT4_DISPLAY": {"frequency": 0},
    "TERMINAL": {"autoScrollOn": False, "terminalInputOn": False, "textLightOn": False, "attachNewLine": False},
    "NOTIFICATION": {
        "androidTokens": {}, "notifyWhenOffline": False, "notifyWhenOfflineIgnorePeriod": 0, "priority": "normal",
    },
}  # fmt: skip
"""Fields that the legacy server adds to a widget (measured)."""
_NO_PINS = frozenset({"BRIDGE", "RTC", "NOTIFICATION", "EMAIL", "TWITTER", "SMS"})
_MULTI = frozenset({"TERMINAL"})
"""Widgets that show all values that came, not the last one."""
_OWN = frozenset({"label", "color", "isDefaultColor", "min", "max"})
"""Properties that every widget of a pin has in its own document."""
_DASH: Json = {
    "id": 0, "parentId": -1, "isPreview": False, "name": "", "createdAt": 0, "updatedAt": 0, "widgets": [],
    "theme": "Blynk", "keepScreenOn": False, "isAppConnectedOn": False, "isNotificationsOff": False,
    "isShared": False, "isActive": False, "widgetBackgroundOn": False, "color": -1, "isDefaultColor": True,
}  # fmt: skip
_SERVERS = frozenset({"devices", "tags", "sharedToken", "cloneCode"})
"""Fields of a dashboard that an app's document cannot set as they are."""
_SETTINGS = ("name", "theme", "keepScreenOn", "isAppConnectedOn", "isNotificationsOff", "widgetBackgroundOn", "color")


class Refused(Exception):  # noqa: N818 - it is an answer
    """A command cannot be done; `status` says why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def parse(text: bytes) -> Json:
    """A JSON object of bounded size and depth.

    Raises:
        Refused: 11, it is none; 6, it is too big.
    """
    if len(text) > limits.JSON_MAX:
        raise Refused(6)
    try:
        found = msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Refused(11) from error
    if not isinstance(found, dict) or not _is_shallow(found):
        raise Refused(11)
    return found


def within(document: bytes, size: int) -> bytes:
    """The document, unless it is greater than so many bytes: then `Refused` 6 is raised."""
    if len(document) > size:
        raise Refused(6)
    return document


def _is_shallow(found: Json) -> bool:
    level: list[Any] = [found]
    for _ in range(limits.JSON_LEVELS_MAX):
        inside = [value for each in level for value in (each.values() if isinstance(each, dict) else each)]
        level = [value for value in inside if isinstance(value, dict | list)]
        if not level:
            return True
    return False


def number(found: Json, name: str = "id", *, least: int = 0) -> int:
    """A number of a document that has to be there.

    Raises:
        Refused: 11, it is not.
    """
    value = found.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= NUMBER_MAX:
        raise Refused(11)
    return value


def widget(found: Json, taken: frozenset[int] | set[int] = frozenset()) -> Json:
    """A widget as the server keeps it: what the app sent, with the fields that all of its kind have.

    Args:
        found: As it came.
        taken: Ids that other widgets have.

    Raises:
        Refused: 11, it has no id or type; 6, the id is taken.
    """
    kind = found.get("type")
    if not isinstance(kind, str) or not kind or len(kind) > 64:
        raise Refused(11)
    if number(found) in taken:
        raise Refused(6)
    if "deviceId" in found:
        number(found, "deviceId")
    made = {**_COMMON, **{name: found[name] for name in _COMMON if name in found}}
    if isinstance(found.get("label"), str):
        made["label"] = found["label"]
    made["isDefaultColor"] = bool(found.get("isDefaultColor", False))
    rest = {name: value for name, value in found.items() if name not in made}
    if kind in _NO_PINS:
        for name in ("deviceId", "pinType", "pin", "value"):
            rest.pop(name, None)
    elif "pin" in rest or "pinType" in rest:
        made["deviceId"] = rest.pop("deviceId", 0)
        made["pinType"] = rest.pop("pinType", "VIRTUAL")
        made["pin"] = rest.pop("pin", -1)
        for name, value in _PIN.items():
            made[name] = rest.pop(name, value)
        if "value" in rest and kind not in _MULTI:
            made["value"] = rest.pop("value")
        rest.pop("value", None)
    return {**made, **_BY_TYPE.get(kind, {}), **rest}


def dashboard(found: Json, now: float) -> Json:
    """A dashboard as the server keeps it, without its devices.

    Raises:
        Refused: 11, it has no id, or a widget is none; 6, it is too big.
    """
    made = {**_DASH, **{name: value for name, value in found.items() if name not in _SERVERS}}
    number(made, least=1)
    if any(not isinstance(made[name], type(value)) for name, value in _DASH.items()):
        raise Refused(11)
    if len(made["name"]) > NAME_MAX:
        raise Refused(6)
    if len(made["widgets"]) > WIDGETS_MAX:
        raise Refused(6)
    taken: set[int] = set()
    widgets: list[Json] = []
    for each in made["widgets"]:
        if not isinstance(each, dict):
            raise Refused(11)
        widgets.append(widget(each, taken))
        taken.add(widgets[-1]["id"])
    made["widgets"] = widgets
    made["updatedAt"] = int(now * 1000)
    tags = found.get("tags")
    made["tags"] = [tag(each) for each in tags[:TAGS_MAX]] if isinstance(tags, list) else []
    return made


def is_whole(dash: Json) -> bool:
    """Has a dashboard out of the store all that `dashboard` gave it?"""
    whole = _DASH.keys() <= dash.keys() and isinstance(dash.get("tags", []), list)
    return whole and all({"id", "type"} <= each.keys() for each in dash["widgets"])


def tag(found: object) -> Json:
    """A tag as the server keeps it: id, name, numbers of devices. Raises `Refused` 11 where it is none."""
    if not isinstance(found, dict) or number(found, least=FIRST_TAG) < FIRST_TAG:
        raise Refused(11)
    name, devices = found.get("name", ""), found.get("deviceIds", [])
    if not isinstance(name, str) or len(name) > NAME_MAX:
        raise Refused(11)
    if (
        not isinstance(devices, list)
        or len(devices) > TAG_DEVICES_MAX
        or not all(type(each) is int for each in devices)
    ):
        raise Refused(11)
    return {"id": found["id"], "name": name, "deviceIds": devices}


def change_settings(dash: Json, found: Json) -> None:
    """Name, theme and options of a dashboard from the document of UPDATE_PROJECT_SETTINGS."""
    for name in _SETTINGS:
        if name in found:
            if not isinstance(found[name], type(_DASH[name])):
                raise Refused(11)
            dash[name] = found[name]


def key_of(found: Json) -> bytes | None:
    """The pin of a widget as the store calls it, `b"v1"`; None where it has none."""
    letter, pin = KEYS.get(str(found.get("pinType"))), found.get("pin")
    if letter is None or not isinstance(pin, int) or isinstance(pin, bool) or not 0 <= pin <= 255:
        return None
    return letter + b"%d" % pin


def shown(found: Json, values: Values | None, properties: dict[bytes, Values]) -> Json:
    """A widget as it is now: with the value that its pin has, and the properties that the device set."""
    made = dict(found)
    for name, of_it in properties.items():
        text = name.decode("utf-8", "replace")
        if is_own(found, text):
            made[text] = _property(found.get(text), text, of_it)
    if values is not None and found.get("type") not in _MULTI:
        made["value"] = b"\0".join(values).decode("utf-8", "replace")
    return made


def is_own(found: Json, name: str) -> bool:
    """Is this a property that the widget's own document holds?"""
    return name not in {"id", "type", "pin", "pinType", "deviceId", "value"} and (name in _OWN or name in found)


def _property(old: object, name: str, values: Values) -> object:
    text = b"\0".join(values).decode("utf-8", "replace")
    if name == "color":
        return colour(text)
    if name == "labels":
        return [value.decode("utf-8", "replace") for value in values]
    try:
        if isinstance(old, bool):
            return text == "true"
        if isinstance(old, int):
            return int(text[:20])
        if isinstance(old, float) or name in {"min", "max"}:
            return float(text[:40])
    except ValueError:
        return old
    return text


def colour(text: str) -> int:
    """`#rrggbb` as the apps keep it: a signed number of 32 bits, with the opacity in its lowest byte."""
    try:
        value = (int(text.removeprefix("#")[:8], 16) << 8 | 0xFF) & 0xFFFFFFFF
    except ValueError:
        return -1
    return value - (1 << 32) if value >= 1 << 31 else value


def is_multi(found: Json) -> bool:
    """Does the widget show all values that came (`vm`)?"""
    return found.get("type") in _MULTI
