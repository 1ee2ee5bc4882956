"""Bytes to frames and frames to bytes, whatever carries them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from blynkscope.protocol import commands, limits
from blynkscope.protocol.derived import HEADER_STRUCTS, WORD_STRUCTS
from blynkscope.protocol.model import Dialect
from blynkscope.replay.comparing import Heard
from blynkscope.wire.framing import Framer, Item, RawFrame, web_message

MESSAGE_MAX = 16 * 1024 * 1024
"""Bytes of a WebSocket message that are taken: above the greatest profile of an app."""


def wire(dialect: Dialect, cmd: int, number: int, word: int, body: bytes) -> bytes:
    """A frame as it goes over the wire. A body that its length field cannot hold is cut."""
    header = HEADER_STRUCTS[dialect]
    if dialect is Dialect.WEB:
        return header.pack(cmd, number) + (body if cmd else WORD_STRUCTS[dialect].pack(max(word, 0)) + body)
    if cmd == commands.RESPONSE:
        return header.pack(cmd, number, max(word, 0))
    body = body if dialect is Dialect.APP else body[: limits.HARDWARE_BODY_MAX]
    return header.pack(cmd, number, len(body)) + body


class Listening:
    """Cuts what one side says into frames.

    Args:
        dialect: What it speaks.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._framer = Framer(dialect) if dialect is not Dialect.WEB else None
        self.noise = 0
        """Bytes that were no frame."""

    def feed(self, data: bytes, time: float) -> list[Heard]:
        """Bytes; in the web dialect, those of one message."""
        if self._framer is None:
            return self._heard([web_message(data, time)], time)
        items = self._framer.feed(data, time)
        if self._framer.busy:
            # Who waits for an answer has said all that there is to say: a frame that is whole up to the last byte is
            # one, even of a command that nobody knows.
            items += self._framer.settle()
        return self._heard(items, time)

    def finish(self, time: float) -> list[Heard]:
        """It says no more."""
        return self._heard(self._framer.finish(time), time) if self._framer is not None else []

    def _heard(self, items: Iterable[Item], time: float) -> list[Heard]:
        found = []
        for item in items:
            if isinstance(item, RawFrame):
                found.append(Heard(item.cmd, item.id, item.word, item.body, time))
            else:
                self.noise += getattr(item, "size", 0) or getattr(item, "have", 0)
        return found


class Messages:
    """The messages inside a WebSocket, joined again where they came in several frames.

    Args:
        protocol: Of the library; its handshake is done, or is done by the first bytes.
    """

    def __init__(self, protocol: ClientProtocol | ServerProtocol) -> None:
        self.protocol = protocol
        self._parts: list[bytes] = []
        self._binary = False
        self.closed = False
        """The other side said that it closes."""

    def messages(self, events: Iterable[object]) -> list[bytes]:
        """The binary messages that these events complete."""
        found: list[bytes] = []
        for event in events:
            if not isinstance(event, Frame):
                continue
            if event.opcode is Opcode.CLOSE:
                self.closed = True
            elif event.opcode in {Opcode.BINARY, Opcode.TEXT, Opcode.CONT}:
                if event.opcode is not Opcode.CONT:
                    self._binary, self._parts = event.opcode is Opcode.BINARY, []
                self._parts.append(bytes(event.data))
                if event.fin:
                    if self._binary:
                        found.append(b"".join(self._parts))
                    self._parts = []
        return found

    def wrap(self, data: bytes) -> bytes:
        """A binary message, and what the protocol has to say besides; nothing where it was closed."""
        with suppress(WebSocketException):
            self.protocol.send_binary(data)
        return self.pending()

    def close(self) -> bytes:
        """What says that this side closes."""
        with suppress(WebSocketException):
            self.protocol.send_close()
        return self.pending()

    def pending(self) -> bytes:
        """What the protocol wants to be sent; an empty piece is its end of the connection, which is ours to make."""
        return b"".join(self.protocol.data_to_send())
