"""WebSocket on the side of the server: what is inside of binary messages goes to a session, its answers come back so.

The frames are read by the `websockets` library without its input and output. As on the real server text messages are
passed over and compression is declined. A message of several frames is put together, although the real server loses
all but its first frame: no client of Blynk makes such messages, and one that did would want to see them arrive.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import Callable, Iterator

from websockets.exceptions import WebSocketException
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN, Protocol, Side
from websockets.utils import accept_key

from blynkscope.protocol import commands
from blynkscope.protocol.limits import HARDWARE_HEADER
from blynkscope.server.model import Link, Session
from blynkscope.server.web_model import Answer, Request, text

MESSAGE_MAX = 128 * 1024
"""Bytes of a message: twice the greatest frame of a device, as what stands behind it may share its message."""
HARDWARE_PATH = "/websockets"
WEB_PATH = "/dashws"
_KEY_BYTES = 16
"""Random bytes of a handshake (RFC 6455, 4.1)."""


def refusal(request: Request) -> Answer | None:
    """Why this request cannot become a WebSocket; None where it can."""
    try:
        key = base64.b64decode(request.header(b"sec-websocket-key").strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    options = [one.strip() for one in request.header(b"connection").lower().split(",")]
    if request.method != "GET" or "upgrade" not in options or len(key) != _KEY_BYTES:
        return text(400, "This is no handshake of WebSocket.", close=True)
    if request.header(b"sec-websocket-version").strip() != "13":
        return Answer(426, b"WebSocket has version 13.", headers=((b"sec-websocket-version", b"13"),), close=True)
    return None


def acceptance(request: Request) -> list[tuple[bytes, bytes]]:
    """Headers of the answer that makes a WebSocket of the connection."""
    key = accept_key(request.header(b"sec-websocket-key").strip()).encode("ascii")
    return [(b"upgrade", b"websocket"), (b"connection", b"upgrade"), (b"sec-websocket-accept", key)]


def frames_of(data: bytes) -> list[bytes]:
    """Frames of the hardware dialect that were sent together: the real server makes a message of each.

    What is no whole frame at the end (a fault may cut one) is the last piece.
    """
    pieces = []
    at = 0
    while at < len(data):
        length = 0 if data[at] == commands.RESPONSE else int.from_bytes(data[at + 3 : at + 5], "big")
        pieces.append(data[at : at + HARDWARE_HEADER + length])
        at += HARDWARE_HEADER + length
    return pieces


def _length(head: bytearray) -> int | None:
    """How many bytes follow on the head of a frame (RFC 6455, 5.2); None where it is not whole."""
    if len(head) < 2:
        return None
    length = head[1] & 0x7F
    wide = {126: 2, 127: 8}.get(length, 0)
    if len(head) < 2 + wide + (4 if head[1] & 0x80 else 0):
        return None
    return int.from_bytes(head[2 : 2 + wide], "big") if wide else length


class _Inside:
    """The way from the session inside of a WebSocket to its client."""

    __slots__ = ("_outer",)

    def __init__(self, outer: WebSocketSession) -> None:
        self._outer = outer

    def send(self, data: bytes) -> None:
        self._outer.say(data)

    def close(self) -> None:
        self._outer.hang_up()

    def abort(self) -> None:
        self._outer.link.abort()

    @property
    def over(self) -> bool:
        return self._outer.over or self._outer.link.over

    def drained(self, then: Callable[[], None]) -> None:
        self._outer.link.drained(then)


class WebSocketSession:
    """The frames of one WebSocket, behind its handshake. A `model.Session`.

    Args:
        link: To the client.
        inner: Makes the session inside, with the link that it gets.
        framed: What it sends are frames of the hardware dialect, each of which becomes a message.
    """

    __slots__ = ("_framed", "_frames", "_head", "_inner", "_kind", "_left", "_message", "link", "over")

    def __init__(self, link: Link, inner: Callable[[Link], Session], *, framed: bool) -> None:
        self.link = link
        self._frames = Protocol(Side.SERVER, state=OPEN, max_size=MESSAGE_MAX)
        self._framed = framed
        self._message = bytearray()
        self._kind = Opcode.TEXT
        self._head = bytearray()
        self._left = 0
        self.over = False
        self._inner = inner(_Inside(self))

    def feed(self, data: bytes, time: float) -> None:
        """Bytes of the client. Each frame is answered before the next is looked at, however they are cut."""
        for piece in self._cut(data):
            if self.over or self.link.over:
                return
            self._frames.receive_data(piece)
            if not self._work(time):
                return
            self._flush()
            if self._frames.close_expected():
                # The client closes, or broke the rules: nothing more comes, and the answer to that is the last thing.
                self.ended(time)

    def _cut(self, data: bytes) -> Iterator[bytes]:
        """The bytes in pieces, of which none goes on behind the end of a frame."""
        start = at = 0
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                whole = not self._left
            else:
                self._head.append(data[at])
                at += 1
                length = _length(self._head)
                if length is None:
                    continue
                self._head.clear()
                self._left = length
                whole = not length
            if whole:
                yield data[start:at]
                start = at
        if start < at:
            yield data[start:at]

    def _work(self, time: float) -> bool:
        """What came goes to the session inside; False where that has ended the connection."""
        for frame in self._frames.events_received():
            if not isinstance(frame, Frame):
                continue
            if frame.opcode in {Opcode.BINARY, Opcode.TEXT}:
                self._kind = frame.opcode
            elif frame.opcode is not Opcode.CONT:
                continue
            if self._kind is not Opcode.BINARY:
                continue
            if frame.fin and not self._message:
                self._inner.feed(bytes(frame.data), time)
            else:
                self._message += frame.data
                if frame.fin:
                    whole, self._message = bytes(self._message), bytearray()
                    self._inner.feed(whole, time)
            if self.over:
                return False
        return True

    def ended(self, time: float) -> None:
        """FIN of the client."""
        if not self.over:
            self.over = True
            self._inner.ended(time)
            self.link.close()

    def lost(self, time: float) -> None:
        """The connection is gone."""
        self.over = True
        self._message = bytearray()
        self._inner.lost(time)

    def say(self, data: bytes) -> None:
        """A message for the client, or several."""
        if self.over:
            return
        try:
            for piece in frames_of(data) if self._framed else (data,):
                self._frames.send_binary(piece)
        except WebSocketException:
            # The client has said goodbye.
            return
        self._flush()

    def hang_up(self) -> None:
        """The session inside is done with its client."""
        if self.over:
            return
        self.over = True
        with contextlib.suppress(WebSocketException):
            self._frames.send_close(CloseCode.NORMAL_CLOSURE)
        self._flush()
        self.link.close()

    def _flush(self) -> None:
        for piece in self._frames.data_to_send():
            if piece:
                self.link.send(piece)
