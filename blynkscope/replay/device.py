"""A device that is connected to the listener: what it speaks, and what is said, until one side closes."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from websockets.exceptions import WebSocketException
from websockets.http11 import Request
from websockets.server import ServerProtocol

from blynkscope.protocol.model import Dialect
from blynkscope.protocol.paths import spoken
from blynkscope.replay.comparing import Heard
from blynkscope.replay.model import Line
from blynkscope.replay.outcome import Outcome, Verdict
from blynkscope.replay.serving import Serving, Turn
from blynkscope.replay.speech import MESSAGE_MAX, Listening, Messages, wire

if TYPE_CHECKING:
    from blynkscope.replay.listener import Listener

FIRST_SECONDS = 30.0
"""For the TLS handshake, the upgrade of a WebSocket and the first whole frame: slow devices take some 10 s."""
IDLE_SECONDS = 3600.0
"""A device that says nothing for so long is gone: heartbeats come each 10 to 60 s."""
WRITE_SECONDS = 10.0
"""For a device to take what it is sent; one that does not is cut off."""
READ_SIZE = 64 * 1024
_SNIFFED = 5
"""Bytes that tell the dialect."""
_LENGTH_AT, _APP_HEADER = 3, 7
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_METHODS = (b"GET ", b"PUT ", b"POST", b"HEAD", b"DELE", b"OPTI", b"PATC")


class Device:
    """A device that is connected.

    Args:
        listener: Where to.
        reader, writer: The way to it, decrypted.
        until: Time of the loop until which its first frame must be whole.
    """

    def __init__(
        self, listener: Listener, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, until: float
    ) -> None:
        self._listener = listener
        self._until = until
        self._reader, self._writer = reader, writer
        self._dialect: Dialect | None = None
        self._listening: Listening | None = None
        self._messages: Messages | None = None
        self._serving: Serving | None = None

    async def talk(self, *, secure: bool) -> None:
        """All that is said, until one side closes."""
        by_device = True
        try:
            async with asyncio.timeout_at(self._until):
                data = await self._reader.read(READ_SIZE)
                while data and len(data) < _SNIFFED and (more := await self._reader.read(READ_SIZE)):
                    data += more
                pieces = await self._begin(data, secure) if data else []
            for piece in pieces:
                if not await self._take(piece):
                    by_device = False
                    return
            by_device = await self._go_on()
        finally:
            self._finish(by_device)

    async def _begin(self, data: bytes, secure: bool) -> list[bytes]:
        """What is spoken, by the first bytes; gives the pieces of it that are there."""
        if data[:4] in _METHODS:
            return await self._upgraded(data)
        self._dialect = Dialect.HARDWARE
        if Dialect.APP in self._listener.dialects and (secure or self._listener.plain_apps):
            only = Dialect.HARDWARE not in self._listener.dialects
            length = int.from_bytes(data[_LENGTH_AT:_APP_HEADER], "big")
            # A short length in 32 bits, all of which is there; in 16 bits it would be none.
            if only or (len(data) >= _APP_HEADER and data[_LENGTH_AT] == data[4] == 0 and length <= len(data)):
                self._dialect = Dialect.APP
        self._listening = Listening(self._dialect)
        return [data]

    async def _upgraded(self, data: bytes) -> list[bytes]:
        protocol = ServerProtocol(max_size=MESSAGE_MAX)
        self._messages = messages = Messages(protocol)
        try:
            while True:
                protocol.receive_data(data)
                events = protocol.events_received()
                request = next((event for event in events if isinstance(event, Request)), None)
                if request is not None or protocol.handshake_exc is not None:
                    break
                data = await self._reader.read(READ_SIZE)
                if not data:
                    return []
        except WebSocketException:
            request = None
        dialect = spoken(request.path.partition("?")[0]) if request is not None else None
        upgrade = request is not None and "websocket" in request.headers.get("Upgrade", "").lower()
        if request is None or not upgrade or not isinstance(dialect, Dialect):
            self._listener.tally.note("HTTP requests were answered with 404: the API is not played to devices")
            await self._write(_NOT_FOUND)
            return []
        protocol.send_response(protocol.accept(request))
        await self._write(messages.pending())
        self._dialect = dialect
        self._listening = Listening(dialect)
        return messages.messages(events)

    async def _go_on(self) -> bool:
        """What follows; gives whether the device ended it."""
        loop = asyncio.get_running_loop()
        if self._listening is None:
            return True
        while True:
            due = self._serving.next_due if self._serving is not None else None
            until = loop.time() + IDLE_SECONDS if self._serving is not None else self._until
            try:
                async with asyncio.timeout_at(min(due, until) if due is not None else until):
                    data = await self._reader.read(READ_SIZE)
            except TimeoutError:
                if self._serving is None:
                    raise
                if due is None:
                    return True
                if not await self._do(self._serving.tick(loop.time())):
                    return False
                continue
            if not data:
                for heard in self._listening.finish(loop.time()):
                    await self._hears(heard)
                return True
            pieces = [data]
            if self._messages is not None:
                self._messages.protocol.receive_data(data)
                pieces = self._messages.messages(self._messages.protocol.events_received())
                await self._write(self._messages.pending())
            for piece in pieces:
                if not await self._take(piece):
                    return False
            if self._messages is not None and self._messages.closed:
                return True

    async def _take(self, data: bytes) -> bool:
        assert self._listening is not None
        for heard in self._listening.feed(data, asyncio.get_running_loop().time()):
            if not await self._hears(heard):
                return False
        return True

    async def _hears(self, heard: Heard) -> bool:
        """A frame of the device; gives whether the connection stands."""
        if self._serving is None:
            assert self._dialect is not None
            settings = self._listener.settings
            line = self._listener.chosen(self._dialect, heard)
            if line is None:
                self._listener.tally.note(f"a client of the {self._dialect} dialect came, which was not recorded")
                line = Line(0, self._dialect, self._dialect, None, None, False, False, (), "", None, None)
            self._serving = Serving(line, settings.speed, settings.era, self._listener.clock)
        turn = self._serving.heard(heard)
        if self._serving.logged_in:
            self._listener.logged_in()
        return await self._do(turn)

    async def _write(self, data: bytes) -> None:
        """Send, and wait until it is on its way: who never reads is cut off.

        Raises:
            TimeoutError: It is one.
        """
        self._writer.write(data)
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await self._writer.drain()
        except TimeoutError:
            self._writer.transport.abort()
            raise

    async def _do(self, turn: Turn) -> bool:
        assert self._serving is not None
        self._listener.tally.tell(turn.outcomes)
        dialect = self._serving.line.answers
        for answer in turn.answers:
            data = wire(dialect, answer.cmd, answer.id, answer.word, answer.body)
            await self._write(self._messages.wrap(data) if self._messages is not None else data)
            self._listener.tally.sent += 1
        if turn.close and self._messages is not None:
            with suppress(OSError):
                await self._write(self._messages.close())
        return not turn.close

    def _finish(self, by_device: bool) -> None:
        listener = self._listener
        if self._serving is not None:
            listener.repeated += self._serving.repeated
            listener.tally.tell(self._serving.finish(by_device=by_device, cut=listener.cut))
        if self._listening is not None and self._listening.noise:
            number = self._serving.line.number if self._serving is not None else 0
            note = f"{self._listening.noise} bytes of the device that are no frame"
            listener.tally.tell([Outcome(Verdict.EXTRA, "frame", number, None, None, None, None, note=note)])
