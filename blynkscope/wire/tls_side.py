"""One direction of a TLS connection: its records, and what waits for keys."""

from __future__ import annotations

import re
import struct
from collections import deque

from blynkscope.protocol import limits, tls
from blynkscope.wire.layers import Content
from blynkscope.wire.tls_keying import APPLICATION
from blynkscope.wire.tls_lock import SEQUENCES_MAX, Lock, Search
from blynkscope.wire.tls_messages import HEADER_SIZE
from blynkscope.wire.tls_opening import Opening
from blynkscope.wire.tls_shared import Shared

_HEAD = struct.Struct(">HBH").unpack_from
"""Type and major number, minor number, length."""
_DATA_FRONT = tls.APPLICATION_DATA << 8 | 3
_CLEAR, _SKIPPED, _OPENED, _AWAITED = range(4)
"""What is done with a record: read as it is, passed over, decrypted, kept until it shows whether a session begins."""

TAIL_SIZE = 128
"""Bytes of a record that are kept for the next one: a cipher block and the longest MAC behind it."""
Item = tuple[bytes | int | None, float | None]
"""Bytes, or how many are missing, and their time."""


class Side(Opening):
    """Reads one direction. See `TlsSession` for what it tells.

    Args:
        shared: What both directions know.
        direction: 0 for the client's.

    Attributes:
        peer: The other direction.
        blocked: What was fed last waits: for keys, or for what the other direction says.
        anew: What belongs to another TLS session, which begins behind this one; None where none does.
    """

    def __init__(self, shared: Shared, direction: int) -> None:
        super().__init__(shared, direction)
        self._first = 0
        self._waited: tuple[object, ...] = ()
        self.anew: list[Item] | None = None
        self._counted = 0
        self.peer: Side = self
        self.blocked = False
        self._head = bytearray()
        self._pending = False
        self._mode = _CLEAR
        self._left = 0
        self._ciphered = False
        self._content = bytearray()
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
                if self._mode == _OPENED or self._is_kept:
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

    # --- records ---

    @property
    def _is_kept(self) -> bool:
        """Is the content of a record that is not opened looked at?"""
        kind = self._head[0]
        if kind == tls.ALERT:
            return True
        return kind == tls.HANDSHAKE and not self._record_lost

    def _header(self, time: float | None) -> None:
        kind, major, _, high, low = self._head
        length = high << 8 | low
        if not tls.CHANGE_CIPHER_SPEC <= kind <= tls.HEARTBEAT or major != 3 or length > tls.RECORD_MAX:
            if self._opened and self._lock is not None and not self._lock.opener.once and not self._closed:
                self._begin_search(bytes(self._head), time)
            else:
                self._lose("no TLS record", time)
            return
        self._left, self._record_lost, self._pending = length, False, True
        if kind == tls.HANDSHAKE and self._ends:
            self._mode, self._pending = _AWAITED, not length
        self._closed = False
        if kind == tls.APPLICATION_DATA:
            self._once("tls-application-data", time, {})

    def _decide(self, time: float | None) -> bool:
        """Settle what is done with the record that begins; False where that has to wait."""
        kind, new = self._head[0], self._shared.is_new
        if kind != tls.APPLICATION_DATA and (new or not self._ciphered):
            self._mode = _CLEAR
            return True
        if self.shut:
            self._reopen()
        if self._lock is None and not self.shut and self._resolve(time) is None:
            return False
        if self.over:
            return True
        if self.shut:
            self._mode = _SKIPPED
            certain = self._opened or self.peer.at == self.peer._first
            if kind == tls.APPLICATION_DATA:
                if self._lack and self._shared.proves_data(self._direction, self._left, certain=certain):
                    self._shared.tell_lack(self._direction, self._lack, time)
            elif kind == tls.HANDSHAKE and new is False and "tls-application-data" in self._told:
                self._once("tls-renegotiation", time, {"by": "client" if self._client else "server", "followed": False})
            return True
        self._mode = _OPENED
        return True

    def _record(self, time: float | None) -> None:
        head, content = bytes(self._head), bytes(self._content)
        self._head.clear()
        self._content.clear()
        kind = head[0]
        if self._mode == _AWAITED:
            if not self._record_lost and _begins(content, tls.CLIENT_HELLO if self._client else tls.SERVER_HELLO):
                self._renew(head + content, time)
            else:
                self._head += head
                self._content += content
                self._pending = True
        elif self._mode == _OPENED:
            self._protected(head, content, time)
        elif self._mode == _SKIPPED:
            self._passed += kind != tls.HANDSHAKE or self._record_lost or not _is_hello(content)
            self._tail = content[-TAIL_SIZE:]
            if kind == tls.ALERT and not self._record_lost:
                self._alert(head + content, time)
            elif kind == tls.HANDSHAKE and not self._record_lost and _is_hello(content):
                self._handshake(content, time)
        elif kind == tls.CHANGE_CIPHER_SPEC:
            self._changed(time)
        elif kind == tls.ALERT:
            if not self._record_lost:
                self._alert(head + content, time)
        elif kind == tls.HANDSHAKE:
            if self._record_lost:
                # Where the next message begins was in the missing bytes: a later record may begin with one.
                self._messages.clear()
                self._certified = self._certified or None
            else:
                self._handshake(content, time)

    @property
    def _ends(self) -> bool:
        """May the session be over, and another one begin with the next record?"""
        if self._closed or self.peer.anew is not None:
            return self._ciphered or bool(self._shared.is_new)
        if not self._shared.is_new or self._shared.retried:
            return False
        # TLS 1.3 without keys hides how it ends; but once both have spoken it has no handshake in clear any more.
        return "tls-application-data" in self._told and "tls-application-data" in self.peer._told

    def _renew(self, record: bytes, time: float | None) -> None:
        """A hello in clear behind the end of a session: another session begins."""
        self.at -= len(record)
        self._messages.clear()
        self._finish(time)
        self.anew = [(record, time)]

    def _changed(self, time: float | None) -> None:
        """A change of cipher in clear."""
        shared = self._shared
        self._ciphered = True
        if not shared.is_new:
            self._passed = 0
        self._messages.clear()
        resumed: bool | None = None
        if not self._client and shared.servers and not shared.is_new and self._certified is not None:
            resumed = not self._certified
        if "tls-change-cipher" not in self._told and resumed:
            self._tell_resumed(time)
        self._once("tls-change-cipher", time, {"resumed": resumed})


def _begins(content: bytes, kind: int) -> bool:
    """Does a record begin with a whole hello in clear?"""
    front, size = content[: HEADER_SIZE + 1], len(content) - HEADER_SIZE
    return size > 0 and front[0] == kind and front[-1] == 3 and int.from_bytes(front[1:HEADER_SIZE], "big") <= size


def _is_hello(content: bytes) -> bool:
    """Is a record behind a change of cipher one hello, in clear?

    TLS 1.3 sends a second pair of hellos where the server asked for it, behind a change of cipher that means nothing.
    """
    kinds = (tls.CLIENT_HELLO, tls.SERVER_HELLO)
    size = len(content) - HEADER_SIZE
    return size > 0 and content[0] in kinds and int.from_bytes(content[1:HEADER_SIZE], "big") == size
