"""The generators of large captures write what they say, and the programs that are compared on them find the same.

Nothing here measures time.
"""

import importlib.util
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from struct import unpack_from

import pytest

BENCH = Path(__file__).parent / "bench"
GENERATOR = BENCH / "generate.py"
FRAMES = 2000
FEW = 300


def generate(folder, *options):
    capture, truth = folder / "made.cap", folder / "made.jsonl"
    command = [sys.executable, GENERATOR, "--frames", str(FRAMES), "--devices", "20", "-o", capture, "--truth", truth]
    run = subprocess.run([*command, *options], capture_output=True, text=True, check=True, timeout=60)
    rows = [json.loads(line) for line in truth.read_text(encoding="utf-8").splitlines()]
    return capture.read_bytes(), rows, run.stdout


def packets_of_pcap(data):
    at = 24
    while at < len(data):
        seconds, fraction, size, _ = unpack_from("<IIII", data, at)
        yield seconds + fraction / 1e6, data[at + 16 : at + 16 + size]
        at += 16 + size


def packets_of_pcapng(data):
    at = 0
    while at < len(data):
        kind, total = unpack_from("<II", data, at)
        assert unpack_from("<I", data, at + total - 4) == (total,)
        if kind == 6:
            high, low, size = unpack_from("<III", data, at + 12)
            yield (high << 32 | low) / 1e6, data[at + 28 : at + 28 + size]
        at += total


def streams(packets):
    """Payload by sender and receiver, put together by sequence number alone."""
    first, pieces = {}, {}
    for _, packet in packets:
        total = unpack_from(">H", packet, 16)[0]
        key = packet[26:38]
        sequence, flags = unpack_from(">I", packet, 38)[0], packet[47]
        if flags & 2:
            first[key] = sequence + 1
        payload = packet[54 : 14 + total]
        if payload:
            pieces.setdefault(key, {})[(sequence - first[key]) % 2**32] = payload
    for key, parts in pieces.items():
        stream = bytearray()
        for offset in sorted(parts):
            assert offset <= len(stream), "a hole"
            stream[offset : offset + len(parts[offset])] = parts[offset]
        yield unpack_from(">HH", key, 8), bytes(stream)


def frames_of(stream):
    at = 0
    while at < len(stream):
        cmd, ident, word = unpack_from(">BHH", stream, at)
        size = word if cmd else 0
        yield cmd, ident, word, stream[at + 5 : at + 5 + size].hex()
        at += 5 + size
    assert at == len(stream)


def truth_frame(row):
    return row["cmd"], row["id"], row["status"] if row["cmd"] == 0 else row["len"], row.get("body_hex", "")


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_everything_generated_is_in_the_file(tmp_path, form):
    data, truth, _ = generate(tmp_path, "--loss", "0", *(["--pcapng"] if form == "pcapng" else []))
    packets = list(packets_of_pcapng(data) if form == "pcapng" else packets_of_pcap(data))
    assert [time for time, _ in packets] == sorted(time for time, _ in packets)
    wanted = {}
    for row in truth:
        ports = row["client_port"], row["server_port"]
        wanted.setdefault(ports if row["dir"] == "c2s" else ports[::-1], []).append(truth_frame(row))
    found = {ports: list(frames_of(stream)) for ports, stream in streams(packets)}
    assert found == wanted
    assert sum(map(len, found.values())) == FRAMES


def test_counts_are_printed(tmp_path):
    _, truth, said = generate(tmp_path)
    counted = Counter((row["dir"], row["name"]) for row in truth)
    printed = [line.split() for line in said.splitlines()]
    assert {(words[1], words[2]): int(words[0]) for words in printed if words[1] in ("c2s", "s2c")} == counted
    assert any(words[:2] == [str(FRAMES), "frames,"] for words in printed)


def test_loss_leaves_segments_out(tmp_path):
    whole, _, _ = generate(tmp_path, "--loss", "0")
    holed, truth, _ = generate(tmp_path, "--loss", "0.05")
    assert len(list(packets_of_pcap(holed))) < len(list(packets_of_pcap(whole)))
    lost = sum(row["event"] == "lost" for row in truth)
    assert 0 < lost < FRAMES / 4


def test_same_seed_same_bytes(tmp_path):
    first = generate(tmp_path, "--seed", "7")
    assert generate(tmp_path, "--seed", "7") == first
    assert generate(tmp_path, "--seed", "8") != first


@pytest.fixture(scope="module")
def bench():
    """The script that measures, as a module."""
    spec = importlib.util.spec_from_file_location("bench_run", BENCH / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_message_is_a_record_of_its_own_in_tls(tmp_path):
    capture, keys = tmp_path / "made.pcap", tmp_path / "made.keys"
    command = [sys.executable, BENCH / "generate_tls.py", "--frames", str(FEW), "--devices", "4"]
    subprocess.run([*command, "-o", capture, "--keylog", keys], check=True, capture_output=True, timeout=60)
    decode = [sys.executable, "-m", "blynkscope", "decode", "--format", "jsonl", "--keylog", keys, capture]
    run = subprocess.run(decode, check=True, capture_output=True, timeout=60)
    records = [json.loads(line) for line in run.stdout.splitlines()]
    via = Counter(record["via"][-1] for record in records if record["record"] == "frame")
    assert set(via) == {"tls1.2", "tls1.3"}
    assert sum(via.values()) == FEW
    data = 0
    for _, stream in streams(packets_of_pcap(capture.read_bytes())):
        at = 0
        while at < len(stream):
            data += stream[at] == 23
            at += 5 + unpack_from(">H", stream, at + 3)[0]
        assert at == len(stream), "half a record"
    # TLS 1.3 has its handshake and its tickets in such records too.
    assert FEW < data < 2 * FEW


@pytest.mark.tshark
def test_both_programs_open_every_frame_of_a_tls_capture(tmp_path, bench):
    result = bench.secured(FEW, 1, tmp_path, shutil.which("tshark"))
    assert set(result["decoded"].values()) == {FEW}
    assert set(result["decoded"]) == {line["name"] for line in result["rows"]}
    assert all({"times_tshark", "times_tshark_busy"} <= set(line) for line in result["rows"])


def test_without_tshark_there_is_no_ratio(tmp_path, bench):
    result = bench.secured(FEW, 1, tmp_path, None)
    assert set(result["decoded"].values()) == {FEW}
    assert not any("times_tshark" in line for line in result["rows"])


def test_programs_that_disagree_are_not_compared(tmp_path, bench, monkeypatch):
    monkeypatch.setattr(bench, "frames_in_jsonl", lambda path: FEW - 1)
    with pytest.raises(bench.Failed, match=f"{FEW} frames were written"):
        bench.secured(FEW, 1, tmp_path, None)


def test_ratios_are_of_neighbours_in_time(bench):
    ours = [bench.Run(1.0, 0.0, 2.0), bench.Run(2.0, 0.0, 2.0), bench.Run(4.0, 0.0, 2.0)]
    theirs = [bench.Run(5.0, 0.0, 6.0), bench.Run(10.0, 0.0, 6.0), bench.Run(40.0, 0.0, 6.0)]
    assert bench.ratio(ours, theirs) == 5.0
    assert bench.busy_ratio(ours, theirs) == 3.0
