"""Measures `blynkscope proxy` beside no proxy, socat, stunnel and mitmproxy: what a ping takes longer, and bytes a second.

    python tests/bench/proxy.py --mitmdump /path/to/mitmdump [--rounds 5] [--idle 1000]

All relays run at once, and each round asks one after the other, so that they have the same machine. The proxy is the real
command line and decodes to JSON Lines. What is not installed is left out, and said. `asyncio` and `uvloop` name its loop.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import resource
import shutil
import socket
import ssl
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent / "proxy")]

LOGIN = b"\x1d\0\1\0\x20" + b"0123456789abcdef" * 2
OK = b"\0\0\1\0\xc8"
RANDOM = b"\xff\xfe"
"""What the random bytes begin with: no command of Blynk, no method of HTTP."""
BLOCK = 1 << 20
FIRST = 20
"""Devices that are there before memory is measured: what they bring is code and tables, which the others share."""
SETTLE = 1.0
"""Seconds in which the analysis takes in what passed."""
PATIENCE = 30.0
UVLOOP = "import uvloop, sys; uvloop.install(); from blynkscope.cli import main; main()"


# --- the peer: a process of its own -----------------------------------------------------------------------------------


def peer(pipe, pem):
    """Answers pings, sends what is asked for by HTTP, and swallows random bytes; plain and TLS on a port each."""
    block = os.urandom(BLOCK)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pem)
    ports = []
    for secure in (False, True):
        listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        ports.append(listening.getsockname()[1])
        threading.Thread(target=take, args=(listening, context if secure else None, block), daemon=True).start()
    pipe.send(ports)
    pipe.recv()


def take(listening, context, block):
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=serve, args=(connection, context, block), daemon=True).start()


def serve(connection, context, block):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):
        if context is not None:
            connection = context.wrap_socket(connection, server_side=True)
        data = connection.recv(65536)
        if data.startswith(b"GET /"):
            size = int(data.split()[1][1:])
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"
            connection.sendall(head.encode())
            for _ in range(size // len(block)):
                connection.sendall(block)
        elif data.startswith(RANDOM):
            left = struct.unpack_from(">Q", data, 2)[0] - (len(data) - 10)
            room = bytearray(1 << 18)
            while left:
                left -= connection.recv_into(room)
            connection.sendall(OK)
        else:
            while data:
                connection.sendall(b"\0" + data[1:3] + b"\0\xc8")
                data = connection.recv(65536)
    connection.close()


# --- the client -------------------------------------------------------------------------------------------------------


def connect(port, secure, source="127.0.0.1"):
    sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE, source_address=(source, 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not secure:
        return sock
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(sock, server_hostname="localhost")


def pings(port, secure, count, pause):
    """Round trips in µs, on one connection that logged in."""
    with connect(port, secure) as sock:
        sock.sendall(LOGIN)
        assert sock.recv(16) == OK
        found = []
        for number in range(2, count + 2):
            frame = struct.pack(">BHH", 6, number & 0xFFFF, 0)
            begin = time.perf_counter()
            sock.sendall(frame)
            answer = sock.recv(16)
            found.append((time.perf_counter() - begin) * 1e6)
            assert answer[:3] == b"\0" + frame[1:3]
            if pause:
                time.sleep(pause)
        return found


def download(port, secure, size, block=None):
    """MB/s of an answer of HTTP."""
    with connect(port, secure) as sock:
        room = bytearray(1 << 18)
        begin = time.perf_counter()
        sock.sendall(f"GET /{size} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        left = size
        while left > 0:
            got = sock.recv_into(room)
            assert got, "it ended too soon"
            left -= got
        return size / 1e6 / (time.perf_counter() - begin)


def upload(port, secure, size, block):
    """MB/s of random bytes."""
    with connect(port, secure) as sock:
        begin = time.perf_counter()
        sock.sendall(RANDOM + struct.pack(">Q", size))
        for _ in range(size // len(block)):
            sock.sendall(block)
        assert sock.recv(16) == OK
        return size / 1e6 / (time.perf_counter() - begin)


# --- the relays -------------------------------------------------------------------------------------------------------


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def commands(secure, port, folder, ca, pem, mitmdump):
    """Name, command line and port of each relay."""
    scheme = "tls" if secure else "tcp"
    for name, front in (
        ("blynkscope, asyncio", [sys.executable, "-m", "blynkscope"]),
        ("blynkscope, uvloop", [sys.executable, "-c", UVLOOP]),
    ):
        own = free_port()
        options = ["--upstream-ca", str(ca)] if secure else []
        out = folder / f"{name.split()[1]}-{scheme}.jsonl"
        yield name, [
            *front, "proxy", "--upstream", f"{scheme}://localhost:{port}", "--listen", str(own), "--format", "jsonl",
            "-o", str(out), *options,
        ], own  # fmt: skip
    both = folder / "both.pem"
    both.write_bytes(pem[1].read_bytes() + pem[0].read_bytes())
    if shutil.which("socat"):
        own = free_port()
        if secure:
            ends = (
                f"OPENSSL-LISTEN:{own},cert={both},verify=0,fork,nodelay,reuseaddr",
                f"OPENSSL:localhost:{port},cafile={ca},nodelay",
            )
        else:
            ends = f"TCP-LISTEN:{own},fork,nodelay,reuseaddr", f"TCP:localhost:{port},nodelay"
        yield "socat", ["socat", *ends], own
    if secure and shutil.which("stunnel"):
        own, middle = free_port(), free_port()
        settings = folder / "stunnel.conf"
        settings.write_text(
            f"foreground = yes\npid =\ndebug = err\nsocket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n"
            f"[in]\naccept = 127.0.0.1:{own}\nconnect = 127.0.0.1:{middle}\ncert = {both}\n"
            f"[out]\nclient = yes\naccept = 127.0.0.1:{middle}\nconnect = 127.0.0.1:{port}\nCAfile = {ca}\n"
            "verifyChain = yes\n"
        )
        yield "stunnel, twice", ["stunnel", str(settings)], own
    if mitmdump:
        own = free_port()
        yield "mitmproxy", [
            mitmdump, "-q", "--mode", f"reverse:{scheme}://localhost:{port}", "--listen-host", "127.0.0.1", "-p",
            str(own), "--set", f"ssl_verify_upstream_trusted_ca={ca}", "--set", f"confdir={folder / 'mitm'}",
        ], own  # fmt: skip


@contextlib.contextmanager
def running(name, command, port, folder):
    """A relay that takes connections."""
    env = {**os.environ, "XDG_CONFIG_HOME": str(folder / "config")}
    said = (folder / f"{name}.txt").open("wb")
    with said, subprocess.Popen(command, stdout=said, stderr=said, stdin=subprocess.DEVNULL, env=env) as process:
        try:
            begin = time.monotonic()
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                if process.poll() is not None or time.monotonic() - begin > PATIENCE:
                    raise SystemExit(f"{name} does not run:\n{Path(said.name).read_text()}")
                time.sleep(0.05)
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def busy(pid):
    """Seconds of processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid):
    """KiB of a process in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def idle(port, devices, mitmdump, folder, ca, pem):
    """What devices with TLS on both legs, that logged in and sent a ping, take of memory; the analysis knows each of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(f"\n{devices} idle devices, TLS to TLS")
    for name, command, own in commands(True, port, folder, ca, pem, mitmdump):
        if name not in {"blynkscope, asyncio", "blynkscope, uvloop", "mitmproxy"}:
            continue
        with running(name, command, own, folder) as process, contextlib.ExitStack() as stack:
            begin = 0
            for number in range(FIRST + devices):
                if number == FIRST:
                    time.sleep(SETTLE)
                    begin = resident(process.pid)
                # The proxy takes so many devices of one address, and no more.
                sock = stack.enter_context(connect(own, True, f"127.0.1.{1 + number // 500}"))
                for frame in (LOGIN, b"\x06\0\2\0\0"):
                    sock.sendall(frame)
                    assert sock.recv(16)[3:] == OK[3:]
            time.sleep(SETTLE)
            each = (resident(process.pid) - begin) / devices
            print(f"{name:22}{each * 1000 / 1024:8.0f} MiB for 1,000, {(1 << 20) / each:8.0f} in a GiB (goal 8000)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def measure(secure, port, arguments, folder, ca, pem):
    """What each relay reached."""
    block = os.urandom(BLOCK)
    size = arguments.megabytes * BLOCK
    with contextlib.ExitStack() as stack:
        relays = {"none": (port, None)}
        for name, command, own in commands(secure, port, folder, ca, pem, arguments.mitmdump):
            if not arguments.only or any(one in name for one in arguments.only):
                process = stack.enter_context(running(name, command, own, folder))
                relays[name] = own, process.pid
        for own, _ in relays.values():  # keys are made, code is loaded
            pings(own, secure, 100, 0)
            download(own, secure, BLOCK)
        found = {
            name: {"paced": [], "rapid": [], "down": [], "up": [], "down_busy": [], "up_busy": []} for name in relays
        }
        for _ in range(arguments.rounds):
            for name, (own, _) in relays.items():
                found[name]["paced"] += pings(own, secure, arguments.pings // 4, 0.002)
            for name, (own, _) in relays.items():
                found[name]["rapid"] += pings(own, secure, arguments.pings, 0)
                time.sleep(0.3)  # its analysis takes no time of the next one's
            for name, (own, pid) in relays.items():
                for kind, bulk in (("down", download), ("up", upload)):
                    before = busy(pid) if pid else 0.0
                    found[name][kind].append(bulk(own, secure, size, block))
                    time.sleep(SETTLE)
                    if pid:
                        found[name][f"{kind}_busy"].append((busy(pid) - before) * 1e11 / size)
    return {
        name: {
            kind + point: round(value, 1)
            for kind in ("paced", "rapid")
            for point, value in (("_p50", statistics.median(one[kind])), ("_p99", statistics.quantiles(one[kind], n=100)[98]))
        }
        | {kind: round(statistics.median(one[kind] or [0]), 1) for kind in ("down", "up", "down_busy", "up_busy")}
        for name, one in found.items()
    }  # fmt: skip


def table(secure, rows):
    print(f"\n{'TLS to TLS' if secure else 'plain to plain'}: µs that a ping takes longer than without, MB/s of bulk")
    print(
        f"{'':22}{'paced p50':>11}{'p99':>9}{'rapid p50':>11}{'p99':>9}{'HTTP down':>11}{'random up':>11}{'ms/100 MB':>14}"
    )
    points = ("paced_p50", "paced_p99", "rapid_p50", "rapid_p99")
    for name, row in rows.items():
        base = rows["none"] if name != "none" else dict.fromkeys(points, 0)
        values = [row[point] - base[point] for point in points] + [row["down"], row["up"]]
        # socat works in children of its own.
        took = f"{row['down_busy']:7.0f}{row['up_busy']:7.0f}" if name not in {"none", "socat"} else f"{'-':>7}{'-':>7}"
        widths = 11, 9, 11, 9, 11, 11
        print(f"{name:22}" + "".join(f"{one:{wide}.0f}" for one, wide in zip(values, widths, strict=True)) + took)
    if "mitmproxy" not in rows:
        return
    none, theirs = rows["none"], rows["mitmproxy"]
    for name in (name for name in rows if name.startswith("blynkscope")):
        row = rows[name]
        added = [(row[p] - none[p]) / (theirs[p] - none[p]) for p in ("paced_p50", "rapid_p50")]
        bulk = [row[kind] / theirs[kind] for kind in ("down", "up")]
        print(
            f"{name} of mitmproxy: added p50 paced {added[0]:.2f}, rapid {added[1]:.2f} (goal 0.25); "
            f"bulk down {bulk[0]:.1f}, up {bulk[1]:.1f} (goal 2), by processor time "
            f"{theirs['down_busy'] / row['down_busy']:.1f} and {theirs['up_busy'] / row['up_busy']:.1f}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mitmdump", default=shutil.which("mitmdump"), help="the program, in a venv of its own")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pings", type=int, default=1000, help="of each round, one at once behind the other")
    parser.add_argument("--megabytes", type=int, default=32)
    parser.add_argument("--leg", nargs="+", choices=("plain", "tls"), default=("plain", "tls"))
    parser.add_argument("--only", nargs="+", help="relays whose names hold one of these")
    parser.add_argument("--idle", type=int, default=0, help="measure memory with so many devices too")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    import proxy_world as world

    ca, pem = world.ca_file(), world.pair("localhost", "127.0.0.1")
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=peer, args=(there, pem), daemon=True)
    process.start()
    ports = here.recv()
    for name, program in (
        ("socat", shutil.which("socat")),
        ("stunnel", shutil.which("stunnel")),
        ("mitmproxy", arguments.mitmdump),
    ):
        if not program:
            print(f"{name} is not there and is left out")
    results = {}
    try:
        for leg in arguments.leg:
            with tempfile.TemporaryDirectory(prefix="blynkscope-bench-") as folder:
                secure = leg == "tls"
                results[leg] = measure(secure, ports[secure], arguments, Path(folder), ca, pem)
                table(secure, results[leg])
        if arguments.idle:
            with tempfile.TemporaryDirectory(prefix="blynkscope-bench-") as folder:
                idle(ports[1], arguments.idle, arguments.mitmdump, Path(folder), ca, pem)
    finally:
        here.send(None)
        process.join(10)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
