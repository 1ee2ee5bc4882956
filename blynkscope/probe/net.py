"""Connections of a probe: counted, bounded in time and number, spaced out; plain, or with TLS on top."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol

import msgspec

ANSWER_MAX = 256 * 1024
"""Bytes of one connection that are read, whatever the server goes on to send."""
READ_SIZE = 16 * 1024
_RESULTS = {
    errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset", errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable", errno.ETIMEDOUT: "timeout", errno.EADDRNOTAVAIL: "unreachable",
    errno.EACCES: "failed", errno.EPERM: "failed",
}  # fmt: skip


class Address(msgspec.Struct, frozen=True):
    """An address of the host, as sockets want it."""

    family: int
    sockaddr: tuple[Any, ...]

    @property
    def text(self) -> str:
        """The address without a port."""
        return str(self.sockaddr[0])

    def at(self, port: int) -> tuple[Any, ...]:
        """The socket address of a port."""
        return (self.sockaddr[0], port, *self.sockaddr[2:])


class FailedError(Exception):
    """No connection, or one that broke. `result` is one of refused, reset, timeout, unreachable, failed, budget."""

    def __init__(self, result: str, text: str) -> None:
        super().__init__(text)
        self.result = result
        self.text = text


def failure_of(error: BaseException) -> FailedError:
    """What an error of the system means."""
    if isinstance(error, FailedError):
        return error
    if isinstance(error, TimeoutError):
        return FailedError("timeout", "no answer in time")
    if isinstance(error, ssl.SSLError):
        return FailedError("failed", (error.reason or "the TLS handshake failed").lower().replace("_", " "))
    number = error.errno if isinstance(error, OSError) else None
    text = os.strerror(number).lower() if number else str(error) or type(error).__name__
    if isinstance(error, ConnectionError) and number is None:
        return FailedError("reset", text)
    return FailedError(_RESULTS.get(number or 0, "failed"), text)


class Channel(Protocol):
    """What messages travel on."""

    async def send(self, data: bytes) -> None:
        """Bytes to the server. Raises `FailedError`."""

    async def receive(self) -> bytes:
        """The next bytes; empty at the end, and where more came than is read. Raises `FailedError`."""


class Line:
    """A TCP connection. Leave it as a context manager, or `close` it."""

    def __init__(self, sock: socket.socket, timeout: float) -> None:
        self._sock = sock
        self.timeout = timeout
        self._left = ANSWER_MAX

    async def __aenter__(self) -> Line:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def send(self, data: bytes) -> None:
        """See `Channel`."""
        try:
            async with asyncio.timeout(self.timeout):
                await asyncio.get_running_loop().sock_sendall(self._sock, data)
        except OSError as error:
            raise failure_of(error) from None

    async def receive(self) -> bytes:
        """See `Channel`."""
        if self._left <= 0:
            return b""
        try:
            async with asyncio.timeout(self.timeout):
                data = await asyncio.get_running_loop().sock_recv(self._sock, min(READ_SIZE, self._left))
        except OSError as error:
            raise failure_of(error) from None
        self._left -= len(data)
        return data

    def close(self) -> None:
        """The end; what was not read makes it a reset."""
        self._sock.close()


class Secured:
    """TLS on a line, by the library of this machine."""

    def __init__(self, line: Line, context: ssl.SSLContext, name: str | None) -> None:
        self._line = line
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, server_hostname=name)

    async def handshake(self) -> None:
        """Agree with the server.

        Raises:
            FailedError: The connection broke, or ended.
            ssl.SSLError: The library refuses, or was refused.
        """
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLError:
                # The alert that says why leaves all the same.
                with suppress(FailedError):
                    await self._flush()
                raise
            else:
                await self._flush()
                return

    async def send(self, data: bytes) -> None:
        """See `Channel`."""
        try:
            self.tls.write(data)
        except ssl.SSLError as error:
            raise failure_of(error) from None
        await self._flush()

    async def receive(self) -> bytes:
        """See `Channel`."""
        while True:
            try:
                return self.tls.read(READ_SIZE)
            except ssl.SSLWantReadError:
                try:
                    await self._fill()
                except FailedError as error:
                    if error.result == "ended":
                        return b""
                    raise
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""
            except ssl.SSLError as error:
                raise failure_of(error) from None

    async def _flush(self) -> None:
        if data := self._out.read():
            await self._line.send(data)

    async def _fill(self) -> None:
        data = await self._line.receive()
        if not data:
            raise FailedError("ended", "the server closed the connection")
        self._in.write(data)


class Network:
    """Makes connections, no more than it may, no faster than it should.

    Attributes:
        connections: How many there were.
        refused: Was one not made because of the limit?

    Args:
        timeout: Seconds for an answer.
        delay: Seconds between connections.
        jobs: Connections at a time.
        budget: Most connections.
        within: One whose limit holds too, and which counts those of this one as well.
    """

    def __init__(self, *, timeout: float, delay: float, jobs: int, budget: int, within: Network | None = None) -> None:
        self.timeout = timeout
        self.budget = budget
        self.connections = 0
        self.refused = False
        self._within = within
        self._delay = delay
        self._jobs = asyncio.Semaphore(jobs)
        self._turn = asyncio.Lock()
        self._last = float("-inf")

    async def connect(self, address: Address, port: int) -> Line:
        """A connection.

        Raises:
            FailedError: There is none.
        """
        async with self._jobs:
            await self._wait()
            for one in (self, self._within):
                if one is not None and one.connections >= one.budget:
                    one.refused = True
                    raise FailedError("budget", f"the limit of {one.budget} connections is reached")
            for one in (self, self._within):
                if one is not None:
                    one.connections += 1
            try:
                sock = socket.socket(address.family, socket.SOCK_STREAM)
            except OSError as error:
                raise failure_of(error) from None
            try:
                sock.setblocking(False)
                async with asyncio.timeout(self.timeout):
                    await asyncio.get_running_loop().sock_connect(sock, address.at(port))
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except BaseException as error:
                sock.close()
                if isinstance(error, OSError):
                    raise failure_of(error) from None
                raise
            return Line(sock, self.timeout)

    async def _wait(self) -> None:
        if self._delay <= 0:
            return
        async with self._turn:
            loop = asyncio.get_running_loop()
            left = self._last + self._delay - loop.time()
            if left > 0:
                await asyncio.sleep(left)
            self._last = loop.time()
