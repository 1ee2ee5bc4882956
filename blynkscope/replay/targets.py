"""Where a replay leads: addresses, how each recorded connection is made anew, and which addresses are public."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Sequence
from typing import Any

import msgspec

from blynkscope.errors import BlynkscopeError
from blynkscope.protocol.model import Dialect
from blynkscope.protocol.paths import DASHBOARD_PATH, DEVICE_PATH
from blynkscope.protocol.ports import DEVICE_PORTS, TLS_PORTS
from blynkscope.replay.model import Line

ADDRESSES_MAX = 8
"""Addresses of one name that are tried."""
_TARGET = re.compile(
    r"(?:(?P<scheme>[a-z]+)://)?(?:\[(?P<six>[0-9a-f:.]+(?:%\w+)?)\]|(?P<host>[a-z0-9._-]{1,253})):(?P<port>\d{1,5})/?",
    re.IGNORECASE,
)
_SCHEMES = {
    "tcp": (False, False), "tls": (True, False), "ssl": (True, False), "ws": (False, True), "wss": (True, True),
}  # fmt: skip


class ReplayUsageError(BlynkscopeError):
    """The replay was asked for something that cannot be."""

    exit_code = 2


class ConnectError(Exception):
    """A connection could not be made: `stage` (resolve, connect, tls, websocket, timeout) and `text`."""

    def __init__(self, stage: str, text: str) -> None:
        super().__init__(text)
        self.stage, self.text = stage, text


class Target(msgspec.Struct, frozen=True):
    """A server. `tls` and `websocket` are None where it is to be as it was recorded.

    `addresses` are what its name leads to; empty until it was looked up.
    """

    host: str
    port: int
    tls: bool | None = None
    websocket: bool | None = None
    addresses: tuple[tuple[int, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read `[tcp://|tls://|ws://|wss://]HOST:PORT`.

        Raises:
            ReplayUsageError: It is none.
        """
        found = _TARGET.fullmatch(text.strip())
        if found is None:
            raise ReplayUsageError(
                f"{text!r} is no server: give HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT, ws://… or wss://…"
            )
        scheme, port = (found["scheme"] or "").lower(), int(found["port"])
        if scheme and scheme not in _SCHEMES:
            raise ReplayUsageError(f"{scheme}:// is no scheme: use tcp://, tls://, ws:// or wss://")
        if not 0 < port < 65536:
            raise ReplayUsageError(f"{port} is no port: it goes from 1 to 65535")
        tls, websocket = _SCHEMES.get(scheme, (None, None))
        if tls is None:
            tls = True if port in TLS_PORTS else False if port in DEVICE_PORTS else None
        return cls(found["six"] or found["host"], port, tls, websocket)

    @property
    def forced(self) -> bool:
        """The scheme was given, and holds for connections of all kinds."""
        return self.websocket is not None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.forced:
            scheme = ("ws" if self.websocket else "tcp") if not self.tls else ("wss" if self.websocket else "tls")
            return f"{scheme}://{host}:{self.port}"
        return f"{host}:{self.port}"


class Way(msgspec.Struct, frozen=True):
    """How a connection is made. `path` is that of a WebSocket; None without one."""

    target: Target
    tls: bool
    path: str | None

    def __str__(self) -> str:
        host = f"[{self.target.host}]" if ":" in self.target.host else self.target.host
        scheme = ("wss" if self.tls else "ws") if self.path else ("tls" if self.tls else "tcp")
        return f"{scheme}://{host}:{self.target.port}{self.path or ''}"


def way_of(line: Line, targets: Sequence[Target]) -> Way:
    """How a recorded connection is made anew: as the target says, and where that leaves it open, as it was.

    Apps speak inside TLS unless `tcp://` was asked for, or the recording has them without it; the web dashboard always
    inside a WebSocket. Of several targets the first takes it that is of its kind, else the first that may be.
    """
    recorded = line.tls if line.tls is not None else line.dialect is Dialect.APP
    fitting = [
        *(one for one in targets if one.tls == recorded),
        *(one for one in targets if one.tls is None),
        targets[0],
    ]
    target = fitting[0]
    tls = recorded if target.tls is None else target.tls
    if line.dialect is Dialect.APP and not target.forced and line.tls is not False:
        tls = True
    path = line.path
    if target.forced and line.dialect is Dialect.HARDWARE:
        path = (line.path or DEVICE_PATH) if target.websocket else None
    elif line.dialect is Dialect.WEB:
        path = line.path or DASHBOARD_PATH
    return Way(target, tls, path if line.dialect is not Dialect.APP else None)


async def resolved(target: Target) -> Target:
    """The target with its addresses: connections go to these, whatever its name leads to later.

    Raises:
        ConnectError: It has none.
    """
    loop = asyncio.get_running_loop()
    try:
        found: list[tuple[Any, ...]] = await loop.getaddrinfo(
            target.host, target.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "the name cannot be resolved"
        raise ConnectError("resolve", f"{target.host}: {why[:1].lower()}{why[1:]}") from None
    addresses = tuple(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))
    return msgspec.structs.replace(target, addresses=addresses[:ADDRESSES_MAX])
