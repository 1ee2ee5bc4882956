"""Projects as the legacy server has them: an account's dashboards, with their widgets, tags and devices.

A dashboard and a device are documents in the store. When a device came and went is kept with them; the values of its
pins, and what it said of itself, are the store's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import msgspec

from blynkscope.protocol.passwords import password_hash
from blynkscope.protocol.statuses import NOT_ALLOWED, SERVER_EXCEPTION
from blynkscope.server import app_widgets
from blynkscope.server.accounts import Account, Accounts, new_token
from blynkscope.server.app_devices import Device, Presence, Seen, described
from blynkscope.server.app_documents import Documents
from blynkscope.server.app_widgets import FIRST_TAG, Json, Refused
from blynkscope.server.model import ServerSettings
from blynkscope.server.store import Store

FIRST_DASH = 1
"""The dashboard of the devices that the server was started with, and of those that any token makes."""
DEVICES_MAX = 16_384
"""Devices that any token may make: three times the 5,000 that one process is to hold."""
DEVICES_OF_DASH = 256
"""Devices that an app may add to one dashboard."""
TOKEN_BYTES = 64
"""Bytes of a token that makes a device; real ones have 32."""
AWAITED_MAX = 256
"""Tokens that were given out for devices that have not logged in yet; beyond it the oldest do not hold any more."""
DEVICE_BYTES = 1024
"""Bytes of an app's document of a device; those of the legacy server have some 400."""
PROFILE_BYTES = 1024 * 1024
"""Bytes of an account's dashboards; the legacy server takes less."""
PROFILES_BYTES = 8 * 1024 * 1024
"""Bytes of all dashboards, since anybody may register: they are kept parsed, which takes fifty times as much."""


_PRIVATE = frozenset({"sharedToken", "cloneCode", "tags"})
"""Fields of a dashboard that a copy has not."""


class Projects:
    """All accounts, dashboards and devices.

    Args:
        settings: The account, and the tokens whose devices are made.
        store: Where they are kept, and from where they are read.
        clock: Seconds since 1970.

    Raises:
        StoreError: What is stored is damaged.
    """

    def __init__(self, settings: ServerSettings, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self.accounts = Accounts(store)
        self.waiting = 0
        """Bytes of unfinished messages that the sessions of apps keep."""
        self._dashes: dict[str, dict[int, Json]] = {}
        self._devices: dict[str, Device] = {}
        self._presence = Presence(store)
        self._awaited: dict[str, Device] = {}
        self._of_dash: dict[tuple[str, int], dict[int, Device]] = {}
        self._sizes: dict[str, int] = {}
        self._size = 0
        self._shares: dict[str, tuple[str, int]] = {}
        self._load()
        self._first_account()

    # --- devices ------------------------------------------------------------------------------------------------------

    def device(self, token: str) -> Device | None:
        """The device that logs in with this token. One that was provisioned is there from now on."""
        found = self._devices.get(token)
        if found is None and token in self._awaited:
            found = self._awaited[token]
            free = self._is_free(found)
            if free and not self._keep_device(found):
                return None
            del self._awaited[token]
            self._store.set_document("awaited", token, None)
            if not free:
                return None
        return found

    def all_devices(self) -> list[Device]:
        """Every device, in the order in which they were made."""
        return list(self._devices.values())

    def devices(self, account: str, dash: int | None = None) -> list[Device]:
        """The devices of a dashboard, or of all dashboards of an account."""
        numbers = self._dashes.get(account, {}) if dash is None else (dash,)
        return [device for number in numbers for device in self._of_dash.get((account, number), {}).values()]

    def find(self, account: str, dash: int, number: int) -> Device | None:
        """A device by its number."""
        return self._of_dash.get((account, dash), {}).get(number)

    def targets(self, account: str, dash: int, number: int) -> list[Device]:
        """The devices that a target means: one, or those of a tag, or those that a device selector has chosen."""
        if number < FIRST_TAG:
            found = self.find(account, dash, number)
            return [found] if found is not None else []
        for tag in self.tags(account, dash):
            if tag.get("id") == number:
                return [found for each in tag["deviceIds"] if (found := self.find(account, dash, each)) is not None]
        return []

    def make_device(self, token: str) -> Device | None:
        """A device for a token that nobody knew, in the first dashboard.

        None where it can be no token, or there are too many, or there is no room.
        """
        if not 0 < len(token.encode("utf-8", "replace")) <= TOKEN_BYTES or not token.isprintable():
            return None
        if len(self._devices) >= DEVICES_MAX:
            return None
        account = self._settings.account[0].lower()
        if FIRST_DASH not in self._dashes.get(account, {}):
            self._first_dash(account)
        number = self._free(account, FIRST_DASH)
        device = Device(token=token, dash=FIRST_DASH, id=number, account=account, name=f"Device {number}")
        return device if self._keep_device(device) else None

    def create_device(self, account: str, dash: int, document: bytes, *, at_once: bool = True) -> Device:
        """A device from an app's document, with a new token.

        Args:
            account: Whose it is.
            dash: Its dashboard.
            document: Its JSON.
            at_once: False makes only a token; the device is there once that token logs in.

        Raises:
            Refused: 2, there is no such dashboard; 6, its number is taken, or there are too many; 11, it is no device;
                19, there is no room.
        """
        self.dash(account, dash)
        found = self._device_document(document)
        there = self._of_dash.get((account, dash), {})
        if len(self._devices) >= DEVICES_MAX or len(there) >= max(DEVICES_OF_DASH, len(self._settings.tokens) + 1):
            raise Refused(6)
        number = app_widgets.number(found) if "id" in found else self._free(account, dash)
        if number in there or number >= FIRST_TAG:
            raise Refused(6)
        device = described(Device(token=new_token(), dash=dash, id=number, account=account), found)
        if not (self._keep_device(device) if at_once else self._await(device)):
            raise Refused(SERVER_EXCEPTION)
        return device

    def update_device(self, account: str, dash: int, document: bytes) -> Device:
        """Name, board and connection of a device from an app's document; see `create_device`."""
        found = self._device_document(document)
        old = self.find(account, dash, app_widgets.number(found))
        if old is None:
            raise Refused(2)
        device = described(old, found)
        if not self._keep_device(device):
            raise Refused(SERVER_EXCEPTION)
        return device

    def assign_token(self, device: Device, token: str) -> Device:
        """Give a device another token; its pins and history go with the old one."""
        if token in self._devices:
            raise Refused(6)
        made = msgspec.structs.replace(device, token=token)
        if not self._store.set_document("device", token, msgspec.json.encode(made)):
            raise Refused(SERVER_EXCEPTION)
        self._drop_device(device)
        self._hold(made)
        return made

    def delete_device(self, device: Device) -> None:
        """Remove a device with all that is stored of it."""
        self._drop_device(device)
        for tag in self.tags(device.account, device.dash):
            tag["deviceIds"] = [each for each in tag["deviceIds"] if each != device.id]

    def connected(self, device: Device, time: float, address: str = "") -> None:
        """A connection of a device has logged in."""
        self._presence.came(device, time, address)

    def disconnected(self, device: Device, time: float) -> None:
        """A connection of a device is gone."""
        self._presence.went(device, time, kept=device.token in self._devices)

    def seen(self, device: Device) -> Seen:
        """When a device was there, and whether it is."""
        return self._presence.seen(device)

    # --- dashboards ---------------------------------------------------------------------------------------------------

    def dash(self, account: str, number: int) -> Json:
        """A dashboard's own document, without devices and values. Who changes it calls `keep`.

        Raises:
            Refused: 2, there is none.
        """
        found = self._dashes.get(account, {}).get(number)
        if found is None:
            raise Refused(2)
        return found

    def dashes(self, account: str) -> list[Json]:
        """The documents of an account's dashboards; see `dash`."""
        return list(self._dashes.get(account, {}).values())

    def board(self, device: Device) -> Json:
        """The document of a device's dashboard; see `dash`."""
        return self._dashes.get(device.account, {}).get(device.dash, {})

    def public(self, device: Device) -> Json:
        """The dashboard of a device, for whoever has its token: devices without tokens and addresses.

        Raises:
            Refused: 2, it was deleted.
        """
        return Documents(self, self._store, lambda _: {}).dash(device.account, device.dash, public=True)

    def keep(self, account: str, dash: Json) -> None:
        """Store a dashboard that was made or changed.

        Raises:
            Refused: 6, it has become too big, or 19, there is no room; it is what it was before.
        """
        number = dash["id"]
        key = _key(account, number)
        dash["updatedAt"] = int(self._clock() * 1000)
        document = msgspec.json.encode(dash)
        growth = len(document) - self._sizes.get(key, 0)
        fits = growth <= 0 or self._has_room(account, len(document), growth)
        if not fits or not self._store.set_document("dash", key, document):
            old = self._store.document("dash", key)
            if old is not None:
                self._dashes[account][number] = msgspec.json.decode(old)
            raise Refused(SERVER_EXCEPTION if fits else NOT_ALLOWED)
        self._sizes[key] = len(document)
        self._size += growth
        self._dashes.setdefault(account, {})[number] = dash

    def create_dash(self, account: str, document: bytes) -> Json:
        """A dashboard from an app's document, with the devices in it.

        Raises:
            Refused: 6, there is one of this number, or too many, or it is too big; 11, it is no dashboard.
        """
        found = app_widgets.parse(app_widgets.within(document, app_widgets.DASH_BYTES))
        there = self._dashes.get(account, {})
        if app_widgets.number(found) in there or len(there) >= app_widgets.DASHES_MAX:
            raise Refused(6)
        dash = app_widgets.dashboard(found, self._clock())
        self.keep(account, dash)
        devices = found.get("devices")
        for each in devices if isinstance(devices, list) else ():
            self.create_device(account, dash["id"], msgspec.json.encode(each))
        return dash

    def update_dash(self, account: str, document: bytes) -> Json:
        """A dashboard in the place of an old one; whether it is active and shared, and its devices, stay.

        Raises:
            Refused: 2, there is none; 11, it is no dashboard; 6, it is too big.
        """
        found = app_widgets.parse(app_widgets.within(document, app_widgets.DASH_BYTES))
        old = self.dash(account, app_widgets.number(found))
        dash = app_widgets.dashboard(found, self._clock())
        for name in ("isActive", "isShared", "sharedToken", "cloneCode", "tags"):
            if name in old:
                dash[name] = old[name]
        self.keep(account, dash)
        return dash

    def delete_dash(self, account: str, number: int) -> None:
        """Remove a dashboard with its devices. Raises `Refused` 2 where there is none."""
        dash = self.dash(account, number)
        for device in self.devices(account, number):
            self._drop_device(device)
        self._shares.pop(dash.get("sharedToken", ""), None)
        del self._dashes[account][number]
        key = _key(account, number)
        self._size -= self._sizes.pop(key, 0)
        self._store.set_document("dash", key, None)
        if "cloneCode" in dash:
            self._store.set_document("clone", dash["cloneCode"], None)

    def tags(self, account: str, dash: int) -> list[Json]:
        """The tags of a dashboard; who changes them calls `keep`."""
        found: list[Json] = self.dash(account, dash).setdefault("tags", [])
        return found

    def widget(self, account: str, dash: int, number: int) -> Json:
        """A widget's own document. Raises `Refused` 2 where there is none."""
        for found in self.dash(account, dash)["widgets"]:
            if found["id"] == number:
                return cast(Json, found)
        raise Refused(2)

    def widgets_of(self, device: Device) -> list[Json]:
        """The widgets that show pins of a device, in the order of the dashboard."""
        return [found for found in self.board(device).get("widgets", ()) if found.get("deviceId", 0) == device.id]

    # --- guests -------------------------------------------------------------------------------------------------------

    def share_token(self, account: str, number: int, *, fresh: bool = False) -> str:
        """The token with which guests open a dashboard; a new one where there is none, or that is asked for."""
        dash = self.dash(account, number)
        token = dash.get("sharedToken")
        if not isinstance(token, str) or fresh:
            self._shares.pop(token or "", None)
            token = dash["sharedToken"] = new_token()
            self._shares[token] = account, number
            self.keep(account, dash)
        return token

    def shared(self, token: str) -> tuple[str, Json] | None:
        """Whose dashboard a guest's token opens, and that dashboard."""
        place = self._shares.get(token)
        return (place[0], self._dashes[place[0]][place[1]]) if place is not None else None

    def clone_code(self, account: str, number: int) -> str:
        """A code with which others may copy a dashboard."""
        dash = self.dash(account, number)
        code = dash.get("cloneCode")
        if not isinstance(code, str):
            code = dash["cloneCode"] = new_token()
            self.keep(account, dash)
            self._store.set_document("clone", code, msgspec.json.encode([account, number]))
        return code

    def cloned(self, code: str) -> Json | None:
        """The dashboard that a code gives, without devices."""
        found = self._store.document("clone", code) if len(code) <= TOKEN_BYTES else None
        if found is None:
            return None
        try:
            account, number = msgspec.json.decode(found, type=tuple[str, int])
        except msgspec.DecodeError:
            return None
        dash = self._dashes.get(account, {}).get(number)
        if dash is None:
            return None
        return {**{name: value for name, value in dash.items() if name not in _PRIVATE}, "devices": []}

    # --- inside -------------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        for key, document in self._store.documents("dash"):
            account, _, number = key.rpartition("/")
            try:
                dash = app_widgets.parse(document)
                app_widgets.dashboard(dash, 0.0)
            except Refused as error:
                raise self._store.damaged("dash", key) from error
            if not app_widgets.is_whole(dash) or key != _key(account, dash["id"]):
                raise self._store.damaged("dash", key)
            self._dashes.setdefault(account, {})[int(number)] = dash
            self._sizes[key] = len(document)
            self._size += len(document)
            if isinstance(dash.get("sharedToken"), str):
                self._shares[dash["sharedToken"]] = account, int(number)
        for token, document in self._store.documents("device"):
            self._hold(self._read_device("device", token, document))
        for token, document in self._store.documents("awaited"):
            self._awaited[token] = self._read_device("awaited", token, document)

    def _read_device(self, kind: str, token: str, document: bytes) -> Device:
        try:
            return msgspec.json.decode(document, type=Device)
        except msgspec.DecodeError as error:
            raise self._store.damaged(kind, token) from error

    def _first_account(self) -> None:
        email, password = self._settings.account
        hashed = password_hash(password, email)
        known = self.accounts.get(email)
        if known is None or (password and known.hash != hashed):
            known = known or Account(email=email.lower(), hash=hashed)
            self.accounts.keep(msgspec.structs.replace(known, hash=hashed))
        if FIRST_DASH not in self._dashes.get(email.lower(), {}):
            self._first_dash(email.lower())
        for token in self._settings.tokens:
            if token not in self._devices:
                self.make_device(token)

    def _first_dash(self, account: str) -> None:
        """A dashboard on which devices may do everything: notify, mail, tweet, ask for the time."""
        kinds: tuple[Json, ...] = (
            {"type": "RTC", "id": 1, "tzName": "UTC"},
            {"type": "NOTIFICATION", "id": 2, "androidTokens": {"blynkscope": "blynkscope"}},
            {"type": "EMAIL", "id": 3, "to": account, "contentType": "TEXT_PLAIN"},
            {"type": "TWITTER", "id": 4, "token": "blynkscope", "secret": "blynkscope"},
            {"type": "SMS", "id": 5, "to": "+10000000"},
            {"type": "BRIDGE", "id": 6},
        )
        settings = {"id": FIRST_DASH, "name": "blynkscope", "isActive": True, "isAppConnectedOn": True}
        self.keep(account, app_widgets.dashboard({**settings, "widgets": list(kinds)}, self._clock()))

    def _has_room(self, account: str, size: int, growth: int) -> bool:
        """May a dashboard grow by so many bytes?"""
        if size > app_widgets.DASH_BYTES or self._size + growth > PROFILES_BYTES:
            return False
        profile = sum(self._sizes.get(_key(account, number), 0) for number in self._dashes.get(account, {}))
        return profile + growth <= PROFILE_BYTES

    def _free(self, account: str, dash: int) -> int:
        there = self._of_dash.get((account, dash), {})
        number = len(there)
        while number in there:
            number += 1
        return number

    def _hold(self, device: Device) -> None:
        self._devices[device.token] = device
        self._of_dash.setdefault((device.account, device.dash), {})[device.id] = device

    def _await(self, device: Device) -> bool:
        if not self._store.set_document("awaited", device.token, msgspec.json.encode(device)):
            return False
        self._awaited[device.token] = device
        while len(self._awaited) > AWAITED_MAX:
            oldest = next(iter(self._awaited))
            del self._awaited[oldest]
            self._store.set_document("awaited", oldest, None)
        return True

    def _is_free(self, device: Device) -> bool:
        """May a device that was announced come now? Meanwhile its dashboard may be gone, or its number taken."""
        dashes = self._dashes.get(device.account, {})
        return device.dash in dashes and self.find(device.account, device.dash, device.id) is None

    def _keep_device(self, device: Device) -> bool:
        """Store a device that is new or changed; False where there is no room."""
        if not self._store.set_document("device", device.token, msgspec.json.encode(device)):
            return False
        self._hold(device)
        return True

    def _drop_device(self, device: Device) -> None:
        self._devices.pop(device.token, None)
        self._of_dash.get((device.account, device.dash), {}).pop(device.id, None)
        self._store.forget_device(device.token)
        self._store.set_document("device", device.token, None)

    def _device_document(self, document: bytes) -> Json:
        return app_widgets.parse(app_widgets.within(document, DEVICE_BYTES))


def _key(account: str, number: int) -> str:
    return f"{account}/{number}"


__all__ = ["Device", "Projects", "Seen"]
