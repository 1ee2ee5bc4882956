"""Frames wait for a person: single keys pass, edit, drop and inject; only their direction waits."""

import asyncio
import struct

import pytest

from blynkscope.cli.intercept import HELD_MAX, Interception
from blynkscope.cli.intercept_line import Line, keys_of
from blynkscope.errors import FilterError
from blynkscope.faults.model import Applied, Pass, Send
from blynkscope.protocol.model import Dialect
from blynkscope.proxy import Held


class Screen:
    def __init__(self):
        self.lines, self.cursor, self.said = (), None, []

    def prompt(self, lines, cursor=None):
        self.lines, self.cursor = lines, cursor

    def say(self, text):
        self.said.append(text)

    @property
    def text(self):
        return "\n".join(self.lines)


def held(cmd=20, number=7, body=b"vw\x001\x0042", word=None, dialect=Dialect.HARDWARE):
    word = len(body) if word is None else word
    wire = struct.pack(">BHH", cmd, number, word) + body
    return Held(dialect, cmd, number, word, body, wire, 100.0)


class Kept:
    """An interception, and what it decided."""

    def __init__(self, expression="cmd == MSG_HW"):
        self.screen = Screen()
        self.gate = Interception(expression, self.screen)
        self.gate.connections = lambda: {3: None}
        self.sent = []
        self.gate.inject = lambda *arguments: self.sent.append(arguments) or True
        self.tasks = []

    async def hold(self, frame=None, connection=3, direction=0):
        frame = frame or held()
        assert self.gate.wants(connection, direction, frame)
        task = asyncio.ensure_future(self.gate.decide(connection, direction, frame))
        self.tasks.append(task)
        await asyncio.sleep(0)
        return task

    def press(self, keys):
        for key in keys_of(keys):
            self.gate.key(key)


def play(function, expression="cmd == MSG_HW"):
    async def main():
        kept = Kept(expression)
        await asyncio.wait_for(function(kept), 30)

    asyncio.run(main())


def test_only_what_matches_waits():
    kept = Kept("cmd == MSG_HW and pin == V1 and sender == device")
    assert kept.gate.wants(3, 0, held())
    assert not kept.gate.wants(3, 1, held())
    assert not kept.gate.wants(3, 0, held(body=b"vw\x002\x0042"))
    assert not kept.gate.wants(3, 0, held(cmd=6, body=b""))
    with pytest.raises(FilterError):
        Kept("cmd ==")


def test_keys_pass_and_drop():
    async def talk(kept):
        first, second = await kept.hold(), await kept.hold(direction=1)
        assert "held → server · stream 3 · MSG_HW #7 V1 = 42   (1 more)" in kept.screen.text
        kept.press("p")
        assert await first == [Pass()]
        assert "held → device" in kept.screen.text
        kept.press("d")
        (applied,) = await second
        assert isinstance(applied, Applied)
        assert (applied.rule, applied.action, applied.direction) == ("intercept", "drop", 1)
        await asyncio.sleep(0)
        assert "holding cmd == MSG_HW" in kept.screen.text
        kept.press("pdex")  # nothing waits

    play(talk)


def test_what_is_injected_is_told_and_its_answer_ends_here():
    async def talk(kept):
        told = []
        kept.gate.injected = lambda *arguments: told.append(arguments)
        kept.press("isping\r")
        ((_, _, data),) = kept.sent
        ((connection, direction, _, detail),) = told
        assert (connection, direction, detail["action"], detail["command"]) == (3, 0, "inject", data[0])
        number = detail["id"]
        assert number == int.from_bytes(data[1:3])
        answer = held(0, number, b"", word=200)
        assert not kept.gate.wants(4, 1, answer)
        assert not kept.gate.wants(3, 0, answer)
        assert not kept.gate.wants(3, 1, held(0, number + 1, b"", word=200))
        assert kept.gate.wants(3, 1, answer)
        (applied,) = await kept.gate.decide(3, 1, answer)
        assert (applied.action, applied.direction) == ("swallow", 1)
        assert "status 200" in applied.detail
        assert not kept.gate.wants(3, 1, answer)  # only once

    play(talk)


def test_answers_to_frames_that_were_typed_as_hex_end_here_too():
    async def talk(kept):
        kept.press("ishex 06 00 09 00 00 00 00 08 00 c8 06 00 0a 00 00 06 00\r")
        for number, wanted in ((9, True), (10, True), (8, False), (6, False)):
            assert kept.gate.wants(3, 1, held(0, number, b"", word=200)) is wanted
        (applied,) = await kept.gate.decide(3, 1, held(0, 9, b"", word=200))
        assert applied.action == "swallow"

    play(talk)


def test_an_id_that_the_other_side_uses_itself_is_its_own_again():
    async def talk(kept):
        kept.press("ishex 06 00 09 00 00\r")
        assert not kept.gate.wants(3, 1, held(6, 9, b""))  # a question of the server has nothing to do with it
        assert kept.gate.wants(3, 1, held(0, 9, b"", word=200))
        assert not kept.gate.wants(3, 0, held(6, 9, b""))
        assert not kept.gate.wants(3, 1, held(0, 9, b"", word=200))

    play(talk)


def test_apps_get_an_example_of_their_own():
    async def talk(kept):
        frame = Held(Dialect.APP, 6, 1, 0, b"", struct.pack(">BHI", 6, 1, 0), 100.0)
        assert not kept.gate.wants(3, 0, frame)
        kept.press("id")
        assert "to the device of stream 3 (HW 1-0 vw 1 42, ping, hex …)" in kept.screen.text
        kept.press("\x1bis")
        kept.press("hex 06 00 09 00 00 00 00\r")
        assert kept.gate.wants(3, 1, Held(Dialect.APP, 0, 9, 200, b"", struct.pack(">BHI", 0, 9, 200), 100.0))

    play(talk)


def test_a_body_is_edited():
    async def talk(kept):
        task = await kept.hold()
        kept.press("e")
        assert kept.screen.lines[-1].endswith(r"vw\01\042")
        assert kept.screen.cursor == len(kept.screen.lines[-1])
        kept.press("\x7f\x7f99\r")
        send, applied = await task
        assert send == Send(0, struct.pack(">BHH", 20, 7, 7) + b"vw\x001\x0099")
        assert applied.action == "edit"

    play(talk)


def test_a_body_as_hex_and_a_mistake_in_it():
    async def talk(kept):
        task = await kept.hold(held(body=b"\xff\xfe\xfd\xfc\xfb"))
        kept.press("e")
        assert kept.screen.lines[-1].endswith("hex ff fe fd fc fb")
        kept.press("\x01\x0bhex 76 zz\r")
        assert "!" in kept.screen.text
        assert not task.done()
        kept.press("\x7f\x7f77\r")
        assert (await task)[0].data[5:] == b"vw"

    play(talk)


def test_an_edit_is_left_and_one_that_changes_nothing_passes():
    async def talk(kept):
        task = await kept.hold()
        kept.press("e999")
        kept.press("\x1b")
        assert "[p]ass" in kept.screen.text
        kept.press("e\r")
        assert await task == [Pass()]

    play(talk)


def test_the_status_of_an_answer_is_edited():
    async def talk(kept):
        task = await kept.hold(held(cmd=0, body=b"", word=200), direction=1)
        kept.press("e\x7f\x7f\x7fx\r")
        assert "write a number" in kept.screen.text
        kept.press("\x7f70000\r")
        assert "does not fit" in kept.screen.text
        kept.press("\x15\x7f\x7f\x7f\x7f\x7f9\r")
        assert (await task)[0] == Send(1, struct.pack(">BHH", 0, 7, 9))

    play(talk, "cmd == MSG_RSP")


def test_frames_are_injected():
    async def talk(kept):
        kept.press("id" + "vw V1 42\r")
        kept.press("is" + "vr V1\r")
        kept.press("isvw Vx 1\r")
        kept.press("ix")
        assert kept.sent == [
            (3, 1, struct.pack(">BHH", 20, 40001, 7) + b"vw\x001\x0042"),
            (3, 0, struct.pack(">BHH", 16, 30001, 4) + b"vr\x001"),
            (3, 0, struct.pack(">BHH", 20, 30002, 7) + b"vw\x00Vx\x001"),
        ]
        assert "no pin number" in kept.screen.said[0]
        kept.press("idfly\r")
        assert "no command 'fly'" in kept.screen.text
        kept.gate.inject = lambda *arguments: False
        kept.press("\x1bidping\r")
        assert "stream 3 is not open" in kept.screen.text
        kept.gate.connections = dict
        kept.press("\x1bi")
        assert "no connection is open" in kept.screen.text

    play(talk)


def test_injected_frames_speak_as_the_connection_does():
    async def talk(kept):
        task = await kept.hold(held(dialect=Dialect.APP))
        kept.press("idping\r")
        assert kept.sent == [(3, 1, b"\x06" + (40001).to_bytes(2, "big") + bytes(4))]
        kept.press("p")
        await task

    play(talk)


def test_all_go_on_and_are_held_again():
    async def talk(kept):
        tasks = [await kept.hold(connection=number) for number in (1, 2, 3)]
        kept.press("c")
        assert [await task for task in tasks] == [[Pass()]] * 3
        assert not kept.gate.wants(3, 0, held())
        assert "[h]old again" in kept.screen.text
        kept.press("h")
        assert kept.gate.wants(3, 0, held())

    play(talk)


def test_what_is_shown_has_no_secrets():
    from blynkscope.render.redact import Redactor

    async def talk(kept):
        kept.gate._hide = Redactor().apply
        token = b"6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"
        task = await kept.hold(held(cmd=29, body=token))
        assert "MSG_HW_LOGIN #7 token tok:" in kept.screen.text
        assert token.decode() not in kept.screen.text
        kept.press("p")
        await task

    play(talk, "cmd == MSG_HW_LOGIN")


def test_quitting_lets_everything_pass():
    async def talk(kept):
        ended = []
        kept.gate.quit = lambda: ended.append(1)
        task = await kept.hold()
        kept.press("q")
        assert await task == [Pass()]
        assert ended

    play(talk)


def test_a_connection_that_ends_takes_its_frame_with_it():
    async def talk(kept):
        first, second = await kept.hold(), await kept.hold(connection=4)
        kept.press("e")
        first.cancel()
        await asyncio.sleep(0)
        assert "stream 4" in kept.screen.text
        assert "[p]ass" in kept.screen.text
        kept.press("p")
        assert await second == [Pass()]

    play(talk)


def test_what_waits_is_bounded():
    kept = Kept()
    kept.gate._waiting = [None] * HELD_MAX
    assert not kept.gate.wants(3, 0, held())


def test_keys_of_a_terminal():
    assert keys_of("a\x1b[D\x1bOC\x1b[3~\x1b[1;5H\x7f\r\x1b") == ["a", "left", "right", "delete", "home", "back", "enter", "escape"]  # fmt: skip
    assert keys_of("\x1b[99x\x00é") == ["", "", "é"]


def test_a_line_is_edited_and_bounded():
    line = Line("ac", longest=4)
    for key in ["left", "b", "end", "d", "e", "home", "delete", "right", "back", "", "up"]:
        line.key(key)
    assert (line.text, line.cursor) == ("cd", 0)
    line.key("end")
    line.key("clear")
    assert (line.text, line.cursor) == ("", 0)
