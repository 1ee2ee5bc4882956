"""Real clients and `serve` in a network namespace, all of it sniffed by dumpcap on its loopback.

Run inside `unshare -n`: `python serve_sniffed.py FOLDER good|wrong`. Prints, as JSON, what the clients were told and the
findings of the capture: id and severity, for the packets alone and with the keys of TLS.
"""

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path

from serve_sessions import Sessions, ended
from serve_world import DEADLINE, decoded

PROGRAM = str(Path(__file__).with_name("serve_pypi_client.py"))
CLIENTS = {
    "blynklib": ([sys.executable, PROGRAM, "blynklib"], True),
    "library-python": ([sys.executable, PROGRAM, "library-python"], False),
}
SETTLED = 0.7
"""Seconds without a new packet in the file, after which there comes none."""


@contextlib.contextmanager
def sniffing(path):
    """While the body runs every packet of the loopback is written, whatever its end."""
    program = subprocess.Popen(
        ["dumpcap", "-q", "-i", "lo", "-w", str(path), "-f", "tcp"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        # It says so when it has begun.
        said = ""
        while "File:" not in said:
            line = program.stderr.readline()
            assert line, said
            said += line
        yield
        # What it has sniffed it writes some tenths of a second later.
        size, end = -1, time.monotonic() + DEADLINE
        while size != path.stat().st_size and time.monotonic() < end:
            size = path.stat().st_size
            time.sleep(SETTLED)
        program.terminate()
        program.communicate(timeout=DEADLINE)
    finally:
        ended(program)


def main():
    folder, what = Path(sys.argv[1]), sys.argv[2]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=DEADLINE)
    capture, keys = folder / "sniffed.pcapng", folder / "keys"
    with sniffing(capture):
        # Of a server that is away for a while a real capture shows the resets.
        sessions = Sessions(
            folder, CLIENTS, wrong=what == "wrong", told=False, again=False, options=("--keylog-out", str(keys))
        )
    found = {}
    for name, options in (("alone", ()), ("keys", ("--keylog", keys))):
        records = decoded(folder, capture, *options)
        findings = [one for one in records if one["record"] == "finding"]
        found[name] = {
            "findings": [(one["id"], one["severity"], one["detail"]) for one in findings],
            "via": sorted({"/".join(one["via"]) for one in records if one["record"] == "frame"}),
            "lost": records[-1]["lost"],
        }
    print(json.dumps({"told": sessions.told, **found}))


if __name__ == "__main__":
    main()
