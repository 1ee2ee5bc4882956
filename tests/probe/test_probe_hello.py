"""ClientHellos made by hand, and the answers of servers however they are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blynkscope.probe.flight import FLIGHT_MAX, Flight
from blynkscope.probe.hello import GROUPS_OLD, SSL_3_0, client_hello
from blynkscope.protocol import tls
from blynkscope.wire.hellos import read_client_hello


def read(wire):
    assert wire[0] == tls.HANDSHAKE
    assert int.from_bytes(wire[3:5], "big") == len(wire) - 5
    assert int.from_bytes(wire[6:9], "big") == len(wire) - 9
    return read_client_hello(wire[9:])


@pytest.mark.parametrize("version", [SSL_3_0, tls.TLS_1_0, tls.TLS_1_1, tls.TLS_1_2])
def test_old_versions(version):
    wire = client_hello(version, [0x2F, 0xC02F], name="blynk.cloud")
    hello = read(wire)
    assert (hello.version, hello.ciphers, hello.versions, hello.session) == (version, [0x2F, 0xC02F], [], b"")
    assert hello.sni == (None if version == SSL_3_0 else b"blynk.cloud")
    assert hello.groups == ([] if version == SSL_3_0 else list(GROUPS_OLD))
    assert bool(hello.signatures) is (version == tls.TLS_1_2)
    assert int.from_bytes(wire[1:3], "big") == min(version, tls.TLS_1_0)


def test_the_new_version():
    hello = read(client_hello(tls.TLS_1_3, [0x1301], groups=[29, 23]))
    assert (hello.version, hello.versions, hello.groups) == (tls.TLS_1_2, [tls.TLS_1_3], [29, 23])
    assert len(hello.session) == 32
    assert 51 in hello.extensions
    all_of_them = read(client_hello(tls.TLS_1_3, [0x1301, 0x2F], older=True))
    assert all_of_them.versions == [tls.TLS_1_3, tls.TLS_1_2, tls.TLS_1_1, tls.TLS_1_0]


@pytest.mark.parametrize(
    ("name", "sni"),
    [
        ("blynk.cloud.", b"blynk.cloud"), ("192.0.2.1", None), ("2001:db8::1", None), ("fe80::1%eth0", None), ("", None),
        (None, None), ("bücher.example", b"xn--bcher-kva.example"), ("a" * 300, None), (".".join(["ä" * 80] * 9), None),
    ],
)  # fmt: skip
def test_server_names(name, sni):
    assert read(client_hello(tls.TLS_1_2, [0x2F], name=name)).sni == sni


def record(kind, content):
    return bytes([kind, 3, 3]) + len(content).to_bytes(2, "big") + content


def message(kind, body):
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


SERVER_HELLO = message(2, b"\3\3" + b"r" * 32 + b"\0" + b"\xc0\x2f" + b"\0")
CHAIN = message(11, b"\0\0\x0a" + b"\0\0\x02ab" + b"\0\0\x02cd")
EXCHANGE = message(12, b"\x03\x00\x1d\x20" + bytes(32))
ANSWER = record(22, SERVER_HELLO + CHAIN[:6]) + record(22, CHAIN[6:] + EXCHANGE) + record(22, message(14, b""))


def facts(flight):
    hello = flight.hello
    return (
        hello.cipher if hello else None, hello.version if hello else None, flight.chain, flight.group, flight.alert,
        flight.foreign, flight.over,
    )  # fmt: skip


@given(st.lists(st.integers(1, 40), max_size=30))
def test_cut_anyhow(sizes):
    whole, cut, at = Flight(), Flight(), 0
    whole.feed(ANSWER)
    for size in sizes:
        cut.feed(ANSWER[at : at + size])
        at += size
    if at < len(ANSWER):
        cut.feed(ANSWER[at:])
    assert facts(cut) == facts(whole) == (0xC02F, 0x0303, [b"ab", b"cd"], 29, None, b"", True)


@given(st.lists(st.binary(max_size=60), max_size=20) | st.binary(max_size=200).map(lambda tail: [ANSWER[:50] + tail]))
def test_nothing_raises(pieces):
    flight = Flight()
    for piece in pieces:
        flight.feed(piece)
    flight.ended()
    assert flight.over
    assert len(flight.foreign) <= 1024


def test_alerts():
    flight = Flight()
    flight.feed(record(21, b"\x02\x28"))
    assert (flight.alert, flight.over, flight.is_tls) == ((2, 40), True, True)
    flight = Flight()
    flight.feed(record(21, b"\x01\x70"))
    assert not flight.over  # a warning that the name is unknown, and the server goes on
    flight.feed(record(22, SERVER_HELLO))
    assert flight.hello.cipher == 0xC02F


@pytest.mark.parametrize("text", [b"HTTP/1.1 400 Bad Request\r\n", b"SSH-2.0-x\r\n", b"\0\0\1\0\xc8", b"\x16"])
def test_what_is_no_tls(text):
    flight = Flight()
    flight.feed(text)
    flight.ended()
    assert flight.foreign == text
    assert not flight.is_tls


def test_an_endless_answer_has_an_end():
    flight, size = Flight(), 0
    flight.feed(record(22, SERVER_HELLO))
    while not flight.over:
        flight.feed(record(22, message(11, bytes(16000))))
        size += 16000
        assert size < 2 * FLIGHT_MAX
