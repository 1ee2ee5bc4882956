"""Real sniffing, in network namespaces of the test's own: a real client and a real peer, every frame seen once."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from blynkscope.sources.capture import read_capture

TESTS = Path(__file__).parent.parent
WORLD = TESTS / "live_world.py"
BACKENDS = ("dumpcap", "socket", "scapy")

# dumpcap comes with tshark, and libpcap with both.
pytestmark = [pytest.mark.root, pytest.mark.tshark]


def live(world, *arguments, **asked):
    """What the peer had, what the sniffer wrote and said."""
    order = json.dumps({"world": world, "arguments": arguments, **asked})
    done = subprocess.run(
        ["unshare", "-n", sys.executable, str(WORLD), order], capture_output=True, check=False, timeout=100, text=True
    )
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)
    got["records"] = [json.loads(line) for line in got["out"].splitlines()]
    return got


def by_side(frames):
    return {side: [tuple(frame[1:]) for frame in frames if frame[0] == side] for side in ("device", "server")}


def frames_of(got):
    return [(r["sender"], r["cmd"], r["id"], r["body"] or "") for r in got["records"] if r["record"] == "frame"]


def assert_each_frame_once(got):
    told = [(side, cmd, number) for side, cmd, number, _ in frames_of(got)]
    expected = [tuple(frame[:3]) for frame in got["frames"]]
    assert by_side(told) == by_side(expected), got["said"]
    assert len(expected) > 35
    summary = got["records"][-1]
    assert summary["record"] == "summary"
    assert summary["lost"] == {}
    assert summary["streams"] == 1
    assert ", 0 dropped" in " ".join(got["said"].replace(" packets captured", "").split())
    assert got["status"] == 130


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("world", "interface"), [("lo", "lo"), ("lo", "any"), ("veth", "va"), ("bridge", "any")])
def test_every_frame_of_a_real_client_is_seen_once(world, interface, backend):
    assert_each_frame_once(live(world, "-i", interface, "--backend", backend))


@pytest.mark.parametrize("backend", BACKENDS)
def test_several_interfaces_and_a_filter_of_ones_own(backend):
    got = live("veth", "-i", "va", "-i", "lo", "-f", "tcp port 8080", "--backend", backend)
    assert_each_frame_once(got)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_recording_decodes_to_the_same_frames(tmp_path, backend):
    path = tmp_path / "seen.pcapng"
    got = live("veth", "-i", "va", "--backend", backend, "-w", str(path))
    assert_each_frame_once(got)
    assert path.stat().st_mode & 0o777 == 0o600
    with path.open("rb") as stream:
        reader = read_capture(stream, path.name)
        assert sum(len(packets) for _, packets in reader) > 10
        assert reader.damage is None
    command = [sys.executable, "-m", "blynkscope", "decode", "--format", "jsonl", str(path)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60, text=True)
    again = {"records": [json.loads(line) for line in done.stdout.splitlines()]}
    assert frames_of(again) == frames_of(got)
    times = [[r["time"] for r in one["records"] if r["record"] == "frame"] for one in (got, again)]
    assert times[0] == times[1]


def test_an_exact_count_ends_it_with_status_0():
    got = live("lo", "-i", "lo", "--count", "7", interrupt=False)
    assert len(frames_of(got)) == 7
    assert got["status"] == 0
    assert got["records"][-1]["record"] == "summary"


def test_a_duration_ends_it_with_status_0_though_nothing_comes():
    got = live("lo", "-i", "lo", "--duration", "300ms", device=False, interrupt=False)
    assert got["status"] == 0
    assert [r["record"] for r in got["records"]] == ["summary"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("arguments", [(), ("-f", "vlan and tcp port 8080")], ids=["default", "own"])
def test_vlan_tags_are_seen_through_and_recorded(tmp_path, backend, arguments):
    """The kernel takes the tag out of a packet before anyone sees it."""
    path = tmp_path / "tagged.pcapng"
    got = sent(["-i", "va", "--backend", backend, "-w", str(path), *arguments], tagged=True)
    assert got["seen"] == got["sent"]
    with path.open("rb") as stream:
        packets = [buffer[start:end] for buffer, batch in read_capture(stream, "x") for _, _, start, end, _ in batch]
    assert [packet.hex() for packet in packets] == got["packets"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("interface", ["lo", "any", "va"])
def test_loss_is_counted_exactly(backend, interface):
    """The reader is stopped while more is sent than the smallest buffer holds."""
    options = ["--buffer", "1"] if backend != "scapy" else []
    got = sent(
        ["-i", interface, "--backend", backend, *options],
        count=40_000,
        size=400,
        pause=True,
        to="lo" if interface == "lo" else "va",
    )
    assert got["reported"] > 0, got["said"]
    assert got["seen"] > 0
    assert got["seen"] + got["reported"] == got["sent"], got["said"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_interface_that_goes_ends_it(backend):
    got = sent(["-i", "va", "--backend", backend], remove=True)
    assert got["status"] == 3
    assert "the capture ended" in got["said"]
    assert "summary" not in got["said"]


def sent(arguments, **asked):
    order = json.dumps({"arguments": arguments, **asked})
    script = TESTS / "live_sender.py"
    done = subprocess.run(
        ["unshare", "-n", sys.executable, str(script), order], capture_output=True, check=False, timeout=100, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


NOBODY = 65534


@pytest.mark.parametrize(("backend", "words"), [
    ("dumpcap", ("setcap cap_net_raw,cap_net_admin+eip", "usermod -aG wireshark $USER", "`sudo /")),
    ("socket", ("setcap cap_net_raw+ep", "every program that any user runs with this Python")),
    ("scapy", ("`sudo /",)),
])  # fmt: skip
def test_a_user_without_the_right_is_told_the_command(backend, words):
    done = as_nobody("--backend", backend)
    assert done.returncode == 4
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_auto_tells_what_each_backend_lacks():
    done = as_nobody()
    assert done.returncode == 4
    begins = Counter(line.split(":")[0] for line in done.stderr.splitlines())
    assert begins == {"dumpcap": 1, "socket": 1, "scapy": 1, "Error": 1}


def as_nobody(*arguments):
    """Run as a user without rights, in this interpreter, which that user may not be able to read otherwise."""
    code = (
        "import os, sys; import blynkscope.cli.live, blynkscope.sources.live.dumpcap, blynkscope.sources.live.ring; "
        "import blynkscope.sources.live.sniffer, scapy.config; scapy.config.conf.use_pcap = True; import scapy.arch.libpcap; "
        "import blynkscope.analysis.analyser, blynkscope.render.outputs, blynkscope.render.table, blynkscope.analysis.selection; "
        "import blynkscope.render.safe, difflib, blynkscope.render.redact, blynkscope.analysis.filters; "
        f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY}); "
        "from blynkscope.cli import main; main(sys.argv[1:])"
    )
    command = ["unshare", "-n", sys.executable, "-c", code, "live", "-i", "lo", "--duration", "1s", *arguments]
    return subprocess.run(command, capture_output=True, check=False, timeout=60, text=True)
