"""The command `live`: what it refuses and how, what it lists, and its loop over a made-up backend."""

import contextlib
import errno
import json
import os
import shlex
import signal
import subprocess
import sys

import pytest
from captures_of import CAPTURES
from click.testing import CliRunner

from blynkscope.cli import cli, live
from blynkscope.errors import BlynkscopeError
from blynkscope.sources.capture import read_capture
from blynkscope.sources.live import Chunk, Counts, LiveUsageError, NetworkInterface, Stamp, Wanted
from blynkscope.sources.live.rights import as_root

NAME = "12b_idle_hbeat5.pcap"
FOUND = [
    NetworkInterface("eth0", True, False, ("192.0.2.7",), True),
    NetworkInterface("lo", True, True, ("127.0.0.1", "::1"), False),
    NetworkInterface("evil\x1b[31m", False, False, (), False),
]


class Captured:
    """A backend that gives a capture, and then nothing, or its end."""

    name = "made-up"

    def __init__(self, wanted, *, ends=True, counts=Counts(9, 3)):  # noqa: B008
        self.interfaces = wanted.interfaces
        self.ended = None
        self._ends = ends
        self._counts = counts
        self._chunks = self._read()

    def _read(self):
        with (CAPTURES / NAME).open("rb") as stream:
            for buffer, packets in read_capture(stream, NAME):
                yield Chunk(buffer, packets, [Stamp(round(packet[0] * 1e9), 0) for packet in packets])

    def read(self, timeout):
        chunk = next(self._chunks, None)
        if chunk is None and self._ends:
            self.ended = "the cable is cut"
        return [chunk] if chunk else []

    def counts(self):
        return self._counts

    def close(self):
        pass

    def abandon(self):
        pass


@pytest.fixture(autouse=True)
def made_up(monkeypatch):
    monkeypatch.setattr(live, "interfaces", lambda: FOUND)
    monkeypatch.setattr(live, "open_backend", lambda wanted, name: Captured(wanted))
    monkeypatch.delenv("SSLKEYLOGFILE", raising=False)
    handlers = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for one, handler in handlers.items():
        signal.signal(one, handler)


def invoke(*arguments):
    done = CliRunner().invoke(cli, ["live", *arguments], catch_exceptions=True)
    if done.exception is not None and not isinstance(done.exception, SystemExit | BlynkscopeError):
        raise done.exception
    return done


def records(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def decoded(*arguments):
    command = [sys.executable, "-m", "blynkscope", "decode", "--format", "jsonl", str(CAPTURES / NAME), *arguments]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_records_are_those_of_decode_and_drops_are_in_the_summary():
    done = invoke("-i", "eth0", "--format", "jsonl")
    *got, summary = records(done)
    *expected, other = decoded()
    assert got == expected
    assert summary["frames"] == other["frames"]
    assert summary["lost"] == {"packets_dropped_kernel": 3}
    assert "3 dropped: 3 by the kernel" in done.stderr


def test_a_capture_that_ends_by_itself_is_cut_short():
    done = invoke("-i", "eth0")
    assert done.exit_code == 3
    assert "the capture ended: the cable is cut" in done.stderr
    assert "summary" in done.stdout


@pytest.mark.parametrize("form", ["table", "tree", "ladder", "mermaid", "summary", "json", "csv", "sarif", "junit"])
def test_every_format_is_written(form):
    done = invoke("-i", "eth0", "--format", form)
    assert done.stdout
    assert done.exit_code == 3


def test_a_count_is_exact_and_ends_it_well():
    done = invoke("-i", "eth0", "--format", "jsonl", "--count", "3")
    assert done.exit_code == 0
    got = records(done)
    assert [r["n"] for r in got if r["record"] == "frame"] == [1, 2, 3]
    assert got[-1]["record"] == "summary"


def test_a_count_counts_what_the_filter_shows():
    done = invoke("-i", "eth0", "--format", "jsonl", "--count", "2", "--filter", "sender == server")
    frames = [r for r in records(done) if r["record"] == "frame"]
    assert [r["sender"] for r in frames] == ["server", "server"]


def test_the_recording_holds_the_packets_and_the_drops(tmp_path):
    path = tmp_path / "seen.pcapng"
    invoke("-i", "eth0", "-w", str(path))
    got, expected = [], []
    for name, into in ((path, got), (CAPTURES / NAME, expected)):
        with name.open("rb") as stream:
            into += [(round(p[0], 6), b[p[2] : p[3]]) for b, packets in read_capture(stream, "x") for p in packets]
    assert got == expected
    done = invoke("-i", "eth0", "-w", str(path))
    assert isinstance(done.exception, LiveUsageError)
    assert "--force" in str(done.exception)
    assert invoke("-i", "eth0", "-w", str(path), "--force").exit_code == 3


def test_without_an_interface_the_list_says_which_one_to_take():
    done = invoke()
    assert isinstance(done.exception, LiveUsageError)
    assert done.exception.exit_code == 2
    assert "  eth0          192.0.2.7; the way to the Internet: try this one first" in done.stderr
    assert "\x1b" not in done.stderr


def test_the_list_as_text_and_for_programs():
    assert invoke("--list").stdout.splitlines()[0].startswith("  eth0")
    (everything,) = records(invoke("--list", "--format", "json"))
    assert [one["name"] for one in everything] == [one.name for one in FOUND]
    lines = records(invoke("--list", "--format", "jsonl"))
    assert lines == everything
    assert lines[0] == {
        "name": "eth0", "up": True, "loopback": False, "addresses": ["192.0.2.7"], "default": True, "description": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        ("-i", "eth0", "--rotate-size", "1M"),
        ("-i", "eth0", "--keep", "3", "-w", "x.pcapng"),
        ("-i", "eth0", "-i", "eth0"),
        ("-i", "eth0", "-w", "x", "-o", "x"),
        ("-i", "eth0", "--duration", "soon"),
        ("-i", "eth0", "--duration", "0"),
        ("-i", "eth0", "--count", "0"),
        ("-i", "eth0", "--backend", "magic"),
        ("-i", "eth0", "-w", "x", "--rotate-size", "1T"),
        ("-i", "eth0", "-w", "x", "--rotate-size", "10", "--keep", "2"),
        ("-i", "eth0", "-w", "x", "--rotate-size", "1023k"),
    ],
)
def test_usage_errors(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert invoke(*arguments).exit_code == 2
    assert not os.listdir(tmp_path)


def test_any_takes_in_the_other_interfaces(monkeypatch):
    asked = []

    def opened(wanted, name):
        asked.append(wanted.interfaces)
        return Captured(wanted)

    monkeypatch.setattr(live, "open_backend", opened)
    done = invoke("-i", "lo", "-i", "any", "-i", "eth0", "--duration", "1")
    assert asked == [("any",)]
    assert "any takes in all interfaces: lo, eth0 is left out" in done.stderr
    assert invoke("-i", "lo", "-i", "eth0", "--duration", "1").exit_code == done.exit_code
    assert asked[1:] == [("lo", "eth0")]


@pytest.mark.parametrize("backend", ["dumpcap", "socket", "scapy"])
def test_every_backend_is_asked_for_no_packet_twice(monkeypatch, backend):
    from blynkscope.sources import live as sources

    monkeypatch.setitem(sources._MAKERS, backend, lambda wanted: wanted)
    assert sources.open_backend(Wanted(("lo", "any")), backend).interfaces == ("any",)
    assert sources.open_backend(Wanted(("lo", "eth0", "lo")), backend).interfaces == ("lo", "eth0")


@pytest.mark.parametrize(
    ("program", "named"),
    [("blynkscope", "{folder}/blynkscope"), ("{folder}/blynkscope", "{folder}/blynkscope"), ("-c", None)],
)
def test_the_command_that_may_sniff_is_exact(program, named, tmp_path, monkeypatch):
    script = tmp_path / "my bin" / "blynkscope"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    folder = str(script.parent)
    monkeypatch.setenv("PATH", folder)
    monkeypatch.setattr(sys, "argv", [program.format(folder=folder), "live", "-i", "lo", "-f", "tcp port 80"])
    words = shlex.split(as_root())
    assert words[-5:] == ["live", "-i", "lo", "-f", "tcp port 80"]
    assert words[0] == "sudo"
    assert os.path.isabs(words[1])
    assert named is None or words[1] == named.format(folder=folder)
    monkeypatch.setenv("SSLKEYLOGFILE", "keys")
    assert shlex.split(as_root())[1] == "--preserve-env=SSLKEYLOGFILE"
    monkeypatch.setattr(sys, "argv", ["pytest"])
    assert as_root().endswith(" live")


RUN = """
import signal, sys
if hasattr(signal, "SIGHUP"):
    # Whoever runs the tests by nohup has it ignored.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
sys.path[:0] = {paths!r}
import test_live_command
from blynkscope.cli import live, main
live.open_backend = lambda wanted, name: test_live_command.Captured(wanted, ends=False)
main(["live", "-i", "eth0", *sys.argv[1:]])
"""


class Program(subprocess.Popen):
    """A process that does not outlive its test."""

    def __exit__(self, *about):
        self.kill()
        return super().__exit__(*about)


def program(*arguments, code=RUN, **options):
    paths = [os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))]
    command = [sys.executable, "-c", code.format(paths=paths), *arguments]
    return Program(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_with_the_summary(number):
    with program("--format", "jsonl") as running:
        line = running.stdout.readline()
        assert json.loads(line)
        running.send_signal(number)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert json.loads(out.splitlines()[-1])["record"] == "summary"
    assert "3 dropped" in err


STUCK = """
import time
class Stuck(test_live_command.Captured):
    def read(self, timeout):
        time.sleep(0.01)
        return super().read(timeout) or [test_live_command.Chunk(b"x", [(1.0, 1, 0, 1, 1)], [test_live_command.Stamp(1, 0)])]
    def abandon(self):
        sys.stderr.write("abandoned")
        sys.stderr.flush()
live.open_backend = lambda wanted, name: Stuck(wanted, ends=False)
main("""


def test_a_second_interrupt_ends_it_at_once():
    """The network is so busy that what came before the first one has no end."""
    with program("--format", "jsonl", code=RUN.replace("main(", STUCK)) as running:
        assert running.stdout.readline()
        while running.poll() is None:
            running.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(0.05)
        assert running.returncode == 130
        assert "abandoned" in running.stderr.read()


def test_a_full_disk_is_told_while_decoding_goes_on(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    real = live.Recorder

    def make(*arguments, **options):
        made = real(*arguments, **options)
        monkeypatch.setattr(made, "_flush", full)
        return made

    monkeypatch.setattr(live, "Recorder", make)
    done = invoke("-i", "eth0", "-w", str(tmp_path / "seen.pcapng"), "--format", "jsonl", "--count", "3")
    assert done.exit_code == 3
    assert done.stderr.count("no more packets are written") == 1
    assert "No space left on device" in done.stderr
    assert [r["n"] for r in records(done) if r["record"] == "frame"] == [1, 2, 3]


def test_a_reader_that_has_enough_ends_it_quietly():
    with program("--format", "csv") as running:
        running.stdout.readline()
        running.stdout.close()
        running.send_signal(signal.SIGINT)
        err = running.stderr.read()
        assert running.wait(60) in (0, 130)
    assert "Traceback" not in err
    assert "Broken" not in err
