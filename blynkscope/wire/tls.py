"""A TLS connection: its hellos, certificates and alerts, and what travels inside where a key log opens it."""

from __future__ import annotations

from blynkscope.protocol import tls
from blynkscope.wire.keylog import KeyLog
from blynkscope.wire.layers import Piece
from blynkscope.wire.tls_budget import Budget
from blynkscope.wire.tls_shared import Shared
from blynkscope.wire.tls_side import Side

_LAYERS = {version: name.lower().replace(" ", "") for version, name in tls.VERSIONS.items()}
ROUNDS_MAX = 8
"""Sessions that one direction of a connection may be ahead of the other."""


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
        `tls-keys`: state, where there is application data; "opened" (version, cipher, source), "none" (no key; `given`,
            where a key log was named all the same), "unmatched" (lines, server_random), "partial" (missing), "wrong"
            (cipher), "unsupported" (why), "late" (the handshake is not in the capture). Directions that differ tell
            each their own. Where keys come later, "opened" may follow on another state.
        `tls-undecodable`: reason, sequence, size and offset of a record that does not open; with `count`, how many more
            did not.
        `tls-renegotiation`: by, followed. `tls-key-update`: generation, requested (of the peer, too).
        `tls-early-data`: accepted (None where nobody knows), decrypted.
    A hello that cannot be read has `error` alone. Without keys nothing is buffered but handshake messages. A key that
    comes later, with the capture, opens what follows it. Where a session ends and another one begins behind it on the
    same connection, that one is told like the first.

    Args:
        keys: The key log, None where there is none.
        budget: Counts what all connections hold; without it that of the key log does.
    """

    def __init__(self, keys: KeyLog | None, budget: Budget | None = None) -> None:
        self._keys = keys
        self._budget = budget or (Budget() if keys is None else keys.budget)
        self._rounds = [_Round(keys, self._budget)]
        self._sides = list(self._rounds[0].sides)

    @property
    def layer(self) -> str:
        """What the connection is called in a stack of layers: `tls1.2`, `tls` while the version is not known."""
        for one in reversed(self._rounds):
            if one.shared.servers:
                version = one.shared.servers[0].version
                return _LAYERS.get(version & 0xFF, "tls") if version >> 8 == 3 else "tls"
        return "tls"

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
        if self._keys is not None and (self._sides[0].blocked or self._sides[1].blocked):
            # The last chance of keys that were written a moment ago.
            self._keys.refresh(at_once=True)
        pieces = self._take()
        side = None
        while side is not self._sides[direction]:
            side = self._sides[direction]
            side.finish(time)
            pieces += self._take()
        for ahead in self._rounds:
            # What the other direction began without this one has no more to wait for.
            if not ahead.sides[direction].over:
                ahead.sides[direction].finish(time)
        return pieces + self._take()

    def _take(self) -> list[tuple[int, Piece]]:
        pieces = self._settle()
        while self._sides[0].anew or self._sides[1].anew:
            self._renew()
            pieces += self._settle()
        return pieces

    def _settle(self) -> list[tuple[int, Piece]]:
        """Try again what waits, and give what there is."""
        one, other = self._sides
        waited = False
        if one.blocked or other.blocked:
            if self._keys is not None:
                self._keys.refresh()
            moved = True
            while moved and (one.blocked or other.blocked):
                moved = one.retry() | other.retry()
                waited = waited or moved
        rounds = self._rounds
        pieces = rounds[0].shared.taken()
        for ahead in rounds[1:]:
            pieces += ahead.shared.taken()
        if waited and all(piece.time is not None for _, piece in pieces):
            # Each direction gave all that waited: between the two, what was said first comes first.
            pieces.sort(key=lambda told: told[1].time or 0.0)
        return pieces

    def _renew(self) -> None:
        """Another session begins in a direction; the other one may still be in the last session, or already ahead."""
        rounds = self._rounds
        for direction, side in enumerate(self._sides):
            items, side.anew = side.anew, [] if side.anew else side.anew
            if not items:
                continue
            place = next(number for number, one in enumerate(rounds) if one.sides[direction] is side) + 1
            if place >= ROUNDS_MAX:
                side.give_up("too many TLS sessions in one direction alone", items[0][1])
                continue
            if place == len(rounds):
                rounds.append(_Round(self._keys, self._budget))
            fresh = self._sides[direction] = rounds[place].sides[direction]
            fresh.begin(side.at)
            for data, time in items:
                if isinstance(data, bytes):
                    fresh.feed(data, time)
                else:
                    fresh.gap(data, time)
        while all(side not in rounds[0].sides for side in self._sides) and not rounds[0].shared.out:
            del rounds[0]


class _Round:
    """One session of a connection."""

    __slots__ = ("shared", "sides")

    def __init__(self, keys: KeyLog | None, budget: Budget) -> None:
        self.shared = Shared(keys, budget)
        one, other = self.sides = (Side(self.shared, 0), Side(self.shared, 1))
        one.peer, other.peer = other, one
