"""A person at the prompt of `serve`: orders, mistakes, the history, and what the screen looks like."""

import os
import re
import sys

import pexpect
import pyte
import pytest
from serve_world import HW, PROPERTY, TOKEN, Client, environment, words

COLUMNS, LINES = 80, 24
DEADLINE = 30


class Seat:
    """A terminal with the server in it."""

    def __init__(self, folder, *arguments):
        command = ["-m", "blynkscope", "serve", "--listen", "0", "--no-tls", "--token", TOKEN, *arguments]
        self.all = []
        self.program = pexpect.spawn(
            sys.executable, command, encoding="utf-8", timeout=DEADLINE, dimensions=(LINES, COLUMNS), cwd=str(folder),
            env={**environment(folder), "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)},
        )  # fmt: skip
        self.program.logfile_read = self
        self.program.expect(r"plain at 127\.0\.0\.1:(\d+)")
        self.port = int(self.program.match[1])
        self.program.expect("orders: vw V1 42")
        self.program.expect("blynkscope> ")

    def write(self, text):
        self.all.append(text)

    def flush(self):
        pass

    def order(self, text, answer):
        self.program.send(f"{text}\r")
        self.program.expect(answer)

    def screen(self):
        screen = pyte.Screen(COLUMNS, LINES)
        pyte.Stream(screen).feed("".join(self.all))
        return [line.rstrip() for line in screen.display]

    def settled(self, last):
        """The screen, once its last line is this."""
        for _ in range(200):
            shown = [line for line in self.screen() if line]
            if shown and shown[-1] == last:
                return shown
            try:
                self.program.expect("\0never\0", timeout=0.1)
            except pexpect.TIMEOUT:
                continue
        raise AssertionError(shown)

    def client(self):
        import socket

        made = Client(socket.create_connection(("127.0.0.1", self.port), DEADLINE))
        made.login()
        return made


@pytest.fixture
def seat(tmp_path):
    made = Seat(tmp_path)
    yield made
    made.program.close(force=True)


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    """One that sees all the mistakes."""
    made = Seat(tmp_path_factory.mktemp("patient"))
    yield made
    made.program.close(force=True)


def test_orders_reach_a_device(seat):
    seat.order("vw V1 42", "stored; no device is online to hear it")
    with seat.client() as device:
        assert device.sync(1) == [b"42"]
        seat.order("vw V1 43 'two words'", "stored, and sent on 1 connection")
        assert device.write_of(1) == [b"43", b"two words"]
        seat.order("dw D2 1", "stored, and sent on 1 connection")
        assert device.hear()[::2] == (HW, words("dw", "2", "1"))
        seat.order("internal ota http://x/y", "sent on 1 connection")
        assert device.hear()[2] == words("ota", "http://x/y")
        seat.order("prop V1 color #ff0000", "stored")
        seat.order("hex 06 00 09 00 00", "sent on 1 connection")
        assert device.until(lambda cmd, *_: cmd != PROPERTY)[:2] == (6, 9)
        seat.order(f"@{TOKEN[:4]} vw V7 1", "stored, and sent on 1 connection")
        assert device.write_of(7) == [b"1"]
        seat.order("devices", rf"@{TOKEN[:4]}…  device 1-0  online \(1\)  3 pins")
    seat.order("quit", "summary")
    seat.program.expect(pexpect.EOF)
    seat.program.close()
    assert seat.program.exitstatus == 0
    assert TOKEN not in "".join(seat.all)


@pytest.mark.parametrize(
    ("order", "answer"),
    [
        ("vw V1", "! "), ("fly", "! "), ("vw Vx 1", "! "), ("@zz vw V1 1", "no device has a token"), ("@", "! "), ("internal", "! "),
        ("prop V1 nothing 1", "status 11"), ("vw V1 '", "! "), ("vw V300 1", "numbers 0 to 255"), ("20 00", "! "),
    ],
)  # fmt: skip
def test_a_wrong_order_is_told_and_nothing_else(patient, order, answer):
    patient.order(order, re.escape(answer))
    patient.order("vw V9 1", "stored; no device")
    assert "Traceback" not in "".join(patient.all)


def test_help_and_the_history(seat):
    seat.order("help", "set a property")
    seat.order("vw V1 1", "stored")
    seat.order("vw V2 2", "stored")
    up, down = "\x1b[A", "\x1b[B"
    # The order before the last, made another one.
    seat.order(f"{up}{up}\x7f5", "stored")
    with seat.client() as device:
        assert device.sync(1) == [b"5"]
        seat.order(up, "stored, and sent")
        assert device.write_of(1) == [b"5"]
    seat.program.send(f"{up}{up}{up}{down}{down}{down}{down}")
    seat.settled("blynkscope>")


def test_the_screen_has_no_garbage(seat):
    with seat.client() as device:
        device.say(HW, words("vw", "1", "\x1b[31mred \x07\x9b2J" + "long " * 40))
        device.ping()
        seat.program.expect("PING")
        seat.program.send("vw V1 half")
        device.say(HW, words("vw", "2", "7"))
        device.ping()
        shown = seat.settled("blynkscope> vw V1 half")
        assert sum(line.startswith("blynkscope>") for line in shown) == 1
        assert any("V2 = 7" in line for line in shown)
        assert not any("\x1b" in line or "\x07" in line for line in shown)
        # Nothing is left of the prompt in the lines above it.
        assert not any("half" in line for line in shown[:-1])
        seat.order("", "stored")
        assert device.write_of(1) == [b"half"]
    shown = seat.settled("blynkscope>")
    assert all(len(line) <= COLUMNS for line in shown)


def test_the_end_of_the_terminal_is_the_end(tmp_path):
    seat = Seat(tmp_path)
    seat.program.send("vw V1 half an order")
    seat.program.close(force=False)
    assert not seat.program.isalive()
    assert seat.program.signalstatus is None


def test_without_a_terminal_there_is_no_prompt(tmp_path):
    import subprocess

    command = [sys.executable, "-m", "blynkscope", "serve", "--listen", "0", "--no-tls", "--prompt"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=DEADLINE, cwd=tmp_path,
        env=environment(tmp_path),
    )  # fmt: skip
    assert done.returncode == 2
    assert "needs a terminal" in done.stderr
    assert os.listdir(tmp_path) == []
