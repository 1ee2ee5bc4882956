"""A small world for live sniffing: a network namespace of its own, a real client, a small real peer, and the sniffer.

Run inside `unshare -n`, so that nothing of it stays: `python live_world.py '{"world": "lo", …}'`. It prints, as JSON,
every frame that the peer got and sent, what the sniffer wrote, and its exit status.
"""

import contextlib
import io
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

TOKEN = "6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"
WRITES = 30
PORT = 8080
PEER, DEVICE = "192.0.2.1", "192.0.2.2"
DEADLINE = 30.0


def build(worlds, stack):
    """Make interfaces; gives the peer's address, and a command prefix for the device's side."""
    run("ip", "link", "set", "lo", "up")
    if worlds == "lo":
        return "127.0.0.1", []
    # The device's side is a namespace of a process that sleeps until its input ends.
    sleeper = subprocess.Popen(["unshare", "-n", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    stack.callback(sleeper.wait)
    stack.callback(sleeper.stdin.close)
    await_namespace(sleeper.pid)
    inside = ["nsenter", "-t", str(sleeper.pid), "-n"]
    run("ip", "link", "add", "va", "type", "veth", "peer", "name", "vb", "netns", str(sleeper.pid))
    run(*inside, "ip", "link", "set", "lo", "up")
    near, far = "va", "vb"
    if worlds == "bridge":
        # The packets pass the veth and the bridge: `any` sees them on both.
        run("ip", "link", "add", "br0", "type", "bridge")
        run("ip", "link", "set", "va", "master", "br0")
        run("ip", "link", "set", "va", "up")
        near = "br0"
    for prefix, name, address in (([], near, PEER), (inside, far, DEVICE)):
        run(*prefix, "ip", "address", "add", f"{address}/24", "dev", name)
        run(*prefix, "ip", "link", "set", name, "up")
    return PEER, inside


def await_namespace(pid):
    own = os.readlink("/proc/self/ns/net")
    deadline = time.monotonic() + DEADLINE
    while os.readlink(f"/proc/{pid}/ns/net") == own:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def run(*command):
    subprocess.run(command, check=True, capture_output=True, timeout=DEADLINE)


class Peer(threading.Thread):
    """Accepts one device and answers it; keeps every frame of both sides."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.listening = socket.create_server((address, PORT))
        self.frames = []
        self.writes = 0

    def run(self):
        connection, _ = self.listening.accept()
        with connection:
            data = b""
            while True:
                while len(data) >= 5:
                    cmd, number, word = struct.unpack(">BHH", data[:5])
                    size = 0 if cmd == 0 else word
                    if len(data) < 5 + size:
                        break
                    self.frames.append(("device", cmd, number, data[5 : 5 + size].hex()))
                    data = data[5 + size :]
                    self.answer(connection, cmd, number)
                more = connection.recv(65536)
                if not more:
                    return
                data += more

    def answer(self, connection, cmd, number):
        if cmd in (2, 6, 17):
            self.frames.append(("server", 0, number, ""))
            connection.sendall(struct.pack(">BHH", 0, number, 200))
        elif cmd == 20:
            self.writes += 1
            if self.writes % 5 == 0:
                body = b"vw\0" + b"1\0" + str(self.writes).encode()
                self.frames.append(("server", 20, self.writes, body.hex()))
                connection.sendall(struct.pack(">BHH", 20, self.writes, len(body)) + body)


def device(address):
    """The real client of PyPI; runs in the device's namespace."""
    with contextlib.redirect_stdout(io.StringIO()):
        import blynklib

        blynklib.Blynk.RECONNECT_SLEEP = 0
        blynk = blynklib.Blynk(TOKEN, server=address, port=PORT, heartbeat=60)
        assert blynk.connect(timeout=DEADLINE)
        for value in range(WRITES):
            blynk.virtual_write(2, value)
        blynk.virtual_sync(2)
        blynk.run()
        # Who closes with answers unread resets the connection, and the peer could not send the rest.
        blynk._socket.shutdown(socket.SHUT_WR)
        blynk._socket.settimeout(DEADLINE)
        while blynk._socket.recv(4096):
            pass
        blynk.disconnect()


def begun(program):
    """Wait until the sniffer captures; what it said until then."""
    said = b""
    deadline = time.monotonic() + DEADLINE
    while b"capturing" not in said and program.poll() is None and time.monotonic() < deadline:
        if select.select([program.stderr], [], [], 0.1)[0]:
            more = os.read(program.stderr.fileno(), 65536)
            if not more:
                break
            said += more
    return said


def main():
    asked = json.loads(sys.argv[1])
    with contextlib.ExitStack() as stack:
        address, inside = build(asked["world"], stack)
        peer = Peer(address)
        peer.start()
        command = [sys.executable, "-m", "blynkscope", "live", "--format", "jsonl", *asked["arguments"]]
        sniffer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        stack.callback(sniffer.kill)
        said = begun(sniffer)
        if asked.get("device", True):
            subprocess.run([*inside, sys.executable, __file__, "device", address], check=True, timeout=DEADLINE)
            peer.join(DEADLINE)
        if asked.get("interrupt", True):
            sniffer.send_signal(signal.SIGINT)
        out, more = sniffer.communicate(timeout=DEADLINE)
        print(json.dumps({
            "frames": peer.frames, "out": out.decode(), "said": (said + more).decode(), "status": sniffer.returncode,
        }))  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1] == "device":
        device(sys.argv[2])
    else:
        main()
