"""Profiles, dashboards, widgets, devices and tags: what an app reads and changes as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from blynkscope.protocol.statuses import ILLEGAL_COMMAND, ILLEGAL_COMMAND_BODY, NOT_ALLOWED
from blynkscope.server import app_widgets
from blynkscope.server.answering import DONE, OK, Outcome
from blynkscope.server.app_login import words
from blynkscope.server.app_pins import dash_of, number_of, seed, target_of
from blynkscope.server.app_sharing import hang_up
from blynkscope.server.app_widgets import Json, Refused

if TYPE_CHECKING:
    from blynkscope.server.app import AppSession
    from blynkscope.server.projects import Device

PHONES_MAX = 32
"""Phones of one account that get push notifications."""
PHONE_MAX = 512
"""Characters of a phone's id, and of its token."""
_CHARTS = frozenset({"ENHANCED_GRAPH", "LOGGER", "GRAPH"})
"""Widgets that show history."""


def _json(found: Any) -> bytes:
    return msgspec.json.encode(found)


def split(body: bytes) -> tuple[str, bytes]:
    """`dash\\0JSON`. Raises `Refused` 2 where there is no JSON, 6 where it is for a widget inside of another one."""
    dash, between, document = body.partition(b"\0")
    if not between:
        raise Refused(ILLEGAL_COMMAND)
    if document[:1].isdigit():
        raise Refused(NOT_ALLOWED)
    return dash.decode("utf-8", "replace"), document


# --- profile and dashboards -------------------------------------------------------------------------------------------


def load_profile(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """LOAD_PROFILE_GZIPPED: all dashboards of the account, or one; a guest is shown one, without tokens."""
    documents, account, guest, shared = session.documents(), session.account, session.guest, session.shared
    dash = dash_of(session, words(body, 1)[0]) if body else None

    def made() -> Json:
        if dash is not None:
            return documents.dash(account, dash, public=guest)
        if guest:
            return {"dashBoards": [documents.dash(account, shared, public=True)]}
        return documents.profile(account)

    hub = session.hub
    return session.reply(24, number, hub.profiles.get((account, guest, shared, dash), hub.store.version, made))


def create_dash(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """CREATE_DASH."""
    session.hub.projects.create_dash(session.account, body)
    return DONE


def update_dash(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """UPDATE_DASH: 200, as the server's source has it."""
    session.hub.projects.update_dash(session.account, body)
    return session.response(number, OK)


def delete_dash(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """DELETE_DASH: its devices are gone as well, and hung up on."""
    dash = dash_of(session, words(body, 1)[0])
    for device in session.hub.projects.devices(session.account, dash):
        hang_up(session, device)
    session.hub.projects.delete_dash(session.account, dash)
    return DONE


def update_settings(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """UPDATE_PROJECT_SETTINGS: name, theme and options."""
    text, document = split(body)
    projects = session.hub.projects
    dash = projects.dash(session.account, dash_of(session, text))
    app_widgets.change_settings(dash, app_widgets.parse(app_widgets.within(document, app_widgets.WIDGET_BYTES)))
    projects.keep(session.account, dash)
    return DONE


def add_push_token(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """ADD_PUSH_TOKEN: dashboard, id of the phone, token; 6 where the dashboard has no notification widget."""
    text, phone, token = words(body, 3)[:3]
    projects = session.hub.projects
    dash = projects.dash(session.account, dash_of(session, text))
    if not phone or max(len(phone), len(token)) > PHONE_MAX:
        return ILLEGAL_COMMAND_BODY
    for found in dash["widgets"]:
        phones = found.get("androidTokens")
        if found["type"] == "NOTIFICATION" and isinstance(phones, dict):
            if len(phones) >= PHONES_MAX and phone not in phones:
                return NOT_ALLOWED
            found["androidTokens"] = {**phones, phone: token}
            projects.keep(session.account, dash)
            return DONE
    return NOT_ALLOWED


# --- widgets ----------------------------------------------------------------------------------------------------------


def create_widget(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """CREATE_WIDGET: 6 where its id is taken, or it is too big."""
    dash, found = _widget(session, body)
    widgets = dash["widgets"]
    if len(widgets) >= app_widgets.WIDGETS_MAX:
        return NOT_ALLOWED
    made = app_widgets.widget(found, {each["id"] for each in widgets})
    session.hub.projects.keep(session.account, {**dash, "widgets": [*widgets, made]})
    seed(session, dash["id"], made, time)
    return DONE


def update_widget(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """UPDATE_WIDGET: the value of its pin stays; properties that it names are what it says."""
    dash, found = _widget(session, body)
    made = app_widgets.widget(found)
    if all(each["id"] != made["id"] for each in dash["widgets"]):
        return ILLEGAL_COMMAND
    widgets = [made if each["id"] == made["id"] else each for each in dash["widgets"]]
    projects, store = session.hub.projects, session.hub.store
    projects.keep(session.account, {**dash, "widgets": widgets})
    key = app_widgets.key_of(made)
    device = projects.find(session.account, dash["id"], made.get("deviceId", 0)) if key is not None else None
    if key is not None and device is not None:
        for name in store.properties(device.token).get(key, {}):
            if name.decode("utf-8", "replace") in found:
                store.drop_property(device.token, key, name)
    seed(session, dash["id"], made, time)
    return DONE


def delete_widget(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """DELETE_WIDGET: the value of its pin goes with it."""
    text, item = words(body, 2)[:2]
    projects = session.hub.projects
    dash = projects.dash(session.account, dash_of(session, text))
    gone = projects.widget(session.account, dash["id"], number_of(item))
    projects.keep(session.account, {**dash, "widgets": [each for each in dash["widgets"] if each is not gone]})
    key = app_widgets.key_of(gone)
    device = projects.find(session.account, dash["id"], gone.get("deviceId", 0)) if key is not None else None
    if key is not None and device is not None:
        session.hub.store.drop_pin(device.token, key)
    return DONE


def get_widget(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """GET_WIDGET: one widget, with its value."""
    text, item = words(body, 2)[:2]
    dash = dash_of(session, text)
    found = session.hub.projects.widget(session.account, dash, number_of(item))
    return session.reply(70, number, _json(session.documents().widget(session.account, dash, found)))


def _widget(session: AppSession, body: bytes) -> tuple[Json, Json]:
    text, document = split(body)
    dash = session.hub.projects.dash(session.account, dash_of(session, text))
    return dash, app_widgets.parse(app_widgets.within(document, app_widgets.WIDGET_BYTES))


def chart(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """The history of a chart, as data, as a mail, or to be deleted: 2 where the widget is no chart, else not done."""
    target, item = words(body, 2)[:2]
    dash, _ = target_of(session, target)
    found = session.hub.projects.widget(session.account, dash, number_of(item))
    return NOT_ALLOWED if found["type"] in _CHARTS else ILLEGAL_COMMAND


def report(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """Reports: there is no widget for them."""
    return ILLEGAL_COMMAND


# --- devices ----------------------------------------------------------------------------------------------------------


def _device(session: AppSession, body: bytes) -> Device:
    text, item = words(body, 2)[:2]
    device = session.hub.projects.find(session.account, dash_of(session, text), number_of(item))
    if device is None:
        raise Refused(ILLEGAL_COMMAND)
    return device


def create_device(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """CREATE_DEVICE: the answer is the device with its token."""
    text, document = split(body)
    device = session.hub.projects.create_device(session.account, dash_of(session, text), document)
    return session.reply(42, number, _json(session.documents().device(device)))


def get_provision_token(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """GET_PROVISION_TOKEN: like CREATE_DEVICE, but the device is there only once it has logged in."""
    text, document = split(body)
    projects = session.hub.projects
    device = projects.create_device(session.account, dash_of(session, text), document, at_once=False)
    return session.reply(74, number, _json(session.documents().device(device)))


def update_device(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """UPDATE_DEVICE: name, board, connection."""
    text, document = split(body)
    session.hub.projects.update_device(session.account, dash_of(session, text), document)
    return DONE


def delete_device(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """DELETE_DEVICE: it is hung up on, and all that was stored of it is gone."""
    device = _device(session, body)
    hang_up(session, device)
    session.hub.projects.delete_device(device)
    return DONE


def get_devices(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """GET_DEVICES: the devices of a dashboard; guests are shown no tokens."""
    dash = dash_of(session, words(body, 1)[0])
    documents = session.documents()
    found = [documents.device(each, whole=False) for each in session.hub.projects.devices(session.account, dash)]
    for device in found if session.guest else ():
        del device["token"]
    return session.reply(45, number, _json(found))


def get_device(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """MOBILE_GET_DEVICE: one device."""
    return session.reply(50, number, _json(session.documents().device(_device(session, body))))


def delete_device_data(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """DELETE_DEVICE_DATA: the history of a device, or that of some of its pins (`v1`)."""
    target, *pins = words(body, 1)
    dash, wanted = target_of(session, target)
    devices = session.hub.projects.targets(session.account, dash, wanted or 0)
    if not devices:
        return ILLEGAL_COMMAND
    for device in devices:
        session.hub.store.clear_data(device.token, {pin.lower().encode() for pin in pins if pin} or None)
    return DONE


# --- tags -------------------------------------------------------------------------------------------------------------


def _tag(session: AppSession, body: bytes) -> tuple[int, Json]:
    text, document = split(body)
    dash = dash_of(session, text)
    found = app_widgets.parse(app_widgets.within(document, app_widgets.WIDGET_BYTES))
    return dash, app_widgets.tag(found)


def _keep_tags(session: AppSession, dash: int, tags: list[Json]) -> None:
    projects = session.hub.projects
    projects.keep(session.account, {**projects.dash(session.account, dash), "tags": tags})


def create_tag(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """CREATE_TAG: the answer is the tag as it is kept."""
    dash, made = _tag(session, body)
    tags = session.hub.projects.tags(session.account, dash)
    if len(tags) >= app_widgets.TAGS_MAX or any(each["id"] == made["id"] for each in tags):
        return NOT_ALLOWED
    _keep_tags(session, dash, [*tags, made])
    return session.reply(46, number, _json(made))


def update_tag(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """UPDATE_TAG."""
    dash, made = _tag(session, body)
    tags = session.hub.projects.tags(session.account, dash)
    if all(each["id"] != made["id"] for each in tags):
        return ILLEGAL_COMMAND
    _keep_tags(session, dash, [made if each["id"] == made["id"] else each for each in tags])
    return DONE


def delete_tag(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """DELETE_TAG."""
    text, item = words(body, 2)[:2]
    dash, wanted = dash_of(session, text), number_of(item)
    tags = session.hub.projects.tags(session.account, dash)
    if all(each["id"] != wanted for each in tags):
        return ILLEGAL_COMMAND
    _keep_tags(session, dash, [each for each in tags if each["id"] != wanted])
    return DONE


def get_tags(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """GET_TAGS."""
    dash = dash_of(session, words(body, 1)[0])
    return session.reply(49, number, _json(session.hub.projects.tags(session.account, dash)))
