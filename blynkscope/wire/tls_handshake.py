"""The handshake in one direction of a TLS connection: what its messages and alerts tell, and how they move it on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from blynkscope.protocol import tls
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
from blynkscope.wire.layers import Hole
from blynkscope.wire.tls_keying import APPLICATION, EARLY, HANDSHAKE, Found
from blynkscope.wire.tls_lock import Lock, Spare
from blynkscope.wire.tls_messages import HEADER_SIZE, Messages, NoMessageError
from blynkscope.wire.tls_shared import HANDSHAKES_MAX, Shared

if TYPE_CHECKING:
    from blynkscope.wire.tls_side import Side

CERTIFICATES_MAX = 12
"""Certificates of one chain that are told; real chains hold two to four."""
TRANSCRIPT_MAX = 48 * 1024
"""Bytes of handshake messages of one direction that are kept for the extended master secret."""
_DECIDING = frozenset({tls.EXT_TRUNCATED_HMAC, tls.EXT_ENCRYPT_THEN_MAC, tls.EXT_EXTENDED_MASTER_SECRET})
"""Extensions on which the keys depend."""
_EXCHANGE_KEPT = 16
"""Of a ClientKeyExchange: the length and the front of the encrypted premaster secret, by which key logs name it."""


class Handshake:
    """Reads handshake messages and alerts of one direction.

    Args:
        shared: What both directions know.
        direction: 0 for the client's.
    """

    peer: Side

    def __init__(self, shared: Shared, direction: int) -> None:
        self._shared = shared
        self._direction = direction
        self._client = direction == 0
        self._told: set[str] = set()
        self._messages = Messages()
        self._certified: bool | None = False
        self._epoch = 0
        self._phase = APPLICATION
        self._lock: Lock | None = None
        self._generation = 0
        self._closed = False

    def _lose(self, reason: str, time: float | None) -> None:
        """The records cannot be followed any more."""
        raise NotImplementedError

    def _spares(self, phase: str, found: Found) -> list[Spare]:
        """What a direction of TLS 1.3 may have gone on to behind a phase."""
        raise NotImplementedError

    def _say(self, kind: str, time: float | None, detail: dict[str, Any]) -> None:
        self._shared.say(self._direction, kind, time, detail)

    def _once(self, kind: str, time: float | None, detail: dict[str, Any]) -> None:
        if kind not in self._told:
            self._told.add(kind)
            self._say(kind, time, detail)

    def _hole(self, missing: int | None, time: float | None) -> None:
        self._shared.out.append((self._direction, Hole(missing, time)))

    def _tell_resumed(self, time: float | None) -> None:
        shared = self._shared
        by_ticket = bool(shared.clients) and shared.clients[-1].tickets
        how = "psk" if shared.is_new else "ticket" if by_ticket else "id"
        self._once("tls-resumed", time, {"how": how})

    def _alert(self, record: bytes, time: float | None, *, decrypted: bool = False) -> None:
        level, number = tls.alert_of(record) or (0, None)
        self._closed = not number
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

    def _handshake(self, content: bytes, time: float | None, *, opened: bool = False) -> None:
        """The content of a record: messages, of which the last may go on in the next record."""
        nonsense = False
        self._messages.every = self._remembers
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
            shared.exchange = body[:_EXCHANGE_KEPT]
        elif opened:
            self._understand_opened(kind, body, time)
        self._remember(kind, body)

    @property
    def _remembers(self) -> bool:
        """May a premaster secret be in the key log, which needs the messages for the extended master secret?"""
        keys = self._shared.keys
        return keys is not None and (keys.premasters or keys.growing) and not self._shared.is_new

    def _remember(self, kind: int, body: bytes) -> None:
        """Keep what the extended master secret is made from."""
        if not self._remembers:
            return
        kept = self._shared.transcripts[self._direction]
        if kind in {tls.CLIENT_HELLO, tls.SERVER_HELLO}:
            kept.clear()
        ends = (tls.SERVER_HELLO_DONE, tls.CLIENT_KEY_EXCHANGE)
        if kind == tls.HELLO_REQUEST or len(kept) >= HANDSHAKES_MAX or (kept and kept[-1][0] in ends):
            return
        if sum(map(len, kept)) + len(body) <= TRANSCRIPT_MAX:
            kept.append(bytes([kind]) + len(body).to_bytes(HEADER_SIZE - 1, "big") + body)

    def _client_hello(self, body: bytes, time: float | None, *, opened: bool) -> None:
        hello = read_client_hello(body)
        if hello is None:
            self._say("tls-client-hello", time, {"error": "the ClientHello is not whole"})
            return
        self._say("tls-client-hello", time, client_detail(hello))
        if not self._client:
            return
        early = hello.early
        # What only the fact and JA4 need may be long.
        hello = msgspec.structs.replace(
            hello, ciphers=[], extensions=[], versions=[], groups=[], signatures=[], alpn=[], sni=None
        )
        clients = self._shared.clients
        if opened:
            self._say("tls-renegotiation", time, {"by": "client", "followed": True})
        if not opened:
            self._shared.early_offered |= early
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
        hello = msgspec.structs.replace(hello, extensions=[kind for kind in hello.extensions if kind in _DECIDING])
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
                self._lock.proven = True
