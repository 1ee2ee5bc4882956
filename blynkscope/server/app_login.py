"""Who an app is: registration, logins of owners and guests, the way to the right server, the account's energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from blynkscope.protocol import commands
from blynkscope.protocol.statuses import ILLEGAL_COMMAND, NOT_ALLOWED, NOT_REGISTERED, SERVER_EXCEPTION
from blynkscope.server.answering import DONE, Outcome
from blynkscope.server.app_widgets import NUMBER_MAX, Refused

if TYPE_CHECKING:
    from blynkscope.server.app import AppSession

HERE = "127.0.0.1"
"""The address that GET_SERVER gives where nobody has said which one is public."""
_DIGITS = 9
"""Digits of an amount of energy."""


def words(body: bytes, least: int) -> list[str]:
    """The parts of a body as text.

    Raises:
        Refused: 2, there are too few, or they are no UTF-8.
    """
    try:
        parts = body.decode().split("\0")
    except UnicodeDecodeError as error:
        raise Refused(ILLEGAL_COMMAND) from error
    if len(parts) < least:
        raise Refused(ILLEGAL_COMMAND)
    return parts


def register(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """REGISTER: e-mail, password hash, app. One a connection; the next is refused with 6."""
    if session.registered:
        return NOT_ALLOWED
    email, hashed = words(body, 2)[:2]
    made = session.hub.projects.accounts.register(email, hashed)
    if made.account is None:
        return made.status
    session.registered = True
    return DONE


def login(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """LOGIN: e-mail, password hash, client, version, app. 3 without an account, 5 with another password."""
    email, hashed = words(body, 2)[:2]
    found = session.hub.projects.accounts.login(email, hashed)
    if found.account is None:
        return found.status
    session.join(found.account.email, time)
    return DONE


def share_login(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """SHARE_LOGIN: e-mail of the owner, token of the share. 6 where it is not shared, or the token another."""
    email, token = words(body, 2)[:2]
    projects = session.hub.projects
    account = projects.accounts.get(email)
    if account is None:
        return NOT_REGISTERED
    found = projects.shared(token)
    if found is None or found[0] != account.email or found[1]["isShared"] is not True:
        return NOT_ALLOWED
    session.join(account.email, time, shared=found[1]["id"])
    return DONE


def get_server(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """GET_SERVER: the address of the server that holds the account, which is always this one."""
    words(body, 2)
    public = session.hub.settings.public
    host = public.rsplit(":", 1)[0] if public and not public.endswith("]") else public
    return session.reply(commands.GET_SERVER, number, (host or HERE).encode())


def logout(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """LOGOUT: 200, and the connection ends."""
    session.send(session.response(number, 200))
    session.close()
    return None


def get_energy(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """GET_ENERGY: how much the account has, as a number in text."""
    account = session.hub.projects.accounts.get(session.account)
    return session.reply(36, number, b"%d" % (account.energy if account is not None else 0))


def add_energy(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """ADD_ENERGY: an amount, and the shop's transaction, which nobody checks here."""
    amount, transaction = words(body, 2)[:2]
    accounts = session.hub.projects.accounts
    account = accounts.get(session.account)
    if not (amount.isascii() and amount.isdecimal()) or len(amount) > _DIGITS or not transaction or account is None:
        return ILLEGAL_COMMAND
    richer = msgspec.structs.replace(account, energy=min(account.energy + int(amount), NUMBER_MAX))
    return DONE if accounts.keep(richer) else SERVER_EXCEPTION
