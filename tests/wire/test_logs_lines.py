"""What stands in front of a line is taken off, and becomes time; glued lines are cut apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blynkscope.wire.logs import lines
from blynkscope.wire.logs.clock import Clock

MIDDAY = 43_200.0

PEELED = [
    ("[4353] <[06|00|01|00|00]", "<[06|00|01|00|00]", 4353, None, False),
    ("  [12] Ready", "Ready", 12, None, False),
    ("[12]<[06|00|01|00|00]", "<[06|00|01|00|00]", 12, None, False),
    ("12:00:00.500 -> [7] Ready", "Ready", 7, MIDDAY + 0.5, False),
    ("12:00:00.500->[7] Ready", "Ready", 7, MIDDAY + 0.5, False),
    ("12:00:00.500 -&gt; [7] Ready", "Ready", 7, MIDDAY + 0.5, False),
    ("12:00:00.500 →    ___  __", "   ___  __".lstrip(), None, MIDDAY + 0.5, False),
    ("12:00:00 -> ", "", None, MIDDAY, False),
    ("12:00:00 ->", "", None, MIDDAY, False),
    ("[12:00:00.250] [7] Ready", "Ready", 7, MIDDAY + 0.25, False),
    ("12:00:00.002 > [7] <[06|00|01|00|00]", "<[06|00|01|00|00]", 7, MIDDAY + 0.002, False),
    ("11:12:02.178 TRACE- Incoming", "TRACE- Incoming", None, 40322.178, False),
    ("2016/03/18 09:01:30 socat[3101] N exit", "socat[3101] N exit", None, 1458291690.0, True),
    ("2021-03-18T09:01:30.250Z hello", "hello", None, 1616058090.25, True),
    ("2021-03-18 09:01:30,250 - name - INFO - < 6 1 |", "< 6 1 |", None, 1616058090.25, True),
    ("[2021-03-18 09:01:30] hello", "hello", None, 1616058090.0, True),
    ("2021-03-18T10:01:30+01:00 hello", "hello", None, 1616058090.0, True),
    ("1795254022.249 LOG SEND", "SEND", None, 1795254022.249, True),
    ("30 Nov 12:00:00 - [info] x", "[info] x", None, 975585600.0, False),
    ("0|node-red | 30 Nov 12:00:00 - [info] x", "[info] x", None, 975585600.0, False),
    ("Nov 30 12:00:00 pi node[7]: > 6 1", "> 6 1", None, 975585600.0, False),
    ("blynk_1  | 12:00:00 -> [7] Ready", "Ready", 7, MIDDAY, False),
    ("I (1234) wifi: connected", "wifi: connected", 1234, None, False),
    ("—> Blynk Log: < Server Data", "< Server Data", None, None, False),
    ("> [7] <[06|00|01|00|00]", "<[06|00|01|00|00]", 7, None, False),
    ("- [7] Ready", "Ready", 7, None, False),
    ("**[7] Ready", "Ready", 7, None, False),
    ("INFO:root:Connecting", "Connecting", None, None, False),
    ("> d763", "> d763", None, None, False),
    ("> 0 1 | 200", "> 0 1 | 200", None, None, False),
    ("[1D|00|01|00|20]abc", "[1D|00|01|00|20]abc", None, None, False),
    ("[E][ssl_client.cpp:37] x", "[E][ssl_client.cpp:37] x", None, None, False),
    ("24:0a:c4:12:34:56", "24:0a:c4:12:34:56", None, None, False),
]


@pytest.mark.parametrize(("line", "text", "board", "wall", "dated"), PEELED)
def test_prefixes_are_taken_off(line, text, board, wall, dated):
    stamp = lines.peel(lines.clean(line))
    assert (stamp.text, stamp.board, stamp.wall, stamp.dated) == (text, board, wall, dated)


def test_a_blank_at_the_end_may_be_a_byte_and_stays():
    assert lines.peel("[4] >[02|00|01|00] ").text == ">[02|00|01|00] "


def test_text_that_was_not_made_into_html_stays():
    assert lines.clean("[1] <vw[00]1[00]&lt;") == "[1] <vw[00]1[00]&lt;"


def test_colours_and_html_are_undone():
    assert lines.clean("\x1b[0;32m[1] &lt;[06|00|01|00|00]\x1b[0m") == "[1] <[06|00|01|00|00]"


GLUED = [
    ("\u2e2e.t|\u2e2e\u2e2e(h\u2e2e[81] Connecting to x", ["\u2e2e.t|\u2e2e\u2e2e(h\u2e2e", "[81] Connecting to x"]),
    ("[1] <[06|00|01|00|00] [34] >[00|00|01|00|C8]", ["[1] <[06|00|01|00|00] ", "[34] >[00|00|01|00|C8]"]),
    ("[1934] Ready (ping: 4ms).[1935] Free RAM: 9", ["[1934] Ready (ping: 4ms).", "[1935] Free RAM: 9"]),
    ("[31240] <[0] ", ["[31240] <", "[0] "]),
    ("[1] <[14|00|02|00|0E]vw[00]1[00][100] Ready", ["[1] <[14|00|02|00|0E]vw[00]1[00][100] Ready"]),
    ("[1] >vw[00]1[00]Ready", ["[1] >vw[00]1[00]Ready"]),
    ("12:00:00 -> [81] Connecting to x", ["12:00:00 -> [81] Connecting to x"]),
    ("send: b'\\x14 [100] Ready'", ["send: b'\\x14 [100] Ready'"]),
]


@pytest.mark.parametrize(("line", "parts"), GLUED)
def test_glued_lines_are_cut(line, parts):
    assert lines.split_glued(line) == parts


@given(st.text(max_size=200))
def test_cutting_and_peeling_lose_nothing_and_raise_nothing(text):
    parts = lines.split_glued(lines.clean(text))
    assert "".join(parts) == lines.clean(text)
    for part in parts:
        assert part.endswith(lines.peel(part).text)


def _times(*texts):
    clock = Clock()
    return [clock.at(lines.peel(text)) for text in texts]


def test_the_boards_clock_counts_from_the_first_stamp():
    assert _times("boot", "[81] a", "[1092] b", "c") == [(None, False), (0.0, False), (1.011, False), (1.011, False)]


def test_the_boards_clock_is_preferred_to_the_terminals():
    assert _times("12:00:00 -> [100] a", "12:00:07 -> [350] b") == [(0.0, False), (0.25, False)]


def test_a_clock_that_falls_is_a_restart_and_time_goes_on():
    assert _times("[9000] a", "[9500] b", "[20] c", "[520] d")[2:] == [(0.5, True), (1.0, False)]


def test_the_outer_clock_tells_how_long_the_restart_took():
    assert _times("12:00:00 -> [9000] a", "12:00:04 -> [20] b")[1] == (4.0, True)


def test_lines_that_two_tasks_swapped_are_no_restart():
    assert _times("[1010] a", "[1000] b", "[1020] c") == [(0.0, False), (0.0, False), (0.01, False)]


def test_the_wrap_of_millis_is_no_restart():
    assert _times("[4294967290] a", "[4] b") == [(0.0, False), (0.01, False)]


def test_full_dates_are_seconds_since_the_epoch_and_others_are_relative():
    assert _times("2016/03/18 09:01:30 a", "2016/03/18 09:01:46 b") == [(1458291690.0, False), (1458291706.0, False)]
    assert _times("09:01:30 -> a", "09:01:46 -> b") == [(0.0, False), (16.0, False)]
    assert _times("28 Feb 23:59:59 - a", "29 Feb 00:00:01 - b")[1] == (2.0, False)


def test_a_wall_clock_goes_over_midnight():
    assert _times("23:59:58.000 -> a", "00:00:01.500 -> b")[1] == (3.5, False)


def test_another_boards_logger_does_not_restart_the_clock():
    assert _times("[16000] a", "E (900) BT: b", "[16500] c") == [(0.0, False), (0.0, False), (0.5, False)]


@given(st.lists(st.integers(0, 2**34), max_size=30))
def test_time_never_goes_back(stamps):
    times = [time for time, _ in _times(*(f"[{stamp}] x"[:30] for stamp in stamps)) if time is not None]
    assert times == sorted(times)
