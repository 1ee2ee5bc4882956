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
from blynkscope.render.summary import Tally

WIDTHS = (80, 120, 200)
NARROW = (40, 48, 56, 60, 71, 72, 79)


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


def synchronised(n=8, text="V1 = 23.5", **more):
    return frame(n, sender="server", text=text, answers=7, rtt_ms=10.0, **more)


@pytest.mark.parametrize(
    ("state", "wide", "narrow"),
    [
        ("confirmed", "● confirms #3", "● #3"),
        ("contradicted", "✗ contradicts #3", "✗ #3"),
        ("rejected", "✗ rejects #3", "✗ #3"),
    ],
)
def test_the_row_that_proves_what_became_of_a_write_says_so(state, wide, narrow):
    records = written(3, "V1", "sent"), synchronised(), WriteRecord(3, state, 8, 1001.0)
    for width, words in ((80, narrow), (120, wide), (200, wide)):
        assert len(rows(*records, width=width)) == 2
        assert f"{words} " in rows(*records, width=width)[1]
        assert rows(*records, width=width)[1].endswith("10.0 ms")
    colored = rows(*records, color="always")[1]
    assert f"{Palette(True).on[state]}{wide}{Palette(True).off}" in colored


def test_a_proof_stands_alone_where_the_reading_needs_the_room():
    for width, words in ((80, "● #3"), (120, "● confirms #3")):
        line = rows(synchronised(text="x" * (width // 3)), WriteRecord(3, "confirmed", 8, None), width=width)[0]
        assert line.endswith(words)
        assert "x" * (width // 3) in line
        assert cells(line) <= width


@pytest.mark.parametrize("width", [*WIDTHS, *NARROW])
def test_proofs_do_not_move_the_columns(width):
    lines = rows(
        synchronised(8),
        synchronised(9),
        WriteRecord(3, "confirmed", 9, None),
        synchronised(10),
        WriteRecord(12, "contradicted", 10, None),
        width=width,
    )
    assert len(lines) == 3
    assert len({line.index("V1 =") for line in lines}) == 1
    assert all(cells(line) <= width for line in lines)
    if width >= 120:
        assert len({line.index("↩ #7") for line in lines}) == 1
        assert lines[1].index("● confirms") == lines[2].index("✗ contradicts")


def test_several_proofs_are_counted_and_bad_news_comes_first():
    records = (
        synchronised(),
        WriteRecord(3, "confirmed", 8, None),
        WriteRecord(4, "contradicted", 8, None),
        WriteRecord(5, "confirmed", 8, None),
    )
    assert "✗ contradicts #4 +2" in rows(*records)[0]
    assert "✗ #4 +2" in rows(*records, width=80)[0]
    assert "● confirms #3 +1" in rows(records[0], records[1], records[3])[0]


def test_a_weak_proof_is_no_news():
    lines = rows(synchronised(), WriteRecord(3, "passed", 8, None), WriteRecord(4, "delivered", None, None))
    assert lines == rows(synchronised())


def test_a_lost_write_has_a_line_of_its_own():
    text = table(written(19, "V6", "sent"), WriteRecord(19, "lost", None, 1001.0), WriteRecord(20, "lost", None, None))
    assert "\n                 ✗ #19 V6 lost\n                 ✗ #20 lost\n" in text
    assert "lost" not in table(WriteRecord(19, "lost", None, 1001.0), quiet=True)


def test_a_proof_that_is_not_shown_is_told_in_a_line():
    text = table(written(3, "V1", "sent"), WriteRecord(3, "contradicted", 8, 1001.0))
    assert "✗ #3 V1 contradicted by #8\n" in text


def test_lines_about_lost_writes_are_bounded():
    lost = [WriteRecord(n, "lost", None, None) for n in range(1, 1001)]
    lines = table(*lost).split("── summary")[0].rstrip().split("\n")
    assert len(lines) < 12
    assert lines[-1].strip() == "✗ and 992 more lost"


def test_whoever_asks_for_more_sees_every_state():
    records = [WriteRecord(n, state, 9, None) for n, state in enumerate(("passed", "lost", "confirmed") * 10, 1)]
    text = table(*records, verbose=1)
    assert all(f"#{record.frame} is {record.state} by #9" in text for record in records)


@pytest.mark.parametrize("width", NARROW)
def test_rows_fit_narrow_terminals(width):
    records = [
        frame(1),
        answer(2, 9, "STA_INVALID_TOKEN"),
        answer(3, answers=None),
        written(4, "V1", "sent", text="V1 = " + "x" * 90),
        written(5, "V1", "contradicted"),
        synchronised(text="y" * 90, stream=2),
        WriteRecord(4, "contradicted", 8, None),
        WriteRecord(5, "confirmed", 8, None),
        synchronised(9, name="MSG_GET_ENHANCED_GRAPH_DATA", id=65535),
        frame(12_345_678, id=65535, time=9e6, stream=8000, answers=12_345_600, rtt_ms=99_999.0),
        frame(12_345_679, id=65535, text=""),
    ]
    lines = [line.rstrip() for line in table(*records, width=width, quiet=True).split("\n") if line]
    assert all(cells(line) <= width for line in lines), [line for line in lines if cells(line) > width]
    assert len(lines) == len(records) - 2
    assert "V1 = 23.5" in lines[0]
    head = table(frame(1), width=width).split("\n")[0]
    assert cells(head) <= width
    assert head.index("reading") == table(frame(1), width=width).split("\n")[1].index("V1 = 23.5")


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
        summary = lines.index(next(line for line in lines if line.startswith("── summary")))
        assert sum("Fix it." in line for line in lines[:summary]) == 1
        assert sum("Fix it." in line for line in lines[summary:]) == 1
        assert lines[0].startswith("  ▲ BS201 error  The server does not know this token")
        assert all(cells(line) <= min(width, 100) for line in lines[:6])
        assert any(line.strip() == "→ Fix it." for line in lines)
        assert any("#1, #2" in line for line in lines)


def finding(detail="Line 12: so it was.", severity="warning", frames=(), fix="Do this. Then that."):
    return FindingRecord("BS201", "x", severity, "login", 1, frames, 1, "A title", detail, fix)


def test_the_summary_says_where_to_look_and_what_to_do_first():
    def closing(*records):
        return [line.strip() for line in table(*records, width=60).partition("── summary")[2].split("\n")]

    lines = closing(finding())
    at = lines.index("△ BS201  A title")
    assert lines[at + 1 : at + 3] == ["line 12", "→ Do this."]
    lines = closing(finding(frames=(3,), fix="word " * 40))
    at = lines.index("△ BS201  A title")
    assert lines[at + 1] == "frame #3"
    assert lines[at + 2].startswith("→ word word")
    assert lines[at + 2].endswith("…")
    assert not [line for line in closing(finding(severity="note")) if line.startswith("→")]


def test_quiet_drops_no_advice():
    text = table(frame(), finding(), quiet=True)
    assert "Line 12: so it was." in text
    assert "→ Do this. Then that." in text
    assert "── summary" not in text


def test_what_a_sketch_prints_is_counted():
    printed = LogRecord(1, 1000.0, 3, "user-print", "temperature 20")
    text = table(frame(), printed, width=100)
    assert "temperature" not in text
    assert "1 other line (-v shows it)" in text
    assert "temperature" in table(frame(), printed, width=100, verbose=1)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (999_999.5, "999999.500"),
        (12 * 86400 + 5520, "+12d 01:32"),
        (168_916_734, "+1955d 01h"),
        (20778.4 * 86400, "+20778d"),
        (-20778.4 * 86400, "-20778d"),
        (1e300, "+∞"),
    ],
)
def test_long_times_stay_in_their_column(seconds, shown):
    first, second = rows(frame(1), frame(2, time=1000.0 + seconds))
    assert shown in second
    assert first.index("device") == second.index("device")


def test_times_of_several_clocks_are_not_summed_up():
    for times in ((1.0, 1.7e9), (1.7e9, 1.0)):
        text = table(*(frame(n, time=time) for n, time in enumerate(times, 1)))
        assert "2 in 1 stream, several clocks" in text


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


LOST = {
    "captures_damaged": ("1 capture damaged", "2 captures damaged"),
    "bytes_missing": ("1 byte missing", "2 bytes missing"),
    "bytes_skipped": ("1 byte skipped", "2 bytes skipped"),
    "frames_incomplete": ("1 frame incomplete", "2 frames incomplete"),
    "packets_broken": ("1 packet broken", "2 packets broken"),
    "packets_encrypted": ("1 packet encrypted", "2 packets encrypted"),
    "packets_unknown_link": ("1 packet of an unknown link type", "2 packets of unknown link types"),
    "fragments_incomplete": ("1 incomplete set of IP fragments", "2 incomplete sets of IP fragments"),
    "segments_conflicting": ("1 TCP segment contradicting", "2 TCP segments contradicting"),
    "segments_after_close": ("1 TCP segment after its", "2 TCP segments after their"),
    "streams_evicted": ("1 stream no longer", "2 streams no longer"),
    "things_unheard_of": ("1 things unheard of", "2 things unheard of"),
}


@pytest.mark.parametrize("name", LOST)
def test_what_was_lost_is_told_in_words(name):
    for count, words in enumerate(LOST[name], 1):
        assert f"  lost      {words}" in table(SummaryRecord(0, 0, {}, {name: count, "nothing": 0}))


@pytest.mark.parametrize("width", [*WIDTHS, *NARROW])
def test_the_summary_is_wrapped_and_not_cut(width):
    protocols = ("tls", "http", "websocket", "mqtt", "ssh", "particle", "text", "unknown")
    writes = [
        written(n, f"V{n % 20}", state)
        for n, state in enumerate(("sent", "delivered", "passed", "confirmed", "contradicted", "rejected", "lost") * 20)
    ]
    text = table(
        *writes,
        *(StreamRecord("foreign", n, 1.0, "server", 5, {"protocol": name}) for n, name in enumerate(protocols, 1)),
        FindingRecord("BS201", "x", "error", "login", 1, (3,), 1, "A title of many words " * 8, "", ""),
        SummaryRecord(3, 1, {"note": 2, "warning": 1, "error": 1}, dict.fromkeys(LOST, 12345)),
        width=width,
    )
    summary = text[text.index("── summary") :]
    lines = summary.split("\n")
    assert "…" not in summary
    assert all(cells(line) <= min(width, 120) for line in lines)
    assert cells(lines[0]) == min(width, 120)
    assert not any(line.endswith(" ") for line in lines)
    flat = " ".join(summary.split())
    for words in (
        "1 of an unknown protocol, 1 of WebSocket: named above, not opened",
        "○ not acknowledged: Blynk answers no good write (blynkscope explain BS301)",
        "12345 streams no longer followed",
        "A title of many words A title of many words",
    ):
        assert words in flat
    assert all(f"1 {state}" in flat for state in ("sent", "contradicted", "lost"))


def test_the_summary_remembers_writes_within_bounds():
    tally = Tally()
    for n in range(60_000):
        tally.frame(written(n, f"V{n % 10}", "sent"))
    assert tally.settled(WriteRecord(59_999, "lost", None, None)) == "V9"
    assert tally.settled(WriteRecord(59_999, "lost", None, None)) == ""
    assert tally.settled(WriteRecord(52_500, "lost", None, None)) == "V0"
    assert tally.settled(WriteRecord(1, "lost", None, None)) == ""


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
