"""What a real terminal gets: no byte of the wire may steer it, whatever the output."""

import re
import sys

import pexpect
import pyte
import pytest

from blynkscope.render.outputs import FORMATS

HOSTILE = [
    "\x1b]0;title\x07",
    "\x1b[2J",
    "\x1b]8;;http://evil/\x1b\\x\x1b]8;;\x1b\\",
    "\x1b]52;c;YQ==\x07",
    "\x9b31m",
    "\x90q\x9c",
    "\u202egnp\u2069",
    "[/foo] [link=http://evil/]x[/link] :smile:",
    "a\r\nforged row",
    "\x08\x08",
    "\x7f",
    "\u2028",
    "\x0e\x0f\x05",
    "\u200b\ufeff\u00ad",
    "\ud800",
    "V1\x00\x1bc",
]

RECORDS = """
import sys
from blynkscope.analysis.records import *
from blynkscope.render.outputs import make
from blynkscope.render.redact import Redactor
hostile = eval(sys.argv[2])
records = []
for n, text in enumerate(hostile, 1):
    raw = text.encode("utf-8", "surrogatepass")
    records += [
        FrameRecord(1, n, float(n), 1, text, text, "device", "hardware", (text,), 20, "MSG_HW", n, len(raw), None, None,
                    raw.hex(), {text: [text], "op": text, "args": [text]}, text, None, None, "sent", (text,)),
        FrameRecord(1, n, float(n), 1, None, None, "server", "hardware", ("tcp",), 0, text, n, None, 9, text, "", None,
                    text, None, None, None, ()),
        FindingRecord("BS999", text, "error", text, 1, (1,), 1, text, text * 30, text),
        FindingRecord(text, text, text, text, None, (), 1, text, text, text),
        StreamRecord("foreign", 1, 1.0, text, 4, {text: text, "label": text, "advice": text, "list": [text],
                     "map": {text: text}}),
        StreamRecord("opened", 1, 1.0, "unknown", 0, {"client": text, "server": text}),
        StreamRecord("malformed", 1, 1.0, "device", 0, {"name": text, "reason": text, "have": text, "need": text}),
        StreamRecord("closed", 1, 1.0, "device", 0, {"how": text, "by": text}),
        StreamRecord(text, 1, 1.0, text, 0, {}),
        LogRecord(1, 1.0, 1, text, text),
        WriteRecord(n, "lost", 1, 1.0),
        WriteRecord(n, "confirmed", 1, 1.0),
    ]
records.append(SummaryRecord(1, 1, {"error": 1}, {text: 1 for text in hostile}))
for secrets in (False, True):
    output = make(sys.argv[1], sys.stdout, color="always", width=100, redactor=Redactor(secrets), verbose=2)
    output.write(records)
    output.close()
print("the end")
"""

DUMP = """
import sys
from blynkscope.cli.hexdump import command as hexdump
for text in eval(sys.argv[2]):
    raw = text.encode("utf-8", "surrogatepass")
    body = b"vw\\x001\\0" + raw
    frame = b"\\x14\\0\\1" + len(body).to_bytes(2, "big") + body
    for data in (frame, frame[:-1], raw, frame + raw + frame + frame):
        for arguments in ([data.hex(" ")], [data.hex(" "), "--format", "jsonl"], [text]):
            try:
                hexdump(["--color", "always", *arguments], standalone_mode=False)
            except SystemExit:
                pass
            except Exception as error:
                error.show() if hasattr(error, "show") else print(repr(error))
print("the end")
"""

OURS = re.compile(rb"\x1b\[[0-9;]*m")


def shown(script, *arguments):
    """All bytes that a program writes to a terminal."""
    child = pexpect.spawn(
        sys.executable,
        ["-c", script, *arguments],
        timeout=60,
        dimensions=(50, 100),
        env={"TERM": "xterm-256color", "PYTHONUTF8": "1", "PYTHONWARNINGS": "error"},
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.before.rstrip().endswith(b"the end"), child.before[-2000:].decode("utf-8", "replace")
    return child.before


def steering(data):
    """What is left of the output that is neither text nor a colour of ours."""
    text = OURS.sub(b"", data.replace(b"\r\n", b"\n")).decode("utf-8")
    return {char for char in text if not char.isprintable() and char != "\n"}


@pytest.mark.parametrize("name", FORMATS)
def test_no_output_lets_the_wire_steer_the_terminal(name):
    data = shown(RECORDS, name, ascii(HOSTILE))
    assert steering(data) == set()
    if name == "table":
        assert b"\x1b[" in data


def test_the_dump_lets_nothing_through_either():
    assert steering(shown(DUMP, "-", ascii(HOSTILE))) == set()


def test_the_screen_shows_what_was_sent_and_keeps_its_title():
    screen = pyte.Screen(100, 4000)
    stream = pyte.ByteStream(screen)
    stream.feed(shown(RECORDS, "table", ascii(HOSTILE)))
    lines = [line.rstrip() for line in screen.display if line.strip()]
    assert screen.title == ""
    assert any("\\x1b]0;title\\x07" in line for line in lines)
    assert any("[/foo] [link=http://evil/]x[/link] :smile:" in line for line in lines)
    assert not any(line.startswith("forged row") for line in lines)
    assert "the end" in lines[-1]
