"""The server's side of one device: the framing, the login, and what each command comes to.

The framing is strict, as that of the real server: a length is believed. The way of pings and writes is short;
everything else about a command is in the handlers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from blynkscope.protocol import commands
from blynkscope.protocol.model import Dialect, Era
from blynkscope.protocol.statuses import ALREADY_REGISTERED, INVALID_TOKEN, QUOTA_LIMIT
from blynkscope.server import pinning, telling
from blynkscope.server.answering import DONE, HARDWARE, OK, Outcome, acknowledged, frame, response
from blynkscope.server.bridge import bridge
from blynkscope.server.quota import Quota, limit_of
from blynkscope.server.timing import LOGIN_SECONDS, patience

if TYPE_CHECKING:
    from blynkscope.server.hub import Hub
    from blynkscope.server.model import Link
    from blynkscope.server.projects import Device

_HEADER = HARDWARE.size
_FIRST_UNKNOWN = 100
"""Codes from here on close the connection, measured."""
_NO_BRIDGES: Mapping[bytes, str] = {}


class HardwareSession:
    """One device, from its first byte to its last.

    Args:
        hub: The server.
        link: The way to the device.
        time: When it came.
        address: Its IP address.
    """

    __slots__ = (
        "_due",
        "_handlers",
        "_joined",
        "_link",
        "_need",
        "_over",
        "_patience",
        "_quota",
        "_rest",
        "address",
        "bridges",
        "buffer",
        "device",
        "hub",
        "notified",
        "stamp",
        "synced",
        "synced_from",
    )

    def __init__(self, hub: Hub, link: Link, time: float, address: str = "") -> None:
        settings = hub.settings
        self.hub = hub
        self._link = link
        self.address = address
        self.device: Device | None = None
        """Who it is, once it has logged in."""
        self.bridges: Mapping[bytes, str] = _NO_BRIDGES
        """Tokens by bridge pin."""
        self.buffer = 0
        """Bytes that the device takes at once, as it said; 0 where it did not."""
        self.stamp = 0.0
        """The time of the group that is open; 0 outside of one."""
        self.synced = 0
        """Bytes of values that it has asked for since `synced_from`, seconds since 1970."""
        self.synced_from = 0.0
        self.notified = float("-inf")
        """When it last notified somebody."""
        limit = limit_of(settings.like, settings.quota)
        self._quota = Quota(limit, time) if limit > 0 else None
        self._handlers = _BEFORE_LOGIN
        self._rest: bytearray | None = None
        self._need = 0
        self._over = self._joined = False
        self._patience = LOGIN_SECONDS
        self._due = time + LOGIN_SECONDS
        hub.timetable.enter(self)

    # --- what the host and other sessions call ------------------------------------------------------------------------

    def feed(self, data: bytes, time: float) -> None:
        """Bytes of the device, however they are cut."""
        if self._over:
            return
        rest = self._rest
        if rest is not None:
            rest += data
            if len(rest) < self._need and not self._partial(rest, time):
                return
            data, self._rest = bytes(rest), None
        if self.device is not None:
            self._due = time + self._patience
        self._read(data, time)

    def ended(self, time: float) -> None:
        """FIN of the device: nothing of it waits, so the connection ends."""
        self.close()

    def lost(self, time: float) -> None:
        """The connection is gone."""
        self._end()
        self.hub.timetable.leave()

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
            self._link.close()
            self._end()

    def _end(self) -> None:
        self._over = True
        self._rest = None
        if self._joined and self.device is not None:
            self._joined = False
            self.hub.detach_device(self, self.device)

    def send(self, wire: bytes) -> None:
        """Frames for the device."""
        if not self._over:
            self._link.send(wire)

    def takes(self, size: int) -> bool:
        """Whether the device has room for a frame of so many bytes; what has not is dropped, as by the real server."""
        return not self._over and (self.buffer == 0 or size <= self.buffer)

    def bear(self, seconds: float) -> None:
        """So much silence is borne from now on."""
        sooner = seconds < self._patience
        self._due += seconds - self._patience
        self._patience = seconds
        if sooner:
            self.hub.timetable.sooner(self)

    # --- framing ------------------------------------------------------------------------------------------------------

    def _read(self, data: bytes, time: float) -> None:
        at, end = 0, len(data)
        quota, unpack, link = self._quota, HARDWARE.unpack_from, self._link
        success = acknowledged(Dialect.HARDWARE, self.hub.settings.like)
        while end - at >= _HEADER:
            cmd, number, word = unpack(data, at)
            start = at + _HEADER
            stop = start if cmd == commands.RESPONSE else start + word
            if quota is not None and quota.exceeded(time):
                at = self._flooded(quota, number, start, stop, end, time)
                if self._over:
                    return
                if at < start:
                    break
                continue
            if stop > end:
                self._need = stop - at
                break
            body = data[start:stop]
            at = stop
            outcome = self._handlers[cmd](self, number, body, time)
            if outcome is not None:
                if isinstance(outcome, bytes):
                    if outcome:
                        link.send(outcome)
                elif outcome != DONE:
                    link.send(response(number, outcome))
                elif success[cmd]:
                    link.send(response(number, OK))
            if self._over or link.over:
                return
        if at < end:
            self._rest = bytearray(memoryview(data)[at:])
            if end - at < _HEADER:
                self._need = _HEADER

    def _partial(self, rest: bytearray, time: float) -> bool:
        """More of a frame that is not whole yet; tells whether it is to be read all the same.

        The real server counts each look at an unfinished frame against the quota.
        """
        quota = self._quota
        if quota is None or len(rest) < _HEADER:
            return False
        settings = self.hub.settings
        hasty = settings.like is Era.IOT or "quota-desync" in settings.quirks
        if hasty and quota.stands(time):
            return True
        quota.exceeded(time)
        return False

    def _flooded(self, quota: Quota, number: int, start: int, stop: int, end: int, time: float) -> int:
        """Over the quota; gives where to read on, before `start` where the frame is not whole."""
        settings = self.hub.settings
        if settings.like is Era.IOT:
            self.close()
            return end
        if "quota-desync" not in settings.quirks and stop > end:
            self._need = stop - start + _HEADER
            return start - _HEADER
        if quota.warns(time):
            self._link.send(response(number, QUOTA_LIMIT))
        return start if "quota-desync" in settings.quirks else stop

    # --- login --------------------------------------------------------------------------------------------------------

    def login(self, number: int, body: bytes, time: float) -> Outcome:
        """LOGIN, HW_LOGIN: 200 or, without a device of this token, 9; the connection stays open."""
        hub = self.hub
        try:
            device = hub.device(body.decode())
        except UnicodeDecodeError:
            device = None
        if device is None:
            self._due = time + LOGIN_SECONDS
            return INVALID_TOKEN
        if (target := hub.settings.redirect) is not None:
            host, port = target
            return frame(commands.REDIRECT, number, f"{host}\0{port}".encode())
        self.device = device
        self._handlers = _LOGGED_IN[hub.settings.like]
        self._link.send(response(number, OK))
        self._patience = patience(hub.settings.like, hub.settings.heartbeat)
        self._due = time + self._patience
        hub.timetable.sooner(self)
        self._joined = True
        hub.attach_device(self, device, number)
        return None


Handler = Callable[[HardwareSession, int, bytes, float], Outcome]


def _hang_up(session: HardwareSession, number: int, body: bytes, time: float) -> Outcome:
    """What nobody may say: the connection ends without an answer."""
    session.close()
    return None


def _silent(session: HardwareSession, number: int, body: bytes, time: float) -> Outcome:
    """What is read and has no meaning here."""
    return None


def _ping(session: HardwareSession, number: int, body: bytes, time: float) -> Outcome:
    return DONE


def _again(session: HardwareSession, number: int, body: bytes, time: float) -> Outcome:
    """A second login."""
    return ALREADY_REGISTERED


def _table(handlers: Mapping[int, Handler], others: Handler) -> tuple[Handler, ...]:
    return tuple(handlers.get(code, others if code < _FIRST_UNKNOWN else _hang_up) for code in range(256))


_COMMON: dict[int, Handler] = {
    commands.LOGIN: _again,
    commands.HW_LOGIN: _again,
    commands.PING: _ping,
    commands.TWEET: telling.tweet,
    commands.EMAIL: telling.mail,
    commands.NOTIFY: telling.notify,
    commands.BRIDGE: bridge,
    commands.HW_SYNC: pinning.sync,
    commands.INTERNAL: telling.internal,
    commands.SEND_SMS: telling.sms,
    commands.PROPERTY: pinning.change,
    commands.HW: pinning.write,
    commands.EVENT_LOG: telling.event,
}
_BEFORE_LOGIN = _table(dict.fromkeys(commands.LOGINS, HardwareSession.login), _hang_up)
_LOGGED_IN = {
    Era.LEGACY: _table(_COMMON, _silent),
    Era.IOT: _table(
        {**_COMMON, commands.GROUP: pinning.group, commands.EVENT_CLEAR: telling.clear},
        _silent,
    ),
}
"""What devices may say, by era, for each of the 256 codes."""
