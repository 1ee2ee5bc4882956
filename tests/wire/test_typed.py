"""What a person types becomes the frame that the schema says."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blynkscope.errors import NotationError
from blynkscope.protocol.frames import parse
from blynkscope.protocol.model import Dialect
from blynkscope.wire.typed import LINE_MAX, body_of, body_text, typed


@pytest.mark.parametrize(
    ("line", "cmd", "body"),
    [
        ("vw V1 42", 20, b"vw\x001\x0042"),
        ("VW v1 42 43", 20, b"vw\x001\x0042\x0043"),
        ('vw 1 "two words"', 20, b"vw\x001\x00two words"),
        ("vw V1 it's", None, None),
        ("dw D13 1", 20, b"dw\x0013\x001"),
        ("aw A0 1", 20, b"aw\x000\x001"),
        ("vr V1 V2", 20, b"vr\x001\x002"),
        ("pm D5 out D6 in", 20, b"pm\x005\x00out\x006\x00in"),
        ("prop V1 color #ff0000", 19, b"1\x00color\x00#ff0000"),
        ("ping", 6, b""),
        ("PING", 6, b""),
        ("MSG_INTERNAL rtc 1700000000", 17, b"rtc\x001700000000"),
        ("41 192.168.1.5 8080", 41, b"192.168.1.5\x008080"),
        ("redirect 192.168.1.5 8080", 41, b"192.168.1.5\x008080"),
        (r"vw V1 a\0b\x41", 20, b"vw\x001\x00a\x00bA"),
    ],
)
def test_lines(line, cmd, body):
    if cmd is None:
        with pytest.raises(NotationError):
            typed(line, to_device=True, id=7)
        return
    made = typed(line, to_device=True, id=7)
    frame = parse(made.data)
    assert (frame.cmd, frame.id, frame.body) == (cmd, 7, body)
    assert made.problem is None


def test_what_vr_means_depends_on_who_gets_it():
    assert parse(typed("vr V1", to_device=False, id=1).data).cmd == 16
    assert parse(typed("vr V1", to_device=True, id=1).data).cmd == 20


def test_answers_ids_and_bytes():
    made = parse(typed("rsp 7 9", to_device=True, id=1).data)
    assert (made.cmd, made.id, made.status) == (0, 7, 9)
    assert parse(typed("rsp 7 sta_success", to_device=True, id=1).data).status == 200
    assert typed("#300 ping", to_device=True, id=1).id == 300
    assert typed("hex 06 00 01 00 00", to_device=True, id=1).data == b"\x06\0\1\0\0"
    assert typed("rsp 7 200", to_device=True, id=1, dialect=Dialect.APP).data == b"\0\0\7\0\0\0\xc8"


def test_a_body_that_does_not_fit_is_made_and_told():
    made = typed("vw Vx 42", to_device=True, id=1)
    assert "no pin number" in made.problem
    assert made.data.endswith(b"vw\0Vx\x0042")


@pytest.mark.parametrize(
    "line",
    ["", "   ", "#", "#70000 ping", "fly V1", "rsp 1", "rsp 1 70000", "rsp x 200", "prop V1", "hex", "hex zz", "vw V1 \\q",
     "vw V1 \\", "vw V1 'a", "300 x", "#² ping", "x" * (LINE_MAX + 1), "vw V1 " + "9" * LINE_MAX],
)  # fmt: skip
def test_what_cannot_be_read_is_said(line):
    with pytest.raises(NotationError):
        typed(line, to_device=True, id=1)


@given(st.text())
def test_nothing_else_is_raised(line):
    for to_device in (False, True):
        with contextlib.suppress(NotationError):
            typed(line, to_device=to_device, id=1)


@given(st.binary())
def test_edited_bodies_round_trip(body):
    text = body_text(body)
    assert text.isprintable()
    assert body_of(text) == body


def test_bodies_as_hex():
    assert body_of("hex 76 77 00 31") == b"vw\x001"
    assert body_of(body_text(b"HEX 12")) == b"HEX 12"
    assert body_text(b"vw\x001\x00\xff\\") == r"vw\01\0\xff\\"
