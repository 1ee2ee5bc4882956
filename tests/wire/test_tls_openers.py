"""Protection that no OpenSSL of today speaks: records made here, opened by the same keys."""

import hmac
import warnings

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers import algorithms as old
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from blynkscope.protocol import tls
from blynkscope.protocol.tls_suites import suite_name, suite_of
from blynkscope.wire.tls_keys import Keys, prf
from blynkscope.wire.tls_records import UnsupportedError, opener_of

BLOCKS = {
    0x000A: ("TripleDES", 8),
    0x0009: ("TripleDES", 8),
    0x0007: ("IDEA", 8),
    0x0096: ("SEED", 16),
    0x0041: ("Camellia", 16),
}


def mac(key, digest, sequence, minor, content):
    head = sequence.to_bytes(8, "big") + bytes([23, 3, minor]) + len(content).to_bytes(2, "big")
    return hmac.digest(key, head + content, digest)


@pytest.mark.parametrize("number", BLOCKS)
@pytest.mark.parametrize("version", [tls.TLS_1_0, tls.TLS_1_1])
def test_old_block_ciphers(number, version):
    suite, (name, block) = suite_of(number), BLOCKS[number]
    minor = version & 0xFF
    first = bytes(range(block)) if version == tls.TLS_1_0 else b""
    keys = Keys(b"m" * 20, bytes(range(7, 7 + suite.key_size)), first)
    key = keys.key * 3 if suite.cipher == "DES" else keys.key
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cipher = Cipher(getattr(old, name)(key), modes.CBC(first or bytes(block)))
            cipher.encryptor()
    except UnsupportedAlgorithm:
        with pytest.raises(UnsupportedError, match=suite.name):
            opener_of(suite, version, keys)
        return
    encrypt = cipher.encryptor().update
    opener = opener_of(suite, version, keys)
    for sequence, content in enumerate((b"first", b"", b"x" * 100)):
        plain = content + mac(keys.mac, suite.mac, sequence, minor, content)
        padding = block - len(plain) % block
        plain += bytes([padding - 1]) * padding
        fragment = encrypt(plain if first else bytes(block) + plain)
        assert opener.open(23, minor, fragment, sequence + 1) is None
        assert opener.open(23, minor, fragment, sequence) == (23, content)
        opener.follow(fragment, sure=True)


def test_rc4():
    suite = suite_of(0x0005)
    keys = Keys(b"m" * 20, bytes(range(16)), b"")
    encrypt = Cipher(old.ARC4(keys.key), None).encryptor().update
    opener = opener_of(suite, tls.TLS_1_2, keys)
    assert opener.once
    for sequence, content in enumerate((b"first", b"", b"x" * 100)):
        fragment = encrypt(content + mac(keys.mac, "sha1", sequence, 3, content))
        assert opener.open(23, 3, fragment, sequence) == (23, content)
        opener.follow(fragment, sure=True)
    opener.follow(b"")
    assert opener.open(23, 3, bytes(40), 3) is None


@pytest.mark.parametrize("number", [0x0003, 0x0008, 0x0081, 0x00C6, 0xC103, 0xFFFF, 0x0A0A, 0x00FF, 0x5600])
def test_suites_that_cannot_be_opened(number):
    assert suite_of(number) is None


def test_every_name_is_understood_or_left():
    modes_found = set()
    for number in range(0x10000):
        suite = suite_of(number)
        if suite is not None:
            assert suite.name == suite_name(number)
            assert suite.key_size in {0, 8, 16, 24, 32}
            modes_found.add((suite.cipher, suite.mode))
    assert {
        ("AES", "GCM"),
        ("AES", "CCM"),
        ("AES", "CCM_8"),
        ("AES", "CBC"),
        ("CHACHA20", "POLY1305"),
        ("NULL", "STREAM"),
    } <= modes_found
    assert suite_of(0x1302).is_new
    assert suite_of(0x1302).hash == "sha384"
    assert not suite_of(0xC02F).is_new


def test_the_published_vector_of_the_prf():
    """The vector for SHA-256 that the IETF's TLS list published with RFC 5246."""
    secret = bytes.fromhex("9bbe436ba940f017b17652849a71db35")
    seed = bytes.fromhex("a0ba9f936cda311827a6f796ffd5198c")
    out = prf(tls.TLS_1_2, "sha256", secret, b"test label", seed, 100)
    assert out[:16].hex() == "e3f229ba727be17b8d122620557cd453"
