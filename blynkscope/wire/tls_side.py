"""One direction of a TLS connection: records, handshake messages, and the content where there are keys."""

from __future__ import annotations

import re
from collections import deque
from typing import Any

from blynkscope.protocol import limits, tls
from blynkscope.wire import tls_keying
from blynkscope.wire.certificates import describe
from blynkscope.wire.hellos import (
    certificates,
    client_detail,
    extensions,
    read_client_hello,
    read_server_hello,
    server_detail,
)
from blynkscope.wire.layers import Content, Hole
from blynkscope.wire.tls_keying import APPLICATION, EARLY, HANDSHAKE, Found, Lack
from blynkscope.wire.tls_lock import SEQUENCES_MAX, Lock, Search, Spare
from blynkscope.wire.tls_messages import HEADER_SIZE, Messages, NoMessageError
from blynkscope.wire.tls_shared import HANDSHAKES_MAX, Shared

CERTIFICATES_MAX = 12
"""Certificates of one chain that are told; real chains hold two to four."""
WRONG_AFTER = 4
"""Records that do not open, before any did, after which the keys are called wrong."""
UNSURE_MAX = 64
"""Records of a handshake of TLS 1.3 that are passed over where only the keys behind it are known."""
_CLEAR, _SKIPPED, _OPENED = range(3)


class Side:
    """Reads one direction. See `TlsSession` for what it tells.

    Args:
        shared: What both directions know.
        direction: 0 for the client's.
    """

    def __init__(self, shared: Shared, direction: int) -> None:
        self._shared = shared
        self._direction = direction
        self._client = direction == 0
        self.peer: Side = self
        self.at = 0
        self.blocked = False
        self.over = False
        self.shut = False
        self._final = False
        self._head = bytearray()
        self._pending = False
        self._mode = _CLEAR
        self._left = 0
        self._content = bytearray()
        self._record_lost = False
        self._messages = Messages()
        self._told: set[str] = set()
        self._ciphered = False
        self._certified: bool | None = False
        self._epoch = 0
        self._phase = APPLICATION
        self._lock: Lock | None = None
        self._lack: Lack | None = None
        self._generation = 0
        self._unsure = 0
        self._early_note: dict[str, Any] | None = None
        self._opened = False
        self._flowing = False
        self._failed: dict[str, Any] | None = None
        self._failures = 0
        self._hole_due = False
        self._search: Search | None = None
        self._held: deque[tuple[bytes | int | None, float | None]] = deque()
        self._held_size = 0
        self._dropped = 0

    # --- input ---

    def feed(self, data: bytes, time: float | None) -> None:
        """The next bytes."""
        if self.blocked:
            self._hold(data, time)
        else:
            self._run(data, time)

    def gap(self, missing: int | None, time: float | None) -> None:
        """Bytes are missing."""
        if self.blocked:
            self._held.append((missing, time))
        else:
            self._skip(missing, time)

    def resume(self) -> bool:
        """Try again what waits; True where some of it got on."""
        at, held = self.at, len(self._held)
        self.blocked = False
        self._run(b"", None)
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
        return not self.blocked or self.at != at or len(self._held) != held

    def finish(self, time: float | None) -> None:
        """The direction is over."""
        self._final = True
        if self.blocked:
            self.resume()
        if self.over:
            return
        self.over = True
        if self._search is not None:
            self._found(self._search.feed(b"", final=True), time)
        if self._lock is not None and not self._opened and self._lack is None and self._failed is not None:
            self._tell_wrong(time)
        if self._lack is not None and self._unsure and not self._opened:
            self._shared.tell_lack(self._direction, self._lack, time)
        self._recovered(time, ended=True)
        if self._head or self._left or self._messages:
            self._lose("it ends inside a record", time)

    def _hold(self, data: bytes, time: float | None) -> None:
        """Keep bytes that wait, the newest ones."""
        if data:
            self._held.append((data, time))
            self._held_size += len(data)
        if self._held_size <= limits.TLS_HELD_MAX:
            return
        keys = self._shared.keys
        if keys is None or not keys.growing:
            self._final = True
            self.resume()
            return
        if self._lack is not None:
            self._shared.tell_lack(self._direction, self._lack, time)
        while self._held_size > limits.TLS_HELD_MAX:
            item, when = self._held.popleft()
            if not isinstance(item, bytes):
                self._dropped += item or 0
                continue
            size = min(len(item), self._held_size - limits.TLS_HELD_MAX)
            self._dropped += size
            self._held_size -= size
            if size < len(item):
                self._held.appendleft((item[size:], when))

    def _run(self, data: bytes, time: float | None) -> None:
        at, end = 0, len(data)
        while not self.over:
            if self._pending:
                if not self._decide(time):
                    self.blocked = True
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
                opener.follow(data[body:stop])
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
        if self.over or missing == 0:
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
        self._success(time)
        self._inner(kind, plain, time)
        return rest

    # --- telling ---

    def _say(self, kind: str, time: float | None, detail: dict[str, Any]) -> None:
        self._shared.say(self._direction, kind, time, detail)

    def _once(self, kind: str, time: float | None, detail: dict[str, Any]) -> None:
        if kind not in self._told:
            self._told.add(kind)
            self._say(kind, time, detail)

    def _hole(self, missing: int | None, time: float | None) -> None:
        self._shared.out.append((self._direction, Hole(missing, time)))

    def _lose(self, reason: str, time: float | None) -> None:
        self.over = True
        self._content.clear()
        self._messages.clear()
        self._held.clear()
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
            if self._opened and self._lock is not None and not self._lock.opener.once:
                self._begin_search(bytes(self._head), time)
            else:
                self._lose("no TLS record", time)
            return
        self._left, self._record_lost, self._pending = length, False, True
        if kind == tls.APPLICATION_DATA:
            self._once("tls-application-data", time, {})

    def _decide(self, time: float | None) -> bool:
        """Settle what is done with the record that begins; False where that has to wait."""
        kind, new = self._head[0], self._shared.is_new
        if kind != tls.APPLICATION_DATA and (new or not self._ciphered):
            self._mode = _CLEAR
            return True
        if self._lock is None and not self.shut and self._resolve(time) is None:
            return False
        if self.over:
            return True
        if self.shut:
            self._mode = _SKIPPED
            certain = self._opened
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
        if self._mode == _OPENED:
            self._protected(head, content, time)
        elif self._mode == _SKIPPED:
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

    def _changed(self, time: float | None) -> None:
        """A change of cipher in clear."""
        shared = self._shared
        self._ciphered = True
        self._messages.clear()
        resumed: bool | None = None
        if not self._client and shared.servers and not shared.is_new and self._certified is not None:
            resumed = not self._certified
        if "tls-change-cipher" not in self._told and resumed:
            self._tell_resumed(time)
        self._once("tls-change-cipher", time, {"resumed": resumed})

    def _tell_resumed(self, time: float | None) -> None:
        shared = self._shared
        if shared.is_new:
            how = "psk"
        else:
            how = "ticket" if shared.clients and shared.clients[-1].tickets else "id"
        self._once("tls-resumed", time, {"how": how})

    def _alert(self, record: bytes, time: float | None, *, decrypted: bool = False) -> None:
        level, number = tls.alert_of(record) or (0, None)
        if number is None:
            self._say("tls-alert", time, {"encrypted": True})
            return
        detail = {
            "encrypted": False,
            "level": tls.LEVELS[level],
            "number": number,
            "name": tls.alert_name(number),
            "cause": tls.cause_of(number),
        }
        self._say("tls-alert", time, detail | {"decrypted": True} if decrypted else detail)

    # --- protected records ---

    def _resolve(self, time: float | None) -> bool | None:
        """Find what opens the direction from here on; None where that has to wait."""
        shared = self._shared
        lack = shared.hopeless
        epoch = self._epoch
        found: Found | Lack | None = lack
        if lack is None:
            clients, servers = shared.clients, shared.servers
            if len(clients) > epoch < len(servers):
                found = self._look_up()
                if found is None:
                    return None
            else:
                own = clients if self._client else servers
                if len(own) > epoch and not (self._final or self.peer.over or self.peer.shut):
                    return None
                found = Lack({"state": "late"}, final=True)
        assert found is not None
        if isinstance(found, Lack):
            self._lack = found
            keys = shared.keys
            if keys is not None and keys.growing and not found.final and not self._final:
                return None
            self.shut = True
            if epoch and self._opened:
                self._lose("renegotiation with keys that are not known", time)
            return False
        self._lock = Lock(found, self._phase, self._spares)
        return True

    def _look_up(self) -> Found | Lack | None:
        shared = self._shared
        keys, server, client = shared.keys, shared.servers[self._epoch], shared.clients[self._epoch]
        assert keys is not None
        if not server.is_new:
            pair = shared.pair(self._epoch)
            return pair if isinstance(pair, Lack) else pair[self._direction]
        if self._phase == EARLY:
            found = self._look_up_early()
            if found is None or isinstance(found, Found):
                return found
        label_phase = self._phase
        found = tls_keying.new_opener(keys, client, server, label_phase, of_client=self._client)
        if isinstance(found, Lack) and self._phase == HANDSHAKE and not found.final:
            later = tls_keying.new_opener(keys, client, server, APPLICATION, of_client=self._client)
            if isinstance(later, Found):
                self._lack, self._unsure, self._phase = found, UNSURE_MAX, APPLICATION
                return later
        return found

    def _look_up_early(self) -> Found | Lack | None:
        """What opens early data; a `Lack` where it is passed over, None where what the server says of it comes yet."""
        shared = self._shared
        keys, server, client = shared.keys, shared.servers[0], shared.clients[0]
        assert keys is not None
        accepted = shared.early_accepted
        if shared.retried or server.psk != 0:
            accepted = False
        elif accepted is None and not (self._final or self.peer.over or self.peer.shut or self.peer.is_past_hello):
            return None
        if accepted is not False:
            found = tls_keying.new_opener(keys, client, server, EARLY, of_client=True)
            if isinstance(found, Found):
                self._early_note = {"accepted": accepted, "decrypted": True}
                return found
        self._phase, self._unsure = HANDSHAKE, -1
        self._early_note = {"accepted": accepted, "decrypted": False}
        return Lack({})

    @property
    def is_past_hello(self) -> bool:
        """Were encrypted handshake messages passed already?"""
        return self._phase == APPLICATION and self._opened

    def _spares(self, phase: str, found: Found) -> list[Spare]:
        """What a direction of TLS 1.3 may have gone on to behind a phase."""
        shared = self._shared
        server, client, keys = shared.servers[self._epoch], shared.clients[self._epoch], shared.keys
        if not server.is_new or keys is None:
            return []
        if phase == APPLICATION:
            later = tls_keying.later_opener(server, found.secret)
            return [(APPLICATION, later)] if isinstance(later, Found) else []
        spares: list[Spare] = []
        for name in (HANDSHAKE, APPLICATION)[phase == HANDSHAKE :]:
            spare = tls_keying.new_opener(keys, client, server, name, of_client=self._client)
            if isinstance(spare, Found):
                spares.append((name, spare))
        return spares

    def _protected(self, head: bytes, fragment: bytes, time: float | None) -> None:
        """A record that ought to open."""
        lock = self._lock
        assert lock is not None
        kind, size = head[0], head[3] << 8 | head[4]
        opener = lock.opener
        if self._record_lost:
            if opener.chained:
                opener.follow(fragment)
            lock.lost(1)
            self._missed(kind, size, time)
            return
        sequence = lock.sequence
        if self._unsure:
            found = opener.open(kind, head[2], fragment, 0)
            if found is None:
                self._pass_over(time)
                return
            self._unsure = 0
            lock.sequence = 1
        else:
            found = lock.open(kind, head[2], fragment)
        if found is not None:
            self._success(time)
            self._inner(*found, time)
            return
        reason = "too short" if size < opener.smallest else "bad MAC"
        self._fail(kind, {"reason": reason, "sequence": sequence, "size": size}, time)

    def _pass_over(self, time: float | None) -> None:
        """A record of early data or of a handshake whose keys are not known."""
        if self._early_note is not None:
            self._tell_early(time)
        if self._unsure > 0:
            self._unsure -= 1
            if not self._unsure:
                self._lock, self.shut = None, True

    def _tell_early(self, time: float | None) -> None:
        note, self._early_note = self._early_note, None
        if note is not None:
            self._say("tls-early-data", time, note)
            if not note["decrypted"] and note["accepted"] is not False:
                self._hole(None, time)

    def _missed(self, kind: int, size: int, time: float | None) -> None:
        """A record was lost: a hole in the content, where it held any."""
        lock = self._lock
        assert lock is not None
        if not self._opened or lock.phase != APPLICATION:
            self._hole_due = True
            return
        new = self._shared.is_new
        if kind == tls.APPLICATION_DATA and not new and lock.opener.overhead is not None:
            self._hole(max(0, size - lock.opener.overhead), time)
        elif kind == tls.APPLICATION_DATA or not self._record_lost:
            self._hole(None, time)

    def _fail(self, kind: int, detail: dict[str, Any], time: float | None) -> None:
        detail["offset"] = self.at - detail["size"] - tls.HEADER_SIZE
        self._failures += 1
        if self._failed is None:
            self._failed = detail
            if self._opened:
                self._say("tls-undecodable", time, detail)
        if not self._opened and self._failures >= WRONG_AFTER:
            self._tell_wrong(time)
            self._lock, self.shut, self._failed, self._failures = None, True, None, 0
            return
        self._missed(kind, detail["size"], time)

    def _tell_wrong(self, time: float | None) -> None:
        from blynkscope.protocol.tls_suites import suite_name

        self._lack = Lack(
            {"state": "wrong", "cipher": suite_name(self._shared.servers[self._epoch].cipher)}, final=True
        )
        self._shared.tell_lack(self._direction, self._lack, time)

    def _success(self, time: float | None) -> None:
        """A record was opened."""
        lock = self._lock
        assert lock is not None
        if not self._opened and self._failed is not None:
            self._say("tls-undecodable", time, self._failed)
        self._recovered(time)
        self._phase = lock.phase
        if self._hole_due and self._phase == APPLICATION:
            self._hole_due = False
            # The record in front of application data is Finished in TLS 1.2; in TLS 1.3 it has other keys.
            if lock.sequence > (1 if self._shared.is_new else 2):
                self._hole(None, time)
        if self._phase == EARLY and self._early_note:
            self._tell_early(time)
        self._opened = True
        if "opened" not in self._told and self._is_complete(lock):
            self._told.add("opened")
            self._shared.tell_opened(self._direction, lock.found.source, time)

    def _is_complete(self, lock: Lock) -> bool:
        """Are the keys of the application data there, too?"""
        shared = self._shared
        if lock.phase == APPLICATION or shared.keys is None:
            return True
        client, server = shared.clients[0], shared.servers[0]
        found = tls_keying.new_opener(shared.keys, client, server, APPLICATION, of_client=self._client)
        return isinstance(found, Found)

    def _recovered(self, time: float | None, *, ended: bool = False) -> None:
        """Tell how many records did not open behind the first of them."""
        if self._failed is not None and self._failures > 1 and (self._opened or not ended):
            self._say("tls-undecodable", time, {"reason": self._failed["reason"], "count": self._failures - 1})
        self._failed, self._failures = None, 0

    def _inner(self, kind: int, plain: bytes, time: float | None) -> None:
        """What a record held."""
        if kind == tls.APPLICATION_DATA:
            if plain:
                self._flowing = self._shared.opened = True
                self._shared.out.append((self._direction, Content(plain, time, self.at)))
        elif kind == tls.HANDSHAKE:
            self._handshake(plain, time, opened=True)
        elif kind == tls.ALERT:
            self._alert(bytes((tls.ALERT, 3, 3)) + len(plain).to_bytes(2, "big") + plain, time, decrypted=True)
        elif kind == tls.CHANGE_CIPHER_SPEC and not self._shared.is_new:
            self._epoch += 1
            self._lock = None
            self._messages.clear()

    # --- handshake messages ---

    def _handshake(self, content: bytes, time: float | None, *, opened: bool = False) -> None:
        """The content of a record: messages, of which the last may go on in the next record."""
        nonsense = False
        try:
            messages = self._messages.feed(content)
        except NoMessageError as error:
            messages, nonsense = error.args[0], True
        for kind, body in messages:
            self._understand(kind, body, time, opened=opened)
        if nonsense:
            self._lose("no TLS handshake message", time)

    def _understand(self, kind: int, body: bytes, time: float | None, *, opened: bool) -> None:
        shared = self._shared
        if kind == tls.CLIENT_HELLO:
            self._client_hello(body, time, opened=opened)
        elif kind == tls.SERVER_HELLO:
            self._server_hello(body, time, opened=opened)
        elif kind == tls.CERTIFICATE:
            self._certified = True
            chain = certificates(body, new=bool(shared.is_new))
            for position, der in enumerate(chain[:CERTIFICATES_MAX]):
                self._say("tls-certificate", time, {"position": position, "chain": len(chain), **describe(der)})
        elif kind == tls.SERVER_HELLO_DONE:
            self._certified = True
        elif kind == tls.CLIENT_KEY_EXCHANGE and self._client:
            shared.exchange = body
        elif opened:
            self._understand_opened(kind, body, time)
        self._remember(kind, body)

    def _remember(self, kind: int, body: bytes) -> None:
        """Keep what the extended master secret is made from, where a premaster secret may be in the key log."""
        keys = self._shared.keys
        if keys is None or not (keys.premasters or keys.growing) or self._shared.is_new:
            return
        kept = self._shared.transcripts[self._direction]
        if kind in {tls.CLIENT_HELLO, tls.SERVER_HELLO}:
            kept.clear()
        ends = (tls.SERVER_HELLO_DONE, tls.CLIENT_KEY_EXCHANGE)
        if kind != tls.HELLO_REQUEST and len(kept) < HANDSHAKES_MAX and not (kept and kept[-1][0] in ends):
            kept.append(bytes([kind]) + len(body).to_bytes(HEADER_SIZE - 1, "big") + body)

    def _client_hello(self, body: bytes, time: float | None, *, opened: bool) -> None:
        hello = read_client_hello(body)
        if hello is None:
            self._say("tls-client-hello", time, {"error": "the ClientHello is not whole"})
            return
        self._say("tls-client-hello", time, client_detail(hello))
        if not self._client:
            return
        clients = self._shared.clients
        if opened:
            self._say("tls-renegotiation", time, {"by": "client", "followed": True})
        if not opened:
            self._shared.early_offered |= hello.early
            self._phase = EARLY if self._shared.early_offered else HANDSHAKE
            clients[:] = [hello]
        elif len(clients) < HANDSHAKES_MAX:
            self._shared.exchange = b""
            clients.append(hello)

    def _server_hello(self, body: bytes, time: float | None, *, opened: bool) -> None:
        shared = self._shared
        hello = read_server_hello(body)
        if hello is None:
            self._say("tls-server-hello", time, {"error": "the ServerHello is not whole"})
            return
        self._say("tls-server-hello", time, server_detail(hello))
        if self._client:
            return
        if hello.retry:
            shared.retried = True
        elif not opened:
            shared.servers[:] = [hello]
            self._phase = HANDSHAKE
            if not hello.is_new:
                self._phase = self.peer._phase = APPLICATION
            elif hello.psk is not None:
                self._tell_resumed(time)
        elif len(shared.servers) < HANDSHAKES_MAX:
            shared.servers.append(hello)

    def _understand_opened(self, kind: int, body: bytes, time: float | None) -> None:
        """Messages that are always encrypted."""
        shared = self._shared
        if not shared.is_new:
            if kind == tls.HELLO_REQUEST and not self._client:
                self._say("tls-renegotiation", time, {"by": "server", "followed": True})
            return
        if kind == tls.ENCRYPTED_EXTENSIONS and not self._client:
            shared.early_accepted = tls.EXT_EARLY_DATA in extensions(body)
        elif kind == tls.END_OF_EARLY_DATA and self._phase == EARLY:
            self._phase, self._lock = HANDSHAKE, None
        elif kind == tls.FINISHED and self._phase == HANDSHAKE:
            self._phase, self._lock = APPLICATION, None
        elif kind == tls.KEY_UPDATE and self._phase == APPLICATION and self._lock is not None:
            self._generation += 1
            self._say("tls-key-update", time, {"generation": self._generation, "requested": body[:1] == b"\1"})
            later = tls_keying.later_opener(shared.servers[0], self._lock.found.secret)
            if isinstance(later, Found):
                self._lock = Lock(later, APPLICATION, self._spares)


def _is_hello(content: bytes) -> bool:
    """Is a record behind a change of cipher one hello, in clear?

    TLS 1.3 sends a second pair of hellos where the server asked for it, behind a change of cipher that means nothing.
    """
    kinds = (tls.CLIENT_HELLO, tls.SERVER_HELLO)
    size = len(content) - HEADER_SIZE
    return size > 0 and content[0] in kinds and int.from_bytes(content[1:HEADER_SIZE], "big") == size
