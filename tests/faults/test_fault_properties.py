"""Any frames through any rules: nothing raises, what no rule matches is verbatim and in order, all is bounded."""

import math

from fault_play import Play, frame, parts_of
from hypothesis import given, settings
from hypothesis import strategies as st

from blynkscope.analysis.filters import field_names
from blynkscope.faults import load
from blynkscope.faults.edit import UNWRITABLE, WRITABLE, Unfit, replaced
from blynkscope.faults.lane import ASIDE_BYTES_MAX, QUEUE_BYTES_MAX
from blynkscope.faults.model import Replace
from blynkscope.protocol.model import Dialect

BOUND = 2 * (QUEUE_BYTES_MAX + 2 * ASIDE_BYTES_MAX) + 2 * 70_000
"""Both directions; a merge is sent once it has passed its limit, by at most one frame."""

_CONDITIONS = st.lists(
    st.sampled_from(
        ["direction = 'to-server'", "direction = 'to-device'", "after = 1", "every = 2", "count = 2", "probability = 0.4",
         "from = 2", "until = 9", "answers = ['PING', 'HW', 'INTERNAL']", "connection = [1, 2]"]
    ),
    max_size=3, unique_by=lambda line: line.split()[0],
)  # fmt: skip
_EDITS = st.lists(
    st.sampled_from(
        ["replace = { value = '99' }", "replace = { pin = 'V9', op = 'dw' }", "body = ['vw', 1, 2]", "body = { hex = 'ff00' }",
         "replace = { host = 'h', port = '1' }", "replace = { 'fields.ver' = 'x' }", "replace = { text = '\u00fc' }"]
    ),
    max_size=2, unique_by=lambda line: line.split()[0],
)  # fmt: skip
_DAMAGE = st.lists(
    st.sampled_from(["truncate = 4", "corrupt = true", "corrupt = { offset = -2 }"]), max_size=2,
    unique_by=lambda line: line.split()[0],
)  # fmt: skip
_SENDING = st.sampled_from(
    [[], ["duplicate = 3"], ["split = true"], ["split = { size = 3, gap = 0.3 }"], ["merge = 3"], ["reorder = true"],
     ["merge = { frames = 40, within = 30 }", "duplicate = 1"], ["reorder = { frames = 9, within = 20 }", "split = 2"]]
)  # fmt: skip
_DELAY = st.sampled_from([[], [], ["delay = 0.5"], ["delay = { seconds = 1, jitter = 3 }"], ["delay = 60"]])
_ANSWER = st.sampled_from(
    [[], [], ["answer = { status = 9 }", "forward = true"],
     ["answer = [{ redirect = 'h:1' }, { cmd = 6, delay = 2 }]", "forward = true"]]
)  # fmt: skip
_STALL = st.sampled_from([[], [], ["stall = 4"], ["stall = { seconds = 2, direction = 'both' }"]])
_MILD = st.builds(
    lambda *parts: [line for part in parts for line in part], _EDITS, _DAMAGE, _SENDING, _DELAY, _ANSWER, _STALL
).map(lambda lines: lines or ["pass = true"])
_GONE = st.builds(
    lambda *parts: [line for part in parts for line in part],
    st.sampled_from([["drop = true"], ["answer = { status = 1 }"], ["status = 'QUOTA_LIMIT'"]]),
    _DELAY,
    _STALL,
)
_HARSH = st.sampled_from(
    [["close = true"], ["reset = true", "delay = 1"], ["drop = true", "close = true"], ["stall = true"],
     ["stall = { direction = 'both' }", "delay = 2"], ["answer = { status = 9, delay = 1 }", "close = true"]]
)  # fmt: skip


def _rules(actions):
    return st.lists(st.tuples(_CONDITIONS, actions), min_size=1, max_size=4).map(
        lambda rules: "".join(
            "\n".join(["[[rule]]", "match = 'id < 1000'", *conditions, *done, ""]) for conditions, done in rules
        )
    )


_BODIES = st.sampled_from(
    [b"", b"vw\x001\x005", b"vr\x001\x002", b"pm\x001\0in", b"ver\x001\0h-beat\x0010\0", b"ota\0http://x/", b"a\0b\0c",
     b"host\x0080", b"\xff\xfe\0", b"\0\0\0", b"i\0token", b"x" * 30_000]
)  # fmt: skip
_CMDS = st.sampled_from([0, 2, 6, 13, 14, 15, 16, 17, 19, 20, 20, 20, 29, 41, 55, 64, 200])
_STEPS = st.lists(
    st.tuples(st.integers(0, 1), _CMDS, st.booleans(), st.integers(1, 9), _BODIES | st.binary(max_size=12),
              st.sampled_from([0.0, 0.01, 0.5, 3.0])),
    max_size=40,
)  # fmt: skip


def _session(text, steps, seed=1):
    """Play it; gives the play, and the frames of each direction that no rule may touch."""
    play = Play(load(text), seed=seed)
    untouched = ([], [])
    for index, (direction, cmd, free, number, body, after) in enumerate(steps):
        made = (
            frame(cmd, 1000 + index if free else number, body)
            if cmd
            else b"\0" + ((1000 + index if free else number).to_bytes(2) + number.to_bytes(2))
        )
        assert parts_of(made)[0] == cmd
        play.say(direction, made, after=after)
        if play.ended is None and free:
            untouched[direction].append(made)
        assert play.injector.held <= BOUND
    return play, untouched


@settings(max_examples=300, deadline=None)
@given(_rules(_MILD | _GONE), _STEPS)
def test_what_no_rule_matches_is_verbatim_and_in_order(text, steps):
    play, untouched = _session(text, steps)
    play.wait(10_000)
    for direction in (0, 1):
        arrived = [data for _, data in play.sent[direction]]
        assert [data for data in arrived if data in set(untouched[direction])] == untouched[direction]
        times = [time for time, _ in play.sent[direction]]
        assert times == sorted(times)
        assert not play.injector.pending(direction)
    assert play.injector.held == 0
    assert not play.timers


@settings(max_examples=200, deadline=None)
@given(_rules(_MILD | _GONE | _HARSH), _STEPS)
def test_connections_that_end_or_stall_lose_only_what_comes_later(text, steps):
    play, untouched = _session(text, steps)
    play.wait(10_000)
    for direction in (0, 1):
        arrived = [data for _, data in play.sent[direction] if data in set(untouched[direction])]
        assert arrived == untouched[direction][: len(arrived)]
    play.injector.closed()
    assert play.injector.held == 0


@settings(max_examples=100, deadline=None)
@given(_rules(_MILD | _GONE | _HARSH), _STEPS, st.integers(0, 2**40))
def test_the_same_seed_gives_the_same_commands(text, steps, seed):
    assert _session(text, steps, seed)[0].log == _session(text, steps, seed)[0].log


_NAMES = [*sorted((field_names() | WRITABLE) - UNWRITABLE), "fields.odd", "fields.ver", "fields._io"]
_TEXTS = st.lists(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8), min_size=1, max_size=3
)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(Dialect), st.integers(1, 255), _BODIES | st.binary(max_size=40),
    st.dictionaries(st.sampled_from(_NAMES), _TEXTS, min_size=1, max_size=3),
)  # fmt: skip
def test_any_body_takes_an_edit_or_says_why_not(dialect, cmd, body, fields):
    edit = Replace(tuple((name, tuple(values)) for name, values in fields.items()))
    made = why = None
    try:
        made = replaced(dialect, cmd, body, edit)
    except Unfit as unfit:
        why = str(unfit)
    assert (made is None) is (why is not None)
    if made is not None and len(fields) == 1:
        ((_, values),) = fields.items()
        assert all(value.removeprefix(value[:1]).encode() in made for value in values)
        assert replaced(dialect, cmd, made, edit) == made


def test_a_long_run_holds_no_more_than_it_may():
    rules = "[[rule]]\nmatch = 'id < 1000'\nmerge = { frames = 1000, within = 3600 }\n[[rule]]\ndelay = 3600\n"
    rules += "[[rule]]\nmatch = 'cmd == PING'\nreorder = { frames = 1000, within = 3600 }\n"
    play = Play(load(rules))
    highest = 0
    for index in range(3000):
        play.say(index % 2, frame(20, 1 + index % 1500, b"vw", b"1", b"x" * 4000), after=0.001)
        highest = max(highest, play.injector.held)
    assert highest <= BOUND
    assert math.isfinite(play.wait(8000).time)
    assert play.injector.held == 0
