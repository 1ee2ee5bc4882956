"""Plays the server's side of a script to real devices: plain and TLS on one port, WebSocket inside either."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from blynkscope.errors import EnvironmentProblem
from blynkscope.protocol.model import Dialect, Era
from blynkscope.replay.certificates import Authority, asked_name, server_context
from blynkscope.replay.comparing import Heard
from blynkscope.replay.connection import in_words
from blynkscope.replay.device import FIRST_SECONDS, READ_SIZE, Device
from blynkscope.replay.model import Line, Script
from blynkscope.replay.outcome import Outcome, Report
from blynkscope.replay.staging import Stage
from blynkscope.replay.tally import Tally

CONNECTIONS_MAX = 256
"""Devices at one time; more than any recording plays."""
_DROP_SECONDS = 1.0
"""For a connection that is dropped to end; one that takes longer ends beside the next one."""
_BACKLOG = 64
_HANDSHAKE = 0x16


class ListenSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the server's side is played.

    Attributes:
        host, port: Where it listens; port 0 for any.
        speed: How many times as fast as recorded what nobody asked for is sent; None without waiting.
        duration: Seconds after which it ends; None for no limit.
        once: End when every recorded connection was played and all devices have left.
        era: Meaning of codes that differ between the eras.
    """

    host: str = "127.0.0.1"
    port: int = 0
    speed: float | None = 1.0
    duration: float | None = None
    once: bool = False
    era: Era | None = None


class Listener:
    """Plays a script to the devices that connect. `open`, then `run`, once.

    Args:
        script: What is played.
        settings: Where and how.
        authority: Makes certificates; None to take no TLS.
        told: Gets each verdict as soon as it is known.
        clock: The time of day.

    Attributes:
        interrupted: It was cancelled.
    """

    def __init__(
        self, script: Script, settings: ListenSettings, authority: Authority | None = None,
        told: Callable[[Outcome], None] = lambda outcome: None, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._script = script
        self.settings = settings
        self._authority = authority
        self._clock = clock
        self.tally = Tally(script, "server", told)
        self._stage = Stage(script.lines.values(), settings.era)
        self._listening: list[socket.socket] = []
        self._devices: set[asyncio.Task[None]] = set()
        self._strangers: dict[asyncio.Task[None], None] = {}
        """Those that have not logged in, oldest first."""
        self._changed = asyncio.Event()
        self._address = (settings.host, settings.port)
        self.interrupted = False
        self.cut = False
        """It ends before its time: what did not come is not missing."""
        self.repeated = 0

    async def open(self) -> tuple[str, int]:
        """Begin to listen; gives the address.

        Raises:
            EnvironmentProblem: The address cannot be had.
        """
        host, port = self.settings.host, self.settings.port
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            for family, _, _, _, address in found[:1]:
                sock = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
                sock.setblocking(False)
                self._listening.append(sock)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
            raise EnvironmentProblem(f"cannot listen on {host}:{port}: {why.lower()}; choose another port") from None
        at = self._listening[0].getsockname()
        self._address = str(at[0]), int(at[1])
        return self._address

    async def run(self) -> Report:
        """Take devices until all is played, the time is over, or this is cancelled."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        accepting = [asyncio.create_task(self._accept(sock)) for sock in self._listening]
        complete = False
        try:
            async with asyncio.timeout(self.settings.duration):
                while not (self.settings.once and not self._stage.left and not self._devices):
                    self._changed.clear()
                    await self._changed.wait()
            complete = True
        except TimeoutError:
            complete = not self._stage.left and not self._devices
        except asyncio.CancelledError:
            self.interrupted = True
        self.cut = True
        for task in (*accepting, *self._devices):
            task.cancel()
        await asyncio.gather(*accepting, *self._devices, return_exceptions=True)
        for sock in self._listening:
            sock.close()
        if self._stage.left:
            self.tally.note(f"{self._stage.left} of {len(self._script.lines)} recorded connections were not played")
        if self.repeated:
            self.tally.note(
                f"{self.repeated} pings, syncs or questions for the time came more often than in the recording"
            )
        host, port = self._address
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return self.tally.report(target, loop.time() - began, None, complete=complete)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(listening)
            except OSError:
                await asyncio.sleep(0.1)  # no more files: wait until some are free
                continue
            if len(self._devices) >= CONNECTIONS_MAX and not await self._makes_room():
                sock.close()
                self.tally.note(f"devices beyond {CONNECTIONS_MAX} at one time were not taken")
                continue
            task = asyncio.create_task(self._device(sock))
            self._devices.add(task)
            self._strangers[task] = None
            task.add_done_callback(self._left)

    async def _makes_room(self) -> bool:
        """Drop the device that has been here the longest without logging in; False where all have."""
        oldest = next(iter(self._strangers), None)
        if oldest is None:
            return False
        oldest.cancel()
        self._strangers.pop(oldest)
        await asyncio.wait({oldest}, timeout=_DROP_SECONDS)
        self.tally.note(f"with {CONNECTIONS_MAX} devices at one time, those that had not logged in were dropped")
        return True

    def logged_in(self) -> None:
        """The device of the current task has logged in."""
        task = asyncio.current_task()
        if task is not None:
            self._strangers.pop(task, None)

    def _left(self, task: asyncio.Task[None]) -> None:
        self._devices.discard(task)
        self._strangers.pop(task, None)
        self._changed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self.tally.note(f"a device was dropped: {in_words(error)}")

    async def _device(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name = sock.getsockname()[0]
        writer: asyncio.StreamWriter | None = None
        until = asyncio.get_running_loop().time() + FIRST_SECONDS
        try:
            async with asyncio.timeout_at(until):
                first = await _peeked(sock)
                if not first:
                    return
                reader, writer = await self._stream(sock, first[0] == _HANDSHAKE, str(name))
            await Device(self, reader, writer, until).talk(secure=first[0] == _HANDSHAKE)
        except TimeoutError:
            self.tally.note("a device said nothing that is whole, or did not take what it was sent")
        except ssl.SSLError as error:
            reason = (error.reason or "the handshake failed").lower().replace("_", " ")
            hint = "; it must trust the CA (blynkscope ca export)" if _distrusts(reason) else ""
            self.tally.note(f"TLS with a device failed: {reason}{hint}")
        except OSError:
            return  # it is gone
        finally:
            if writer is not None:
                writer.close()
                with suppress(OSError, asyncio.CancelledError):
                    await writer.wait_closed()
            sock.close()

    async def _stream(
        self, sock: socket.socket, tls: bool, name: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=READ_SIZE * 4)
        protocol = asyncio.StreamReaderProtocol(reader)
        context = None
        if tls:
            asked = await asked_name(sock)
            names = (asked, name, "localhost") if asked is not None else (name, "localhost")
            context = await loop.run_in_executor(None, self._secured, names)
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock, ssl=context)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    def _secured(self, names: Sequence[str]) -> ssl.SSLContext:
        """TLS settings, with a certificate for the name that a device asks for, and for the address it came to.

        Raises:
            OSError: There is no authority.
        """
        if self._authority is None:
            raise OSError("no certificates")
        return server_context(self._authority, names)

    def chosen(self, dialect: Dialect, first: Heard) -> Line | None:
        """The recorded connection for a device, by its first frame."""
        line, again = self._stage.choose(dialect, first)
        if line is not None:
            self.tally.played += not again
            if again:
                self.tally.note(f"stream {line.number} was played again: more connections came than were recorded")
        return line

    @property
    def dialects(self) -> set[Dialect]:
        """The dialects of the recording."""
        return self._stage.dialects

    @property
    def plain_apps(self) -> bool:
        """Apps spoke without TLS in the recording."""
        return any(line.dialect is Dialect.APP and line.tls is False for line in self._script.lines.values())

    @property
    def clock(self) -> Callable[[], float]:
        """The time of day."""
        return self._clock


def _distrusts(reason: str) -> bool:
    """Does a device say by an alert that it does not take the certificate?"""
    return "alert" in reason and ("certificate" in reason or "unknown ca" in reason)


async def _peeked(sock: socket.socket) -> bytes:
    """The first byte of a device, which stays where it is; nothing where it leaves without one."""
    loop = asyncio.get_running_loop()
    while True:
        ready = asyncio.Event()
        loop.add_reader(sock, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(sock)
        try:
            return sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            continue
        except OSError:
            return b""
