"""`blynkscope redact`: what it writes, refuses and says."""

import gzip
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from scrub_help import frames, unpacked

from blynkscope import cli
from blynkscope.scrub.captures import CaptureScrub
from blynkscope.scrub.logs import LogScrub

CAPTURES = Path(__file__).parent.parent.parent / "captures"
BRIDGE = CAPTURES / "13_bridge.pcap"
LOG = CAPTURES / "05_hw_invalid_token.clientlog.txt"
LOG_TOKEN = b"0123456789abcdef0123456789abcdef"


def run(*arguments, **more):
    command = [sys.executable, "-m", "blynkscope", "redact", *map(str, arguments)]
    more = {"stdout": subprocess.PIPE, "stdin": subprocess.DEVNULL, **more}
    return subprocess.run(command, check=False, stderr=subprocess.PIPE, timeout=60, **more)


def tokens(path):
    return {bytes.fromhex(one.body) for one in frames(unpacked(path)) if one.cmd in {2, 29}}


def test_a_capture(tmp_path):
    out = tmp_path / "out.pcap"
    done = run(BRIDGE, "-o", out)
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.decode().splitlines()[0] == "token: 10 places, 5 different"
    assert b"read again: none of them is left" in done.stderr
    data = out.read_bytes()
    assert len(data) == BRIDGE.stat().st_size
    for token in tokens(BRIDGE):
        assert token not in data
        assert token not in done.stderr
    assert [one.cmd for one in frames(data)] == [one.cmd for one in frames(BRIDGE.read_bytes())]


def test_the_count_as_json(tmp_path):
    done = run(BRIDGE, "-o", tmp_path / "out.pcap", "--format", "json")
    report = json.loads(done.stdout)
    assert report["replaced"] == {"token": {"places": 10, "different": 5}}
    assert (report["kind"], report["packets"], report["verified"], report["remaining"]) == ("capture", 111, True, {})


def test_gzip_in_and_out(tmp_path):
    out = tmp_path / "out.pcap.gz"
    assert run(CAPTURES / "made" / "pcap_gzip.pcap.gz", "-o", out).returncode == 0
    data = gzip.decompress(out.read_bytes())
    plain = tmp_path / "out.pcap"
    assert run(out, "-o", plain).returncode == 0
    assert plain.read_bytes() == data
    assert not any(token in data for token in tokens(CAPTURES / "made" / "pcap_gzip.pcap.gz"))


def test_pipes():
    with LOG.open("rb") as stream:
        done = run("-", "-o", "-", stdin=stream)
    assert done.returncode == 0
    assert done.stdout == LOG.read_bytes().replace(LOG_TOKEN, b"c0de0001" + b"0" * 24)


def test_hosts_only_on_request(tmp_path):
    log = tmp_path / "log.txt"
    log.write_bytes(b"[3] Connecting to plants.local:8080\n[4] IP: 192.168.1.23\n[5] <[06|00|01|00|00]\n")
    out = tmp_path / "out.txt"
    assert run(log, "-o", out).returncode == 0
    assert out.read_bytes() == log.read_bytes()
    assert run(log, "-o", out, "--hosts", "--force").returncode == 0
    assert b"plants" not in out.read_bytes()
    assert b"192.168" not in out.read_bytes()


def test_the_input_is_spared(tmp_path):
    copy = tmp_path / "in.pcap"
    copy.write_bytes(BRIDGE.read_bytes())
    (tmp_path / "link.pcap").symlink_to(copy)
    for target in (copy, tmp_path / "link.pcap"):
        done = run(copy, "-o", target)
        assert done.returncode == 2
        assert b"is an input" in done.stderr
    assert copy.read_bytes() == BRIDGE.read_bytes()


def test_a_file_is_written_over_by_force_alone(tmp_path):
    there, elsewhere = tmp_path / "out.pcap", tmp_path / "link.pcap"
    there.write_bytes(b"mine")
    elsewhere.symlink_to(there)
    (tmp_path / "dangling.pcap").symlink_to(tmp_path / "nothing")
    for out in (there, elsewhere, tmp_path / "dangling.pcap"):
        done = run("-", "-o", out)  # refused before anything is read
        assert done.returncode == 2
        assert b"exists: choose another name, or --force" in done.stderr
    assert there.read_bytes() == b"mine"
    # A link is taken away, not followed.
    assert run(BRIDGE, "-o", elsewhere, "--force").returncode == 0
    assert there.read_bytes() == b"mine"
    assert not elsewhere.is_symlink()
    assert run(BRIDGE, "-o", there, "--force").returncode == 0
    assert there.read_bytes() == elsewhere.read_bytes()


@pytest.mark.parametrize("more", [(), ("--force",)])
def test_what_is_no_file_is_written_to(tmp_path, more):
    assert run(LOG, "-o", os.devnull, *more).returncode == 0
    assert run(LOG, "-o", "/dev/stdout", *more).stdout == run(LOG, "-o", "-").stdout
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert run(LOG, "-o", pipe, *more).returncode == 0
    assert os.read(reader, 100)
    os.close(reader)


def test_a_file_that_comes_meanwhile_is_spared(tmp_path, monkeypatch, capsys):
    out = tmp_path / "out.pcap"
    left = CaptureScrub.left

    def meanwhile(*words):
        out.write_bytes(b"mine")
        return left(*words)

    monkeypatch.setattr(CaptureScrub, "left", meanwhile)
    with pytest.raises(SystemExit) as end:
        cli.main(["redact", str(BRIDGE), "-o", str(out)])
    assert end.value.code == 2
    assert "exists" in capsys.readouterr().err
    assert out.read_bytes() == b"mine"


def test_a_terminal_is_refused():
    master, slave = pty.openpty()
    try:
        for arguments, more in (((BRIDGE, "-o", "-"), {"stdout": slave}), ((BRIDGE, "-o", os.ttyname(slave)), {})):
            done = run(*arguments, **more)
            assert done.returncode == 2
            assert b"terminal" in done.stderr
    finally:
        os.close(slave)
        os.close(master)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((BRIDGE,), 2, b"--output"),
        ((BRIDGE, "-o", "-", "--format", "json"), 2, b"standard output"),
        (("/nowhere/x.pcap", "-o", os.devnull), 3, b"No such file"),
        ((os.devnull, "-o", os.devnull), 3, b"empty"),
        ((BRIDGE, "-o", "/nowhere/out.pcap"), 4, b"cannot write"),
    ],
)
def test_what_cannot_be_done(arguments, status, words):
    done = run(*arguments)
    assert done.returncode == status
    assert words in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_damaged_capture_is_written_and_said(tmp_path):
    done = run(CAPTURES / "made" / "damaged_cut_packet.pcap", "-o", tmp_path / "out.pcap")
    assert done.returncode == 3
    assert b"damaged at byte" in done.stderr
    assert (tmp_path / "out.pcap").stat().st_size == (CAPTURES / "made" / "damaged_cut_packet.pcap").stat().st_size


def test_nothing_is_kept_where_a_secret_is_left(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(CaptureScrub, "left", lambda *_: {"token": 2})
    out = tmp_path / "out.pcap"
    with pytest.raises(SystemExit) as end:
        cli.main(["redact", str(BRIDGE), "-o", str(out)])
    assert end.value.code == 1
    assert "token 2" in capsys.readouterr().err
    assert not out.exists()


def test_a_log_in_which_a_secret_is_left_tells_the_line(tmp_path, monkeypatch, capsys):
    def left(scrub, _):
        scrub.report.remaining_lines = {"ssid": [2, 7]}
        return {"ssid": 2, "token": 1}

    monkeypatch.setattr(LogScrub, "left", left)
    with pytest.raises(SystemExit) as end:
        cli.main(["redact", str(LOG), "-o", str(tmp_path / "out.txt")])
    assert end.value.code == 1
    assert "(ssid 2 in lines 2, 7, token 1)" in capsys.readouterr().err
    assert not (tmp_path / "out.txt").exists()


@pytest.mark.parametrize("folder", [CAPTURES / "logs", CAPTURES.parent / "tests" / "seeds"], ids=["logs", "seeds"])
def test_every_log_can_be_shared(folder, tmp_path):
    logs = sorted(folder.glob("*.txt"))
    assert logs
    for log in logs:
        for more in ([], ["--hosts"]):
            out = tmp_path / f"{len(more)}{log.name}"
            with pytest.raises(SystemExit) as end:
                cli.main(["redact", str(log), "-o", str(out), *more])
            assert end.value.code in {0, None}, log.name
            assert out.stat().st_size == log.stat().st_size


def test_checksums_that_were_wrong_are_told(tmp_path):
    capture = CAPTURES / "04_hw_plain_cpp140.pcap"
    done = run(capture, "-o", tmp_path / "out.pcap", "--hosts", "--format", "json")
    report = json.loads(done.stdout)
    assert report["left"]["wrong_checksums"] == report["packets"] == 133
    assert f"{report['left']['wrong_checksums']} checksums were wrong before" in done.stderr.decode()
