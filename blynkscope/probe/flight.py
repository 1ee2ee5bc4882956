"""What a server answers to a ClientHello, read as it comes: ServerHello, certificates, group, alert, or no TLS."""

from __future__ import annotations

from blynkscope.protocol import tls
from blynkscope.wire import hellos
from blynkscope.wire.hellos import ServerHello
from blynkscope.wire.tls_messages import Messages, NoMessageError

FLIGHT_MAX = 96 * 1024
"""Bytes of an answer that are read: the longest chains of certificates have some 20 KiB."""
FOREIGN_MAX = 1024
"""Bytes of an answer that is no TLS which are kept."""
_SERVER_KEY_EXCHANGE = 12
_NAMED_CURVE = 3
_EXT_KEY_SHARE = 51


class Flight:
    """The first flight of a server. Feed it bytes cut anyhow; it raises nothing.

    Attributes:
        hello: The ServerHello.
        chain: Certificates in DER, the server's own first (before TLS 1.3: there they are encrypted).
        group: Number of the group of the key exchange.
        bits: Size of the prime of a classic Diffie-Hellman exchange.
        alert: Level and description.
        foreign: The first bytes of an answer that is no TLS.
        over: Nothing more is to be learned.
    """

    def __init__(self) -> None:
        self.hello: ServerHello | None = None
        self.chain: list[bytes] = []
        self.group: int | None = None
        self.bits: int | None = None
        self.alert: tuple[int, int | None] | None = None
        self.foreign = b""
        self.over = False
        self._size = 0
        self._held = bytearray()
        self._messages = Messages()
        self._messages.every = True

    @property
    def is_tls(self) -> bool:
        """Was it TLS at all?"""
        return self.hello is not None or self.alert is not None

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        self._size += len(data)
        held = self._held
        held += data
        while len(held) >= tls.HEADER_SIZE and not self.over:
            length = held[3] << 8 | held[4]
            if held[0] not in tls.TYPES or held[1] != 3 or not 0 < length <= tls.RECORD_MAX:
                self._not_tls()
                return
            if len(held) < tls.HEADER_SIZE + length:
                break
            record = bytes(held[: tls.HEADER_SIZE + length])
            del held[: tls.HEADER_SIZE + length]
            self._record(record)
        if held and not self.over and not self.is_tls and (held[0] not in tls.TYPES or (held[1:2] or b"\3") != b"\3"):
            self._not_tls()
        if self._size >= FLIGHT_MAX:
            self.over = True

    def ended(self) -> None:
        """No more bytes will come."""
        if not self.is_tls and self._held and not self.foreign:
            self._not_tls()
        self.over = True

    def _not_tls(self) -> None:
        if not self.is_tls:
            self.foreign = bytes(self._held[:FOREIGN_MAX])
        self.over = True

    def _record(self, record: bytes) -> None:
        kind = record[0]
        if kind == tls.ALERT:
            # A warning (unrecognized_name, mostly) is no refusal.
            alert = tls.alert_of(record)
            if alert is not None:
                self.alert = alert
                self.over = tls.LEVELS[alert[0]] == "fatal" or alert[1] == 0
        elif kind == tls.HANDSHAKE:
            try:
                messages = self._messages.feed(record[tls.HEADER_SIZE :])
            except NoMessageError as error:
                messages, self.over = error.args[0], True
            for message, body in messages:
                self._message(message, body)
        elif self.hello is not None:
            self.over = True  # encrypted from here on

    def _message(self, kind: int, body: bytes) -> None:
        if kind == tls.SERVER_HELLO:
            self.hello = hellos.read_server_hello(body)
            if self.hello is None:
                self.over = True
            else:
                self.group = _share(body)
                self.over = self.hello.is_new
        elif kind == tls.CERTIFICATE:
            self.chain = hellos.certificates(body)
        elif kind == _SERVER_KEY_EXCHANGE:
            self._exchange(body)
        elif kind == tls.SERVER_HELLO_DONE:
            self.over = True

    def _exchange(self, body: bytes) -> None:
        """A curve by its number, or the prime of classic Diffie-Hellman. Parameters of PSK are left alone."""
        from blynkscope.probe.suites import exchange_of

        exchange = exchange_of(self.hello.cipher) if self.hello is not None else ""
        if "PSK" in exchange or "SRP" in exchange or "EXPORT" in exchange:
            return
        if exchange.startswith("ECDH") and len(body) >= 3 and body[0] == _NAMED_CURVE:
            self.group = body[1] << 8 | body[2]
        elif exchange.startswith("DH") and len(body) >= 2:
            self.bits = int.from_bytes(body[2 : 2 + (body[0] << 8 | body[1])], "big").bit_length()


def _share(body: bytes) -> int | None:
    """The group in the key share of a ServerHello of TLS 1.3, or in its request for another one."""
    at = 2 + tls.RANDOM_SIZE
    if len(body) <= at:
        return None
    at += 1 + body[at] + 3 + 2
    while at + 4 <= len(body):
        kind, size = body[at] << 8 | body[at + 1], body[at + 2] << 8 | body[at + 3]
        if kind == _EXT_KEY_SHARE and size >= 2 and at + 6 <= len(body):
            return body[at + 4] << 8 | body[at + 5]
        at += 4 + size
    return None
