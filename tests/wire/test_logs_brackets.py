"""Bracket notation: which groups are bytes and which are the characters themselves."""

import re

import printers
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from blynkscope.protocol import commands
from blynkscope.wire.events import CLIENT, SERVER
from blynkscope.wire.logs import brackets, decimal

READ = [
    ("[14|00|02|00|09]vw[00]5[00]21.5", b"\x14\0\x02\0\x09vw\x005\x0021.5"),
    ("[1d|00|01|00|20]abc", b"\x1d\0\x01\0\x20abc"),
    (")[00|01|00|0E]", b")\0\x01\0\x0e"),
    ("[14|00]!0[00|06]vw", b"\x14\0!0\0\x06vw"),
    ("[1D|00|01|00] token", b"\x1d\0\x01\0 token"),
    ("1D|00|01|00] token", b"\x1d\0\x01\0 token"),
    ("[14|00|03|00|06", b"\x14\0\x03\0\x06"),
    ("vw[00]1[00][1]", b"vw\x001\x00[1]"),
    ("a[41]b", b"a[41]b"),
    ("a[00][0A]b", b"a\0[0A]b"),
    ("“x” \u2013 …", b'"x" -- ...'),
    ("", b""),
]


@pytest.mark.parametrize(("text", "data"), READ)
def test_first_readings(text, data):
    assert brackets.joined(brackets.read(text)) == data


RESOLVED = [
    ("vw[00]1[00][00]", 9, b"vw\x001\x00[00]"),
    ("vw[00]1[00]a[00]b", 8, b"vw\x001\x00a\0b"),
    ("vw[00]1[00]a[00]b", 11, b"vw\x001\x00a[00]b"),
    ("vw[00]1[00]A|[[10][00]314", 16, b"vw\x001\x00A|[[10]\x00314"),
    ("vw[00]1[00]a\u2013b", 8, b"vw\x001\0a-b"),
    ("vw[00]1[00]a\u2013b", 9, b"vw\x001\0a--b"),
]


@pytest.mark.parametrize(("text", "length", "data"), RESOLVED)
def test_the_length_decides(text, length, data):
    assert brackets.resolve(brackets.read(text), length) == data


def test_no_reading_has_that_length():
    assert brackets.resolve(brackets.read("vw[00]1"), 77) is None


def test_arrows():
    assert brackets.directed("<[06|00|01|00|00]") == (CLIENT, "[06|00|01|00|00]", False)
    assert brackets.directed(">> [06|00|01|00|00]") == (SERVER, "[06|00|01|00|00]", True)
    assert brackets.directed("[06|00|01|00|00]") == (None, "[06|00|01|00|00]", False)
    assert brackets.directed("[E][ssl_client.cpp:37]") is None
    assert brackets.directed("[1, 2, 3]") is None


def _readings(text, length):
    """All bodies of that length that the library prints as this text."""
    groups = list(re.finditer(r"\[([0-9A-F]{2}(?:\|[0-9A-F]{2})*)\]", text))
    found = set()
    for mask in range(1 << len(groups)):
        out, at = b"", 0
        for index, group in enumerate(groups):
            out += text[at : group.start()].encode()
            inner = group[1]
            out += bytes.fromhex(inner.replace("|", "")) if mask >> index & 1 else group.group().encode()
            at = group.end()
        out += text[at:].encode()
        if len(out) == length and printers.dump(out) == text:
            found.add(out)
    return found


@settings(max_examples=400)
@given(st.text("[]|0A1 \0\n", max_size=14))
@example("[00]")
@example("[00]  0 ")
@example("00|00]")
@example("\0[0A]\0")
def test_what_the_library_prints_is_read_back_where_its_length_determines_it(value):
    body = value.encode()
    text = printers.dump(body)
    assume(_readings(text, len(body)) == {body})
    assert brackets.resolve(brackets.read(text), len(body)) == body


@given(st.text(max_size=120), st.integers(0, 200))
def test_reading_never_raises(text, length):
    pieces = brackets.read(text)
    body = brackets.resolve(pieces, length)
    assert body is None or len(body) == length
    brackets.directed(text)
    brackets.whole(text)
    head, rest = brackets.split(pieces, 5)
    assert head + brackets.joined(rest) == brackets.joined(pieces)


# --- before 0.3.6 ---

RESTORED = [
    (commands.HW, b"pm0out", 8, b"pm\x000\x00out"),
    (commands.HW, b"pm0out13in", 14, b"pm\x000\x00out\x0013\x00in"),
    (commands.HW, b"pm", 2, b"pm"),
    (commands.HW, b"vr12", 5, b"vr\x0012"),
    (commands.HW, b"dw131", 7, b"dw\x0013\x001"),
    (commands.HW, b"vw15", 6, b"vw\x001\x005"),
    (commands.HW, b"vw12-5.5", 10, b"vw\x0012\x00-5.5"),
    (commands.HW, b"vw1255", 8, b"vw1255"),
    (commands.HW, b"vw\x001\x005", 6, b"vw\x001\x005"),
    (commands.HW_SYNC, b"vr1", 4, b"vr\x001"),
    (commands.PROPERTY, b"1color#D3435C", 15, b"1\0color\0#D3435C"),
    (
        commands.INTERNAL,
        b"ver0.3.1h-beat10buff-in256devArduino Uno",
        48,
        b"ver\x000.3.1\0h-beat\x0010\0buff-in\x00256\0dev\0Arduino Uno\0",
    ),
    (commands.NOTIFY, b"hello", 7, b"hello"),
    (commands.LOGIN, b"abc", 32, b"abc"),
]


@pytest.mark.parametrize(("cmd", "printed", "length", "body"), RESTORED)
def test_nuls_come_back_where_one_place_is_left_for_each(cmd, printed, length, body):
    assert decimal.restore(cmd, printed, length) == body


def test_decimal_headers():
    said = decimal.header("<msg 2,1,32")
    assert (said.direction, said.cmd, said.id, said.word, said.follows) == (CLIENT, 2, 1, 32, True)
    assert decimal.header(">msg 0,1,200").follows is False
    assert decimal.header("msg 2,1,32") is None
    assert decimal.header("<msg 2,99999,32") is None


@given(st.integers(0, 255), st.binary(max_size=60), st.integers(0, 70))
def test_restoring_adds_nothing_but_nuls(cmd, printed, length):
    body = decimal.restore(cmd, printed, length)
    assert body.replace(b"\0", b"") == printed.replace(b"\0", b"")
    assert body == printed or len(body) == length
