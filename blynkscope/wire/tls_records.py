"""The protection of TLS records, by suite: one opener for the keys of one direction.

An opener is asked with a record's type, the minor number of its version, its fragment and the sequence number; it
answers with the type and the content that were protected, or None where the record does not prove to be genuine.
"""

from __future__ import annotations

import hmac
import struct
import warnings
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

from blynkscope.protocol import tls
from blynkscope.protocol.tls_suites import Suite
from blynkscope.wire.tls_keys import BLOCKS, Keys

_TAGS = {"GCM": 16, "CCM": 16, "CCM_8": 8, "POLY1305": 16}
_EXPLICIT = 8
"""Bytes of the nonce that TLS 1.2 puts in front of a GCM or CCM record."""
_OLD_HEAD, _NEW_HEAD = struct.Struct(">QBBBH").pack, struct.Struct(">BBBH").pack
"""What is authenticated with a record, before TLS 1.3 and since: (sequence number,) type, version, length."""


class UnsupportedError(Exception):
    """The suite is not one that can be opened here; the text says why."""


class Opener(Protocol):
    """Opens the records of one direction.

    Attributes:
        smallest: Bytes of the smallest fragment.
        overhead: What a fragment is longer than its content, where that is always the same number of bytes.
        chained: Whether a record needs the bytes before it (TLS 1.0, RC4).
        once: Whether a record can be tried only once (RC4).
    """

    smallest: int
    overhead: int | None
    chained: bool
    once: bool

    def open(self, kind: int, minor: int, fragment: bytes, sequence: int) -> tuple[int, bytes] | None:
        """The type and content of a record."""

    def follow(self, before: bytes, *, sure: bool = False) -> None:
        """The bytes just before the next record, b"" where none is known; `sure` where they proved to be genuine."""


class _Aead:
    chained = once = False

    def __init__(self, cipher: Any, iv: bytes, tag: int) -> None:
        self._decrypt = cipher.decrypt
        self._salt = iv
        self._iv = int.from_bytes(iv, "big")
        self._tag = tag
        self.smallest: int = tag
        self.overhead: int | None = tag

    def follow(self, before: bytes, *, sure: bool = False) -> None:
        """Each record stands for itself."""


class ExplicitNonce(_Aead):
    """GCM and CCM in TLS 1.2 (RFC 5288, 6655)."""

    def __init__(self, cipher: Any, iv: bytes, tag: int) -> None:
        super().__init__(cipher, iv, tag)
        self.smallest = self.overhead = tag + _EXPLICIT

    def open(self, kind: int, minor: int, fragment: bytes, sequence: int) -> tuple[int, bytes] | None:
        """See `Opener`."""
        size = len(fragment) - self.smallest
        if size < 0:
            return None
        head = _OLD_HEAD(sequence, kind, 3, minor, size)
        try:
            return kind, self._decrypt(self._salt + fragment[:_EXPLICIT], fragment[_EXPLICIT:], head)
        except InvalidTag:
            return None


class ImplicitNonce(_Aead):
    """ChaCha20-Poly1305 in TLS 1.2 (RFC 7905)."""

    def open(self, kind: int, minor: int, fragment: bytes, sequence: int) -> tuple[int, bytes] | None:
        """See `Opener`."""
        size = len(fragment) - self._tag
        if size < 0:
            return None
        head = _OLD_HEAD(sequence, kind, 3, minor, size)
        try:
            return kind, self._decrypt((self._iv ^ sequence).to_bytes(12, "big"), fragment, head)
        except InvalidTag:
            return None


class Inner(_Aead):
    """All suites of TLS 1.3: the content is followed by its true type, and by padding (RFC 8446, section 5.2)."""

    def __init__(self, cipher: Any, iv: bytes, tag: int) -> None:
        super().__init__(cipher, iv, tag)
        self.smallest, self.overhead = tag + 1, None

    def open(self, kind: int, minor: int, fragment: bytes, sequence: int) -> tuple[int, bytes] | None:
        """See `Opener`; type 0 for a record that is padding alone."""
        size = len(fragment)
        if size < self.smallest or kind != tls.APPLICATION_DATA:
            return None
        head = _NEW_HEAD(kind, 3, minor, size)
        try:
            plain = self._decrypt((self._iv ^ sequence).to_bytes(12, "big"), fragment, head)
        except InvalidTag:
            return None
        if not plain[-1]:
            plain = plain.rstrip(b"\0")
            if not plain:
                return 0, b""
        return plain[-1], plain[:-1]


class _Macced:
    def __init__(self, key: bytes, digest: str) -> None:
        self._key, self._digest = key, digest
        self._mac = len(hmac.digest(key, b"", digest))

    def _genuine(self, kind: int, minor: int, content: bytes, mac: bytes, sequence: int) -> bool:
        head = _OLD_HEAD(sequence, kind, 3, minor, len(content))
        return hmac.digest(self._key, head + content, self._digest) == mac


class Cbc(_Macced):
    """Block ciphers, with the MAC inside (RFC 5246) or outside (RFC 7366).

    In decryption by CBC a block needs only the one before it: one cipher object goes through all records, and what it
    makes of a block without its predecessor is thrown away.

    Args:
        cipher: A cipher in CBC mode with any IV.
        block: Its block size in bytes.
        keys: The keys of the direction; a MAC key, and in TLS 1.0 the IV.
        digest: The hash of the MAC.
        outside: Encrypt-then-MAC.
    """

    def __init__(self, cipher: Any, block: int, keys: Keys, digest: str, *, outside: bool) -> None:
        super().__init__(keys.mac, digest)
        self._update = cipher.decryptor().update
        self._block = block
        self._before = keys.iv
        self._sure = True
        self._outside = outside
        self.chained, self.once = bool(keys.iv), False
        inside = block if outside else (self._mac // block + 1) * block
        self.smallest = inside + (0 if self.chained else block) + (self._mac if outside else 0)
        self.overhead: int | None = None

    def follow(self, before: bytes, *, sure: bool = False) -> None:
        """See `Opener`."""
        if self.chained:
            self._sure = sure
            if self._outside:
                before = before[: max(0, len(before) - self._mac)]
            self._before = before[-self._block :] if len(before) >= self._block else b""

    def open(self, kind: int, minor: int, fragment: bytes, sequence: int) -> tuple[int, bytes] | None:
        """See `Opener`."""
        if len(fragment) < self.smallest:
            return None
        if self._outside:
            fragment, mac = fragment[: -self._mac], fragment[-self._mac :]
            if not self._genuine(kind, minor, fragment, mac, sequence):
                return None
        if len(fragment) % self._block or (self.chained and not self._before):
            return None
        plain = self._update(self._before + fragment)[self._block :]
        padding = plain[-1] + 1
        end = len(plain) - padding
        if end < 0 or plain[end:] != plain[-1:] * padding:
            return None
        if self._outside:
            if not self._sure:
                # A MAC outside does not cover the block in front of the record, on which the first block depends.
                return (kind, plain[self._block : end]) if kind == tls.APPLICATION_DATA else (tls.HEARTBEAT, b"")
            return kind, plain[:end]
        at = end - self._mac
        if at < 0 or not self._genuine(kind, minor, plain[:at], plain[at:end], sequence):
            return None
        return kind, plain[:at]


class Stream(_Macced):
    """RC4, and suites that do not encrypt at all."""

    def __init__(self, cipher: Any | None, keys: Keys, digest: str) -> None:
        super().__init__(keys.mac, digest)
        self._update = None if cipher is None else cipher.decryptor().update
        self.chained = self.once = cipher is not None
        self.smallest: int = self._mac
        self.overhead: int | None = self._mac
        self._known = True

    def follow(self, before: bytes, *, sure: bool = False) -> None:
        """See `Opener`: RC4 cannot go on where bytes are missing."""
        self._known = self._known and bool(before)

    def open(self, kind: int, minor: int, fragment: bytes, sequence: int) -> tuple[int, bytes] | None:
        """See `Opener`."""
        if not self._known and self.chained:
            return None
        plain = fragment if self._update is None else self._update(fragment)
        at = len(plain) - self._mac
        if at < 0 or not self._genuine(kind, minor, plain[:at], plain[at:], sequence):
            return None
        return kind, plain[:at]


def opener_of(suite: Suite, version: int, keys: Keys, *, outside: bool = False) -> Opener:
    """What opens the records of a direction.

    Args:
        suite: The chosen suite.
        version: That of the connection.
        keys: The keys of the direction.
        outside: Whether encrypt-then-MAC was agreed on.

    Raises:
        UnsupportedError: Nothing here can open this suite.
    """
    try:
        # cryptography warns of old ciphers; those of a recording are not ours to choose.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _opener(suite, version, keys, outside=outside)
    except (UnsupportedAlgorithm, ValueError) as error:
        raise UnsupportedError(f"{suite.name}: {suite.cipher} is not in the installed cryptography library") from error


def _opener(suite: Suite, version: int, keys: Keys, *, outside: bool) -> Opener:
    if suite.mode in _TAGS:
        tag = _TAGS[suite.mode]
        cipher: Any
        if suite.cipher == "CHACHA20":
            cipher = ChaCha20Poly1305(keys.key)
        elif suite.cipher != "AES":
            raise UnsupportedError(f"{suite.name}: {suite.cipher} with {suite.mode} is not supported")
        elif suite.mode == "GCM":
            cipher = AESGCM(keys.key)
        else:
            cipher = AESCCM(keys.key, tag_length=tag)
        if version >= tls.TLS_1_3:
            return Inner(cipher, keys.iv, tag)
        return (ImplicitNonce if suite.mode == "POLY1305" else ExplicitNonce)(cipher, keys.iv, tag)
    assert suite.mac is not None
    if suite.cipher == "NULL":
        return Stream(None, keys, suite.mac)
    algorithm = _algorithm(suite, keys.key)
    if suite.mode == "STREAM":
        return Stream(Cipher(algorithm, None), keys, suite.mac)
    block = BLOCKS.get(suite.cipher, 16)
    return Cbc(Cipher(algorithm, modes.CBC(bytes(block))), block, keys, suite.mac, outside=outside)


def _algorithm(suite: Suite, key: bytes) -> Any:
    if suite.cipher == "AES":
        return algorithms.AES(key)
    name = {"3DES": "TripleDES", "DES": "TripleDES", "CAMELLIA": "Camellia", "RC4": "ARC4"}.get(
        suite.cipher, suite.cipher
    )
    try:
        from cryptography.hazmat.decrepit.ciphers import algorithms as old
    except ImportError:
        found = None
    else:
        found = getattr(old, name, None)
    found = found or getattr(algorithms, name, None)
    if found is None or suite.cipher not in {"3DES", "DES", "CAMELLIA", "RC4", "SEED", "IDEA"}:
        raise UnsupportedError(f"{suite.name}: {suite.cipher} is not supported")
    # Triple DES with one key three times is DES.
    return found(key * 3 if suite.cipher == "DES" else key)
