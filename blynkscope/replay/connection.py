"""A connection to a server: made anew as it was recorded, over TCP, TLS and WebSocket, or some of these."""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from collections.abc import Callable
from contextlib import suppress

from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.uri import parse_uri

from blynkscope.protocol.model import Dialect
from blynkscope.replay.comparing import Heard
from blynkscope.replay.speech import MESSAGE_MAX, Listening, Messages, wire
from blynkscope.replay.targets import ConnectError, Target, Way

READ_SIZE = 64 * 1024
LINGER_SECONDS = 1.0
"""To hear the last words of a server behind our FIN; most close at once."""
GRACE_SECONDS = 0.1
"""The same inside TLS, where no side can close its half alone."""
WRITE_SECONDS = 10.0
"""To get rid of bytes; a server that does not read for so long is stuck."""
_RESET = "the connection was reset"
_FAILED = "the connection failed"


class Connection:
    """One connection to the server. `opened` makes it; from then on `on_frame` and `on_end` are called.

    Attributes:
        ended: It is over, or the server has closed its side.
        how: "fin", "reset", "stuck" (it takes nothing any more), or "" while it stands, and where it was closed here.
        sent: Frames that were sent.
        noise: Bytes of the server that were no frame.
    """

    def __init__(
        self, dialect: Dialect, answers: Dialect, on_frame: Callable[[Heard], None], on_end: Callable[[], None]
    ) -> None:
        self._dialect = dialect
        self._listening = Listening(answers)
        self._on_frame, self._on_end = on_frame, on_end
        self._messages: Messages | None = None
        self._secure = False
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()
        self.how = ""
        self.sent = 0

    @property
    def noise(self) -> int:
        """Bytes of the server that were no frame."""
        return self._listening.noise

    async def open(self, way: Way, context: ssl.SSLContext | None, timeout: float) -> None:
        """Make it.

        Raises:
            ConnectError: It cannot be made.
        """
        self._secure = way.tls
        self._reader, self._writer = await dialled(way, context, timeout)
        first: list[bytes] = []
        if way.path is not None:
            try:
                async with asyncio.timeout(timeout):
                    first = await self._upgrade(way)
            except TimeoutError:
                self.abort()
                raise ConnectError("websocket", f"the server does not answer the upgrade of {way.path}") from None
            except (OSError, WebSocketException, EOFError) as error:
                self.abort()
                raise ConnectError("websocket", f"{way}: {in_words(error)}") from None
        self._task = asyncio.create_task(self._read(first))

    async def _upgrade(self, way: Way) -> list[bytes]:
        assert self._reader is not None
        assert self._writer is not None
        host = f"[{way.target.host}]" if ":" in way.target.host else way.target.host
        uri = parse_uri(f"{'wss' if way.tls else 'ws'}://{host}:{way.target.port}{way.path}")
        protocol = ClientProtocol(uri, max_size=MESSAGE_MAX)
        protocol.send_request(protocol.connect())
        self._messages = Messages(protocol)
        self._writer.write(self._messages.pending())
        while True:
            data = await self._reader.read(READ_SIZE)
            if data:
                protocol.receive_data(data)
            else:
                protocol.receive_eof()
            events = protocol.events_received()
            if protocol.handshake_exc is not None:
                raise protocol.handshake_exc
            if events:
                return self._messages.messages(events)
            if not data:
                raise EOFError("the server closed in place of an answer to the upgrade")

    async def _read(self, first: list[bytes]) -> None:
        assert self._reader is not None
        now = asyncio.get_running_loop().time
        try:
            for message in first:
                self._take(message)
            while True:
                data = await self._reader.read(READ_SIZE)
                if not data:
                    self.how = "fin"
                    break
                if self._messages is None:
                    self._take(data)
                    await self._drained()
                    continue
                protocol = self._messages.protocol
                protocol.receive_data(data)
                for message in self._messages.messages(protocol.events_received()):
                    self._take(message)
                self._write(self._messages.pending())
                await self._drained()
                if self._messages.closed or protocol.parser_exc is not None:
                    self.how = "fin"
                    break
        except TimeoutError:
            self.how = "stuck"
            self.abort()
        except ssl.SSLError:
            self.how = "fin"  # a TLS connection that ends without close_notify
        except (OSError, WebSocketException):
            self.how = "reset"
        for heard in self._listening.finish(now()):
            self._on_frame(heard)
        self.ended.set()
        self._on_end()

    def _take(self, data: bytes) -> None:
        for heard in self._listening.feed(data, asyncio.get_running_loop().time()):
            self._on_frame(heard)

    def _write(self, data: bytes) -> None:
        if data and self._writer is not None and not self._writer.is_closing():
            self._writer.write(data)

    async def _drained(self) -> None:
        """Wait until the answers to what was heard are on their way, before more is heard.

        Raises:
            TimeoutError: The server takes nothing.
        """
        assert self._writer is not None
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await self._writer.drain()
        except ConnectionError:
            return  # what it said before it went is still to be heard

    async def send(self, cmd: int, number: int, word: int, body: bytes) -> None:
        """Send a frame; where the connection is over nothing happens."""
        self.post(cmd, number, word, body)
        assert self._writer is not None
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(WRITE_SECONDS):
                await self._writer.drain()

    def post(self, cmd: int, number: int, word: int, body: bytes) -> None:
        """The same without waiting until it has left."""
        data = wire(self._dialect, cmd, number, word, body)
        self.sent += 1
        self._write(self._messages.wrap(data) if self._messages is not None else data)

    async def close(self) -> None:
        """Close, behind the last words of the server."""
        writer = self._writer
        if writer is None:
            return
        if not self.ended.is_set():
            with suppress(OSError, TimeoutError, RuntimeError):
                if self._messages is not None:
                    self._write(self._messages.close())
                elif writer.can_write_eof():
                    writer.write_eof()
                async with asyncio.timeout(GRACE_SECONDS if self._secure else LINGER_SECONDS):
                    await self.ended.wait()
            self.how = ""
        await self.aclose()

    async def aclose(self) -> None:
        """Close at once."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._writer is not None:
            self._writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(GRACE_SECONDS):
                    await self._writer.wait_closed()
            self.abort()
        self.ended.set()

    def abort(self) -> None:
        """End it at once."""
        if self._writer is not None:
            self._writer.transport.abort()


async def dialled(
    way: Way, context: ssl.SSLContext | None, timeout: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the first address that takes one.

    Raises:
        ConnectError: None does.
    """
    target = way.target
    addresses = target.addresses or ((0, target.host),)
    failed: ConnectError | None = None
    for family, address in addresses:
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.open_connection(
                    address, target.port, family=family, limit=READ_SIZE * 4, ssl=context if way.tls else None,
                    server_hostname=target.host.partition("%")[0] if way.tls else None,
                )  # fmt: skip
        except TimeoutError:
            hint = " (does it speak TLS there?)" if way.tls else ""
            failed = failed or ConnectError("timeout", f"{way}: no answer within {timeout:g} s{hint}")
        except ssl.SSLCertVerificationError as error:
            # Every address of a server shows the same certificate.
            raise ConnectError("tls", f"{way}: {_certificate(error)}") from None
        except (ConnectionResetError, ConnectionAbortedError, BrokenPipeError, ssl.SSLEOFError):
            # TCP refuses in other words: this connection stood, and ended at the ClientHello.
            stage = "tls" if way.tls else "connect"
            failed = failed or ConnectError(stage, f"{way}: {_no_tls(target) if way.tls else _RESET}")
        except ssl.SSLError as error:
            text = _no_tls(target) if _is_no_tls(error) else in_words(error)
            failed = failed or ConnectError("tls", f"{way}: {text}")
        except OSError as error:
            failed = failed or ConnectError("connect", f"{way}: {in_words(error)}")
    assert failed is not None
    raise failed


def _reason(error: ssl.SSLError) -> str:
    return (getattr(error, "reason", None) or "").lower().replace("_", " ")


def _is_no_tls(error: ssl.SSLError) -> bool:
    """Did the other side answer with what is no TLS record?"""
    reason = _reason(error)
    return "wrong version" in reason or "record layer" in reason


def _no_tls(target: Target) -> str:
    advice = "" if target.forced else " Write tls:// or tcp:// before each target"
    return f"it answers no TLS: is it the plain port?{advice}"


def _certificate(error: ssl.SSLCertVerificationError) -> str:
    return (
        f"its certificate is not trusted ({error.verify_message}): give its CA with --ca FILE, or take any with"
        " --insecure"
    )


def in_words(error: BaseException) -> str:
    """What an error of a connection means."""
    if isinstance(error, ssl.SSLError):
        hint = "; it does not speak TLS there" if _is_no_tls(error) else ""
        reason = _reason(error) or "the handshake failed"
        return f"no TLS: {reason}{hint}"
    if isinstance(error, OSError) and error.errno:
        if error.errno == errno.ECONNREFUSED:
            return "connection refused: nothing listens there"
        # The numbers of the resolver are negative, and have texts of their own.
        return (os.strerror(error.errno) if error.errno > 0 else error.strerror or _FAILED).lower()
    if text := str(error):
        return text
    return _RESET if isinstance(error, ConnectionError) else _FAILED
