"""Frames out of the bytes of one direction, without ever holding bytes longer than a frame needs.

The framer of the analysis searches; here nothing may wait for proof, as the other side would wait as well. So what is
no believable frame goes on at once, and the next chunk is tried anew: chunks mostly begin with a frame.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from blynkscope.protocol import commands, derived, limits
from blynkscope.protocol.frames import HEADER_SIZE
from blynkscope.protocol.model import Dialect
from blynkscope.protocol.paths import spoken
from blynkscope.wire.recognise import classify
from blynkscope.wire.websocket_search import BINARY, fault, header_size, read_header

_HEAD_MAX = 16 * 1024
"""Bytes of the head of a WebSocket upgrade; a longer one is none, and goes on as it is."""
_PATH = re.compile(r"[A-Z]+ (?:\w+://[^/ ]*)?(?P<path>/[^?# ]*)")
_SWITCHED = re.compile(rb"HTTP/1\.\d 101\b")
_HEAD_END = re.compile(rb"\n\r?\n")
"""Firmware written by hand ends lines with LF alone."""
_EXTENSIONS = re.compile(rb"(?im)^(?P<name>Sec-WebSocket-Extensions[ \t]*+:)(?P<offers>[^\r\n]*+)\r?\n")
_COMPRESSION = frozenset(
    {b"permessage-deflate", b"permessage-bzip2", b"permessage-snappy", b"perframe-deflate", b"deflate-frame",
     b"x-webkit-deflate-frame"}
)  # fmt: skip
"""Extensions of WebSocket after which messages are no more than noise to the rules."""

_GET = b"GET "

Mode = Literal["unknown", "frames", "upgrade", "websocket", "verbatim"]


class Cut(msgspec.Struct, frozen=True, gc=False):
    """A frame. `wire` is its own bytes, without a WebSocket header."""

    cmd: int
    id: int
    word: int
    body: bytes
    wire: bytes


class Piece(msgspec.Struct, frozen=True, gc=False):
    """Bytes that go on together, and the frames that they consist of; none where they are something else."""

    wire: bytes
    cuts: tuple[Cut, ...] = ()


class Speech:
    """What a connection speaks, as its client's direction shows it."""

    __slots__ = ("compressed", "dialect", "fragmented", "mode")

    def __init__(self) -> None:
        self.mode: Mode = "unknown"
        self.dialect = Dialect.HARDWARE
        self.compressed = False
        """Was it told that messages are compressed?"""
        self.fragmented = False
        """Was it told that messages come in parts?"""


class Cutter:
    """Cuts one direction.

    Args:
        direction: 0 for the client's, by which the connection is recognised.
        speech: What both directions share.
    """

    __slots__ = ("_buffer", "_direction", "_mode", "_passed", "_skip", "_speech", "notes", "serial")

    def __init__(self, direction: int, speech: Speech) -> None:
        self._direction = direction
        self._speech = speech
        self._mode: Mode = "unknown"
        self._buffer = bytearray()
        self._passed = 0
        self._skip = 0
        self.notes: list[tuple[str, dict[str, Any]]] = []
        """Facts that nobody was told yet: their kinds and details."""
        self.serial = 0
        """Counts what was cut, so that a timer knows whether the same beginning is still held."""

    @property
    def dialect(self) -> Dialect:
        """That of the frames."""
        return self._speech.dialect

    @property
    def _is_verbatim(self) -> bool:
        return self._mode == "verbatim"

    @property
    def wraps(self) -> bool:
        """Do frames travel in WebSocket messages here?"""
        return self._speech.mode == "websocket"

    @property
    def held(self) -> int:
        """Bytes that wait for the rest of their frame."""
        return len(self._buffer) - self._passed

    def feed(self, data: bytes) -> list[Piece]:
        """The next bytes; gives what can go on."""
        if self._is_verbatim:
            return [Piece(data)]
        self._buffer += data
        pieces: list[Piece] = []
        if not self._recognised(pieces):
            return pieces
        step: dict[str, Callable[[list[Piece]], bool]] = {
            "frames": self._frame, "websocket": self._message, "upgrade": self._head,
        }  # fmt: skip
        while self._buffer and self._mode in step:
            if self._skip:
                size = min(self._skip, len(self._buffer))
                self._skip -= size
                self._emit(pieces, size)
            elif not step[self._mode](pieces):
                break
        if self._mode not in step:
            self._emit(pieces, len(self._buffer))
        elif self._passed:
            # The beginning of this frame went on: its rest follows as it comes.
            self._pass_on(pieces)
        return pieces

    def release(self) -> bytes:
        """What is held goes on, as its rest does not come. The frame is remembered, so that its end is found."""
        data = bytes(self._buffer[self._passed :])
        self._passed = len(self._buffer)
        return data

    def wrap(self, data: bytes) -> bytes:
        """Frames as they are sent here: in a WebSocket message of their own where the connection speaks WebSocket."""
        if not self.wraps:
            return data
        size, masked = len(data), self._direction == 0
        head = bytearray([0x80 | BINARY])
        mark = 0x80 if masked else 0
        if size < 126:
            head.append(mark | size)
        elif size < 1 << 16:
            head += bytes([mark | 126]) + size.to_bytes(2, "big")
        else:
            head += bytes([mark | 127]) + size.to_bytes(8, "big")
        if not masked:
            return bytes(head) + data
        key = os.urandom(4)
        return bytes(head) + key + _masked(data, key)

    # --- pieces ---

    def _emit(self, pieces: list[Piece], size: int, cuts: tuple[Cut, ...] = ()) -> None:
        """The first bytes of the buffer are a piece, less what went on before."""
        if not size:
            return
        self.serial += 1
        gone = min(self._passed, size)
        wire = bytes(self._buffer[gone:size])
        del self._buffer[:size]
        self._passed -= gone
        if wire:
            pieces.append(Piece(wire, () if gone else cuts))

    def _recognised(self, pieces: list[Piece]) -> bool:
        """Settle what is spoken. False where that takes more bytes."""
        if self._mode != "unknown":
            return True
        speech = self._speech
        if self._direction == 1:
            # A server that speaks first, before its client, is none of Blynk's.
            self._mode = "verbatim" if speech.mode == "unknown" else speech.mode
            if self._mode == "websocket":
                self._mode = "upgrade"
            if self._mode == "verbatim":
                self._emit(pieces, len(self._buffer))
            return self._mode != "verbatim"
        guess = classify(bytes(self._buffer[:_HEAD_MAX]))
        if guess is None and len(self._buffer) < _HEAD_MAX:
            begins = bytes(self._buffer[: len(_GET)])
            if not _GET.startswith(begins) and all(32 <= byte < 127 or byte in b"\r\n\t" for byte in self._buffer[:8]):
                # Text is no frame, and needs not wait for its end to be told from others; but a request that may be
                # an upgrade does, as it may offer what the rules cannot look into.
                self._pass_on(pieces)
            return False
        self._mode = "verbatim"
        if guess is not None and guess.is_blynk:
            self._mode, speech.dialect = "frames", Dialect(guess.kind)
        elif guess is not None and guess.kind == "websocket" and "request" in guess.detail:
            self._mode = "upgrade"
            request = _PATH.match(guess.detail["request"])
            inside = spoken(request["path"]) if request is not None else None
            speech.dialect = inside if isinstance(inside, Dialect) else Dialect.HARDWARE
        speech.mode = "websocket" if self._mode == "upgrade" else self._mode
        return True

    def _pass_on(self, pieces: list[Piece]) -> None:
        data = self.release()
        if data:
            pieces.append(Piece(data))

    def _head(self, pieces: list[Piece]) -> bool:
        """The head of the upgrade, without its offers of compression; behind it messages begin."""
        found = _HEAD_END.search(self._buffer)
        if found is None:
            if len(self._buffer) > _HEAD_MAX:
                self._mode = "verbatim"
            elif self._direction == 1:
                self._pass_on(pieces)
            return False
        size = found.end()
        switched = self._direction == 0 or _SWITCHED.match(self._buffer) is not None
        self._mode = "websocket" if switched else "verbatim"
        if self._direction == 0 and not self._passed:
            head = bytes(self._buffer[:size])
            plain, removed = uncompressed(head)
            if removed:
                self.notes.append(("proxy-extension-removed", {"extensions": removed}))
                del self._buffer[:size]
                self.serial += 1
                pieces.append(Piece(plain))
                return True
        self._emit(pieces, size)
        return switched

    def _frame(self, pieces: list[Piece]) -> bool:
        """One frame of the hardware or app dialect. False where no more can be cut now."""
        buffer, dialect = self._buffer, self._speech.dialect
        size = HEADER_SIZE[dialect]
        if len(buffer) < size:
            return False
        cmd, number, word = derived.HEADER_STRUCTS[dialect].unpack_from(buffer)
        if not (word <= derived.longest_bodies(dialect)[cmd] if cmd else word in derived.KNOWN_STATUSES):
            self._emit(pieces, len(buffer))
            return False
        total = size + (word if cmd else 0)
        if total > limits.PROXY_FRAME_MAX:
            self._skip = total
            return True
        if len(buffer) < total:
            return False
        wire = bytes(buffer[:total])
        self._emit(pieces, total, (Cut(cmd, number, word, wire[size:], wire),))
        return True

    def _message(self, pieces: list[Piece]) -> bool:
        """One frame of WebSocket. False where no more can be cut now."""
        buffer = self._buffer
        if len(buffer) < 2 or len(buffer) < header_size(buffer):
            return False
        header = read_header(buffer)
        if fault(header, compressible=True) is not None:
            self._mode = "verbatim"
            return False
        total = header.size + header.length
        if header.reserved and not self._speech.compressed:
            self._speech.compressed = True
            self.notes.append(("proxy-compressed", {}))
        if header.opcode == BINARY and not header.fin and not self._speech.fragmented:
            self._speech.fragmented = True
            self.notes.append(("proxy-fragmented", {}))
        plain = header.opcode == BINARY and header.fin and not header.reserved
        if not plain or header.length > limits.PROXY_FRAME_MAX:
            # Control frames, text, parts and what is compressed are not for the rules.
            self._skip = total
            return True
        if len(buffer) < total:
            return False
        payload = bytes(buffer[header.size : total])
        if header.key:
            payload = _masked(payload, header.key)
        self._emit(pieces, total, split(payload, self._speech.dialect))
        return True


def uncompressed(head: bytes) -> tuple[bytes, list[str]]:
    """The head of an upgrade request without its offers of compression, and the names of those that it had."""
    removed: list[str] = []

    def kept(found: re.Match[bytes]) -> bytes:
        offers = found["offers"].split(b",")
        names = [offer.partition(b";")[0].strip().lower() for offer in offers]
        left = [offer for offer, name in zip(offers, names, strict=True) if name not in _COMPRESSION]
        if len(left) == len(offers):
            return found[0]
        removed.extend(name.decode() for name in names if name in _COMPRESSION)
        if not b"".join(left).strip():
            return b""
        return found["name"] + b" " + b",".join(left).strip() + b"\r\n"

    line = head.find(b"\n") + 1
    return head[:line] + _EXTENSIONS.sub(kept, head[line:]), list(dict.fromkeys(removed))


def split(payload: bytes, dialect: Dialect) -> tuple[Cut, ...]:
    """The frames that a WebSocket message consists of; none where it holds anything else."""
    size, unpack = HEADER_SIZE[dialect], derived.HEADER_STRUCTS[dialect].unpack_from
    if dialect is Dialect.WEB:
        if len(payload) < size:
            return ()
        cmd, number = unpack(payload)
        body, word = payload[size:], len(payload) - size
        if cmd == commands.RESPONSE:
            status = derived.WORD_STRUCTS[dialect]
            if len(body) != status.size:
                return ()
            body, word = b"", status.unpack(body)[0]
        return (Cut(cmd, number, word, body, payload),)
    cuts: list[Cut] = []
    at = 0
    while at + size <= len(payload):
        cmd, number, word = unpack(payload, at)
        stop = at + size + (word if cmd else 0)
        known = word <= derived.longest_bodies(dialect)[cmd] if cmd else word in derived.KNOWN_STATUSES
        if not known or stop > len(payload):
            return ()
        cuts.append(Cut(cmd, number, word, payload[at + size : stop], payload[at:stop]))
        at = stop
    return tuple(cuts) if at == len(payload) else ()


def _masked(data: bytes, key: bytes) -> bytes:
    from websockets.utils import apply_mask

    return bytes(apply_mask(data, key)) if data else b""
