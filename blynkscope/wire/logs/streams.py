"""Which connection a line of a log belongs to."""

from __future__ import annotations

import re
from typing import Any

from blynkscope.protocol import commands
from blynkscope.wire.events import SERVER, Closed, Event, Opened
from blynkscope.wire.logs.model import Told

BEGINS = frozenset({"connecting", "ble-connect"})
"""Kinds of text with which a connection begins."""
ENDS = frozenset({"disconnected", "eof", "ble-disconnect", "refused"})
"""Kinds of text with which it ends."""
_PROVES = frozenset({
    "ready", "redirecting", "login-timeout", "heartbeat-timeout", "invalid-token", "already-registered", "auth-failed",
    "packet-too-big", "bad-header-length", "invalid-header-type", "cmd-error", "cmd-skipped", "sent",
})  # fmt: skip
"""Kinds of text that only a connection brings forth."""
_SPENDS = frozenset({"tls-error", "certificate-error"})
"""Kinds of text behind which "Connecting to" is a new connection, and not one more try of this one."""
_NUMBERS = re.compile(r"[\d.]+\Z")
_SERVER_ENDS = frozenset({"disconnect", "disconnected", "closed", "close", "idle-disconnect"})


class OpenedSlot:
    """The place of an `Opened` event: what is known of the server may still be added."""

    __slots__ = ("host", "port", "stream", "time")

    def __init__(self, stream: int, time: float | None, host: str | None, port: int) -> None:
        self.stream = stream
        self.time = time
        self.host = host
        self.port = port

    @property
    def event(self) -> Opened:
        """The event as far as it is known."""
        server = f"{self.host}:{self.port}" if self.host and self.port else self.host
        return Opened(self.stream, self.time, None, server, 0, self.port, True, ("log",))


class Streams:
    """Numbers the connections of a log, and tells where each begins and ends.

    Args:
        out: Gets `OpenedSlot`s and `Closed` events.
    """

    def __init__(self, out: list[Any]) -> None:
        self._out = out
        self.count = 0
        self.current = 0
        """The stream to which a line belongs; 0 while there is none."""
        self._opened: OpenedSlot | None = None
        self._active = False
        self._logged_in = False
        self._ending: tuple[float | None, int | None] | None = None
        self.incoming_alone = False
        """Whether the log is that of a server, which prints what comes in and not what it answers."""
        self._answers = False

    def begin(self, time: float | None, host: str | None = None, port: int = 0) -> int:
        """A new connection."""
        self.end(time, "reused")
        self.count += 1
        self.current = self.count
        self._opened = OpenedSlot(self.current, time, host, port)
        self._out.append(self._opened)
        self._active = self._logged_in = False
        return self.current

    def end(self, time: float | None, how: str = "end") -> None:
        """The connection is over, if there is one: `how` tells why where the log did not."""
        if self.current:
            at, by = self._ending if self._ending is not None else (time, None)
            how = "fin" if self._ending is not None else how
            event: Event = Closed(self.current, at, how, by, (True, self._answers or not self.incoming_alone))
            self._out.append(event)
        self.current, self._opened, self._ending = 0, None, None

    def message(self, cmd: int, direction: int | None, time: float | None) -> int:
        """A message was seen: the number of its stream."""
        login = cmd in commands.LOGINS and direction != SERVER
        self._answers = self._answers or direction == SERVER
        if self._ending is not None and self._logged_in and not login:
            self._ending = None  # whatever was closed, it was not this connection
        if not self.current or self._ending is not None or (login and self._logged_in):
            again = self._opened if login and self._logged_in and self._ending is None else None
            self.begin(time, *((again.host, again.port) if again else ()))
        self._active = True
        self._logged_in = self._logged_in or login
        return self.current

    def starts(self, told: Told, cmd_host: tuple[str | None, int]) -> bool:
        """Whether this text begins a new connection (and not one more try of the same)."""
        host, port = cmd_host
        opened = self._opened
        if not self.current or self._active or self._ending is not None or opened is None:
            return True
        if opened.host in (None, host):
            if host is not None:
                opened.host, opened.port = host, port or opened.port
            return False
        return host is not None and told.kind == "connecting"

    def text(self, told: Told, time: float | None) -> int:
        """A text was seen: the number of its stream, 0 for none."""
        if told.kind == "connected" and self.current and self._ending is None:
            self._active = True
        if told.kind == "modem":
            self._dialled(told, time)
        elif told.kind in BEGINS:
            where = target(told)
            if where is None:
                return self.current if not self._closing else 0
            if self.starts(told, where):
                self.begin(time, *where)
        elif told.kind in ENDS or (told.kind == "server" and told.facts.get("event") in _SERVER_ENDS):
            if self.current and self._ending is None:
                by_server = told.kind == "eof" or told.facts.get("event") == "idle-disconnect"
                self._ending = (time, SERVER if by_server else None)
        elif told.kind in _SPENDS:
            self._active = self._active or bool(self.current)
        elif told.kind in _PROVES:
            if not self.current or self._ending is not None:
                self.begin(time)
            self._active = True
        return self.current

    def _dialled(self, told: Told, time: float | None) -> None:
        """A modem was told to connect: the first sign of a connection where the library prints none itself."""
        where = target(told)
        if where is None or where[0] is None:
            return
        opened = self._opened
        if self.current and self._ending is None and opened is not None and opened.host not in (None, where[0]):
            return  # a connection of the sketch's own beside Blynk's
        if self.starts(told, where):
            self.begin(time, *where)

    @property
    def _closing(self) -> bool:
        return self._ending is not None


def is_server(told: Told) -> bool:
    """Whether the host that a text names is a server: Wi-Fi networks and the access points of modems have no port."""
    host = str(told.facts.get("host") or "")
    if told.facts.get("port"):
        return True
    named = "blynk" in host.lower() or _NUMBERS.match(host) is not None
    return "." in host and (named or not told.text.endswith(" ..."))


def target(told: Told) -> tuple[str | None, int] | None:
    """Host and port of a text that tells of a connection; None where what it names is a Wi-Fi network."""
    host, port = told.facts.get("host"), told.facts.get("port") or 0
    if host and not is_server(told) and told.kind == "connecting":
        return None
    return (str(host) if host else None, port if isinstance(port, int) else 0)
