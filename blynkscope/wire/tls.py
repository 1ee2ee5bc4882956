"""What the outside of a TLS connection tells: hellos, certificates and alerts. Nothing is decrypted."""

from __future__ import annotations

from typing import Any

from blynkscope.protocol import tls
from blynkscope.wire.certificates import describe
from blynkscope.wire.facts import Fact
from blynkscope.wire.hellos import certificates, client_hello, server_hello

HANDSHAKE_MAX = 128 * 1024
"""Bytes of one handshake message that are kept: above any real chain of certificates, of which some reach 20 KiB."""
CERTIFICATES_MAX = 12
"""Certificates of one chain that are told; real chains hold two to four."""
_HANDSHAKE_HEADER = 4
_HANDSHAKE_TYPES = 25
"""Handshake types are below this, but for one that is never sent."""


class TlsReader:
    """Reads the records of one direction.

    Facts:
        `tls-client-hello`: version (of the message), versions (offered), sni, ciphers, alpn, groups, resuming, ja4.
        `tls-server-hello`: version (chosen), cipher, resumed, retry (it asks for another ClientHello).
        `tls-certificate`: position, chain, and what `certificates.describe` gives; one for each certificate.
        `tls-change-cipher`, once: resumed; True or False for a server of TLS 1.2 and before, else None.
        `tls-application-data`, once, with the first such record.
        `tls-alert`: encrypted; where that is False level, number, name and cause.
        `tls-lost`: reason; the records cannot be followed any more.
    A hello that cannot be read has `error` alone.

    Args:
        client: True for the direction of the client.
    """

    def __init__(self, client: bool) -> None:
        self._client = client
        self._head = bytearray()
        self._kind = 0
        self._left = 0
        self._content = bytearray()
        self._record_lost = False
        self._message = bytearray()
        self._skip = 0
        self._ciphered = False
        self._told: set[str] = set()
        self._old_version = False
        self._certified = False
        self._over = False
        self._facts: list[Fact] = []

    def feed(self, data: bytes, time: float | None) -> list[Fact]:
        """The next bytes."""
        at, end = 0, len(data)
        while at < end and not self._over:
            if not self._left:
                need = tls.HEADER_SIZE - len(self._head)
                self._head += data[at : at + need]
                at += need
                if len(self._head) == tls.HEADER_SIZE:
                    self._header(time)
                continue
            part = data[at : at + self._left]
            at += len(part)
            self._left -= len(part)
            if self._kept:
                self._content += part
            if not self._left:
                self._record(time)
        return self._take()

    def gap(self, missing: int, time: float | None) -> list[Fact]:
        """Bytes are missing: inside a record the next one is found again, else not."""
        if self._over:
            return []
        if missing > self._left:
            self._lose("bytes are missing", time)
            return self._take()
        self._left -= missing
        self._record_lost = True
        if not self._left:
            self._record(time)
        return self._take()

    def finish(self, time: float | None) -> list[Fact]:
        """The direction is over."""
        if self._over or not (self._head or self._left or self._message):
            return []
        self._lose("it ends inside a record", time)
        return self._take()

    def _take(self) -> list[Fact]:
        facts, self._facts = self._facts, []
        return facts

    def _say(self, kind: str, time: float | None, detail: dict[str, Any] | None = None) -> None:
        self._facts.append(Fact(kind, time, detail or {}))

    def _once(self, kind: str, time: float | None, detail: dict[str, Any] | None = None) -> None:
        if kind not in self._told:
            self._told.add(kind)
            self._say(kind, time, detail)

    def _lose(self, reason: str, time: float | None) -> None:
        self._over = True
        self._content, self._message = bytearray(), bytearray()
        self._say("tls-lost", time, {"reason": reason})

    # --- records ---

    @property
    def _kept(self) -> bool:
        """Is the content of this record looked at?"""
        if self._kind == tls.ALERT:
            return True
        return self._kind == tls.HANDSHAKE and not self._record_lost

    def _header(self, time: float | None) -> None:
        kind, major, _, high, low = self._head
        length = high << 8 | low
        if not tls.CHANGE_CIPHER_SPEC <= kind <= tls.HEARTBEAT or major != 3 or length > tls.RECORD_MAX:
            self._lose("no TLS record", time)
            return
        self._kind, self._left, self._record_lost = kind, length, False
        if kind == tls.APPLICATION_DATA:
            self._once("tls-application-data", time)
        if not length:
            self._record(time)

    def _record(self, time: float | None) -> None:
        head, content = bytes(self._head), bytes(self._content)
        self._head, self._content = bytearray(), bytearray()
        if self._kind == tls.CHANGE_CIPHER_SPEC:
            self._ciphered = True
            self._message, self._skip = bytearray(), 0
            resumed = None if self._client or not self._old_version else not self._certified
            self._once("tls-change-cipher", time, {"resumed": resumed})
        elif self._kind == tls.ALERT:
            self._alert(head + content, time)
        elif self._kind == tls.HANDSHAKE and (not self._ciphered or _is_hello(content)):
            if self._record_lost:
                # Where the next message begins was in the missing bytes: a later record may begin with one.
                self._message, self._skip = bytearray(), 0
            else:
                self._handshake(content, time)

    def _alert(self, record: bytes, time: float | None) -> None:
        if self._record_lost:
            return
        alert = tls.alert_of(record)
        level, number = alert or (0, None)
        if number is None:
            self._say("tls-alert", time, {"encrypted": True})
            return
        self._say(
            "tls-alert",
            time,
            {
                "encrypted": False,
                "level": tls.LEVELS[level],
                "number": number,
                "name": tls.alert_name(number),
                "cause": tls.cause_of(number),
            },
        )

    # --- handshake messages ---

    def _handshake(self, content: bytes, time: float | None) -> None:
        """The content of a record: messages, of which the last may go on in the next record."""
        skipped = min(self._skip, len(content))
        self._skip -= skipped
        message = self._message
        message += content[skipped:]
        at = 0
        while len(message) - at >= _HANDSHAKE_HEADER:
            kind, size = message[at], int.from_bytes(message[at + 1 : at + 4], "big")
            if kind >= _HANDSHAKE_TYPES:
                self._lose("no TLS handshake message", time)
                return
            behind = at + _HANDSHAKE_HEADER + size
            if size > HANDSHAKE_MAX:
                self._skip = max(0, behind - len(message))
            elif behind > len(message):
                break
            else:
                self._understand(kind, bytes(message[at + _HANDSHAKE_HEADER : behind]), time)
            at = min(behind, len(message))
        del message[:at]

    def _understand(self, kind: int, body: bytes, time: float | None) -> None:
        if kind == tls.CLIENT_HELLO:
            self._say("tls-client-hello", time, client_hello(body))
        elif kind == tls.SERVER_HELLO:
            detail = server_hello(body)
            self._old_version = detail.get("resumed", True) is None
            self._say("tls-server-hello", time, detail)
        elif kind == tls.CERTIFICATE:
            self._certified = True
            chain = certificates(body)
            for position, der in enumerate(chain[:CERTIFICATES_MAX]):
                self._say("tls-certificate", time, {"position": position, "chain": len(chain), **describe(der)})


def _is_hello(content: bytes) -> bool:
    """Is a record behind a change of cipher one hello, in clear?

    TLS 1.3 sends a second pair of hellos where the server asked for it, behind a change of cipher that means nothing.
    """
    kinds = (tls.CLIENT_HELLO, tls.SERVER_HELLO)
    size = len(content) - _HANDSHAKE_HEADER
    return size > 0 and content[0] in kinds and int.from_bytes(content[1:4], "big") == size
