"""Mutated captures, cuts at every place, and what else may come: Lua never fails, and both passes agree."""

import random
import struct

import craft
import pytest
import sharks
from captures_of import CAPTURES

pytestmark = pytest.mark.tshark

TOKEN = b"6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"
LOGIN = struct.pack(">BHH", 29, 1, 32) + TOKEN
MUTATED = (
    "01a_hw_plain_pyBlynkLib020", "03_hw_plain_js054", "08a_ws_nodered_plain", "13_bridge", "15a_byte_by_byte",
    "15b_many_frames_one_segment", "11c_wrong_protocol_8080", "09a_http_rest_plain",
)  # fmt: skip


@pytest.fixture(scope="module")
def shark(tmp_path_factory):
    return sharks.Shark(tmp_path_factory.mktemp("home"))


def packets_of(path):
    data, at, found = path.read_bytes(), 24, []
    while at < len(data):
        seconds, part, size, wire = struct.unpack_from("<IIII", data, at)
        found.append((seconds + part / 1e6, bytearray(data[at + 16 : at + 16 + size]), wire))
        at += 16 + size
    return found


def payload_start(packet):
    """Where the TCP payload of an Ethernet and IPv4 packet begins."""
    ip = 14
    tcp = ip + (packet[ip] & 15) * 4
    return tcp + (packet[tcp + 12] >> 4) * 4


def mutated(path, seed):
    """The packets, with bytes of their payload changed."""
    draw = random.Random(seed)
    packets = packets_of(path)
    for _, packet, _ in packets:
        start = payload_start(packet)
        for place in range(start, len(packet)):
            if draw.random() < 0.03:
                packet[place] = draw.choice((0, 0xFF, 0x80, draw.randrange(256)))
    return packets


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", MUTATED)
def test_lua_has_no_error_in_mutated_captures(shark, tmp_path, name, seed):
    path = tmp_path / "mutated.pcap"
    path.write_bytes(craft.pcap(mutated(CAPTURES / f"{name}.pcap", seed)))
    names = ("frame.number", "blynk.cmd", "blynk.id", "blynk.skipped", "_ws.col.Info")
    once, twice = (
        shark.fields(path, *names, "_ws.lua.error", options=options, only="blynk || _ws.lua.error")
        for options in ((), ("-2",))
    )
    assert once == twice
    assert not any(row["_ws.lua.error"] for row in twice)


def conversation(path, chunks, port=8080):
    """A capture in which the client sends these bytes."""
    wire = craft.Wire(ports=(50000, port))
    wire.handshake()
    at = 0
    for chunk in chunks:
        wire.send(0, at, chunk)
        at += len(chunk)
    path.write_bytes(craft.pcap(wire.packets))
    return path


STREAM = [
    (29, 1, 32, TOKEN.hex()), (17, 2, 11, b"ver\x001.0\0h\0b".hex()), (6, 3, 0, ""), (20, 4, 8, b"vw\x001\x0042\0".hex()),
    (0, 5, 200, ""), (20, 6, 4, b"vr\x001".hex()),
]  # fmt: skip
WIRE = b"".join(struct.pack(">BHH", cmd, number, word) + bytes.fromhex(body) for cmd, number, word, body in STREAM)


def test_the_header_and_the_body_may_be_cut_at_each_place(shark, tmp_path):
    """Each cut in a connection of its own, all in one capture."""
    wires = []
    for cut in range(1, len(WIRE)):
        wire = craft.Wire(ports=(40000 + cut, 8080))
        wire.handshake()
        wire.send(0, 0, WIRE[:cut])
        wire.send(0, cut, WIRE[cut:])
        wires += wire.packets
    path = tmp_path / "cuts.pcap"
    path.write_bytes(craft.pcap(wires))
    for options in ((), ("-2",)):
        found = shark.frames(path, *options)
        assert len(found) == len(WIRE) - 1
        assert all(frames == STREAM for frames in found.values())


@pytest.mark.parametrize("port", [8080, 80, 8442, 12345])
def test_it_is_found_on_any_port(shark, tmp_path, port):
    path = conversation(tmp_path / "port.pcap", [WIRE[:37], WIRE[37:60], WIRE[60:]], port)
    assert shark.frames(path) == {(50000, port, "c2s"): STREAM}


@pytest.mark.parametrize(
    "first",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"EHLO example.org\r\n",
        bytes(48),
        bytes(range(200, 256)),
        b"\x16\x03\x01\x02\x00\x01",
    ],
    ids=repr,
)
@pytest.mark.parametrize("port", [8080, 12345])
def test_nothing_else_is_taken_for_blynk(shark, tmp_path, first, port):
    path = conversation(tmp_path / "other.pcap", [first, first], port)
    assert shark.frames(path) == {}


def test_what_was_joined_in_the_middle_of_a_download_is_not_taken_for_blynk(shark, tmp_path):
    draw = random.Random(1)
    chunks = [draw.randbytes(1400) for _ in range(60)]
    path = conversation(tmp_path / "download.pcap", chunks)
    assert shark.frames(path) == {}


def test_noise_between_frames_is_shown_and_skipped(shark, tmp_path):
    noise = b"OK+CONN"
    path = conversation(tmp_path / "noise.pcap", [LOGIN, noise + WIRE[37:]])
    assert shark.frames(path) == {(50000, 8080, "c2s"): STREAM}
    assert [row["blynk.skipped"] for row in shark.fields(path, "blynk.skipped", only="blynk.skipped")] == [
        [noise.hex()]
    ]


def test_an_unknown_command_is_a_frame(shark, tmp_path):
    unknown = struct.pack(">BHH", 150, 7, 3) + b"abc"
    path = conversation(tmp_path / "unknown.pcap", [LOGIN, unknown + WIRE[37:], unknown])
    frame = (150, 7, 3, b"abc".hex())
    assert shark.frames(path) == {(50000, 8080, "c2s"): [STREAM[0], frame, *STREAM[1:], frame]}
    assert len(shark.fields(path, "frame.number", only="blynk.expert.unknown_command")) == 2


def test_a_large_hostile_segment_takes_no_time(shark, tmp_path):
    """Printable bytes that look like headers at every offset."""
    hostile = (b"\x14\0\1\x20\x20" + b"vw\0001\0" * 3) * 2600
    path = conversation(tmp_path / "large.pcap", [LOGIN, b"\xf0" + hostile[:60000]])
    assert shark.lua_errors(path, "-2") == []
