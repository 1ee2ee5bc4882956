"""Capture files: the same events by every way of reading, and damage that is said instead of raised."""

import gzip
import io
import os
import struct
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
from craft import (
    Dribble,
    Wire,
    block,
    enhanced,
    events_of,
    interface,
    of_kind,
    open_bytes,
    option,
    pcap,
    section,
    sent,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from blynkscope.errors import CaptureError
from blynkscope.protocol import limits
from blynkscope.sources import CaptureSource, open_capture
from blynkscope.sources.capture import read_capture
from blynkscope.wire.events import Data, Datagram, Opened

CAPTURES = Path(__file__).parent.parent.parent / "captures"
FILES = sorted(path for path in CAPTURES.glob("**/*.pcap*") if path.is_file())
by_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def connection():
    wire = Wire()
    wire.handshake()
    wire.send(0, 0, b"\x06\0\1\0\0", ack=0)
    wire.send(1, 0, b"\0\0\1\0\xc8", ack=5)
    wire.send(0, 5, b"\x14\0\2\0\6vw\x001\x002", ack=5)
    return wire.packets


PACKETS = connection()
SMALL_PCAP = pcap(PACKETS)
SMALL_PCAPNG = section() + interface() + b"".join(enhanced(data, round(time * 1e6)) for time, data, _ in PACKETS)


def packets_of(data, dribble=None):
    """(time, bytes) of each packet, and the damage."""
    reader = read_capture(Dribble(data, dribble) if dribble else io.BytesIO(data), "capture")
    found = [(packet[0], bytes(buffer[packet[2] : packet[3]])) for buffer, packets in reader for packet in packets]
    assert reader.packets == len(found)
    return found, reader.damage


def read_all(data, **options):
    source = open_bytes(data, **options)
    return events_of(source), source.damage, source.lost, source.packets


@by_file
def test_both_paths_give_the_same_events(path):
    data = path.read_bytes()
    assert read_all(data) == read_all(data, general=True)


@by_file
def test_a_pipe_gives_the_same_events_as_the_file(path):
    data = path.read_bytes()
    sizes = (3001, 1, 4099, 7) if len(data) > 60000 else (1, 7, 2, 5, 3, 6, 4)
    assert read_all(data, dribble=sizes) == read_all(data)


@by_file
def test_events_obey_their_order(path):
    events = read_all(path.read_bytes())[0]
    opened = set()
    for event in events:
        if isinstance(event, Datagram):
            continue
        if isinstance(event, Opened):
            opened.add(event.stream)
        assert event.stream in opened
        if type(event).__name__ == "Closed":
            opened.remove(event.stream)
    assert not opened


@pytest.mark.parametrize("data", [SMALL_PCAP, SMALL_PCAPNG], ids=["pcap", "pcapng"])
def test_a_small_capture(data):
    found, damage = packets_of(data)
    assert damage is None
    assert [body for _, body in found] == [body for _, body, _ in PACKETS]
    assert [time for time, _ in found] == pytest.approx([time for time, _, _ in PACKETS], abs=1e-6)
    assert len(of_kind(read_all(data)[0], Data)) == 3


# --- cut at every byte --------------------------------------------------------------------------------------------------


def edges_of_pcap():
    edges, at = [24], 24
    for _, body, _ in PACKETS:
        at += 16 + len(body)
        edges.append(at)
    return edges


def edges_of_pcapng():
    edges, at = [0], 0
    while at < len(SMALL_PCAPNG):
        at += struct.unpack_from("<I", SMALL_PCAPNG, at + 4)[0]
        edges.append(at)
    return edges


@pytest.mark.parametrize(
    ("data", "edges", "heads"),
    [(SMALL_PCAP, edges_of_pcap(), 1), (SMALL_PCAPNG, edges_of_pcapng(), 3)],
    ids=["pcap", "pcapng"],
)
def test_cut_at_every_byte(data, edges, heads):
    whole, _ = packets_of(data)
    for size in range(len(data)):
        if size < 4:
            with pytest.raises(CaptureError):
                packets_of(data[:size])
            continue
        found, damage = packets_of(data[:size])
        whole_edges = [edge for edge in edges if edge <= size]
        assert found == whole[: max(0, len(whole_edges) - heads)]
        if size in edges:
            assert damage is None
        else:
            # A file header that is cut has no beginning to go back to: its damage is where the file ends.
            assert damage.offset == (whole_edges[-1] if whole_edges else size), size
        assert packets_of(data[:size], (1, 7, 3)) == (found, damage)


@pytest.mark.parametrize("data", [SMALL_PCAP, SMALL_PCAPNG], ids=["pcap", "pcapng"])
def test_a_gzip_file_cut_at_every_byte(data):
    packed = gzip.compress(data, mtime=0)
    whole, _ = packets_of(data)
    for size in range(len(packed)):
        try:
            found, damage = packets_of(packed[:size])
        except CaptureError:
            continue
        assert found == whole[: len(found)]
        assert damage is not None


@pytest.mark.parametrize("place", [0.3, 0.5, 0.9])
def test_damage_inside_gzip(place):
    data = pcap(PACKETS * 300)
    packed = bytearray(gzip.compress(data, mtime=0))
    packed[int(len(packed) * place)] ^= 0xFF
    found, damage = packets_of(bytes(packed))
    assert damage is not None
    # What was unpacked wrongly before the damage shows may hold anything: all that counts is that it ends.
    assert len(found) <= len(PACKETS) * 300


def test_a_wrong_checksum_of_gzip_is_said():
    packed = bytearray(gzip.compress(SMALL_PCAP, mtime=0))
    packed[-6] ^= 0xFF
    found, damage = packets_of(bytes(packed))
    assert len(found) == len(PACKETS)
    assert "gzip" in damage.what


def test_rubbish_behind_gzip():
    found, damage = packets_of(gzip.compress(SMALL_PCAP, mtime=0) + b"rubbish")
    assert len(found) == len(PACKETS)
    assert damage is not None


def test_a_gzip_bomb_is_read_as_a_stream():
    # Sixty-four million zeros are one packet that is too long; nothing holds them all.
    bomb = gzip.compress(SMALL_PCAP + struct.pack("<IIII", 1, 1, 0x7FFFFFFF, 1) + bytes(64_000_000), 9)
    found, damage = packets_of(bomb)
    assert len(found) == len(PACKETS)
    assert damage.offset == len(SMALL_PCAP)


@pytest.mark.parametrize(
    "data", [b"\x1f\x8b", b"\x1f\x8b\x08", b"\x1f\x8brubbish that is no gzip", gzip.compress(b"", mtime=0)]
)
def test_gzip_without_a_capture(data):
    with pytest.raises(CaptureError):
        open_bytes(data)


# --- forms --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("magic", "unit", "extra"), [(0xA1B2C3D4, 1e-6, b""), (0xA1B23C4D, 1e-9, b""), (0xA1B2CD34, 1e-6, bytes(8))]
)
def test_every_magic(order, magic, unit, extra):
    found, damage = packets_of(pcap(PACKETS, order=order, magic=magic, unit=unit, extra=extra))
    assert damage is None
    assert [body for _, body in found] == [body for _, body, _ in PACKETS]
    assert [time for time, _ in found] == pytest.approx([time for time, _, _ in PACKETS], abs=1e-6)


def test_flags_above_the_link_type_do_not_hide_it():
    assert len(of_kind(read_all(pcap(PACKETS, link=0xF0000001))[0], Data)) == 3


def test_sections_of_both_byte_orders():
    def part(order):
        return (
            section(order)
            + interface(order=order)
            + b"".join(enhanced(data, round(time * 1e6), order=order) for time, data, _ in PACKETS)
        )

    found, damage = packets_of(part("<") + part(">") + part("<"))
    assert damage is None
    assert [body for _, body in found] == [body for _, body, _ in PACKETS] * 3


@pytest.mark.parametrize(
    ("value", "ticks", "time"),
    [(b"\x06", 1_500_000, 1.5), (b"\x09", 1_500_000_000, 1.5), (b"\x00", 7, 7.0), (b"\x94", 1 << 21, 2.0), (b"\x80", 3, 3.0),
     (b"\x7f", 1 << 63, 0.0), (b"\xff", 1 << 63, 0.0), (b"", 1_000_000, 1.0)],
)  # fmt: skip
def test_clock_resolutions(value, ticks, time):
    data = section() + interface(options=option(9, value)) + enhanced(PACKETS[0][1], ticks)
    found, damage = packets_of(data)
    assert damage is None
    assert found[0][0] == pytest.approx(time, abs=1e-9)


@pytest.mark.parametrize("offset", [0, 1000, -(1 << 63), (1 << 63) - 1])
def test_clock_offsets(offset):
    data = section() + interface(options=option(14, struct.pack("<q", offset))) + enhanced(PACKETS[0][1], 2_000_000)
    assert packets_of(data)[0][0][0] == pytest.approx(offset + 2.0)


def test_the_greatest_time():
    data = section() + interface(options=option(9, b"\0")) + enhanced(PACKETS[0][1], (1 << 64) - 1)
    assert packets_of(data)[0][0][0] == pytest.approx(1.8446744073709552e19)


@pytest.mark.parametrize(
    "options",
    [option(9, b"\x09", length=200), option(9, b"\x09", length=0xFFFF), b"\x09", b"\x09\0\0", option(0, b""),
     option(0, b"", length=9) + option(9, b"\x03"), option(14, b"\0"), option(9, b"") * 50],
)  # fmt: skip
def test_options_that_reach_past_the_block_are_left_out(options):
    found, damage = packets_of(section() + interface(options=options) + enhanced(PACKETS[0][1], 2_000_000))
    assert damage is None
    assert found[0][0] == 2.0


def test_options_of_a_packet_are_left_out():
    data = section() + interface() + enhanced(PACKETS[0][1], 1, options=option(1, b"a comment") + b"\x01\0\xff\xff")
    assert packets_of(data)[0][0][1] == PACKETS[0][1]


def test_simple_and_old_packet_blocks():
    body = PACKETS[0][1]
    simple = block(3, struct.pack("<I", len(body)) + body)
    old = block(2, struct.pack("<HHIIII", 0, 0, 0, 1_000_000, len(body), len(body)) + body)
    found, damage = packets_of(section() + interface() + simple + old + block(0x0BAD, b"unknown") + simple)
    assert damage is None
    assert found == [(0.0, body), (1.0, body), (0.0, body)]


def test_a_simple_packet_block_is_cut_by_the_snapshot_length():
    body = PACKETS[0][1]
    data = section() + interface(snaplen=20) + block(3, struct.pack("<I", 4000) + body[:20])
    assert packets_of(data)[0] == [(0.0, body[:20])]


def test_decryption_secrets_are_kept():
    keys = b"CLIENT_RANDOM 00 11\n"
    reader = read_capture(
        io.BytesIO(section() + block(10, struct.pack("<II", 0x544C534B, len(keys)) + keys)), "capture"
    )
    assert list(reader) == []
    assert reader.secrets == [(0x544C534B, keys)]


# --- damage -------------------------------------------------------------------------------------------------------------

GOOD = section() + interface() + enhanced(PACKETS[0][1], 1_000_000)


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (block(6, b"", length=0), "length of 0"), (block(6, b"", length=7), "length of 7"),
        (block(6, b"", length=13), "length of 13"), (block(6, b"", length=0xFFFFFFFC), "length of 4294967292"),
        (block(6, b"", length=limits.BLOCK_MAX + 4), "length of"), (block(6, bytes(40), trailer=40), "two lengths"),
        (enhanced(b"", 0, number=1), "interface 1"), (enhanced(b"abcd", 0, captured=5000), "claims 5000 bytes"),
        (block(6, bytes(8)), "too short"), (block(2, bytes(8)), "too short"), (block(3, b""), "too short"),
        (block(1, bytes(4)), "too short"), (block(0x0A0D0D0A, b"\1\2\3\4" + bytes(12)), "byte-order magic"),
        (section() + enhanced(b"", 0), "interface 0"), (section() + block(3, bytes(8)), "before any interface"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dribble", [None, (1, 7, 3)], ids=["file", "pipe"])
def test_a_damaged_block(bad, what, dribble):
    found, damage = packets_of(GOOD + bad + GOOD, dribble)
    assert [body for _, body in found] == [PACKETS[0][1]]
    assert what in damage.what
    assert damage.offset in {len(GOOD), len(GOOD) + len(section())}


def test_a_packet_without_any_interface():
    found, damage = packets_of(section() + enhanced(PACKETS[0][1], 0))
    assert (found, damage.offset) == ([], len(section()))


def test_too_many_interfaces(monkeypatch):
    monkeypatch.setattr(limits, "INTERFACES_MAX", 3)
    _, damage = packets_of(section() + interface() * 5)
    assert "more than 3 interfaces" in damage.what


@pytest.mark.parametrize("captured", [limits.PACKET_MAX + 1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_packet_that_is_too_long(captured):
    found, damage = packets_of(SMALL_PCAP + struct.pack("<IIII", 1, 0, captured, 1) + bytes(100))
    assert len(found) == len(PACKETS)
    assert damage.offset == len(SMALL_PCAP)
    assert str(captured) in damage.what


def test_a_time_with_more_than_a_second_of_fraction():
    data = SMALL_PCAP[:24] + struct.pack("<IIII", 0xFFFFFFFF, 0xFFFFFFFF, 4, 4) + b"abcd"
    assert packets_of(data)[0][0][0] == pytest.approx(4294967295 + 4294.967295)


def test_a_capture_without_packets():
    assert read_all(pcap([])) == ([], None, {}, 0)
    assert read_all(section()) == ([], None, {}, 0)


mutations = st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 255)), min_size=1, max_size=6)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from([SMALL_PCAP, SMALL_PCAPNG]), mutations, st.integers(0, 100_000))
def test_mutated_captures(data, changes, place):
    data = bytearray(data)
    for at, byte in changes:
        data[at % len(data)] = byte
    place %= len(data)
    for mutant in (bytes(data), bytes(data[:place] + data[place + 3 :])):
        try:
            expected = read_all(mutant)
        except CaptureError:
            continue
        assert read_all(mutant, general=True) == expected
        assert read_all(mutant, dribble=(1, 7, 2)) == expected


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from([b"", SMALL_PCAP[:24], section(), section() + interface(), b"\x1f\x8b\x08\0"]),
    st.binary(max_size=200),
)
def test_random_bytes(head, data):
    said = "capture: "
    try:
        read_all(head + data)
    except CaptureError as error:
        said = str(error)
    assert said.startswith("capture: ")


# --- what is no capture -------------------------------------------------------------------------------------------------


def test_an_empty_file(tmp_path):
    path = tmp_path / "empty.pcap"
    path.touch()
    with pytest.raises(CaptureError, match="empty"):
        open_capture(path)


def test_a_folder_and_a_missing_file(tmp_path):
    for path in (tmp_path, tmp_path / "missing.pcap"):
        with pytest.raises(CaptureError, match=str(path)):
            open_capture(path)


def test_text_is_no_capture(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("some notes")
    with pytest.raises(CaptureError, match="not a capture"):
        open_capture(path)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="there is no /dev/zero here")
def test_an_endless_device_ends_at_once():
    script = "from blynkscope.sources import open_capture\nopen_capture('/dev/zero')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "CaptureError: /dev/zero: not a capture" in done.stderr


class Failing(io.RawIOBase):
    """A disk that fails in the middle."""

    def __init__(self, data):
        self._data = data

    def read(self, size=-1):
        if not self._data:
            raise OSError(5, "Input/output error")
        chunk, self._data = self._data[:size], self._data[size:]
        return chunk


def test_an_input_that_fails_in_the_middle():
    source = CaptureSource(Failing(SMALL_PCAP), "disk")
    events = []
    with pytest.raises(CaptureError, match="disk: cannot be read on: Input/output error"):
        events.extend(chain.from_iterable(source))
    assert sent(events, 0)


def test_the_file_is_closed_whether_it_is_a_capture_or_not(tmp_path):
    path = tmp_path / "a.pcap"
    path.write_bytes(SMALL_PCAP)
    source = open_capture(path)
    assert source.size == len(SMALL_PCAP)
    events_of(source)
    stream = io.BytesIO(b"no capture")
    with pytest.raises(CaptureError):
        CaptureSource(stream, "a")
    assert stream.closed


def test_what_is_lost_is_counted():
    wire = Wire()
    wire.handshake()
    wire.send(0, 0, b"abc", ack=0)
    wire.send(0, 10, b"def", ack=0)
    wire.send(0, 0, b"xyz", ack=0)
    source = open_bytes(pcap([*wire.packets, (2000.0, b"short", 5)]))
    events_of(source)
    assert source.lost == {"bytes_missing": 7, "packets_broken": 1, "segments_conflicting": 1}
    source = open_bytes(pcap([(1.0, b"abc", 3)], link=147))
    events_of(source)
    assert source.lost == {"packets_unknown_link": 1}
    assert "link type 147" in source.notes[0]
