"""Bytes in, frames out: the incremental framer of each dialect.

`Framer.feed` takes the bytes of one direction in any cuts and gives the same items, whatever the cuts were: a decision
depends on stream offsets alone, never on where a chunk ended. Items are frames, and what is no frame: bytes that were
skipped and frames that are incomplete. Nothing raises, nothing is unbounded.

**Trust.** A header is *believable* when its command is known to the dialect, its status is a known one, or its length
is one that the command can have. Believable frames are taken at once. A header that is not believable starts a
*search*: the frame is held, and every later offset is tried as the beginning of a frame. Whichever is proven first
wins: the held frame (a believable header follows it, so it is a command that this program does not know), or a frame
found elsewhere (the stream has lost its framing, and what lies between is skipped and reported). After a gap, or where
a stream is joined in the middle, the search begins without a frame to hold.
"""

from __future__ import annotations

import heapq
import re
from bisect import bisect_left

import msgspec

from blynkscope.protocol import commands, derived, limits
from blynkscope.protocol.frames import HEADER_SIZE
from blynkscope.protocol.model import Dialect

WEAK_BODY = 4
"""A body shorter than this proves little: such a frame counts as found only when a believable header follows."""

EMPTY_BODIED = frozenset({commands.PING, commands.HW_SYNC})
"""Commands that clients send without a body."""


class RawFrame(msgspec.Struct, frozen=True, gc=False):
    """A frame as it was cut.

    `word` is the status of a RESPONSE and the length otherwise, `end` the offset behind the frame.
    """

    cmd: int
    id: int
    word: int
    body: bytes
    end: int
    time: float | None


class Skipped(msgspec.Struct, frozen=True, gc=False):
    """Bytes that belong to no frame. `sample` holds the first of them, enough to name them."""

    start: int
    size: int
    sample: bytes
    time: float | None


class Malformed(msgspec.Struct, frozen=True, gc=False):
    """The beginning of a frame whose rest is missing.

    `cmd`, `id` and `word` are None where not even the header is whole. `have` counts the bytes that are there, `need`
    those that the whole frame has (0 where unknown).
    """

    start: int
    have: int
    need: int
    cmd: int | None
    id: int | None
    word: int | None
    data: bytes
    reason: str
    time: float | None


Item = RawFrame | Skipped | Malformed
Cut = tuple[int, int, int, bytes, int, float | None]
"""The values of a RawFrame, in order."""

_AS_IS, _STRONG, _WEAK = range(3)
CHAIN_BODY = 4096
"""Longest body of an unknown command behind another one: a run of them is held together up to this size each."""
PROVING = 512
"""Bytes of a body that are parsed to tell whether it is one: all that a check looks at comes earlier in real bodies."""
_CONTROL = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1f]")
"""Characters that no text of a device holds."""
_SAMPLE = 512


class _Search:
    """The state of a search: where the doubtful bytes begin, how far offsets were tried, and who waits for proof."""

    __slots__ = ("heap", "scan", "start")

    def __init__(self, start: int, scan: int) -> None:
        self.start = start
        self.scan = scan
        # (offset at which the proof is complete, offset of the header, kind, offset of the last header of the run)
        self.heap: list[tuple[int, int, int, int]] = []


class Framer:
    """Cuts one direction of a stream into frames.

    Args:
        dialect: `hardware` or `app`. The web dialect has no framing of its own: see `web_message`.
        joined: True where the first byte need not begin a frame (a stream seen from the middle).
        offset: Stream offset of the first byte.
        answers: False for the side that seldom answers: there a RESPONSE is no proof that frames begin with it.
    """

    __slots__ = (
        "_answers", "_base", "_buffer", "_discard", "_header", "_longest", "_marks", "_search", "_size", "_unpack",
        "busy", "dialect",
    )  # fmt: skip

    def __init__(
        self, dialect: Dialect = Dialect.HARDWARE, *, joined: bool = False, answers: bool = True, offset: int = 0
    ) -> None:
        if dialect is Dialect.WEB:
            raise ValueError("the web dialect is framed by its WebSocket messages: use web_message()")
        self.dialect = dialect
        self._answers = answers
        self._header = derived.HEADER_STRUCTS[dialect]
        self._unpack = self._header.unpack_from
        self._size = HEADER_SIZE[dialect]
        self._longest = derived.longest_bodies(dialect)
        self._buffer = bytearray()
        self._base = offset
        self._marks: list[tuple[int, float | None]] = []
        self._discard = 0
        self._search: _Search | None = _Search(offset, offset) if joined else None
        self.busy = joined
        """True where the fast lane may not be taken: bytes are kept, skipped or searched."""

    @property
    def offset(self) -> int:
        """Offset behind the last byte that was fed."""
        return self._base + len(self._buffer)

    @property
    def buffered(self) -> int:
        """Bytes that are kept."""
        return len(self._buffer)

    @property
    def in_sync(self) -> bool:
        """True while frame boundaries are known."""
        return self._search is None

    def feed(self, data: bytes, time: float | None = None) -> list[Item]:
        """Take the next bytes; give the items that they complete.

        Args:
            data: Bytes that follow those of the last call.
            time: When they were seen; a frame gets the time of the chunk that held its last byte.
        """
        cuts, rest = self.cut(data, time)
        items: list[Item] = [RawFrame(*cut) for cut in cuts]
        if rest is not None:
            items += self.feed_rest(rest, time)
        return items

    def cut(self, data: bytes, time: float | None = None) -> tuple[list[Cut], bytes | None]:
        """The fast lane of `feed`: frames as tuples, and the bytes with which `feed_rest` must go on, if any."""
        if self.busy:
            return [], data
        unpack, size, longest = self._unpack, self._size, self._longest
        at, end, base = 0, len(data), self._base
        if end >= size:
            # Mostly the chunk is one frame: the same as the loop would say of it, sooner.
            cmd, message_id, word = unpack(data)
            if word == end - size and cmd and word <= longest[cmd]:
                self._base = base = base + end
                return [(cmd, message_id, word, data[size:], base, time)], None
        cuts: list[Cut] = []
        add, statuses = cuts.append, derived.KNOWN_STATUSES
        while end - at >= size:
            cmd, message_id, word = unpack(data, at)
            body = at + size
            if cmd:
                stop = body + word
                if word > longest[cmd] or stop > end:
                    break
                add((cmd, message_id, word, data[body:stop], base + stop, time))
                at = stop
            elif word in statuses:
                add((0, message_id, word, b"", base + body, time))
                at = body
            else:
                break
        self._base = base + at
        return cuts, (data[at:] if at else data) if at < end else None

    def feed_rest(self, data: bytes, time: float | None) -> list[Item]:
        """The general way: bytes that are incomplete, doubtful or follow such."""
        items = self._feed_buffered(data, time)
        self.busy = bool(self._buffer or self._discard or self._search is not None)
        return items

    def gap(self, missing: int | None, time: float | None = None) -> list[Item]:
        """`missing` bytes are not there; None where nobody knows how many.

        A frame that spans the gap is lost; where its length is known, what follows is not.
        """
        items: list[Item] = []
        need = 0
        if self._discard:
            need = self._discard
        elif self._search is None and len(self._buffer) >= self._size:
            cmd, _, word = self._unpack(self._buffer)
            need = self._size + (word if cmd else 0) - len(self._buffer)
        if need:
            if not self._discard:
                items.append(self._incomplete("bytes of it are missing", time))
            lost_all = missing is None or missing > need
            self._drop(len(self._buffer))
            self._base += missing or 0
            self._discard = 0 if lost_all or missing is None else need - missing
            if lost_all:
                self._search = _Search(self._base, self._base)
            self.busy = lost_all or self._discard > 0
            return items
        items += self.finish(time, "bytes are missing behind it")
        self._base += missing or 0
        self._search = _Search(self._base, self._base)
        self.busy = True
        return items

    def finish(self, time: float | None = None, reason: str = "the stream ended") -> list[Item]:
        """No more bytes will come: what is left becomes items, and the framer is empty."""
        items: list[Item] = []
        while self._buffer:
            if self._search is not None:
                items += self._searched(final=True)
            elif not self._cut(items) and self._buffer:
                # A wrong length may have swallowed good frames: look for them inside.
                lost = self._incomplete(reason, time)
                self._search = _Search(self._base, self._base + 1)
                found = self._searched(final=True)
                swallowed = sum(item.size for item in found if isinstance(item, Skipped))
                items.append(msgspec.structs.replace(lost, have=swallowed, data=lost.data[:swallowed]))
                items += [item for item in found if not isinstance(item, Skipped)]
        self._search = None
        self._discard = 0
        self.busy = False
        return items

    def _time_of(self, end: int) -> float | None:
        """When the byte before offset `end` was seen."""
        marks = self._marks
        place = bisect_left(marks, end, key=lambda mark: mark[0])
        return marks[place][1] if place < len(marks) else (marks[-1][1] if marks else None)

    def _feed_buffered(self, data: bytes, time: float | None) -> list[Item]:
        if self._discard:
            dropped = min(self._discard, len(data))
            self._discard -= dropped
            self._base += dropped
            if self._discard or dropped == len(data):
                return []
            data = data[dropped:]
        self._buffer += data
        marks, end = self._marks, self._base + len(self._buffer)
        if marks and marks[-1][1] == time:
            marks[-1] = (end, time)
        else:
            marks.append((end, time))
            if len(marks) > limits.MARKS_MAX:
                # Hostile: nobody sends a frame in so many pieces. The earlier bytes get the time of the last of them.
                del marks[: limits.MARKS_MAX // 2]
        items: list[Item] = []
        while True:
            if self._search is not None:
                items += self._searched(final=False)
                if self._search is not None:
                    return items
            if not self._cut(items):
                return items

    def _cut(self, items: list[Item]) -> bool:
        """Cut believable frames off the buffer. True when a doubtful header stopped it and a search has begun."""
        buffer, size, at = self._buffer, self._size, 0
        doubtful = False
        while len(buffer) - at >= size:
            cmd, message_id, word = self._unpack(buffer, at)
            if not self._believable(cmd, word):
                doubtful = True
                break
            stop = at + size + (word if cmd else 0)
            if stop > len(buffer):
                break
            end = self._base + stop
            items.append(RawFrame(cmd, message_id, word, bytes(buffer[at + size : stop]), end, self._time_of(end)))
            at = stop
        self._drop(at)
        if doubtful:
            search = self._search = _Search(self._base, self._base + 1)
            cmd, _, word = self._unpack(buffer)
            body = word if cmd else 0
            if body <= limits.HARDWARE_BODY_MAX:
                heapq.heappush(search.heap, (self._base + 2 * size + body, self._base, _AS_IS, self._base))
        return doubtful

    def _drop(self, count: int) -> None:
        if not count:
            return
        del self._buffer[:count]
        self._base += count
        marks = self._marks
        gone = 0
        while gone < len(marks) and marks[gone][0] <= self._base:
            gone += 1
        del marks[:gone]

    def _believable(self, cmd: int, word: int) -> bool:
        return word <= self._longest[cmd] if cmd else word in derived.KNOWN_STATUSES

    def _incomplete(self, reason: str, time: float | None) -> Malformed:
        buffer = self._buffer
        cmd = message_id = word = None
        need = 0
        if len(buffer) >= self._size:
            cmd, message_id, word = self._unpack(buffer)
            need = self._size + (word if cmd else 0)
        last = self._time_of(self._base + len(buffer)) if buffer else time
        return Malformed(self._base, len(buffer), need, cmd, message_id, word, bytes(buffer[:_SAMPLE]), reason, last)

    # --- the search ---

    def _searched(self, *, final: bool) -> list[Item]:
        """Go on with the search; on success the buffer begins with a frame and the search is over."""
        search = self._search
        assert search is not None
        items: list[Item] = []
        size, heap, available = self._size, search.heap, self._base + len(self._buffer)
        while True:
            if heap and heap[0][0] <= min(available, search.scan + size):
                entry = heapq.heappop(heap)
                if self._proven(entry, final=False):
                    return items + self._found(entry)
            elif search.scan + size <= available:
                self._try(search)
                if search.scan - search.start >= limits.RESYNC_WINDOW:
                    items += self._skip(min((entry[1] for entry in heap), default=search.scan))
            elif heap and heap[0][0] <= available:
                entry = heapq.heappop(heap)
                if self._proven(entry, final=False):
                    return items + self._found(entry)
            else:
                break
        if final:
            while heap:
                entry = heapq.heappop(heap)
                if self._proven(entry, final=True):
                    return items + self._found(entry)
            items += self._skip(available)
        return items

    def settle(self) -> list[Item]:
        """The other side answers, so what is held here and is whole up to its last byte counts as frames."""
        items: list[Item] = []
        search = self._search
        if search is None:
            return items
        whole = [entry for entry in search.heap if self._end_of(entry) == len(self._buffer)]
        proven = next((entry for entry in sorted(whole) if self._proven(entry, final=True)), None)
        if proven is not None:
            items += self._found(proven)
            self._cut(items)
            self.busy = bool(self._buffer or self._search is not None)
        return items

    def _end_of(self, entry: tuple[int, int, int, int]) -> int:
        """Where in the buffer the last frame of a candidate ends."""
        at = entry[3] - self._base
        cmd, _, word = self._unpack(self._buffer, at)
        return at + self._size + (word if cmd else 0)

    def _try(self, search: _Search) -> None:
        """Is there the header of a frame at the next offset? Then it waits for its proof."""
        start = search.scan
        search.scan += 1
        at = start - self._base
        cmd, _, word = self._unpack(self._buffer, at)
        if not self._believable(cmd, word):
            return
        body = word if cmd else 0
        if not cmd and not self._answers:
            return
        if body > limits.HARDWARE_BODY_MAX or (cmd and not body and cmd not in EMPTY_BODIED):
            return
        if body < WEAK_BODY:
            heapq.heappush(search.heap, (start + 2 * self._size + body, start, _WEAK, start))
        else:
            heapq.heappush(search.heap, (start + self._size + body, start, _STRONG, start))

    def _proven(self, entry: tuple[int, int, int, int], *, final: bool) -> bool:
        _, start, kind, place = entry
        buffer, size, stop = self._buffer, self._size, self._end_of(entry)
        if stop > len(buffer):
            return False
        if kind != _AS_IS and not self._sound(buffer[place - self._base], place - self._base + size, stop):
            return False
        if kind == _STRONG:
            return True
        if len(buffer) - stop < size:
            return final and stop == len(buffer)
        following, _, word = self._unpack(buffer, stop)
        if self._believable(following, word):
            return True
        if kind == _AS_IS and following and self._longest[following] < 0 and word <= CHAIN_BODY and self._search:
            # Another unknown command: the run is held together until something known follows.
            behind = self._base + stop
            heapq.heappush(self._search.heap, (behind + 2 * size + word, start, _AS_IS, behind))
        return False

    def _sound(self, cmd: int, at: int, stop: int) -> bool:
        """Is the body at `buffer[at:stop]` text as Blynk bodies are, and does it begin as a body of the command does?

        Hostile bytes have a header at every offset. So the search for control characters ends at the first one, which
        in such bytes is near, and what is parsed is short.
        """
        if not cmd or at == stop:
            return True
        if self.dialect is not Dialect.APP and _CONTROL.search(self._buffer, at, stop) is not None:
            return False
        row = commands.lookup(cmd, self.dialect)
        return row is not None and row.body.problem(bytes(self._buffer[at : min(stop, at + PROVING)])) is None

    def _skip(self, upto: int) -> list[Item]:
        """Give up the bytes below offset `upto`."""
        search = self._search
        assert search is not None
        size = upto - search.start
        if size <= 0:
            return []
        time = self._time_of(upto)
        skipped = Skipped(search.start, size, bytes(self._buffer[: min(size, _SAMPLE)]), time)
        self._drop(upto - self._base)
        search.start = upto
        return [skipped]

    def _found(self, entry: tuple[int, int, int, int]) -> list[Item]:
        _, start, kind, place = entry
        items = self._skip(start)
        self._search = None
        while kind == _AS_IS and self._base <= place:
            cmd, message_id, word = self._unpack(self._buffer)
            stop = self._size + (word if cmd else 0)
            body = bytes(self._buffer[self._size : stop])
            end = self._base + stop
            items.append(RawFrame(cmd, message_id, word, body, end, self._time_of(end)))
            self._drop(stop)
        return items


def web_message(data: bytes, time: float | None = None, end: int = 0) -> Item:
    """One WebSocket message of the web dialect as a frame; `end` is the offset behind it.

    A RESPONSE has a status of 32 bits as its word; for all other commands the word is the length of the body, which the
    wire does not carry.
    """
    header = derived.HEADER_STRUCTS[Dialect.WEB]
    size = HEADER_SIZE[Dialect.WEB]
    if len(data) >= size:
        cmd, message_id = header.unpack_from(data)
        body = data[size:]
        if cmd != commands.RESPONSE:
            return RawFrame(cmd, message_id, len(body), body, end, time)
        word = derived.WORD_STRUCTS[Dialect.WEB]
        if len(body) == word.size:
            return RawFrame(cmd, message_id, word.unpack(body)[0], b"", end, time)
        reason = f"a RESPONSE has {size + word.size} bytes in the web dialect"
        return Malformed(
            end - len(data), len(data), size + word.size, cmd, message_id, None, data[:_SAMPLE], reason, time
        )
    reason = "shorter than a header"
    return Malformed(end - len(data), len(data), size, None, None, None, data[:_SAMPLE], reason, time)
