"""The fast lane of JSON Lines writes what the general path writes."""

import msgspec
from captures_of import CAPTURES, undamaged
from hypothesis import given, settings
from hypothesis import strategies as st

from blynkscope import open_capture
from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import Facts, Observed, WriteRecord
from blynkscope.render.lines import FrameLines, write_line

TEXT = st.text("vwda0123456789 \0\"\\'<>\xe9\u202e\x1b\x7f", max_size=12)
BODIES = st.one_of(
    st.binary(max_size=20),
    st.builds(
        lambda op, rest: (op + "\0" + rest).encode(), st.sampled_from(["vw", "aw", "dw", "vm", "vr", "pm"]), TEXT
    ),
)
NUMBERS = st.one_of(st.none(), st.integers(1, 1 << 40))
FACTS = st.builds(
    Facts,
    st.integers(1, 1 << 20),
    st.sampled_from([None, "192.0.2.1:50000", "[2001:db8::1]:8080"]),
    st.sampled_from([None, "198.51.100.2:8080"]),
    st.sampled_from(["device", "server", "app", "unknown"]),
    st.sampled_from(["hardware", "app", "web"]),
    st.sampled_from([("tcp",), ("tcp", "tls1.2")]),
    st.sampled_from([None, "legacy", "iot"]),
)
FRAMES = st.builds(
    Observed,
    FACTS,
    st.integers(1, 1 << 40),
    st.one_of(st.none(), st.floats(-1e12, 1e12)),
    st.sampled_from([0, 6, 16, 17, 20, 29, 99]),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFF),
    BODIES,
    NUMBERS,
    st.one_of(st.none(), st.floats(-1e6, 1e6)),
    st.sampled_from([None, "sent", "delivered", "passed"]),
    st.sampled_from([(), ("BS201",)]),
)


@settings(deadline=None, max_examples=1500)
@given(st.lists(FRAMES, min_size=1, max_size=4))
def test_a_line_of_the_fast_lane_is_that_of_the_general_path(frames):
    line = FrameLines().line
    for frame in frames:
        fast = line(frame)
        if fast is not None:
            assert fast.encode() == msgspec.json.encode(frame.record()) + b"\n"


def test_the_fast_lane_takes_most_frames_of_real_traffic_and_writes_them_alike():
    seen = taken = 0
    for path in undamaged():
        analyser, line = Analyser(), FrameLines().line
        for events in open_capture(path):
            for record in analyser.feed(events):
                if isinstance(record, WriteRecord):
                    assert write_line(record).encode() == msgspec.json.encode(record) + b"\n"
                elif isinstance(record, Observed):
                    seen += 1
                    fast = line(record)
                    taken += fast is not None
                    assert fast is None or fast.encode() == msgspec.json.encode(record.record()) + b"\n"
    assert CAPTURES.is_dir()
    assert taken > seen * 0.8


@given(
    st.integers(1, 1 << 40),
    st.sampled_from(["delivered", "lost"]),
    NUMBERS,
    st.one_of(st.none(), st.floats(-1e12, 1e12)),
)
def test_the_line_of_a_write_state(frame, state, by, time):
    record = WriteRecord(frame, state, by, time)
    assert write_line(record).encode() == msgspec.json.encode(record) + b"\n"
