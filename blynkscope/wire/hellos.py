"""The messages of a TLS handshake that are read, and the JA4 fingerprint of a client."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from blynkscope.protocol import tls
from blynkscope.protocol.tls_suites import is_grease, suite_name

_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""The random of a ServerHello that asks for another ClientHello (RFC 8446, section 4.1.3)."""
_JA4_VERSIONS = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 0x0002: "s2"}
_NO_HASH = "0" * 12
LIST_MAX = 200
"""Cipher suites, groups and protocols of one hello that are told by name; clients offer some dozens at most."""


class CutError(Exception):
    """A field reaches past the end of its message."""


class _Bytes:
    """Reads fields from the front of bytes."""

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._end = data, 0, len(data)

    def __bool__(self) -> bool:
        return self._at < self._end

    def take(self, size: int) -> bytes:
        if size > self._end - self._at:
            raise CutError
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def part(self, width: int) -> _Bytes:
        """A field behind its length."""
        return _Bytes(self.take(self.number(width)))

    def numbers(self) -> list[int]:
        """All that is left, as numbers of 16 bits."""
        data = self.take((self._end - self._at) // 2 * 2)
        return [data[at] << 8 | data[at + 1] for at in range(0, len(data), 2)]

    def rest(self) -> bytes:
        return self.take(self._end - self._at)


class ClientHello(msgspec.Struct):
    """The fields of a ClientHello that JA4, the fact and the key schedule need.

    `ticket` is True where it asks to resume a session, `tickets` where it does so by a ticket (TLS 1.2), `early` where
    it announces early data.
    """

    version: int
    random: bytes
    session: bytes
    ciphers: list[int]
    extensions: list[int] = []
    versions: list[int] = []
    groups: list[int] = []
    signatures: list[int] = []
    alpn: list[bytes] = []
    sni: bytes | None = None
    ticket: bool = False
    tickets: bool = False

    @property
    def early(self) -> bool:
        """Does early data follow it?"""
        return tls.EXT_EARLY_DATA in self.extensions


class ServerHello(msgspec.Struct):
    """The fields of a ServerHello. `version` is the chosen one; `psk` is the number of the chosen PSK of TLS 1.3."""

    version: int
    random: bytes
    session: bytes
    cipher: int
    compression: int
    extensions: list[int] = []
    psk: int | None = None

    @property
    def retry(self) -> bool:
        """Does it ask for another ClientHello?"""
        return self.random == _RETRY

    @property
    def is_new(self) -> bool:
        """Does it choose TLS 1.3 (or later)?"""
        return self.version >= tls.TLS_1_3


def read_client_hello(body: bytes) -> ClientHello | None:
    """The fields of a ClientHello; None where it is not whole."""
    try:
        return _client_hello(_Bytes(body))
    except CutError:
        return None


def client_hello(body: bytes) -> dict[str, Any]:
    """The detail of a `tls-client-hello`; `error` in it where the message is cut or makes no sense."""
    hello = read_client_hello(body)
    return {"error": "the ClientHello is not whole"} if hello is None else client_detail(hello)


def client_detail(hello: ClientHello) -> dict[str, Any]:
    """The detail of a `tls-client-hello`."""
    versions = [version for version in hello.versions if not is_grease(version)] or [hello.version]
    return {
        "version": tls.version_name(hello.version),
        "versions": [tls.version_name(version) for version in versions[:LIST_MAX]],
        "sni": None if hello.sni is None else _text(hello.sni),
        "ciphers": [suite_name(number) for number in hello.ciphers if not is_grease(number)][:LIST_MAX],
        "alpn": [_text(name) for name in hello.alpn[:LIST_MAX]],
        "groups": [tls.group_name(number) for number in hello.groups if not is_grease(number)][:LIST_MAX],
        "resuming": hello.ticket,
        "ja4": _ja4(hello),
    }


def _client_hello(data: _Bytes) -> ClientHello:
    version = data.number(2)
    random = data.take(tls.RANDOM_SIZE)
    session = data.part(1).rest()
    hello = ClientHello(version, random, session, data.part(2).numbers())
    data.part(1)
    # A session id of TLS 1.3 is a dummy for old middle boxes.
    hello.ticket = bool(session)
    if not data:
        return hello
    extensions = data.part(2)
    while extensions:
        kind = extensions.number(2)
        content = extensions.part(2)
        hello.extensions.append(kind)
        try:
            _client_extension(hello, kind, content)
        except CutError:
            # One that cannot be read counts all the same.
            continue
    if tls.EXT_VERSIONS in hello.extensions:
        hello.ticket = tls.EXT_PRE_SHARED_KEY in hello.extensions
    return hello


def _client_extension(hello: ClientHello, kind: int, content: _Bytes) -> None:
    if kind == tls.EXT_SERVER_NAME:
        hello.sni = b""
        names = content.part(2)
        if names and names.number(1) == 0:
            hello.sni = names.part(2).rest()
    elif kind == tls.EXT_VERSIONS:
        hello.versions = content.part(1).numbers()
    elif kind == tls.EXT_GROUPS:
        hello.groups = content.part(2).numbers()
    elif kind == tls.EXT_SIGNATURES:
        hello.signatures = content.part(2).numbers()
    elif kind == tls.EXT_ALPN:
        names = content.part(2)
        while names:
            hello.alpn.append(names.part(1).rest())
    elif kind == tls.EXT_TICKET and content:
        hello.ticket = hello.tickets = True


def _ja4(hello: ClientHello) -> str:
    """The fingerprint as FoxIO specifies it (JA4 of TLS over TCP)."""
    ciphers = [number for number in hello.ciphers if not is_grease(number)]
    extensions = [number for number in hello.extensions if not is_grease(number)]
    versions = [version for version in hello.versions if not is_grease(version)] or [hello.version]
    first = hello.alpn[0] if hello.alpn else b""
    ends = (first[:1] + first[-1:]).decode("latin-1")
    if not first:
        alpn = "00"
    elif ends.isascii() and ends.isalnum():
        alpn = ends
    else:
        alpn = first.hex()[0] + first.hex()[-1]
    head = (
        f"t{_JA4_VERSIONS.get(max(versions), '00')}{'i' if hello.sni is None else 'd'}"
        f"{min(len(ciphers), 99):02}{min(len(extensions), 99):02}{alpn}"
    )
    hashed = sorted(number for number in extensions if number not in {tls.EXT_SERVER_NAME, tls.EXT_ALPN})
    signatures = [number for number in hello.signatures if not is_grease(number)]
    tail = _listed(hashed) + (f"_{_listed(signatures)}" if signatures else "")
    return f"{head}_{_hash(_listed(sorted(ciphers)))}_{_hash(tail) if extensions else _NO_HASH}"


def _listed(numbers: list[int]) -> str:
    return ",".join(f"{number:04x}" for number in numbers)


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12] if text else _NO_HASH


def read_server_hello(body: bytes) -> ServerHello | None:
    """The fields of a ServerHello; None where it is not whole."""
    data = _Bytes(body)
    try:
        hello = ServerHello(
            data.number(2), data.take(tls.RANDOM_SIZE), data.part(1).rest(), data.number(2), data.number(1)
        )
    except CutError:
        return None
    try:
        held = data.part(2) if data else data
        while held:
            kind, content = held.number(2), held.part(2)
            hello.extensions.append(kind)
            if kind == tls.EXT_VERSIONS:
                hello.version = content.number(2)
            elif kind == tls.EXT_PRE_SHARED_KEY:
                hello.psk = 0
                hello.psk = content.number(2)
    except CutError:
        pass  # what stands before the damage counts
    return hello


def server_hello(body: bytes) -> dict[str, Any]:
    """The detail of a `tls-server-hello`; `error` in it where the message is cut."""
    hello = read_server_hello(body)
    return {"error": "the ServerHello is not whole"} if hello is None else server_detail(hello)


def server_detail(hello: ServerHello) -> dict[str, Any]:
    """The detail of a `tls-server-hello`; `resumed` is None where only what follows tells (TLS 1.2 and before)."""
    return {
        "version": tls.version_name(hello.version),
        "cipher": suite_name(hello.cipher),
        "resumed": tls.EXT_PRE_SHARED_KEY in hello.extensions if hello.is_new else None,
        "retry": hello.retry,
    }


def extensions(body: bytes) -> list[int]:
    """The kinds of extensions in an EncryptedExtensions message, as far as it can be read."""
    kinds: list[int] = []
    try:
        held = _Bytes(body).part(2)
        while held:
            kinds.append(held.number(2))
            held.part(2)
    except CutError:
        pass  # those before the damage count
    return kinds


def certificates(body: bytes, *, new: bool = False) -> list[bytes]:
    """The chain of a Certificate message, as far as it can be read, the sender's own first; `new` is TLS 1.3."""
    chain: list[bytes] = []
    try:
        data = _Bytes(body)
        if new:
            data.part(1)
        held = data.part(3)
        while held:
            chain.append(held.part(3).rest())
            if new:
                held.part(2)
    except CutError:
        pass  # those before the damage count
    return chain


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
