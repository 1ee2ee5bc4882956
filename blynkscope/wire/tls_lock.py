"""The keys of one direction of a TLS connection at work: sequence numbers, and what to try where records were lost."""

from __future__ import annotations

import re
from collections.abc import Callable

from blynkscope.protocol import tls
from blynkscope.wire.tls_keying import Found

SEQUENCES_MAX = 512
"""Records that one gap may have swallowed: 8 MiB of full ones, or some seconds of a busy device."""
TRIES_MAX = 16 * 1024
"""Keys and sequence numbers that are tried until a record opens again; each costs some microseconds."""
_BEFORE = 128
"""Bytes kept before a place that is searched: a cipher block and the longest MAC behind it."""

Spare = tuple[str, Found]
"""A phase that the direction may have gone on to, and what opens it."""


class Lock:
    """Opens the records of one direction in their order.

    Args:
        found: What opens them.
        phase: Of TLS 1.3; "application" before.
        spares: Gives what else the direction may have gone on to, where records were lost (TLS 1.3).

    Attributes:
        sequence: Number of the next record.
        doubt: Some records were lost or did not open, so that the next number, or even the key, is not certain.
        proven: Some record had opened before the last doubt began: the key is the right one.
    """

    __slots__ = (
        "_high", "_low", "_spares", "_tries", "_tryable", "doubt", "found", "opener", "phase", "proven", "sequence",
    )  # fmt: skip

    def __init__(self, found: Found, phase: str, spares: Callable[[str, Found], list[Spare]]) -> None:
        self.found, self.phase = found, phase
        self.opener = found.opener
        self.sequence = self._low = self._high = 0
        self.doubt = self.proven = False
        self._spares = spares
        self._tryable: list[Spare] | None = None
        self._tries = TRIES_MAX

    @property
    def exhausted(self) -> bool:
        """Was too much tried in vain?"""
        return self._tries <= 0

    def open(self, kind: int, minor: int, fragment: bytes) -> tuple[int, bytes] | None:
        """The next record; where it does not open it counts all the same."""
        result = self.opener.open(kind, minor, fragment, self.sequence)
        if result is None and self.doubt and not self.opener.once:
            result = self.search(kind, minor, fragment)
        if self.opener.chained:
            self.opener.follow(fragment, sure=result is not None)
        if result is None:
            self.lost(1)
        else:
            self.proved()
        return result

    def search(self, kind: int, minor: int, fragment: bytes) -> tuple[int, bytes] | None:
        """Try all that may have come; a record that opens tells where the direction is."""
        ahead = min(self._high - self._low, SEQUENCES_MAX)
        for sequence in range(self._low, self._low + ahead + 1):
            if self._tries <= 0:
                return None
            self._tries -= 1
            result = self.opener.open(kind, minor, fragment, sequence)
            if result is not None:
                self.sequence = sequence
                return result
        if self._tryable is None:
            self._tryable = self._spares(self.phase, self.found)
        for phase, found in self._tryable:
            for sequence in range(ahead + 1):
                if self._tries <= 0:
                    return None
                self._tries -= 1
                result = found.opener.open(kind, minor, fragment, sequence)
                if result is not None:
                    self.found, self.opener, self.phase, self.sequence = found, found.opener, phase, sequence
                    return result
        return None

    def proved(self) -> None:
        """The next record was opened."""
        self.proven = True
        self.sequence += 1
        if self.doubt:
            self.doubt, self._tryable, self._tries = False, None, TRIES_MAX

    def lost(self, records: int, *, exactly: bool = True) -> None:
        """Records were not opened.

        Args:
            records: How many.
            exactly: False where that is only the most that there can have been.
        """
        if not self.doubt:
            # The number rises without doubt only by records that opened.
            self.proven = self.proven or self.sequence > 0
            self._low = self._high = self.sequence
            self.doubt = True
        self._high += records
        if exactly:
            self.sequence += records

    def joined(self, records: int) -> None:
        """The keys came late, behind this many records, of which some may have had other keys."""
        self.doubt = True
        self.sequence = self._high = records
        self._low = max(0, records - SEQUENCES_MAX)


class Search:
    """Looks for the next record behind a gap that swallowed a header. The keys prove which of the candidates is one.

    Args:
        lock: The keys.
        base: The offset of the first byte that is fed.
        pattern: Matches the front of a header.
    """

    __slots__ = ("_at", "_held", "_lock", "_pattern", "base")

    def __init__(self, lock: Lock, base: int, pattern: re.Pattern[bytes]) -> None:
        self._lock, self.base, self._pattern = lock, base, pattern
        self._held = bytearray()
        self._at = 0

    def feed(self, data: bytes, *, final: bool = False) -> tuple[tuple[int, bytes], int, bytes] | None:
        """The next bytes, or the last ones; gives the first record that opens, the offset behind it, and the rest."""
        lock, opener = self._lock, self._lock.opener
        held = self._held
        held += data
        at = self._at
        while True:
            match = self._pattern.search(held, at)
            if match is None:
                at = max(at, len(held) - 2)
                break
            at = match.start()
            body = at + tls.HEADER_SIZE
            if len(held) < body:
                break
            size = held[at + 3] << 8 | held[at + 4]
            stop = body + size
            if not opener.smallest <= size <= tls.RECORD_MAX:
                at += 1
                continue
            if len(held) < stop:
                if not final:
                    break
                at += 1
                continue
            if opener.chained:
                opener.follow(bytes(held[max(0, at - _BEFORE) : at]))
            fragment = bytes(held[body:stop])
            result = lock.search(held[at], held[at + 2], fragment)
            if result is not None:
                lock.proved()
                if opener.chained:
                    opener.follow(fragment, sure=True)
                return result, self.base + stop, bytes(held[stop:])
            at += 1
        drop = max(0, at - _BEFORE)
        if drop > _BEFORE:
            del held[:drop]
            self.base += drop
            at -= drop
        self._at = at
        return None

    def gap(self, missing: int) -> None:
        """Bytes are missing again."""
        self.base += len(self._held) + missing
        self._held.clear()
        self._at = 0

    @property
    def held(self) -> int:
        """Bytes that are kept."""
        return len(self._held)

    @property
    def seen(self) -> int:
        """The offset behind what was fed."""
        return self.base + len(self._held)
