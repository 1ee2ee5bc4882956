"""Terminals and pipes that are not UTF-8: drawings in ASCII, columns where they were, data as it is."""

import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from blynkscope.render.console import MARKS, cells
from blynkscope.render.formats import FORMATS
from blynkscope.render.glyphs import missing_glyphs, suit

CAPTURES = Path(__file__).parents[2] / "captures"
CAPTURE = CAPTURES / "05_hw_invalid_token.pcap"
ENCODINGS = ("ascii", "latin-1", "cp1252", "cp437")
DRAWN = ("table", "tree", "ladder", "summary", "mermaid")
LOCALE = {"PYTHONIOENCODING": "", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
PROGRAM = (sys.executable, "-m", "blynkscope")


def blynkscope(*words, encoding="utf-8", **more):
    env = {**os.environ, "COLUMNS": "100", "PYTHONIOENCODING": encoding, **more.pop("env", {})}
    return subprocess.run(
        [*PROGRAM, *map(str, words)], check=False, capture_output=True, env=env, timeout=60, stdin=subprocess.DEVNULL
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("format_", DRAWN)
def test_drawings_keep_their_columns(format_, encoding):
    usual = blynkscope("decode", "--format", format_, CAPTURE).stdout.decode()
    done = blynkscope("decode", "--format", format_, CAPTURE, encoding=encoding)
    shown = done.stdout.decode(encoding)
    assert done.returncode == 0
    assert done.stderr == b""
    assert "\\u" not in shown
    assert [cells(line) for line in shown.splitlines()] == [cells(line) for line in usual.splitlines()]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("format_", sorted(set(FORMATS) - set(DRAWN)))
def test_data_stays_as_it_is(format_, encoding):
    usual = blynkscope("decode", "--format", format_, CAPTURE)
    done = blynkscope("decode", "--format", format_, CAPTURE, encoding=encoding)
    assert (done.returncode, done.stderr) == (usual.returncode, usual.stderr)
    if format_ == "csv":
        spelled = usual.stdout.decode().encode(encoding, "backslashreplace").decode(encoding)
        assert list(csv.reader(io.StringIO(done.stdout.decode(encoding)))) == list(csv.reader(io.StringIO(spelled)))
    elif format_ == "junit":
        assert ElementTree.canonicalize(done.stdout) == ElementTree.canonicalize(usual.stdout)
    else:
        assert done.stdout == usual.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("decode", str(CAPTURE)),
        ("probe", "127.0.0.1:9", "--timeout", "0.2"),
        ("replay", str(CAPTURES / "03_hw_plain_js054.pcap"), "--to", "127.0.0.1:9"),
        ("serve", "--listen", "127.0.0.1:0", "--duration", "0.3"),
        ("doctor",),
        ("codes",),
        ("explain", "BS201"),
        ("explain", "session"),
        ("hexdump", "1d000100200a"),
    ],
    ids=lambda words: " ".join(words[:2])[:20],
)
@pytest.mark.parametrize("env", [{}, LOCALE], ids=["PYTHONIOENCODING", "LC_ALL"])
def test_every_command_draws_in_ascii(words, env):
    done = blynkscope(*words, encoding="ascii", env=env)
    assert done.stdout.isascii()
    assert b"\\u" not in done.stdout + done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "cp437"])
@pytest.mark.parametrize("words", [("decode", "--help"), ("serve", "--help"), ("filters",), ("man",), ("codes",)])
def test_no_page_ends_the_program(words, encoding):
    done = blynkscope(*words, encoding=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\u" not in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("codes", "--format", "json"),
        ("codes", "--format", "jsonl"),
        ("explain", "BS201", "--format", "json"),
        ("explain", "session", "--format", "json"),
    ],
    ids=" ".join,
)
def test_json_of_the_tables_is_the_same_everywhere(words):
    shown = blynkscope(*words, encoding="ascii").stdout
    assert shown == blynkscope(*words).stdout
    assert json.loads(shown.splitlines()[0] if "jsonl" in words else shown)


def test_on_a_terminal():
    ours, theirs = pty.openpty()
    env = {**os.environ, **LOCALE, "COLUMNS": "100", "TERM": "xterm"}
    with subprocess.Popen([*PROGRAM, "decode", str(CAPTURE)], stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        shown = bytearray()
        while piece := _piece(ours):
            shown += piece
    os.close(ours)
    assert process.returncode == 0
    assert shown.isascii()
    assert b"\\u" not in shown
    assert b"-- stream 1 opened" in shown


def _piece(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # how Linux tells that the other side is closed
        return b""


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_stands_for_a_drawing(encoding):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    lacking = "".join(missing_glyphs(stream))
    assert set(MARKS.values()) | {"→"} <= set(lacking)
    suit(stream)
    stream.write(lacking + "\n温")
    stream.flush()
    drawn, spelled = raw.getvalue().split(b"\n")
    assert drawn.isascii()
    assert len(drawn) == len(lacking)
    assert spelled == b"\\u6e29"


def test_data_is_never_drawn():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    suit(stream, data=True)
    stream.write("3→4")
    stream.flush()
    assert raw.getvalue() == b"3\\u21924"
