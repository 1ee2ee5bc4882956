"""Link layers and IP: the same TCP segment in every wrapping, and headers that lie."""

import struct

import pytest
from craft import (
    ACK,
    CLIENT_IP,
    SERVER_IP,
    SYN,
    both_ways,
    ethernet,
    ipv4,
    ipv6,
    of_kind,
    read,
    sent,
    tcp,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from blynkscope.protocol import limits
from blynkscope.sources.packets import LINK_TYPES, PacketReader, address_name
from blynkscope.wire.events import Data, Gap, Opened

V6_CLIENT, V6_SERVER = bytes.fromhex("20010db8" + "00" * 11 + "01"), bytes.fromhex("20010db8" + "00" * 11 + "02")
DATA = b"\x14\0\2\0\6vw\x001\x002"
SNAP = b"\xaa\xaa\x03\0\0\0"
SEGMENT = tcp(50000, 8080, 1001, 1, ACK, DATA)
HELLO = tcp(50000, 8080, 1000, 0, SYN)


def v4(segment, **changes):
    return ipv4(CLIENT_IP, SERVER_IP, segment, **changes)


def v6(segment, **changes):
    return ipv6(V6_CLIENT, V6_SERVER, segment, **changes)


def packets(*bodies, step=0.1):
    return [(1000.0 + number * step, body, len(body)) for number, body in enumerate(bodies)]


def wifi(payload, *, control=0x08, flags=0x01, extra=b""):
    return bytes([control, flags]) + bytes(22) + extra + SNAP + b"\x08\0" + payload


def radiotap(payload, head=b"\0\0\x08\0\0\0\0\0"):
    return head + payload


WRAPPINGS = {
    "ethernet": (1, ethernet),
    "vlan": (1, lambda ip: ethernet(b"\0\5\x08\0" + ip, 0x8100)),
    "qinq": (1, lambda ip: ethernet(b"\0\5\x81\0\0\6\x08\0" + ip, 0x88A8)),
    "old-qinq": (1, lambda ip: ethernet(b"\0\5\x91\0\0\6\x08\0" + ip, 0x9100)),
    "pppoe": (1, lambda ip: ethernet(b"\x11\0\0\1" + struct.pack(">H", len(ip) + 2) + b"\0\x21" + ip, 0x8864)),
    "802.3-snap": (1, lambda ip: ethernet(SNAP + b"\x08\0" + ip, len(ip) + 8)),
    "padded": (1, lambda ip: ethernet(ip) + bytes(20)),
    "null-little": (0, lambda ip: struct.pack("<I", 2) + ip),
    "null-big": (0, lambda ip: struct.pack(">I", 2) + ip),
    "loop": (108, lambda ip: struct.pack(">I", 2) + ip),
    "ppp": (9, lambda ip: b"\xff\x03\0\x21" + ip),
    "ppp-short": (9, lambda ip: b"\0\x21" + ip),
    "raw": (101, lambda ip: ip),
    "raw-12": (12, lambda ip: ip),
    "raw-14": (14, lambda ip: ip),
    "ipv4": (228, lambda ip: ip),
    "sll": (113, lambda ip: bytes(14) + b"\x08\0" + ip),
    "sll2": (276, lambda ip: b"\x08\0" + bytes(18) + ip),
    "wifi": (105, wifi),
    "wifi-qos": (105, lambda ip: wifi(ip, control=0x88, extra=bytes(2))),
    "wifi-qos-order": (105, lambda ip: wifi(ip, control=0x88, flags=0x81, extra=bytes(6))),
    "wifi-four-addresses": (105, lambda ip: wifi(ip, flags=0x03, extra=bytes(6))),
    "radiotap": (127, lambda ip: radiotap(wifi(ip))),
    "radiotap-flags": (127, lambda ip: radiotap(wifi(ip), struct.pack("<BBHIB", 0, 0, 9, 2, 0x10))),
    "radiotap-tsft": (127, lambda ip: radiotap(wifi(ip), struct.pack("<BBHIQB", 0, 0, 17, 3, 77, 0x10))),
    "radiotap-padded": (127, lambda ip: radiotap(wifi(ip, control=0x88, extra=bytes(4)), struct.pack("<BBHIB", 0, 0, 9, 2, 0x20))),
    "radiotap-two-words": (
        127, lambda ip: radiotap(wifi(ip, control=0x88, extra=bytes(4)), struct.pack("<BBHIIB", 0, 0, 13, 0x80000002, 0, 0x20)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRAPPINGS)
def test_the_same_segment_in_every_wrapping(name):
    link, wrap = WRAPPINGS[name]
    events = both_ways(packets(wrap(v4(HELLO)), wrap(v4(SEGMENT))), link)
    assert of_kind(events, Opened)[0].client == "192.0.2.1:50000"
    assert sent(events, 0) == DATA


@pytest.mark.parametrize(
    ("link", "wrap"),
    [(1, lambda ip: ethernet(ip, 0x86DD)), (229, lambda ip: ip), (101, lambda ip: ip), (9, lambda ip: b"\0\x57" + ip),
     *((0, lambda ip, family=family: struct.pack("<I", family) + ip) for family in (10, 24, 28, 30)),
     (276, lambda ip: b"\x86\xdd" + bytes(18) + ip)],
)  # fmt: skip
def test_version_six_in_its_wrappings(link, wrap):
    events = both_ways(packets(wrap(v6(HELLO)), wrap(v6(SEGMENT))), link)
    assert of_kind(events, Opened)[0].server == "[2001:db8::2]:8080"
    assert sent(events, 0) == DATA


@pytest.mark.parametrize(
    ("link", "body", "reason"),
    [
        (1, ethernet(bytes(28), 0x0806), "other"), (1, ethernet(v4(b"x" * 20, protocol=17)), "other"),
        (1, ethernet(v6(b"x" * 20, following=58), 0x86DD), "other"), (1, bytes(13), "broken"), (1, b"", "broken"),
        (1, ethernet(b"\0\1", 0x8100), "broken"), (1, ethernet(b"", 0x8864), "broken"), (105, wifi(v4(SEGMENT), control=0x80), "other"),
        (105, wifi(v4(SEGMENT), control=0x48), "other"), (105, wifi(v4(SEGMENT), flags=0x41), "encrypted"), (105, b"\x08", "broken"),
        (105, b"\x08\x01" + bytes(22) + b"\x42\x42\x03" + bytes(9), "other"), (127, bytes(4), "broken"), (0, b"\2\0", "broken"),
        (101, b"", "other"), (101, b"\x50" + bytes(60), "other"), (9, b"\xff\x03", "broken"), (113, bytes(10), "broken"),
        (228, v4(SEGMENT, head=0x44), "broken"), (228, v4(SEGMENT, head=0x4F), "broken"), (228, v4(SEGMENT, head=0x65), "broken"),
        (1, ethernet(v4(SEGMENT, head=0x65)), "broken"), (1, ethernet(v6(SEGMENT)[:39], 0x86DD), "broken"),
        (228, v4(SEGMENT, total=19), "broken"), (228, v4(SEGMENT, total=39), "broken"), (228, v4(SEGMENT)[:39], "broken"),
        (228, v4(tcp(1, 2, 0, 0, ACK, b"data", offset=4)), "broken"), (228, v4(tcp(1, 2, 0, 0, ACK, b"data", offset=0)), "broken"),
        (229, v6(b"\x06\x00\x00\x00", following=0), "broken"), (229, v6(bytes(8) * 5000, following=0), "broken"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("behind", [b"", bytes(300), v4(SEGMENT) * 4], ids=["end", "zeros", "packets"])
def test_what_gives_no_segment_is_counted_once(link, body, reason, behind):
    # Behind the packet lies another one in the buffer: it is none of this one's business.
    reader = PacketReader()
    reader.packet(body + behind, (1000.0, link, 0, len(body), len(body)))
    reader.finish()
    assert reader.events == []
    unused = reader.unused
    counts = {"other": unused.other, "broken": unused.broken, "encrypted": unused.encrypted}
    assert counts == {"other": 0, "broken": 0, "encrypted": 0, reason: 1}


def test_an_unknown_link_type_is_counted_by_number():
    reader = read(packets(b"abc", b"def"), link=147)
    assert reader.unused.unknown_link == {147: 2}


def test_a_length_of_zero_is_a_segment_that_the_card_will_cut():
    big = b"x" * 5000
    events = both_ways(packets(ethernet(v4(HELLO)), ethernet(v4(tcp(50000, 8080, 1001, 1, ACK, big), total=0))))
    assert sent(events, 0) == big
    events = both_ways(packets(v6(HELLO), v6(tcp(50000, 8080, 1001, 1, ACK, big), length=0)), 229)
    assert sent(events, 0) == big


def test_padding_is_no_payload():
    events = both_ways(packets(ethernet(v4(HELLO)) + bytes(6), ethernet(v4(tcp(50000, 8080, 1001, 1, ACK))) + bytes(6)))
    assert not of_kind(events, Data)


@pytest.mark.parametrize("keep", range(20, 33))
def test_options_that_the_capture_cut_off(keep):
    options = b"\x01" * 12
    whole = v4(tcp(50000, 8080, 1001, 1, ACK, DATA, options))
    rows = [*packets(v4(HELLO)), (1001.0, whole[: 20 + keep], len(whole))]
    events = both_ways(rows, 228)
    (gap,) = of_kind(events, Gap)
    assert (gap.missing, gap.reason) == (len(DATA), "snaplen")


def test_an_offset_past_the_end_of_a_whole_packet_has_no_payload():
    events = both_ways(packets(v4(HELLO), v4(tcp(50000, 8080, 1001, 1, ACK, b"abcd", offset=15))), 228)
    assert not of_kind(events, Data)
    assert not of_kind(events, Gap)


def test_ip_options():
    events = both_ways(packets(ethernet(v4(HELLO, options=b"\x01" * 8)), ethernet(v4(SEGMENT, options=b"\x01" * 40))))
    assert sent(events, 0) == DATA


# --- extension headers --------------------------------------------------------------------------------------------------


def extension(following, size=8):
    return bytes([following, size // 8 - 1]) + bytes(size - 2)


@pytest.mark.parametrize("kinds", [(0,), (60,), (43,), (0, 60, 43), (51,), (0, 51, 60), (135,), (60,) * 30])
def test_extension_headers_are_stepped_over(kinds):
    chain = b""
    for place, kind in enumerate(kinds):
        following = [*kinds, 6][place + 1]
        chain += bytes([following, 4]) + bytes(22) if kind == 51 else extension(following, 16)
    events = both_ways(packets(v6(chain + HELLO, following=kinds[0]), v6(chain + SEGMENT, following=kinds[0])), 229)
    assert sent(events, 0) == DATA


def test_an_atomic_fragment_is_whole():
    head = bytes([6, 0, 0, 0, 0, 0, 0, 9])
    events = both_ways(packets(v6(head + HELLO, following=44), v6(head + SEGMENT, following=44)), 229)
    assert sent(events, 0) == DATA


# --- fragments ----------------------------------------------------------------------------------------------------------


def pieces(segment, size, ident=7):
    """IPv4 fragments of a segment, in order."""
    starts = range(0, len(segment), size)
    return [
        v4(segment[at : at + size], ident=ident, fragment=at // 8 | (0x2000 if at + size < len(segment) else 0))
        for at in starts
    ]


LONG = bytes(range(256)) * 3
LONG_SEGMENT = tcp(50000, 8080, 1001, 1, ACK, LONG)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([8, 16, 64, 256]), st.randoms(use_true_random=False), st.booleans())
def test_fragments_in_any_order(size, source, twice):
    parts = pieces(LONG_SEGMENT, size) * (2 if twice else 1)
    source.shuffle(parts)
    events = both_ways(packets(v4(HELLO), *parts, step=0.001), 228)
    assert sent(events, 0) == LONG


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_fragments_that_overlap_with_the_same_bytes(data):
    parts = pieces(LONG_SEGMENT, 64)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, (len(LONG_SEGMENT) - 100) // 8)) * 8
        size = data.draw(st.integers(1, 10)) * 8
        extra = v4(LONG_SEGMENT[at : at + size], ident=7, fragment=at // 8 | 0x2000)
        parts.insert(data.draw(st.integers(0, len(parts) - 1)), extra)
    events = both_ways(packets(v4(HELLO), *parts, step=0.001), 228)
    assert sent(events, 0)[: len(LONG)] == LONG


def test_of_fragments_that_contradict_each_other_the_first_wins():
    first, *rest = pieces(LONG_SEGMENT, 256)
    liar = v4(b"\xee" * 256, ident=7, fragment=32 | 0x2000)
    events = both_ways(packets(v4(HELLO), first, rest[0], liar, *rest[1:]), 228)
    assert sent(events, 0) == LONG
    events = both_ways(packets(v4(HELLO), liar, first, *rest), 228)
    assert sent(events, 0) != LONG
    assert len(sent(events, 0)) == len(LONG)


def test_fragments_of_two_datagrams_do_not_mix():
    other = tcp(50000, 8080, 1001 + len(LONG), 1, ACK, LONG[::-1])
    mixed = [part for pair in zip(pieces(LONG_SEGMENT, 64, 1), pieces(other, 64, 2), strict=True) for part in pair]
    events = both_ways(packets(v4(HELLO), *mixed, step=0.001), 228)
    assert sent(events, 0) == LONG + LONG[::-1]


def test_fragments_that_come_too_late_are_counted():
    first, *rest = pieces(LONG_SEGMENT, 256)
    rows = packets(v4(HELLO), first, *rest[:-1])
    rows.append((rows[-1][0] + limits.FRAGMENT_SECONDS + 1, rest[-1], len(rest[-1])))
    reader = read(rows, 228)
    assert not of_kind(reader.events, Data)
    assert reader.unused.fragments == len(rest) + 1


def test_many_unfinished_datagrams_are_bounded_and_counted():
    parts = [pieces(LONG_SEGMENT, 256, ident)[0] for ident in range(3000)]
    reader = PacketReader()
    for part in parts:
        reader.packet(part, (1000.0, 228, 0, len(part), len(part)))
        assert len(reader._datagrams) <= limits.FRAGMENTS_MAX
    reader.finish()
    assert reader.unused.fragments == 3000


def test_a_datagram_that_is_too_long_is_no_datagram():
    parts = [v4(b"x" * 800, ident=7, fragment=8191 - 50 | 0x2000), v4(b"x" * 800, ident=7, fragment=8191)]
    reader = read(packets(*parts), 228)
    assert reader.unused.other == 2
    assert reader.unused.fragments == 0


@pytest.mark.timeout(60)
@pytest.mark.parametrize("backwards", [False, True])
def test_eight_thousand_fragments_of_one_datagram_do_not_take_for_ever(backwards):
    segment = tcp(50000, 8080, 1001, 1, ACK, b"x" * 65000)
    parts = pieces(segment, 8)
    # The last one first, so that the size is known, and one near the end never.
    parts = [parts[-1], *(parts[-3::-1] if backwards else parts[:-2])]
    reader = read(packets(v4(HELLO), *parts, step=0.0001), 228)
    assert reader.unused.fragments == len(parts)
    assert not of_kind(reader.events, Data)


def test_fragments_of_something_else_are_not_kept():
    part = v4(b"x" * 64, ident=7, fragment=0x2000, protocol=17)
    reader = PacketReader()
    reader.packet(part, (1000.0, 228, 0, len(part), len(part)))
    assert not reader._datagrams
    assert reader.unused.other == 1


def test_version_six_fragments():
    chain = extension(6)
    whole = chain + LONG_SEGMENT
    parts = []
    for at in range(0, len(whole), 128):
        more = at + 128 < len(whole)
        parts.append(v6(struct.pack(">BBHI", 60, 0, at | more, 99) + whole[at : at + 128], following=44))
    events = both_ways(packets(v6(HELLO), *parts[::-1]), 229)
    assert sent(events, 0) == LONG


# --- anything -----------------------------------------------------------------------------------------------------------

starts = st.sampled_from([b"", ethernet(b""), ethernet(b"", 0x86DD), ethernet(b"", 0x8100), ethernet(b"", 0x8864), b"\x08\x01",
                          b"\0\0\x08\0", b"\xff\x03", b"\2\0\0\0", v4(SEGMENT), v6(SEGMENT)])  # fmt: skip


@pytest.mark.parametrize("link", [*LINK_TYPES, 147])
@settings(deadline=None, max_examples=60)
@given(data=st.lists(st.tuples(starts, st.binary(max_size=90), st.integers(0, 200)), min_size=1, max_size=4))
def test_random_packets_never_raise(link, data):
    rows = [(1000.0 + number, head + body, len(head + body) + cut) for number, (head, body, cut) in enumerate(data)]
    both_ways(rows, link)
    one_by_one = read(rows, link, batch=1)
    together = read(rows, link)
    assert one_by_one.events == together.events
    assert one_by_one.unused == together.unused


@pytest.mark.parametrize("name", WRAPPINGS)
def test_a_packet_cut_anywhere(name):
    link, wrap = WRAPPINGS[name]
    whole = wrap(v4(SEGMENT))
    for size in range(len(whole)):
        rows = [*packets(wrap(v4(HELLO))), (1001.0, whole[:size], len(whole))]
        events = both_ways(rows, link)
        assert read(rows, link).unused == read(rows, link, batch=1).unused
        got = sent(events, 0)
        assert DATA.startswith(got)
        assert sum(gap.missing for gap in of_kind(events, Gap)) in {0, len(DATA) - len(got)}


@pytest.mark.parametrize(
    ("address", "port", "name"),
    [(bytes([10, 0, 0, 1]), 80, "10.0.0.1:80"), (bytes(16), 0, "[::]:0"), (V6_CLIENT, 65535, "[2001:db8::1]:65535")],
)
def test_names_of_ends(address, port, name):
    assert address_name(address, port) == name
