"""Where the secrets of a stream are: in the bodies of frames, in HTTP and other text, inside WebSocket messages.

Each `Side` listens to one direction and tells of places, as runs of stream offsets: a place inside WebSocket messages
may lie in several of them, each with its mask.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

from blynkscope.protocol import limits
from blynkscope.protocol.model import Dialect
from blynkscope.protocol.paths import DASHBOARD_PATH
from blynkscope.scrub.matching import Match
from blynkscope.scrub.sockets import Piece, SocketReader
from blynkscope.scrub.spots import frame_spots, likely, spots
from blynkscope.scrub.vault import Kind
from blynkscope.scrub.windows import Window
from blynkscope.wire import recognise
from blynkscope.wire.events import Closed, Data, Event, Gap, Opened
from blynkscope.wire.framing import Framer, Item, Malformed, RawFrame, Skipped, web_message

_PACKED_HTTP = re.compile(rb"\ncontent-encoding:[ \t]*+(?:gzip|deflate|br)", re.IGNORECASE)


class Place(NamedTuple):
    """A secret in a direction of a stream.

    `pieces` say where its bytes are, `new` what to put there (None where its kind alone tells), `inside` what secrets
    it holds in a form that cannot be replaced (compressed).
    """

    pieces: list[Piece]
    secret: bytes
    kind: Kind
    new: bytes | None = None
    inside: tuple[tuple[Kind, bytes], ...] = ()


Known = Callable[[bytes], Iterable[Match]]


class Counts:
    """What was seen and cannot be opened."""

    def __init__(self) -> None:
        self.tls = 0
        self.packed_messages = 0
        self.packed_bodies = 0
        self.packed_http = 0


def nothing_known(_: bytes) -> Iterable[Match]:
    """Before anything is known."""
    return ()


class Side:
    """One direction of a stream.

    Args:
        tell: Called with each place.
        known: Finds what is known to be secret.
        counts: Takes what cannot be opened.
        hosts: True to find host names and addresses too.
        joined: True where the first byte need not begin a message.
        offset: Offset of the first byte.
    """

    def __init__(
        self, tell: Callable[[Place], None], known: Known, counts: Counts, *, hosts: bool, joined: bool = False,
        offset: int = 0,
    ) -> None:  # fmt: skip
        self._say = tell
        self._known = known
        self._counts = counts
        self._hosts = hosts
        self._joined = joined
        self.offset = offset
        self.path = b""
        """Path of the request that made a WebSocket of the connection, where this side sent it."""
        self.peer: Side | None = None
        self._prefix = bytearray()
        self._framer: Framer | None = None
        self._hunted = 0
        self._heard_frame = False
        self._text: Window | None = None
        self._socket: SocketReader | None = None
        self._inner: Side | None = None
        self._message = b""
        self._map: list[tuple[int, Piece]] = []
        self._packed = False
        self._decided = False
        self._all = Window(known, self._matched, offset)

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        if self._known is not nothing_known:
            self._all.feed(data)
        self.offset += len(data)
        if self._decided:
            self._go_on(data)
            return
        self._prefix += data
        guess = recognise.classify(bytes(self._prefix))
        if guess is not None:
            self._decide(guess)

    def gap(self, missing: int) -> None:
        """Bytes are missing."""
        if self._known is not nothing_known:
            self._all.gap(missing)
        if not self._decided:
            if self._prefix:
                self._decide(recognise.name_bytes(bytes(self._prefix)))
            else:
                self._joined = True
        self.offset += missing
        if self._framer is not None:
            self._items(self._framer.gap(missing))
        if self._text is not None:
            self._text.gap(missing)
        if self._socket is not None:
            self._socket.gap(missing)

    def finish(self) -> None:
        """The direction is over."""
        if not self._decided and self._prefix:
            self._decide(recognise.name_bytes(bytes(self._prefix)))
        if self._framer is not None:
            self._items(self._framer.finish())
        if self._text is not None:
            self._text.finish()
        if self._inner is not None:
            self._inner.finish()
        if self._known is not nothing_known:
            self._all.finish()

    # --- what it speaks ---

    def _decide(self, guess: recognise.Guess) -> None:
        self._decided = True
        prefix = bytes(self._prefix)
        self._prefix = bytearray()
        start = self.offset - len(prefix)
        if guess.is_blynk:
            self._framer = Framer(Dialect(guess.kind), joined=self._joined, offset=start)
            self._heard_frame = True
        elif guess.kind == "tls":
            self._counts.tls += 1
        elif guess.kind == "websocket":
            head, end, rest = prefix.partition(b"\r\n\r\n")
            self.path = head.split(b" ", 2)[1] if not head.startswith(b"HTTP/") and head.count(b" ") > 1 else b""
            self._texts(head + end, start)
            self._socket = SocketReader(start + len(head) + len(end), self._payload)
            prefix = rest
        elif guess.kind in {"unknown", "text"}:
            self._framer = Framer(Dialect.HARDWARE, joined=True, offset=start)
            self._text = Window(self._spots, self._spotted, start)
        else:
            self._text = Window(self._spots, self._spotted, start)
        self._go_on(prefix)

    def _go_on(self, data: bytes) -> None:
        if self._socket is not None:
            self._socket.feed(data)
            return
        if self._text is not None:
            self._text.feed(data)
        if self._framer is not None:
            self._items(self._framer.feed(data))
            if not self._heard_frame:
                self._hunted += len(data)
                if self._hunted > limits.HUNT_WINDOW:
                    self._framer = None

    # --- text ---

    def _spots(self, data: bytes) -> Iterable[tuple[int, int, Kind]]:
        if not self._packed and _PACKED_HTTP.search(data) is not None:
            self._packed = True
            self._counts.packed_http += 1
        return spots(data, hosts=self._hosts)

    def _spotted(self, base: int, data: bytes, found: tuple[int, int, Kind]) -> None:
        start, end, kind = found
        self._place(base + start, data[start:end], kind)

    def _matched(self, base: int, data: bytes, found: Match) -> None:
        start, end, new, kind, secret = found
        self._say(Place([Piece(base + start, end - start)], secret, kind, new))

    def _texts(self, data: bytes, offset: int) -> None:
        for start, end, kind in self._spots(data):
            self._place(offset + start, data[start:end], kind)

    def _skipped(self, data: bytes, offset: int) -> None:
        """Bytes that belong to no frame: part of a token may stand there without any word that tells."""
        for start, end, kind in likely(data, hosts=self._hosts):
            self._place(offset + start, data[start:end], kind)

    def _place(self, start: int, secret: bytes, kind: Kind, inside: tuple[tuple[Kind, bytes], ...] = ()) -> None:
        self._say(Place([Piece(start, len(secret))], secret, kind, None, inside))

    # --- frames ---

    def _items(self, items: list[Item]) -> None:
        for item in items:
            if isinstance(item, RawFrame):
                if not self._heard_frame:
                    # Frames after all: what stands between them is told by the framer from here on.
                    self._heard_frame, self._text = True, None
                assert self._framer is not None
                self._frame(item.cmd, item.body, item.end - len(item.body), self._framer.dialect)
            elif isinstance(item, Skipped):
                self._skipped(item.sample, item.start)
            elif isinstance(item, Malformed):
                self._skipped(item.data, item.start)

    def _frame(self, cmd: int, body: bytes, offset: int, dialect: Dialect) -> None:
        if not body:
            return
        for start, end, kind in frame_spots(cmd, body, dialect, hosts=self._hosts):
            if kind is Kind.PACKED:
                self._counts.packed_bodies += 1
                self._place(offset, body, kind, _inflated(body, hosts=self._hosts))
            else:
                self._place(offset + start, body[start:end], kind)

    # --- WebSocket ---

    def _payload(self, pieces: list[Piece], data: bytes, opcode: int, final: bool, packed: bool) -> None:
        """A part of a WebSocket message, unmasked."""
        if packed:
            self._counts.packed_messages += final
            return
        if self._inner is None:
            self._inner = Side(self._through, self._known, self._counts, hosts=self._hosts)
        inner = self._inner
        begin = inner.offset
        for piece in pieces:
            self._map.append((begin, piece))
            begin += piece.size
        path = self.path or (self.peer.path if self.peer is not None else b"")
        if not path.startswith(DASHBOARD_PATH.encode()):
            inner.feed(data)
        else:
            start = inner.offset - len(self._message)
            inner.pass_over(data)
            self._message += data
            if final or len(self._message) > limits.APP_BODY_MAX:
                item = web_message(self._message, None, inner.offset)
                if isinstance(item, RawFrame):
                    inner._frame(item.cmd, item.body, item.end - len(item.body), Dialect.WEB)
                else:
                    inner._skipped(self._message, start)
                self._message = b""
        keep = inner.offset - 2 * limits.RESYNC_WINDOW
        if len(self._map) > 64 and self._map[len(self._map) // 2][0] < keep:
            del self._map[: len(self._map) // 2 - 1]

    def pass_over(self, data: bytes) -> None:
        """Bytes that are framed by somebody else: looked through for what is known only."""
        if self._known is not nothing_known:
            self._all.feed(data)
        self._decided = True
        self.offset += len(data)

    def _through(self, place: Place) -> None:
        """A place in the payload of messages → the same place in the stream."""
        pieces = []
        for inner in place.pieces:
            low, high = inner.at, inner.at + inner.size
            for begin, piece in self._map:
                first, last = max(low, begin), min(high, begin + piece.size)
                if first < last:
                    pieces.append(
                        Piece(piece.at + first - begin, last - first, piece.mask, piece.phase + first - begin)
                    )
        if sum(piece.size for piece in pieces) == len(place.secret if place.new is None else place.new):
            self._say(place._replace(pieces=pieces))


def _inflated(body: bytes, *, hosts: bool) -> tuple[tuple[Kind, bytes], ...]:
    """The secrets in compressed data."""
    try:
        text = zlib.decompressobj().decompress(body, limits.INFLATED_MAX)
    except zlib.error:
        return ()
    return tuple((kind, text[start:end]) for start, end, kind in spots(text, hosts=hosts))


class Listener:
    """All streams of a capture.

    Args:
        tell: Called with stream, direction and place.
        known: Finds what is known to be secret.
        hosts: True to find host names and addresses too.
    """

    def __init__(self, tell: Callable[[int, int, Place], None], known: Known, *, hosts: bool) -> None:
        self._tell = tell
        self._known = known
        self._hosts = hosts
        self.counts = Counts()
        self._sides: dict[int, tuple[Side, Side]] = {}

    def feed(self, events: Iterable[Event]) -> None:
        """Take a batch of events."""
        for event in events:
            if isinstance(event, Data):
                self._sides[event.stream][event.direction].feed(event.data)
            elif isinstance(event, Opened):
                client, server = (self._side(event.stream, way, joined=not event.handshake) for way in (0, 1))
                client.peer, server.peer = server, client
                self._sides[event.stream] = (client, server)
            elif isinstance(event, Gap):
                self._sides[event.stream][event.direction].gap(event.missing)
            elif isinstance(event, Closed):
                for side in self._sides.pop(event.stream):
                    side.finish()

    def finish(self) -> None:
        """The input is over."""
        for sides in self._sides.values():
            for side in sides:
                side.finish()
        self._sides.clear()

    def _side(self, stream: int, direction: int, *, joined: bool) -> Side:
        def tell(place: Place) -> None:
            self._tell(stream, direction, place)

        return Side(tell, self._known, self.counts, hosts=self._hosts, joined=joined)
