"""DNS datagrams among packets become events; all other UDP stays what it was."""

import struct

import pytest
from captures_of import CAPTURES
from craft import CLIENT_IP, SERVER_IP, both_ways, ethernet, ipv4, ipv6, read
from hypothesis import given
from hypothesis import strategies as st
from readers import datagrams_of

from blynkscope.sources import CaptureSource
from blynkscope.wire.dns import parse
from blynkscope.wire.events import Datagram

V6_CLIENT, V6_SERVER = bytes.fromhex("20010db8" + "00" * 11 + "01"), bytes.fromhex("20010db8" + "00" * 11 + "02")
PAYLOAD = b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\5blynk\5cloud\0\0\1\0\1"


def udp(source, target, data, length=None):
    return struct.pack(">HHHH", source, target, 8 + len(data) if length is None else length, 0) + data


def v4(segment, **changes):
    return ethernet(ipv4(CLIENT_IP, SERVER_IP, segment, protocol=17, **changes))


def packets(*bodies):
    return [(1000.0 + number, body, len(body)) for number, body in enumerate(bodies)]


def test_questions_and_answers():
    events = both_ways(packets(v4(udp(50053, 53, PAYLOAD)), v4(udp(53, 50053, PAYLOAD)), v4(udp(53, 53, b""))))
    assert events == [
        Datagram(1000.0, "192.0.2.1:50053", "192.0.2.2:53", PAYLOAD),
        Datagram(1001.0, "192.0.2.1:53", "192.0.2.2:50053", PAYLOAD),
        Datagram(1002.0, "192.0.2.1:53", "192.0.2.2:53", b""),
    ]


def test_version_six_with_extension_headers():
    options = bytes([17, 0, 1, 4, 0, 0, 0, 0])
    for body in (
        ipv6(V6_CLIENT, V6_SERVER, udp(50053, 53, PAYLOAD), 17),
        ipv6(V6_CLIENT, V6_SERVER, options + udp(50053, 53, PAYLOAD), 60),
    ):
        events = both_ways(packets(ethernet(body, 0x86DD)))
        assert events == [Datagram(1000.0, "[2001:db8::1]:50053", "[2001:db8::2]:53", PAYLOAD)]


@pytest.mark.parametrize(
    ("length", "kept"), [(None, PAYLOAD), (8 + 12, PAYLOAD[:12]), (0, PAYLOAD), (7, PAYLOAD), (9000, PAYLOAD)]
)
def test_the_length_of_the_datagram(length, kept):
    assert [event.data for event in both_ways(packets(v4(udp(50053, 53, PAYLOAD, length))))] == [kept]


def test_padding_and_cut_packets():
    whole = v4(udp(50053, 53, PAYLOAD))
    assert both_ways([(1.0, whole + bytes(20), len(whole) + 20)])[0].data == PAYLOAD
    for size in range(42, len(whole)):
        assert both_ways([(1.0, whole[:size], len(whole))])[0].data == PAYLOAD[: size - 42]


@pytest.mark.parametrize(
    "body",
    [v4(udp(50053, 5353, PAYLOAD)), v4(b""), v4(udp(50053, 53, PAYLOAD)[:7]), v4(udp(50053, 53, PAYLOAD), fragment=0x2000),
     ethernet(ipv6(V6_CLIENT, V6_SERVER, b"\0\x35", 17), 0x86DD)],
)  # fmt: skip
def test_other_datagrams_are_passed_over_and_count_as_nothing_lost(body):
    reader = read(packets(body))
    assert reader.events == []
    assert (reader.unused.other, reader.unused.broken, reader.unused.fragments) == (1, 0, 0)


@given(st.binary(max_size=80), st.integers(0, 0xFFFF))
def test_any_datagram(data, length):
    (event,) = both_ways(packets(v4(udp(53, 1, data, length))))
    assert data.startswith(event.data)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("dns_nxdomain", [("blynk-cloud.com", False, "NOERROR", ()), ("blynk-cloud.com", True, "NXDOMAIN", ())] * 3),
        ("dns_unanswered", [("blynk-cloud.com", False, "NOERROR", ())] * 3),
        ("dns_then_no_answer", [("ny3.blynk.cloud", False, "NOERROR", ()), ("ny3.blynk.cloud", True, "NOERROR", ("198.51.100.20",))]),
    ],
)  # fmt: skip
def test_the_made_captures(name, said):
    path = CAPTURES / "made" / f"{name}.pcap"
    answers = [parse(event.data) for event in datagrams_of(path)]
    assert [(one.question, one.is_response, one.rcode, one.addresses) for one in answers] == said
    with path.open("rb") as stream:
        source = CaptureSource(stream, path.name)
        assert list(source)
    assert source.lost == {}
