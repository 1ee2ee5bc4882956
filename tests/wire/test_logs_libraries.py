# ruff: noqa: RUF001
from __future__ import annotations

import json
from pathlib import Path

import printers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blynkscope.protocol import commands
from blynkscope.wire.logs import libraries, lines
from blynkscope.wire.logs.model import Chunk, Content, Said, Told

TOKEN = "c4ad62ead005b80c82e6c7a3dd0d2dbc"
TRACES = Path(__file__).parents[2] / "captures" / "logs"


def read(text: str) -> list[Content]:
    """Every line of a printed log, peeled as the reader of logs does it."""
    out: list[Content] = []
    for line in text.split("\n"):
        out += libraries.read_line(lines.peel(line).text) or []
    return out


def said(text: str) -> Said:
    found = libraries.read_line(text)
    assert found is not None
    assert len(found) == 1
    assert isinstance(found[0], Said), found
    return found[0]


# --- what the printers print is read back --------------------------------------------------------------------------

ids = st.integers(1, 0xFFFF)
pins = st.integers(0, 255).map(lambda number: str(number).encode())
plain = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r\n|=\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e"), max_size=20
)
word = st.from_regex(r"[A-Za-z_.#%-]{1,12}", fullmatch=True)
number = st.one_of(st.integers(-(10**6), 10**6).map(str), st.floats(-1e4, 1e4, allow_nan=False).map(str))
status = st.sampled_from(sorted(printers.NODE_RED_STATUSES))


def frame(cmd: int, body: st.SearchStrategy[bytes]) -> st.SearchStrategy[printers.Frame]:
    return st.tuples(st.integers(0, 1), st.just(cmd), ids, body).map(lambda made: (*made[:3], len(made[3]), made[3]))


def joined(*parts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.tuples(*parts).map(b"\0".join)


def const(*texts: bytes) -> st.SearchStrategy[bytes]:
    return st.sampled_from(texts)


def encoded(texts: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    return texts.map(str.encode)


responses = st.tuples(st.integers(0, 1), st.just(0), ids, status, st.just(b""))
anything = st.one_of(
    responses,
    frame(20, joined(const(b"vw", b"dw", b"aw"), pins, encoded(plain), encoded(plain))),
    frame(20, joined(const(b"vr", b"dr"), pins)),
    frame(29, st.just(TOKEN.encode())),
    frame(6, st.just(b"")),
    frame(16, st.one_of(st.just(b""), joined(const(b"vr"), pins, pins))),
    frame(17, joined(const(b"ver"), encoded(plain), const(b"h-beat"), const(b"10"), const(b""))),
    frame(41, joined(const(b"ny3.blynk.cloud"), const(b"80"))),
)
# Bodies that a log tells completely although it prints blanks or commas for NULs.
restorable = st.one_of(
    responses,
    frame(20, joined(const(b"vw", b"aw"), pins, encoded(number), encoded(number))),
    frame(20, joined(const(b"vw"), pins, encoded(word))),
    frame(20, joined(const(b"vr", b"ar"), pins)),
    frame(20, joined(const(b"pm"), pins, const(b"in", b"out", b"pwm"))),
    frame(29, st.just(TOKEN.encode())),
    frame(2, st.just(TOKEN.encode())),
    frame(6, st.just(b"")),
    frame(14, encoded(word)),
    frame(15, joined(const(b"64"), const(b"i"), st.just(TOKEN.encode()))),
    frame(15, joined(const(b"64"), const(b"vw"), pins, encoded(word))),
    frame(16, joined(const(b"vr"), pins, pins)),
    frame(17, joined(const(b"ver"), const(b"1.0.0"), const(b"h-beat"), const(b"50"), const(b"dev"), encoded(word))),
    frame(17, joined(const(b"rtc"), const(b"sync"))),
    frame(19, joined(pins, const(b"label", b"color"), encoded(word))),
    frame(64, joined(const(b"door_open"), encoded(word))),
)


def fields(items: list[Content]) -> list[tuple[object, ...]]:
    out: list[tuple[object, ...]] = []
    for item in items:
        assert isinstance(item, Said), item
        out.append((item.direction, item.cmd, item.id, item.word, item.body))
    return out


def without_lengths(frames: list[printers.Frame]) -> list[tuple[object, ...]]:
    return [(direction, cmd, ident, word if cmd == 0 else None, body) for direction, cmd, ident, word, body in frames]


@given(st.lists(anything, max_size=5))
def test_javascript_is_read_back(frames: list[printers.Frame]) -> None:
    assert fields(read(printers.js(frames))) == frames


@given(st.lists(responses, max_size=5))
def test_javascript_statuses_by_name(frames: list[printers.Frame]) -> None:
    assert fields(read(printers.js(frames, names=True))) == frames


@given(st.lists(anything, max_size=5))
def test_node_red_is_read_back(frames: list[printers.Frame]) -> None:
    assert fields(read(printers.node_red(frames))) == frames


@given(st.lists(anything.filter(lambda made: made[1] != 0), max_size=5))
def test_node_red_events_are_copies_of_what_was_received(frames: list[printers.Frame]) -> None:
    items = read(printers.node_red_events(frames))
    assert fields(items) == [(1, *made[1:]) for made in frames]
    assert all(isinstance(item, Said) and item.facts == {"copy": True} for item in items)


@given(st.lists(anything, max_size=5))
def test_blynk_ctrl_is_read_back(frames: list[printers.Frame]) -> None:
    assert fields(read(printers.blynk_ctrl(frames))) == frames


@given(st.lists(restorable, max_size=5))
def test_blynklib_is_read_back_without_lengths(frames: list[printers.Frame]) -> None:
    items = read(printers.python(frames))
    assert fields(items) == without_lengths(frames)
    assert not any(item.facts for item in items if isinstance(item, Said))


@pytest.mark.parametrize("nul", [" ", "\0", "^@"])
@given(st.lists(restorable, max_size=5))
def test_java_is_read_back(nul: str, frames: list[printers.Frame]) -> None:
    expected = without_lengths(frames)
    assert fields(read(printers.java(frames, nul))) == expected


@given(st.lists(restorable, max_size=3))
def test_old_java_tells_the_length(frames: list[printers.Frame]) -> None:
    assert fields(read(printers.java(frames, length=True))) == frames


@pytest.mark.parametrize("curly", [False, True])
@given(st.lists(restorable, max_size=4))
def test_micropython_layers_tell_each_frame_and_its_copies(curly: bool, frames: list[printers.Frame]) -> None:
    items = read(printers.upython(frames, curly))
    chunks = [item for item in items if isinstance(item, Chunk)]
    assert [(c.direction, c.data) for c in chunks if c.layer == "bytes"] == [
        (made[0], printers.raw(made)) for made in frames
    ]
    assert [(c.direction, c.data) for c in chunks if c.layer == "packet"] == [
        (made[0], printers.raw(made)) for made in frames
    ]
    copies = [item for item in items if isinstance(item, Said)]
    assert all(copy.facts.get("copy") for copy in copies)
    headers = {(made[0], made[1], made[2]) for made in frames}
    assert all((copy.direction, copy.cmd, copy.id) in headers for copy in copies)


@given(st.lists(anything, max_size=4))
def test_handmade_prints_are_read_back(frames: list[printers.Frame]) -> None:
    expected = [Chunk(made[0], printers.raw(made), "bytes") for made in frames]
    assert read(printers.python_bytes(frames)) == expected
    assert read(printers.hex_directions(frames)) == expected


@given(st.text(max_size=200))
def test_no_text_raises(text: str) -> None:
    libraries.read_line(text)


@pytest.mark.parametrize(
    "unit", ["<", "> ", "Cmd: HW, ", "a ", "b'", "\\", "0 ", "00", "{", "[[", "> Outbound ", "-> ", "id=1, command=A"]
)
def test_long_lines_take_linear_time(unit: str) -> None:
    for front in (
        "",
        "> 20 1 | ",
        'RECV <- Cmd: HW, Id: 1, len: 2, data: "',
        "recv: b'",
        "TX -> ",
        "Incoming id=1, command=Ping, body='",
    ):
        libraries.read_line((front + unit * 100_000)[:200_000])


# --- lines as people post them -------------------------------------------------------------------------------------

SAID = [
    # blynk-library-js
    (f"<  LOGIN 1 32 {TOKEN}", Said(0, 2, 1, 32, TOKEN.encode())),
    (f"<  HW_LOGIN 1 32 {TOKEN}", Said(0, 29, 1, 32, TOKEN.encode())),
    (">  RSP 7 200", Said(1, 0, 7, 200)),
    (">  RSP 1 OK", Said(1, 0, 1, 200)),
    (">  RSP 1 Unknown(17)", Said(1, 0, 1, 17)),
    ("> RSP 1 INVALID_TOKEN", Said(1, 0, 1, 9)),
    (">  HW 5 6 vw|1|0", Said(1, 20, 5, 6, b"vw\x001\x000")),
    ("<  PING 3 0", Said(0, 6, 3, 0)),
    (">  Unknown(21) 9 1 b", Said(1, 21, 9, 1, b"b")),
    # node-red
    ('SEND -> Cmd: HW, Id: 3, len: 6, data: "vw\\u00001\\u00000"', Said(0, 20, 3, 6, b"vw\x001\x000")),
    ('SEND -> Cmd: HW, Id: 14, len: 10, data: "vw|7|é€"', Said(0, 20, 14, 10, "vw\x007\0é€".encode())),
    ('SEND -> Cmd: HW_SYNC, Id: 3, len: 0, data: ""', Said(0, 16, 3, 0)),
    ("RECV <- Cmd: RSP, Id: 1, responseCode: OK", Said(1, 0, 1, 200)),
    ("RECV <- Cmd: RSP, Id: 1, responseCode: 33", Said(1, 0, 1, 33)),
    ("RECV <- Cmd: RSP, Id: 13, responseCode: NOTIFICATION_ERROR", Said(1, 0, 13, 15)),
    ("SEND -> Cmd: RSP, Id: 3, responseCode: ILLEGAL_COMMAND", Said(0, 0, 3, 2)),
    (
        "[info] [blynk-ws-client:c1d2e3f4.a5b6c7] RECV <- Cmd: CONNECT_REDIRECT, Id: 1, responseCode: SERVER_EXCEPTION",
        Said(1, 41, 1, 19, facts={"status_read": "SERVER_EXCEPTION"}),
    ),
    (
        '[info] [blynk-ws-client:c1] SEND -> Cmd: LOGIN Id: 1 Data: "\\u0002\\u0000\\u0001\\u0000 8972874e506999aaac50b8b19656xxxx"',
        Said(0, 2, 1, 32, b"8972874e506999aaac50b8b19656xxxx"),
    ),
    (
        '[info] [blynk-ws-client:Project Test] SEND -> Cmd: LOGIN, Id: 1, len: 32, data: "***************************0ab1c"',
        Said(0, 29, 1, 32, b"***************************0ab1c"),
    ),
    ('Invalid HW cmd: Cmd: HW, Id: 1, len: 2, data: "pm"', Said(1, 20, 1, 2, b"pm", facts={"copy": True})),
    ('Cmd: HW, Id: 7, len: 6, data: "vw|2|1"', Said(None, 20, 7, 6, b"vw\x002\x001")),
    (
        'writeEvent: -> cmd {"type":20,"typeString":"HW","msgId":3,"len":10,"body":"vw\\u00001\\u0000a\\u0000b\\u0000c"}',
        Said(1, 20, 3, 10, b"vw\x001\0a\0b\0c", facts={"copy": True}),
    ),
    # blynk_ctrl
    (" < 20, 2, 6 : vw=1=0", Said(0, 20, 2, 6, b"vw\x001\x000")),
    (" > 0, 1 : status 200", Said(1, 0, 1, 200)),
    ("Got: 0, 1, 9", Said(1, 0, 1, 9)),
    # Python
    (f"< 29 1 | {TOKEN}", Said(0, 29, 1, None, TOKEN.encode())),
    ("> 0 1 | 200", Said(1, 0, 1, 200)),
    (
        "< 17 2 | ver 1.0.0 h-beat 50 buff-in 1024 dev linux-py",
        Said(0, 17, 2, None, b"ver\x001.0.0\0h-beat\x0050\0buff-in\x001024\0dev\0linux-py"),
    ),
    ("< 20 3 | vw 4 21", Said(0, 20, 3, None, b"vw\x004\x0021")),
    ("< 20 3 | vw 4 21 22.5", Said(0, 20, 3, None, b"vw\x004\x0021\x0022.5")),
    ("< 20 3 | vw 4 [1, 2]", Said(0, 20, 3, None, b"vw\x004\0[1, 2]")),
    ("< 20 3 | vw 4 hello world", Said(0, 20, 3, None, b"vw\x004\0hello world", facts={"ambiguous": True})),
    ("> 20 7 | vw,5,1", Said(1, 20, 7, None, b"vw\x005\x001")),
    ("> 20 7 | vw,5,a,b", Said(1, 20, 7, None, b"vw\x005\0a\0b", facts={"ambiguous": True})),
    ("> 20 7 | vw,5,hello, world", Said(1, 20, 7, None, b"vw\x005\0hello, world", facts={"ambiguous": True})),
    ("< 6 9 |", Said(0, 6, 9, None)),
    ("< 19 4 | 1 color #D3435C", Said(0, 19, 4, None, b"1\0color\0#D3435C")),
    ("< 64 4 | door opened at night", Said(0, 64, 4, None, b"door\0opened at night")),
    ("> 41 1 | ny3.blynk.cloud,80", Said(1, 41, 1, None, b"ny3.blynk.cloud\x0080")),
    ("< 13 4 | me@example.com Alarm burglar", Said(0, 13, 4, None, b"me@example.com\0Alarm\0burglar")),
    # Java
    ("Incoming HardwareMessage{id=3, command=Hardware, body='vw 1 2'}", Said(0, 20, 3, None, b"vw\x001\x002")),
    ("Incoming HardwareMessage{id=1, command=HardwareMessage, length=8, body='vw^@0^@clr'}", Said(0, 20, 1, 8, b"vw\x000\0clr")),
    ("Incoming HardwareMessage{id=1, command=Hardware, length=6, body='vw12'}", Said(0, 20, 1, 6, b"vw\x001\x002")),
    ("TRACE- Incoming id=65531, command=Ping, body=''", Said(0, 6, 65531, None)),
    ("TRACE - Incoming id=0, command=Ping, body=''", Said(0, 6, 0, None)),
    ("Incoming LoginMessage{id=1, command=Login, length=32, body='...'}", Said(0, 2, 1, None, facts={"hidden": True})),
    ("Incoming LoginMessage{id=1, command=Login, body='...'}", Said(0, 2, 1, None, facts={"hidden": True})),
    ("Incoming ResponseMessage{id=5, command=Response, responseCode=OK}", Said(0, 0, 5, 200)),
    ("Outgoing ResponseMessage{id=5, command=Response, responseCode=INVALID_TOKEN}", Said(1, 0, 5, 9)),
    ("Incoming client id=5, command=setWidgetProperty, body='1 color #D3435C'", Said(1, 19, 5, None, b"1\0color\0#D3435C")),
    ("Incoming id=7, command=LoginHardware, body='0123'", Said(0, 29, 7, None, b"0123")),
    ("Incoming id=7, command=HardwareSync, body='vr 1 4'", Said(0, 16, 7, None, b"vr\x001\x004")),
    # copies of a MicroPython port
    ("< Inbound Data Packet: CMD: 0, ID: 1,STA: 9", Said(1, 0, 1, 9, facts={"copy": True})),
    ("< Server Acknowledge: CMD: 0 ID: 1 Response Else: 9", Said(1, 0, 1, 9, facts={"copy": True})),
    ("< Server Acknowledge: CMD: 0 ID: 12", Said(1, 0, 12, None, facts={"copy": True})),
    ("> Outbound Data Packet CMD: 20, ID: 11, Data: vw 1 1", Said(0, 20, 11, None, b"vw\x001\x001", facts={"copy": True})),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), SAID, ids=[text[:60] for text, _ in SAID])
def test_lines(text: str, expected: Said) -> None:
    assert said(text) == expected


LOOP = b"\x14\x00\x06\x00\x19vw\x000\x00---> Loop: 0 RST: 0\n"
TLS = bytes.fromhex("170303001d0000000000000001b4cf51949592479e37f1db3b5c1efc6c4ea0d8e8c8")
CHUNKS = [
    ("< Server Data: b’\\x00\\x00\\x01\\x00\\t’", Chunk(1, b"\0\0\1\0\t", "bytes")),
    ("Response from Non Secure: < Server Data: b’\\x00\\x00\\x01\\x00\\xc8’", Chunk(1, b"\0\0\1\0\xc8", "bytes")),
    ("> Outbound Data b’\\x14\\x00\\x06\\x00\\x19vw\\x000\\x00—> Loop: 0 RST: 0\\n’", Chunk(0, LOOP, "bytes")),
    (
        "> Outbound Data Packet: b’ \\x1d\\x00\\x01\\x00 " + TOKEN + "’",
        Chunk(0, b"\x1d\0\1\0 " + TOKEN.encode(), "packet"),
    ),
    ("< BIN Data: b'\\x00\\x00\\x04\\x00\\xc8'", Chunk(1, b"\0\0\4\0\xc8", "packet")),
    (
        "< Server Data: b’\\x17\\x03\\x03\\x00\\x1d\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x01\\xb4\\xcfQ\\x94\\x95\\x92G\\x9e7\\xf1\\xdb;\\\\x1e\\xfclN\\xa0\\xd8\\xe8\\xc8’",
        Chunk(1, TLS, "bytes"),
    ),
    (
        "I get the following response from the server: b’\\x17\\x03\\x03\\x00\\x1d’, the 0x17 (decimal 23)",
        Chunk(1, TLS[:5], "bytes"),
    ),
    ("recv: b'\\x00\\x00\\x01\\x00\\xc8'", Chunk(1, b"\0\0\1\0\xc8", "bytes")),
    ('send b"\\x06\\x00\\x02\\x00\\x00"', Chunk(0, b"\6\0\2\0\0", "bytes")),
    ("<< b'\\x06\\x00\\x02\\x00\\x00'", Chunk(0, b"\6\0\2\0\0", "bytes")),
    ("rx: 00 00 01 00 C8", Chunk(1, b"\0\0\1\0\xc8", "bytes")),
    ("RX: 00000100C8", Chunk(1, b"\0\0\1\0\xc8", "bytes")),
    ("TX -> 0x06, 0x00, 0x02, 0x00, 0x00", Chunk(0, b"\6\0\2\0\0", "bytes")),
    ("Received 5 bytes: 00-00-01-00-c8", Chunk(1, b"\0\0\1\0\xc8", "bytes")),
    ("Sent: 1d 00", Chunk(0, b"\x1d\0", "bytes")),
    (">> 00 00 01 00 c8", Chunk(1, b"\0\0\1\0\xc8", "bytes")),
    ("data from server: b'\\x00\\x01'", Chunk(1, b"\0\1", "bytes")),
]


@pytest.mark.parametrize(("text", "expected"), CHUNKS, ids=[text[:40] for text, _ in CHUNKS])
def test_bytes(text: str, expected: Chunk) -> None:
    assert libraries.read_line(text) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "[info] [blynk-ws-client:c1] login -> ***************************0ab1c",
        'virtualWrite: -> ["vw","0","42"]',
        'setProperty -> ["1","label","NR"]',
        'sendNotify -> ["nr push"]',
        'writeEvent: -> output {"payload":"a","pin":"1","arrayOfValues":["a"]}',
        "Register input node - type: write pin: 1",
        "ping",
        "Event: V1 -> ['5']",
        "Event: ['write v1'] -> (1, ['5'])",
        "Response status: 200",
        "Heartbeat time: 1595253432",
    ],
)
def test_what_libraries_print_about_their_own_calls(text: str) -> None:
    assert libraries.read_line(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "> Sending CMD: 29",
        "> Sending ARGS: vw 1 0",
        "> Sending KWARGS:",
        "> Sending ID: 20",
        "< Check For Data From Server",
        "< Initial Time: 891584017",
    ],
)
def test_lines_that_repeat_parts_are_taken_without_content(text: str) -> None:
    assert libraries.read_line(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Connecting to blynk.cloud:443...",
        "<[14|00|03|00|06]vw[00]0[00]1",
        ">> [02|00|01|00] fc6ca3c342e0f3d",
        ">> dc292859dba87605",
        ">> 151:-74,62:-9,28:0,97[0A]",
        "<msg 2,1,32",
        ">msg 0,1,200",
        "> POST /admin/ota/start HTTP/1.1",
        "< HTTP/1.1 100 Continue",
        "> Content-Length: 184",
        "> quoted text from a forum",
        "3fffef50:  3ffe9058 40000f49 3fffdab0 40000f49",
        "received a face in the cafe",
        "sent dead beef to 40000f49",
        "Received: 25 60",
        "Sent: 20-01-21",
        "Received at: 08:47:35",
        "rx: aa:bb:cc:00:11:22",
        "+CIFSR:STAMAC,\"aa:bb:cc:00:11:22\"",
        "rx: 192.168.1.10",
        "recv: 1024",
        "Received 1234567890",
        "send ok",
        "sock.send(b'\\x06\\x00\\x02\\x00\\x00')",
        "blynk.virtual_write(b'\\x06\\x00\\x02')",
        "Sent 5/15",
        "> 999 1 | 200",
        "> 0 1 | yes no",
        "< 20, 70000, 6 : vw=1=0",
        "SEND -> hello",
        "Incoming call",
        "Incoming id=5, command=Nonsense, body=''",
        "cmd {not json}",
        "The first 5 bytes are always the same value b'\\x17\\x03\\x03\\x00\\x1d'",
    ],
)  # fmt: skip
def test_other_lines_are_left_to_others(text: str) -> None:
    assert libraries.read_line(text) is None


def test_many_commands_announce_their_direction() -> None:
    assert libraries.read_line("SEND -> Multiple Command, num: 4") == [
        Told("frame", "SEND -> Multiple Command, num: 4", {"direction": 0, "commands": 4})
    ]


def test_numbers_that_fit_no_header_are_refused() -> None:
    assert libraries.read_line(f"> {commands.HW} 65536 | vw,1,1") is None
    assert libraries.read_line(">  RSP 1 65536") is None
    assert libraries.read_line('RECV <- Cmd: HW, Id: 1, len: 65536, data: ""') is None
    assert libraries.read_line("cmd " + json.dumps({"type": 256, "msgId": 1, "len": 0, "body": ""})) is None


def test_traces() -> None:
    trace = read((TRACES / "61-javaserver-ping-id0-disconnect-relogin.txt").read_text())
    assert [(item.cmd, item.id) for item in trace if isinstance(item, Said)] == [
        (6, 65531), (6, 65532), (6, 65533), (6, 65534), (6, 65535), (6, 0), (2, 1)
    ]  # fmt: skip
    trace = read((TRACES / "70-nodered-ws-redirect-length-read-as-status.txt").read_text())
    assert [(item.direction, item.cmd, item.word) for item in trace if isinstance(item, Said)] == [
        (0, 2, 32),
        (1, 41, 19),
    ]
    trace = read((TRACES / "114-S-blynklib-python-log.txt").read_text())
    assert [(item.direction, item.cmd, item.id) for item in trace if isinstance(item, Said)] == [
        (0, 29, 1), (1, 0, 1), (0, 17, 2), (1, 0, 2), (0, 20, 3), (1, 20, 7)
    ]  # fmt: skip
