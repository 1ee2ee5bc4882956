"""Logs as people post them: exactly these messages, and these lines that mean something."""

from pathlib import Path

import msgspec
import pytest

from blynkscope.sources.text import TextSource
from blynkscope.wire.events import Closed, Data, Line, Message, Opened
from blynkscope.wire.framing import Framer, RawFrame

TRACES = Path(__file__).parent.parent.parent / "captures" / "logs"
HC05 = b"d7636aecc59f9083623595bdfa1748bf"
OLD = b"15eceb7bd0e046166d565b692960d5ef"
NEW = b"c4ad62ead005b80c82e6c7a3dd0d2dbc"
OK1 = (1, 0, 1, 200, b"")
DUMPED = [
    (0, 29, 1, 32, NEW),
    (0, 17, 2, 42, b"ver\x001.1.0\0h-beat\x0045\0buff-in\x001024\0dev\0ESP32"),
    (0, 20, 3, 9, b"vw\x005\x0021.5"),
]


def hw(direction, number, *parts):
    body = b"\0".join(parts)
    return (direction, 20, number, len(body), body)


def ping(number, word=0):
    return (0, 6, number, word, b"")


class Row(msgspec.Struct, frozen=True):
    """What a trace holds: messages, `(kind, facts)` that must be among the lines, and what the end says."""

    messages: list = []
    lines: list = []
    streams: int = 1
    library: str = "cpp"
    cut: list = []
    none: list = []


ROWS = {
    "01": Row(
        [
            (0, 29, 1, 32, b"n" * 33), OK1,
            (0, 17, 2, 72, b"ver\x000.6.1\0h-beat\x0010\0buff-in\x001024\0dev\0ESP8266\0build\0Mar 14 2020 09:21:07\0"),
            (0, 16, 3, 0, b""), hw(0, 4, b"vw", b"39", b"393939"), (1, 0, 2, 200, b""), hw(1, 3, b"vw", b"4", b"0"),
        ],
        [("reset", {}), ("banner", {"version": "0.6.1", "board": "ESP8266"}), ("ready", {"ping_ms": 411}),
         ("connecting", {"host": "blynk-cloud.com", "port": 80}), ("free-ram", {"bytes": 48410})],
    ),
    "03": Row(
        [(0, 29, 1, 32, HC05)] * 3 + [(1, 2, 1, 32, HC05[:29])] + [(0, 29, 1, 32, HC05)],
        [("ble-module", {"text": "OK+CONN"}), ("packet-too-big", {"size": 17231}), ("invalid-header-type", {"type": 78}),
         ("bad-header-length", {"got": -1}), ("login-timeout", {}), ("reset", {})],
        streams=5, cut=[3],
    ),
    "05": Row([(0, 29, 1, 32, b"XXX")] * 2, [("cmd-error", {}), ("modem", {}), ("banner", {"version": "0.6.1"})], streams=2, cut=[0, 1],
              none=["connecting"]),
    "07": Row([(0, 2, 1, 32, OLD)] * 3, [("banner", {"version": "0.4.6"}), ("modem", {})], streams=3, none=["connecting"]),
    "09": Row(
        [
            (0, 29, 1, 32, b"Qx" + b"*" * 29 + b"K"), OK1,
            (0, 17, 2, 154, b"mcu\x000.0.0\0fw-type\0TMPL6_****q\0build\0Feb 21 2024 02:04:33\0blynk\x001.3.2\0h-beat\x0060\0"
             b"buff-in\x00256\0dev\0Arduino Nano\0cpu\0ATmega328P\0con\0SIM800\0tmpl\0TMPL6_k***q"),
        ],
        [("connecting", {"host": "sgp1.blynk.cloud", "port": 80}), ("cmd-error", {}), ("free-ram", {"bytes": 724})],
        cut=[2],
    ),
    "102": Row(lines=[("gateway", {})], library="unknown"),
    "110": Row([(0, 29, 1, 32, NEW), OK1, hw(0, 2, b"vw", b"5", b"21.5")], [("connecting", {"host": "192.168.1.10", "port": 8080})]),
    "112": Row([(0, 29, 1, 32, NEW), OK1, hw(0, 3, b"vw", b"7", b"120.5")], [("sent", {"sent": 5, "total": 15})]),
    "114": Row(
        [
            (0, 29, 1, None, NEW), OK1, (0, 17, 2, None, b"ver\x001.0.0\0h-beat\x0050\0buff-in\x001024\0dev\0linux-py"),
            (1, 0, 2, 200, b""), (0, 20, 3, None, b"vw\x004\x0021"), (1, 20, 7, None, b"vw\x005\x001"),
        ],
        [("connecting", {"host": "blynk.cloud", "port": 443})], library="blynklib",
    ),
    "116": Row(DUMPED, library="unknown"),
    "118": Row(DUMPED, library="unknown"),
    "12": Row(
        [(1, 2, 1, 32, b"fc6ca3c342e0f3ddc292859dba876050")],
        [("ble-connect", {}), ("invalid-header-type", {"type": 2}), ("ble-disconnect", {}), ("disconnected", {})],
    ),
    "121": Row(
        [(0, 29, 1, 32, NEW), (1, 41, 1, 14, b"192.0.2.133\x0080"), (0, 29, 1, 32, NEW), OK1],
        [("redirecting", {"host": "192.0.2.133", "port": 80}), ("connecting", {"host": "192.0.2.133", "port": 80})], streams=2,
    ),
    "13": Row(
        [(0, 2, 1, 32, b"6732d067ad17d9192be253dd5055d3ca"), OK1, (0, 17, 2, 103, b"ver\x000.4.10\0h-beat\x0010\0buff-in\x00256\0de")],
        [("cmd-error", {}), ("cmd-skipped", {"cmd": 16}), ("login-timeout", {})], cut=[2],
    ),
    "15": Row(lines=[("packet-too-big", {"size": 14893}), ("packet-too-big", {"size": 13874}), ("ble-connect", {})]),
    "20": Row(
        [
            (0, 2, 1, 32, b"c59397de0d26bbc940a26392605dc657"), OK1, (1, 20, 12, 8, b"pm\x000\x00out"), ping(1), OK1, ping(2),
        ],
        [("connecting", {"host": "cloud.blynk.cc", "port": 8442}), ("banner", {"version": "0.3.0"})],
    ),
    "30": Row([(0, 2, 1, 32, b"c59397de0d26bbc940a26392605dc657")], library="unknown"),
    "32": Row(
        [(0, 2, 1, 32, b"YourDemoKeyGoesHere0123456789ABCD"), (0, 20, 2, 10, b"vw\x000\x001")],
        library="unknown", cut=[1],
    ),
    "41": Row(lines=[("user-print", {})], library="unknown"),
    "61": Row(
        [*(ping(number, None) for number in (65531, 65532, 65533, 65534, 65535, 0)), (0, 2, 1, None, b"")],
        [("server", {})], streams=2, library="java-server",
    ),
    "70": Row(
        [(0, 2, 1, 32, b"8972874e506999aaac50b8b19656xxxx"), (1, 41, 1, 19, b"")],
        [("frame", {"status_read": "SERVER_EXCEPTION"})], library="node-red", cut=[1],
    ),
    "72": Row([(0, 29, 1, 32, b"*" * 27 + b"0ab1c"), OK1], library="node-red"),
    "74": Row([(1, 20, 1, 2, b"pm")], library="node-red"),
    "76": Row(lines=[("auth-failed", {"status": 4})], library="blynklib"),
    "90": Row(lines=[("redirecting", {"host": "qa_host", "port": 8442}), ("login-timeout", {}), ("ready", {"ping_ms": 54})], streams=2),
    "92": Row(lines=[("reset", {}), ("ready", {"ping_ms": 1}), ("banner", {"version": "0.3.1"})], streams=4),
    "94": Row(lines=[("crash", {}), ("ready", {"ping_ms": 262})]),
    "96": Row(lines=[("state", {"from": "RUNNING", "to": "OTA_UPGRADE"}), ("ota", {}), ("crash", {})], library="edgent"),
    "98": Row(lines=[("eof", {}), ("certificate-error", {}), ("reconnecting", {"seconds": 3})], library="unknown"),
}  # fmt: skip


def trace(number):
    (path,) = TRACES.glob(f"{number}-*.txt")
    return path


def events_of(path):
    return [event for batch in TextSource(path.read_bytes(), path.name) for event in batch]


def messages_of(events):
    """Messages, and the frames in bytes."""
    found = [
        (event.direction, event.cmd, event.id, event.word, event.body) for event in events if isinstance(event, Message)
    ]
    for event in events:
        if isinstance(event, Data):
            framer = Framer()
            items = [*framer.feed(event.data), *framer.finish()]
            found += [
                (event.direction, item.cmd, item.id, item.word, item.body)
                for item in items
                if isinstance(item, RawFrame)
            ]
    return found


def test_the_table_holds_every_trace():
    assert sorted(ROWS) == sorted(path.name.split("-")[0] for path in TRACES.glob("*.txt"))


@pytest.mark.parametrize("number", ROWS)
def test_messages(number):
    events = events_of(trace(number))
    assert messages_of(events) == ROWS[number].messages
    assert [index for index, event in enumerate(e for e in events if isinstance(e, Message)) if event.cut] == ROWS[
        number
    ].cut


@pytest.mark.parametrize("number", ROWS)
def test_lines(number):
    events = events_of(trace(number))
    lines = [event for event in events if isinstance(event, Line)]
    for kind, facts in ROWS[number].lines:
        assert any(line.kind == kind and facts.items() <= line.facts.items() for line in lines), (kind, facts)
    assert not {line.kind for line in lines} & set(ROWS[number].none)
    assert [line.line for line in lines] == sorted(line.line for line in lines)


@pytest.mark.parametrize("number", ROWS)
def test_connections_and_the_end(number):
    events = events_of(trace(number))
    assert sum(isinstance(event, Opened) for event in events) == ROWS[number].streams
    assert sum(isinstance(event, Closed) for event in events) == ROWS[number].streams
    end = events[-1]
    assert (end.kind, end.facts["library"]) == ("log-end", ROWS[number].library)
    assert end.facts["frames"] == len(ROWS[number].messages)


def test_times():
    events = events_of(trace("01"))
    times = {
        (event.cmd, event.id): event.time for event in events if isinstance(event, Message) and event.direction == 0
    }
    answer = next(event for event in events if isinstance(event, Message) and event.cmd == 0)
    assert answer.time - times[29, 1] == pytest.approx(0.412)
    assert events_of(trace("98"))[1].time == 1458291690.0


def test_a_gutter_alone_is_told():
    source = TextSource(trace("41").read_bytes(), "x")
    assert [event for batch in source for event in batch]
    assert any("dot may be any byte" in note for note in source.notes)
    assert source.lost == {"log_lines_unread": 1}
