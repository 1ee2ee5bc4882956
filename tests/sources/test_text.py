"""Logs, pastes and raw bytes are told apart by their content; nothing makes the reader raise or slow."""

import json
from collections import Counter
from pathlib import Path

import printers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import FrameRecord, spelled_out
from blynkscope.sources import text as module
from blynkscope.sources.text import TextSource
from blynkscope.wire.events import Closed, Data, Line, Message, Opened

TRACES = Path(__file__).parent.parent.parent / "captures" / "logs"
ALL = [path.read_bytes() for path in sorted(TRACES.glob("**/*.txt"))]
TOKEN = b"c4ad62ead005b80c82e6c7a3dd0d2dbc"
LOGIN, OK1 = (0, 29, 1, 32, TOKEN), (1, 0, 1, 200, b"")
WRITE, PING = (0, 20, 2, 9, b"vw\x005\x0021.5"), (0, 6, 3, 0, b"")
LOG = f"[5] <[1D|00|01|00|20]{TOKEN.decode()}\n[9] >[00|00|01|00|C8]\n[10] <[14|00|02|00|09]vw[00]5[00]21.5\n"


def events_of(data):
    return [event for batch in TextSource(data, "x") for event in batch]


def said(data):
    return [
        (event.direction, event.cmd, event.id, event.word, event.body)
        for event in events_of(data)
        if isinstance(event, Message)
    ]


def sent(data):
    return [(event.direction, event.data) for event in events_of(data) if isinstance(event, Data)]


# --- the same run as the server saw it ---


@pytest.mark.parametrize(("name", "port"), [("04_hw_plain_cpp140", 44348), ("05_hw_invalid_token", 50296)])
def test_the_client_log_has_the_servers_messages(name, port):
    rows = map(json.loads, (TRACES.parent / f"{name}.truth.jsonl").read_text().splitlines())
    truth = [
        (
            int(row["dir"] == "s2c"),
            row["cmd"],
            row["id"],
            row.get("status", row.get("len")),
            bytes.fromhex(row.get("body_hex", "")),
        )
        for row in rows
        if row["client_port"] == port
    ]
    found = said((TRACES.parent / f"{name}.clientlog.txt").read_bytes())
    assert Counter(found) == Counter(truth)
    for direction in (0, 1):
        assert [row for row in found if row[0] == direction] == [row for row in truth if row[0] == direction]


# --- what an input is ---

ENCODINGS = {
    "utf-8": LOG.encode(),
    "byte order mark": b"\xef\xbb\xbf" + LOG.encode(),
    "utf-16": LOG.encode("utf-16"),
    "utf-16 big endian": b"\xfe\xff" + LOG.encode("utf-16-be"),
    "cr lf": LOG.replace("\n", "\r\n").encode(),
    "cr": LOG.replace("\n", "\r").encode(),
    "cr cr lf": LOG.replace("\n", "\r\r\n").encode(),
    "nul bytes in it": b"\0\0\0\n" + LOG.encode() + b"\0\0",
    "noise of the boot": b"\xe2\x80\x1b\x92\xff\x00\x04$rl\xfe\x82\x10\n" + LOG.encode(),
    "noise before the stamp": b"\x01\x92\xff\x00\x04$\xfe\x82" + LOG.encode(),
}


@pytest.mark.parametrize("data", ENCODINGS.values(), ids=ENCODINGS)
def test_encodings_and_noise(data):
    assert said(data) == [LOGIN, OK1, WRITE]


PASTES = ["xxd", "hexdump_c", "wireshark", "plain_hex", "hercules"]


@pytest.mark.parametrize("name", PASTES)
def test_pasted_bytes_are_data_of_one_side(name):
    assert sent(getattr(printers, name)([LOGIN, WRITE, PING]).encode()) == [(0, printers.stream([LOGIN, WRITE, PING]))]
    assert sent(getattr(printers, name)([OK1, OK1]).encode()) == [(1, printers.stream([OK1, OK1]))]


def test_quoted_bytes():
    raw = printers.stream([LOGIN, WRITE])
    assert sent(repr(raw).encode()) == [(0, raw)]


def test_comments_between_the_bytes_set_messages_apart():
    login, write = printers.stream([LOGIN]), printers.stream([WRITE])
    lines = ["login", login.hex(" ") + " 44", "and a write", write[:-1].hex(" ")]
    found = [event for event in events_of("\n".join(lines).encode()) if isinstance(event, Message)]
    assert [(one.cmd, one.word, one.body, one.line, one.cut) for one in found] == [
        (login[0], 32, login[5:] + b"D", 2, False),
        (write[0], len(write) - 5, write[5:-1], 4, True),
    ]


def test_a_comment_inside_a_message_is_passed_over():
    login = printers.stream([LOGIN])
    lines = ["login", login[:5].hex(" "), "msg 29,1,32", login[5:].hex(" ")]
    assert sent("\n".join(lines).encode()) == [(0, login)]


def _followed(runs):
    offsets, out = [0, 0], []
    for side, data in runs:
        for at in range(0, len(data), 16):
            row = data[at : at + 16]
            out.append(f"{'    ' * side}{offsets[side]:08x}  {row.hex(' '):<49} {'.' * len(row)}")
            offsets[side] += len(row)
    return "\n".join(out)


def test_requests_and_answers_in_one_row_are_told_apart():
    frames = [LOGIN, OK1, PING, (1, 0, 3, 200, b"")]
    data = "\n".join(printers.raw(frame).hex(" ") for frame in frames).encode()
    assert sent(data) == [(frame[0], printers.raw(frame)) for frame in frames]


def test_a_followed_stream_has_both_sides():
    runs = [(0, printers.stream([LOGIN])), (1, printers.stream([OK1])), (0, printers.stream([WRITE, PING]))]
    assert sent(_followed(runs).encode()) == runs
    turned = [(1 - side, data) for side, data in runs]
    assert sent(_followed(turned).encode()) == runs


def test_c_arrays_of_both_sides():
    arrays = "".join(
        f"char peer{side}_{index}[] = {{ /* Packet {index} */\n{', '.join(f'0x{byte:02x}' for byte in printers.raw(frame))} }};\n"
        for index, (side, frame) in enumerate([(0, LOGIN), (1, OK1)])
    )
    assert sent(arrays.encode()) == [(0, printers.raw(LOGIN)), (1, printers.raw(OK1))]


RAW = {
    "frames": printers.stream([LOGIN, WRITE]),
    "tls": bytes.fromhex("16030100c8010000c40303") + bytes(60),
    "noise": bytes(range(256)) * 4,
    "http": b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("data", RAW.values(), ids=RAW)
def test_raw_bytes_stay_bytes(data):
    assert b"".join(chunk for _, chunk in sent(data)) == data


@pytest.mark.parametrize("name", ["python_bytes", "hex_directions", "upython", "js", "node_red", "blynk_ctrl"])
def test_logs_that_tell_directions(name):
    assert said(getattr(printers, name)([LOGIN, OK1, WRITE]).encode()) == [LOGIN, OK1, WRITE]


# --- the contract of a source ---


def test_a_source_tells_about_itself():
    source = TextSource(LOG.encode(), "serial.txt")
    seen = []
    source.on_read = seen.append
    events = [event for batch in source for event in batch]
    source.close()
    assert (source.name, source.size, source.packets, source.damage, source.lost, source.notes) == (
        "serial.txt", len(LOG), 3, None, {}, [],
    )  # fmt: skip
    assert seen[-1] == len(LOG)
    assert events[-1] == Line(
        0, 0.005, 3, "log-end", "3 frames in 3 lines",
        {"frames": 3, "lines": 3, "library": "cpp", "notation": "cpp-brackets"},
    )  # fmt: skip


def test_a_log_without_frames_says_so():
    source = TextSource(b"Connecting to Blynk server...\nhello\n", "x")
    events = [event for batch in source for event in batch]
    assert sum(isinstance(event, Opened) for event in events) == 1
    assert any("no Blynk frame" in note for note in source.notes)
    assert events[-1].facts["frames"] == 0


def test_limits(monkeypatch):
    monkeypatch.setattr(module, "INPUT_MAX", 40)
    source = TextSource(LOG.encode(), "x")
    assert [event for batch in source for event in batch]
    assert source.lost == {"bytes_beyond_limit": len(LOG) - 40}
    monkeypatch.undo()
    monkeypatch.setattr(module, "LINE_MAX", 30)
    source = TextSource(LOG.encode(), "x")
    events = [event for batch in source for event in batch]
    assert any("up to 30 characters" in note for note in source.notes)
    assert [event.cut for event in events if isinstance(event, Message)] == [True, False, True]


# --- hostile input ---


def check(data):
    opened, closed = set(), set()
    events = events_of(data)
    for event in events:
        if isinstance(event, Opened):
            assert event.stream not in opened
            opened.add(event.stream)
        elif isinstance(event, Closed):
            assert event.stream in opened - closed
            closed.add(event.stream)
        elif isinstance(event, Message | Data):
            assert event.stream in opened - closed
        else:
            assert event.stream in opened | {0}
    assert opened == closed
    assert events[-1].kind == "log-end"


@settings(max_examples=300)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
@example(b"")
@example(b"\xff\xfe")
@example(b"\xff\xfeabc")
def test_any_bytes(data):
    check(data)


@settings(max_examples=300)
@given(
    st.sampled_from(ALL),
    st.lists(
        st.tuples(
            st.integers(0, 4000),
            st.integers(0, 9),
            st.one_of(
                st.binary(max_size=6),
                st.sampled_from([b"[12] ", b"> ", b"<[", b"\n", b"|", b">> ", b"[1D|00|01|00|20]"]),
            ),
        ),
        max_size=10,
    ),
)
def test_damaged_logs(data, edits):
    damaged = bytearray(data)
    for at, gone, new in edits:
        damaged[at : at + gone] = new
    check(bytes(damaged))


SIZE = 150_000
LONG = {
    "open brackets": b"[1] <" + b"[" * SIZE,
    "groups": b"[1] <" + b"[00]" * (SIZE // 4),
    "frames in a print": b"[1] <[" + b"06|00|01|00|00|" * (SIZE // 15) + b"00]",
    "stamps": b"[123] <" * (SIZE // 7),
    "arrows": b"> " * (SIZE // 2),
    "noise": b"[1] >[00]\n" * (SIZE // 10),
    "one body in many prints": b"[1] <[14|00|01|ff|ff]\n" + b"[1] <[00]a\n" * (SIZE // 10),
    "lines that might go on": b"[1] <[14|00|01|ff|ff]\n" + b"[00]abc\n" * (SIZE // 8),
    "readings": (b"[1] <[14|00|01|0f|ff]" + b"[00|00]a[00]" * 64 + b"\n") * (SIZE // 800),
    "headers that do not close": (b"[1] <[14|00|01|0f|ff|01|02|03|04|05|06" + b"[00|00]a[00]" * 64 + b"\n") * (SIZE // 800),
    "one header that does not close": b"[1] <[14|00|01|0f|ff|01|02|03|04|05|06" + b"[00|00]a[00]" * (SIZE // 12),
    "headers that break off": b"[1] <[14|00|04|00|0\n" * (SIZE // 20), "bytes that break off": b"[1] <[\n" * (SIZE // 7),
    "stars": b"*" * SIZE, "digits": b"1" * SIZE, "colons": b"1:" * (SIZE // 2), "bars": b"| " * (SIZE // 2),
    "letters": b"a" * SIZE, "dashes": b"-" * SIZE, "blanks": b" " * SIZE, "NULs": b"\0" * SIZE, "CRs": b"\r" * SIZE,
    "hex": b"00 11 22 33\n" * (SIZE // 12), "braces": b"{00}" * (SIZE // 4), "quotes": b"b'" * (SIZE // 2),
    "comments": b"[1] <[14|00|01|00|06]vw" + b" // " * (SIZE // 4), "logins": b"[1] <[1d|00|01|00|20]\n" * (SIZE // 22),
}  # fmt: skip


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", LONG)
def test_long_input_ends(name):
    """A quadratic step would take minutes."""
    check(LONG[name])


@pytest.mark.parametrize("hidden", ["length=32, body='...'", "body='...'", "length=32"])
def test_a_token_that_a_server_hides_is_not_in_the_log(hidden):
    log = f"11:59:32.120 TRACE- Incoming HardwareLoginMessage{{id=1, command=HARDWARE_LOGIN, {hidden}}}\n"
    analyser = Analyser()
    records = spelled_out(record for batch in TextSource(log.encode(), "a") for record in analyser.feed(batch))
    (frame,) = [record for record in records if isinstance(record, FrameRecord)]
    assert (frame.text, frame.fields, frame.body) == ("(not in the log)", None, "")


def test_a_post_with_a_log_in_it_tells_what_the_log_tells():
    post = (
        "When I try to connect I get ECONNREFUSED, and my router tells me nothing.\n\n"
        "[100] Connecting to blynk.cloud:80\n[200] <[06|00|02|00|00]\n[300] >[00|00|02|00|C8]\n[400] Ready (ping: 9ms).\n"
        "[9000] Heartbeat timeout\n"
    )
    told = [event.kind for batch in TextSource(post.encode(), "a") for event in batch if isinstance(event, Line)]
    assert told == ["user-print", "connecting", "ready", "heartbeat-timeout", "log-end"]


def test_a_database_is_no_network():
    log = b"2017-03-02 16:17:18.367 - Connecting to DB...\n2017-03-02 16:17:18.455 - Connected to database successfully.\n"
    told = [event.kind for batch in TextSource(log, "a") for event in batch if isinstance(event, Line)]
    assert told == ["server", "server", "log-end"]
