"""A TLS connection: its hellos, certificates and alerts, and what travels inside where a key log opens it."""

from __future__ import annotations

from blynkscope.protocol import tls
from blynkscope.wire.keylog import KeyLog
from blynkscope.wire.layers import Piece
from blynkscope.wire.tls_shared import Shared
from blynkscope.wire.tls_side import Side

_LAYERS = {version: name.lower().replace(" ", "") for version, name in tls.VERSIONS.items()}


class TlsSession:
    """Reads both directions of one connection. Incremental; never raises; bounded memory.

    Facts:
        `tls-client-hello`: version (of the message), versions (offered), sni, ciphers, alpn, groups, resuming, ja4.
        `tls-server-hello`: version (chosen), cipher, resumed, retry (it asks for another ClientHello).
        `tls-certificate`: position, chain, and what `certificates.describe` gives; one for each certificate.
        `tls-change-cipher`, once: resumed; True or False for a server of TLS 1.2 and before, else None.
        `tls-application-data`, once, with the first such record.
        `tls-alert`: encrypted; where that is False level, number, name and cause, and decrypted where it was opened.
        `tls-lost`: reason; the records cannot be followed any more.
        `tls-resumed`: how ("id", "ticket", "psk").
        `tls-keys`: state, where there is application data; "opened" (version, cipher, source), "none" (no key log),
            "unmatched" (lines, server_random), "partial" (missing), "wrong" (cipher), "unsupported" (why), "late" (the
            handshake is not in the capture). Directions that differ tell each their own. Where the key log still
            grows, "opened" may follow on another state.
        `tls-undecodable`: reason, sequence, size and offset of a record that does not open; with `count`, how many more
            did not.
        `tls-renegotiation`: by, followed. `tls-key-update`: generation, requested (of the peer, too).
        `tls-early-data`: accepted (None where nobody knows), decrypted.
    A hello that cannot be read has `error` alone. Without keys nothing is buffered but handshake messages.

    Args:
        keys: The key log, None where there is none.
    """

    def __init__(self, keys: KeyLog | None) -> None:
        self._shared = Shared(keys)
        self._keys = keys
        one, other = self._sides = (Side(self._shared, 0), Side(self._shared, 1))
        one.peer, other.peer = other, one

    @property
    def version(self) -> str | None:
        """`TLS 1.2`, once the ServerHello was seen."""
        servers = self._shared.servers
        return tls.version_name(servers[0].version) if servers else None

    @property
    def layer(self) -> str:
        """What the connection is called in a stack of layers: `tls1.2`, `tls` while the version is not known."""
        servers = self._shared.servers
        return _LAYERS.get(servers[0].version & 0xFF, "tls") if servers and servers[0].version >> 8 == 3 else "tls"

    @property
    def opened(self) -> bool:
        """Was any application data decrypted?"""
        return self._shared.opened

    def side(self, direction: int) -> Side:
        """A direction by itself, for its `whole`."""
        return self._sides[direction]

    def feed(self, direction: int, data: bytes, time: float | None) -> list[tuple[int, Piece]]:
        """The next bytes of a direction, 0 being that of the ClientHello; gives what they complete, in either one."""
        self._sides[direction].feed(data, time)
        return self._take()

    def gap(self, direction: int, missing: int | None, time: float | None) -> list[tuple[int, Piece]]:
        """Bytes of a direction are missing; None where nobody knows how many."""
        self._sides[direction].gap(missing, time)
        return self._take()

    def finish(self, direction: int, time: float | None) -> list[tuple[int, Piece]]:
        """A direction is over."""
        self._sides[direction].finish(time)
        return self._take()

    def _take(self) -> list[tuple[int, Piece]]:
        one, other = self._sides
        shared, waited = self._shared, False
        if one.blocked or other.blocked:
            if self._keys is not None:
                self._keys.refresh()
            moved = True
            while moved and (one.blocked or other.blocked):
                moved = (one.blocked and one.resume()) | (other.blocked and other.resume())
                waited = waited or moved
        pieces, shared.out = shared.out, []
        if waited and all(piece.time is not None for _, piece in pieces):
            # Each direction gave all that waited: between the two, what was said first comes first.
            pieces.sort(key=lambda told: told[1].time or 0.0)
        return pieces
