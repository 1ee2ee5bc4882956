"""WebSocket, read from the outside: frames in, what travels inside them out, with facts about the rest.

The strict parser of a WebSocket library gives the connection up at what a peer must not do. Here it is a fact, and the
reading goes on. From the library come the meaning of close codes, the mask and the negotiation of extensions.
"""

from __future__ import annotations

from typing import Any

from blynkscope.protocol.schema import readable
from blynkscope.wire.facts import Fact
from blynkscope.wire.layers import Content, Hole, Piece
from blynkscope.wire.websocket_deflate import MESSAGE_MAX, BombError, InflateError, Inflater, TooBigError, negotiated
from blynkscope.wire.websocket_search import (
    CLOSE,
    CONTINUATION,
    PING,
    SEARCH_KEPT,
    TEXT,
    Header,
    Search,
    believable_start,
    fault,
    header_size,
    read_header,
)

__all__ = ["MESSAGE_MAX", "SEARCH_WINDOW", "TEXT_SHOWN", "WebSocketReader", "believable_start"]

TEXT_SHOWN = 200
"""Characters of a text message or of the reason of a close that are told."""
_TEXT_KEPT = 4 * TEXT_SHOWN
"""Bytes that hold as many characters of UTF-8."""


TOO_MANY = "too many incomplete messages at once"
"""Why a message was given up that may have been whole."""
SEARCH_WINDOW = MESSAGE_MAX + SEARCH_KEPT
"""Bytes in which a frame is searched for: the rest of the greatest message, and the frames behind it that prove it."""
_SLICE = 4096
"""Bytes that are read at once: what a search that goes wrong again and again copies each time."""


class _Message:
    """A message of one or more frames, while it is read.

    `lost`: part of it is missing, and nothing more of it is given. `data` is what is kept: of a binary message that is
    given as a whole, all of it; of a text, its beginning.
    """

    __slots__ = ("compressed", "data", "fragmented", "frames", "lost", "size", "text")

    def __init__(self, text: bool, compressed: bool) -> None:
        self.text = text
        self.compressed = compressed
        self.fragmented = False
        self.frames = 0
        self.size = 0
        self.data = bytearray()
        self.lost = False


class WebSocketReader:
    """Reads the frames of one direction, behind the upgrade. A `layers.LayerReader`.

    Facts:
        `ws-ping`, `ws-pong`: size.
        `ws-close`: code (None where none is there), name, reason.
        `ws-text`: size, text (its beginning). Blynk's messages are binary: its servers pass over text, and it is no
            content here either.
        `ws-fragmented`: frames, size, whole (False where part of it is missing); one for each message of several
            frames, or that is not ended. The legacy server passes over all but the first frame.
        `ws-masking`, once: expected (True for a client's direction, whose frames must be masked).
        `ws-too-big`: size, of a message that is not kept; reason, where there were too many at once.
        `ws-unreadable`: reason; a compressed message that cannot be decompressed.
        `ws-error`: reason, offset; what is there is no frame. The next one is searched for, within a window.
        `ws-cut`: have, need; the direction ends inside a frame (need is None inside a header).
    Sizes are of bytes inside, decompressed where they were compressed (as far as they are known).

    Args:
        client: True for the client's direction.
        messages: True gives one Content for each whole message; False gives a byte stream, each byte of a message that
            is not compressed as soon as it is there.
        extensions: Value of the server's `Sec-WebSocket-Extensions` header; None where there was none.
        joined: True where the first byte need not begin a frame; there messages may be compressed without a header.
    """

    def __init__(
        self, client: bool, *, messages: bool = False, extensions: str | None = None, joined: bool = False
    ) -> None:
        self._client = client
        self._whole = messages
        self._inflater: Inflater | None = negotiated(extensions, client) if extensions else None
        if self._inflater is None and joined and extensions is None:
            self._inflater = Inflater()
        self._offset = 0
        self._head = bytearray()
        self._frame: Header | None = None
        self._left = 0
        self._payload = bytearray()
        self._payload_at = 0
        self._kept = False
        self._message: _Message | None = None
        self._search = self._new_search() if joined else None
        self._misled = False
        self._over = False
        self._pieces: list[Piece] = []

    @property
    def buffered(self) -> int:
        """Bytes that are kept of what is not complete."""
        kept = len(self._head) + len(self._payload)
        kept += len(self._message.data) if self._message is not None else 0
        return kept + (self._search.kept if self._search is not None else 0)

    def drop(self, time: float | None) -> list[Piece]:
        """Give up what is kept of a message that is not complete; the reading goes on behind it."""
        size = self.buffered - len(self._head)
        if size and not self._over:
            self._say("ws-too-big", time, size=size, reason=TOO_MANY)
            message = self._message
            if self._search is not None:
                self._search.drop()
            self._payload = bytearray()
            if self._frame is not None:
                self._payload_at = self._frame.length - self._left
            if self._frame is not None and self._frame.control:
                self._kept = False
            elif message is not None:
                self._kept = False
                self._miss_data(message, 0, time)
                message.data = bytearray()
                message.lost = True
        return self._take()

    # --- LayerReader ---

    def feed(self, data: bytes, time: float | None) -> list[Piece]:
        """The next bytes."""
        work = [(data[at : at + _SLICE], time) for at in range(0, len(data), _SLICE)][::-1]
        while work and not self._over:
            part, when = work.pop()
            if self._search is None:
                rest = self._read(part, when)
                if rest:
                    work.append((rest, when))
                continue
            part = part[: SEARCH_WINDOW - self._search.seen]
            self._offset += len(part)
            found = self._search.feed(part, when)
            if found is not None:
                self._search = None
                self._offset -= sum(len(piece) for piece, _ in found)
                work += found[::-1]
            elif self._search.seen == SEARCH_WINDOW:
                self._over = True
                self._say("ws-error", when, reason="no frame was found", offset=self._offset - SEARCH_WINDOW)
        return self._take()

    def gap(self, missing: int | None, time: float | None) -> list[Piece]:
        """Bytes are missing: inside a payload the next frame is known, else it is searched for."""
        if not self._over and missing != 0:
            if missing is not None and self._frame is not None and missing <= self._left:
                self._miss(missing, time)
            else:
                self._lose(time)
                self._offset += missing or 0
        return self._take()

    def finish(self, time: float | None) -> list[Piece]:
        """The direction is over."""
        if not self._over and self._search is None:
            frame, have = self._frame, len(self._head)
            need = None
            if frame is not None:
                need = frame.size + frame.length
                have = need - self._left
                self._give_part(time)
            if have:
                self._say("ws-cut", time, have=have, need=need)
            self._end_message(time, ended=False)
        self._over = True
        return self._take()

    def _take(self) -> list[Piece]:
        pieces, self._pieces = self._pieces, []
        return pieces

    def _say(self, kind: str, time: float | None, **detail: Any) -> None:
        self._pieces.append(Fact(kind, time, detail))

    # --- frames ---

    def _read(self, data: bytes, time: float | None) -> bytes | None:
        """Read frames. What is left of the bytes where no frame begins, and a search goes on with them."""
        at, end = 0, len(data)
        while at < end and not self._over:
            if self._frame is None:
                head = self._head
                need = 2 if len(head) < 2 else header_size(head)
                part = data[at : at + need - len(head)]
                head += part
                at += len(part)
                self._offset += len(part)
                if len(head) < 2 or len(head) < header_size(head):
                    continue
                header = read_header(head)
                reason = fault(header, self._inflater is not None)
                if reason is None:
                    self._open(header, time)
                    continue
                # Any later byte may begin a frame, those of this header among them.
                rest = bytes(head[1:]) + data[at:]
                self._offset -= len(head) - 1
                self._say("ws-error", time, reason=reason, offset=self._offset - 1)
                self._lose(time)
                return rest
            part = data[at : at + self._left]
            at += len(part)
            self._offset += len(part)
            self._left -= len(part)
            if self._kept:
                self._payload += part
            if not self._left:
                self._close_frame(time)
            elif self._payload:
                self._give_part(time)
        return None

    def _open(self, header: Header, time: float | None) -> None:
        """The header of a frame is complete."""
        if bool(header.key) != self._client and not self._misled:
            self._misled = True
            self._say("ws-masking", time, expected=self._client)
        self._frame, self._left, self._kept = header, header.length, True
        self._head, self._payload, self._payload_at = bytearray(), bytearray(), 0
        if not header.control:
            self._open_data(header, time)
        if not self._left:
            self._close_frame(time)

    def _open_data(self, header: Header, time: float | None) -> None:
        message = self._message
        if header.opcode != CONTINUATION:
            # A message that was never ended is over where the next one begins.
            self._end_message(time, ended=False)
            message = self._message = _Message(header.opcode == TEXT, bool(header.reserved))
            if message.compressed and self._inflater is not None:
                self._inflater.begin()
        elif message is None:
            # Its beginning was not seen: whether it is text or compressed is not known.
            message = self._message = _Message(False, False)
            self._give_up(message, None, time)
        message.frames += 1
        message.fragmented = message.fragmented or header.opcode == CONTINUATION or not header.fin
        together = self._whole and not message.text and not message.compressed
        size = header.length + (message.size if together else 0)
        if not message.lost and size > MESSAGE_MAX:
            self._say("ws-too-big", time, size=size)
            self._kept = False
            self._miss_data(message, header.length, time)
        self._kept = self._kept and not message.lost

    def _miss_data(self, message: _Message, missing: int, time: float | None) -> None:
        """Bytes of a message's payload are not there, or not kept."""
        frame = self._frame
        if message.compressed and self._inflater is not None:
            self._inflater.lose()
        elif not self._whole and not message.text:
            # A stream of bytes goes on behind a hole of known size.
            if missing:
                self._pieces.append(Hole(missing, time))
            return
        alone = frame is not None and frame.fin and message.frames == 1 and not message.compressed
        self._give_up(message, frame.length if frame is not None and alone else None, time)

    def _give_up(self, message: _Message, missing: int | None, time: float | None) -> None:
        """A message, or the rest of it, cannot be given."""
        if message.lost:
            return
        message.lost = True
        if not message.text:
            message.data = bytearray()
            self._pieces.append(Hole(missing, time))

    def _miss(self, missing: int, time: float | None) -> None:
        """A gap inside the payload of a frame."""
        frame, message = self._frame, self._message
        assert frame is not None
        self._give_part(time)
        if frame.control:
            self._kept = False
        elif self._kept and message is not None:
            self._miss_data(message, missing, time)
            self._kept = not message.lost
        self._payload = bytearray()
        self._offset += missing
        self._left -= missing
        self._payload_at = frame.length - self._left
        if not self._left:
            self._close_frame(time)

    def _unmask(self) -> bytes:
        """What is kept of the payload, without its mask; `_payload_at` is where it begins in the payload."""
        frame = self._frame
        assert frame is not None
        data, self._payload = self._payload, bytearray()
        turn = self._payload_at & 3
        self._payload_at += len(data)
        if not frame.key or not data:
            return bytes(data)
        from websockets.utils import apply_mask

        return bytes(apply_mask(data, frame.key[turn:] + frame.key[:turn]))

    def _give_part(self, time: float | None) -> None:
        """What is there of a frame that is not whole: of a stream of bytes, and of a text, it waits for nothing."""
        message = self._message
        if self._frame is None or self._frame.control or not self._kept or message is None or message.compressed:
            return
        if message.text:
            message.data += self._unmask()[: _TEXT_KEPT - len(message.data)]
        elif not self._whole and self._payload:
            self._pieces.append(Content(self._unmask(), time, self._offset))

    def _close_frame(self, time: float | None) -> None:
        """The payload is complete, or all that will be there of it."""
        frame, message = self._frame, self._message
        assert frame is not None
        payload = self._unmask()
        if frame.control:
            self._control(frame, payload if self._kept else None, time)
        elif message is not None:
            inflated = None
            if self._kept and message.compressed:
                inflated = self._inflate(message, frame, payload, time)
            message.size += frame.length if inflated is None else len(inflated)
            if self._kept and not message.lost:
                self._data(message, payload if inflated is None else inflated, frame.fin, time)
            if frame.fin:
                self._end_message(time, ended=True)
        self._frame = None

    def _data(self, message: _Message, payload: bytes, last: bool, time: float | None) -> None:
        if message.text:
            message.data += payload[: _TEXT_KEPT - len(message.data)]
        elif not self._whole:
            if payload:
                self._pieces.append(Content(payload, time, self._offset))
        elif not last:
            message.data += payload
        else:
            self._pieces.append(Content(bytes(message.data) + payload, time, self._offset))

    def _inflate(self, message: _Message, frame: Header, payload: bytes, time: float | None) -> bytes | None:
        inflater = self._inflater
        assert inflater is not None
        try:
            data = inflater.read(payload, frame.fin)
            if self._whole and not message.text and message.size + len(data) > MESSAGE_MAX:
                raise TooBigError(message.size + len(data))
            return data
        except BombError as error:
            self._say("ws-error", time, reason=str(error), offset=self._offset)
            self._over = True
        except TooBigError as error:
            if not frame.fin:
                inflater.lose()
            self._say("ws-too-big", time, size=error.args[0])
        except InflateError as error:
            self._say("ws-unreadable", time, reason=str(error))
        self._give_up(message, None, time)
        return None

    def _end_message(self, time: float | None, *, ended: bool) -> None:
        """A message is over. `ended` is False where its last frame is not there."""
        message, self._message = self._message, None
        if message is None:
            return
        if message.text:
            self._say("ws-text", time, size=message.size, text=readable(bytes(message.data))[:TEXT_SHOWN])
        if message.fragmented:
            whole = ended and not message.lost
            self._say("ws-fragmented", time, frames=message.frames, size=message.size, whole=whole)
        if not ended and self._whole:
            self._give_up(message, None, time)

    def _control(self, frame: Header, payload: bytes | None, time: float | None) -> None:
        if frame.opcode == CLOSE:
            self._say("ws-close", time, **_closing(payload))
        else:
            self._say("ws-ping" if frame.opcode == PING else "ws-pong", time, size=frame.length)

    # --- what cannot be followed ---

    def _new_search(self) -> Search:
        return Search(self._client, self._whole, self._inflater is not None)

    def _lose(self, time: float | None) -> None:
        """Where the next frame begins is not known."""
        if self._search is None:
            self._give_part(time)
            self._end_message(time, ended=False)
            self._pieces.append(Hole(None, time))
            if self._inflater is not None:
                self._inflater.lose()
        self._frame, self._left = None, 0
        self._head, self._payload = bytearray(), bytearray()
        self._search = self._new_search()


def _closing(payload: bytes | None) -> dict[str, Any]:
    """Code, name and reason of a close frame; its payload is None where it is missing."""
    from websockets.frames import CloseCode

    if payload is None:
        return {"code": None, "name": "not captured", "reason": ""}
    if len(payload) < 2:
        return {"code": None, "name": "malformed" if payload else CloseCode.NO_STATUS_RCVD.name, "reason": ""}
    code = int.from_bytes(payload[:2], "big")
    try:
        name = CloseCode(code).name
    except ValueError:
        name = "registered" if 3000 <= code < 4000 else "private use" if 4000 <= code < 5000 else "unknown"
    return {"code": code, "name": name, "reason": readable(payload[2:])[:TEXT_SHOWN]}
