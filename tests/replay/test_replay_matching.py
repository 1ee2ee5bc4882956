"""Matching: which frame of now stands for which recorded one."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from replaying import heard, line_of

from blynkscope.protocol.model import Dialect
from blynkscope.replay.comparing import Heard, compare
from blynkscope.replay.matching import EXTRAS_MAX, Matching
from blynkscope.replay.model import Said


def run(line, *frames, asked=None):
    """Send all requests, hear frames, end; gives (verdict, recorded number, fields that differ)."""
    matching = Matching(line)
    for said in line.frames:
        if said.client and (asked is None or said.n in asked):
            matching.sent(said, 0.0)
    outcomes = [outcome for frame in frames if (outcome := matching.heard(frame)[0]) is not None]
    outcomes += matching.finish()
    return [(one.verdict.value, one.n, [difference.field for difference in one.differences]) for one in outcomes]


NOW = 1_800_000_000
PING, PROPERTY = (True, 6, 2, b"", None), (True, 19, 3, b"1\0label\0x", None)
ASKED = line_of(PING, PROPERTY, (False, 0, 2, 200, 1), (False, 0, 3, 200, 2))


def test_answers_are_found_by_id_in_any_order():
    assert run(ASKED, heard(0, 3, 200), heard(0, 2, 200)) == [("equal", 4, []), ("equal", 3, [])]


def test_another_status_is_a_difference():
    assert run(ASKED, heard(0, 2, 200), heard(0, 3, 11)) == [("equal", 3, []), ("different", 4, ["status"])]


def test_no_answer_is_missing_and_a_second_one_is_extra():
    found = run(ASKED, heard(0, 2, 200), heard(0, 2, 200))
    assert found == [("equal", 3, []), ("missing", 4, []), ("extra", None, [])]


def test_what_was_not_asked_was_not_played():
    assert run(ASKED, asked=()) == [("unplayed", 3, []), ("unplayed", 4, [])]


def test_a_status_in_place_of_a_value_is_a_difference():
    line = line_of((True, 16, 5, b"vr\x001", None), (False, 20, 5, b"vw\x001\x0042", 1))
    assert run(line, heard(0, 5, 2)) == [("different", 2, ["command"])]
    assert run(line, heard(20, 5, b"vw\x001\x0043")) == [("different", 2, ["pins[0].values[0]"])]
    assert run(line, heard(20, 5, b"vw\x001\x0042")) == [("equal", 2, [])]


def test_values_of_a_sync_may_come_in_another_order():
    line = line_of(
        (True, 16, 5, b"", None), (False, 20, 5, b"vw\x001\x0042", 1), (False, 20, 5, b"vw\x002\x007", 1),
        (False, 20, 5, b"vw\x003\x009", 1),
    )  # fmt: skip
    found = run(line, heard(20, 5, b"vw\x003\x009"), heard(20, 5, b"vw\x002\x008"), heard(20, 5, b"vw\x004\x001"))
    assert sorted(found, key=str) == [
        ("different", 3, ["pins[0].values[0]"]), ("equal", 4, []), ("extra", None, []), ("missing", 2, []),
    ]  # fmt: skip


def test_what_nobody_asked_for_is_found_by_content_whatever_its_id():
    line = line_of(
        PING, (False, 20, 2, b"vw\x001\x0077", None), (False, 17, 7777, b"acon", None), (False, 0, 2, 200, 1)
    )
    found = run(line, heard(17, 1, b"acon"), heard(20, 99, b"vw\x001\x0077"), heard(0, 2, 200))
    assert found == [("equal", 3, []), ("equal", 2, []), ("equal", 4, [])]


def test_a_push_with_the_id_of_a_sync_is_no_answer_to_it():
    line = line_of((True, 16, 5, b"", None), (False, 20, 5, b"vw\x001\x0042", 1), (False, 20, 8, b"vw\x002\x001", None))
    assert run(line, heard(20, 5, b"vw\x002\x001"), heard(20, 5, b"vw\x001\x0042")) == [
        ("equal", 3, []), ("equal", 2, []),
    ]  # fmt: skip


def test_another_value_of_the_same_pin_is_a_difference_at_the_end():
    line = line_of(PING, (False, 20, 2, b"vw\x001\x001", None), (False, 20, 3, b"vw\x001\x002", None))
    found = run(line, heard(20, 1, b"vw\x001\x003"), heard(20, 2, b"vw\x001\x002"))
    assert found == [("equal", 3, []), ("different", 2, ["pins[0].values[0]"])]


def test_a_status_that_nobody_asked_for_is_known_by_its_id():
    line = line_of(PING, (False, 0, 9, 7, None))
    assert run(line, heard(0, 9, 7)) == [("equal", 2, [])]
    assert run(line, heard(0, 8, 7)) == [("missing", 2, []), ("extra", None, [])]


def test_two_requests_of_one_id():
    line = line_of(
        (True, 6, 1, b"", None), (True, 19, 1, b"1\0label\0x", None), (False, 0, 1, 200, 1), (False, 0, 1, 11, 2)
    )
    assert run(line, heard(0, 1, 200), heard(0, 1, 11)) == [("equal", 3, []), ("equal", 4, [])]
    assert run(line, heard(0, 1, 11), heard(0, 1, 200)) == [("equal", 4, []), ("different", 3, ["order"])]


@pytest.mark.parametrize(
    ("cmd", "then", "now", "rule"),
    [
        (17, b"rtc\x001500000000", b"rtc\x00%d" % (NOW + 40_000), "clock"),
        (17, b"rtc\x001500000000", b"rtc\x001500100000", "clock"),
        (17, b"utc\0time\x001500000000000", b"utc\0time\x00%d" % (NOW * 1000), "clock"),
        (17, b"utc\0iso\x002017-07-14T02:40:00.000+00:00", b"utc\0iso\x002027-01-15T08:00:00.000+00:00", "clock"),
        (17, b"ver\x001.0\0", b"ver\x001.0", "ending"),
        (
            17,
            b"ota\0http://172.17.0.2/static/ota/a.bin",
            b"ota\0http://127.0.0.1:8080/static/ota/a.bin",
            "firmware-host",
        ),
    ],
)
def test_rules(cmd, then, now, rule):
    said = Said(1, 1, NOW - 100_000.0, False, cmd, 1, len(then), then)
    found = compare(said, heard(cmd, 1, now), Dialect.HARDWARE, now=float(NOW))
    assert (found.differences, found.rule) == ((), rule)


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (b"rtc\x001700000000", b"rtc\x000"),
        (b"rtc\x001700000000", b"rtc\x001700000001"),
        (b"rtc\x001700000000", b"rtc\0"),
        (b"rtc\x001700000000", b"rtc\0garbage"),
        (b"rtc\x001700000000", b"rtc\x00" + b"9" * 60),
        (b"utc\0tz\x000", b"utc\0tz\x007200"),
        (b"utc\0time\x001700000000000", b"utc\0time\x001800000000"),
        (b"utc\0iso\x002026-01-01T00:00:00+00:00", b"utc\0iso\0\xff"),
    ],
)
def test_a_wrong_time_is_a_difference(then, now):
    said = Said(1, 1, 1.6e9, False, 17, 1, len(then), then)
    assert compare(said, heard(17, 1, now), Dialect.HARDWARE, now=float(NOW)).differences
    assert not compare(said, heard(17, 1, then), Dialect.HARDWARE, now=float(NOW)).differences


def test_the_path_of_a_firmware_is_compared():
    then, now = b"ota\0http://a/static/ota/a.bin", b"ota\0http://a/static/ota/b.bin"
    found = compare(Said(1, 1, None, False, 17, 1, len(then), then), heard(17, 1, now), Dialect.HARDWARE)
    assert [(one.field, one.recorded, one.now) for one in found.differences] == [
        ("ota path", "/static/ota/a.bin", "/static/ota/b.bin")
    ]


def test_documents_are_compared_member_by_member_and_tokens_are_learned():
    then = b'{"id":1,"name":"a","token":"6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5","connectTime":17}'
    now = b'{"connectTime":99,"id":1,"name":"a","token":"0f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"}'
    said = Said(1, 1, None, False, 42, 1, len(then), then)
    found = compare(said, heard(42, 1, now), Dialect.APP)
    assert (found.differences, found.rule) == ((), "token")
    assert found.tokens == (("6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5", "0f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"),)
    other = compare(said, heard(42, 1, now.replace(b'"a"', b'"b"')), Dialect.APP)
    assert [one.field for one in other.differences] == ["json.name"]


def test_a_token_that_the_server_made_is_expected_in_what_follows():
    then = b'{"id":1,"token":"6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"}'
    line = line_of(
        (True, 42, 1, b"1\0{}", None), (False, 42, 1, then, 1), (False, 45, 9, b"[" + then + b"]", None),
        dialect=Dialect.APP,
    )  # fmt: skip
    now = then.replace(b"6f", b"00")
    assert run(line, heard(42, 1, now), heard(45, 9, b"[" + now + b"]")) == [("equal", 2, []), ("equal", 3, [])]


def test_a_part_of_a_body_in_a_log_is_enough():
    said = Said(1, 1, None, False, 20, 1, 30, b"vw\x001")
    assert compare(said, heard(20, 1, b"vw\x001\x0042"), Dialect.HARDWARE).rule == "not-in-log"
    assert compare(Said(1, 1, None, False, 0, 1, -1, b""), heard(0, 1, 9), Dialect.HARDWARE).rule == "not-in-log"


def test_extras_are_bounded():
    matching = Matching(line_of(PING))
    told = [matching.heard(heard(20, 1, b"vw\x001\x00%d" % at))[0] for at in range(EXTRAS_MAX + 5)]
    assert sum(outcome is not None for outcome in told) == 5
    assert len(matching.finish()) == EXTRAS_MAX


def test_the_order_of_values_of_one_pin_counts():
    line = line_of(
        PING, (False, 20, 2, b"vw\x001\x001", None), (False, 20, 3, b"vw\x002\x005", None),
        (False, 20, 4, b"vw\x001\x000", None), (False, 20, 5, b"vw\x001\x001", None),
    )  # fmt: skip
    off, on, other = heard(20, 9, b"vw\x001\x000"), heard(20, 9, b"vw\x001\x001"), heard(20, 9, b"vw\x002\x005")
    assert {verdict for verdict, _, _ in run(line, other, on, off, on)} == {"equal"}
    assert run(line, off, on, other, on) == [
        ("equal", 4, []), ("equal", 5, []), ("equal", 3, []), ("different", 2, ["order"]),
    ]  # fmt: skip
    assert run(line, off, on, other) == [("equal", 4, []), ("equal", 5, []), ("equal", 3, []), ("missing", 2, [])]


def test_two_answers_of_one_id_in_another_order_are_a_difference():
    line = line_of(
        (True, 14, 5, b"a", None), (True, 19, 5, b"1\0label\0x", None), (False, 0, 5, 200, 1), (False, 0, 5, 11, 2)
    )
    assert run(line, heard(0, 5, 11), heard(0, 5, 200)) == [("equal", 4, []), ("different", 3, ["order"])]


def test_what_gaps_leave_open():
    line = line_of(
        (True, 29, 1, b"x" * 32, None), (False, 0, 1, 200, 1), (False, 0, 2, 200, None), (True, 6, 3, b"", None),
        (True, 16, 4, b"vr\x001", None), (False, 20, 4, b"vw\x001\x001", 5),
    )  # fmt: skip
    line = msgspec.structs.replace(line, orphans=frozenset({3}), unheard=frozenset({4}))
    matching = Matching(line)
    for said in line.frames:
        if said.client:
            matching.sent(said, 0.0)
    told = [matching.heard(frame)[0] for frame in (heard(0, 1, 200), heard(0, 3, 200), heard(20, 4, b"vw\x001\x001"))]
    assert [(one.verdict.value, one.n, one.request, one.rule) for one in told] == [
        ("equal", 2, 1, None), ("equal", None, 4, "recording-gap"), ("equal", 6, 5, None),
    ]  # fmt: skip
    assert [(one.verdict.value, one.n) for one in matching.finish()] == [("unplayed", 3)]


# --- properties ---

NUMBERS = st.integers(1, 6)
REQUESTS = st.one_of(
    st.tuples(st.just(6), NUMBERS, st.just(b"")),
    st.tuples(st.just(19), NUMBERS, st.sampled_from([b"1\0label\0a", b"2\0label\0b"])),
    st.tuples(st.just(17), NUMBERS, st.just(b"ver\x001\0h-beat\x0010")),
)
PUSHES = st.tuples(
    st.just(20),
    NUMBERS,
    st.builds(lambda pin, value: b"vw\0%d\0%d" % (pin, value), st.integers(0, 3), st.integers(0, 2)),
)


@st.composite
def conversations(draw):
    """A connection, and all that its server says."""
    frames = []
    for at, number in enumerate(draw(st.lists(NUMBERS, max_size=8, unique=True))):
        cmd, _, body = draw(REQUESTS)
        frames.append((True, cmd, number, body, None))
        if draw(st.booleans()):
            frames.append((False, 0, number, draw(st.sampled_from([200, 2, 11])), len(frames)))
        for cmd, pushed, body in draw(st.lists(PUSHES, max_size=2)):
            frames.append((False, cmd, pushed + 100 + at, body, None))
    return line_of(*frames)


def in_order_of_pins(recorded, frames):
    """The frames, those about one pin in the order of the recording, in the places that they have."""
    order = {id(frame): at for at, frame in enumerate(recorded)}
    found = list(frames)
    for pin in {frame.body[:4] for frame in frames if frame.cmd == 20}:
        places = [at for at, frame in enumerate(frames) if frame.cmd == 20 and frame.body[:4] == pin]
        for at, frame in zip(
            places, sorted((frames[at] for at in places), key=lambda one: order[id(one)]), strict=True
        ):
            found[at] = frame
    return found


def said_now(line):
    return [Heard(said.cmd, said.id, said.word, said.body, 1.0) for said in line.frames if not said.client]


@given(conversations(), st.randoms(use_true_random=False))
def test_the_order_does_not_matter(line, random):
    now = said_now(line)
    shuffled = list(now)
    random.shuffle(shuffled)
    found = run(line, *in_order_of_pins(now, shuffled))
    assert [verdict for verdict, _, _ in found] == ["equal"] * len(now)
    assert sorted(number for _, number, _ in found) == [said.n for said in line.frames if not said.client]


@given(conversations(), st.data())
def test_what_is_left_out_is_missing(line, data):
    now = said_now(line)
    kept = data.draw(st.lists(st.sampled_from(now), unique_by=id)) if now else []
    found = run(line, *in_order_of_pins(now, kept))
    counts = [verdict for verdict, _, _ in found]
    assert counts.count("equal") == len(kept)
    assert counts.count("missing") == len(now) - len(kept)


@given(
    conversations(),
    st.lists(
        st.builds(
            Heard, st.integers(0, 255), st.integers(0, 7), st.integers(0, 300), st.binary(max_size=12), st.just(2.0)
        )
    ),
    st.data(),
)
def test_everything_gets_one_verdict(line, noise, data):
    now = [*said_now(line), *noise]
    random = data.draw(st.randoms(use_true_random=False))
    random.shuffle(now)
    found = run(line, *now[: len(now) // 2])
    counts = [verdict for verdict, _, _ in found]
    met = counts.count("equal") + counts.count("different")
    assert met + counts.count("extra") == len(now) // 2
    assert met + counts.count("missing") == sum(not said.client for said in line.frames)
    assert len({number for _, number, _ in found if number is not None}) == met + counts.count("missing")
