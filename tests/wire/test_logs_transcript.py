"""A log as a whole: frames over several lines, damage, layers, connections, and lines of text between."""

import re

import printers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blynkscope.wire.events import CLIENT, SERVER, Closed, Line, Message, Opened
from blynkscope.wire.logs.model import Chunk, Said, Told
from blynkscope.wire.logs.transcript import Transcript

TOKEN = "c4ad62ead005b80c82e6c7a3dd0d2dbc"
LOGIN = (0, 29, 1, 32, TOKEN.encode())
ACCEPTED = (1, 0, 1, 200, b"")
_TOLD = [
    (r"Connecting to ([\w.-]+):(\d+)", lambda m: Told("connecting", m[0], {"host": m[1], "port": int(m[2])})),
    (r"Connecting to (\w+)", lambda m: Told("connecting", m[0], {"host": m[1]})),
    (r"Connecting\.\.\.", lambda m: Told("connecting", m[0])),
    (r"Disconnected", lambda m: Told("disconnected", m[0])),
    (r"Login timeout", lambda m: Told("login-timeout", m[0])),
    (r"Cmd error", lambda m: Told("cmd-error", m[0])),
    (r"Ready", lambda m: Told("ready", m[0])),
    (r"socket 2 .* is at EOF", lambda m: Told("eof", m[0])),
    (r"Packet too big: (\d+)", lambda m: Told("packet-too-big", m[0], {"size": int(m[1])})),
]


def told(text):
    return next((make(match) for pattern, make in _TOLD if (match := re.match(pattern, text))), None)


def read(*lines, **readers):
    transcript = Transcript(**({"read_line": lambda text: None, "told": told} | readers))
    events = []
    for line in lines:
        transcript.line(line)
        events += transcript.take()
    return events + transcript.finish()


def said(*lines, **readers):
    return [
        (event.direction, event.cmd, event.id, event.word, event.body)
        for event in read(*lines, **readers)
        if isinstance(event, Message)
    ]


def kinds(events):
    return [(event.kind, event.text) for event in events if isinstance(event, Line)]


FRAMES = [
    ("header and body in one line", [f"[1] <[1D|00|01|00|20]{TOKEN}"], [LOGIN]),
    ("header and body in two lines", ["[1] <[1D|00|01|00|20]", f"[2] <{TOKEN}"], [LOGIN]),
    ("lower case", [f"[1] <[1d|00|01|00|20]{TOKEN}"], [LOGIN]),
    ("the length is a blank", [f"[1] <[1D|00|01|00] {TOKEN}"], [LOGIN]),
    ("the blank got lost at the end of the line", ["[1] <[1D|00|01|00]", f"[1] <{TOKEN}"], [LOGIN]),
    ("chunks of 20 bytes", ["[1] <[1D|00|01|00] c4ad62ead005b80", "[2] <c82e6c7a3dd0d2dbc"], [LOGIN]),
    ("the command is a character", ["[1] <@[00|0c|00|02]a[00]"], [(0, 64, 12, 2, b"a\0")]),
    ("the id is a character", ["[1] <[14|00]![00|06]vw[00]1[00]5"], [(0, 20, 33, 6, b"vw\x001\x005")]),
    ("the length is a character", ["[1] <[13|00|02|00]%1[00]label[00]" + "x" * 29], [(0, 19, 2, 37, b"1\0label\0" + b"x" * 29)]),
    ("no bracket at the beginning", [f"[1] <1D|00|01|00|20]{TOKEN}"], [LOGIN]),
    ("no bracket at the end", ["[1] >[14|00|03|00|06", "[1] >vw[00]4[00]0"], [(1, 20, 3, 6, b"vw\x004\x000")]),
    ("no stamps", ["<[10|00|0D|00|04]vr[00]0", ">[14|00|0D|00|09]", ">vw[00]0[00]10.0"],
     [(0, 16, 13, 4, b"vr\x000"), (1, 20, 13, 9, b"vw\x000\x0010.0")]),
    ("comments behind", ["<[10|00|0D|00|04]vr[00]0    // read", ">[14|00|0D|00|09]     // what?", ">vw[00]0[00]10.0   // [value]"],
     [(0, 16, 13, 4, b"vr\x000"), (1, 20, 13, 9, b"vw\x000\x0010.0")]),
    ("no arrow", ["[1] [00|00|01|00|C8]", f"[1] [1D|00|01|00] {TOKEN}"], [ACCEPTED, LOGIN]),
    ("a user's print between", ["[1] >[14|00|03|00|06]", "temperature 4", "[1] >vw[00]4[00]0"], [(1, 20, 3, 6, b"vw\x004\x000")]),
    ("the other direction between", ["[1] >[14|00|03|00|06]", "[1] <[06|00|01|00|00]", "[1] >vw[00]4[00]0"],
     [(1, 20, 3, 6, b"vw\x004\x000"), (0, 6, 1, 0, b"")]),
    ("several frames in one print", ["[1] >> [14|00|03|00|06]vw[00]4[00]0[00|00|02|00|C8]"],
     [(1, 20, 3, 6, b"vw\x004\x000"), (1, 0, 2, 200, b"")]),
    ("several lines in one", ["[1] <[06|00|01|00|00][7] >[00|00|01|00|C8]"], [(0, 6, 1, 0, b""), ACCEPTED]),
    ("wrapped by a forum", ["[1] <[14|00|02|00|0C]vw[00]39", "[00]393939"], [(0, 20, 2, 12, b"vw\x0039\x00393939")]),
    ("wrapped inside a group", ["[1] <[14|00|02|00|0C]vw[0", "0]39[00]393939"], [(0, 20, 2, 12, b"vw\x0039\x00393939")]),
    ("wrapped inside the header", ["[1] <[14|00|04|00|0", "7]vw[00]2[00]33"], [(0, 20, 4, 7, b"vw\x002\x0033")]),
    ("wrapped behind the header's bracket", ["[1] >[", "14|00|04|00|07]vw[00]2[00]33"], [(1, 20, 4, 7, b"vw\x002\x0033")]),
    ("wrapped between header bytes", ["<[14|00|04|00", "|07]vw[00]2[00]33"], [(0, 20, 4, 7, b"vw\x002\x0033")]),
    ("wrapped header, the body behind", ["[1] >[14|00|04|00|0", "7]", "[1] >vw[00]2[00]33"], [(1, 20, 4, 7, b"vw\x002\x0033")]),
    ("wrapped header that does not go on", ["[1] <[14|00|04|00|0", "[2] <[06|00|05|00|00]"], [(0, 6, 5, 0, b"")]),
    ("the lost byte of a header is no other line's", ["[1] <[1D|00|01|00", f"[1] <{TOKEN}"], [LOGIN]),
    ("no bracket, a bar", ["[1] >[14|00|03|00|07|vw[00]2[00]33"], [(1, 20, 3, 7, b"vw\x002\x0033")]),
    ("no bracket, no bar", ["[1] >[14|00|03|00|07vw[00]2[00]33"], [(1, 20, 3, 7, b"vw\x002\x0033")]),
    ("no bracket before hex digits", [f"[1] <[1D|00|01|00|20{TOKEN}"], [LOGIN]),
    ("no bracket behind a body that begins with bytes", ["[1] >[14|00|03|00|03|00|01a"], [(1, 20, 3, 3, b"\0\x01a")]),
    ("no bracket at all behind a status", ["[1] >[00|00|01|00|C8|"], [ACCEPTED]),
    ("no bracket, and not the length", ["[1] >[14|00|03|00|27|vw[00]2[00]33"], []),
    ("said again with a remark", ["[1] <[10|00|0D|00|04]vr[00]0", "You see:", "<[10|00|0D|00|04]vr[00]0    // the sync"],
     [(0, 16, 13, 4, b"vr\x000")]),
    ("html and quoting", [f"&gt; [1] &lt;[1D|00|01|00|20]{TOKEN}"], [LOGIN]),
    ("bold", [f"**[1] <[1D|00|01|00|20]{TOKEN}**"], [LOGIN]),
    ("a masked token", ["[1] <[1D|00|01|00] XXX", "[9] <[1D|00|01|00] XXX"], [(0, 29, 1, 32, b"XXX")] * 2),
    ("a token that is too long", ["[1] <[1D|00|01|00] " + "n" * 33, "[2] >[00|00|01|00|C8]"], [(0, 29, 1, 32, b"n" * 33), ACCEPTED]),
    ("a redacted body", ["[1] <[11|00|02|00]over[00]1.0[00]TEMPLATE ID REDACTED, TEMPLATE ID REDACTED AND LONGER THAN 111 BYTES WITH ALL THAT IS WRITTEN HERE"],
     [(0, 17, 2, 111, b"ver\x001.0\0TEMPLATE ID REDACTED, TEMPLATE ID REDACTED AND LONGER THAN 111 BYTES WITH ALL THAT IS WRITTEN HERE")]),
    ("an unknown command", ["[1] >[63|00|01|00|02]", "[1] >hi"], []),
    ("before 0.3.6", ["[1] >msg 20,12,8", ">pm0out", "[2] <msg 6,1,0"], [(1, 20, 12, 8, b"pm\x000\x00out"), (0, 6, 1, 0, b"")]),
    ("before 0.3.6, no body", ["[1] >msg 20,12,8", "[2] <msg 6,1,0"], [(1, 20, 12, 8, b""), (0, 6, 1, 0, b"")]),
    ("two layers", [f"[1] >> [02|00|01|00] {TOKEN[:15]}", "[1] >[02|00|01|00] ", f"[2] >> {TOKEN[15:]}", "[2] >**AUTH**"],
     [(1, 2, 1, 32, TOKEN.encode())]),
    ("two layers, again", ["[1] >> [06|00|01|00|00]", "[1] >[06|00|01|00|00]", "[9] >> [06|00|01|00|00]", "[9] >[06|00|01|00|00]"],
     [(1, 6, 1, 0, b"")] * 2),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "frames"), [row[1:] for row in FRAMES], ids=[row[0] for row in FRAMES])
def test_frames(lines, frames):
    assert said(*lines) == frames


def test_a_frame_that_stops_early_is_cut_and_the_next_one_is_not_its_body():
    messages = [
        event
        for event in read("[1] <[11|00|02|00]gver[00]0.4", "[9] Cmd error", "[9] <[06|00|03|00|00]")
        if isinstance(event, Message)
    ]
    assert [(message.cmd, message.cut, message.line) for message in messages] == [(17, True, 1), (6, False, 3)]


def test_the_request_stands_before_its_answer_though_its_body_is_not_complete():
    events = read("[1] <[1D|00|01|00|20]XXX", "[5] >[00|00|01|00|C8]")
    assert [(event.direction, event.time) for event in events if isinstance(event, Message)] == [(0, 0.0), (1, 0.004)]


def test_bytes_out_of_step_are_named_and_searched():
    events = read(
        "[1] >OK+CO", "[1] Packet too big: 17231", "[2] >NN[02|00|01]", "[3] >[00]", "[4] > d763", "[5] >6aecc",
        "[9] Connecting...",
    )  # fmt: skip
    assert kinds(events)[:2] == [("ble-module", "OK+CONN"), ("packet-too-big", "Packet too big: 17231")]
    (message,) = [event for event in events if isinstance(event, Message)]
    assert (message.cmd, message.id, message.word, message.body, message.cut, message.line) == (
        2,
        1,
        32,
        b"d7636aecc",
        True,
        3,
    )


def test_frames_in_a_shredded_stream():
    assert said("[1] >OK+CO", "[1] >NN[00|00|01]", "[1] >[00|C8|14|00|03]", "[1] >[00|06]vw[00]", "[1] >4[00]0") == [
        ACCEPTED, (1, 20, 3, 6, b"vw\x004\x000"),
    ]  # fmt: skip


def test_what_is_no_frame_gives_none():
    events = read(
        "3fffef50:  3ffe9058 40000f49 3fffdab0 40000f49", "[E][ssl_client.cpp:37] _handle_error(): -1",
        "mac 24:0a:c4:12:34:56", "[1, 2, 3]", ">>>stack>>>", "<html>", "> quoted", "[00:11:22] x", "[1] [12] Ready?",
    )  # fmt: skip
    assert not [event for event in events if isinstance(event, Message)]


def test_a_line_that_looks_like_a_frame_is_counted():
    transcript = Transcript(lambda text: None, told)
    transcript.line("[ff|ff|ff|ff] what is this")
    transcript.finish()
    assert transcript.unread == 1


# --- connections ---


def streams(*lines):
    out = []
    for event in read(*lines):
        if isinstance(event, Opened):
            assert event.via == ("log",)
            out.append(f"open {event.stream} {event.server}")
        elif isinstance(event, Closed):
            out.append(f"{event.how} {event.stream} {event.by}")
        elif isinstance(event, Message):
            out.append(f"{event.stream}:{event.cmd}")
    return out


LOGIN_LINE = f"[10] <[1D|00|01|00|20]{TOKEN}"


def test_a_connection_begins_where_the_log_says_so():
    assert streams("[1] Connecting to net", "[2] Connecting to a.b:80", "[3] Connecting to a.b:80", LOGIN_LINE) == [
        "open 1 a.b:80", "1:29", "end 1 None",
    ]  # fmt: skip


def test_a_redirect_leads_to_another_connection():
    assert streams("[1] Connecting to a.b:80", LOGIN_LINE, "[11] Connecting to c.d:80", LOGIN_LINE) == [
        "open 1 a.b:80", "1:29", "reused 1 None", "open 2 c.d:80", "2:29", "end 2 None",
    ]  # fmt: skip


def test_a_second_login_is_a_new_connection_but_one_from_the_phone_is_not():
    again = ["open 1 a.b:80", "1:29", "reused 1 None", "open 2 a.b:80", "2:29", "end 2 None"]
    assert streams("[1] Connecting to a.b:80", LOGIN_LINE, LOGIN_LINE) == again
    phone = LOGIN_LINE.replace("<", ">")
    assert streams(phone, phone) == ["open 1 None", "1:29", "1:29", "end 1 None"]


def test_how_a_connection_ends():
    assert streams(LOGIN_LINE, "[20] Disconnected", "[30] Connecting to a.b:80") == [
        "open 1 None", "1:29", "fin 1 None", "open 2 a.b:80", "end 2 None",
    ]  # fmt: skip
    assert streams(LOGIN_LINE, "socket 2 (fd 6) is at EOF")[-1] == "fin 1 1"


def test_a_restart_ends_the_connection():
    events = read(
        LOGIN_LINE.replace("[10]", "[9000]"),
        "\ufffd\ufffd\ufffd8[237] Connecting to ap",
        LOGIN_LINE.replace("[10]", "[500]"),
    )
    assert [type(event).__name__ for event in events] == [
        "Opened",
        "Message",
        "Closed",
        "Line",
        "Line",
        "Opened",
        "Message",
        "Closed",
    ]
    assert kinds(events) == [("reset", "boot noise"), ("wifi", "Connecting to ap")]


def test_the_signs_of_one_restart_are_one_reset():
    lines = ["[9000] a", "Rebooting...", "ets Jan  8 2013", "[20] b", "[500] c", "[30] d"]
    events = read(*lines, told=lambda text: Told("reset", text) if text == "Rebooting..." else None)
    assert [text for kind, text in kinds(events) if kind == "reset"] == ["Rebooting...", "the clock restarted"]


def test_text_before_any_connection_belongs_to_none():
    assert [
        event.stream for event in read("hello", "[1] Connecting to a.b:80", "hello") if isinstance(event, Line)
    ] == [0, 1, 1]


# --- other libraries ---


def _fields(direction, cmd, number, word=None, body=b"", **facts):
    return lambda text: [Said(direction, cmd, number, word, body, facts=facts)]


def _reader(**rows):
    return lambda text: rows[text.split()[0]](text) if text.split()[0] in rows else None


def test_the_same_message_in_several_prints_counts_once_and_bytes_win():
    reader = _reader(
        fields=_fields(0, 29, 1, None, b"tok", copy=True),
        packet=lambda text: [Chunk(0, b"\x1d\0\x01\0\x03tok", "bytes")],
        data=lambda text: [Chunk(0, b"\x1d\0\x01\0\x03tok", "bytes")],
    )
    assert said("fields 1", "packet b'x'", "data b'x'", read_line=reader) == [(0, 29, 1, 3, b"tok")]
    twice = ["fields 1", "packet b'x'", "data b'x'"] * 2
    assert said(*twice, read_line=reader) == [(0, 29, 1, 3, b"tok")] * 2


def test_the_same_print_again_is_another_message():
    reader = _reader(ping=_fields(0, 6, 1, 0))
    assert said("ping 1", "ping 1", read_line=reader) == [(0, 6, 1, 0, b"")] * 2


def test_a_length_that_was_read_as_a_status_is_told():
    reader = _reader(recv=_fields(1, 41, 1, 19, status_read="SERVER_EXCEPTION"))
    events = read("recv", read_line=reader)
    assert [type(event).__name__ for event in events] == ["Opened", "Message", "Line", "Closed"]
    assert events[2].facts == {"status_read": "SERVER_EXCEPTION"}


def test_tls_records_are_no_frames():
    reader = _reader(recv=lambda text: [Chunk(1, bytes.fromhex("170303001d"), "bytes")])
    events = read("recv", read_line=reader)
    assert [(event.kind, event.facts) for event in events if isinstance(event, Line)] == [
        ("tls-record", {"bytes": "170303001d"})
    ]


def test_a_message_without_a_direction_goes_where_such_go():
    for cmd, body, direction in (
        (0, b"", SERVER),
        (20, b"pm", SERVER),
        (29, b"t", CLIENT),
        (20, b"vw\x001\x002", CLIENT),
    ):
        assert said("x", read_line=_reader(x=_fields(None, cmd, 1, 2, body)))[0][0] == direction


# --- hypothesis ---

_VALUES = st.text(st.characters(codec="utf-8", exclude_characters="[]|\0"), min_size=1, max_size=24)
_FRAME = st.one_of(
    st.builds(lambda d, i, s: (d, 0, i, s, b""), st.integers(0, 1), st.integers(1, 65535), st.sampled_from([200, 2, 9, 11])),
    st.builds(lambda i: (0, 6, i, 0, b""), st.integers(1, 65535)),
    st.builds(
        lambda d, i, p, v: (d, 20, i, len(b := f"vw\0{p}\0{v}".encode()), b),
        st.integers(0, 1), st.integers(1, 65535), st.integers(0, 255), _VALUES,
    ),
    st.builds(lambda i, p, v: (0, 19, i, len(b := f"{p}\0label\0{v}".encode()), b), st.integers(1, 65535), st.integers(0, 255), _VALUES),
)  # fmt: skip
PRINTERS = ["cpp", "cpp_old", "cpp_avr", "cpp_avr_old", "cpp_lower"]


@pytest.mark.parametrize("name", PRINTERS)
@settings(max_examples=60)
@given(st.lists(_FRAME, max_size=8))
def test_what_the_library_prints_is_read_back(name, frames):
    text = getattr(printers, name)([LOGIN, *frames])
    assert said(*text.split("\n")) == [LOGIN, *frames]


@pytest.mark.parametrize("name", PRINTERS)
@settings(max_examples=60)
@given(st.lists(_FRAME, max_size=6), st.data())
def test_forum_damage_that_leaves_the_bytes_determined(name, frames, data):
    lines = getattr(printers, name)([LOGIN, *frames]).rstrip("\n").split("\n")
    damage = st.sampled_from([
        lambda line: line,
        lambda line: "> " + line,
        lambda line: "    " + line,
        lambda line: line.replace("<", "&lt;").replace(">", "&gt;") if "&" not in line else line,
        lambda line: "12:00:00.000 -> " + line,
        lambda line: line + "\r",
        lambda line: re.sub(r"^(\[\d+\] [<>])\[", r"\1", line) if re.match(r"\[\d+\] [<>]\[..\|..\|", line) else line,
    ])  # fmt: skip
    damaged = [data.draw(damage)(line) for line in lines]
    assert said(*(line.rstrip("\r") for line in damaged)) == [LOGIN, *frames]


@settings(max_examples=300)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=60),
            st.text("[]|<>0Af 1\0", max_size=40).map("[1] <".__add__),
            st.sampled_from([row for _, lines, _ in FRAMES for row in lines]),
        ),
        max_size=30,
    )
)
def test_nothing_raises_and_every_message_has_its_connection(lines):
    opened, closed = set(), set()
    for event in read(*lines):
        if isinstance(event, Opened):
            opened.add(event.stream)
        elif isinstance(event, Closed):
            assert event.stream in opened - closed
            closed.add(event.stream)
        elif isinstance(event, Message):
            assert event.stream in opened - closed
            assert event.cut == (event.cmd != 0 and event.word is not None and len(event.body) < event.word)
        else:
            assert event.stream in opened | {0}
    assert opened == closed


@settings(max_examples=100)
@given(st.lists(st.sampled_from([row for _, lines, _ in FRAMES for row in lines]), max_size=20))
def test_when_events_are_taken_changes_nothing(lines):
    transcript = Transcript(lambda text: None, told)
    for line in lines:
        transcript.line(line)
    assert transcript.finish() == read(*lines)


UNREAD = {
    "no bracket, and not the length": ["[1] >[14|00|03|00|27|vw[00]2[00]33"],
    "a masked login without its bracket": ["[1] <[1D|00|01|00 XXXX"],
    "a header that breaks off": ["[1] <[14|00|04|00|0", "[2] Ready"],
    "and is the last line": ["[1] <[14|00|04|00|0"],
    "a byte that is none": ["[1] <[14|00|0x|00|07]vw[00]2[00]33"],
}


@pytest.mark.parametrize("lines", UNREAD.values(), ids=UNREAD)
def test_what_looks_like_a_message_and_is_none_is_counted(lines):
    transcript = Transcript(lambda text: None, told)
    for line in lines:
        transcript.line(line)
    assert not [event for event in transcript.finish() if isinstance(event, Message)]
    assert transcript.unread == 1


def test_a_broken_header_keeps_the_place_and_time_of_its_first_line():
    (message, *_) = [
        event
        for event in read("[1] Ready", "[5] <[06|00|04|00|0", "0]", "[9] >[00|00|04|00|C8]")
        if isinstance(event, Message)
    ]
    assert (message.cmd, message.line, message.time) == (6, 2, 0.004)


MENTIONED = [
    "Hello everyone, I have a problem with my board, it says Connection refused all the time.",
    "When I try to connect I get ECONNREFUSED, and my router tells me nothing.",
    "Login timeout is what I see after a few minutes, my token is right.",
]


@pytest.mark.parametrize("text", MENTIONED)
def test_a_sentence_of_a_person_is_no_line_of_a_log_with_stamps(text):
    def kinds_of(line, stamped):
        transcript = Transcript(stamped=stamped)
        transcript.line(line)
        return [kind for kind, _ in kinds(transcript.finish())]

    assert kinds_of(text, stamped=True) == ["user-print"]
    assert kinds_of("[100] " + text, stamped=True) == kinds_of(text, stamped=False) != ["user-print"]


@pytest.mark.parametrize("text", ["Heartbeat timeout", "Error: connect ECONNREFUSED 127.0.0.1:8080", "Login timeout"])
def test_a_line_of_the_log_that_lost_its_stamp_still_tells(text):
    transcript = Transcript(stamped=True)
    transcript.line(text)
    assert [kind for kind, _ in kinds(transcript.finish())] != ["user-print"]
