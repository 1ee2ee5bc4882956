"""What one account gives to others: shares and copies of dashboards, and new tokens for devices."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import msgspec

from blynkscope.protocol.statuses import ILLEGAL_COMMAND, NOT_ALLOWED
from blynkscope.server.accounts import new_token
from blynkscope.server.answering import DONE, Outcome
from blynkscope.server.app_login import words
from blynkscope.server.app_pins import dash_of, number_of

if TYPE_CHECKING:
    from blynkscope.server.app import AppSession
    from blynkscope.server.projects import Device

_STATES = {"on": True, "off": False}


def hang_up(session: AppSession, device: Device) -> None:
    """End the connections of a device whose token does not hold any more."""
    for each in tuple(session.hub.online(device.token)):
        each.close()


def refresh_token(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """REFRESH_TOKEN: dashboard, device. The answer is the new token; who uses the old one is hung up on."""
    parts = words(body, 1)
    dash = dash_of(session, parts[0])
    projects = session.hub.projects
    device = projects.find(session.account, dash, number_of(parts[1]) if len(parts) > 1 else 0)
    if device is None:
        return ILLEGAL_COMMAND
    hang_up(session, device)
    return session.reply(9, number, projects.assign_token(device, new_token()).token.encode())


def get_share_token(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """GET_SHARE_TOKEN: the token with which guests open a dashboard, once it is shared."""
    dash = dash_of(session, words(body, 1)[0])
    return session.reply(30, number, session.hub.projects.share_token(session.account, dash).encode())


def refresh_share_token(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """REFRESH_SHARE_TOKEN: guests who came with the old one are hung up on."""
    dash = dash_of(session, words(body, 1)[0])
    _close_guests(session, dash)
    return session.reply(31, number, session.hub.projects.share_token(session.account, dash, fresh=True).encode())


def sharing(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """SHARING: dashboard, `on` or `off`. Who else is shown it is told; with `off` guests are hung up on."""
    parts = words(body, 2)
    state = _STATES.get(parts[1])
    if state is None:
        return ILLEGAL_COMMAND
    projects = session.hub.projects
    number_of_dash = dash_of(session, parts[0])
    dash = projects.dash(session.account, number_of_dash)
    dash["isShared"] = state
    projects.keep(session.account, dash)
    for other in tuple(session.hub.apps(session.account)):
        if other is not session and other.sees(number_of_dash):
            other.push(26, number, body)
    if not state:
        _close_guests(session, number_of_dash)
    return DONE


def _close_guests(session: AppSession, dash: int) -> None:
    from blynkscope.server.app import AppSession  # which imports this module

    for other in tuple(session.hub.apps(session.account)):
        if isinstance(other, AppSession) and other.guest and other.sees(dash):
            other.close()


def get_clone_code(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """GET_CLONE_CODE: a code with which others may copy a dashboard."""
    dash = dash_of(session, words(body, 1)[0])
    return session.reply(62, number, session.hub.projects.clone_code(session.account, dash).encode())


def get_by_clone_code(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """GET_PROJECT_BY_CLONE_CODE: the dashboard, compressed with zlib; 6 for a code that nobody has given out."""
    found = session.hub.projects.cloned(words(body, 1)[0])
    if found is None:
        return NOT_ALLOWED
    return session.reply(63, number, zlib.compress(msgspec.json.encode(found)))
