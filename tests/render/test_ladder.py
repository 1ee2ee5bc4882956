import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blynkscope.analysis.records import SCHEMA, FindingRecord, FrameRecord, LogRecord, StreamRecord, WriteRecord
from blynkscope.render.console import cells
from blynkscope.render.outputs import make
from blynkscope.render.sparkline import sparkline

TOKEN = "0123456789abcdef0123456789abcdef"
WIDTHS = (60, 80, 120, 200)
COLOR = re.compile(r"\x1b\[[0-9;]*m")


def frame(n=1, sender="device", text="V1 = 23.5", **more):
    server = sender == "server"
    facts = {
        "schema": SCHEMA, "n": n, "time": 1000.0 + n, "stream": 1, "src": "10.0.0.1:8080" if server else "10.0.0.2:4",
        "dst": "10.0.0.2:4" if server else "10.0.0.1:8080", "sender": sender, "dialect": "hardware", "via": ("tcp",),
        "cmd": 20, "name": "MSG_HW", "id": n, "length": 9, "status": None, "status_name": None, "body": "",
        "fields": None, "text": text, "answers": None, "rtt_ms": None, "write": None, "findings": (),
    }  # fmt: skip
    return FrameRecord(**facts | more)


def answer(n=2, status=200, name="STA_SUCCESS", answers=1, **more):
    more = {"rtt_ms": 12.34 if answers else None, "name": "MSG_RSP", "cmd": 0, **more}
    return frame(n, "server", name, status=status, status_name=name, answers=answers, length=None, **more)


def opened(stream=1, time=1000.0, **detail):
    detail = {"client": "10.0.0.2:4", "server": "blynk.cloud:80", "handshake": True, **detail}
    return StreamRecord("opened", stream, time, "unknown", 0, detail)


def happened(kind, stream=1, sender="unknown", size=0, **detail):
    return StreamRecord(kind, stream, 1009.0, sender, size, detail)


def finding(stream=1, severity="error", title="The server does not know this token", detail="What was seen.", **more):
    facts = {"frames": (1, 2), "count": 1, "fix": "Compare the host.", **more}
    return FindingRecord("BS201", "invalid-token", severity, "login", stream, title=title, detail=detail, **facts)


def ladder(*records, width=80, color="never", batches=False, encoding="utf-8", **more):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    output = make("ladder", stream, width=width, color=color, **more)
    for batch in [[record] for record in records] if batches else [records]:
        output.write(batch)
    output.close()
    stream.flush()
    return raw.getvalue().decode(encoding)


def lines(*records, **more):
    return [line for line in ladder(*records, quiet=True, **more).split("\n") if line]


def test_a_conversation_is_drawn():
    login = frame(1, name="MSG_HW_LOGIN", cmd=29, text="token tok:ab", via=("tcp",))
    shown = ladder(
        opened(), login, answer(2), frame(3, write="sent"), happened("closed", how="fin", by="device"), width=60
    )
    assert shown.split("\n")[:6] == [
        "── stream 1 ─ device ──────────────────────────────── server",
        "              10.0.0.2:4                       10.0.0.1:8080",
        "   1   1.000  ├── HW_LOGIN 1  token tok:ab ───────────────→│",
        "   2   2.000  │←─ RSP 2  STA_SUCCESS ────── ↩ #1 12.3 ms ──┤",
        "   3   3.000  ├── HW 3  V1 = 23.5 ─────────────── ○ sent ─→│",
        "       9.000  └─── closed by device ───────────────────────┘",
    ]
    assert "── summary" in shown


def test_an_app_stands_right_of_its_server():
    shown = lines(frame(1, "app", dialect="app"), frame(2, "server", dialect="app"))
    head = shown[0]
    assert head.index("server") < head.index("app")
    assert shown[2].endswith("─┤")
    assert "│←─" in shown[2]
    assert "├── HW 2" in shown[3]


def test_device_and_app_without_a_server():
    shown = lines(frame(1, "app"), frame(2, "device"))
    assert "device" in shown[0]
    assert "app" in shown[0]
    assert "│←─ HW 1" in shown[2]
    assert "├── HW 2" in shown[3]
    assert sum("stream 1" in line for line in shown) == 1
    direct = lines(opened(), happened("malformed", sender="device"), frame(1, "unknown", src=None, dst=None))
    assert "device" in direct[0]


def test_who_is_unknown_is_a_client():
    shown = lines(
        opened(server="10.0.0.1:8080"), frame(1, "unknown"), frame(2, "unknown", src="10.0.0.1:8080", dst="10.0.0.2:4")
    )
    assert "client" in shown[0]
    assert "├── HW 1" in shown[2]
    assert "│←─ HW 2" in shown[3]


def test_a_refusal_and_what_answers_nothing_are_marked():
    shown = lines(answer(1, 9, "STA_INVALID_TOKEN"), answer(2, 200, "STA_SUCCESS", None))
    assert "✗ STA_INVALID_TOKEN" in shown[2]
    assert "answers nothing" in shown[3]


@pytest.mark.parametrize("state", ["sent", "delivered", "passed", "confirmed", "lost"])
def test_the_state_of_a_write_stands_on_its_arrow(state):
    assert state in lines(frame(1, write=state))[2]
    assert "sent" not in lines(frame(1, "server", write="sent"))[2]


def test_a_proof_stands_on_the_arrow_that_proves():
    written = frame(1, write="sent", fields={"op": "vw", "pins": [{"pin": "V1", "values": ["1"]}]})
    proof = frame(2, "server", answers=1, rtt_ms=3.0)
    shown = ladder(written, proof, WriteRecord(1, "confirmed", 2, 1002.0), width=120)
    assert "● confirms #1 · ↩ #1 3.0 ms" in shown
    # In another batch than its proof it gets a line of its own.
    apart = ladder(written, proof, WriteRecord(1, "confirmed", 2, 1002.0), width=120, batches=True)
    assert "● #1 V1 confirmed by #2" in apart
    lost = ladder(written, WriteRecord(1, "lost", None, None))
    assert "✗ #1 V1 lost" in lost
    many = [WriteRecord(n, "lost", None, None) for n in range(1, 40)]
    assert "and 31 more lost" in ladder(*many)


def test_findings_are_boxed_at_their_place_and_advise_once():
    shown = ladder(frame(1), finding(), frame(2), finding(detail="Again."), width=80)
    rows = shown.split("\n")
    top = next(at for at, row in enumerate(rows) if "┌─ ▲ BS201 error" in row)
    assert "HW 1" in rows[top - 1]
    assert "│ The server does not know this token" in rows[top + 1]
    assert "frames #1, #2" in rows[top + 2]
    drawn, _, summary = shown.partition("── summary")
    assert drawn.count("→ Compare the host.") == 1
    assert "→ Compare the host." in summary
    assert "Again." in shown


def test_quiet_drops_no_advice():
    shown = ladder(opened(), frame(1), finding(), quiet=True)
    assert "What was seen." in shown
    assert "→ Compare the host." in shown
    assert "── summary" not in shown


def log_line(kind, text="told", stream=1):
    return LogRecord(stream, 1000.0, 7, kind, text)


def test_one_heading_that_the_first_frame_tells():
    for begin in (opened(log=True), opened()):
        shown = ladder(begin, log_line("ready"), frame(1), log_line("server")).split("\n")
        heads = [at for at, line in enumerate(shown) if "── stream 1" in line]
        assert len(heads) == 1
        assert heads[0] > next(at for at, line in enumerate(shown) if "ready: told" in line)
        assert "device" in shown[heads[0]]


def test_what_a_sketch_prints_is_counted():
    shown = ladder(frame(1), log_line("user-print"), log_line("user-print"))
    assert "user-print" not in shown
    assert "2 other lines (-v shows them)" in shown
    assert "user-print: told" in ladder(frame(1), log_line("user-print"), verbose=1)


def test_long_times_stay_in_the_margin():
    for width in (60, 120):
        shown = lines(frame(1), frame(2, time=1000.0 + 20778.4 * 86400), width=width)
        assert "+20778d" in shown[3]
        assert shown[2].index("├") == shown[3].index("├")


def test_a_finding_about_no_stream_has_no_lifelines():
    rows = lines(finding(None))
    assert rows[0].strip().startswith("┌─ ▲ BS201 error")


def test_breaks():
    shown = ladder(
        opened(handshake=False),
        frame(1),
        happened("gap", size=12, sender="device"),
        happened("resync", size=3, sender="device", looks_like="HTTP"),
        happened("closed", how="reset", by="server"),
    )
    assert "seen from the middle on" in shown
    assert "┊╌╌╌ 12 bytes from device are not in the input ╌" in shown
    assert "3 bytes from device skipped" in shown
    assert "└─── reset by server ─" in shown


def test_lines_of_a_log_stand_at_the_device():
    shown = ladder(
        frame(1), LogRecord(1, None, 7, "ready", "Ready (ping: 13ms)"), LogRecord(None, None, 1, "banner", "v1")
    )
    assert "│ ╌ ready: Ready (ping: 13ms) (line 7)" in shown
    assert "  ╌ banner: v1 (line 1)" in shown
    assert "ready" not in "\n".join(lines(frame(1), LogRecord(1, None, 7, "ready", "x")))


def test_a_log_is_a_devices_and_what_comes_late_finds_its_lifelines():
    shown = lines(
        opened(log=True), happened("gap", size=1), frame(1), happened("closed"), frame(2, stream=2), finding(1)
    )
    heads = [line for line in shown if "── stream" in line]
    assert [("device" in head, "client" in head) for head in heads] == [(True, False)] * 3


def test_a_change_of_stream_has_a_heading():
    heads = [line for line in lines(frame(1), frame(2, stream=2), frame(3), frame(4)) if "── stream" in line]
    assert [re.search(r"stream (\d)", head)[1] for head in heads] == ["1", "2", "1"]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_lifelines_stand_in_their_columns(width):
    rows = lines(frame(1), answer(2), finding(), frame(3, write="passed", text="x" * 500), width=width)
    left = 14 if width < 80 else 18
    for row in rows[2:]:
        assert cells(row) == width
        assert row[left] in "│├└"
        assert row[-1] in "│┤┘"
    assert rows[0].endswith("server")
    assert cells(rows[0]) == width


def test_colour_changes_no_text():
    records = (opened(), frame(1, write="sent"), answer(2, 9, "STA_X"), finding(), happened("closed"))
    painted = ladder(*records, color="always")
    assert "\x1b[" in painted
    assert COLOR.sub("", painted) == ladder(*records)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_narrow_encoding_gets_drawings_of_its_own(encoding):
    shown = ladder(opened(), frame(1, write="sent"), answer(2), finding(), happened("closed"), encoding=encoding)
    assert "|-- HW 1  V1 = 23.5 ---" in shown
    assert "->|" in shown
    assert "! BS201 error" in shown
    assert "\\u2" not in shown


def test_batches_make_no_difference():
    records = (opened(), frame(1), answer(2), finding(), frame(3, stream=2), happened("closed"))
    assert ladder(*records) == ladder(*records, batches=True)


def test_secrets_are_hidden():
    login = frame(
        1, name="MSG_HW_LOGIN", cmd=29, text=f"token {TOKEN}", fields={"token": TOKEN}, body=TOKEN.encode().hex()
    )
    shown = ladder(login, finding(detail=f"token {TOKEN}"), LogRecord(1, None, 1, "error", f"bad {TOKEN}"))
    assert TOKEN not in shown
    assert shown.count("tok:") == 3


_text = st.text(max_size=40) | st.sampled_from(
    ["\x1b]0;x\x07", "温度" * 30, "e\u0301" * 50, "a\nb", "\u202e", "x" * 900]
)
_record = st.one_of(
    st.builds(
        frame, st.integers(1, 10**7), st.sampled_from(["device", "server", "app", "unknown"]), _text, stream=st.integers(1, 3),
        write=st.sampled_from([None, "sent", "lost", "confirmed"]), src=st.none() | _text, dst=st.none() | _text,
        time=st.none() | st.floats(0, 1e12), dialect=st.sampled_from(["hardware", "app", "web"]),
    ),
    st.builds(answer, st.integers(1, 10**7), st.integers(0, 999), _text, st.none() | st.integers(1, 10**7)),
    st.builds(finding, st.none() | st.integers(1, 4), st.sampled_from(["note", "warning", "error", "odd"]), _text, _text),
    st.builds(LogRecord, st.none() | st.integers(1, 3), st.none() | st.floats(0, 1e9), st.integers(1, 10**6), _text, _text),
    st.builds(opened, st.integers(1, 3), client=st.none() | _text, server=_text),
    st.builds(happened, st.sampled_from(["gap", "resync", "closed", "tls", "odd"]), st.integers(1, 3), advice=_text, reason=_text),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(_record, max_size=12), st.sampled_from(WIDTHS))
def test_nothing_leaves_its_line_or_steers_the_terminal(records, width):
    shown = ladder(*records, width=width, quiet=True)
    for row in shown.split("\n"):
        assert row.isprintable()
        assert cells(row) <= width


def test_sparklines_keep_their_shape():
    assert sparkline([], 10) == ("", 1)
    assert sparkline([0, 0], 10) == ("▁▁", 1)
    assert sparkline([0, 1, 100], 10) == ("▁▂█", 1)
    assert sparkline([1] * 100, 10) == ("█" * 10, 10)
    assert len(sparkline(range(119), 40)[0]) == 40
