"""Parts of live sniffing that need no right to sniff: capture filters, the recorder, interfaces, the command of dumpcap."""

import ctypes
import errno
import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blynkscope.errors import EnvironmentProblem
from blynkscope.sources.capture import read_capture
from blynkscope.sources.live import (
    Chunk,
    Counts,
    LiveUsageError,
    Recorder,
    Stamp,
    Target,
    Wanted,
    dumpcap,
    filters,
    interfaces,
    recorder,
    seconds_of,
    size_of,
)
from blynkscope.sources.packets import ETHERNET, RAW, SLL2

# --- the default filter ---


def passes(program, packet):
    """What a classic BPF program says of a packet, by a small machine of our own; ancillary loads are none of it."""
    a = x = at = 0
    while True:
        code, jt, jf, k = program[at]
        at += 1
        if code == 0x06:
            return bool(k)
        if code in (0x20, 0x28, 0x30, 0x48):
            size = {0x20: 4, 0x28: 2, 0x30: 1, 0x48: 2}[code]
            begin = k + (x if code == 0x48 else 0)
            if begin + size > len(packet):
                return False
            a = int.from_bytes(packet[begin : begin + size], "big")
        elif code == 0xB1:
            if k >= len(packet):
                return False
            x = (packet[k] & 15) * 4
        elif code == 0x54:
            a &= k
        elif code == 0x15:
            at += jt if a == k else jf
        elif code == 0x45:
            at += jt if a & k else jf
        elif code == 0x05:
            at += k
        else:
            raise AssertionError(hex(code))


def ip4(protocol, ports, *, options=0, fragment=0):
    head = struct.pack(">BBHHHBBH8s", 0x45 + options, 0, 28, 0, fragment, 64, protocol, 0, bytes(8)) + bytes(
        4 * options
    )
    return head + struct.pack(">HHHH", *ports, 8, 0)


def ip6(protocol, ports):
    return struct.pack(">IHBB32s", 0x60000000, 8, protocol, 64, bytes(32)) + struct.pack(">HHHH", *ports, 8, 0)


def ethernet(kind, payload, *tags):
    return bytes(12) + b"".join(struct.pack(">HH", tag, 7) for tag in tags) + struct.pack(">H", kind) + payload


PACKETS = [
    (ip4(6, (50000, 8080)), True),
    (ip4(6, (443, 50000)), True),
    (ip4(6, (5683, 50000)), True),
    (ip4(6, (50000, 8080), options=5), True),
    (ip4(6, (50000, 22)), False),
    (ip4(6, (53, 50000)), False),
    (ip4(17, (53, 50000)), True),
    (ip4(17, (50000, 53), options=2), True),
    (ip4(17, (8080, 50000)), False),
    (ip4(6, (1, 2), fragment=5), True),
    (ip4(6, (8080, 2), fragment=0x2000), True),
    (ip4(17, (53, 2), fragment=5), False),
    (ip4(1, (8080, 53)), False),
    (ip6(6, (50000, 8883)), True),
    (ip6(6, (9, 10)), False),
    (ip6(17, (50000, 53)), True),
    (ip6(44, (1, 2)), True),
    (ip6(0, (1, 2)), True),
    (ip6(58, (53, 8080)), False),
]


def kind_of(packet):
    return 0x0800 if packet[0] >> 4 == 4 else 0x86DD


@pytest.mark.parametrize("tags", [(), (0x8100,), (0x88A8, 0x8100)])
@pytest.mark.parametrize(("packet", "wanted"), PACKETS)
def test_the_default_filter_on_ethernet(packet, wanted, tags):
    program = filters.default_program(ETHERNET, 100)
    frame = ethernet(kind_of(packet), packet, *tags)
    assert passes(program, frame) is wanted
    assert not passes(program, frame[:20])
    assert not passes(program, ethernet(0x0806, packet, *tags))


@pytest.mark.parametrize(("packet", "wanted"), PACKETS)
def test_the_default_filter_on_raw_ip(packet, wanted):
    assert passes(filters.default_program(RAW, 100), packet) is wanted


@pytest.mark.tshark
@pytest.mark.parametrize(("packet", "wanted"), PACKETS)
def test_the_default_filter_as_text_means_the_same(packet, wanted):
    """By libpcap, which comes with tshark."""
    frame = ethernet(kind_of(packet), packet)
    program = filters.compiled(filters.default_text(vlans=False), ETHERNET, 100)
    assert libpcap_passes(program, frame) is wanted
    tagged = ethernet(kind_of(packet), packet, 0x8100)
    assert libpcap_passes(filters.compiled(filters.default_text(), ETHERNET, 100), tagged) is wanted
    assert libpcap_passes(filters.default_program(ETHERNET, 100), frame) is wanted


def libpcap_passes(program, packet):
    data = b"".join(struct.pack("=HBBI", *one) for one in program)
    return bool(filters.libpcap().bpf_filter(ctypes.create_string_buffer(data), packet, len(packet), len(packet)))


@given(st.binary(max_size=120))
def test_the_default_filter_takes_any_packet(packet):
    for link in (ETHERNET, RAW):
        passes(filters.default_program(link, 100), packet)


@pytest.mark.tshark
def test_a_filter_that_does_not_compile_is_a_usage_error_in_libpcaps_words():
    with pytest.raises(LiveUsageError, match=r"'tcp bogus' does not compile: .*syntax error"):
        filters.compiled("tcp bogus", ETHERNET, 100)
    with pytest.raises(LiveUsageError, match="NUL"):
        filters.compiled("tcp\0", ETHERNET, 100)
    with pytest.raises(LiveUsageError, match="does not tell"):
        filters.compiled("ether[6:4] == 1", SLL2, 100)


def test_without_libpcap_only_a_filter_of_ones_own_is_refused(monkeypatch):
    monkeypatch.setattr(filters, "libpcap", lambda: None)
    with pytest.raises(EnvironmentProblem, match="sudo apt install libpcap"):
        filters.compiled("tcp", ETHERNET, 100)
    assert len(filters.compiled("", ETHERNET, 100)) == 1
    for link in (ETHERNET, RAW, SLL2):
        assert filters.kernel_program(Wanted(("any",)), link, "any")


@pytest.mark.tshark
def test_a_program_for_packets_without_a_link_layer_asks_the_kernel_for_what_is_missing():
    program = filters.compiled("tcp port 8080", SLL2, 100)
    assert {one.k for one in program if one.code & 0xE7 in (0x20, 0x28)} <= set(range(60)) | {0xFFFFF000}
    assert any(one.k == 0xFFFFF000 for one in program)


def test_what_leaves_by_the_loopback_is_dropped_before_all_else():
    accept = [filters.Instruction(0x06, 0, 0, 100)]
    for everywhere in (False, True):
        program = filters.once_only(accept, 1, everywhere=everywhere)
        assert program[-1] == accept[0]
        assert program[-2].k == 0
        kinds = {(4, 1): 0, (0, 1): 100, (4, 2): 100 if everywhere else 0}
        for (packet_type, index), expected in kinds.items():
            assert run_ancillary(program, packet_type, index) == expected


def run_ancillary(program, packet_type, index):
    a = at = 0
    while True:
        code, jt, jf, k = program[at]
        at += 1
        if code == 0x06:
            return k
        if code == 0x20:
            a = {0xFFFFF004: packet_type, 0xFFFFF008: index}[k]
        else:
            at += jt if a == k else jf


# --- dumpcap's arguments ---


def test_the_arguments_of_dumpcap_stay_separate():
    wanted = Wanted(("eth0; rm -rf /", "any"), filter="tcp port 8080", promiscuous=False, snaplen=100, buffer=7)
    first = dumpcap._commands("/usr/bin/dumpcap", wanted)[0]
    assert first[:9] == ["/usr/bin/dumpcap", "-q", "-w", "-", "-B", "7", "-s", "100", "-p"]
    assert first[9:13] == ["-i", "eth0; rm -rf /", "-f", "tcp port 8080"]
    assert first[13:15] == ["-i", "any"]


def test_without_dumpcap_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setattr(dumpcap, "program", lambda: None)
    with pytest.raises(EnvironmentProblem, match="sudo apt install wireshark-common"):
        dumpcap.Dumpcap(Wanted(("eth0",)))


def test_a_dumpcap_that_may_not_be_run_is_told_from_one_that_is_missing(monkeypatch, tmp_path):
    path = tmp_path / "dumpcap"
    path.write_text("#!/bin/sh\n")
    monkeypatch.setattr(dumpcap, "program", lambda: str(path))
    monkeypatch.setattr(dumpcap.os, "access", lambda *_: False)
    with pytest.raises(EnvironmentProblem, match=r"setcap cap_net_raw,cap_net_admin\+eip"):
        dumpcap.Dumpcap(Wanted(("eth0",)))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo dumpcap: something odd >&2; exit 1", "something odd"),
        ("exit 0", "did not begin to capture"),
        ("printf 'this is no pcapng, not at all'; sleep 9", "did not begin to capture"),
    ],
)
def test_a_dumpcap_that_fails_is_quoted(monkeypatch, tmp_path, script, words):
    path = tmp_path / "dumpcap"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(dumpcap, "program", lambda: str(path))
    monkeypatch.setattr(dumpcap, "END_SECONDS", 1.0)
    with pytest.raises(EnvironmentProblem, match=words):
        dumpcap.Dumpcap(Wanted(("eth0",)))


# --- the recorder ---


def chunk(count=1, *, link=1, size=100, interface=0):
    buffer = bytes(size) * count
    packets = [(1.0 + n, link, n * size, (n + 1) * size, size) for n in range(count)]
    return Chunk(buffer, packets, [Stamp(1_000_000_000 * (n + 1), interface) for n in range(count)])


def packets_in(path):
    with path.open("rb") as stream:
        reader = read_capture(stream, path.name)
        found = [packet for _, packets in reader for packet in packets]
        assert reader.damage is None
    return found


def test_a_ring_of_files_is_bounded(tmp_path):
    target = Target(tmp_path / "seen.pcapng", size=1000, keep=3)
    written = Recorder(target, ("eth0",))
    for _ in range(50):
        written.write(chunk(5))
    written.finish(Counts(250, 4))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 3
    assert all(name.startswith("seen_000") and name.endswith(".pcapng") for name in names)
    assert [path.name for path in written.files] == names
    assert all(path.stat().st_size < 1400 for path in tmp_path.iterdir())
    assert all(packets_in(path) for path in list(tmp_path.iterdir())[:2])


def test_a_file_gets_old(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(recorder.time, "monotonic", lambda: now[0])
    written = Recorder(Target(tmp_path / "seen.pcapng", seconds=60.0, keep=9), ("eth0",))
    for _ in range(4):
        written.write(chunk())
        now[0] += 61
        written.idle()
    now[0] += 1000
    written.idle()  # nothing came: there is no need for another one
    written.finish(None)
    assert [len(packets_in(path)) for path in sorted(tmp_path.iterdir())] == [1, 1, 1, 1, 0]


@pytest.mark.parametrize("force", [False, True])
def test_a_link_is_not_followed(tmp_path, force):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    link = tmp_path / "seen.pcapng"
    link.symlink_to(victim)
    if force:
        Recorder(Target(link, force=True), ("eth0",)).finish(None)
        assert not link.is_symlink()
    else:
        with pytest.raises(LiveUsageError, match="--force"):
            Recorder(Target(link), ("eth0",))
    assert victim.read_text() == "precious"


def test_only_ordinary_files_are_written_over(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(EnvironmentProblem, match="no ordinary file"):
        Recorder(Target(pipe, force=True), ("eth0",))
    with pytest.raises(EnvironmentProblem, match="cannot write"):
        Recorder(Target(tmp_path / "missing" / "seen.pcapng"), ("eth0",))


def test_a_full_disk_ends_the_recording_between_two_packets(tmp_path, monkeypatch):
    path = tmp_path / "seen.pcapng"
    written = Recorder(Target(path), ("eth0",))
    written.write(chunk(2))
    real, left = os.write, [30]

    def full(descriptor, data):
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = real(descriptor, bytes(data[: left[0]]))
        left[0] -= done
        return done

    monkeypatch.setattr(recorder.os, "write", full)
    written.write(chunk(2))
    assert "No space left" in written.failed
    written.write(chunk(2))
    written.finish(Counts())
    assert len(packets_in(path)) == 2


def test_each_interface_and_link_type_is_described_once(tmp_path):
    path = tmp_path / "seen.pcapng"
    written = Recorder(Target(path), ("eth0", "tun0"), filter="tcp", snaplen=300)
    for one in (chunk(), chunk(link=101, interface=1), chunk(), chunk(link=101, interface=1)):
        written.write(one)
    written.finish(Counts(4, 1))
    assert [packet[1] for packet in packets_in(path)] == [1, 101, 1, 101]
    assert path.read_bytes().count(b"eth0") == 1


@pytest.mark.parametrize(
    ("text", "size"),
    [("500", 500), ("1k", 1024), ("100M", 100 << 20), ("2GB", 2 << 30), (" 7 m ", None), ("", None), ("-1", None)],
)
def test_sizes(text, size):
    if size is None:
        with pytest.raises(ValueError, match="is no size"):
            size_of(text)
    else:
        assert size_of(text) == size


@pytest.mark.parametrize(
    ("text", "time"),
    [("90", 90), ("10s", 10), ("5m", 300), ("1.5h", 5400), ("300ms", 0.3), ("1d", 86400), ("1w", None), ("", None)],
)
def test_times(text, time):
    if time is None:
        with pytest.raises(ValueError, match="is no time"):
            seconds_of(text)
    else:
        assert seconds_of(text) == pytest.approx(time)


def test_interfaces_of_this_machine():
    found = {one.name: one for one in interfaces()}
    assert found["lo"].loopback
    assert "any" in found
    assert sum(one.default for one in found.values()) <= 1
