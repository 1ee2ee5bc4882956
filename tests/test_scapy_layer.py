"""The scapy layer: what it builds it dissects, and it cuts bytes as the schema does."""

import doctest
import struct
import subprocess
import sys

import pytest
from captures_of import CAPTURES
from hypothesis import example, given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.packet import Raw, fuzz
from scapy.utils import PcapReader

import blynkscope.scapy as layer
from blynkscope.protocol import commands, derived
from blynkscope.protocol.frames import HEADER_SIZE, Frame, build, parse
from blynkscope.protocol.model import Dialect, Era
from blynkscope.scapy import CHAIN_MAX, Blynk, BlynkApp, BlynkWeb, bind, frames, unbind
from blynkscope.wire.framing import web_message

CLASSES = {Dialect.HARDWARE: Blynk, Dialect.APP: BlynkApp, Dialect.WEB: BlynkWeb}
TOKEN = "6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"
dialects = st.sampled_from(list(Dialect))
codes = st.integers(0, 255)
ids = st.integers(0, 0xFFFF)


@pytest.fixture
def bound():
    bind()
    yield
    unbind()


def test_the_examples_of_the_module():
    assert doctest.testmod(layer).failed == 0


def test_importing_the_package_or_this_layer_binds_nothing_and_shadows_nothing():
    script = (
        "import sys, blynkscope; assert 'scapy' not in sys.modules\n"
        "from scapy.layers.inet import TCP; before = list(TCP.payload_guess)\n"
        "import blynkscope.scapy, scapy.packet; assert TCP.payload_guess == before\n"
        "assert 'scapy.all' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@given(dialects, codes, ids, st.binary(max_size=80), st.integers(0, 0xFFFF))
@example(Dialect.HARDWARE, 20, 0, b"", 0)
def test_it_builds_what_the_schema_builds(dialect, cmd, number, body, status):
    cls = CLASSES[dialect]
    if cmd == commands.RESPONSE:
        packet, frame = cls.response(number, status), Frame(dialect, 0, number, status)
    else:
        packet, frame = cls(cmd=cmd, id=number, body=body), Frame(dialect, cmd, number, None, body)
    wire = bytes(packet)
    assert wire == build(frame)
    again = cls(wire)
    assert bytes(again) == wire
    assert (again.cmd, again.id) == (cmd, number)
    if cmd == commands.RESPONSE:
        assert again.status == status
    else:
        assert again.body == body
        assert dialect is Dialect.WEB or again.length == len(body)
        assert again.decoded == derived.decode_body(cmd, body, dialect)[0]


@given(dialects, st.binary(min_size=1, max_size=120))
@example(Dialect.HARDWARE, b"\0")
@example(Dialect.APP, bytes(6))
@example(Dialect.WEB, bytes(4))
@example(Dialect.HARDWARE, b"\x14\0\1\xff\xff")
def test_hostile_bytes_come_out_as_they_went_in(dialect, data):
    cls = CLASSES[dialect]
    packet = cls(data)
    assert bytes(packet) == data
    packet.summary()
    packet.show2(dump=True)
    pieces = list(frames(data, cls))
    assert b"".join(map(bytes, pieces)) == data
    for piece in pieces:
        if isinstance(piece, cls):
            assert piece.decoded is None or isinstance(piece.decoded, dict)
            assert piece.problem is None or isinstance(piece.problem, str)


@given(st.sampled_from([Dialect.HARDWARE, Dialect.APP]), st.binary(min_size=7, max_size=200))
def test_frames_are_cut_where_the_schema_cuts_them(dialect, data):
    cls, at = CLASSES[dialect], 0
    for packet in frames(data, cls):
        rest = data[at:]
        cmd, _, word = (
            derived.HEADER_STRUCTS[dialect].unpack_from(rest) if len(rest) >= HEADER_SIZE[dialect] else (0, 0, 0)
        )
        if len(rest) < HEADER_SIZE[dialect]:
            assert isinstance(packet, Raw)
        elif cmd and len(rest) < HEADER_SIZE[dialect] + word:
            assert packet.length == word > len(packet.body)
        else:
            frame = parse(rest, dialect)
            assert (packet.cmd, packet.id) == (frame.cmd, frame.id)
            assert (packet.status if cmd == 0 else packet.body) == (frame.status if cmd == 0 else frame.body)
        at += len(bytes(packet))
    assert at == len(data)


@given(st.binary(min_size=7, max_size=60))
def test_a_web_message_is_read_as_the_framing_reads_it(data):
    packet, item = BlynkWeb(data), web_message(data)
    if data[0] and isinstance(packet, BlynkWeb):
        assert (packet.cmd, packet.id, packet.body) == (item.cmd, item.id, item.body)


def test_a_segment_with_several_frames_is_a_chain():
    wires = [
        bytes(one) for one in (Blynk.response(1), Blynk.pm(2, "out"), Blynk.vw(1, "a", 2.5, id=7), Blynk.ping(id=9))
    ]
    packet = Blynk(b"".join(wires))
    chain = [packet.getlayer(Blynk, number) for number in range(1, 5)]
    assert [(one.cmd, one.id) for one in chain] == [(0, 1), (20, 1), (20, 7), (6, 9)]
    assert chain[2].decoded == {"op": "vw", "pins": [{"pin": "V1", "values": ["a", "2.5"]}]}
    assert bytes(packet) == b"".join(wires)
    assert bytes(Blynk.ping(id=1) / Blynk.vw(1, 2)) == bytes(Blynk.ping(id=1)) + bytes(Blynk.vw(1, 2))


def test_a_long_chain_ends_in_raw_bytes_and_frames_takes_all():
    data = b"".join(bytes(Blynk.ping(id=number)) for number in range(5000))
    packet = Blynk(data)
    assert len(packet.layers()) == CHAIN_MAX + 1
    assert packet.lastlayer().name == "Raw"
    assert bytes(packet) == data
    assert [one.id for one in frames(data)] == list(range(5000))


def test_lengths_may_lie():
    assert bytes(Blynk.vw(1, 42, length=9, id=3)) == bytes.fromhex("14 0003 0009 7677 00 31 00 3432")
    assert bytes(Blynk(cmd=20, length=0xFFFF)) == bytes.fromhex("14 0001 ffff")
    assert struct.unpack(">H", bytes(Blynk(cmd=20, body=bytes(70000)))[3:5]) == (0xFFFF,)
    assert bytes(BlynkApp.vw(1, 2, target="1-0"))[:7] == bytes.fromhex("14 0001 0000000a")


def test_constructors_build_what_devices_send():
    assert Blynk(bytes(Blynk.hw_login(TOKEN))).decoded == {"token": TOKEN}
    assert Blynk(bytes(Blynk.internal("ver", "1.3.2", "h-beat", 45))).decoded == {"ver": "1.3.2", "h-beat": "45"}
    assert Blynk(bytes(Blynk.set_property(1, "color", "#ff0000"))).decoded["property"] == "color"
    assert Blynk(bytes(Blynk.redirect("fra1.example", 443))).decoded == {"host": "fra1.example", "port": "443"}
    assert Blynk(bytes(Blynk.sync(1, 4))).decoded == {"op": "vr", "pins": [{"pin": "V1"}, {"pin": "V4"}]}
    assert bytes(Blynk.sync()) == bytes.fromhex("10 0001 0000")
    assert Blynk.vr(1).cmd == Blynk.dw(1, 1).cmd == Blynk.aw(1, 255).cmd == Blynk.of("HARDWARE").cmd == 20
    assert Blynk.response(1, "STA_INVALID_TOKEN").status == 9
    with pytest.raises(ValueError, match="no command is named"):
        Blynk.of("NO_SUCH")


def test_show_names_commands_and_statuses_and_the_summary_masks_secrets():
    assert "MSG_HW" in Blynk.vw(1, 2).show(dump=True)
    assert "STA_INVALID_TOKEN" in Blynk.response(1, 9).show(dump=True)
    assert Blynk.response(1, 99).summary() == "Blynk MSG_RSP id 1 STA_?99"
    assert Blynk.hw_login(TOKEN).summary() == "Blynk MSG_HW_LOGIN id 1 token " + "*" * 32
    assert Blynk.of(200, "x").summary() == "Blynk MSG_?200 id 1 x"
    assert Blynk.of("MSG_HW", b"vw", "1", "\x1b[31m").summary().isprintable()


def test_codes_that_changed_their_meaning_follow_the_era(monkeypatch):
    assert Blynk(cmd=65).row.era is Era.IOT
    monkeypatch.setattr(Blynk, "era", Era.LEGACY)
    assert Blynk(cmd=65).row.era is Era.LEGACY


def test_problems_are_those_of_the_schema():
    assert Blynk.vw(1, 2).problem is None
    assert Blynk.of("MSG_HW", "vw").problem == "vw without a pin"
    assert Blynk.response(1).problem is None


@pytest.mark.parametrize(
    ("request_", "answer", "answers"),
    [
        (Blynk.ping(id=5), Blynk.response(5), 1),
        (Blynk.ping(id=5), Blynk.response(6), 0),
        (Blynk.ping(id=5), BlynkApp.response(5), 0),
        (Blynk.response(5), Blynk.response(5), 0),
        (Blynk.sync(1, id=7), Blynk.vw(1, 42, id=7), 1),
        (Blynk.vw(1, 42, id=7), Blynk.vw(1, 42, id=7), 0),
        (Blynk.internal("rtc", "sync", id=3), Blynk.internal("rtc", 1700000000, id=3), 1),
        (BlynkApp.of("GET_ENERGY", id=3), BlynkApp.of("GET_ENERGY", 2000, id=3), 1),
        (BlynkApp.of("GET_ENERGY", id=3), BlynkApp.of("PING", id=3), 0),
    ],
)
def test_what_answers_what(request_, answer, answers):
    assert answer.answers(request_) == answers
    if answers:
        assert answer.hashret() == request_.hashret()


def test_an_answer_is_found_through_ip_and_tcp(bound):
    request_ = IP(src="192.0.2.1", dst="192.0.2.2") / TCP(sport=50000, dport=8080, flags="PA") / Blynk.ping(id=5)
    answer = IP(src="192.0.2.2", dst="192.0.2.1") / TCP(sport=8080, dport=50000, flags="PA") / Blynk.response(5)
    request_, answer = IP(bytes(request_)), IP(bytes(answer))
    assert answer[Blynk].status == 200
    assert answer.answers(request_)
    assert answer.hashret() == request_.hashret()


@pytest.mark.parametrize(
    "payload", [b"GET /a/get/V0 HTTP/1.1\r\n\r\n", bytes.fromhex("1603010020010000"), b"\x14\0"], ids=repr
)
def test_other_protocols_on_bound_ports_stay_raw(bound, payload):
    packet = IP(bytes(IP() / TCP(sport=50000, dport=8080) / Raw(payload)))
    assert Blynk not in packet
    assert bytes(packet[TCP].payload) == payload


def test_a_recording_is_read_when_the_ports_are_bound(bound):
    with PcapReader(str(CAPTURES / "15b_many_frames_one_segment.pcap")) as reader:
        packets = [packet for packet in reader if Blynk in packet]
    assert packets[0][Blynk].row.name == "MSG_HW_LOGIN"
    assert max(len([one for one in packet.layers() if one is Blynk]) for packet in packets) == CHAIN_MAX


def test_tcp_reassembly_waits_for_whole_frames():
    wire = bytes(Blynk.vw(1, 42))
    assert Blynk.tcp_reassemble(wire[:7], {}, {}) is None
    assert Blynk.tcp_reassemble(wire + wire[:7], {}, {}) is None
    assert bytes(Blynk.tcp_reassemble(wire + wire, {}, {})) == wire + wire
    assert bytes(BlynkWeb.tcp_reassemble(wire, {}, {})) == wire


@pytest.mark.parametrize("cls", CLASSES.values())
def test_fuzz_makes_frames(cls):
    seen = set()
    for _ in range(100):
        wire = bytes(fuzz(cls()))
        seen.add(wire[0])
        assert bytes(cls(wire)) == wire
    assert len(seen) > 20
