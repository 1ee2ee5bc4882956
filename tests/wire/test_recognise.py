"""What a direction speaks, told from its first bytes: each protocol by its own, and never two answers for one input."""

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from blynkscope.protocol import tls
from blynkscope.wire.recognise import classify, name_bytes

TOKEN = b"6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"
HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(60)


def hw(cmd, number, body=b""):
    return struct.pack(">BHH", cmd, number, len(body)) + body


def app(cmd, number, body=b""):
    return struct.pack(">BHI", cmd, number, len(body)) + body


KNOWN = [
    (hw(29, 1, TOKEN), "hardware", ""),
    (hw(2, 1, TOKEN), "hardware", ""),
    (hw(20, 1, b"vw\x001\x002"), "hardware", ""),
    (hw(17, 3, b"mcu\x001"), "hardware", ""),
    (struct.pack(">BHH", 0, 1, 200) + struct.pack(">BHH", 0, 2, 200), "hardware", ""),
    (struct.pack(">BHH", 0, 1, 9), "hardware", ""),
    (hw(6, 1) + hw(6, 2), "hardware", ""),
    (app(2, 1, b"dev@example.com\0hash\0Android\x002.27\0Blynk"), "app", ""),
    (app(6, 27) + app(6, 28), "app", ""),
    (struct.pack(">BHI", 0, 1, 200) + app(20, 2, b"1-0\0vw\x001\x002"), "app", ""),
    (HELLO, "tls", "TLS ClientHello"),
    (bytes.fromhex("16030300 4a 02") + bytes(70), "tls", "TLS ServerHello"),
    (bytes.fromhex("170303001d") + bytes(range(29)), "tls", "TLS application data"),
    (bytes.fromhex("15030300020228"), "tls", "TLS alert: fatal handshake_failure (40)"),
    (bytes.fromhex("15030100020100"), "tls", "TLS alert: warning close_notify (0)"),
    (bytes.fromhex("150303000202fe"), "tls", "TLS alert: fatal unknown (254)"),
    (bytes.fromhex("150303000202"), "tls", "TLS alert: fatal"),
    (bytes.fromhex("150303001a") + bytes(26), "tls", "TLS alert"),
    (bytes.fromhex("140303000101"), "tls", "TLS change cipher spec"),
    (b"GET /" + TOKEN + b"/get/V0 HTTP/1.1\r\nHost: a\r\n\r\n", "http", "HTTP request"),
    (b"PUT /x HTTP/1.1\r\n\r\n[1]", "http", "HTTP request"),
    (b"POST /admin/ota/start HTTP/1.1\r\n\r\n", "http", "HTTP request"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "http", "HTTP answer"),
    (b"GET /websockets HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", "websocket", "WebSocket upgrade"),
    (b"GET /websockets HTTP/1.1\nUpgrade: websocket\n\n", "websocket", "WebSocket upgrade"),
    (b"HTTP/1.1 101 Switching Protocols\r\nupgrade:WebSocket\r\n\r\n\x82\x05", "websocket", "WebSocket upgrade"),
    (b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x2d\x00\x03abc", "mqtt", "MQTT CONNECT"),
    (b"\x10\x8f\x01\x00\x06MQIsdp\x03\x02", "mqtt", "MQTT CONNECT"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "ssh", "SSH"),
    (b"OK+CONN\r\n" + hw(29, 1, TOKEN), "text", "BLE module text (HM-10)"),
    (b"AT+CIPSEND=37\r\n", "text", "AT modem chatter"),
    (b"+IPD,5:\r\n", "text", "AT modem chatter"),
    (b"SEND OK\r\n", "text", "AT modem chatter"),
    (b"hello, world\n", "text", "plain text"),
    (b"\xff" * 41, "unknown", "unknown bytes"),
    (b"\xfe\xff\x00\x01\x02\x03\x04\x05\x06\x07\x08", "unknown", "unknown bytes"),
]


def first_answer(data):
    """The answer of a reader that gets one byte at a time, and whether it came before the end."""
    for size in range(len(data) + 1):
        guess = classify(data[:size])
        if guess is not None:
            return guess
    return None


@pytest.mark.parametrize(("data", "kind", "label"), KNOWN, ids=lambda value: repr(value[:12]) if value else "")
def test_each_protocol_by_its_first_bytes(data, kind, label):
    guess = classify(data, final=True)
    assert guess.kind == kind
    assert guess.is_blynk == (kind in {"hardware", "app"})
    if label:
        assert guess.label == label
        assert bool(guess.advice) == (kind != "unknown")
    early = first_answer(data)
    assert early is None or early == classify(data)


def test_the_record_header_that_was_read_as_a_frame():
    guess = name_bytes(bytes.fromhex("170303001d"))
    assert (guess.kind, guess.label) == ("tls", "TLS application data")
    assert guess.detail == {"content_type": "application data", "record_version": "TLS 1.2", "record_length": 29}
    assert "wrap" in guess.advice
    assert classify(bytes.fromhex("170303001d")) is None


@pytest.mark.parametrize("number", tls.ALERTS)
def test_an_alert_says_its_reason_and_what_to_do(number):
    record = bytes.fromhex("15030300 0202") + bytes([number])
    guess = classify(record)
    name = tls.ALERTS[number]
    assert guess == classify(record + record) == name_bytes(record)
    assert guess.label == f"TLS alert: fatal {name} ({number})"
    assert guess.detail == {
        "content_type": "alert",
        "record_version": "TLS 1.2",
        "record_length": 2,
        "level": "fatal",
        "alert": number,
        "alert_name": name,
    }
    assert guess.advice == tls.cause_of(number)
    assert "underneath" not in guess.advice
    assert len(guess.label) <= 60


def test_causes_belong_to_alerts_and_name_something_to_do():
    assert tls.CAUSES.keys() <= tls.ALERTS.keys()
    assert {40, 42, 45, 46, 48, 70, 71, 80, 112} <= tls.CAUSES.keys()
    assert "root certificate" in tls.cause_of(48)
    assert "clock" in tls.cause_of(45)
    assert tls.cause_of(254) == tls.cause_of(10) != ""


def test_an_alert_is_told_by_its_seventh_byte():
    record = bytes.fromhex("15030300020230")
    assert [classify(record[:size]) for size in range(7)] == [None] * 7
    assert classify(record).detail["alert_name"] == "unknown_ca"
    cut = classify(record[:6], final=True)
    assert (cut.label, cut.detail["level"]) == ("TLS alert: fatal", "fatal")
    assert "alert" not in cut.detail
    assert classify(record[:5], final=True).label == "TLS alert"


def test_what_is_no_alert_is_not_read_as_one():
    # An encrypted alert keeps its reason to itself; a level of 3 is none.
    encrypted = classify(bytes.fromhex("150303001a0228") + bytes(24))
    assert "level" not in encrypted.detail
    assert "encrypted" in encrypted.advice
    assert name_bytes(bytes.fromhex("15030300020328")).kind != "tls"


def test_command_23_that_only_looks_like_tls_at_first():
    # MSG_DELETE_DASH of an app, id 0x0303 + length: a record of length 0 is no record.
    assert classify(b"\x17\x03\x03\x00\x00\x00\x011", final=True).kind == "app"


def test_nothing():
    assert classify(b"") is None
    assert classify(b"", final=True).label == "nothing"


def test_a_page_full_of_bytes_is_undecided_until_its_first_line_is_whole():
    assert classify(b"just words without an end") is None
    assert classify(b"just words without an end", final=True).kind == "text"
    assert classify(b"x" * 600).kind == "text"
    assert classify(b"GET /" + b"a" * 3000) is None
    assert classify(b"GET /" + b"a" * 5000).kind == "http"


def test_forty_bytes_without_structure_hint_at_particle():
    data = bytes(range(215, 255))
    assert classify(data, final=True).label == "40 bytes without structure, as a Particle nonce is"
    assert "Particle" in classify(data, final=True).advice


@pytest.mark.parametrize("status", [1, 2, 9, 200])
@pytest.mark.parametrize("number", [0, 1, 0xFFFF])
def test_a_lone_status_is_told_by_its_length(status, number):
    assert classify(struct.pack(">BHH", 0, number, status)).kind == "hardware"
    assert classify(struct.pack(">BHI", 0, number, status), final=True).kind == "app"


def test_two_pings_of_a_device_are_not_one_of_an_app():
    assert classify(hw(6, 1)) is None
    assert classify(hw(6, 1), final=True).kind == "hardware"
    assert classify(hw(6, 1) + hw(6, 2)).kind == "hardware"
    assert classify(app(6, 1) + app(6, 2)).kind == "app"
    assert classify(hw(6, 1) + struct.pack(">BHH", 0, 1, 200)).kind == "hardware"
    assert classify(app(6, 1), final=True).kind == "app"


starts = st.sampled_from([row[0][:60] for row in KNOWN])
pieces = st.sampled_from(
    [b"GET ", b"POLL ", b"HTTP/1.1", b"\r\n", b"\n", b" ", b"x" * 300, b"\r\n\r\n", b"Upgrade: websocket", b"\0", b"MQTT",
     b"\x10", b"\x15\x03\x03\0\2", b"\2\x28", b"\x16\x03\x01", b"\x17\x03\x03", b"\x06\0\1\0\0", b"\0\0\1\0\xc8", b"OK+", b"\x80"]
)  # fmt: skip
prefixes = (
    st.binary(max_size=60)
    | st.builds(lambda a, b: a + b, starts, st.binary(max_size=20))
    | (st.lists(pieces, max_size=8).map(b"".join))
)


@settings(deadline=None, max_examples=500)
@given(prefixes)
@example(b"POLL " + b"x" * 600 + b" HTTP/1.1\r\n\r\n")
@example(b"GET " + b"x" * 600 + b" HTTP/1.1\r\n\r\n")
@example(b"x" * 511 + b"\nyy")
@example(b"\x15\x03\x03\0\2\2\x28")
@example(b"\x15\x03\x03\0\2\2")
@example(b"\x15\x03\x03\0\2\3\x28\0\0\0")
@example(b"\x15\x03\x03\0\x1a\2\x28")
@example(b"ABC " + b"x" * 501 + b" HTTP/1.1")
def test_the_answer_does_not_depend_on_the_cuts(data):
    guess = classify(data)
    assert first_answer(data) == guess
    if guess is not None:
        assert classify(data + b"\x00\xff more") == guess


@settings(deadline=None, max_examples=500)
@given(prefixes)
def test_it_always_answers_in_the_end_and_never_raises(data):
    guess = classify(data, final=True)
    assert guess is not None
    assert name_bytes(data) == guess
    assert guess.kind in {"hardware", "app", "tls", "http", "websocket", "mqtt", "ssh", "text", "unknown"}
    early = classify(data)
    assert early is None or early.kind == guess.kind


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\n\r\n", b"\r\n\n"])
def test_a_head_ends_with_an_empty_line_however_lines_end(end):
    """Firmware written by hand sends no carriage returns; the answer would come before its question else."""
    head = b"GET /0123456789abcdef0123456789abcdef/update/V1?value=3 HTTP/1.1\nHost: x" + end
    assert classify(head[:-1]) is None
    found = classify(head)
    assert found is not None
    assert (found.kind, found.detail["request"][:5]) == ("http", "GET /")
