"""Filters on the messages of other protocols, and what of them is shown."""

import pytest

from blynkscope.analysis.filters import compile_filter
from blynkscope.analysis.records import SCHEMA, FrameRecord, LinkRecord, MessageRecord
from blynkscope.analysis.selection import Selection
from blynkscope.protocol import commands

TOKEN = "6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"


def message(
    n=1, protocol="http", kind="rest-update", name="PUT", via=("tcp", "tls1.3"), stream=2, answers=None, **detail
):
    return MessageRecord(
        SCHEMA, n, 1.0, stream, "10.0.0.2:4", "10.0.0.1:443", "device", via, protocol, kind, name, detail,
        f"{name} something", (), answers, 12.5, (),
    )  # fmt: skip


def frame(n=1, via=("tcp",), **more):
    facts = {
        "schema": SCHEMA, "n": n, "time": 1.0, "stream": 1, "src": None, "dst": None, "sender": "device",
        "dialect": "hardware", "via": via, "cmd": 20, "name": "MSG_HW", "id": n, "length": 6, "status": None,
        "status_name": None, "body": "", "fields": {"op": "vw", "pins": [{"pin": "V0", "values": ["1"]}]},
        "text": "V0 = 1", "answers": None, "rtt_ms": None, "write": "sent", "findings": (),
    }  # fmt: skip
    return FrameRecord(**facts | more)


REST = message(pin="V0", values=["7"], status=200, path=f"/{TOKEN}/update/V0", host="blynk.cloud", method="PUT")
FAILED = message(pin="V0", status=404, method="GET")
BATCH = message(kind="rest-batch", values={"V1": ["1"], "V2": ["2", "3"]}, status=200)
UPLINK = message(
    protocol="mqtt", kind="uplink-ds", name="PUBLISH", topic="ds/Temp", datastream="Temp", pin="V4", value="23"
)
REFUSED = message(protocol="mqtt", kind="connack", name="CONNACK", answers=4, return_code=4)
WELCOME = message(protocol="mqtt", kind="connack", name="CONNACK", answers=4, return_code=0)
SUBSCRIBED = message(protocol="mqtt", kind="suback", name="SUBACK", answers=5, failed=1)


@pytest.mark.parametrize(
    ("expression", "matching"),
    [
        ("protocol == http", [REST, FAILED, BATCH]),
        ("protocol == mqtt and kind == uplink-ds", [UPLINK]),
        ('kind == "rest-update"', [REST, FAILED]),
        ("kind", [REST, FAILED, BATCH, UPLINK, REFUSED, WELCOME, SUBSCRIBED]),
        ("via == tls", [REST, FAILED, BATCH, UPLINK, REFUSED, WELCOME, SUBSCRIBED]),
        ("layer == tls1.3 and pin == V4", [UPLINK]),
        ("via == tls1.2", []),
        ("via != tls", []),
        ("pin == V0", [REST, FAILED]),
        ("pin in {V2, V4}", [BATCH, UPLINK]),
        ("pins == V1", [BATCH]),
        ("value > 6", [REST, UPLINK]),
        ("value == 3", [BATCH]),
        ("status != 200", [FAILED]),
        ("status == SUCCESS", [REST, BATCH]),
        ("status >= 400", [FAILED]),
        ("error", [FAILED, REFUSED, SUBSCRIBED]),
        ("answer", [REFUSED, WELCOME, SUBSCRIBED]),
        ("not protocol == http and not answer", [UPLINK]),
        ("path contains update", [REST]),
        ('topic == "ds/Temp"', [UPLINK]),
        ("datastream == Temp", [UPLINK]),
        ('host ~ "cloud$"', [REST]),
        ("method == GET", [FAILED]),
        ("fields.method == GET", [FAILED]),
        ("name == PUBLISH", [UPLINK]),
        (
            "rtt_ms > 10 and stream == 2 and sender == device",
            [REST, FAILED, BATCH, UPLINK, REFUSED, WELCOME, SUBSCRIBED],
        ),
        ("text contains something and n == 1", [REST, FAILED, BATCH, UPLINK, REFUSED, WELCOME, SUBSCRIBED]),
        ("findings == BS1", []),
        # What only frames have hides messages.
        ("cmd == MSG_HW", []),
        ("cmd != MSG_HW", []),
        ("id > 0", []),
        ("length >= 0", []),
        ("dialect == hardware", []),
        ("body contains 00", []),
        ("write == sent", []),
        ("sent", []),
        ("write == null and answers == null", [REST, FAILED, BATCH, UPLINK]),
        ("mode == in", []),
    ],
)
def test_messages_that_match(expression, matching):
    matches = compile_filter(expression)
    every = [REST, FAILED, BATCH, UPLINK, REFUSED, WELCOME, SUBSCRIBED]
    assert [one for one in every if matches(one)] == matching


@pytest.mark.parametrize(
    ("expression", "is_match"),
    [
        ("protocol == http", False), ("protocol == null", True), ("protocol != http", False), ("kind", False),
        ("via == tls", False), ("layer == tcp", True), ("pin == V0 and protocol == null", True), ("path == null", True),
    ],
)  # fmt: skip
def test_frames_lack_what_messages_have(expression, is_match):
    assert compile_filter(expression)(frame()) is is_match


def test_frames_within_tls():
    assert compile_filter("via == tls and via == websocket")(frame(via=("tcp", "tls1.2", "websocket")))
    assert compile_filter("via == tls1.2")(frame(via=("tcp", "tls1.2")))


def shown(records, expression=None, streams=()):
    return Selection(expression, streams).of(records)


def test_links_follow_their_messages():
    link, other = LinkRecord(1, 5, 1.0), LinkRecord(9, 6, 1.0)
    assert shown([REST, link, other], "protocol == http") == [REST, link]
    assert shown([REST, link], "cmd == MSG_HW") == []
    assert shown([REST, link], None, (1,)) == []
    assert shown([REST, link], None, (2,)) == [REST, link]
    assert shown([REST, link, other]) == [REST, link, other]


def test_links_of_long_runs_are_bounded(monkeypatch):
    monkeypatch.setattr("blynkscope.analysis.selection.REMEMBERED_MAX", 2)
    messages = [message(n) for n in range(1, 5)]
    assert shown([*messages, LinkRecord(1, 5, 1.0), LinkRecord(4, 6, 1.0)], "protocol == http")[4:] == [
        LinkRecord(4, 6, 1.0)
    ]


def test_a_stream_of_messages_alone_is_there():
    selection = Selection(None, (2, 3))
    selection.of([REST])
    assert selection.unseen_streams == [3]


def test_what_is_not_shown_is_given_to_whoever_must_know_it():
    parts = list(Selection("cmd == PING").parts([REST, frame(), frame(2, cmd=6)], {commands.HW_LOGIN}))
    assert [passed for _, passed in parts] == [REST, None]
    assert [one.n for one in parts[1][0]] == [2]
