"""A prompt stays below what is printed, and nothing of it reaches the terminal as a control."""

import io

import pyte

from blynkscope.render.screen import Screen


class Terminal(io.StringIO):
    def isatty(self):
        return True


def seen(terminal, columns=40):
    screen = pyte.Screen(columns, 12)
    pyte.Stream(screen).feed(terminal.getvalue().replace("\n", "\r\n"))
    return [line.rstrip() for line in screen.display], screen.cursor


def test_lines_appear_above_the_prompt(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    terminal = Terminal()
    screen = Screen(terminal, terminal, color=False)
    screen.prompt(["held", "[p]ass "])
    screen.write("row 1\n")
    screen.say("note \x1b[2J")
    screen.write("row 2\nrow 3\n")
    lines, cursor = seen(terminal)
    assert lines[:6] == ["row 1", "note \\x1b[2J", "row 2", "row 3", "held", "[p]ass"]
    assert (cursor.y, cursor.x) == (5, 7)
    screen.prompt(["one line", "vw V1", "cursor here"], 3)
    lines, cursor = seen(terminal)
    assert lines[4:8] == ["one line", "vw V1", "cursor here", ""]
    assert (cursor.y, cursor.x) == (6, 3)
    screen.close()
    assert seen(terminal)[0][4:7] == ["", "", ""]


def test_long_lines_are_cut_around_the_cursor(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    terminal = Terminal()
    screen = Screen(terminal, terminal, color=False)
    text = "".join(str(number % 10) for number in range(100))
    screen.prompt(["x" * 100, text], 50)
    lines, cursor = seen(terminal)
    assert len(lines[0]) == 39
    assert lines[1].startswith("…")
    assert lines[1][cursor.x - 1] == "9"
    assert lines[2] == ""
    screen.prompt([text], 0)
    assert seen(terminal)[1].x == 0


def test_an_output_that_is_no_terminal_is_left_alone():
    out, terminal = io.StringIO(), Terminal()
    screen = Screen(out, terminal, color=False)
    screen.prompt(["[p]ass"])
    screen.write("row\n")
    assert out.getvalue() == "row\n"
    assert not screen.isatty()
    assert terminal.getvalue().count("[p]ass") == 1
