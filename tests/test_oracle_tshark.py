"""Our reassembly against tshark's: the same bytes in every direction of every stream of every undamaged capture."""

import re
import shutil
import subprocess
from collections import defaultdict
from itertools import chain
from pathlib import Path

import pytest

from blynkscope.sources import CaptureSource
from blynkscope.wire.events import Data, Gap, Opened

CAPTURES = Path(__file__).parent.parent / "captures"
MISSING = "[{} bytes missing in capture file]"
"""What tshark writes in place of bytes that were acknowledged but never captured; a NUL follows it."""

pytestmark = pytest.mark.tshark


def undamaged():
    found = sorted(path for path in CAPTURES.glob("**/*.pcap*") if path.is_file())
    return [path for path in found if not path.name.startswith("damaged_")]


@pytest.fixture(scope="module")
def tshark():
    """Where the program is missing the marker makes the test fail: an oracle that may stay silent proves nothing."""
    return shutil.which("tshark")


def run(program, path, *options):
    # A folder's own profile must not decide what is reassembled, nor names be looked up.
    command = [program, "-n", "-r", str(path.resolve()), *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=110, check=True)
    return done.stdout


def read_by_tshark(program, path):
    """Payload by stream number and port of the sender."""
    numbers = {int(word) for word in run(program, path, "-T", "fields", "-e", "tcp.stream").split()}
    follow = [word for number in sorted(numbers) for word in ("-z", f"follow,tcp,raw,{number}")]
    payload = defaultdict(bytes)
    for part in run(program, path, "-q", *follow).split("Follow: tcp,raw")[1:]:
        number = int(re.search(r"tcp\.stream eq (\d+)", part)[1])
        ports = [int(port) for port in re.findall(r"Node [01]: .*:(\d+)$", part, re.MULTILINE)]
        for line in part.splitlines():
            if re.fullmatch(r"\t?(?:[0-9a-f]{2})+", line):
                payload[number, ports[line.startswith("\t")]] += bytes.fromhex(line.strip())
    return numbers, dict(payload)


def read_by_us(path, general):
    """The same from our events. tshark says nothing about bytes that a snapshot length cut off."""
    payload, ports = defaultdict(bytes), {}
    with path.open("rb") as stream:
        for event in chain.from_iterable(CaptureSource(stream, path.name, general=general)):
            if isinstance(event, Opened):
                ports[event.stream] = (event.client_port, event.server_port)
            elif isinstance(event, Data):
                payload[event.stream - 1, ports[event.stream][event.direction]] += event.data
            elif isinstance(event, Gap) and event.reason != "snaplen":
                text = MISSING.format(event.missing).encode() + b"\0"
                payload[event.stream - 1, ports[event.stream][event.direction]] += text
    return {number - 1 for number in ports}, dict(payload)


@pytest.mark.parametrize("general", [False, True], ids=["short-way", "general-path"])
@pytest.mark.parametrize("path", undamaged(), ids=lambda path: path.name)
def test_same_bytes_as_tshark(tshark, path, general):
    assert read_by_us(path, general) == read_by_tshark(tshark, path)
