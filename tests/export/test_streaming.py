"""What a proxy records while it runs: whole packets at once, two legs, comments; tshark reads the same bytes."""

import io
import json
import os
import stat
import subprocess

import pytest
from click.testing import CliRunner
from talk import TOKEN, frame, status

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import FrameRecord, spelled_out
from blynkscope.cli import cli
from blynkscope.errors import EnvironmentProblem
from blynkscope.export.rotating import ExistsError, Rotating
from blynkscope.export.streaming import DEVICE_LEG, UPSTREAM_LEG, StreamingRecorder
from blynkscope.sources import CaptureSource

NOW = 1_700_000_000.25
CLIENT, SERVER = 0, 1


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.pcapng"


def recording(path, proxy="192.0.2.9:9443"):
    return StreamingRecorder(Rotating(path), proxy)


def talk(recorder, number=1, server="203.0.113.5:443", client="198.51.100.7:50000"):
    recorder.opened(number, NOW, client, server)
    login, answer = frame(29, 1, TOKEN), status(1, 200)
    for leg in (DEVICE_LEG, UPSTREAM_LEG):
        recorder.data(number, leg, CLIENT, NOW + 0.1, login)
        recorder.data(number, leg, SERVER, NOW + 0.2, answer)
    return login, answer


def frames(path):
    analyser = Analyser()
    records = [record for batch in CaptureSource(io.BytesIO(path.read_bytes()), "x") for record in analyser.feed(batch)]
    return [one for one in spelled_out(records + analyser.finish()) if isinstance(one, FrameRecord)]


def test_both_legs_are_streams_of_their_own_and_nothing_waits(path):
    recorder = recording(path)
    talk(recorder)
    # The file is not closed: what was told is there all the same.
    found = frames(path)
    assert [(one.stream, one.cmd, one.src, one.dst) for one in found] == [
        (1, 29, "198.51.100.7:50000", "192.0.2.9:8081"),
        (1, 0, "192.0.2.9:8081", "198.51.100.7:50000"),
        (2, 29, "192.0.2.9:49153", "203.0.113.5:8081"),
        (2, 0, "203.0.113.5:8081", "192.0.2.9:49153"),
    ]
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_names_and_other_ip_versions_have_addresses_too(path):
    recorder = recording(path, "[::]:8080")
    talk(recorder, 1, "blynk.example:80")
    talk(recorder, 2, "192.0.2.80:80", "[2001:db8::7]:40000")
    ends = {(one.stream, one.src, one.dst) for one in frames(path) if one.cmd}
    assert ends == {
        (1, "198.51.100.7:50000", "192.0.2.2:8080"),
        (2, "192.0.2.2:49153", "192.0.2.3:80"),
        (3, "[2001:db8::7]:40000", "[2001:db8::2]:8080"),
        (4, "192.0.2.2:49154", "192.0.2.80:80"),
    }


def test_http_goes_to_a_port_where_readers_look_for_it(path):
    recorder = recording(path)
    recorder.opened(1, NOW, "198.51.100.7:50000", "203.0.113.5:443")
    recorder.data(1, UPSTREAM_LEG, CLIENT, NOW, b"GET /websockets HTTP/1.1\r\n\r\n")
    assert b"\x1f\x90" in path.read_bytes()  # 8080


def test_a_file_that_exists_is_not_touched_without_force(path):
    path.write_text("mine")
    with pytest.raises(ExistsError) as refused:
        Rotating(path)
    assert refused.value.exit_code == 2
    assert path.read_text() == "mine"
    Rotating(path, force=True).close()
    assert path.read_bytes() == b""


def test_a_link_is_not_followed(path, tmp_path):
    other = tmp_path / "other"
    other.write_text("mine")
    path.symlink_to(other)
    Rotating(path, force=True).write(b"x")
    assert other.read_text() == "mine"
    with pytest.raises(EnvironmentProblem):
        Rotating(tmp_path / "nowhere" / "x")


def test_rotation_takes_free_names_and_connections_go_on(path):
    recorder = recording(path)
    talk(recorder)
    recorder.rotate()
    recorder.data(1, DEVICE_LEG, CLIENT, NOW + 1, frame(6, 2))
    second = path.with_name("run_00001.pcapng")
    assert [one.cmd for one in frames(second)] == [6]
    path.rename(path.with_name("moved"))
    recorder.rotate()
    recorder.data(1, DEVICE_LEG, CLIENT, NOW + 2, frame(6, 3))
    assert [one.id for one in frames(path)] == [3]


def test_a_full_disk_ends_it_between_two_packets(path, monkeypatch):
    recorder = recording(path)
    talk(recorder)
    size = path.stat().st_size
    real = os.write

    def full(file, data):
        if len(data) > 20:
            return real(file, data[:20])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    recorder.data(1, DEVICE_LEG, CLIENT, NOW + 1, frame(6, 2))
    monkeypatch.undo()
    assert "No space" in recorder.failed
    recorder.data(1, DEVICE_LEG, CLIENT, NOW + 1, frame(6, 3))
    recorder.closed(1, NOW + 2, "fin", 0)
    recorder.rotate()
    assert path.stat().st_size == size


def test_comments_wait_for_the_next_packet_within_bounds(path):
    recorder = recording(path)
    talk(recorder)
    for number in range(100):
        recorder.note(1, f"finding {number}")
        recorder.note(None, f"run {number}")
        recorder.note(77, f"gone {number}")
    recorder.data(1, DEVICE_LEG, CLIENT, NOW + 1, frame(6, 2))
    said = path.read_bytes()
    assert b"finding 31\n" not in said.split(b"run 0")[0]
    assert b"finding 0\n" in said
    assert b"finding 32" not in said
    assert not recorder._comments


def test_missing_bytes_are_told_and_seen(path):
    recorder = recording(path)
    talk(recorder)
    recorder.missing(1, DEVICE_LEG, CLIENT, 5, "the disk is slow")
    recorder.data(1, DEVICE_LEG, CLIENT, NOW + 1, frame(6, 3))
    recorder.closed(1, NOW + 2, "reset", 0)
    assert b"5 bytes before this packet are not recorded: the disk is slow" in path.read_bytes()
    assert [one.id for one in frames(path) if one.cmd == 6] == [3]


@pytest.mark.tshark
def test_tshark_reads_the_same_bytes(path):
    recorder = recording(path)
    said = os.urandom(100_000)
    recorder.opened(1, NOW, "198.51.100.7:50000", "203.0.113.5:80")
    for at in range(0, len(said), 7001):
        for leg in (DEVICE_LEG, UPSTREAM_LEG):
            recorder.data(1, leg, SERVER, NOW + at * 1e-5, said[at : at + 7001])
    recorder.note(1, "BS301 told")
    recorder.closed(1, NOW + 5, "fin", 1)
    for stream in (0, 1):
        done = subprocess.run(
            ["tshark", "-n", "-r", str(path), "-q", "-z", f"follow,tcp,raw,{stream}"],
            capture_output=True, check=True, timeout=60, text=True,
        )  # fmt: skip
        lines = done.stdout.split("Node 1:")[1].splitlines()[1:-1]
        assert bytes.fromhex("".join(line.strip() for line in lines)) == said
    wrong = subprocess.run(
        ["tshark", "-n", "-r", str(path), "-o", "tcp.check_checksum:TRUE", "-Y",
         "tcp.analysis.flags || tcp.checksum.status == 0 || ip.checksum.status == 0"],
        capture_output=True, check=True, timeout=60, text=True,
    )  # fmt: skip
    assert wrong.stdout == ""
    comments = subprocess.run(
        ["tshark", "-n", "-r", str(path), "-T", "fields", "-e", "frame.comment", "-e", "frame.interface_name"],
        capture_output=True, check=True, timeout=60, text=True,
    )  # fmt: skip
    assert "BS301 told\tdevice leg" in comments.stdout
    assert "upstream leg" in comments.stdout


def decoded(path, *words):
    done = CliRunner().invoke(cli, ["decode", "--format", "jsonl", str(path), *words])
    assert done.exit_code == 0, done.output
    records = [json.loads(line) for line in done.stdout.splitlines()]
    named = [(one["stream"], one["cmd"], one["sender"]) for one in records if one["record"] == "frame"]
    return named, [one["id"] for one in records if one["record"] == "finding"], done.stderr


def test_decode_shows_the_leg_of_the_device_alone(path):
    recorder = recording(path)
    for number in (1, 2):
        talk(recorder, number, client=f"198.51.100.{number}:50000")
        recorder.closed(number, NOW + 1, "fin", CLIENT)
    named, findings, notes = decoded(path)
    assert named == [(1, 29, "device"), (1, 0, "server"), (3, 29, "device"), (3, 0, "server")]
    assert findings == []
    assert "the 2 connections between it and the server" in notes
    assert "--stream 2 shows the first of them" in notes
    # Streams keep their numbers where both legs are shown.
    assert decoded(path, "--stream", "2")[0] == [(2, 29, "device"), (2, 0, "server")]
    assert decoded(path, "--stream", "3")[0] == named[2:]
    assert "left out" not in decoded(path, "--stream", "3")[2]
    assert len(decoded(path, *(word for number in "1234" for word in ("--stream", number)))[0]) == 8


def test_one_leg_is_the_same_however_it_is_read(path, monkeypatch):
    recorder = recording(path)
    talk(recorder)
    data = path.read_bytes()

    def events(general):
        source = CaptureSource(io.BytesIO(data), "x", general=general)
        source.one_leg = True
        return [event for batch in source for event in batch], source.notes

    whole = events(False)
    assert whole[0]
    assert {event.stream for event in whole[0]} == {1}
    assert "the connection between it and the server" in whole[1][0]
    monkeypatch.setattr("blynkscope.protocol.limits.READ_SIZE", 7)
    for general in (False, True):
        assert events(general) == whole


def test_a_server_of_its_own_has_one_leg(path):
    recorder = StreamingRecorder(Rotating(path), "192.0.2.9:9443", legs=1)
    talk(recorder)
    named, _, notes = decoded(path)
    assert named == [(1, 29, "device"), (1, 0, "server")]
    assert "left out" not in notes


def test_other_interfaces_of_that_name_are_read_as_they_are(path):
    recorder = recording(path)
    talk(recorder)
    path.write_bytes(path.read_bytes().replace(b"blynkscope proxy: between", b"whatever else: is between"))
    assert len(decoded(path)[0]) == 4
