"""BS125, BS126 and BS202 on WebSocket: text messages, messages in fragments, and who closed first."""

import itertools

import pytest
from talk import TOKEN, frame, ping, status, write

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import FindingRecord, spelled_out
from blynkscope.wire.events import Closed, Data, Opened

LOGIN = frame(29, 1, TOKEN)
KEY = b"\x01\x02\x03\x04"
BINARY, TEXT, CONTINUATION, CLOSE = 2, 1, 0, 8


def ws(payload, *, side=0, opcode=BINARY, fin=True):
    """A WebSocket frame, masked where it is a client's."""
    size, key = len(payload), KEY if side == 0 else b""
    head = bytes([(0x80 if fin else 0) | opcode, (0x80 if key else 0) | (size if size < 126 else 126)])
    head += size.to_bytes(2, "big") if size >= 126 else b""
    return side, head + key + bytes(byte ^ key[at % 4] if key else byte for at, byte in enumerate(payload))


def pieces(payload, *cuts):
    """One message in several frames."""
    edges = [0, *cuts, len(payload)]
    parts = [payload[start:end] for start, end in itertools.pairwise(edges)]
    last = len(parts) - 1
    return [ws(part, opcode=CONTINUATION if at else BINARY, fin=at == last) for at, part in enumerate(parts)]


def upgrade(path=b"/websockets"):
    ask = b"GET %b HTTP/1.1\r\nHost: blynk.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n" % path
    return [(0, ask), (1, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")]


def found(*said, path=b"/websockets", how="fin", by=0, end=7.0, step=0.01):
    analyser, time = Analyser(), 100.0
    told = [Opened(1, time, "192.0.2.1:50000", "192.0.2.2:8080", 50000, 8080, True)]
    for direction, data in [*upgrade(path), *said]:
        time += step
        told.append(Data(1, direction, time, data))
    told.append(Closed(1, time + end, how, by, (True, True)))
    records = spelled_out(analyser.feed(told) + analyser.finish())
    return {one.id: one for one in records if isinstance(one, FindingRecord)}


GOOD = [ws(LOGIN), ws(status(1), side=1)]


# --- text ---


@pytest.mark.parametrize("path", [b"/websockets", b"/dashws", b"/websockets/?x=1"])
def test_a_client_that_sends_text(path):
    findings = found(ws(LOGIN, opcode=TEXT), ws(LOGIN, opcode=TEXT), path=path)
    text = findings["BS125"]
    assert (text.severity, text.count) == ("error", 2)
    assert f"2 text messages to 192.0.2.2:8080 (blynk.test), the first of {len(LOGIN)} bytes" in text.detail
    assert TOKEN.decode() not in text.detail
    assert not {"BS202", "BS111", "BS112"} & set(findings)
    assert all(word in text.fix for word in ("binaryType", "Buffer", "bytes"))


def test_text_beside_binary_messages():
    assert "BS125" not in found(*GOOD, ws(b"hello", opcode=TEXT), how="end")
    text = found(*GOOD, ws(b"hello", opcode=TEXT), ws(b"hello", opcode=TEXT))["BS125"]
    assert text.severity == "warning"


def test_text_on_a_websocket_of_others_and_text_of_a_server():
    assert "BS125" not in found(ws(b"hello", opcode=TEXT), path=b"/chat")
    assert "BS125" not in found(*GOOD, ws(b"hello", side=1, opcode=TEXT), ws(b"hello", side=1, opcode=TEXT))


# --- fragments ---


@pytest.mark.parametrize("cuts", [(5,), (20,), (1, 2, 3)])
def test_a_login_in_fragments_without_an_answer(cuts):
    findings = found(*pieces(LOGIN, *cuts))
    parts = findings["BS126"]
    assert parts.severity == "error"
    assert f"in {len(cuts) + 1} frames" in parts.detail
    assert "The login of frame 1 is in one of them" in parts.detail
    assert parts.frames == (1,)
    assert "BS202" not in findings


def test_fragments_that_are_answered_are_a_note():
    parts = found(*pieces(LOGIN, 5), ws(status(1), side=1))["BS126"]
    assert parts.severity == "note"
    assert "answered the login of frame 1" in parts.detail


def test_fragments_behind_a_login_are_a_warning():
    parts = found(*GOOD, *pieces(write(2, b"1", b"42"), 5), *pieces(ping(3), 2))["BS126"]
    assert (parts.severity, parts.count) == ("warning", 2)


def test_fragments_behind_a_login_without_an_answer_are_not_its_cause():
    findings = found(ws(LOGIN), *pieces(ping(2), 2))
    assert findings["BS126"].severity == "warning"
    assert "BS202" in findings


def test_whole_messages_and_fragments_of_others():
    assert "BS126" not in found(*GOOD, ws(write(2, b"1", b"42")))
    assert "BS126" not in found(*pieces(b"anything that is none of Blynk's", 5), path=b"/chat")
    assert "BS126" not in found(*GOOD, ws(write(2, b"1", b"42")[:6]), ws(write(2, b"1", b"42")[6:]))


def test_a_recording_that_ends_at_once_blames_no_fragment():
    parts = found(*pieces(LOGIN, 5), how="end", by=None, end=0.1)["BS126"]
    assert parts.severity == "warning"


# --- BS202 ---


def test_a_client_that_closed_the_websocket_first():
    """The server answers the close and closes the connection: it did not hang up."""
    close = b"\x03\xe8"
    findings = found(ws(LOGIN), ws(close, opcode=CLOSE), ws(close, side=1, opcode=CLOSE), by=1, step=4.0, end=0.01)
    assert "the client gave up" in findings["BS202"].detail
    assert "the server closed" not in findings["BS202"].detail
    assert "BS202" not in found(ws(LOGIN), ws(close, opcode=CLOSE), ws(close, side=1, opcode=CLOSE), by=1, end=0.01)
    hung_up = found(ws(LOGIN), ws(close, side=1, opcode=CLOSE), ws(close, opcode=CLOSE), by=1, end=0.01)
    assert "the server closed the connection" in hung_up["BS202"].detail


def test_advice_for_a_websocket_is_about_websockets():
    fix = found(ws(LOGIN))["BS202"].fix
    assert "/websockets" in fix
    assert "nc -vz" not in fix
    assert "SoftwareSerial" not in fix
