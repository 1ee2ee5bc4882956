"""One direction of a TLS connection: its records, and what waits for keys."""

from __future__ import annotations

import re
import struct
from collections import deque

from blynkscope.protocol import limits, tls
from blynkscope.wire.layers import Content
from blynkscope.wire.tls_keying import APPLICATION
from blynkscope.wire.tls_lock import SEQUENCES_MAX, Lock, Search
from blynkscope.wire.tls_reading import OPENED, Item, Record
from blynkscope.wire.tls_shared import Shared

_HEAD = struct.Struct(">HBH").unpack_from
"""Type and major number, minor number, length."""
_DATA_FRONT = tls.APPLICATION_DATA << 8 | 3


class Side(Record):
    """Reads one direction. See `TlsSession` for what it tells.

    Args:
        shared: What both directions know.
        direction: 0 for the client's.

    Attributes:
        peer: The other direction.
        blocked: What was fed last waits: for keys, or for what the other direction says.
    """

    def __init__(self, shared: Shared, direction: int) -> None:
        super().__init__(shared, direction)
        self._waited: tuple[object, ...] = ()
        self._counted = 0
        self.peer: Side = self
        self.blocked = False
        self._search: Search | None = None
        self._held: deque[Item] = deque()
        self._held_size = 0
        self._dropped = 0
        self._blocked_at: float | None = None

    def begin(self, at: int) -> None:
        """The session begins at this offset of the direction."""
        self.at = self._first = at

    def give_up(self, reason: str, time: float | None) -> None:
        """The session behind this one is not followed."""
        self._once("tls-lost", time, {"reason": reason})

    def feed(self, data: bytes, time: float | None) -> None:
        """The next bytes."""
        if self.blocked:
            self._hold(data, time)
        else:
            self._run(data, time)
        self._count()

    def whole(self, data: bytes) -> bytes | None:
        """The content of a segment that is one record of application data, to its last byte: most of all segments.

        The fast lane of `feed`, which would give the same as one Content, with `at` as its `behind`. Where this gives
        None nothing has changed, and `feed` must take the segment.
        """
        lock = self._lock
        # A direction that has a lock does not wait, and one that searches has doubts.
        if lock is None or lock.doubt or self._head or not self._flowing or self.over or self.peer.blocked:
            return None
        head, opener = tls.HEADER_SIZE, lock.opener
        size = len(data) - head
        if size <= 0:
            return None
        front, minor, length = _HEAD(data)
        if front != _DATA_FRONT or length != size or size > tls.RECORD_MAX or opener.chained:
            return None
        found = opener.open(tls.APPLICATION_DATA, minor, data[head:], lock.sequence)
        if found is None or found[0] != tls.APPLICATION_DATA:
            return None
        plain = found[1]
        if plain:
            lock.sequence += 1
            self.at += head + size
        return plain or None

    def gap(self, missing: int | None, time: float | None) -> None:
        """Bytes are missing."""
        if self.blocked:
            self._held.append((missing, time))
        else:
            self._skip(missing, time)
        self._count()

    def retry(self) -> bool:
        """Try again what waits, where anything has changed on which it depends; True where some of it got on."""
        if not self.blocked:
            return False
        shared, peer = self._shared, self.peer
        edition = 0 if shared.keys is None else shared.keys.edition
        told = len(shared.clients), len(shared.servers), shared.retried, shared.early_accepted, bool(shared.exchange)
        depends = (edition, *told, *map(len, shared.transcripts), peer.over, peer.shut, peer.is_past_hello)
        if depends == self._waited:
            return False
        self._waited = depends
        return self.resume()

    def resume(self) -> bool:
        """Try again what waits; True where some of it got on."""
        at, held = self.at, len(self._held)
        self.blocked = False
        self._run(b"", self._blocked_at)
        if self._dropped and not self.blocked:
            dropped, self._dropped = self._dropped, 0
            self._skip(dropped, self._held[0][1] if self._held else None)
        while self._held and not self.blocked:
            item, time = self._held.popleft()
            if isinstance(item, bytes):
                self._held_size -= len(item)
                self._run(item, time)
            else:
                self._skip(item, time)
        self._count()
        return not self.blocked or self.at != at or len(self._held) != held

    def finish(self, time: float | None) -> None:
        """The direction is over."""
        self._final = True
        if self.blocked:
            self.resume()
        if not self.over:
            self._finish(time)
        self._count()

    def _finish(self, time: float | None) -> None:
        self.over = True
        if self._search is not None:
            self._found(self._search.feed(b"", final=True), time)
        if self._lock is not None and self._untold and self._failed is not None:
            self._tell_wrong(time)
        if self._lack is not None and self._unsure and not self._opened:
            self._shared.tell_lack(self._direction, self._lack, time)
        self._recovered(time, ended=True)
        if self._head or self._left or self._messages:
            self._lose("it ends inside a record", time)

    def _count(self) -> None:
        """Count what is kept here into what all connections keep together, and keep less where that is too much."""
        budget, kept = self._shared.budget, self._shared.transcripts[self._direction]
        if self.over and kept:
            kept.clear()
        size = len(self._content) + self._messages.held
        if self._search is not None:
            size += self._search.held
        if kept:
            size += sum(map(len, kept))
        if size > limits.HEAVY_BUFFER and budget.crowded:
            self._messages.relieve()
            kept.clear()
            if self._content:
                self._content.clear()
                self._record_lost = True
            size = self._messages.held + (0 if self._search is None else self._search.held)
        size += self._held_size
        if size != self._counted:
            budget.held += size - self._counted
            self._counted = size

    def _hold(self, data: bytes, time: float | None) -> None:
        """Keep bytes that wait, the newest ones."""
        if data:
            self._held.append((data, time))
            self._held_size += len(data)
        keys = self._shared.keys
        limit = limits.HEAVY_BUFFER if self._shared.budget.crowded else limits.TLS_HELD_MAX
        if self._held_size <= limit:
            return
        if keys is None or not keys.growing:
            self._final = True
            self.resume()
            return
        if self._lack is not None:
            self._shared.tell_lack(self._direction, self._lack, time)
        while self._held_size > limit:
            item, when = self._held.popleft()
            if not isinstance(item, bytes):
                self._dropped += item or 0
                continue
            size = min(len(item), self._held_size - limit)
            self._dropped += size
            self._held_size -= size
            if size < len(item):
                self._held.appendleft((item[size:], when))

    def _run(self, data: bytes, time: float | None) -> None:
        if self._behind(data, time):
            return
        at, end = 0, len(data)
        while not self.over:
            if self._pending:
                if not self._decide(time):
                    self.blocked, self._blocked_at = True, time
                    if at < end:
                        self._held.appendleft((data[at:], time))
                        self._held_size += end - at
                        self._hold(b"", time)
                    return
                self._pending = False
                if not self._left:
                    self._record(time)
                continue
            if at >= end:
                return
            if self._search is not None:
                rest = self._found(self._search.feed(data[at:] if at else data), time)
                data, at, end = rest, 0, len(rest)
            elif self._left:
                part = data[at : at + self._left]
                at += len(part)
                self.at += len(part)
                self._left -= len(part)
                if self._mode == OPENED or self._is_kept:
                    self._content += part
                if not self._left:
                    self._record(time)
            else:
                if self._flowing and not self._head and self._lock is not None and not self._lock.doubt:
                    at = self._bulk(self._lock, data, at, end, time)
                    if at >= end:
                        return
                part = data[at : at + tls.HEADER_SIZE - len(self._head)]
                self._head += part
                at += len(part)
                self.at += len(part)
                if len(self._head) == tls.HEADER_SIZE:
                    self._header(time)
        if at < end:
            self._behind(data[at:], time)

    def _behind(self, item: bytes | int | None, time: float | None) -> bool:
        """Keep what belongs to the next session; False where there is none."""
        if self.anew is not None:
            self.anew.append((item, time))
        return self.anew is not None

    def _bulk(self, lock: Lock, data: bytes, at: int, end: int, time: float | None) -> int:
        """Open the whole records of application data from here on, quickly; gives the place behind them."""
        opener = lock.opener
        if opener.once:
            return at
        base = self.at - at
        out, direction, sequence = self._shared.out, self._direction, lock.sequence
        decipher, chained = opener.open, opener.chained
        while at + tls.HEADER_SIZE <= end:
            if data[at] != tls.APPLICATION_DATA or data[at + 1] != 3:
                break
            body = at + tls.HEADER_SIZE
            size = data[at + 3] << 8 | data[at + 4]
            stop = body + size
            if stop > end or size > tls.RECORD_MAX:
                break
            found = decipher(tls.APPLICATION_DATA, data[at + 2], data[body:stop], sequence)
            if found is None:
                break
            if chained:
                opener.follow(data[body:stop], sure=True)
            sequence += 1
            at = stop
            kind, plain = found
            if kind != tls.APPLICATION_DATA:
                lock.sequence, self.at = sequence, base + at
                self._inner(kind, plain, time)
                return at
            if plain:
                out.append((direction, Content(plain, time, base + at)))
        lock.sequence, self.at = sequence, base + at
        return at

    def _skip(self, missing: int | None, time: float | None) -> None:
        """Bytes are missing: inside a record the next one is found again, else only where there are keys."""
        if self._behind(missing, time) or self.over or missing == 0:
            return
        if self._search is not None:
            self._found(self._search.feed(b"", final=True), time)
            if self._search is not None:
                self._search.gap(missing or 0)
                self.at = self._search.seen
                return
        if missing is None or missing > self._left:
            self._skip_header(missing, time)
            return
        self._left -= missing
        self.at += missing
        self._record_lost = True
        self._content.clear()
        if not self._left:
            self._record(time)

    def _skip_header(self, missing: int | None, time: float | None) -> None:
        """Bytes are missing, and with them the place where the next record begins."""
        if self._lock is None and not self.shut:
            own = self._shared.clients if self._client else self._shared.servers
            verdict = self._resolve(time) if own and self._shared.hopeless is None else False
            if verdict is None:
                self.blocked = True
                self._held.appendleft((missing, time))
                return
        self.at += missing or 0
        if self._lock is None or self.shut or self._lock.opener.once:
            self._lose("bytes are missing", time)
            return
        self._begin_search(b"", time)

    def _begin_search(self, data: bytes, time: float | None) -> None:
        assert self._lock is not None
        self._head.clear()
        self._content.clear()
        self._left, self._record_lost, self._pending = 0, False, False
        self._messages.clear()
        self._lock.lost(SEQUENCES_MAX, exactly=False)
        if self._opened and self._lock.phase == APPLICATION:
            self._hole(None, time)
        else:
            self._hole_due = True
        server = self._shared.servers[self._epoch]
        minor = min(server.version, tls.TLS_1_2) & 0xFF
        kinds = b"\x17" if server.is_new else b"[\x14-\x17]"
        pattern = re.compile(kinds + b"\x03" + bytes([minor]), re.DOTALL)
        self._search = Search(self._lock, self.at - len(data), pattern)
        if data:
            self._found(self._search.feed(data), time)

    def _found(self, found: tuple[tuple[int, bytes], int, bytes] | None, time: float | None) -> bytes:
        """What a search came to: a record, or nothing yet. Gives the bytes behind the record."""
        search, lock = self._search, self._lock
        assert search is not None
        assert lock is not None
        if found is None:
            self.at = search.seen
            if lock.exhausted:
                self._search = None
                self._lose("bytes are missing", time)
            return b""
        (kind, plain), self.at, rest = found
        self._search = None
        self._ciphered = True
        if kind == tls.APPLICATION_DATA or self._shared.is_new:
            self._once("tls-application-data", time, {})
        self._success(time)
        self._inner(kind, plain, time)
        return rest

    def _lose(self, reason: str, time: float | None) -> None:
        self.over = True
        self._content.clear()
        self._messages.clear()
        self._held.clear()
        self._held_size = 0
        if self._opened:
            self._recovered(time, ended=True)
            self._hole(None, time)
        self._say("tls-lost", time, {"reason": reason})
