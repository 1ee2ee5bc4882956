"""Columns and complaints of the dissector against the schema: the same parts, the same bodies found ill-formed."""

import random
import struct

import craft
import pytest
import sharks

from blynkscope.protocol import commands, derived
from blynkscope.protocol.model import Dialect
from blynkscope.wireshark.layouts import layout_of

pytestmark = pytest.mark.tshark

TOKEN = b"6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"
LOGIN = {
    Dialect.HARDWARE: struct.pack(">BHH", 29, 1, 32) + TOKEN,
    Dialect.APP: struct.pack(">BHI", 2, 1, 17) + b"dev@example.com\0x",
}
HEADS = {Dialect.HARDWARE: ">BHH", Dialect.APP: ">BHI"}
PORTS = {Dialect.HARDWARE: 8080, Dialect.APP: 8443}
WORDS = (
    b"vw", b"vr", b"dw", b"aw", b"ar", b"dr", b"pm", b"vm", b"vu", b"i", b"v", b"", b"1", b"1-0", b"12", b"1234", b"-1",
    b"V1", b"42", b"23.5", b"out", b"label", b"rtc", b"ver", b"h-beat", b"b", b"t", b"a@b.example", TOKEN, b"\xc3\xa9",
    b"\xff", b"\x1b[31m", b"{}", b'{"id":1}', b"http://192.0.2.1/x", b"1\0",
)  # fmt: skip


def bodies(seed, count):
    """Rows of words drawn at random, the same in every run."""
    draw = random.Random(seed)
    for _ in range(count):
        yield b"\0".join(draw.choice(WORDS) for _ in range(draw.randint(0, 5)))


def captured(path, dialect, messages):
    """A capture in which a client logs in and sends each message in a segment of its own."""
    wire = craft.Wire(ports=(50000, PORTS[dialect]))
    wire.handshake()
    at = 0
    for number, message in enumerate([LOGIN[dialect], *messages]):
        data = message if not number else struct.pack(HEADS[dialect], message[0], number, len(message[1])) + message[1]
        wire.send(0, at, data)
        at += len(data)
    path.write_bytes(craft.pcap(wire.packets))
    return path


@pytest.fixture(scope="module")
def shark(tmp_path_factory):
    return sharks.Shark(tmp_path_factory.mktemp("home"))


def cases(dialect):
    longest = derived.longest_bodies(dialect)
    drawn = []
    for code in range(1, 256):
        if longest[code] < 0:
            continue
        often = code in {15, 16, 17, 19, 20, 25}
        drawn += [(code, body) for body in bodies(code, 60 if often else 8) if len(body) <= longest[code]]
    return drawn


@pytest.mark.parametrize("dialect", [Dialect.HARDWARE, Dialect.APP])
def test_the_same_bodies_are_ill_formed_and_the_same_pins_are_shown(shark, tmp_path, dialect):
    messages = cases(dialect)
    path = captured(tmp_path / "bodies.pcap", dialect, messages)
    names = (
        "blynk.id",
        "blynk.cmd",
        "blynk.cmd_name",
        "blynk.op",
        "blynk.pin",
        "blynk.value",
        "blynk.mode",
        "blynk.problem",
    )
    rows = shark.fields(path, *names, options=("-o", "blynk.show_secrets:TRUE"))[1:]
    assert [int(row["blynk.id"][0]) for row in rows] == list(range(1, len(messages) + 1))
    for row, (code, body) in zip(rows, messages, strict=True):
        command = commands.find(code, dialect)
        assert row["blynk.cmd_name"] == [command.name]
        problem = command.body.problem(body)
        shown = row["blynk.problem"]
        if layout_of(command.body).complete:
            assert bool(shown) == (problem is not None), (command.name, body, problem, shown)
        else:
            assert not shown or problem, (command.name, body, shown)
        if problem and shown and "'" not in problem:
            assert shown == [problem]
        fields = command.body.decode(body)[0] or {}
        if "pins" in fields and body.isascii() and b"\x1b" not in body:
            assert row["blynk.op"] == ([fields["op"]] if fields["op"] else [""])
            assert row["blynk.pin"] == [pin["pin"] for pin in fields["pins"]], body
            assert row["blynk.value"] == [value for pin in fields["pins"] for value in pin.get("values", ())], body
            modes = [pin["mode"] for pin in fields["pins"] if pin.get("mode") is not None]
            assert row["blynk.mode"] == modes, body


@pytest.mark.parametrize("dialect", [Dialect.HARDWARE, Dialect.APP])
def test_no_secret_is_shown_unless_it_is_asked_for(shark, tmp_path, dialect):
    messages = [(code, body) for code, body in cases(dialect) if TOKEN in body or b"@" in body]
    assert len(messages) > 40
    path = captured(tmp_path / "secrets.pcap", dialect, messages)
    hidden, shown = (
        shark.fields(path, "_ws.col.Info", "blynk.token", "blynk.text", "blynk.value", options=option)
        for option in ((), ("-o", "blynk.show_secrets:TRUE"))
    )
    assert TOKEN.decode() not in str(hidden)
    assert "a@b.example" not in str(hidden)
    assert "tok:" in str(hidden)
    assert TOKEN.decode() in str(shown)
