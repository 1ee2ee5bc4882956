"""`blynkscope serve` as a program of its own, and small raw clients for it: devices, apps, HTTP, WebSocket.

Everything ends in bounded time: programs are killed at the end, sockets have a time limit.
"""

import base64
import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

DEADLINE = 30.0
TOKEN = "6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"
OTHER = "1a2b3c4d5e6f708192a3b4c5d6e7f809"
WRONG = "fedcba9876543210" * 2
ACCOUNT = ("dev@example.com", "password1")
ADMIN = ("admin", "password2")

RSP, LOGIN, PING, NOTIFY, SYNC, INTERNAL, PROPERTY, HW, LOAD, HW_LOGIN = 0, 2, 6, 14, 16, 17, 19, 20, 24, 29
REDIRECT, EVENT = 41, 64
OK, REFUSED = 200, 9
QUOTA = 1


def environment(folder):
    """Variables of a run whose settings and CA are below `folder`."""
    kept = {name: value for name, value in os.environ.items() if name not in {"SSLKEYLOGFILE", "NO_COLOR"}}
    return {**kept, "XDG_CONFIG_HOME": str(folder / "config"), "COLUMNS": "120"}


class Served:
    """The server, running.

    Args:
        folder: Where its CA is, and where it runs.
        arguments: Of the command, behind those for ports.
        ports: The ports to take, plain and TLS; 0 for any.
    """

    def __init__(self, folder, *arguments, ports=(0, 0), show=None):
        self.folder = folder
        secure = () if "--no-tls" in arguments else ("--tls-listen", str(ports[1]))
        command = [
            sys.executable, "-m", "blynkscope", "serve", "--listen", str(ports[0]), *secure, *arguments,
        ]  # fmt: skip
        if show is None:
            show = subprocess.DEVNULL
        self.program = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=show, stderr=subprocess.PIPE, cwd=folder, text=True,
            env=environment(folder),
        )  # fmt: skip
        self.said = ""
        self._heard = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        try:
            self.plain = int(self.wait(r"plain at\s+127\.0\.0\.1:(\d+)")[1])
            self.tls = int(self.wait(r"TLS at\s+127\.0\.0\.1:(\d+)")[1]) if secure else 0
            # What follows the addresses is written at once with them; the server listens since before.
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind=None, *_):
        self.program.kill()
        self.program.wait(DEADLINE)
        self._reader.join(DEADLINE)
        if kind is not None:
            # For the report of the test that failed.
            print(self.said)
        self.program.stderr.close()

    def _listen(self):
        for line in self.program.stderr:
            with self._heard:
                self.said += line
                self._heard.notify_all()
        with self._heard:
            self._ended = True
            self._heard.notify_all()

    def wait(self, pattern):
        """Until it has said something on standard error that matches; gives the match."""
        with self._heard:
            self._heard.wait_for(lambda: re.search(pattern, self.said) or self._ended, DEADLINE)
            found = re.search(pattern, self.said)
        assert found, (pattern, self.said)
        return found

    def end(self, number=signal.SIGTERM):
        """End it; gives its exit status. It must not have stumbled."""
        if self.program.poll() is None:
            self.program.send_signal(number)
        status = self.program.wait(DEADLINE)
        self._reader.join(DEADLINE)
        self.sound()
        return status

    def kill(self):
        """As by a loss of power, as far as a process is concerned."""
        self.program.kill()
        self.program.wait(DEADLINE)
        self._reader.join(DEADLINE)

    def sound(self):
        """Nothing went wrong inside."""
        assert "Traceback" not in self.said, self.said
        assert "Exception" not in self.said, self.said
        assert "rror" not in self.said, self.said

    @property
    def alive(self):
        return self.program.poll() is None

    @property
    def memory(self):
        """Bytes that it has in memory."""
        with open(f"/proc/{self.program.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    @property
    def files(self):
        """Open files."""
        return len(os.listdir(f"/proc/{self.program.pid}/fd"))

    @property
    def ca(self):
        """The file that clients trust."""
        return self.folder / "config" / "blynkscope" / "ca" / "ca.pem"

    def trusting(self):
        return ssl.create_default_context(cafile=str(self.ca))

    def client(self, token=TOKEN, *, secure=False, login=True, **options):
        """A raw device, logged in."""
        made = Client(self.connect(secure=secure), **options)
        if login:
            made.login(token)
        return made

    def connect(self, *, secure=False):
        plain = socket.create_connection(("127.0.0.1", self.tls if secure else self.plain), DEADLINE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.trusting().wrap_socket(plain, server_hostname="localhost") if secure else plain

    def app(self):
        """An app, logged in to the account, with its dashboards loaded."""
        made = Client(self.connect(secure=True), wide=True)
        try:
            assert made.ask(LOGIN, login_of(ACCOUNT)) == OK
            made.profile = made.ask(LOAD, b"")
        except BaseException:
            made.close()
            raise
        return made

    def http(self, target, *, secure=False, method="GET", body=b"", headers=()):
        """Status, headers (names in lower case) and body of a call."""
        with self.connect(secure=secure) as connection:
            lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
            if body:
                lines.append(f"Content-Length: {len(body)}")
            connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            return read_answer(connection)

    def write(self, pin, value, token=TOKEN):
        """Write a pin over REST."""
        status, _, body = self.http(f"/{token}/update/{pin}?value={value}")
        assert status == 200, body

    def read(self, pin, token=TOKEN):
        """Values of a pin over REST; None where it has none."""
        status, _, body = self.http(f"/{token}/get/{pin}")
        return json.loads(body) if status == 200 else None


def until(wanted, what=""):
    """Wait for a state of the other process that it does not tell."""
    end = time.monotonic() + DEADLINE
    while not (found := wanted()):
        assert time.monotonic() < end, what
        time.sleep(0.01)
    return found


# --- devices and apps -------------------------------------------------------------------------------------------------


def frame(cmd, number, body=b""):
    return struct.pack(">BHH", cmd, number, len(body)) + body


def words(*parts):
    return b"\0".join(part.encode() if isinstance(part, str) else part for part in parts)


def login_of(account):
    email, password = account
    salt = hashlib.sha256(email.lower().encode()).digest()
    digest = base64.b64encode(hashlib.sha256(password.encode() + salt).digest())
    return words(email, digest, "Android", "2.27.34", "Blynk")


class Client:
    """One connection that speaks the hardware dialect, or with `wide` that of apps."""

    def __init__(self, connection, *, wide=False, patience=DEADLINE):
        self.connection = connection
        connection.settimeout(patience)
        self.header = ">BHI" if wide else ">BHH"
        self.size = struct.calcsize(self.header)
        self.number = 0
        self.data = b""
        self.heard = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.connection.close()

    def reset(self):
        """Go without a word, so that no port waits."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def say(self, cmd, body=b"", number=None):
        """Send a message; gives its id."""
        if number is None:
            self.number = number = self.number % 65535 + 1
        self.connection.sendall(struct.pack(self.header, cmd, number, len(body)) + body)
        return number

    def hear(self):
        """The next message: command, id, and body or status; None at the end."""
        while True:
            if len(self.data) >= self.size:
                cmd, number, word = struct.unpack(self.header, self.data[: self.size])
                stop = self.size + (word if cmd != RSP else 0)
                if len(self.data) >= stop:
                    body, self.data = self.data[self.size : stop], self.data[stop:]
                    found = (cmd, number, word if cmd == RSP else body)
                    self.heard.append(found)
                    return found
            try:
                more = self.connection.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            self.data += more

    def until(self, wanted):
        """Messages up to the first for which `wanted(cmd, id, body)` is true; gives that one."""
        while (found := self.hear()) is not None:
            if wanted(*found):
                return found
        raise AssertionError(f"the connection ended after {self.heard[-5:]}")

    def answer(self, number):
        """The status, or the body of the same command, that answers this id."""
        return self.until(lambda cmd, id_, _: id_ == number and cmd in {RSP, LOAD})[2]

    def ask(self, cmd, body=b""):
        return self.answer(self.say(cmd, body))

    def login(self, token=TOKEN):
        assert self.ask(HW_LOGIN, token.encode()) == OK

    def ping(self):
        assert self.ask(PING) == OK

    def sync(self, pin):
        """The stored values of a virtual pin, as a list; None where there are none."""
        number = self.say(SYNC, words("vr", str(pin)))
        ping = self.say(PING)
        cmd, _, body = self.until(lambda cmd, id_, _: (cmd == HW and id_ == number) or (cmd == RSP and id_ == ping))
        if cmd == RSP:
            return None
        self.answer(ping)
        return body.split(b"\0")[2:]

    def write_of(self, pin):
        """The values of the next write of a pin that arrives."""
        head = words("vw", str(pin), "")
        found = self.until(lambda cmd, _, body: cmd in {HW, 25} and head in body)[2]
        return found.split(head, 1)[1].split(b"\0")

    def ended(self):
        """Whether the server ends the connection, having said nothing more."""
        return self.hear() is None


# --- HTTP and WebSocket -----------------------------------------------------------------------------------------------


def read_all(connection):
    data = b""
    with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError):
        while more := connection.recv(65536):
            data += more
    return data


def read_answer(connection):
    """Status, headers and body of an answer, which need not be the end of the connection where it tells its length."""
    data = b""
    while (found := re.search(rb"(?i)\r\ncontent-length: (\d+)\r\n", data)) is None or b"\r\n\r\n" not in data:
        if not (more := connection.recv(65536)):
            return answer_of(data)
        data += more
    whole = data.index(b"\r\n\r\n") + 4 + int(found[1])
    while len(data) < whole and (more := connection.recv(65536)):
        data += more
    return answer_of(data)


def answer_of(data):
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    assert re.match(r"HTTP/1\.1 \d{3} ", first), data[:200]
    if headers.get("transfer-encoding") == "chunked":
        body = unchunked(body)
    return int(first.split()[1]), headers, body


def unchunked(data):
    whole = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        whole += data[:length]
        data = data[length + 2 :]
        if not length:
            break
    return whole


def basic(user, password):
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Messages:
    """A WebSocket of a client: looks like a socket that carries what is inside of binary messages."""

    def __init__(self, connection, path="/websockets"):
        from websockets.client import ClientProtocol
        from websockets.uri import parse_uri

        self.connection = connection
        self.protocol = ClientProtocol(parse_uri(f"ws://localhost{path}"))
        self.protocol.send_request(self.protocol.connect())
        self._send()
        while self.protocol.state.name == "CONNECTING" and self.protocol.handshake_exc is None:
            self._take()
        assert self.protocol.handshake_exc is None, self.protocol.handshake_exc
        self.held = []

    def _send(self):
        for data in self.protocol.data_to_send():
            if data:
                self.connection.sendall(data)

    def _take(self):
        data = self.connection.recv(65536)
        if data:
            self.protocol.receive_data(data)
        else:
            self.protocol.receive_eof()
        return data

    def settimeout(self, seconds):
        self.connection.settimeout(seconds)

    def sendall(self, data):
        self.protocol.send_binary(data)
        self._send()

    def recv(self, _):
        while not self.held:
            for event in self.protocol.events_received():
                if getattr(event, "opcode", None) is not None and event.opcode.name == "BINARY":
                    self.held.append(bytes(event.data))
            if not self.held and not self._take():
                return b""
        return self.held.pop(0)

    def setsockopt(self, *arguments):
        self.connection.setsockopt(*arguments)

    def close(self):
        self.connection.close()


# --- what was recorded ------------------------------------------------------------------------------------------------


def decoded(folder, *arguments):
    """The records of `decode` over captures."""
    command = [sys.executable, "-m", "blynkscope", "decode", "--format", "jsonl", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, check=False, timeout=DEADLINE, text=True, cwd=folder, env=environment(folder)
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def raised(records, *, above="note"):
    """Ids of findings, without those that are worth a note alone."""
    return sorted({one["id"] for one in records if one["record"] == "finding" and one["severity"] != above})
