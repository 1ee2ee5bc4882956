"""The pcapng writer: what it writes, our own reader and Wireshark's programs read back."""

import io
import json
import math
import struct
import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from blynkscope.protocol import limits
from blynkscope.sources.capture import TLS_KEY_LOG, read_capture
from blynkscope.sources.pcapng import COMMENT_MAX, PcapngWriter, nanoseconds

NOW = 1_700_000_000_123_456_789


def written(*steps, **options):
    """What a writer makes of steps that are functions of it."""
    stream = io.BytesIO()
    writer = PcapngWriter(stream, **options)
    for step in steps:
        step(writer)
    assert writer.written == len(stream.getvalue())
    return stream.getvalue()


def read(data):
    """Packets, interface by interface number left out, as our reader gives them; and the reader."""
    reader = read_capture(io.BytesIO(data), "test")
    packets = [
        (time, link, buffer[start:end], wire) for buffer, batch in reader for time, link, start, end, wire in batch
    ]
    return packets, reader


def blocks(data):
    """(type, body) of each block; the two lengths of each agree."""
    at, found = 0, []
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        assert length % 4 == 0
        assert struct.unpack_from("<I", data, at + length - 4)[0] == length
        found.append((kind, data[at + 8 : at + length - 4]))
        at += length
    return found


def options(body, at):
    found = []
    while at < len(body):
        code, length = struct.unpack_from("<HH", body, at)
        if code == 0:
            assert at + 4 == len(body)
            break
        found.append((code, body[at + 4 : at + 4 + length]))
        at += 4 + (length + 3) // 4 * 4
    return found


packet = st.tuples(
    st.integers(0, 3),
    st.integers(0, 2**63),
    st.binary(max_size=200),
    st.none() | st.integers(0, 2**32 - 1),
    st.none() | st.text(max_size=50),
    st.none() | st.booleans(),
)


@given(st.lists(st.sampled_from([0, 1, 101, 113, 276]), min_size=4, max_size=4), st.lists(packet, max_size=20))
def test_what_is_written_is_read_back(links, packets):
    def write(writer):
        numbers = [writer.interface(link, name=f"if{place}") for place, link in enumerate(links)]
        assert numbers == [0, 1, 2, 3]
        for interface, time, data, wire, comment, inbound in packets:
            writer.packet(interface, time, data, wire=wire, comment=comment, inbound=inbound)

    got, reader = read(written(write))
    assert reader.damage is None
    expected = [
        (time, links[interface], data, max(len(data), len(data) if wire is None else wire))
        for interface, time, data, wire, _, _ in packets
    ]
    assert [one[1:] for one in got] == [one[1:] for one in expected]
    assert [one[0] for one in got] == [pytest.approx(one[0] / 1e9, abs=1e-6, rel=1e-12) for one in expected]


@given(st.floats())
@example(math.nan)
@example(math.inf)
@example(-1.0)
@example(1.7e9)
@example(1.9999999999)
def test_every_time_has_a_stamp(time):
    stamp = nanoseconds(time)
    assert 0 <= stamp < 2**64
    if 0 <= time < 1e10:
        assert abs(stamp / 1e9 - time) <= 1e-6


def test_times_as_nanoseconds_are_exact():
    (_, _), (_, _), (_, body) = blocks(
        written(lambda w: w.interface(1), lambda w: w.packet(0, NOW, b"x"), application="test")
    )
    high, low = struct.unpack_from("<II", body, 4)
    assert high << 32 | low == NOW


def test_names_filter_and_resolution_of_an_interface():
    kind, body = blocks(written(lambda w: w.interface(1, name="eth0", description="the way out", filter="tcp")))[1]
    assert kind == 1
    assert struct.unpack_from("<HHI", body) == (1, 0, 0)
    assert options(body, 8) == [(2, b"eth0"), (3, b"the way out"), (9, b"\x09"), (11, b"\0tcp")]


def test_comments_are_made_safe_and_cut_between_characters():
    def write(writer):
        writer.interface(1)
        writer.packet(0, 0, b"abc", comment="a\0b", inbound=True)
        writer.packet(0, 0, b"abc", comment="é" * COMMENT_MAX)
        writer.packet(0, 0, b"abc", comment="\ud800")

    first, second, third = [body for kind, body in blocks(written(write)) if kind == 6]
    assert options(first, 24) == [(1, b"ab"), (2, struct.pack("<I", 1))]
    ((_, text),) = options(second, 24)
    assert text.decode() == "é" * (COMMENT_MAX // 2)
    assert options(third, 24) == [(1, b"\\ud800")]


def test_secrets_come_back_and_are_cut_between_lines():
    lines = b"CLIENT_RANDOM aa bb\n" * 3
    _, reader = read(written(lambda w: w.secrets(lines)))
    assert reader.secrets == [(TLS_KEY_LOG, lines)]
    many = (b"CLIENT_RANDOM " + b"a" * 500 + b"\n") * (limits.BLOCK_MAX // 500)
    parts = [
        body[8 : 8 + struct.unpack_from("<I", body, 4)[0]]
        for kind, body in blocks(written(lambda w: w.secrets(many)))
        if kind == 10
    ]
    assert b"".join(parts) == many
    assert len(parts) > 1
    assert all(part.endswith(b"\n") for part in parts)


def test_what_no_reader_takes_is_refused():
    writer = PcapngWriter(io.BytesIO())
    with pytest.raises(ValueError, match="no interface 0"):
        writer.packet(0, 0, b"")
    with pytest.raises(ValueError, match="no interface 0"):
        writer.statistics(0, received=0, dropped=0, time=0)
    with pytest.raises(ValueError, match="no link type"):
        writer.interface(70000)
    writer.interface(1)
    with pytest.raises(ValueError, match="readers take"):
        writer.packet(0, 0, bytes(limits.PACKET_MAX + 1))
    writer.packet(0, 0, bytes(limits.PACKET_MAX))


def all_of_it(path):
    with path.open("wb") as stream:
        writer = PcapngWriter(stream)
        writer.secrets(b"CLIENT_RANDOM " + b"a" * 64 + b" " + b"b" * 96 + b"\n")
        number = writer.interface(1, name="eth0", description="the way out", snaplen=262144, filter="tcp port 80")
        frame = bytes(12) + b"\x08\x00" + bytes(40)
        writer.packet(number, NOW, frame, wire=1000, comment="BS101: something", inbound=False)
        writer.packet(number, NOW + 1, frame)
        writer.statistics(number, received=2, dropped=7, time=NOW + 2)


@pytest.mark.tshark
def test_wireshark_reads_all_of_it(tmp_path):
    path = tmp_path / "all.pcapng"
    all_of_it(path)
    fields = [
        "frame.time_epoch",
        "frame.len",
        "frame.cap_len",
        "frame.comment",
        "frame.interface_name",
        "frame.packet_flags_direction",
    ]
    command = ["tshark", "-r", str(path), "-T", "json", *(part for field in fields for part in ("-e", field))]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    first, second = [one["_source"]["layers"] for one in json.loads(done.stdout)]
    assert first["frame.len"] == ["1000"]
    assert first["frame.cap_len"] == ["54"]
    assert first["frame.comment"] == ["BS101: something"]
    assert first["frame.interface_name"] == ["eth0"]
    assert first["frame.time_epoch"][0].endswith(".123456789")
    assert second["frame.time_epoch"][0].endswith(".123456790")


@pytest.mark.tshark
def test_capinfos_tells_the_interface_and_its_drops(tmp_path):
    path = tmp_path / "all.pcapng"
    all_of_it(path)
    said = subprocess.run(["capinfos", str(path)], capture_output=True, check=True, timeout=60, text=True).stdout
    for line in ("Name = eth0", "Filter string = tcp port 80", "Number of stat entries = 1", "Number of packets = 2"):
        assert line in said
    assert "nanoseconds (9)" in said
