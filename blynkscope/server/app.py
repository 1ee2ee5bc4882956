"""The server's side of an app (7-byte header, inside of TLS) or a dashboard page (`/dashws`): framing and login.

What each command comes to is in `app_login`, `app_pins` and `app_editing`. Success is answered as the command table has
it. These commands do nothing here and are refused with 6 NOT_ALLOWED: REDEEM, ASSIGN_TOKEN, UPDATE_FACE, CREATE_APP,
UPDATE_APP, DELETE_APP, GET_PROJECT_BY_TOKEN, EMAIL_QR, the tile templates, RESOLVE_EVENT, RESET_PASSWORD, and the
history of charts (GET_ENHANCED_GRAPH_DATA, DELETE_ENHANCED_GRAPH_DATA, EXPORT_GRAPH_DATA of a chart). Reports are
refused with 2, as by a server whose dashboards have no report widget, and mails with 15, as by one that cannot send
them. As on the legacy server nothing answers TRACK_DEVICE, GET_TOKEN, what only a server sends, and unknown codes;
codes from 100 on close an app's connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from blynkscope.protocol import commands, limits
from blynkscope.protocol.derived import HEADER_STRUCTS
from blynkscope.protocol.model import Dialect, Era
from blynkscope.protocol.statuses import NOT_ALLOWED, NTF_ECXEPTION, QUOTA_LIMIT
from blynkscope.server import app_editing, app_login, app_pins, app_sharing
from blynkscope.server.answering import DONE, Outcome, message, response, settle
from blynkscope.server.app_documents import Documents
from blynkscope.server.app_widgets import DASH_BYTES, Refused
from blynkscope.server.quota import Quota, limit_of
from blynkscope.server.timing import LOGIN_SECONDS

if TYPE_CHECKING:
    from blynkscope.server.hub import Hub
    from blynkscope.server.model import Link

BODY_MAX = DASH_BYTES + 4096
"""Bytes of a body that is read: the greatest dashboard, and some. Greater ones, up to the 10 MiB of the real server,
pass by unread and are refused with 6 before they have come; beyond that the connection is closed."""
WAITING_MAX = 32 * 1024 * 1024
"""Bytes of unfinished messages of all apps; whose message would go beyond it is closed."""
FIRST_BODY_MAX = limits.PLAUSIBLE_TEXT_BODY
"""Bytes of a body before the login: e-mail addresses and hashes."""
IDLE_SECONDS = 600.0
"""Silence after which an app is closed, the legacy server's own setting."""
FIRST_UNKNOWN = 100
"""Codes from here on close an app's connection; a page's stays open (measured)."""

_HEADERS = {dialect: HEADER_STRUCTS[dialect] for dialect in (Dialect.APP, Dialect.WEB)}


class AppSession:
    """One app or dashboard page, from its first byte to its last.

    Args:
        hub: The server.
        link: The way to the client.
        framing: APP for a stream of bytes; WEB where each call of `feed` brings one WebSocket message.
        number: Number of the connection.
        secure: It speaks inside of TLS.
        port: The port that it reached.
        peer: Its address.
    """

    __slots__ = (
        "_due",
        "_handlers",
        "_held",
        "_joined",
        "_link",
        "_over",
        "_quota",
        "_rest",
        "_skip",
        "account",
        "framing",
        "guest",
        "hub",
        "registered",
        "shared",
    )

    def __init__(
        self,
        hub: Hub,
        link: Link,
        *,
        framing: Dialect = Dialect.APP,
        number: int = 0,
        secure: bool = True,
        port: int = 0,
        peer: tuple[str, int] = ("", 0),
    ) -> None:
        time = hub.clock()
        self.hub = hub
        self._link = link
        self.framing = framing
        self.account = ""
        """E-mail address, in lower case, of the account whose projects it shows; empty before the login."""
        self.guest = False
        """It came in by the token of a share."""
        self.shared = 0
        """The one dashboard that a guest is shown."""
        self.registered = False
        """It has registered an account; it may not do so again."""
        limit = limit_of(hub.settings.like, hub.settings.quota)
        self._quota = Quota(limit, time) if limit > 0 else None
        self._handlers = _BEFORE_LOGIN
        self._rest: bytearray | None = None
        self._skip = self._held = 0
        self._over = self._joined = False
        self._due = time + LOGIN_SECONDS
        hub.timetable.enter(self)

    # --- what the host and the hub call -------------------------------------------------------------------------------

    def feed(self, data: bytes, time: float) -> None:
        """Bytes of the app, however they are cut; or one message of a page."""
        if self._over:
            return
        if self._joined:
            self._due = time + IDLE_SECONDS
        if self.framing is Dialect.WEB:
            self._message(data, time)
        else:
            self._stream(data, time)

    def ended(self, time: float) -> None:
        """FIN of the client: nothing of it waits, so the connection ends."""
        self.close()

    def lost(self, time: float) -> None:
        """The connection is gone."""
        self._over = True
        self._wait(None)
        self.hub.timetable.leave()
        self._leave()

    def due(self) -> float | None:
        """When it has been silent for too long; None once it is over."""
        return None if self._over else self._due

    def expire(self, now: float) -> None:
        """It has been silent for too long."""
        self.close()

    def close(self) -> None:
        """Hang up behind what was said."""
        if not self._over:
            self._over = True
            self._wait(None)
            self._link.close()
            self._leave()

    def _leave(self) -> None:
        if self._joined:
            self._joined = False
            self.hub.detach_app(self)

    def send(self, wire: bytes) -> None:
        """Frames for the client."""
        if wire and not self._over:
            self._link.send(wire)

    def send_all(self, frames: list[bytes]) -> None:
        """Several frames; a page gets each in a message of its own."""
        if self.framing is Dialect.WEB:
            for frame in frames:
                self.send(frame)
        else:
            self.send(b"".join(frames))

    def push(self, cmd: int, number: int, body: bytes) -> None:
        """A message that it did not ask for; a device's write, mostly."""
        self.send(message(cmd, number, body, self.framing))

    def sees(self, dash: int) -> bool:
        """Is it shown this dashboard?"""
        return not self.guest or dash == self.shared

    # --- what the handlers call ---------------------------------------------------------------------------------------

    def join(self, account: str, time: float, *, shared: int | None = None) -> None:
        """It has logged in; `shared` is the dashboard of a guest."""
        self.account = account
        self.guest = shared is not None
        self.shared = shared or 0
        self._handlers = _GUEST if self.guest else _LOGGED_IN
        self._due = time + IDLE_SECONDS
        self._joined = True

    def attach(self) -> None:
        """The hub learns of it, once its login is answered."""
        self.hub.attach_app(self)

    def documents(self) -> Documents:
        """What it may read, as JSON."""
        return Documents(self.hub.projects, self.hub.store, self.hub.updates.info)

    def reply(self, cmd: int, number: int, body: bytes) -> bytes:
        """The answer of the same command. Raises `Refused` 6 where it has become too big for any app."""
        if len(body) > limits.APP_BODY_MAX:
            raise Refused(NOT_ALLOWED)
        return message(cmd, number, body, self.framing)

    def response(self, number: int, status: int) -> bytes:
        """A RESPONSE."""
        return response(number, status, self.framing)

    # --- framing ------------------------------------------------------------------------------------------------------

    def _message(self, data: bytes, time: float) -> None:
        header = _HEADERS[Dialect.WEB]
        if len(data) < header.size:
            return
        cmd, number = header.unpack_from(data)
        if cmd == commands.RESPONSE:
            return
        if len(data) - header.size > self._longest:
            self._refuse_size(number, len(data))
        else:
            self._handle(cmd, number, data[header.size :], time)

    def _stream(self, data: bytes, time: float) -> None:
        header = _HEADERS[Dialect.APP]
        if self._skip:
            passed = min(self._skip, len(data))
            self._skip -= passed
            data = data[passed:]
        if self._rest is not None:
            self._rest += data
            if len(self._rest) < header.size or len(self._rest) < header.size + self._length(self._rest):
                self._wait(self._rest)
                return
            data = bytes(self._rest)
            self._wait(None)
        at, end, link = 0, len(data), self._link
        while end - at >= header.size:
            cmd, number, word = header.unpack_from(data, at)
            start = at + header.size
            if cmd == commands.RESPONSE:
                at = start
                continue
            if word > self._longest:
                self._refuse_size(number, word)
                at = min(start + word, end)
                self._skip = start + word - at
            elif start + word > end:
                break
            else:
                at = start + word
                self._handle(cmd, number, data[start:at], time)
            if self._over or link.over:
                return
        if at < end:
            self._wait(bytearray(memoryview(data)[at:]))

    def _wait(self, rest: bytearray | None) -> None:
        """Keep the beginning of a message, unless all apps together keep too much.

        Who has not logged in keeps little (`FIRST_BODY_MAX`), and nothing that counts for those who have.
        """
        projects = self.hub.projects
        size = len(rest) if rest is not None and self._joined else 0
        projects.waiting += size - self._held
        self._held = size
        self._rest = rest
        if size and projects.waiting > WAITING_MAX:
            self.close()

    @property
    def _longest(self) -> int:
        """Bytes of a body that is read."""
        return BODY_MAX if self._joined else FIRST_BODY_MAX

    def _length(self, rest: bytearray) -> int:
        cmd, _, word = _HEADERS[Dialect.APP].unpack_from(rest)
        return 0 if cmd == commands.RESPONSE or word > self._longest else int(word)

    def _refuse_size(self, number: int, size: int) -> None:
        """A body that nobody reads: 6, and it passes by; one that the real server would not read either ends it."""
        if not self._joined or size > limits.APP_BODY_MAX:
            self.close()
        else:
            self.send(self.response(number, NOT_ALLOWED))

    def _handle(self, cmd: int, number: int, body: bytes, time: float) -> None:
        if self._quota is not None and self._quota.exceeded(time):
            if self._quota.warns(time):
                self.send(self.response(number, QUOTA_LIMIT))
            return
        try:
            outcome = self._handlers[cmd](self, number, body, time)
        except Refused as refused:
            outcome = refused.status
        # Whatever devices speak: this dialect is known of the legacy server alone.
        self.send(settle(cmd, number, outcome, self.framing, Era.LEGACY))
        if cmd in commands.SESSION_LOGINS and self._joined and outcome == DONE:
            self.attach()


Handler = Callable[[AppSession, int, bytes, float], Outcome]


def _hang_up(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """What is said before the login, or by no app at all: the connection ends without an answer."""
    session.close()
    return None


def _unknown(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """A code of 100 or more."""
    if session.framing is Dialect.APP:
        session.close()
    return None


def _silent(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """What is read and has no meaning here."""
    return None


def _ping(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    return DONE


def _not_here(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """What this server does not do."""
    return NOT_ALLOWED


def _no_mail(session: AppSession, number: int, body: bytes, time: float) -> Outcome:
    """EMAIL: the tokens of a dashboard's devices; this server sends no mail."""
    return NTF_ECXEPTION


def _table(handlers: Mapping[int, Handler], others: Handler, beyond: Handler) -> tuple[Handler, ...]:
    return tuple(handlers.get(code, others if code < FIRST_UNKNOWN else beyond) for code in range(256))


_FIRST: dict[int, Handler] = {
    1: app_login.register,
    commands.LOGIN: app_login.login,
    commands.SHARE_LOGIN: app_login.share_login,
    commands.GET_SERVER: app_login.get_server,
    58: _not_here,
    63: app_sharing.get_by_clone_code,
    81: _not_here,
}
_GUESTS: dict[int, Handler] = {
    commands.PING: _ping,
    commands.HW: app_pins.write,
    commands.LOAD_PROFILE_GZIPPED: app_editing.load_profile,
    commands.APP_SYNC: app_pins.sync,
    45: app_editing.get_devices,
    commands.LOGOUT: app_login.logout,
    70: app_editing.get_widget,
}
_ALL: dict[int, Handler] = {
    **_GUESTS,
    3: _not_here,
    commands.ACTIVATE_DASHBOARD: app_pins.activate,
    8: app_pins.deactivate,
    9: app_sharing.refresh_token,
    commands.EMAIL: _no_mail,
    commands.PROPERTY: app_pins.change,
    21: app_editing.create_dash,
    22: app_editing.update_dash,
    23: app_editing.delete_dash,
    26: app_sharing.sharing,
    27: app_editing.add_push_token,
    28: app_editing.chart,
    30: app_sharing.get_share_token,
    31: app_sharing.refresh_share_token,
    33: app_editing.create_widget,
    34: app_editing.update_widget,
    35: app_editing.delete_widget,
    36: app_login.get_energy,
    37: app_login.add_energy,
    38: app_editing.update_settings,
    39: _not_here,
    42: app_editing.create_device,
    43: app_editing.update_device,
    44: app_editing.delete_device,
    46: app_editing.create_tag,
    47: app_editing.update_tag,
    48: app_editing.delete_tag,
    49: app_editing.get_tags,
    50: app_editing.get_device,
    51: _not_here,
    **dict.fromkeys((55, 56, 57, 58, 59), _not_here),
    60: app_editing.chart,
    61: app_editing.chart,
    62: app_sharing.get_clone_code,
    63: app_sharing.get_by_clone_code,
    **dict.fromkeys((67, 68, 69), _not_here),
    74: app_editing.get_provision_token,
    75: _not_here,
    76: app_editing.delete_device_data,
    **dict.fromkeys((77, 78, 79, 80), app_editing.report),
    81: _not_here,
}
_BEFORE_LOGIN = _table(_FIRST, _hang_up, _hang_up)
_GUEST = _table({**dict.fromkeys(_ALL, _not_here), **_GUESTS}, _silent, _unknown)
_LOGGED_IN = _table(_ALL, _silent, _unknown)
"""What apps may say, for each of the 256 codes."""
