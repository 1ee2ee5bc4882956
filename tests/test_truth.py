"""Every capture that has a truth beside it is decoded to exactly those frames.

The truth of a recording is what the codec of the real server read and wrote; that of a made capture is what its script
sent and what can be known from the file.
"""

import gzip
import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import msgspec
import pytest

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import spelled_out
from blynkscope.sources import CaptureSource
from blynkscope.wire.keylog import KeyLog

CAPTURES = Path(__file__).parent.parent / "captures"

LEFT_OUT = {
    "11c_wrong_protocol_8080": "the server read TLS, HTTP and noise as frames; an analyser should name them instead",
}
UNREAD = {("07a_app_tls12", 33162), ("07a_app_tls12", 47426)}
"""Clients whose last frame the codec did not read: a command that it does not know, and one after it had closed."""
EXACT_TIMES = re.compile(r"(link|pcap|pcapng)_")
"""Made captures in which each segment holds whole frames, so that the truth knows when the last byte was seen."""


def named(path):
    """The name of a capture: what stands before the first dot."""
    return path.name.partition(".")[0]


def all_captures():
    found = sorted(path for path in CAPTURES.glob("**/*.pcap*") if path.is_file())
    return [path for path in found if path.with_name(f"{named(path)}.truth.jsonl").exists()]


def truth_of(path):
    with path.with_name(f"{named(path)}.truth.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def decode(path):
    """The records of one capture, straight from the analysis, with its key log if it has one: raw, with secrets."""
    keys = path.with_suffix(".keys")
    analyser = Analyser(keys=KeyLog(keys.read_bytes()) if keys.exists() else None)
    with path.open("rb") as stream:
        source = CaptureSource(stream, path.name)
        records = [record for batch in source for record in analyser.feed(batch)]
    records += analyser.finish(source.lost)
    assert (source.damage is not None) == is_damaged(path)
    return [msgspec.to_builtins(record) for record in spelled_out(records)]


def is_damaged(path):
    return path.name.startswith("damaged_")


def port_of(end):
    return int(end.rpartition(":")[2])


def decoded_frames(rows):
    """The frames by client port, server port and direction, as far as the truth has them too."""
    frames = defaultdict(list)
    for row in rows:
        if row["record"] == "frame":
            source, target = port_of(row["src"]), port_of(row["dst"])
            # In all captures of this house the server has the lower port.
            key = (source, target, "c2s") if target < source else (target, source, "s2c")
            frames[key].append(row)
    return frames


def essence_of_truth(row):
    # The web dialect has no lengths on the wire.
    length = None if row["dialect"] == "wsweb" else row.get("len")
    return row["cmd"], row["id"], row["status"] if row["cmd"] == 0 else length, row.get("body_hex", "")


def essence_of_frame(row):
    return row["cmd"], row["id"], row["status"] if row["cmd"] == 0 else row["length"], row["body"]


def final_states(rows):
    states = {row["n"]: row["write"] for row in rows if row["record"] == "frame"}
    states.update((row["frame"], row["state"]) for row in rows if row["record"] == "write")
    return states


def test_there_are_captures():
    assert len(all_captures()) > 60
    known = {named(path) for path in all_captures()}
    assert set(LEFT_OUT) <= known


@pytest.mark.parametrize("path", all_captures(), ids=lambda path: path.name)
def test_frames_equal_the_truth(path):
    name = named(path)
    if name in LEFT_OUT:
        return
    rows = decode(path)
    frames = decoded_frames(rows)
    wanted, unfollowed = defaultdict(list), set()
    for row in truth_of(path):
        key = (row["client_port"], row["server_port"], row["dir"])
        if row["event"] == "quota_drop":
            # Over quota the server lost the framing of what the device sent: it cannot bear witness.
            unfollowed.add(key)
        elif row["event"] == "msg":
            wanted[key].append(row)
    for key in set(wanted) | set(frames):
        if key in unfollowed:
            continue
        found = [essence_of_frame(row) for row in frames[key]]
        if (name, key[0]) in UNREAD and key[2] == "c2s":
            found.pop()
        assert found == [essence_of_truth(row) for row in wanted[key]], key
        if EXACT_TIMES.match(name):
            times = [row["time"] for row in frames[key]]
            assert times == pytest.approx([row["ts"] for row in wanted[key]], rel=0, abs=2e-6), key
    states = final_states(rows)
    for key, expected in wanted.items():
        for frame, row in zip(frames[key], expected, strict=False):
            if "write" in row:
                assert states[frame["n"]] == row["write"], (key, row["id"])


@pytest.mark.parametrize(
    "name",
    [
        "01a_hw_plain_pyBlynkLib020.pcap",
        "made/tcp_lost_segment.pcap",
        "made/pcapng_gzip.pcapng.gz",
        "made/writes_states.pcap",
        "made/damaged_cut_block.pcapng",
    ],
)
def test_the_program_says_what_the_analysis_found(name):
    path = CAPTURES / name
    command = [sys.executable, "-m", "blynkscope", "decode", "--format", "jsonl", "--show-secrets", str(path)]
    run = subprocess.run(command, check=False, capture_output=True, timeout=60)
    assert run.returncode == (3 if is_damaged(path) else 0), run.stderr.decode(errors="replace")
    printed = [json.loads(line) for line in run.stdout.splitlines()]
    assert printed == json.loads(msgspec.json.encode(decode(path)))


def content(path):
    """Bytes of a file, unpacked where another zlib may have packed them differently."""
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def test_made_captures_are_what_their_scripts_write(tmp_path):
    script = CAPTURES / "make" / "made.py"
    subprocess.run([sys.executable, script, tmp_path / "made"], check=True, timeout=110)
    kept = {path.name for path in (CAPTURES / "made").iterdir()} - {"README.md"}
    assert {path.name for path in (tmp_path / "made").iterdir()} == kept
    for name in kept:
        assert content(tmp_path / "made" / name) == content(CAPTURES / "made" / name), name


@pytest.mark.parametrize("folder", [CAPTURES, CAPTURES / "made"], ids=["recordings", "made"])
def test_every_capture_is_explained(folder):
    explained = (folder / "README.md").read_text(encoding="utf-8")
    # Damaged blocks share a name up to their length; the README gives the rest in short.
    for path in folder.glob("*.pcap*"):
        assert re.sub(r"(block_length_).*", r"\1", named(path)) in explained
