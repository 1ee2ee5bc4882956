"""Sends made packets in a network namespace of its own while a sniffer runs; prints how many, and what it saw.

`python live_sender.py '{"arguments": ["-i", "va"], "count": 100}'`, inside `unshare -n`.
"""

import contextlib
import json
import re
import select
import signal
import socket
import struct
import subprocess
import sys

from live_world import DEADLINE, begun, run

_NOTE = re.compile(r"(\d+) packets captured, (\d+) dropped")
_PAUSED = 0.2


def packet(number, size, *, tagged):
    """A segment of one connection on the way to a server; the addresses are of nobody here."""
    payload = struct.pack(">BHH", 20, number % 65535 + 1, size - 5) + b"x" * (size - 5)
    ip = struct.pack(
        ">BBHHHBBH4s4s", 0x45, 0, 40 + size, 0, 0, 64, 6, 0, bytes([198, 51, 100, 1]), bytes([198, 51, 100, 9])
    )
    tcp = struct.pack(">HHIIBBHHH", 50000, 8080, 1 + number * size & 0xFFFFFFFF, 1, 0x50, 0x10, 65535, 0, 0)
    tag = b"\x81\x00\x00\x07" if tagged else b""
    return bytes(12) + tag + b"\x08\x00" + ip + tcp + payload


def main():
    asked = json.loads(sys.argv[1])
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "va", "type", "veth", "peer", "name", "vb")
    for name in ("va", "vb"):
        # Nothing but what the test sends: no neighbour or router is asked for.
        run("ip", "link", "set", name, "addrgenmode", "none")
        run("ip", "link", "set", name, "up")
    count, size, tagged = asked.get("count", 50), asked.get("size", 40), asked.get("tagged", False)
    # What is sent into one end comes out of the other: `any` sees it on both ends, so one of them is left out.
    target = "lo" if asked.get("to") == "lo" else "vb"
    arguments = asked["arguments"]
    if "any" in arguments:
        target = "lo"
    packets = [packet(number, size, tagged=tagged) for number in range(count)]
    command = [sys.executable, "-m", "blynkscope", "live", "--format", "jsonl", *arguments]
    with contextlib.ExitStack() as stack:
        sniffer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        stack.callback(sniffer.kill)
        said = begun(sniffer)
        if asked.get("pause"):
            sniffer.send_signal(signal.SIGSTOP)
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as out:
            out.bind((target, 0))
            for one in packets:
                out.send(one)
        if asked.get("pause"):
            select.select([], [], [], _PAUSED)
            sniffer.send_signal(signal.SIGCONT)
        if asked.get("remove"):
            run("ip", "link", "del", "va")
        else:
            sniffer.send_signal(signal.SIGINT)
        _, more = sniffer.communicate(timeout=DEADLINE)
        said = (said + more).decode()
        found = _NOTE.search(said)
        assert found, said
        seen, reported = map(int, found.groups())
    print(json.dumps({
        "status": sniffer.returncode, "sent": count, "seen": seen, "reported": reported, "said": said,
        "packets": [one.hex() for one in packets[:100]],
    }))  # fmt: skip


if __name__ == "__main__":
    main()
