"""One direction of an HTTP/1 connection, read passively: heads and the extent of bodies.

A start line says itself whether it begins a request or an answer. What an answer answers is known where the readers of
both directions share what they know; else one to HEAD, which has no body, is told by the status line that follows where
the body would be.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from hashlib import sha256
from typing import Any

from blynkscope.wire.facts import Fact
from blynkscope.wire.http_bodies import Sample
from blynkscope.wire.http_heads import SWITCHING, Head, read_head, starts
from blynkscope.wire.layers import Content, Hole, Piece

HEAD_MAX = 32 * 1024
"""Bytes of a head, and of the trailers of a chunked body: four times what servers take."""
HEAD_LINES_MAX = 256
"""Lines of a head: servers take some hundred fields. Taken apart, each line costs many times its bytes."""
LINE_MAX = 1024
"""Bytes of the line that begins a chunk; real ones have less than ten."""
MULTIPART_WINDOW = 64 * 1024
"""Bytes of a body in which the name of an uploaded file is looked for: it stands in front of the file."""
_TELLING = 2
"""Bytes that tell a request from a WebSocket frame: every method begins with two letters, no client's frame does."""
_FILENAME = b"filename="
_NEXT_ANSWER = b"HTTP/1."
TOO_MANY = "too many incomplete messages at once"
"""Why something was given up that may have been whole."""
PIPELINED_MAX = 64
"""Requests of one connection that wait for an answer: browsers and scripts have one, benchmarks some ten."""


class _State(Enum):
    START = auto()
    """In front of a head."""
    HEAD = auto()
    SEARCH = auto()
    """Bytes were missing or made no sense: a line that begins a head is looked for."""
    PEEK = auto()
    """At the beginning of an answer's body, which may be the next answer."""
    LENGTH = auto()
    CHUNK = auto()
    """In the line that tells the size of a chunk."""
    CHUNK_DATA = auto()
    CHUNK_END = auto()
    TRAILERS = auto()
    CLOSE = auto()
    """In a body that ends with the connection."""
    THROUGH = auto()
    """Another protocol goes on here."""
    OVER = auto()


class HttpShared:
    """What the two directions of a connection tell each other. One object for both, on each level of tunnels.

    Attributes:
        granted: What became of the last request for another protocol (an upgrade, CONNECT): None while that is open, or
            where nobody knows.
    """

    __slots__ = ("_sure", "_waiting", "granted")

    def __init__(self) -> None:
        self.granted: bool | None = None
        self._waiting: deque[tuple[str, bool]] = deque()
        """Methods of the requests without an answer, each with: does it ask for another protocol?"""
        self._sure = True
        """Were all requests seen, so that the next answer is that to the first of them?"""

    def asks(self, method: str, another: bool) -> None:
        """The client sent a request; `another`: it asks for another protocol."""
        self._waiting.append((method, another))
        if another:
            self.granted = None
        if len(self._waiting) > PIPELINED_MAX:
            self._waiting.popleft()
            self._sure = False

    def lost(self) -> None:
        """Bytes of the client are missing, and requests may be among them."""
        self._sure = False

    def answers(self, status: int, after_gap: bool) -> str | None:
        """The server answers: the method of the request that it answers; None where nobody knows.

        Args:
            status: Of the answer, which is no interim one.
            after_gap: Bytes of the server are missing in front of it, and answers may be among them.
        """
        while after_gap and len(self._waiting) > 1:
            # Nobody knows which answers are missing; that to the last request is the likeliest to be this one.
            self._waiting.popleft()
        if not self._waiting:
            return None
        method, another = self._waiting.popleft()
        if another:
            self.granted = status == SWITCHING or (method == "CONNECT" and 200 <= status < 300)
        if not self._waiting and not after_gap:
            # A client that waits for its last answer is in step again, whatever was lost before.
            sure, self._sure = self._sure, True
        else:
            sure = self._sure and not after_gap
        return method if sure or method == "CONNECT" else None


class HttpReader:
    """Reads one direction. A `LayerReader`: behind an upgrade or CONNECT it gives what travels inside.

    Facts:
        `http-request`: method, target, path, host, upgrade, authorization, user, default_credentials, token,
            content_type, multipart, multipart_file, length, chunked, user_agent, free_space (bytes that an updater
            has for new firmware).
        `http-response`: status, reason, content_type, length, chunked, location, upgrade, server.
        Both: extensions and subprotocol (of WebSocket), content_encoding, connection.
        `http-body`, where a message has a body, at its end: bytes, complete, framing ("length", "chunked", "close"),
            expected, missing (bytes that the capture lost; 1 where nobody knows how many), sha256 (of a complete one),
            multipart_file (does a part carry a file, by the first 64 KiB of the body; None where the body is not
            multipart), content (the beginning of the body, decompressed, where that is text: see `Sample`).
        `http-skipped`, at the end: bytes that belonged to no message that could be read.
        `http-dropped`: bytes, reason; what was kept of a message that is not complete was given up.
    Absent facts are None. A head has `head_cut` where its end was not seen, `skipped` with the bytes in front of it
    that belonged to no message, `after_gap` where bytes were missing there. `multipart_file` of a request is always
    None: only its body tells, which comes later. A body that ends with the connection counts as complete.
    A client whose upgrade was refused goes on with HTTP, which its next bytes tell.

    Args:
        client: True for the direction of the client: where a head has to be looked for, it is a request's.
        shared: One object for both directions of a connection.
    """

    def __init__(self, client: bool, shared: HttpShared | None = None) -> None:
        self._client = client
        self._shared = shared or HttpShared()
        self._state = _State.START
        self._line = bytearray()
        self._kept = bytearray()
        """The lines of a head so far."""
        self._count = 0
        """Their number."""
        self._size = 0
        self._skipped = 0
        self._after_gap = False
        self._upgraded = False
        self._facts: list[Piece] = []
        self._passed = 0
        """Bytes that were fed, and missing ones."""
        self._coding: str | None = None
        self._begin_body(None, None)

    @property
    def buffered(self) -> int:
        """Bytes that are kept of what is not complete."""
        return len(self._line) + len(self._kept) + len(self._sample)

    def drop(self, time: float | None) -> list[Piece]:
        """Give up what is kept: of a head that is not complete, what came of it is told. Bodies stay in step."""
        size = self.buffered
        if size:
            if self._state is _State.PEEK:
                self._settle_peek(time)
            if self._state in _IN_BODY or self._state is _State.CLOSE:
                self._sample.drop()
                if self._line:
                    self._broken(time)
            elif self._state in {_State.START, _State.SEARCH}:
                self._skipped += len(self._line)
                self._state, self._line, self._size = _State.SEARCH, bytearray(), HEAD_MAX
            else:
                self._broken(time)
            self._facts.append(Fact("http-dropped", time, {"bytes": size, "reason": TOO_MANY}))
        return self._take()

    def feed(self, data: bytes, time: float | None) -> list[Piece]:
        """The next bytes."""
        at, end = 0, len(data)
        self._passed += end
        while at < end and self._state is not _State.OVER:
            if self._state is _State.THROUGH:
                rest = bytes(self._line) + data[at:] if self._line else data[at:] if at else data
                self._line = bytearray()
                self._facts.append(Content(rest, time, self._passed))
                break
            if self._state in _LINEWISE:
                at = self._by_line(data, at, time)
            elif self._state is _State.PEEK:
                at = self._peek(data, at, time)
            else:
                at = self._by_count(data, at, time)
        return self._take()

    def gap(self, missing: int | None, time: float | None) -> list[Piece]:
        """Bytes are missing. In a body of known length the reader stays in step, else it looks for the next head."""
        self._passed += missing or 0
        if self._state is _State.OVER:
            return []
        if self._state is _State.THROUGH:
            return [Hole(missing, time)]
        if self._upgraded and self._state is _State.START and not self._line:
            # What went missing was either protocol's; the new one is far more likely, and finds its own way on.
            self._state = _State.THROUGH
            return [Hole(missing, time)]
        if self._state is _State.PEEK:
            self._settle_peek(time)
        known = self._state in {_State.LENGTH, _State.CHUNK_DATA} and missing is not None and missing <= self._left
        if self._state is _State.CLOSE or known:
            self._missing += missing or 1
            self._sample.cut()
            if known:
                self._left -= missing or 0
                self._counted(time)
        else:
            self._broken(time)
            self._after_gap = True
            if self._client:
                self._shared.lost()
        return self._take()

    def finish(self, time: float | None) -> list[Piece]:
        """The direction is over."""
        if self._state is _State.PEEK:
            self._settle_peek(time)
        state, self._state = self._state, _State.OVER
        if state is _State.HEAD:
            self._head(time, cut=True)
        elif state is _State.CLOSE:
            self._body_over(time, complete=not self._missing)
        elif state in _IN_BODY:
            self._body_over(time, complete=False)
        elif self._line and (head := read_head([bytes(self._line)])) is not None:
            self._say_head(head, time, cut=True)
        else:
            self._skipped += len(self._line)
        if self._skipped:
            self._facts.append(Fact("http-skipped", time, {"bytes": self._skipped}))
        self._state = _State.OVER
        return self._take()

    def _take(self) -> list[Piece]:
        facts, self._facts = self._facts, []
        return facts

    # --- lines ---

    def _by_line(self, data: bytes, at: int, time: float | None) -> int:
        """Take a line, or a piece of one."""
        state = self._state
        if state is _State.START and self._upgraded and len(self._line) < _TELLING:
            if self._shared.granted and not self._line:
                self._state = _State.THROUGH
                return at
            begins = bytes(self._line) + data[at : at + _TELLING - len(self._line)]
            if not _may_begin(begins):
                self._state = _State.THROUGH
                return at
        stop = data.find(b"\n", at) + 1 or len(data)
        limit = LINE_MAX if state is _State.CHUNK else HEAD_MAX
        room = limit - self._size
        piece = data[at : min(stop, at + room)]
        if state is _State.SEARCH and not piece:
            # Behind the limit of a line that begins no head: on to its end.
            self._skipped += stop - at
            if data[stop - 1] == 0x0A:
                self._line, self._size = bytearray(), 0
            return stop
        self._line += piece
        self._size += len(piece)
        if piece.endswith(b"\n"):
            line, self._line = bytes(self._line), bytearray()
            if state is _State.SEARCH:
                self._size = 0
            self._whole_line(line, time)
        elif self._size >= limit:
            self._too_long(time)
        return at + len(piece)

    def _whole_line(self, line: bytes, time: float | None) -> None:
        text = line.strip(b"\r\n")
        if self._state is _State.CHUNK:
            self._size = 0
            self._chunk(text, time)
        elif self._state is _State.CHUNK_END:
            self._state, self._size = _State.CHUNK, 0
            if text:
                self._broken(time)
        elif self._state is _State.TRAILERS:
            if not text:
                self._body_over(time, complete=not self._missing)
        elif self._state is _State.HEAD:
            if not text:
                self._head(time)
            elif self._count < HEAD_LINES_MAX:
                self._kept += line
                self._count += 1
            else:
                self._too_long(time)
        elif self._state is _State.START and not text:
            self._size = 0
        elif self._begins(text):
            self._state, self._kept, self._count, self._size = _State.HEAD, bytearray(line), 1, len(line)
        else:
            self._state, self._size = _State.SEARCH, 0
            self._skipped += len(line)

    def _begins(self, text: bytes) -> bool:
        kind = starts(text)
        if self._state is _State.START:
            return kind is not None
        return kind == ("request" if self._client else "response")

    def _too_long(self, time: float | None) -> None:
        """A head or a line beyond all measure."""
        if self._state is _State.HEAD:
            self._head(time, cut=True)
            self._search()
        elif self._state in {_State.CHUNK, _State.TRAILERS}:
            self._broken(time)
        else:
            self._state = _State.SEARCH
            self._skipped += len(self._line)
            self._line = bytearray()

    def _search(self) -> None:
        self._state, self._line, self._size = _State.SEARCH, bytearray(), 0

    # --- heads ---

    def _head(self, time: float | None, *, cut: bool = False) -> None:
        lines = [text for line in self._kept.split(b"\n") if (text := bytes(line).strip(b"\r\n"))]
        head = read_head(lines, self._answers)
        self._kept, self._count, self._size, self._line = bytearray(), 0, 0, bytearray()
        assert head is not None
        self._say_head(head, time, cut=cut)
        if cut:
            return
        self._coding = head.coding
        self._begin_body(head.length, head.boundary)
        self._upgraded = head.upgraded
        if head.over:
            self._state = _State.THROUGH
        elif not head.has_body:
            self._state = _State.START
        elif head.chunked:
            self._state, self._framing = _State.CHUNK, "chunked"
        elif head.length is None:
            self._state, self._framing = _State.CLOSE, "close"
        else:
            self._left = head.length
            self._state = _State.LENGTH if head.is_request else _State.PEEK

    def _answers(self, status: int) -> str | None:
        if self._client or (status < 200 and status != SWITCHING):
            return None
        return self._shared.answers(status, self._after_gap)

    def _say_head(self, head: Head, time: float | None, *, cut: bool) -> None:
        if head.is_request and self._client:
            self._shared.asks(head.detail["method"], head.upgraded)
        detail = dict(head.detail)
        if cut:
            detail["head_cut"] = True
        if self._skipped:
            detail["skipped"], self._skipped = self._skipped, 0
        if self._after_gap:
            detail["after_gap"], self._after_gap = True, False
        self._facts.append(Fact("http-request" if head.is_request else "http-response", time, detail))

    # --- bodies ---

    def _begin_body(self, length: int | None, boundary: bool | None) -> None:
        self._framing = "length"
        self._expected = length
        self._left = 0
        self._bytes = 0
        self._missing = 0
        self._digest = sha256()
        self._file: bool | None = False if boundary else None
        self._tail = b""
        self._sample = Sample()

    def _peek(self, data: bytes, at: int, time: float | None) -> int:
        """Is this a body, or the head of the next answer behind one that has none?"""
        if data[at] != _NEXT_ANSWER[len(self._line)]:
            self._settle_peek(time)
            return at
        self._line.append(data[at])
        if len(self._line) == len(_NEXT_ANSWER):
            self._state, self._size = _State.START, len(self._line)
        return at + 1

    def _settle_peek(self, time: float | None) -> None:
        """What was looked at is the beginning of a body, or all of it with the beginning of what follows."""
        looked, rest = bytes(self._line[: self._left]), self._line[self._left :]
        self._state, self._line = _State.LENGTH, bytearray()
        self._left -= len(looked)
        self._count_body(looked)
        self._counted(time)
        if rest:
            self._line, self._size = rest, len(rest)

    def _by_count(self, data: bytes, at: int, time: float | None) -> int:
        if self._state is _State.CLOSE:
            self._count_body(data[at:])
            return len(data)
        piece = data[at : at + self._left]
        self._left -= len(piece)
        self._count_body(piece)
        self._counted(time)
        return at + len(piece)

    def _counted(self, time: float | None) -> None:
        if self._left:
            return
        if self._state is _State.CHUNK_DATA:
            self._state, self._size = _State.CHUNK_END, 0
        elif self._state is _State.LENGTH:
            self._body_over(time, complete=not self._missing)

    def _count_body(self, piece: bytes) -> None:
        if self._file is False and self._bytes < MULTIPART_WINDOW:
            seen = self._tail + piece[: MULTIPART_WINDOW - self._bytes]
            self._file = _FILENAME in seen.lower()
            self._tail = seen[1 - len(_FILENAME) :]
        self._bytes += len(piece)
        self._digest.update(piece)
        self._sample.take(piece)

    def _chunk(self, text: bytes, time: float | None) -> None:
        """The line in front of a chunk: its size, and what extensions there may be."""
        size = text.partition(b";")[0].strip()
        if not size or len(size) > 16 or size.strip(b"0123456789abcdefABCDEF"):
            self._broken(time)
            return
        self._left = int(size, 16)
        self._state = _State.CHUNK_DATA if self._left else _State.TRAILERS

    def _body_over(self, time: float | None, *, complete: bool) -> None:
        detail: dict[str, Any] = {
            "bytes": self._bytes,
            "complete": complete,
            "framing": self._framing,
            "expected": self._expected,
            "missing": self._missing,
            "sha256": self._digest.hexdigest() if complete else None,
            "multipart_file": self._file,
            "content": self._sample.text(self._coding),
        }
        self._facts.append(Fact("http-body", time, detail))
        self._begin_body(None, None)
        self._state, self._line, self._size = _State.START, bytearray(), 0

    def _broken(self, time: float | None) -> None:
        """The framing is lost here."""
        if self._state is _State.HEAD:
            self._head(time, cut=True)
        elif self._state in _IN_BODY:
            self._body_over(time, complete=False)
        else:
            self._skipped += len(self._line)
        self._search()


_LINEWISE = frozenset({_State.START, _State.HEAD, _State.SEARCH, _State.CHUNK, _State.CHUNK_END, _State.TRAILERS})
_IN_BODY = frozenset({_State.PEEK, _State.LENGTH, _State.CHUNK, _State.CHUNK_DATA, _State.CHUNK_END, _State.TRAILERS})


def _may_begin(data: bytes) -> bool:
    """Can a request, or an empty line in front of one, begin so? A WebSocket frame may begin with a letter alone."""
    return data[0] in b"\r\n" or all(0x41 <= byte <= 0x5A for byte in data)
