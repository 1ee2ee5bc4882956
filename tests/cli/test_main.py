"""What holds for every command: closed pipes, outputs that cannot be written, wrong names."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CAPTURES = Path(__file__).parent.parent.parent / "captures"
SHORT = str(CAPTURES / "12b_idle_hbeat5.pcap")
LONG = str(CAPTURES / "10b_flood_200ps.pcap")
EVERY = [
    ["decode", LONG],
    ["decode", "--format", "jsonl", LONG],
    ["decode", "--format", "json", LONG],
    ["decode", "--format", "tree", LONG],
    ["decode", "--format", "csv", LONG],
    ["codes"],
    ["codes", "--format", "json"],
    ["explain", "BS301"],
    ["filters"],
    ["hexdump", "0600010000"],
]
every_command = pytest.mark.parametrize("arguments", EVERY, ids=" ".join)


def run(*arguments, **more):
    command = [sys.executable, "-m", "blynkscope", *arguments]
    more = {"stdout": subprocess.PIPE, "stdin": subprocess.DEVNULL, **more}
    return subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True, timeout=60, **more)


@pytest.mark.parametrize("arguments", [*EVERY, ["--help"], ["--version"], ["decode", "--help"]], ids=" ".join)
def test_a_closed_pipe_is_no_error(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run(*arguments, stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@every_command
def test_a_full_disk_is_said(arguments):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = run(*arguments, stdout=full)
    assert done.returncode == 4
    assert done.stderr == "Error: cannot write the output: No space left on device\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_closed_standard_streams(closed):
    done = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -m blynkscope decode "{SHORT}" {closed}'],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments", [["decode", SHORT], ["codes"], ["explain", "9"], ["hexdump", "0600010000"]], ids=lambda words: words[0]
)
def test_an_output_that_cannot_be_made(arguments, tmp_path):
    done = run(*arguments, "-o", str(tmp_path / "no" / "folder"))
    assert done.returncode == 4
    assert done.stderr.startswith("Error: cannot write ")
    assert "No such file or directory" in done.stderr


def test_the_input_is_not_overwritten(tmp_path):
    capture, other = tmp_path / "a.pcap", tmp_path / "b.pcap"
    shutil.copy(SHORT, capture)
    other.symlink_to(capture)
    before = capture.read_bytes()
    for output in (capture, other):
        done = run("decode", str(capture), "-o", str(output))
        assert done.returncode == 2
        assert "is an input" in done.stderr
        assert capture.read_bytes() == before


def test_a_command_that_is_nearly_right():
    done = run("decod", SHORT)
    assert done.returncode == 2
    assert done.stderr.endswith("Error: No such command 'decod'. Did you mean decode?\n")


@pytest.mark.parametrize(
    ("name", "said"),
    [("nothing.pcap", "No such file or directory"), (".", "Is a directory"), ("empty.pcap", "empty")],
)
def test_inputs_that_cannot_be_read(name, said, tmp_path):
    (tmp_path / "empty.pcap").touch()
    done = run("decode", name, cwd=tmp_path)
    assert done.returncode == 3
    assert said in done.stderr
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
