"""Headers of WebSocket frames (RFC 6455, 5.2), and how a frame is found where the reading begins in the middle."""

from __future__ import annotations

import heapq
import re
from collections import deque
from typing import Literal

import msgspec

from blynkscope.protocol import commands, derived
from blynkscope.protocol.frames import HEADER_SIZE
from blynkscope.protocol.model import Dialect

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_OPCODES = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
CONTROL_MAX = 125
"""The payload of a control frame is no longer (RFC 6455, 5.5)."""

START_WINDOW = 512
"""Bytes within which `believable_start` decides."""
CHAIN = 3
"""Frames, each beginning where the one before ends, that prove the first. One that holds Blynk proves itself."""
SEARCH_FRAME_MAX = 16 * 1024
"""Payload of a frame that may prove a beginning: a device's frames end at 1 KiB, an app's JSON mostly below this."""
_HEADER_MAX = 14
_PROOF = 64
"""Bytes of a payload that are looked at to tell whether it is Blynk."""
OPEN_MAX = 256
"""Beginnings that wait for their proof at one time, of which random bytes hold some ten; more are passed over."""
SEARCH_KEPT = CHAIN * (SEARCH_FRAME_MAX + _HEADER_MAX)
"""Bytes that a search looks back at most."""


class Header(msgspec.Struct, frozen=True, gc=False):
    """The header of a frame: its bits, the masking key (empty without one), payload length and own size in bytes."""

    fin: bool
    reserved: int
    opcode: int
    key: bytes
    length: int
    size: int

    @property
    def control(self) -> bool:
        """Close, ping and pong."""
        return self.opcode >= CLOSE


def header_size(head: bytes | bytearray, at: int = 0) -> int:
    """Bytes of the header whose first two bytes are at `at`."""
    second = head[at + 1]
    return 2 + {126: 2, 127: 8}.get(second & 0x7F, 0) + (4 if second & 0x80 else 0)


def read_header(head: bytes | bytearray, at: int = 0) -> Header:
    """The header at `at`; all `header_size` bytes must be there."""
    first, second = head[at], head[at + 1]
    size = header_size(head, at)
    length, begin = second & 0x7F, at + 2
    if length > CONTROL_MAX:
        width = 2 if length == 126 else 8
        length = int.from_bytes(head[begin : begin + width], "big")
        begin += width
    return Header(first >= 0x80, first >> 4 & 7, first & 0xF, bytes(head[begin : at + size]), length, size)


def fault(header: Header, compressible: bool) -> str | None:
    """Why no WebSocket frame begins with this header, or None. Masking is not judged."""
    if header.opcode not in _OPCODES:
        return f"opcode {header.opcode} is reserved"
    if header.reserved and not (
        header.reserved == 4 and compressible and not header.control and header.opcode != CONTINUATION
    ):
        return "reserved bits are set"
    if header.control and not header.fin:
        return "a control frame is fragmented"
    if header.control and header.length > CONTROL_MAX:
        return "a control frame is too long"
    return "the length is negative" if header.length >> 63 else None


def unmasked(data: bytes, key: bytes) -> bytes:
    """A short run of payload from its beginning, without its mask."""
    return bytes(byte ^ key[at & 3] for at, byte in enumerate(data)) if key else data


_PROVING_TEXT = 4
"""Characters of a web body that prove, in the middle of other bytes, that it is one: no length backs it."""
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")


def _is_text(body: bytes) -> bool:
    """UTF-8 with NULs, as all bodies are but the compressed ones. A character may be cut at the end."""
    if body.startswith(_ZLIB):
        return True
    try:
        body.decode()
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            return False
    return not any((byte < 0x20 and byte not in b"\0\t\n\r") or byte == 0x7F for byte in body)


def _holds_hardware(payload: bytes, length: int) -> bool:
    """Does the beginning of a binary message hold whole frames of the hardware dialect?

    Args:
        payload: The first `_PROOF` bytes of the message, or all there are.
        length: Its length.
    """
    header, size = derived.HEADER_STRUCTS[Dialect.HARDWARE], HEADER_SIZE[Dialect.HARDWARE]
    at = 0
    while at + size <= len(payload):
        cmd, _, word = header.unpack_from(payload, at)
        at += size
        if not cmd:
            if word not in derived.KNOWN_STATUSES:
                return False
        elif word > derived.longest_bodies(Dialect.HARDWARE)[cmd] or not _is_text(payload[at : at + word]):
            return False
        else:
            at += word
        if at == length:
            return True
    # Of a long message, as much is believed as is looked at.
    return at > 0 and len(payload) < length and at <= length


def _holds_web(payload: bytes, length: int, alone: bool) -> bool:
    """The same of a frame of the web dialect; `alone` is True where nothing else tells that a message begins here."""
    size = HEADER_SIZE[Dialect.WEB]
    if len(payload) < size:
        return False
    cmd, body = payload[0], payload[size:]
    if cmd == commands.RESPONSE:
        word = derived.WORD_STRUCTS[Dialect.WEB]
        return length == size + word.size and word.unpack(body)[0] in derived.KNOWN_STATUSES
    if derived.longest_bodies(Dialect.WEB)[cmd] < length - size or not _is_text(body):
        return False
    return not alone or len(body) >= _PROVING_TEXT or cmd == commands.PING


def _payload(data: bytes | bytearray, at: int, header: Header) -> bytes | None:
    """The beginning of the message in the frame at `at`; None where it is none that could hold Blynk by itself."""
    if header.opcode != BINARY or not header.fin or header.reserved:
        return None
    begin = at + header.size
    return unmasked(bytes(data[begin : begin + min(header.length, _PROOF)]), header.key)


def believable_start(data: bytes) -> Dialect | Literal[False] | None:
    """Does a direction that was joined in the middle begin with WebSocket frames of which one holds Blynk?

    Control frames may come first; all frames must be masked alike.

    Returns:
        The dialect inside, or False; None while more bytes are needed, which ends at `START_WINDOW`.
    """
    data = data[:START_WINDOW]
    short: Literal[False] | None = None if len(data) < START_WINDOW else False
    at, masked = 0, None
    while True:
        if len(data) - at < 1:
            return short
        if not _starts(data[at]):
            return False
        if len(data) - at < 2 or len(data) - at < header_size(data, at):
            return short
        header = read_header(data, at)
        if fault(header, False) or (masked is not None and masked != bool(header.key)):
            return False
        masked = bool(header.key)
        if header.opcode == BINARY:
            if len(data) - at - header.size < min(header.length, _PROOF):
                return short
            payload = _payload(data, at, header) or b""
            if _holds_hardware(payload, header.length):
                return Dialect.HARDWARE
            return Dialect.WEB if _holds_web(payload, header.length, False) else False
        at += header.size + header.length


def _starts(first: int) -> bool:
    """A whole binary message, or a control frame."""
    return first in {0x80 | BINARY, 0x80 | PING, 0x80 | PONG}


# The continuation of nothing, a fragment, or no payload: as a beginning they are mostly other bytes.
_MASKED_START = re.compile(rb"[\x81\x82\xc1\xc2\x88-\x8a][\x81-\xff]")
_PLAIN_START = re.compile(rb"[\x81\x82\xc1\xc2\x88-\x8a][\x01-\x7f]")


class Search:
    """Looks for the first frame in bytes whose framing is unknown.

    A beginning is proven by a binary message that holds Blynk, or by `CHAIN` headers in a row, each where the frame
    before ends. The one whose proof is complete first wins, so that the cuts of the bytes do not matter.

    Args:
        client: True where frames are masked.
        web: True where messages hold frames of the web dialect, False where the hardware dialect's.
        compressible: True where messages may be compressed.
    """

    def __init__(self, client: bool, web: bool, compressible: bool) -> None:
        self._client = client
        self._web = web
        self._compressible = compressible
        self._starts = _MASKED_START if client else _PLAIN_START
        self._data = bytearray()
        self._base = 0
        self._scan = 0
        self._marks: deque[tuple[int, float | None]] = deque()
        # (offset at which the next look is possible, beginning, offset of the header looked at, headers before it)
        self._heap: list[tuple[int, int, int, int]] = []

    def feed(self, data: bytes, time: float | None) -> list[tuple[bytes, float | None]] | None:
        """Take the next bytes; once a beginning is proven, everything from there on, with the times it had."""
        self._data += data
        end = self._base + len(self._data)
        self._marks.append((end, time))
        heap, base = self._heap, self._base
        first = self._first(base)
        while True:
            if heap and heap[0][0] <= first + 2:
                if heap[0][0] > end:
                    break
                need, start, at, links = heapq.heappop(heap)
            elif first + 2 > end:
                break
            else:
                need, start, at, links = first + 2, first, first, 0
                self._scan = first + 1
                first = self._first(base)
                if len(heap) >= OPEN_MAX:
                    continue
            if self._look(need, start, at, links):
                return self._from(start)
        if len(self._data) > 2 * SEARCH_KEPT:
            gone = len(self._data) - SEARCH_KEPT
            del self._data[:gone]
            self._base += gone
            while self._marks[0][0] <= self._base:
                self._marks.popleft()
        return None

    @property
    def seen(self) -> int:
        """Bytes that were fed."""
        return self._base + len(self._data)

    @property
    def kept(self) -> int:
        """Bytes that are looked back at."""
        return len(self._data)

    def drop(self) -> None:
        """Forget what was seen: a frame that began there is not found any more."""
        self._base += len(self._data)
        self._scan = self._base
        self._data.clear()
        self._marks.clear()
        self._heap.clear()

    def _first(self, base: int) -> int:
        """Offset of the next bytes with which a frame could begin; that of the last byte where there are none."""
        found = self._starts.search(self._data, self._scan - base)
        self._scan = base + (found.start() if found else max(len(self._data) - 1, self._scan - base))
        return self._scan

    def _from(self, start: int) -> list[tuple[bytes, float | None]]:
        found = []
        for end, time in self._marks:
            if end > start:
                found.append((bytes(self._data[start - self._base : end - self._base]), time))
                start = end
        return found

    def _look(self, seen: int, start: int, at: int, links: int) -> bool:
        """Judge the header at `at` by the bytes before `seen`; True where it proves `start`.

        What lies behind is looked at in its turn, even where it is there already: the order of the proofs would depend
        on the cuts otherwise.
        """
        data, place = self._data, at - self._base
        size = header_size(data, place)
        if bool(data[place + 1] & 0x80) != self._client:
            return False
        if at + size > seen:
            self._later(at + size, start, at, links)
            return False
        header = read_header(data, place)
        if header.length > SEARCH_FRAME_MAX or fault(header, self._compressible):
            return False
        if not header.fin and not header.length:
            # Zeros would be an endless row of empty fragments.
            return False
        behind = at + header.size + header.length
        proof = at + header.size + min(header.length, _PROOF)
        if proof > seen:
            self._later(proof, start, at, links)
            return False
        if links + 1 == CHAIN or self._proven(data, place, header):
            return True
        self._later(behind + 2, start, behind, links + 1)
        return False

    def _proven(self, data: bytearray, place: int, header: Header) -> bool:
        payload = _payload(data, place, header)
        if payload is None:
            return False
        return _holds_web(payload, header.length, True) if self._web else _holds_hardware(payload, header.length)

    def _later(self, need: int, start: int, at: int, links: int) -> None:
        heapq.heappush(self._heap, (need, start, at, links))
