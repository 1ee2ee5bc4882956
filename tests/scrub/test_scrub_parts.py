"""The parts of redaction: placeholders, windows, edits, checksums, masks."""

import re
import struct
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blynkscope.errors import CaptureError
from blynkscope.scrub import vault as vaults
from blynkscope.scrub.checksums import followed, ones_sum
from blynkscope.scrub.edits import Edit, applied, settled
from blynkscope.scrub.matching import Matcher
from blynkscope.scrub.sockets import SocketReader, masked
from blynkscope.scrub.vault import Kind, Vault
from blynkscope.scrub.windows import STEP, Window

KINDS = [Kind.TOKEN, Kind.MAIL, Kind.PASSWORD, Kind.SSID, Kind.HOST, Kind.ADDRESS, Kind.HARDWARE, Kind.CREDENTIALS]


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.binary(min_size=1, max_size=60)), max_size=20))
def test_placeholders_have_the_length_and_stay_the_same(secrets):
    vault = Vault(hosts=True)
    for kind, secret in secrets:
        vault.learn(kind, secret)
    for kind, secret in secrets:
        made = vault.placeholder(kind, secret)
        assert len(made) == len(secret)
        assert vault.placeholder(kind, secret) == made


@given(st.lists(st.from_regex(re.compile(r"[A-Za-z0-9_-]{32}"), fullmatch=True), unique=True, max_size=40))
def test_different_tokens_have_different_placeholders(tokens):
    vault = Vault()
    made = [vault.placeholder(Kind.TOKEN, token.encode()) for token in tokens]
    assert len(set(made)) == len(tokens)
    assert all(re.fullmatch(rb"[A-Za-z0-9_-]{32}", one) for one in made)


def test_forms_of_placeholders():
    vault = Vault(hosts=True)
    assert vault.placeholder(Kind.TOKEN, b"0123456789ABCDEF" * 2) == b"C0DE0001" + b"0" * 24
    assert vault.placeholder(Kind.MAIL, b"a@b.example.org") == b"x@x.mail1xx.xxx"
    assert vault.placeholder(Kind.HOST, b"plants.local") == b"host1x.xxxxx"
    assert vault.placeholder(Kind.HOST, b"FRA1.blynk.cloud") == b"FRA1.blynk.cloud"
    assert vault.placeholder(Kind.ADDRESS, b"192.168.1.20") == b"000.000.0.01"
    assert vault.placeholder(Kind.ADDRESS, b"127.0.0.1") == b"127.0.0.1"
    assert vault.placeholder(Kind.PACKED, b"\x78\x9c") == b"**"
    assert vault.placeholder(Kind.CREDENTIALS, b"Bearer " + b"Zz" * 10) == b"Bearer TOKEN1" + b"x" * 14


def test_a_placeholder_of_an_earlier_run_is_not_given_again():
    vault = Vault()
    old = b"TOKEN1" + b"x" * 26
    vault.learn(Kind.TOKEN, old)
    vault.learn(Kind.TOKEN, b"Zz_9-456789abcdef0123456789abcdE")
    assert vault.placeholder(Kind.TOKEN, b"Zz_9-456789abcdef0123456789abcdE") != old
    assert vault.placeholder(Kind.TOKEN, old) == old


@pytest.mark.parametrize(
    ("address", "new"),
    [
        ("c0a80105", "c0a80001"), ("0a010203", "0a000001"), ("ac110002", "ac110001"), ("08080808", "c6120001"),
        ("7f000001", "7f000001"), ("e00000fb", "e00000fb"), ("ffffffff", "ffffffff"), ("a9fe0102", "a9fe0001"),
        ("20010db8" + "00" * 11 + "05", "20010db8" + "00" * 11 + "01"), ("00" * 15 + "01", "00" * 15 + "01"),
        ("fe80" + "00" * 6 + "0123456789abcdef", "fe80" + "00" * 13 + "01"),
        ("fd12345678900000" + "00" * 7 + "09", "fd" + "00" * 14 + "01"),
    ],
)  # fmt: skip
def test_addresses_keep_their_kind(address, new):
    assert Vault(hosts=True).address(bytes.fromhex(address)).hex() == new


def test_secrets_are_bounded(monkeypatch):
    monkeypatch.setattr(vaults, "SECRETS_MAX", 2)
    vault = Vault()
    vault.learn(Kind.TOKEN, b"secret1")
    vault.learn(Kind.TOKEN, b"secret2")
    with pytest.raises(CaptureError, match="more than 2"):
        vault.learn(Kind.TOKEN, b"secret3")


def test_pieces_of_tokens_are_found():
    vault = Vault()
    token = b"6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"
    vault.learn(Kind.TOKEN, token)
    find = Matcher(vault)
    for start, end in ((0, 32), (0, 8), (5, 20), (24, 32)):
        assert [match[:3] for match in find(b"xx " + token[start:end] + b" y")] == [
            (3, 3 + end - start, (b"c0de0001" + b"0" * 24)[start:end])
        ]
    assert find(token[:7]) == []


def test_common_words_stay():
    vault = Vault()
    vault.learn(Kind.PASSWORD, b"password")
    vault.learn(Kind.SSID, b"garden")
    assert [match[:2] for match in Matcher(vault)(b'"password" gardener garden')] == [(20, 26)]


@pytest.mark.parametrize("seed", range(20))
def test_windows_find_the_same_however_cut(seed):
    random, word = Random(seed), b"needle"
    text = bytearray(b"." * (3 * STEP))
    for _ in range(6):
        place = random.choice([random.randrange(len(text) - 6), STEP - random.randrange(8), 2 * STEP - 3])
        text[place : place + 6] = word
    wanted = {match.start() for match in re.finditer(word, text)}
    found = set()
    window = Window(
        lambda part: [one.span() for one in re.finditer(word, part)], lambda base, _, one: found.add(base + one[0])
    )
    at = 0
    while at < len(text):
        size = random.choice([1, 100, STEP - 1, STEP, 2 * STEP])
        window.feed(bytes(text[at : at + size]))
        at += size
    window.finish()
    assert found == wanted


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 15)), max_size=10))
def test_settled_edits_cover_the_same_and_never_overlap(spans):
    edits = [Edit(start, start + size, b"#" * size, Kind.TOKEN, b"s") for start, size in spans]
    done = settled(edits)
    assert all(one.end <= other.start for one, other in pairwise(done))
    assert all(len(one.new) == one.end - one.start for one in done)
    before = {place for edit in edits for place in range(edit.start, edit.end)}
    assert {place for edit in done for place in range(edit.start, edit.end)} == before
    out = applied(b"." * 60, done)
    assert {place for place, byte in enumerate(out) if byte == 0x23} == before


@given(data=st.binary(min_size=2, max_size=40), other=st.binary(min_size=2, max_size=40))
def test_checksums_follow(data, other):
    size = min(len(data), len(other))
    data, other = data[:size], other[:size]
    value = ~ones_sum(data) & 0xFFFF
    new = followed(value, data, other)
    assert ones_sum(struct.pack(">H", new) + other) in {0xFFFF, 0}


@given(st.binary(max_size=50), st.binary(min_size=4, max_size=4), st.integers(0, 9))
def test_masks(data, mask, phase):
    assert masked(data, mask, phase) == bytes(byte ^ mask[(at + phase) % 4] for at, byte in enumerate(data))


@given(st.binary(max_size=200), st.integers(1, 9))
def test_hostile_sockets_never_raise(data, step):
    seen = []
    reader = SocketReader(0, lambda pieces, part, *_: seen.append((pieces, part)))
    for at in range(0, len(data), step):
        reader.feed(data[at : at + step])
    for pieces, part in seen:
        for piece in pieces:
            assert piece.masked(data[piece.at : piece.at + piece.size]) == part
