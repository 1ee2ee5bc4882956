"""A capture of real packets between real clients and `serve`: what decode says of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# dumpcap comes with tshark.
pytestmark = [pytest.mark.root, pytest.mark.tshark]

PROGRAM = Path(__file__).with_name("serve_sniffed.py")


def sniffed(folder, what):
    done = subprocess.run(
        ["unshare", "-n", sys.executable, str(PROGRAM), str(folder), what],
        capture_output=True,
        check=False,
        timeout=100,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def grave(found):
    return [tuple(one) for one in found["findings"] if one[1] != "note"]


def test_good_sessions_raise_no_finding_above_a_note(tmp_path):
    got = sniffed(tmp_path, "good")
    assert ["heard", "bye"] in got["told"]["blynklib"]
    assert ["heard", "bye"] in got["told"]["library-python"]
    assert grave(got["keys"]) == []
    assert got["keys"]["via"] == ["tcp", "tcp/tls1.3"]
    assert got["keys"]["lost"] == {}
    # Without the keys the capture says less, and that is no trouble of the device.
    assert {one[0][:3] for one in grave(got["alone"])} <= {"BS9"}


def test_a_wrong_token_raises_its_finding_and_no_other(tmp_path):
    got = sniffed(tmp_path, "wrong")
    assert {one[0] for one in grave(got["keys"])} == {"BS201"}
    assert grave(got["keys"])[0][1] == "error"
