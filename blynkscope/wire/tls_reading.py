"""One record of a TLS connection at a time: what is done with it, and where another session begins behind the end."""

from __future__ import annotations

from blynkscope.protocol import tls
from blynkscope.wire.tls_messages import HEADER_SIZE
from blynkscope.wire.tls_opening import Opening
from blynkscope.wire.tls_shared import Shared

_CLEAR, _SKIPPED, OPENED, _AWAITED = range(4)
"""What is done with a record: read as it is, passed over, decrypted, kept until it shows whether a session begins."""
TAIL_SIZE = 128
"""Bytes of a record that are kept for the next one: a cipher block and the longest MAC behind it."""
Item = tuple[bytes | int | None, float | None]
"""Bytes, or how many are missing, and their time."""


class Record(Opening):
    """Reads the records of one direction.

    Args:
        shared: What both directions know.
        direction: 0 for the client's.

    Attributes:
        anew: What belongs to another TLS session, which begins behind this one; None where none does.
    """

    def __init__(self, shared: Shared, direction: int) -> None:
        super().__init__(shared, direction)
        self.anew: list[Item] | None = None
        self._first = 0
        self._head = bytearray()
        self._pending = False
        self._mode = _CLEAR
        self._left = 0
        self._ciphered = False
        self._content = bytearray()

    def _begin_search(self, data: bytes, time: float | None) -> None:
        """Look for the next record."""
        raise NotImplementedError

    def _finish(self, time: float | None) -> None:
        """Nothing of this session follows."""
        raise NotImplementedError

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
        self._mode = OPENED
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
        elif self._mode == OPENED:
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
