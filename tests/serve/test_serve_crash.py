"""What `serve` has acknowledged is there after kill -9, and after an orderly end."""

import contextlib
import struct
import threading
import time

import pytest
from serve_world import (
    EVENT,
    HW,
    HW_LOGIN,
    INTERNAL,
    OK,
    PING,
    PROPERTY,
    RSP,
    SYNC,
    TOKEN,
    Served,
    frame,
    until,
    words,
)

from blynkscope.server.store import Store

PINS = 64
WINDOW = 200
"""Rounds that are on their way without an answer."""
ROUNDS = 1000
"""Acknowledged ones after which the server is killed."""
LEAST_RATE = 1000.0
"""Writes a second, of pins, properties and events together."""


class Writer:
    """Writes as fast as it is answered, and keeps what was acknowledged.

    A round is a write of V1, a property of one of the pins, an event, a sync of V1 and a ping. Their values are the
    number of the round.
    """

    def __init__(self, served):
        self.client = served.client(login=False)
        self.client.login()
        self.properties = {}
        self.pin = self.event = self.rounds = self.sent = 0
        self.begun = time.monotonic()
        self.over = threading.Event()
        self.change = threading.Condition()
        self.threads = [threading.Thread(target=one, daemon=True) for one in (self._write, self._hear)]
        for thread in self.threads:
            thread.start()

    def _write(self):
        with contextlib.suppress(OSError):
            while not self.over.is_set():
                with self.change:
                    self.change.wait_for(lambda: self.sent - self.rounds < WINDOW or self.over.is_set())
                    self.sent += 1
                    number = self.sent
                text = str(number)
                ids = (number * 4) % 60000 + 1
                self.client.connection.sendall(
                    frame(HW, ids, words("vw", "1", text))
                    + frame(PROPERTY, ids, words(str(number % PINS), "label", text))
                    + frame(EVENT, ids, words("round", text))
                    + frame(SYNC, ids + 1, words("vr", "1"))
                    + frame(PING, ids + 2)
                )

    def _hear(self):
        asked = 0
        while (heard := self.client.hear()) is not None:
            cmd, _, what = heard
            if cmd == HW:
                self.pin = max(self.pin, int(what.split(b"\0")[2]))
                continue
            assert (cmd, what) == (RSP, OK)
            # Each round has two answers of this kind: that of the property, then that of the ping.
            asked += 1
            number = (asked + 1) // 2
            if asked % 2:
                self.properties[number % PINS] = number
            else:
                self.event = number
                with self.change:
                    self.rounds = number
                    self.change.notify_all()

    def finish(self):
        self.over.set()
        with self.change:
            self.change.notify_all()
        for thread in self.threads:
            thread.join(30)
        self.client.close()


def test_what_was_acknowledged_survives_a_kill(tmp_path):
    store = tmp_path / "store"
    options = ("--like", "iot", "--quota", "0", "--token", TOKEN, "--store", str(store), "--no-tls")
    with Served(tmp_path, *options) as served:
        writer = Writer(served)
        with writer.change:
            # In the midst of it.
            assert writer.change.wait_for(lambda: ROUNDS <= writer.rounds < writer.sent, 60)
        rate = 3 * writer.rounds / (time.monotonic() - writer.begun)
        served.kill()
        writer.finish()
    assert rate > LEAST_RATE
    assert writer.pin >= writer.rounds >= ROUNDS
    kept = Store(store)
    try:
        ((value,),) = [kept.pin(TOKEN, b"v1")]
        assert writer.pin <= int(value) <= writer.sent
        for pin, number in writer.properties.items():
            (label,) = kept.property(TOKEN, b"v%d" % pin, b"label")
            assert number <= int(label) <= writer.sent
        events = [int(text) for name, text, _ in kept.events(TOKEN, 10_000) if name == b"round"]
        # The oldest go; none is missing between.
        assert events == list(range(events[0], events[0] - len(events), -1))
        assert events[0] >= writer.event
        assert len(events) >= ROUNDS
    finally:
        kept.close()
    with Served(tmp_path, *options) as served, served.client() as device:
        assert device.sync(1) == [value]
        status, _, body = served.http(f"/external/api/get?token={TOKEN}&V1")
        assert (status, body) == (200, value)
        assert served.end() == 0


def test_everything_is_there_after_an_orderly_end(tmp_path):
    options = ("--token", TOKEN, "--store", "store", "--no-tls")
    with Served(tmp_path, *options) as served:
        with served.client() as device:
            device.say(HW, words("vw", "1", "a", "", "é\n"))
            assert device.ask(PROPERTY, words("1", "label", "here")) == OK
            assert device.ask(INTERNAL, words("ver", "1.0", "h-beat", "60", "build", "x")) == OK
            device.ping()
        served.write("D7", "1")
        assert served.end() == 0
    assert (tmp_path / "store").stat().st_mode & 0o777 == 0o600
    # The token is known from the store.
    with Served(tmp_path, "--store", "store", "--no-tls") as served, served.client() as device:
        assert device.sync(1) == [b"a", b"", "é\n".encode()]
        assert served.read("D7") == ["1"]
        assert served.end() == 0


def test_a_store_that_another_server_has_is_refused(tmp_path):
    options = ("--token", TOKEN, "--store", "store", "--no-tls")
    with Served(tmp_path, *options) as served:
        with pytest.raises(AssertionError, match="store"):
            Served(tmp_path, *options)
        with served.client() as device:
            device.ping()
        assert served.end() == 0


def test_the_store_of_another_kind_is_left_alone(tmp_path):
    other = tmp_path / "notes.txt"
    other.write_text("notes of mine\n" * 100)
    with pytest.raises(AssertionError, match=r"notes\.txt"):
        Served(tmp_path, "--store", str(other), "--no-tls")
    assert other.read_text() == "notes of mine\n" * 100


def test_a_login_and_a_write_in_one_piece_are_all_taken(tmp_path):
    """The answers leave behind the commit, in the order of the requests."""
    with Served(tmp_path, "--token", TOKEN, "--no-tls") as served, served.client(login=False) as device:
        device.connection.sendall(
            frame(HW_LOGIN, 1, TOKEN.encode()) + frame(HW, 2, words("vw", "1", "5")) + frame(SYNC, 3, words("vr", "1"))
            + frame(PING, 4)
        )  # fmt: skip
        got = [device.hear() for _ in range(3)]
        assert got == [(RSP, 1, OK), (HW, 3, words("vw", "1", "5")), (RSP, 4, OK)]
        device.connection.sendall(struct.pack(">BHH", PING, 5, 0)[:3])
        device.reset()
        until(lambda: served.http(f"/{TOKEN}/isHardwareConnected")[2] == b"false")
