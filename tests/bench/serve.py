"""Measures `blynkscope serve` beside a bare asyncio echo server: messages a second, and memory.

    python tests/bench/serve.py [--seconds 3] [--rounds 3] [--connections 1,100,1000] [--idle 5000] [--json FILE]

All servers run at once, and each round asks one after the other, so that they have the same machine. Pings go one by one
on each connection; each write has a ping behind it, as only its answer tells that it was read. Both are sent by
themselves, as libraries do; a burst is 20 writes and a ping sent at once. The echo server gets the very same bytes; of a
burst it copies one piece, where the server reads 21 messages. `serve` is measured as it answers alone (--no-decode) and as it decodes to JSON Lines.
Servers run on uvloop where it is installed, and on asyncio; the echo server too.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

TOKEN = b"0123456789abcdef" * 2
LOGIN = b"\x1d\0\1\0\x20" + TOKEN
PING = b"\x06\0\2\0\0"
WRITE = b"\x14\0\3\0\x07vw\x001\x0042"
KINDS = {"ping": ((PING,), 1), "write": ((WRITE, PING), 2), "burst": ((WRITE * 20 + PING,), 21)}
"""What is sent, and how many messages that is."""
SETTLE = 0.5
CONNECTING_AT_ONCE = 100


# --- servers ----------------------------------------------------------------------------------------------------------


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


def echo(pipe, fast):
    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=1024)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    with contextlib.suppress(KeyboardInterrupt):
        if fast:
            import uvloop

            uvloop.run(main())
        else:
            asyncio.run(main())


def serving(fast, *options):
    start = "from blynkscope.cli import main; main()"
    # Without uvloop in sight the server takes asyncio's loop.
    code = start if fast else f"import sys; sys.modules['uvloop'] = None; {start}"
    command = [
        sys.executable, "-c", code, "serve", "--listen", "0", "--no-tls", "--any-token", "--quota", "0", "-q",
        "--account", "bench@example.com:secret", "--admin", "admin:secret", *options,
    ]  # fmt: skip
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    for line in process.stderr:
        found = re.search(rb"plain at 127\.0\.0\.1:(\d+)", line)
        if found:
            # What else it says is read, so that it never waits for this.
            multiprocessing.dummy.Process(target=process.stderr.read).start()
            return process, int(found[1])
    raise SystemExit("the server did not start")


# --- clients ----------------------------------------------------------------------------------------------------------


class Client(asyncio.Protocol):
    """One device: it sends the next messages when the last were answered."""

    total = 0
    idle = False

    def __init__(self, send, answer, messages):
        self.send, self.answer, self.messages = send, answer, messages
        self.left = 0
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def login(self, size):
        self.left = size
        self.transport.write(LOGIN)

    def go(self):
        self.left = self.answer
        for data in self.send:
            self.transport.write(data)

    def data_received(self, data):
        self.left -= len(data)
        if self.left <= 0:
            if not self.ready.done():
                self.ready.set_result(None)
                return
            Client.total += self.messages
            if not self.idle:
                self.go()

    def connection_lost(self, exc):
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("lost"))


async def rate(port, count, kind, echoes, seconds):
    """Messages a second that a server takes from so many connections."""
    send, messages = KINDS[kind]
    answer = sum(map(len, send)) if echoes else 5
    clients = await connected(port, count, send, answer, messages, echoes)
    for client in clients:
        client.go()
    await asyncio.sleep(SETTLE)
    before, began = Client.total, time.perf_counter()
    await asyncio.sleep(seconds)
    found = (Client.total - before) / (time.perf_counter() - began)
    for client in clients:
        client.transport.abort()
    await asyncio.sleep(SETTLE)
    return found


async def connected(port, count, send, answer, messages, echoes):
    loop = asyncio.get_running_loop()
    clients = []
    for first in range(0, count, CONNECTING_AT_ONCE):
        some = min(CONNECTING_AT_ONCE, count - first)
        made = await asyncio.gather(
            *(loop.create_connection(lambda: Client(send, answer, messages), "127.0.0.1", port) for _ in range(some))
        )
        for _, client in made:
            client.login(len(LOGIN) if echoes else 5)
        await asyncio.gather(*(client.ready for _, client in made))
        clients += [client for _, client in made]
    return clients


def client(pipe):
    """A process of its own for the devices, so that servers have a processor."""

    async def main():
        loop = asyncio.get_running_loop()
        held = []
        while True:
            asked = await loop.run_in_executor(None, pipe.recv)
            if asked is None:
                return
            what, *arguments = asked
            if what == "rate":
                pipe.send(await rate(*arguments))
            elif what == "hold":
                held += await connected(arguments[0], arguments[1], (PING,), 5, 1, False)
                pipe.send(len(held))

    try:
        import uvloop
    except ImportError:
        asyncio.run(main())
    else:
        uvloop.run(main())


# --- the run ----------------------------------------------------------------------------------------------------------


def memory(pid):
    """MiB that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=3.0)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--connections", default="1,100,1000")
    arguments.add_argument("--idle", type=int, default=5000)
    arguments.add_argument("--json", type=Path)
    asked = arguments.parse_args()
    need = max(asked.idle, 2000) + 200
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (need if hard == -1 else min(need, hard), hard))
    loops = [False]
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: F401

        loops.append(True)
    servers, processes, workers = {}, [], []
    pipe, end = multiprocessing.Pipe()
    devices = multiprocessing.Process(target=client, args=(end,), daemon=True)
    devices.start()
    try:
        for fast in loops:
            name = "uvloop" if fast else "asyncio"
            mine, its = multiprocessing.Pipe()
            worker = multiprocessing.Process(target=echo, args=(its, fast), daemon=True)
            worker.start()
            workers.append(worker)
            servers[f"echo, {name}"] = (mine.recv(), True, worker.pid)
            for what, options in (
                ("answers alone", ["--no-decode"]),
                ("decodes", ["--format", "jsonl", "-o", os.devnull]),
            ):
                process, port = serving(fast, *options)
                processes.append(process)
                servers[f"serve, {name}, {what}"] = (port, False, process.pid)
        found = {}
        for _ in range(asked.rounds):
            for count in map(int, asked.connections.split(",")):
                for kind in KINDS:
                    for name, (port, echoes, _pid) in servers.items():
                        pipe.send(("rate", port, count, kind, echoes, asked.seconds))
                        found.setdefault((kind, count), {}).setdefault(name, []).append(pipe.recv())
        report(found, servers)
        for process in processes:
            process.terminate()
        idle(asked.idle, loops, pipe, processes)
        if asked.json:
            asked.json.write_text(
                json.dumps(
                    [
                        [*key, {name: statistics.median(runs) for name, runs in rows.items()}]
                        for key, rows in found.items()
                    ]
                )
            )
    finally:
        pipe.send(None)
        for process in [*processes, *workers]:
            process.terminate()


def report(found, servers):
    print(f"messages a second{'':<22}" + "".join(f"{kind} x{count:<6}".rjust(14) for kind, count in found))
    medians = {key: {name: statistics.median(runs) for name, runs in rows.items()} for key, rows in found.items()}
    for name in servers:
        print(f"{name:<39}" + "".join(f"{rows[name]:14,.0f}" for rows in medians.values()))
    for name in servers:
        if name.startswith("serve"):
            peer = "echo, " + name.split(", ")[1]
            print(f"{name:<39}" + "".join(f"{rows[name] / rows[peer]:13.2f}x" for rows in medians.values()))


def idle(count, loops, pipe, processes):
    for fast in loops:
        for what, options in (("answers alone", ["--no-decode"]), ("decodes", ["--format", "jsonl", "-o", os.devnull])):
            process, port = serving(fast, *options)
            processes.append(process)
            before = memory(process.pid)
            pipe.send(("hold", port, count))
            pipe.recv()
            time.sleep(2 * SETTLE)
            after = memory(process.pid)
            print(
                f"{count} idle devices, {'uvloop' if fast else 'asyncio'}, {what}: {after:.0f} MiB, {before:.0f} of them "
                f"at the start (goal: under 300)"
            )
            process.terminate()
            process.wait()


if __name__ == "__main__":
    import multiprocessing.dummy

    main()
