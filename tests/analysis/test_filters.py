"""The filter language: what it lets through, and where it says that a mistake is."""

import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from talk import APP, TOKEN, Talk, begin, frame, ping, status, sync, write

from blynkscope.analysis import filters
from blynkscope.analysis.filters import (
    EXPRESSION_MAX,
    KEYS,
    NESTING_MAX,
    WORDS,
    compile_filter,
    field_names,
    point_at,
)
from blynkscope.errors import FilterError
from blynkscope.protocol import bodies, commands

# 1 login, 2 its answer, 3 a write, 4 a sync, 5 its answer, 6 a property, 7 refused, 8 info, 9 its answer, 10 a write of
# several values, 11 a write of the server, 12 a ping, 13 its answer, 14 a sync of two pins
TALK = (
    begin()
    .device(write(2, b"1", b"23.5"), sync(3, b"1"))
    .server(write(3, b"1", b"23.5"))
    .device(frame(19, 4, b"2", b"color", b"#ff0000"))
    .server(status(4, 11))
    .device(frame(17, 5, b"ver", b"1.0.1", b"h-beat", b"45"))
    .server(status(5), after=0.25)
    .device(write(6, b"12", b"a", b"Hello World", b"0x10"))
    .server(write(111, b"5", b"7"))
    .device(ping(7))
    .server(status(7))
    .device(sync(8, b"1", b"12"))
    .ack(0)
    .device(write(9, b"1", b"-4"))
    .close()
)


def matching(expression, talk=TALK):
    predicate = compile_filter(expression)
    return [record.n for record in talk.frames if predicate(record)]


@pytest.mark.parametrize(
    ("expression", "frames"),
    [
        ("cmd == 29", [1]), ("cmd == 0x1d", [1]), ("cmd == MSG_HW_LOGIN", [1]), ("cmd == hw_login", [1]),
        ("cmd == HW", [3, 5, 10, 11, 15]), ("cmd == HARDWARE", [3, 5, 10, 11, 15]), ("cmd == BLYNK_CMD_HARDWARE", [3, 5, 10, 11, 15]),
        ("cmd != HW and cmd != RESPONSE", [1, 4, 6, 8, 12, 14]), ("cmd in {LOGIN, HW_LOGIN, PING}", [1, 12]),
        ("cmd in {6, 29}", [1, 12]), ("name == MSG_PING", [12]), ("name == ping", [12]), ("name contains sync", [4, 14]),
        ("name ~ '^MSG_HW$'", [3, 5, 10, 11, 15]), ("cmd > 20", [1]), ("cmd >= HW and cmd <= 20", [3, 5, 10, 11, 15]),
        ("status == 200", [2, 9, 13]), ("status == OK", [2, 9, 13]), ("status == STA_SUCCESS", [2, 9, 13]),
        ("status == ILLEGAL_COMMAND_BODY", [7]), ("status != 200", [7]), ("error", [7]),
        ("status and status != SUCCESS", [7]), ("answer", [2, 5, 7, 9, 13]), ("answers == 4", [5]), ("answers", [2, 5, 7, 9, 13]),
        ("pin == V1", [3, 4, 5, 14, 15]), ("pin == v1", [3, 4, 5, 14, 15]), ("pin in {V5, V12}", [10, 11, 14]), ("pin == V2", [6]),
        ("value == 23.5", [3, 5]), ("value == 23.50", [3, 5]), ("value > 20", [3, 5]), ("value < 0", [15]),
        ("value == 'Hello World'", [10]), ('value contains "hello"', [10]), ("value == 16", [10]), ("value == -4", [15]),
        ("value ~ 'h.llo w'", [10]), ("sender == device", [1, 3, 4, 6, 8, 10, 12, 14, 15]), ("sender == server and not answer", [11]),
        ("n <= 2", [1, 2]), ("n == 1 or n == 3", [1, 3]), ("n in {1, 2, 3}", [1, 2, 3]), ("id == 111", [11]),
        ("rtt_ms < 500", [9]), ("rtt_ms == 250", [9]), ("length == 0", [12]), ("stream == 1 && n > 14", [15]),
        ("stream == 2", []), ("dialect == hardware and n < 2", [1]), ("via == tcp and n < 2", [1]), ("src contains ':8080'", [2, 5, 7, 9, 11, 13]),
        ("write", [3, 10, 11, 15]), ("sent", [3, 10, 11, 15]), ("write == sent", [3, 10, 11, 15]), ("confirmed", []),
        ("not write", [1, 2, 4, 5, 6, 7, 8, 9, 12, 13, 14]), ("not not write", [3, 10, 11, 15]), ("! write && ! answer", [1, 4, 6, 8, 12, 14]),
        ("property == color", [6]), ("ver == 1.0.1", [8]), ("ver in {1.0, 1.0.1}", [8]), ("src == 192.0.2.2:8080 and n < 3", [2]), ("h-beat == 45", [8]), ("fields.h-beat > 40", [8]), ("h-beat", [8]),
        ("op == vw", [3, 5, 10, 11, 15]), ("token", [1]), (f"token == {TOKEN.decode()!r}", [1]), ("text contains 'V1 ='", [3, 5, 15]),
        ("body contains 766c", []), ("body contains 7677", [3, 5, 10, 11, 15]), ("findings", []), ("fields.nothing_of_the_kind", []),
        ("fields.nothing_of_the_kind == 5", []), ("fields.nothing_of_the_kind != 5", []), ("(n == 1)", [1]), ("((n == 1) or (n == 2)) and not n == 2", [1]),
        ("n == 1 or n == 2 and n == 3", [1]), ("NOT write AND n < 3", [1, 2]), ("time >= 0 and n == 1", [1]),
        ("status_name == STA_SUCCESS", [2, 9, 13]), ("pin != V1", [6, 10, 11]),
        ("write != passed", [3, 10, 11, 15]), ("write != sent", []), ("not write == sent", [1, 2, 4, 5, 6, 7, 8, 9, 12, 13, 14]),
        ("ver != 2", [8]), ("findings != BS301", []), ("rtt_ms != 250 and n < 8", [2, 5, 7]), ("answers != 4 and answer", [2, 7, 9, 13]),
        ("answers == null and sender == server", [11]), ("answers != null", [2, 5, 7, 9, 13]), ("answers != NONE", [2, 5, 7, 9, 13]),
        ("status == none", [1, 3, 4, 5, 6, 8, 10, 11, 12, 14, 15]), ("status != null", [2, 7, 9, 13]), ("status in {null, 11} and n < 8", [1, 3, 4, 5, 6, 7]),
        ("pin == null", [1, 2, 7, 8, 9, 12, 13]), ("findings != null", []), ("fields.h-beat != null", [8]), ("value == 'null'", []), ("text == null", []),
        ("cmd == MSG_?6", [12]), ("cmd == msg_?29", [1]), ("cmd in {MSG_?6, HW_LOGIN}", [1, 12]), ("status == STA_?11", [7]), ("status != STA_?200", [7]), ("name == MSG_?99", []),
        ("fields.pin == V5", [11]), ("fields.value == 7", [11]), ("values == 7", [11]), ("pins == V5", [11]), ("fields.property == color", [6]), ("mode == out", []),
    ],
)  # fmt: skip
def test_what_it_lets_through(expression, frames):
    assert matching(expression) == frames


def test_findings_and_apps():
    talk = Talk().device(frame(2, 1, b"a@b.c", b"hash", head=APP)).server(status(1, 9, APP))
    talk.device(write(2, b"1", b"5", head=APP, target=[b"1-0"]))
    assert matching("sender == app and dialect == app", talk) == [1, 3]
    assert matching("target == 1-0 and pin == V1", talk) == [3]
    refused = Talk().device(frame(29, 1, TOKEN)).server(status(1, 9))
    assert matching("findings == BS201", refused) == [2]
    assert matching("findings contains bs2", refused) == [2]
    assert matching("status == INVALID_TOKEN", refused) == [2]


def test_every_key_and_word_is_understood():
    for word in (*KEYS, *WORDS, *field_names()):
        assert all(isinstance(one, int) for one in matching(word))
    for key in (*KEYS, *field_names()):
        assert isinstance(matching(f"{key} == 1"), list)
        assert isinstance(matching(f'{key} ~ "x"'), list)


def test_every_key_that_a_body_may_have_is_known():
    """Whatever bodies are made of, the keys of their fields may be written bare."""
    for row in commands.COMMANDS:
        if row.body is bodies.INTERNAL:
            continue
        for body in (b"1\0" * 9, b"vw\x001\x002", b"pm\x001\0out", b"i\0t", b"1\0i\0t", b"a@b.c\0x", b"{}", zlib.compress(b"{}"),
                     zlib.compress(b"{}")[:-1], b"x", b"1\0{}\0x", b"1-0\0vw\x001\x002", b"a\0b\0c"):  # fmt: skip
            fields, _ = row.body.decode(body)
            assert set(fields or ()) <= field_names() | KEYS.keys() | {"text"}, row.name


def test_unknown_codes_have_the_names_that_the_table_shows():
    talk = begin().device(frame(99, 2, b"x")).server(status(2, 30)).close()
    assert [record.name for record in talk.frames][2] == "MSG_?99"
    for expression in ("cmd == MSG_?99", "name == MSG_?99", "name contains MSG_?", "cmd in {MSG_?99}"):
        assert matching(expression, talk) == [3]
    for expression in ("status == STA_?30", "status_name == STA_?30", "status_name == sta_?30"):
        assert matching(expression, talk) == [4]


def test_modes_of_pins():
    talk = begin().server(frame(20, 2, b"pm", b"1", b"out", b"2", b"in"), frame(20, 3, b"pm", b"1"))
    assert matching("mode == in", talk) == [3]
    assert matching("mode == null and op == pm", talk) == [4]


def test_devices_may_name_their_keys_as_they_like():
    talk = begin().device(
        frame(17, 2, b"pins", b"V1"), frame(17, 3, b"pin", b"V1"), frame(17, 4, b"values", b"12", b"pins", b"a", b"pins", b"b"),
        frame(17, 5, b"values"), frame(17, 6, b"mode"), frame(17, 7, b"acked", b"yes"),
    )  # fmt: skip
    assert matching("pin == V1", talk) == [4]
    assert matching("value == 12", talk) == [5]
    assert matching("mode", talk) == []
    assert matching("fields.acked == yes", talk) == [8]


@pytest.mark.parametrize(
    ("expression", "about"),
    [
        ("confirmed", True), ("pin == V1 and not lost", True), ("write == sent", True), ("write", True), ("n == 1 or (not passed)", True),
        ("pin == V1", False), ("text contains confirmed", False), ("value == lost", False), ("error", False), ("fields.write == 1", False),
    ],
)  # fmt: skip
def test_whether_it_is_about_the_states_of_writes(expression, about):
    assert compile_filter(expression).about_states is about


@pytest.mark.parametrize(
    ("expression", "position", "said"),
    [
        ("", 0, "empty"), ("   ", 3, "empty"), ("cmd ==", 6, "value is expected"), ("cmd = 5", 4, "compare with =="),
        ("cmd == NONSENSE", 7, "no command"), ("status == NONSENSE", 10, "no status"), ("(n == 1", 7, "parenthesis"),
        ("n == 1)", 6, "not expected"), ("n == 1 n == 2", 7, "join"), ("and", 0, "key is expected"), ("n == 1 and in", 11, "key is expected"), ("n == 1 and", 10, "ends"), ("== 5", 0, "key is expected"),
        ("5 == n", 0, "key is expected"), ("n in 5", 5, "list"), ("n in {1", 7, "end with }"), ("n in {1,}", 8, "value is expected"),
        ("n in {}", 6, "value is expected"), ("text == 'open", 8, "quote"), ('text == "open', 8, "quote"), ("text ~ '('", 7, "regular expression"),
        ("text ~ '[z-a]'", 7, "regular expression"), ("cmd == 'x\\", 7, "quote"), ("n == 1 § n", 7, ""), ("MSG_HW", 0, "compare it"),
        ("HARDWARE and n", 0, "compare it"), ("not", 3, "ends"), ("n == (1)", 5, "value is expected"),
        ("x" * (EXPRESSION_MAX + 1), EXPRESSION_MAX, "longer than"), ("(" * (NESTING_MAX + 1) + "n" + ")" * (NESTING_MAX + 1), NESTING_MAX, "nested"),
        ("foo == 1", 0, "no such key: foo; `blynkscope filters` lists them. Any key of a body can be written fields.foo"),
        ("n == 1 and confirmd", 11, "did you mean confirmed"), ("statsu == 200", 0, "did you mean status"), ("propertty == color", 0, "did you mean property"),
        ("CMD == 5", 0, "did you mean cmd"), ("not acked", 4, "written fields.acked"), ("fields == 1", 0, "fields.KEY"), ("fields.", 0, "no such key"),
        ("parts", 0, "no such key"), ("null", 0, "no such key"), ("k" * 5000, 0, "k" * 40 + "…"), ("ping", 0, "cmd == ping"), ("STA_TIMEOUT", 0, "status == STA_TIMEOUT"),
        ("INVALID_TOKEN == 1", 0, "status == INVALID_TOKEN"), ("MSG_?99", 0, "cmd == MSG_?99"), ("STA_?30 == 1", 0, "status == STA_?30"),
        ("confirmed == 1", 0, "alone"), ("n == 1 or error != true", 10, "alone"), ("n < null", 4, "== or !="), ("cmd == STA_?30", 7, "no command"),
        ("status == MSG_?30", 10, "no status"), ("cmd == 0x", 7, ""), ("cmd == 99999999999", 7, "no command"),
    ],
)  # fmt: skip
def test_mistakes_are_shown_where_they_are(expression, position, said):
    with pytest.raises(FilterError) as caught:
        compile_filter(expression)
    assert said in str(caught.value)
    assert caught.value.position == position
    assert caught.value.exit_code == 2
    shown = point_at(caught.value).splitlines()
    assert "^" in shown[1]
    assert len(shown[0]) < 130


def test_nesting_and_length_within_the_limits():
    depth = NESTING_MAX - 1
    assert matching("(" * depth + "n == 1" + ")" * depth) == [1]
    assert matching("not " * 1000 + "n == 1") == [1]
    assert matching(" or ".join(["n == 1"] * 900)) == [1]


def test_values_that_are_hard_to_compare():
    talk = begin().device(
        write(2, b"1", b"nan"), write(3, b"1", b"9" * 5000), write(4, b"1", b"inf"), write(5, b"1", b"1e999"),
        write(6, b"1", b"\xff"), write(7, b"1", b"0x"), write(8, b"1", b"\xd9\xa1"), write(9, b"1", b""),
    )  # fmt: skip
    for expression in (
        "value > 5",
        "value == nan",
        "value < inf",
        "value != 0",
        "value in {1, x}",
        "value contains 9",
        "value ~ '9+'",
    ):
        assert isinstance(matching(expression, talk), list)


text = st.text(max_size=60) | st.lists(
    st.sampled_from(
        ["cmd", "n", "pin", "value", "text", "write", "==", "!=", "<", "~", "in", "contains", "and", "or", "not", "(", ")", "{", "}",
         ",", "5", "V1", "'x'", '"("', "HW", "0x1d", "-", "!", "&&", "||", "fields.a", "fields.", "null", "none", "MSG_?99", "STA_?30", "lost", "ver", "foo", "é", "\\", "'", "1.5", "²"]
    ),
    max_size=14,
).map(" ".join)  # fmt: skip


@settings(deadline=None, max_examples=600)
@given(text)
@example("cmd == ²")
@example("cmd == \u0661")
@example("n == 1e5")
@example("text ~ 'a{99999999999}'")
@example("text ~ '" + "(" * 200 + ")" * 200 + "'")
def test_no_other_exception_on_any_text(expression):
    try:
        predicate = compile_filter(expression)
    except FilterError as error:
        mistake = error
    else:
        mistake = None
    if mistake is not None:
        assert 0 <= mistake.position <= len(expression)
        assert "^" in point_at(mistake)
        return
    for record in TALK.frames:
        assert predicate(record) in {True, False}


@pytest.mark.parametrize(
    "expression", ["text ~ '(?P<a>'", "text ~ '*'", "text ~ '(?i'", "text ~ 'a{2,1}'", "text ~ '(?L)x'"]
)
def test_expressions_that_python_refuses(expression):
    with pytest.raises(FilterError, match="regular expression"):
        compile_filter(expression)


def test_the_text_that_an_expression_sees_is_bounded():
    talk = begin().device(write(2, b"1", b"x" * 60_000 + b"end"))
    assert matching("value ~ 'end$'", talk) == []
    assert matching("value ~ '^x+$'", talk) == [3]
    assert filters.PATTERN_TEXT_MAX < 60_000
