"""The key log: secrets of TLS connections as browsers, OpenSSL and their like write them (`SSLKEYLOGFILE`).

Forms that are understood: `CLIENT_RANDOM`, the labels of TLS 1.3, `PMS_CLIENT_RANDOM`, `RSA` with the first eight bytes
of the encrypted premaster secret, and `RSA Session-ID:… Master-Key:…` of OpenSSL's programs.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from blynkscope.protocol import limits, tls
from blynkscope.wire.tls_budget import Budget

CLIENT_RANDOM, PREMASTER, RSA, SESSION = "CLIENT_RANDOM", "PMS_CLIENT_RANDOM", "RSA", "RSA Session-ID"
_LABELS = frozenset(
    f"{side}_{label}" for side in ("CLIENT", "SERVER") for label in ("HANDSHAKE_TRAFFIC_SECRET", "TRAFFIC_SECRET_0")
) | {"CLIENT_EARLY_TRAFFIC_SECRET", "EARLY_EXPORTER_SECRET", "EXPORTER_SECRET"}
_LATER = re.compile(rb"(?:CLIENT|SERVER)_TRAFFIC_SECRET_(?:N|[1-9]\d{0,5})")
"""Secrets behind a key update, which some programs log; they follow from the first one."""
_LINE = re.compile(rb"([A-Z0-9_]{3,40})[ \t]++([0-9A-Fa-f]{1,128})[ \t]++([0-9A-Fa-f]{2,4096})")
_SESSION = re.compile(rb"RSA[ \t]++Session-ID:([0-9A-Fa-f]{2,64})[ \t]++Master-Key:([0-9A-Fa-f]{96})")
_BEGINS = re.compile(rb"[#\r\n]|(?:CLIENT|SERVER|EXPORTER|EARLY|PMS)_|RSA[ \t]")
_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")
"""Byte order marks, which editors and shells of Windows put at the front."""
_ENCRYPTED_SIZE = 8
LOOK_SECONDS = 0.1
"""Between two looks at files that grow: opening one takes longer than a record, and programs write keys seldom."""

Key = tuple[str, bytes, bytes]
"""Label, what it is found by (mostly a client's random), secret."""


class _Tail:
    """The last line of one file, which is not whole yet."""

    __slots__ = ("overlong", "rest", "usable")

    def __init__(self) -> None:
        self.rest = b""
        self.usable = False
        self.overlong = False


class KeyLog:
    """The secrets of a key log, by what they are found by.

    Args:
        data: Lines; the last one need not be whole.
        more: Gives what was written behind `data` since the last call (a file that is followed); raises nothing.
        given: False where nobody named a key log: lines come from the capture itself, if any do.
        clock: Seconds that only ever rise.

    Attributes:
        unusable: Lines that are none; comments and blank lines are neither.
        edition: Rises with each new secret.
        premasters: Whether any line holds a premaster secret.
        given: Did the user name a key log?
        budget: Counts what all connections with this log hold, where they are given no other.
    """

    def __init__(
        self, data: bytes = b"", *, more: Callable[[], bytes] | None = None, given: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._found: dict[bytes, dict[str, bytes]] = {}
        self._count = 0
        self._complete = 0
        self._own = _Tail()
        self._followed: list[tuple[Callable[[], bytes], _Tail]] = []
        self._clock = clock
        self._looked: float | None = None
        self.unusable = 0
        self.edition = 0
        self.premasters = False
        self.given = given
        self.budget = Budget()
        if data:
            self.add(data)
        if more is not None:
            self._followed.append((more, self._own))

    @property
    def lines(self) -> int:
        """Usable key lines."""
        usable = sum(tail.usable for _, tail in self._followed if tail is not self._own)
        return self._complete + self._own.usable + usable

    @property
    def growing(self) -> bool:
        """May keys be written later, which are worth waiting for?"""
        return bool(self._followed)

    def follow(self, more: Callable[[], bytes]) -> None:
        """Take the lines of one more file, now and as it grows; what `more` gives must raise nothing.

        Each file has a last line of its own: one that is written half does not run into those of other files.
        """
        tail = _Tail()
        self._followed.append((more, tail))
        self._take(tail, more())

    def refresh(self, *, at_once: bool = False) -> bool:
        """Take what was written since, but look at most every `LOOK_SECONDS`; True where it holds a key.

        Args:
            at_once: Look in any case.
        """
        if not self._followed:
            return False
        now = self._clock()
        if not at_once and self._looked is not None and 0 <= now - self._looked < LOOK_SECONDS:
            return False
        self._looked = now
        before = self.edition
        for more, tail in self._followed:
            self._take(tail, more())
        return self.edition != before

    def add(self, data: bytes) -> None:
        """Take more lines; a last one that is not whole is used as far as it can be, and goes on with the next ones."""
        self._take(self._own, data)

    def _take(self, tail: _Tail, data: bytes) -> None:
        if not data:
            return
        # Text in UTF-16, as shells of Windows write it, is the same text with a zero beside each character.
        data = data.replace(b"\0", b"")
        if tail.usable and _BEGINS.match(data):
            data = b"\n" + data
        lines = (tail.rest + data).split(b"\n")
        tail.rest, tail.usable = lines.pop(), False
        for line in lines:
            if tail.overlong:
                tail.overlong = False
                self.unusable += 1
                continue
            self._line(line)
        if len(tail.rest) > limits.KEYLOG_LINE_MAX:
            tail.rest, tail.overlong = b"", True
        elif not tail.overlong and (key := _key(tail.rest)) is not None:
            tail.usable = True
            self._store(key)

    def _line(self, line: bytes) -> None:
        # Very old programs end lines with CR alone.
        for part in line.split(b"\r"):
            key = _key(part) if len(part) <= limits.KEYLOG_LINE_MAX else None
            if key is not None:
                self._complete += 1
                self._store(key)
            elif part.strip() not in {b"", *_MARKS} and not _plain(part).startswith(b"#"):
                self.unusable += 1

    def _store(self, key: Key) -> None:
        label, found_by, secret = key
        if self.secret(label, found_by) == secret:
            return
        self.edition += 1
        if label in {PREMASTER, RSA}:
            self.premasters = True
        self._keep(key)

    def _keep(self, key: Key) -> None:
        label, found_by, secret = key
        held = self._found.setdefault(found_by, {})
        self._count += label not in held
        held[label] = secret
        while self._count > limits.KEYLOG_SECRETS_MAX:
            self._count -= len(self._found.pop(next(iter(self._found))))

    def secret(self, label: str, found_by: bytes) -> bytes | None:
        """A secret by its label and the client's random (`RSA`: the encrypted premaster's front, or a session id)."""
        held = self._found.get(found_by)
        return None if held is None else held.get(label)

    def remember(self, session: bytes, master: bytes) -> None:
        """Keep the master secret of a session that may be resumed by its number, of which no line need tell again."""
        self._store((SESSION, session, master))

    def knows(self, random: bytes) -> bool:
        """Does any line have this random?"""
        return random in self._found


def _plain(line: bytes) -> bytes:
    line = line.strip()
    for mark in _MARKS:
        line = line.removeprefix(mark)
    return line


def _key(line: bytes) -> Key | None:
    line = _plain(line)
    match = _LINE.fullmatch(line)
    if match is None:
        match = _SESSION.fullmatch(line)
        return None if match is None else _hex(SESSION, match[1], match[2])
    key = _hex(match[1].decode(), match[2], match[3])
    if key is None:
        return None
    label, found_by, secret = key
    if label == RSA:
        return key if len(found_by) == _ENCRYPTED_SIZE and len(secret) == tls.MASTER_SIZE else None
    if len(found_by) != tls.RANDOM_SIZE:
        return None
    if label == CLIENT_RANDOM:
        return key if len(secret) == tls.MASTER_SIZE else None
    if label in _LABELS or _LATER.fullmatch(match[1]):
        return key if len(secret) in {32, 48} else None
    return key if label == PREMASTER else None


def _hex(label: str, found_by: bytes, secret: bytes) -> Key | None:
    try:
        return label, bytes.fromhex(found_by.decode()), bytes.fromhex(secret.decode())
    except ValueError:
        return None
