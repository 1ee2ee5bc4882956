import io
import re

import pytest

from blynkscope.analysis.records import (
    SCHEMA,
    FindingRecord,
    FrameRecord,
    LogRecord,
    StreamRecord,
    SummaryRecord,
    WriteRecord,
)
from blynkscope.render.console import Palette, cells, fit, padded, wrapped
from blynkscope.render.outputs import make

WIDTHS = (80, 120, 200)


def frame(n=1, time=1000.0, sender="device", cmd=20, name="MSG_HW", text="V1 = 23.5", **more):
    facts = {
        "schema": SCHEMA,
        "n": n,
        "time": time,
        "stream": 1,
        "src": None,
        "dst": None,
        "sender": sender,
        "dialect": "hardware",
        "via": ("tcp",),
        "cmd": cmd,
        "name": name,
        "id": n,
        "length": 9,
        "status": None,
        "status_name": None,
        "body": "",
        "fields": None,
        "text": text,
        "answers": None,
        "rtt_ms": None,
        "write": None,
        "findings": (),
    }
    return FrameRecord(**facts | more)


def answer(n=2, status=200, name="STA_SUCCESS", answers=1, **more):
    return frame(
        n,
        sender="server",
        cmd=0,
        name="MSG_RSP",
        text=name,
        length=None,
        status=status,
        status_name=name,
        answers=answers,
        rtt_ms=12.34 if answers else None,
        **more,
    )


def written(n, pin, state, **more):
    return frame(n, write=state, fields={"op": "vw", "pins": [{"pin": pin, "values": ["1"]}]}, **more)


def table(*records, width=120, color="never", **more):
    stream = io.StringIO()
    output = make("table", stream, width=width, color=color, **more)
    output.write(records)
    output.close()
    return stream.getvalue()


def rows(*records, **more):
    return [line for line in table(*records, quiet=True, **more).split("\n") if line]


@pytest.mark.parametrize("width", WIDTHS)
def test_columns_do_not_move(width):
    lines = rows(
        frame(1),
        answer(2),
        written(3, "V1", "sent"),
        frame(4, sender="app", dialect="app", name="MSG_GET_ENHANCED_GRAPH_DATA"),
        frame(5, text=""),
        frame(6, time=None, sender="unknown"),
        frame(99999, text="x" * 500, time=90000.0),
        width=width,
    )
    ids = [re.match(r" *\d+", line) for line in lines]
    assert all(ids)
    place = lines[0].index("V1 = 23.5")
    assert all(cells(line) <= width for line in lines)
    assert lines[2].index("V1 = 23.5") == place
    assert lines[1].index("STA_SUCCESS") == place
    assert lines[6].index("xxx") == place
    assert not any(line.endswith(" ") for line in lines)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("text", ["温度" * 200, "e\u0301" * 300, "👩‍👩‍👧" * 100, "·" * 300, "ⅷ" * 300, "a" * 10_000])
def test_no_text_is_wider_than_the_table(width, text):
    (line,) = rows(written(1, "V1", "passed", text=text), width=width)
    assert cells(line) <= width
    assert "○" in line
    assert "…" in line


@pytest.mark.parametrize(
    ("state", "mark"),
    [
        ("sent", "○"),
        ("delivered", "○"),
        ("passed", "○"),
        ("confirmed", "●"),
        ("contradicted", "✗"),
        ("rejected", "✗"),
        ("lost", "✗"),
    ],
)
def test_a_write_is_marked_by_its_state(state, mark):
    (wide,) = rows(written(1, "V1", state))
    assert f"{mark} {state}" in wide
    (narrow,) = rows(written(1, "V1", state), width=80)
    assert narrow.rstrip().endswith(mark if mark != "✗" else f"✗ {state}")


def test_what_the_server_writes_is_not_marked_as_unacknowledged():
    (line,) = rows(written(1, "V1", "delivered", sender="server"))
    assert "○" not in line
    (line,) = rows(written(1, "V1", "lost", sender="server"))
    assert "✗ lost" in line


def test_answers_say_what_they_answer():
    assert "↩ #1" in rows(answer())[0]
    assert "12.3 ms" in rows(answer())[0]
    assert "answers nothing" in rows(answer(answers=None))[0]
    assert "2.50 s" in rows(frame(2, answers=1, rtt_ms=2500.0))[0]


def test_errors_are_marked_and_red():
    assert "✗ STA_INVALID_TOKEN" in rows(answer(status=9, name="STA_INVALID_TOKEN"))[0]
    colored = rows(answer(status=9, name="STA_INVALID_TOKEN"), color="always")[0]
    assert f"{Palette(True).on['error']}✗ STA_INVALID_TOKEN" in colored


def test_absent_facts_are_empty():
    text = table(frame(time=None), frame(2, answers=1, time=None))
    assert "None" not in text


def test_times_count_from_the_first_record():
    lines = rows(frame(1, time=1000.0), frame(2, time=1012.345))
    assert " 0.000 " in lines[0]
    assert " 12.345 " in lines[1]


def test_streams_are_numbered_once_there_are_several():
    assert re.match(r" +1 +0\.000 +device", rows(frame(1))[0])
    lines = rows(frame(1), frame(2, stream=2))
    assert re.match(r" +1 +0\.000 +1 device", lines[0])
    assert re.match(r" +2 +0\.000 +2 device", lines[1])


def test_color_changes_nothing_but_color():
    records = (
        StreamRecord("opened", 1, 1.0, "unknown", 0, {"client": "a:1", "server": "b:2", "handshake": True}),
        frame(1),
        answer(2),
        written(3, "V1", "sent"),
        FindingRecord("BS201", "x", "error", "login", 1, (1,), 1, "T", "D " * 80, "F"),
        LogRecord(1, 2.0, 3, "kind", "text"),
        SummaryRecord(3, 1, {"error": 1}, {"bytes_skipped": 4}),
    )
    for width in WIDTHS:
        plain = table(*records, width=width)
        assert re.sub(r"\x1b\[[0-9;]*m", "", table(*records, width=width, color="always")) == plain
        assert "\x1b" not in plain


def test_stream_records_are_lines():
    text = table(
        StreamRecord(
            "opened", 1, 1.0, "unknown", 0, {"client": "10.0.0.2:42030", "server": "10.0.0.1:8080", "handshake": True}
        ),
        StreamRecord("gap", 1, 2.0, "device", 512, {"reason": "lost"}),
        StreamRecord("resync", 1, 2.0, "device", 17, {"reason": "x", "offset": 3, "looks_like": "AT modem chatter"}),
        StreamRecord(
            "malformed",
            1,
            2.0,
            "device",
            7,
            {"reason": "the stream ended", "have": 7, "need": 20, "cmd": 20, "name": "MSG_HW"},
        ),
        StreamRecord(
            "foreign", 1, 2.0, "server", 5, {"protocol": "http", "label": "HTTP answer", "advice": "This is HTTP."}
        ),
        StreamRecord(
            "tls", 1, 2.0, "server", 5, {"protocol": "tls", "label": "TLS ClientHello", "record_version": "TLS 1.2"}
        ),
        StreamRecord("closed", 1, 3.0, "device", 9, {"how": "fin", "sent": {"client": 5, "server": 4}}),
        StreamRecord("novel\x1b", 1, 3.0, "", 0, {"fact\x1b": "\x1b"}),
        width=200,
    )
    for words in (
        "── stream 1 opened 10.0.0.2:42030 → 10.0.0.1:8080",
        "512 bytes from device are not in the input · reason lost",
        "17 bytes from device skipped: they belong to no frame, they look like AT modem chatter",
        "MSG_HW from device is not whole (7 of 20 bytes): the stream ended",
        "5 bytes from server are no Blynk: HTTP answer",
        "This is HTTP.",
        "TLS ClientHello from server",
        "── stream 1 closed by device",
        "novel\\x1b",
    ):
        assert words in text


def test_findings_stand_out_and_are_wrapped():
    finding = FindingRecord(
        "BS201",
        "invalid-token",
        "error",
        "login",
        1,
        (1, 2),
        2,
        "The server does not know this token",
        "word " * 60,
        "Fix it.",
    )
    for width in WIDTHS:
        lines = table(finding, finding, width=width).split("\n")[1:]
        assert sum("Fix it." in line for line in lines) == 1
        assert lines[0].startswith("  ▲ BS201 error  The server does not know this token")
        assert all(cells(line) <= min(width, 100) for line in lines[:6])
        assert any(line.strip() == "→ Fix it." for line in lines)
        assert any("#1, #2" in line for line in lines)


def test_the_summary_says_what_was_seen_written_and_lost():
    text = table(
        written(1, "V1", "sent"),
        written(2, "V1", "passed", time=1063.2),
        written(3, "V2", "sent"),
        WriteRecord(3, "confirmed", 9, 1064.0),
        FindingRecord("BS301", "x", "note", "talking", 1, (1, 2), 2, "Writes without an answer", "", ""),
        FindingRecord("BS301", "x", "note", "talking", 1, (3,), 1, "Writes without an answer", "", ""),
        FindingRecord("BS201", "x", "error", "login", 1, (3,), 1, "Bad token", "", ""),
        SummaryRecord(3, 1, {"note": 2, "warning": 0, "error": 1}, {"bytes_skipped": 7}),
    )
    summary = text[text.index("── summary") :]
    for words in (
        "3 in 1 stream over 63.2 s",
        "▲ 1 error · ▷ 2 notes",
        "BS301  Writes without an answer (2 times)",
        "○ 1 sent  ○ 1 passed",
        "V2      1 write   ● 1 confirmed",
        "7 bytes skipped",
        "blynkscope explain BS201",
    ):
        assert words in summary
    assert "── summary" not in table(frame(1), quiet=True)


def test_an_empty_run_has_a_summary_too():
    assert "0 in 0 streams" in table()


@pytest.mark.parametrize("text", ["plain words here", "温度" * 30, "a" * 200, "", "x " * 90, "é" * 40])
@pytest.mark.parametrize("width", [5, 20, 80])
def test_text_fits(text, width):
    assert cells(fit(text, width)) <= width
    assert cells(padded(text, width)) == width
    lines = wrapped(text, width)
    assert all(cells(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
