"""Measures live sniffing: what each backend sees of frames that are sent on the loopback, beside scapy's sniffer.

    python tests/bench/live.py --rate 50000 --seconds 20

Needs the right to sniff (root). A generated capture is sent packet by packet at the rate; who captures runs in a process
of its own and decodes to JSON Lines or a table. `sent` packets are to be `seen` ones and `reported` lost ones together.
"""

import argparse
import json
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GENERATE = Path(__file__).parent / "generate.py"
BACKENDS = ("dumpcap", "socket", "scapy")
_SLICE = 0.002
"""Seconds between two bursts of the sender: short, so that the rate is even, and long enough to sleep in."""
_SETTLE = 1.0
_NOTE = re.compile(r"(\d+) packets captured, (\d+) dropped(.*)")


def packets_of(path):
    """The packets of a little-endian pcap."""
    data = path.read_bytes()
    at, packets = 24, []
    while at < len(data):
        size = struct.unpack_from("<I", data, at + 8)[0]
        packets.append(data[at + 16 : at + 16 + size])
        at += 16 + size
    return packets


def send(path, interface, rate):
    """Send the packets of a capture at a rate; gives how many, and the seconds that it took."""
    packets = packets_of(path)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as out:
        out.bind((interface, 0))
        put = out.send
        begin = time.perf_counter()
        at, count = 0, len(packets)
        while at < count:
            now = time.perf_counter()
            upto = min(count, int((now - begin) * rate) + 1)
            for packet in packets[at:upto]:
                put(packet)
            at = max(at, upto)
            left = now + _SLICE - time.perf_counter()
            if left > 0:
                time.sleep(left)
    return count, time.perf_counter() - begin


def sender(path, interface, rate):
    """`send` in a process of its own."""
    command = [sys.executable, __file__, "--send", str(path), "--interface", interface, "--rate", str(rate)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    count, seconds = json.loads(done.stdout)
    return count, seconds


def ours(backend, path, rate, interface, form):
    """Sniff by a backend while the capture is sent."""
    command = [
        sys.executable, "-m", "blynkscope", "live", "-i", interface, "--backend", backend, "--format", form,
        "-f", "tcp port 8080 and host 198.51.100.20", "--no-findings",
    ]  # fmt: skip
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    # The lines go to a program that takes them all: a disk would be measured otherwise.
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program,
        subprocess.Popen(["tail", "-n", "1"], stdin=program.stdout, stdout=subprocess.PIPE) as tail,
    ):
        program.stdout.close()
        assert b"capturing" in program.stderr.readline()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        sent, seconds = sender(path, interface, rate)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        theirs = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        time.sleep(_SETTLE)
        program.send_signal(signal.SIGINT)
        begin = time.perf_counter()
        said = program.stderr.read().decode()
        program.wait()
        behind = time.perf_counter() - begin
        last = tail.stdout.read()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    *counts, why = _NOTE.search(said).groups()
    seen, reported = map(int, counts)
    if why:
        print(f"{backend}: dropped{why}", file=sys.stderr)
    used = after.ru_utime + after.ru_stime - own.ru_utime - own.ru_stime - theirs
    return {
        "backend": f"{backend} → {form}", "rate": sent / seconds, "sent": sent, "seen": seen, "reported": reported,
        "frames": json.loads(last)["frames"] if form == "jsonl" else None, "cpu": used / seconds, "behind": behind,
    }  # fmt: skip


def scapys(path, rate, interface):
    """scapy's own sniffer, by its pcap backend, which only counts."""
    with subprocess.Popen(
        [sys.executable, __file__, "--scapy", "--interface", interface],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as program:  # fmt: skip
        assert program.stdout.readline() == "ready\n"
        sent, seconds = sender(path, interface, rate)
        time.sleep(_SETTLE)
        program.stdin.write("\n")
        program.stdin.close()
        seen = int(program.stdout.readline())
    return {"backend": "scapy's AsyncSniffer (counts only)", "rate": sent / seconds, "sent": sent, "seen": seen,
            "reported": 0, "frames": None, "cpu": None}  # fmt: skip


def scapy_child(interface):
    from scapy.config import conf

    conf.use_pcap = True
    import scapy.layers.all  # noqa: F401
    from scapy.sendrecv import AsyncSniffer

    seen = 0

    def count(_):
        nonlocal seen
        seen += 1

    sniffer = AsyncSniffer(iface=interface, filter="tcp port 8080 and host 198.51.100.20", store=False, prn=count)
    sniffer.start()
    time.sleep(_SETTLE)
    print("ready", flush=True)
    sys.stdin.readline()
    sniffer.stop()
    print(seen, flush=True)


def report(rows):
    """A table in Markdown."""
    lines = [
        "| backend | packets/s sent | sent | seen | reported lost | unaccounted | frames decoded | processors |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        unaccounted = row["sent"] - row["seen"] - row["reported"]
        frames = row["frames"] if row["frames"] is not None else "-"
        cpu = f"{row['cpu']:.2f}" if row["cpu"] is not None else "-"
        lines.append(
            f"| {row['backend']} | {row['rate']:,.0f} | {row['sent']:,} | {row['seen']:,} | {row['reported']:,} "
            f"| {unaccounted:,} | {frames} | {cpu} |"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description="Measures live sniffing on the loopback.")
    parser.add_argument("--rate", type=float, default=50_000, help="frames a second")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--format", action="append", dest="formats", choices=("jsonl", "table"))
    parser.add_argument("--backend", action="append", dest="backends", choices=(*BACKENDS, "scapy-own"))
    parser.add_argument("--interface", default="lo")
    parser.add_argument("--json", type=Path, help="write the result to this file too")
    parser.add_argument("--send", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--scapy", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.send:
        print(json.dumps(send(asked.send, asked.interface, asked.rate)))
        return
    if asked.scapy:
        scapy_child(asked.interface)
        return
    frames = int(asked.rate * asked.seconds)
    rows = []
    with tempfile.TemporaryDirectory(prefix="blynkscope-live-") as name:
        folder = Path(name)
        path = folder / "sent.pcap"
        command = [sys.executable, str(GENERATE), "--frames", str(frames), "-o", str(path)]
        subprocess.run(
            [*command, "--disorder", "0", "--retransmit", "0", "--loss", "0"], check=True, capture_output=True
        )
        # A generated capture has a few packets without a frame; the rate is one of frames.
        rate = asked.rate * len(packets_of(path)) / frames
        backends = asked.backends or [*BACKENDS, "scapy-own"]
        for backend in backends:
            if backend == "scapy-own":
                rows.append(scapys(path, rate, asked.interface))
                print(report(rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
                continue
            for form in asked.formats or ("jsonl", "table"):
                rows.append(ours(backend, path, rate, asked.interface, form))
                print(report(rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    print(f"{frames:,} frames sent at {asked.rate:,.0f} a second\n")
    print(report(rows))
    if asked.json:
        asked.json.write_text(json.dumps({"frames": frames, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
