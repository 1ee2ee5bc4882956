"""A socket of the relay: bytes of the loop in, orders of the core out, and nothing else."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, cast

from blynkscope.protocol import limits

_LINGER_NONE = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends RST."""
_KEEP_IDLE, _KEEP_EVERY, _KEEP_COUNT = 60, 20, 6
"""Seconds of silence before TCP probes the peer, seconds between probes, and probes: who lost power is found so."""


class Owner(Protocol):
    """Whose legs these are: a connection of the proxy."""

    def leg_made(self, leg: Leg) -> None:
        """It is connected."""

    def leg_came(self, leg: Leg, data: bytes) -> None:
        """Bytes."""

    def leg_ended(self, leg: Leg) -> None:
        """FIN."""

    def leg_lost(self, leg: Leg, error: Exception | None) -> None:
        """It is gone."""

    def leg_blocked(self, leg: Leg, *, blocked: bool) -> None:
        """Its write buffer is full, or has room again."""


class Leg(asyncio.BufferedProtocol):
    """One side of a connection.

    Args:
        number: 0 for the device, 1 for the upstream.
        owner: Who is told.
        room: Where bytes are received: one buffer for all legs of a loop, as each takes its bytes out at once.
    """

    __slots__ = ("_owner", "_room", "gone", "number", "transport")

    def __init__(self, number: int, owner: Owner, room: memoryview) -> None:
        self.number = number
        self.transport: asyncio.Transport | None = None
        self.gone = False
        self._owner = owner
        self._room = room

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The loop has the socket."""
        # Those of uvloop are no subclass.
        transport = self.transport = cast(asyncio.Transport, transport)
        transport.set_write_buffer_limits(high=limits.PROXY_WRITE_HIGH)
        sock = transport.get_extra_info("socket")
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in (
                ("TCP_KEEPIDLE", _KEEP_IDLE), ("TCP_KEEPINTVL", _KEEP_EVERY), ("TCP_KEEPCNT", _KEEP_COUNT),
            ):  # fmt: skip
                if hasattr(socket, name):
                    sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._owner.leg_made(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Room for the next bytes."""
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes are in the room."""
        self._owner.leg_came(self, bytes(self._room[:nbytes]))

    def eof_received(self) -> bool:
        """FIN; True keeps the other direction open."""
        self._owner.leg_ended(self)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self.gone = True
        self._owner.leg_lost(self, exc)

    def pause_writing(self) -> None:
        """The buffer is full."""
        self._owner.leg_blocked(self, blocked=True)

    def resume_writing(self) -> None:
        """The buffer has room."""
        self._owner.leg_blocked(self, blocked=False)

    # --- what the core orders ---

    @property
    def _open(self) -> asyncio.Transport | None:
        transport = self.transport
        return None if transport is None or self.gone or transport.is_closing() else transport

    def write(self, data: bytes) -> None:
        """Send."""
        transport = self._open
        if transport is not None:
            transport.write(data)

    def finish(self) -> None:
        """FIN behind what was written."""
        transport = self._open
        if transport is not None:
            with suppress(OSError):
                transport.write_eof()

    def end(self) -> None:
        """Close behind what was written."""
        transport = self._open
        if transport is not None:
            transport.close()

    def abort(self, *, reset: bool = True) -> None:
        """Close now; what was not sent is lost."""
        transport = self.transport
        if transport is None or self.gone:
            return
        if reset:
            with suppress(OSError):
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
        transport.abort()

    def pause(self) -> None:
        """Read no more."""
        self._turn(lambda transport: transport.pause_reading())

    def resume(self) -> None:
        """Read on."""
        self._turn(lambda transport: transport.resume_reading())

    def _turn(self, what: Callable[[asyncio.Transport], None]) -> None:
        transport = self._open
        if transport is not None:
            # uvloop refuses what is so already, and what is at its end.
            with suppress(RuntimeError):
                what(transport)
