"""Ctrl-C ends a run with its summary and status 130, whatever processes take part."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

GENERATE = Path(__file__).parent.parent / "bench" / "generate.py"


@pytest.fixture(scope="module")
def long_capture(tmp_path_factory):
    path = tmp_path_factory.mktemp("long") / "long.pcap"
    subprocess.run(
        [sys.executable, str(GENERATE), "--frames", "200000", "-o", str(path)],
        check=True,
        capture_output=True,
        timeout=100,
    )
    return path


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interrupt_ends_with_the_summary(long_capture, tmp_path, jobs):
    target = tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "blynkscope", "decode", "--format", "jsonl", "--jobs", jobs, "-o", str(target)]
    with subprocess.Popen([*command, str(long_capture)], stderr=subprocess.PIPE) as program:
        deadline = time.monotonic() + 30
        while (not target.exists() or not target.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.01)
        program.send_signal(signal.SIGINT)
        assert program.wait(30) == 130, program.stderr.read()
    lines = target.read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert records[-1]["record"] == "summary"
    assert 0 < records[-1]["frames"] < 200_000


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_slow_reader_sees_whole_lines_after_an_interrupt(long_capture, jobs):
    command = [sys.executable, "-m", "blynkscope", "decode", "--format", "jsonl", "--jobs", jobs, str(long_capture)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        read = os.read(program.stdout.fileno(), 65536)
        time.sleep(0.3)  # the pipes fill up meanwhile, and the program waits in the middle of a write
        program.send_signal(signal.SIGINT)
        read += program.stdout.read()
        assert program.wait(30) == 130
    assert json.loads(read.splitlines()[-1])["record"] == "summary"
