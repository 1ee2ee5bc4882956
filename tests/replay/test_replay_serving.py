"""The server's side: recorded answers for what a device says, whatever the order, and where it departs."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from replaying import heard, line_of
from talk import TOKEN

from blynkscope.protocol.model import Dialect, Era
from blynkscope.replay.comparing import Heard
from blynkscope.replay.serving import Serving
from blynkscope.replay.staging import Stage, default_answers

LOGIN = (True, 29, 1, TOKEN, None)
LINE = line_of(
    LOGIN, (False, 0, 1, 200, 1), (False, 20, 1, b"pm\x002\0out", None), (True, 20, 2, b"vw\x001\x0021", None),
    (True, 16, 3, b"vr\x001", None), (False, 20, 3, b"vw\x001\x0021", 5), (True, 19, 4, b"1\0label\0Room", None),
    (False, 0, 4, 200, 7), (False, 20, 9, b"vw\x005\x001", None), (True, 6, 5, b"", None), (False, 0, 5, 200, 10),
)  # fmt: skip


class Device:
    """What a device hears."""

    def __init__(self, line=LINE, speed=None, clock=lambda: 1e9, era=None):
        self.serving = Serving(line, speed, era, clock)
        self.outcomes = []
        self.closed = False

    def _took(self, turn):
        self.outcomes += turn.outcomes
        self.closed = self.closed or turn.close
        return [(one.cmd, one.id, one.body or one.word) for one in turn.answers]

    def says(self, cmd, number, content=b"", time=0.0):
        return self._took(self.serving.heard(heard(cmd, number, content, time)))

    def waits(self, time):
        return self._took(self.serving.tick(time))

    def leaves(self, **options):
        self.outcomes += self.serving.finish(by_device=True, **options)
        return [(one.verdict.value, one.n) for one in self.outcomes]


def test_recorded_answers_with_the_ids_of_now():
    device = Device()
    assert device.says(29, 7, b"another token, which is all right") == [(0, 7, 200), (20, 1, b"pm\x002\0out")]
    assert device.says(19, 8, b"1\0label\0Room") == [(0, 8, 200), (20, 9, b"vw\x005\x001")]
    assert device.says(16, 9, b"vr\x001") == [(20, 9, b"vw\x001\x0021")]
    assert device.says(20, 10, b"vw\x001\x0021") == []
    assert device.says(6, 11) == [(0, 11, 200)]
    assert device.leaves() == [("equal", 1), ("equal", 7), ("equal", 5), ("equal", 4), ("equal", 10)]


def test_departures_are_told():
    device = Device()
    device.says(29, 1, TOKEN)
    assert device.says(20, 2, b"vw\x001\x0099") == []
    assert device.says(19, 3, b"1\0label\0Hall") == [(0, 3, 200), (20, 9, b"vw\x005\x001")]
    assert device.says(14, 4, b"hello") == [(0, 4, 200)]
    assert device.leaves() == [
        ("equal", 1), ("different", 4), ("different", 7), ("extra", None), ("missing", 5), ("equal", 10),
    ]  # fmt: skip
    assert [one.field for outcome in device.outcomes for one in outcome.differences] == [
        "pins[0].values[0]",
        "values[0]",
    ]
    assert device.outcomes[-1].rule == "heartbeat"
    assert "answered as the table says" in device.outcomes[3].note


def test_the_same_request_gets_the_next_answer_and_then_the_last_again():
    line = line_of(
        LOGIN, (False, 0, 1, 200, 1), (True, 16, 2, b"vr\x001", None), (False, 20, 2, b"vw\x001\x001", 3),
        (True, 16, 3, b"vr\x001", None), (False, 20, 3, b"vw\x001\x002", 5),
    )  # fmt: skip
    device = Device(line)
    device.says(29, 1, TOKEN)
    values = [device.says(16, number, b"vr\x001") for number in (2, 3, 4, 5)]
    assert values == [
        [(20, 2, b"vw\x001\x001")],
        [(20, 3, b"vw\x001\x002")],
        [(20, 4, b"vw\x001\x002")],
        [(20, 5, b"vw\x001\x002")],
    ]
    assert device.serving.repeated == 2
    assert {verdict for verdict, _ in device.leaves()} == {"equal"}


def test_what_does_something_may_not_come_more_often():
    line = line_of(
        LOGIN, (False, 0, 1, 200, 1), (True, 20, 2, b"vw\x001\x005", None), (True, 14, 3, b"alarm", None),
        (False, 0, 3, 200, 4), (True, 17, 4, b"rtc\0sync", None), (True, 6, 5, b"", None), (False, 0, 5, 200, 7),
    )  # fmt: skip
    device = Device(line)
    device.says(29, 1, TOKEN)
    for number in (2, 3):
        assert device.says(20, number, b"vw\x001\x005") == []
        assert device.says(14, number + 10, b"alarm") == [(0, number + 10, 200)], "it is answered all the same"
        device.says(17, number + 20, b"rtc\0sync")
        device.says(6, number + 30)
    assert device.leaves() == [
        ("equal", 1), ("equal", 3), ("equal", 4), ("equal", 6), ("equal", 7), ("extra", None), ("extra", None),
    ]  # fmt: skip
    assert device.serving.repeated == 2
    assert "more often" in device.outcomes[-1].note


TWO_WRITES = line_of(
    LOGIN, (False, 0, 1, 200, 1), (True, 20, 2, b"vw\x001\x001", None), (True, 20, 3, b"vw\x001\x000", None),
    (False, 20, 9, b"vw\x005\x001", None),
)  # fmt: skip


def differences(device):
    return [
        (one.n, [(difference.field, difference.recorded, difference.now) for difference in one.differences])
        for one in device.outcomes
        if one.differences
    ]


def test_the_order_of_writes_of_one_pin_counts():
    device = Device(TWO_WRITES)
    device.says(29, 1, TOKEN)
    device.says(20, 2, b"vw\x001\x000")
    device.says(20, 3, b"vw\x001\x001")
    assert device.leaves() == [("equal", 1), ("equal", 4), ("different", 3)]
    assert differences(device) == [(3, [("order", "before #4", "behind #4")])]


def test_what_is_said_before_the_login_is_told():
    device = Device(TWO_WRITES)
    assert device.says(20, 2, b"vw\x001\x001") == []
    assert device.says(20, 3, b"vw\x001\x000") == [], "nothing is pushed before the login"
    assert device.says(29, 4, TOKEN) == [(0, 4, 200), (20, 9, b"vw\x005\x001")]
    assert device.leaves() == [("different", 3), ("different", 4), ("equal", 1)]
    assert {difference for _, told in differences(device) for difference in told} == {
        ("order", "behind the login", "before it")
    }


def test_what_gaps_leave_open():
    line = line_of(
        LOGIN, (False, 0, 1, 200, 1), (True, 6, 2, b"", None), (False, 0, 3, 200, None),
        (True, 20, 4, b"vw\x001\x000", None),
    )  # fmt: skip
    line = msgspec.structs.replace(line, orphans=frozenset({4}), unheard=frozenset({3}), holes=((2, 4),))
    device = Device(line)
    assert device.says(29, 1, TOKEN) == [(0, 1, 200)], "the answer to what is lost is not pushed"
    assert device.says(6, 2) == [(0, 2, 200)], "what the table says in place of the lost answer"
    device.says(14, 3, b"alarm")
    device.says(20, 4, b"vw\x001\x000")
    device.says(14, 5, b"alarm")
    assert device.leaves() == [("equal", 1), ("equal", 3), ("equal", None), ("equal", 5), ("extra", None)]
    assert [one.rule for one in device.outcomes] == [None, None, "recording-gap", None, None]


def test_what_nobody_asked_for_comes_at_its_time_behind_the_login():
    device = Device(speed=2.0)
    assert device.says(29, 1, TOKEN, time=100.0) == [(0, 1, 200)]
    assert device.serving.next_due == pytest.approx(101.0)
    assert device.waits(100.9) == []
    assert device.waits(101.0) == [(20, 1, b"pm\x002\0out")]
    assert device.serving.next_due == pytest.approx(104.0)
    assert device.waits(200.0) == [(20, 9, b"vw\x005\x001")]
    assert device.serving.next_due is None


def test_what_had_no_time_to_come_is_not_missing():
    device = Device(speed=1.0)
    device.says(29, 1, TOKEN, time=100.0)
    assert device.leaves() == [
        ("equal", 1), ("missing", 4), ("missing", 5), ("missing", 7), ("equal", 10), ("unplayed", 3), ("unplayed", 9),
    ]  # fmt: skip


def test_a_replay_that_is_cut_off_misses_nothing():
    device = Device()
    device.says(29, 1, TOKEN)
    found = device.leaves(cut=True)
    assert not any(verdict in {"missing", "extra"} for verdict, _ in found)


def test_the_server_closes_where_it_did():
    line = line_of(LOGIN, (False, 0, 1, 9, 1), ended="server")
    device = Device(line)
    assert device.says(29, 1, TOKEN) == [(0, 1, 9)]
    assert device.closed
    early = Device(line_of(LOGIN, (False, 0, 1, 9, 1), (True, 6, 2, b"", None), ended="server"))
    early.says(29, 1, TOKEN)
    assert not early.closed
    assert early.leaves()[-1] == ("extra", None)


def test_the_time_goes_on_since_the_recording():
    line = line_of(
        LOGIN, (False, 0, 1, 200, 1), (True, 17, 2, b"rtc\0sync", None), (False, 17, 2, b"rtc\x001700000000", 3)
    )
    device = Device(line, clock=lambda: 1.8e9)
    device.says(29, 1, TOKEN)
    assert device.says(17, 5, b"rtc\0sync") == [(17, 5, b"rtc\x001800000000")]


def test_pings_of_the_server_are_answered_by_the_device():
    line = line_of(LOGIN, (False, 0, 1, 200, 1), (False, 6, 4, b"", None), (True, 0, 4, 200, 3))
    device = Device(line)
    assert device.says(29, 1, TOKEN) == [(0, 1, 200), (6, 4, 0)]
    assert device.says(0, 4, 200) == []
    assert device.leaves() == [("equal", 1), ("equal", 4)]
    silent = Device(line)
    silent.says(29, 1, TOKEN)
    assert silent.leaves() == [("equal", 1), ("missing", 4)]


@pytest.mark.parametrize(
    ("cmd", "body", "answer"),
    [
        (6, b"", (0, 9, 200)),
        (20, b"vw\x001\x001", None),
        (17, b"ver\x001", (0, 9, 200)),
        (17, b"rtc\0sync", (17, 9, b"rtc\x00100")),
        (17, b"ota\0x", None),
        (15, b"1\0i\0token", (0, 9, 200)),
        (15, b"1\0vw\x001\x001", None),
        (16, b"", None),
        (0, 200, None),
        (250, b"", None),
    ],
)
def test_the_table_answers_what_was_not_recorded(cmd, body, answer):
    found = [
        (one.cmd, one.id, one.body or one.word)
        for one in default_answers(heard(cmd, 9, body), Dialect.HARDWARE, None, 100.0)
    ]
    assert found == ([answer] if answer else [])


def test_connections_are_chosen_by_what_a_device_says_first():
    other = b"0123456789abcdef0123456789abcdef"
    first, second = line_of(LOGIN), line_of((True, 29, 1, other, None))
    stage = Stage([first, second], Era.LEGACY)
    assert stage.choose(Dialect.HARDWARE, heard(29, 1, other)) == (second, False)
    assert stage.choose(Dialect.HARDWARE, heard(29, 1, other)) == (first, False), "the same words, another token"
    assert stage.left == 0
    assert stage.choose(Dialect.HARDWARE, heard(29, 1, TOKEN)) == (first, True), "once more"
    assert stage.choose(Dialect.APP, heard(2, 1, b"")) == (None, False)


@given(
    st.lists(
        st.builds(
            Heard,
            st.integers(0, 255),
            st.integers(0, 9),
            st.integers(0, 300),
            st.binary(max_size=20),
            st.floats(0, 1e6),
        )
    ),
    st.sampled_from([None, 1.0]),
)
def test_whatever_a_device_says_each_recorded_frame_gets_one_verdict(frames, speed):
    device = Device(speed=speed)
    for frame in frames:
        device.serving.heard(frame)
        device.outcomes += device.serving.tick(frame.time).outcomes
    told = Device(speed=speed)
    for frame in frames:
        told._took(told.serving.heard(frame))
    requests = [said.n for said in LINE.frames if said.client]
    found = [number for verdict, number in told.leaves() if number in requests]
    assert sorted(found) == requests
