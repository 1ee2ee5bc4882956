"""The key schedules of TLS: from a secret of the key log to the keys of one direction (RFC 2246, 5246, 7627, 8446)."""

from __future__ import annotations

import hashlib
import hmac

import msgspec

from blynkscope.protocol import tls
from blynkscope.protocol.tls_suites import Suite
from blynkscope.wire.hellos import ServerHello

BLOCKS = {"3DES": 8, "DES": 8, "IDEA": 8}
"""Block sizes in bytes of the ciphers whose blocks are not 16."""
NONCE_SIZE = 12


class Keys(msgspec.Struct, frozen=True):
    """What protects the records of one direction; `mac` is empty for AEAD suites."""

    mac: bytes
    key: bytes
    iv: bytes


def prf(version: int, digest: str, secret: bytes, label: bytes, seed: bytes, size: int) -> bytes:
    """The pseudo-random function of TLS 1.2 (with `digest`), or of 1.0 and 1.1 (with MD5 and SHA-1)."""
    if version >= tls.TLS_1_2:
        return _expand(digest, secret, label + seed, size)
    half = (len(secret) + 1) // 2
    first = _expand("md5", secret[:half], label + seed, size)
    second = _expand("sha1", secret[len(secret) - half :], label + seed, size)
    return bytes(a ^ b for a, b in zip(first, second, strict=True))


def _expand(digest: str, secret: bytes, seed: bytes, size: int) -> bytes:
    out, link = b"", seed
    while len(out) < size:
        link = hmac.digest(secret, link, digest)
        out += hmac.digest(secret, link + seed, digest)
    return out[:size]


def master_secret(version: int, suite: Suite, premaster: bytes, randoms: bytes, transcript: bytes | None) -> bytes:
    """The master secret of a premaster secret.

    Args:
        version: That of the connection.
        suite: The chosen suite.
        premaster: The premaster secret.
        randoms: Client's and server's random.
        transcript: The handshake messages up to ClientKeyExchange where the extended master secret is in use.
    """
    if transcript is None:
        return prf(version, suite.hash, premaster, b"master secret", randoms, tls.MASTER_SIZE)
    if version >= tls.TLS_1_2:
        seed = hashlib.new(suite.hash, transcript).digest()
    else:
        seed = b"".join(hashlib.new(name, transcript).digest() for name in ("md5", "sha1"))
    return prf(version, suite.hash, premaster, b"extended master secret", seed, tls.MASTER_SIZE)


def connection_keys(suite: Suite, server: ServerHello, client_random: bytes, master: bytes) -> tuple[Keys, Keys]:
    """The keys of the client's and the server's records, TLS 1.0 to 1.2."""
    mac = hashlib.new(suite.mac).digest_size if suite.mac else 0
    if suite.mode == "CBC":
        iv = BLOCKS.get(suite.cipher, 16) if server.version == tls.TLS_1_0 else 0
    else:
        iv = {"POLY1305": NONCE_SIZE, "STREAM": 0}.get(suite.mode, 4)
    sizes = (mac, mac, suite.key_size, suite.key_size, iv, iv)
    seed = server.random + client_random
    block = prf(server.version, suite.hash, master, b"key expansion", seed, sum(sizes))
    parts, at = [], 0
    for size in sizes:
        parts.append(block[at : at + size])
        at += size
    return Keys(parts[0], parts[2], parts[4]), Keys(parts[1], parts[3], parts[5])


def traffic_keys(suite: Suite, secret: bytes) -> Keys:
    """The keys of a traffic secret, TLS 1.3."""
    key = _expand_label(suite.hash, secret, b"key", suite.key_size)
    return Keys(b"", key, _expand_label(suite.hash, secret, b"iv", NONCE_SIZE))


def next_secret(suite: Suite, secret: bytes) -> bytes:
    """The traffic secret behind a KeyUpdate."""
    return _expand_label(suite.hash, secret, b"traffic upd", len(secret))


def _expand_label(digest: str, secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label without a context (RFC 8446, section 7.1); what is asked for never exceeds two turns."""
    label = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0"
    out, link, turn = b"", b"", 1
    while len(out) < size:
        link = hmac.digest(secret, link + info + bytes([turn]), digest)
        out += link
        turn += 1
    return out[:size]
