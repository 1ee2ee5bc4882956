import csv
import io
import json
import os
import subprocess
import sys

import msgspec
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
from blynkscope.render import console
from blynkscope.render.csv import COLUMNS
from blynkscope.render.outputs import FORMATS, make
from blynkscope.render.redact import Redactor, token_name

TOKEN = "0123456789abcdef0123456789abcdef"


def frame(n=1, text="V1 = 23.5", fields=None, body=b"vw\x001\x0023.5", cmd=20, name="MSG_HW", **more):
    facts = {
        "schema": SCHEMA,
        "n": n,
        "time": 1000.0 + n,
        "stream": 1,
        "src": "10.0.0.2:4",
        "dst": "10.0.0.1:8080",
        "sender": "device",
        "dialect": "hardware",
        "via": ("tcp",),
        "cmd": cmd,
        "name": name,
        "id": n,
        "length": len(body),
        "status": None,
        "status_name": None,
        "body": body.hex(),
        "fields": fields,
        "text": text,
        "answers": None,
        "rtt_ms": None,
        "write": None,
        "findings": (),
    }
    return FrameRecord(**facts | more)


LOGIN = frame(1, f"token {TOKEN}", {"token": TOKEN}, TOKEN.encode(), 29, "MSG_HW_LOGIN")
RECORDS = (
    StreamRecord("opened", 1, 1000.0, "unknown", 0, {"client": "10.0.0.2:4", "server": "10.0.0.1:8080"}),
    LOGIN,
    frame(2, fields={"op": "vw", "pins": [{"pin": "V1", "values": ["23.5"]}]}, write="sent"),
    WriteRecord(2, "confirmed", 3, None),
    LogRecord(1, None, 3, "cmd-error", f"Cmd error {TOKEN}"),
    FindingRecord("BS201", "x", "error", "login", 1, (1,), 1, "Title", f"token {TOKEN}", "fix"),
    SummaryRecord(2, 1, {"error": 1}, {}),
)


def run(name, *records, binary=False, batches=1, **more):
    raw = io.BytesIO()
    stream = raw if binary else io.TextIOWrapper(raw, encoding="utf-8", newline="\n")
    output = make(name, stream, color="never", width=120, **more)
    size = -(-len(records) // batches) or 1
    for at in range(0, len(records), size):
        output.write(records[at : at + size])
    output.close()
    stream.flush()
    return raw.getvalue().decode()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("binary", [True, False])
def test_every_output_writes_all_kinds_of_records_without_secrets(name, binary):
    text = run(name, *RECORDS, binary=binary)
    assert TOKEN not in text
    assert TOKEN.encode().hex() not in text.replace(" ", "")
    assert token_name(TOKEN) in text
    assert TOKEN in run(name, *RECORDS, redactor=Redactor(show_secrets=True))


@pytest.mark.parametrize("name", FORMATS)
def test_batches_make_no_difference(name):
    assert run(name, *RECORDS) == run(name, *RECORDS, batches=len(RECORDS))


@pytest.mark.parametrize("name", FORMATS)
def test_an_empty_run_is_a_valid_document(name):
    text = run(name)
    assert text == "" if name == "jsonl" else text.endswith("\n")


def test_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match="no output format 'xml'"):
        make("xml", io.StringIO())


def test_json_lines_have_the_keys_of_the_records_in_order():
    lines = [json.loads(line) for line in run("jsonl", *RECORDS).splitlines()]
    assert [line["record"] for line in lines] == ["stream", "frame", "frame", "write", "log", "finding", "summary"]
    assert list(lines[1]) == ["record", *FrameRecord.__struct_fields__]
    assert lines[1]["body"] == "2a" * 32
    assert lines[2]["answers"] is None


def test_json_is_one_array_of_the_same_records():
    lines = [json.loads(line) for line in run("jsonl", *RECORDS).splitlines()]
    assert json.loads(run("json", *RECORDS)) == lines
    assert json.loads(run("json", *RECORDS, batches=3)) == lines
    assert json.loads(run("json")) == []


def test_lone_surrogates_and_deep_nesting_do_not_stop_json():
    deep = current = []
    for _ in range(5000):
        current.append([])
        current = current[0]
    redactor = Redactor(show_secrets=True)
    text = run("jsonl", frame(1, "a\ud800"), frame(2, fields={"json": {"\udfff": deep}}), frame(3), redactor=redactor)
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines[0]["text"] == "a\\ud800"
    assert "\\udfff" in lines[1]["fields"]["json"]
    assert lines[2]["text"] == "V1 = 23.5"


@pytest.mark.parametrize("name", ["jsonl", "json"])
def test_json_keeps_letters_and_escapes_what_is_not_printable(name):
    text = "温度é \u202e \x85 \x9b \x7f \u2028 \u2029 \xad \ufeff \U000e0001 \x1b \r\n"
    shown = run(name, frame(1, text, fields={text: [text]}), frame(2), StreamRecord(text, 1, None, text, 0, {}))
    lines = shown.splitlines()
    assert lines == shown.rstrip("\n").split("\n")
    assert all(line.isprintable() for line in lines)
    assert (
        "温度é \\u202e \\u0085 \\u009b \\u007f \\u2028 \\u2029 \\u00ad \\ufeff \\udb40\\udc01 \\u001b \\r\\n" in shown
    )
    records = json.loads(shown) if name == "json" else [json.loads(line) for line in lines]
    assert [record["record"] for record in records] == ["frame", "frame", "stream"]
    assert records[0]["text"] == text
    assert records[0]["fields"] == {text: [text]}


class Terminal(io.BytesIO):
    def isatty(self):
        return True


def test_json_on_a_terminal_escapes_what_could_steer_it():
    stream = Terminal()
    record = frame(1, "温度é \u202e \x9b \x7f \u2028 \U000e0001 \x1b")
    output = make("jsonl", stream, color="never", width=80)
    output.write([record])
    line = stream.getvalue().decode().rstrip("\n")
    assert line.isprintable()
    assert "温度é \\u202e \\u009b \\u007f \\u2028 \\udb40\\udc01 \\u001b" in line
    assert json.loads(line) == json.loads(msgspec.json.encode(record))


def test_csv_tells_the_state_of_a_write_that_was_known_at_its_line():
    rows = list(csv.DictReader(io.StringIO(run("csv", *RECORDS))))
    assert [row["write"] for row in rows] == ["", "sent"]


def test_csv_has_a_header_and_one_row_a_frame():
    rows = list(csv.DictReader(io.StringIO(run("csv", *RECORDS))))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 2
    assert rows[1]["text"] == "V1 = 23.5"
    assert rows[1]["answers"] == ""
    assert rows[1]["time"] == "1002.0"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_csv_cells_are_no_formulas(start):
    text = run("csv", frame(1, f'{start}cmd|" /C calc"!A0,\n\x1b[31m'))
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["text"].startswith("'")
    assert row["text"].isprintable()
    assert len(text.splitlines()) == 2


def test_csv_numbers_stay_numbers():
    (row,) = csv.DictReader(io.StringIO(run("csv", frame(1, time=-5.0))))
    assert row["time"] == "-5.0"


def test_the_tree_shows_every_byte():
    text = run("tree", frame(1, fields={}))
    assert "frame 1 · MSG_HW (20) · id 1 · 9 bytes · device → server" in text
    shown = [line[8:56] for line in text.splitlines() if line.startswith("  00")]
    assert bytes.fromhex("".join(shown)) == b"\x14\x00\x01\x00\x09vw\x001\x0023.5"


def test_a_narrow_encoding_does_not_stop_text_outputs():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    for name in ("table", "tree", "csv"):
        output = make(name, stream, color="never", width=80)
        output.write([*RECORDS, frame(9, "温度")])
        output.close()
    stream.flush()
    assert b"\\u6e29" in raw.getvalue()
    assert b"10.0.0.2:4 > 10.0.0.1:8080" in raw.getvalue()


def test_color_follows_the_terminal_and_no_color(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert console.colored(Terminal(), "auto")
    assert not console.colored(io.BytesIO(), "auto")
    assert console.colored(io.BytesIO(), "always")
    assert not console.colored(Terminal(), "never")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not console.colored(Terminal(), "auto")
    assert console.colored(Terminal(), "always")
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not console.colored(Terminal(), "auto")


def test_the_width_is_asked_for_in_order(monkeypatch):
    monkeypatch.setenv("COLUMNS", "90")
    assert console.width_of(io.StringIO(), 77) == 77
    assert console.width_of(io.StringIO()) == 90
    monkeypatch.setenv("COLUMNS", "many")
    assert console.width_of(io.StringIO()) == 120
    assert console.width_of(io.StringIO(), 3) == 40


def test_the_rich_console_takes_text_as_it_is():
    stream = io.StringIO()
    made = console.make_console(stream, "always", 80)
    made.print("[/foo] :smile: 123 [red]x", style="error")
    assert "[/foo] :smile: 123 [red]x" in stream.getvalue()
    stream = io.StringIO()
    console.make_console(stream, "never", 80).print("x", style="error")
    assert stream.getvalue() == "x\n"


def test_rich_is_not_imported_before_it_is_needed():
    code = (
        "import sys, io; from blynkscope.render.outputs import make; import blynkscope.cli.hexdump;"
        "make('table', io.StringIO()); make('jsonl', io.StringIO()); sys.exit('rich' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
