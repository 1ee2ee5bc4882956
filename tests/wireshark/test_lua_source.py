"""What goes into the dissector from the table: quoted literals, and a file that is the same in every run."""

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blynkscope.protocol import commands
from blynkscope.protocol.statuses import STATUSES
from blynkscope.wireshark import dissector, lua
from blynkscope.wireshark.layouts import layout_of


def unquoted(text):
    """What Lua reads from a literal: only decimal escapes of three digits are ever written."""
    assert text[0] == text[-1] == '"'
    assert re.fullmatch(r'"(?:[^"\\\x00-\x1f\x7f-\U0010ffff]|\\[0-9]{3})*"', text)
    return re.sub(
        rb"\\([0-9]{3})", lambda found: bytes([int(found[1])]), text[1:-1].encode("ascii")
    )  # fmt: skip


@given(st.text())
def test_a_literal_gives_back_its_text_and_cannot_be_left(text):
    assert unquoted(lua.literal(text)) == text.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(
    "text",
    ['"', "\\", '\\"', "]]", "--[[", "\n", "\r\n", "\0", "1\0002", '"..os.execute("x").."', "\ud800", "é", "\\065"],
)
def test_hostile_texts(text):
    assert unquoted(lua.literal(text)) == text.encode("utf-8", "surrogatepass")


def test_values():
    assert lua.source({"a": [1, True, "x"], 2: {}}) == '{ ["a"] = { 1, true, "x" }, [2] = {} }'
    assert lua.source(()) == "{}"
    assert lua.source(1.25) == "1.25"
    for value in (None, float("nan"), float("inf"), b"x", object()):
        with pytest.raises(TypeError):
            lua.source(value)


def test_the_file_is_the_same_in_every_run_and_ascii():
    script = "import sys; from blynkscope.wireshark import dissector; sys.stdout.write(dissector())"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, timeout=60, check=True, env={"PYTHONHASHSEED": seed}
        )
        assert done.stdout == dissector().encode("ascii")


def test_every_row_and_status_is_in_it():
    text = dissector()
    for row in commands.COMMANDS:
        assert lua.literal(row.name) in text
        assert row.name.removeprefix("MSG_") in text
    for status in STATUSES.values():
        assert lua.literal(status.doc) in text


def test_every_body_has_a_layout_with_its_secrets():
    for row in commands.COMMANDS:
        layout = layout_of(row.body)
        assert layout.kind in {
            "empty",
            "whole",
            "operation",
            "target",
            "sync",
            "bridge",
            "pairs",
            "mail",
            "words",
            "packed",
        }
        assert all(name.isidentifier() for name in (*layout.names, layout.rest))


def test_no_word_of_lua_that_only_some_versions_have():
    text = re.sub(r'"(?:[^"\\]|\\.)*"|--[^\n]*', "", dissector())
    assert not re.search(r"\bbit32\b|//|\butf8\.|\bgoto\b|<const>|[^\[]&|[^=~<>]>>|<<|%z", text)
    assert not re.search(r"\bunpack\(", text.replace("table.unpack(", ""))
