"""The door: the first bytes of a connection tell what it speaks, and who serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blynkscope.errors import EnvironmentProblem
from blynkscope.protocol import commands, limits
from blynkscope.protocol.model import Dialect, Era
from blynkscope.server.answering import HARDWARE
from blynkscope.server.timing import LOGIN_SECONDS

if TYPE_CHECKING:
    from blynkscope.server.hub import Hub
    from blynkscope.server.model import Link, Session

_METHODS = (b"GET ", b"PUT ", b"POST ", b"HEAD ", b"OPTIONS ", b"DELETE ", b"PATCH ", b"CONNECT ", b"TRACE ")
"""What HTTP begins with. No login of Blynk does."""
_HEADER = HARDWARE.size
HTTP = "http"


def spoken(first: bytes, *, secure: bool, era: Era) -> Dialect | str | None:
    """What a client speaks, by its first bytes.

    On a plain port all that is no HTTP is a device. Inside of TLS a device is who begins as one that logs in: on the
    legacy server (measured) with LOGIN or HW_LOGIN, id 1 and a token of 32 characters; on Blynk IoT with any of the two
    and a length that a token can have, where an app has the upper half of a length four bytes wide, which is 0.

    Returns:
        HARDWARE, APP or `http`; None where more bytes are needed.
    """
    if any(first.startswith(method) for method in _METHODS):
        return HTTP
    if any(method.startswith(first) for method in _METHODS):
        return None
    if not secure:
        return Dialect.HARDWARE
    if len(first) < _HEADER:
        return None if first[0] in commands.LOGINS else Dialect.APP
    cmd, number, word = HARDWARE.unpack_from(first)
    if cmd not in commands.LOGINS:
        return Dialect.APP
    if era is Era.LEGACY:
        return Dialect.HARDWARE if (number, word) == (1, limits.TOKEN_LENGTH) else Dialect.APP
    return Dialect.HARDWARE if 0 < word <= limits.PLAUSIBLE_TOKEN_BODY else Dialect.APP


class Door:
    """A connection until it is known what it speaks; then it hands everything on.

    Args:
        hub: The server.
        link: The way to the client.
        number: Number of the connection.
        secure: It speaks inside of TLS.
        port: The port that it reached.
        peer: Its address.
    """

    __slots__ = ("_due", "_first", "_hub", "_inner", "_link", "_place", "_waits", "number")

    def __init__(self, hub: Hub, link: Link, *, number: int, secure: bool, port: int, peer: tuple[str, int]) -> None:
        self._hub = hub
        self._link = link
        self.number = number
        self._place = secure, port, peer
        self._first = b""
        self._inner: Session | None = None
        # From the moment that it stands: who says nothing at all is no better than who says half a word.
        self._due: float | None = hub.clock() + LOGIN_SECONDS
        self._waits = True
        hub.timetable.enter(self)

    def feed(self, data: bytes, time: float) -> None:
        """Bytes of the client. Where the store fails the connection is reset, and the hub knows why."""
        try:
            if self._inner is not None:
                self._inner.feed(data, time)
            elif data:
                self._look(self._first + data, time)
        except EnvironmentProblem as problem:
            self._hub.trouble = problem
            self._link.abort()

    def ended(self, time: float) -> None:
        """FIN of the client."""
        try:
            if self._inner is not None:
                self._inner.ended(time)
            else:
                self._link.close()
        except EnvironmentProblem as problem:
            self._hub.trouble = problem
            self._link.abort()

    def lost(self, time: float) -> None:
        """The connection is gone."""
        self._decided()
        inner, self._inner = self._inner, None
        try:
            if inner is not None:
                inner.lost(time)
        except EnvironmentProblem as problem:
            self._hub.trouble = problem

    def due(self) -> float | None:
        """When the first word has to be whole; None once it is."""
        return self._due

    def expire(self, now: float) -> None:
        """It has not said who it is."""
        self._due = None
        self._link.close()

    def _decided(self) -> None:
        self._first, self._due = b"", None
        if self._waits:
            self._waits = False
            self._hub.timetable.leave()

    def _look(self, first: bytes, time: float) -> None:
        kind = spoken(first, secure=self._place[0], era=self._hub.settings.like)
        if kind is None:
            self._first = first
            return
        self._decided()
        self._inner = self._session(kind, time)
        self._inner.feed(first, time)

    def _session(self, kind: Dialect | str, time: float) -> Session:
        secure, port, peer = self._place
        # Imported here: these rooms import each other's types, and web brings h11.
        if kind == HTTP:
            from blynkscope.server.web import WebSession

            return WebSession(self._hub, self._link, secure=secure, port=port, peer=peer, time=time)
        if kind is Dialect.HARDWARE:
            from blynkscope.server.hardware import HardwareSession

            return HardwareSession(self._hub, self._link, time, peer[0])
        from blynkscope.server.app import AppSession

        return AppSession(self._hub, self._link, framing=Dialect.APP)
