"""Measures `blynkscope proxy` beside no proxy, socat, stunnel and mitmproxy: what a ping takes longer, and bytes a second.

    python tests/bench/proxy.py --mitmdump /path/to/mitmdump [--rounds 5] [--leg plain tls] [--only NAME ...]

All relays run at once, and each round asks one after the other, so that they have the same machine. The proxy is the real
command line and decodes to JSON Lines. What is not installed is left out, and said. `asyncio` and `uvloop` name its loop.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
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


def connect(port, secure):
    sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
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


def download(port, secure, size):
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
            ends = f"OPENSSL-LISTEN:{own},cert={both},verify=0,fork,nodelay,reuseaddr", f"OPENSSL:localhost:{port},cafile={ca},nodelay"
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
        found = {name: {"paced": [], "rapid": [], "down": [], "up": []} for name in relays}
        for _ in range(arguments.rounds):
            for name, (own, _) in relays.items():
                found[name]["paced"] += pings(own, secure, arguments.pings // 4, 0.002)
            for name, (own, _) in relays.items():
                found[name]["rapid"] += pings(own, secure, arguments.pings, 0)
                time.sleep(0.3)  # its analysis takes no time of the next one's
            for name, (own, _) in relays.items():
                found[name]["down"].append(download(own, secure, size))
                found[name]["up"].append(upload(own, secure, size, block))
                time.sleep(0.3)
    return {
        name: {
            kind + point: round(value, 1)
            for kind in ("paced", "rapid")
            for point, value in (("_p50", statistics.median(one[kind])), ("_p99", statistics.quantiles(one[kind], n=100)[98]))
        }
        | {kind: round(statistics.median(one[kind]), 1) for kind in ("down", "up")}
        for name, one in found.items()
    }  # fmt: skip


def table(secure, rows):
    print(f"\n{'TLS to TLS' if secure else 'plain to plain'}: µs that a ping takes longer than without, MB/s of bulk")
    print(f"{'':22}{'paced p50':>11}{'p99':>9}{'rapid p50':>11}{'p99':>9}{'HTTP down':>11}{'random up':>11}")
    points = ("paced_p50", "paced_p99", "rapid_p50", "rapid_p99")
    for name, row in rows.items():
        base = rows["none"] if name != "none" else dict.fromkeys(points, 0)
        values = [row[point] - base[point] for point in points] + [row["down"], row["up"]]
        print(f"{name:22}" + "".join(f"{value:{width}.0f}" for value, width in zip(values, (11, 9, 11, 9, 11, 11), strict=True)))
    if "mitmproxy" not in rows:
        return
    none, theirs = rows["none"], rows["mitmproxy"]
    for name in (name for name in rows if name.startswith("blynkscope")):
        row = rows[name]
        added = [(row[p] - none[p]) / (theirs[p] - none[p]) for p in ("paced_p50", "rapid_p50")]
        bulk = [row[kind] / theirs[kind] for kind in ("down", "up")]
        print(
            f"{name} of mitmproxy: added p50 paced {added[0]:.2f}, rapid {added[1]:.2f} (goal 0.25); "
            f"bulk down {bulk[0]:.1f}, up {bulk[1]:.1f} (goal 2)"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mitmdump", default=shutil.which("mitmdump"), help="the program, in a venv of its own")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pings", type=int, default=1000, help="of each round, one at once behind the other")
    parser.add_argument("--megabytes", type=int, default=32)
    parser.add_argument("--leg", nargs="+", choices=("plain", "tls"), default=("plain", "tls"))
    parser.add_argument("--only", nargs="+", help="relays whose names hold one of these")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    import proxy_world as world

    ca, pem = world.ca_file(), world.pair("localhost", "127.0.0.1")
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=peer, args=(there, pem), daemon=True)
    process.start()
    ports = here.recv()
    for name, program in (("socat", shutil.which("socat")), ("stunnel", shutil.which("stunnel")), ("mitmproxy", arguments.mitmdump)):
        if not program:
            print(f"{name} is not there and is left out")
    results = {}
    try:
        for leg in arguments.leg:
            with tempfile.TemporaryDirectory(prefix="blynkscope-bench-") as folder:
                secure = leg == "tls"
                results[leg] = measure(secure, ports[secure], arguments, Path(folder), ca, pem)
                table(secure, results[leg])
    finally:
        here.send(None)
        process.join(10)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
