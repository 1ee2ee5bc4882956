"""Anything at all through the whole analysis: it never raises, every record can be written, and its tables stay small."""

import random
import struct

import msgspec
import pytest
from craft import Wire, pcap
from hypothesis import example, given, settings
from hypothesis import strategies as st
from talk import APP, TOKEN, Talk, begin, frame, ping, status, sync, write

from blynkscope.analysis.acks import RECENT_WRITES
from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import SummaryRecord, spelled_out
from blynkscope.protocol import limits
from blynkscope.protocol.model import Dialect, Era
from blynkscope.sources import CaptureSource
from blynkscope.wire.events import Acked, Closed, Data, Gap, Opened, Overlap

pieces = st.one_of(
    st.binary(max_size=40),
    st.builds(frame, st.integers(0, 255), st.integers(0, 0xFFFF), st.binary(max_size=20)),
    st.builds(frame, st.integers(0, 99), st.integers(0, 3), st.binary(max_size=9), head=st.just(APP)),
    st.builds(write, st.integers(0, 3), st.sampled_from([b"1", b"2", b"-1", b"V1", b"\xff", b""]), st.binary(max_size=4)),
    st.builds(sync, st.integers(0, 3), st.sampled_from([b"1", b"2", b""])),
    st.builds(status, st.integers(0, 3), st.sampled_from([200, 2, 9, 7, 77, 0, 0xFFFF])),
    st.builds(ping, st.integers(0, 3)),
    st.sampled_from(
        [frame(29, 1, TOKEN), frame(2, 1, b"a@b.c", b"h", head=APP), b"OK+CONN", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01",
         b"\x17\x03\x03\0\x1d" + bytes(29), frame(17, 1, b"rtc", b"sync"), frame(20, 1, b"vw"), bytes(20), b"\x14" * 30,
         frame(16, 1, b"vr"), frame(20, 1, b"\0vw\0"), frame(20, 1, b"1-0", b"vw", b"1", b"2", head=APP)]
    ),
)  # fmt: skip
times = st.one_of(st.floats(0, 1e10), st.none(), st.sampled_from([-1.0, 1e19, -9.2e18]))


@st.composite
def event_lists(draw):
    """Streams that are opened, filled with anything, and closed or not."""
    events, opened = [], set()
    for _ in range(draw(st.integers(1, 25))):
        stream, side, time = draw(st.integers(1, 2)), draw(st.integers(0, 1)), draw(times)
        if stream not in opened:
            opened.add(stream)
            ports = draw(st.sampled_from([(50000, 8080), (8080, 50000), (40000, 30000), (5683, 5683)]))
            events.append(Opened(stream, time, None, None, *ports, draw(st.booleans())))
            continue
        kind = draw(st.sampled_from(["data"] * 8 + ["ack", "gap", "overlap", "close"]))
        if kind == "data":
            data = b"".join(draw(st.lists(pieces, min_size=1, max_size=3)))
            cut = draw(st.integers(0, len(data)))
            events += [Data(stream, side, time, part) for part in (data[:cut], data[cut:]) if part]
        elif kind == "ack":
            events.append(Acked(stream, side, time, draw(st.integers(0, 1 << 40))))
        elif kind == "gap":
            events.append(Gap(stream, side, time, draw(st.integers(1, 1 << 31)), "lost"))
        elif kind == "overlap":
            events.append(Overlap(stream, side, time, 5, 1))
        else:
            how = draw(st.sampled_from(["fin", "reset", "refused", "unanswered", "reused", "evicted", "end"]))
            events.append(
                Closed(
                    stream,
                    time,
                    how,
                    draw(st.sampled_from([None, 0, 1])),
                    draw(st.tuples(st.booleans(), st.booleans())),
                )
            )
            opened.remove(stream)
    return events + [Closed(stream, 1.0, "end", None, (True, True)) for stream in sorted(opened)]


@settings(deadline=None, max_examples=400)
@given(event_lists(), st.sampled_from([None, Dialect.HARDWARE, Dialect.APP]), st.sampled_from([None, *Era]))
def test_any_events_give_records_that_can_be_written(events, dialect, era):
    analyser = Analyser(dialect, era)
    found = spelled_out(analyser.feed(events) + analyser.finish({"packets_broken": 1}))
    assert isinstance(found[-1], SummaryRecord)
    assert [row.n for row in found if type(row).__name__ == "FrameRecord"] == list(range(1, found[-1].frames + 1))
    numbers = set()
    for row in found:
        msgspec.json.encode(row)
        kind = type(row).__name__
        if kind == "FrameRecord":
            numbers.add(row.n)
            assert row.answers is None or row.answers in numbers
        elif kind == "WriteRecord":
            assert row.frame in numbers
            assert row.by is None or row.by in numbers
        elif kind == "FindingRecord":
            assert set(row.frames) <= numbers
            assert list(row.frames) == sorted(row.frames)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=600), st.binary(max_size=600), st.booleans())
@example(b"\x00" * 200, b"\xff" * 200, True)
def test_random_bytes_both_ways(up, down, handshake):
    talk = Talk(handshake=handshake, ports=(50000, 8080)).device(up).server(down).close()
    assert talk.records[-1].kind == "closed"
    assert talk.records[-1].detail["sent"] == {"client": len(up), "server": len(down)}
    for row in talk.records:
        msgspec.json.encode(row)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=300), st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=5))
def test_a_mutated_capture_through_everything(data, changes):
    wire = Wire()
    wire.handshake()
    wire.send(0, 0, frame(29, 1, TOKEN) + write(2, b"1", b"5") + data, ack=0)
    wire.send(1, 0, status(1), ack=10)
    capture = bytearray(pcap(wire.packets))
    for at, byte in changes:
        capture[24 + at % (len(capture) - 24)] = byte
    import io

    source, analyser = CaptureSource(io.BytesIO(bytes(capture)), "capture"), Analyser()
    for batch in source:
        analyser.feed(batch)
    assert isinstance(analyser.finish(source.lost)[-1], SummaryRecord)


# --- bounds -------------------------------------------------------------------------------------------------------------


def only_stream(talk):
    return talk.analyser._streams[1]


def test_many_pins_are_bounded():
    talk = begin()
    data = b"".join(write(number % 60000, b"%d" % number, b"1") for number in range(20_000))
    talk.device(data)
    pins = only_stream(talk).pins
    assert len(pins.pins) <= limits.OPEN_WRITES_MAX + 1
    assert all(len(queue) <= limits.OPEN_WRITES_MAX for queue in pins.undelivered)
    (finding,) = talk.close("end").findings("BS301")
    assert finding.count == 20_000
    assert len(finding.frames) <= limits.PROVING_FRAMES_MAX


def test_many_requests_are_bounded():
    talk = begin().device(b"".join(ping(number) for number in range(65536)))
    waiting = only_stream(talk).client.waiting
    assert len(waiting._requests) <= limits.PENDING_MAX
    talk.device(b"".join(write(number, b"1", b"1") for number in range(1000)))
    assert len(waiting.writes) <= RECENT_WRITES


def test_one_id_again_and_again_is_no_chain():
    talk = begin().device(ping(7) * 5000)
    request = only_stream(talk).client.waiting._requests[7]
    assert request.older.older is None


def test_many_streams_leave_nothing_behind():
    analyser = Analyser()
    for number in range(1, 3000):
        Talk(analyser, number).device(frame(29, 1, TOKEN)).close()
    assert analyser._streams == {}
    assert analyser.finish()[-1].streams == 2999


@pytest.mark.parametrize("handshake", [True, False])
def test_a_stream_that_never_makes_sense_keeps_little(handshake):
    source = random.Random(3)
    talk = Talk(handshake=handshake, ports=(40000, 30000))
    for _ in range(200):
        talk.device(b"\xff\xfe" + source.randbytes(1000))
    stream = only_stream(talk)
    for lane in stream.lanes:
        kept = len(lane.prefix) + sum(len(data) for data, _ in lane.chunks)
        kept += sum(framer.buffered for framer in (lane.framer, lane.hunter) if framer)
        assert kept <= 2 * (limits.RESYNC_WINDOW + 2 * limits.HARDWARE_BODY_MAX)


def test_large_incomplete_frames_are_bounded_together(monkeypatch):
    monkeypatch.setattr(limits, "TOTAL_BUFFER_MAX", 1_000_000)
    analyser = Analyser()
    talks = [Talk(analyser, number).device(frame(2, 1, b"a@b.c", b"hash", head=APP)) for number in range(1, 21)]
    for talk in talks:
        talk.device(struct.pack(">BHI", 22, 2, 5_000_000) + b"1\0" + b"x" * 100_000)
    kept = sum(lane.framer.buffered for stream in analyser._streams.values() for lane in stream.lanes if lane.framer)
    assert kept <= 1_000_000
    given_up = [row for talk in talks for row in talk.records if getattr(row, "kind", "") == "malformed"]
    assert len(given_up) >= 10
    assert "given up" in given_up[0].detail["reason"]


def test_sources_one_after_the_other_go_on_counting():
    analyser = Analyser()
    first = Talk(analyser).device(frame(29, 1, TOKEN)).close()
    analyser.next_source()
    second = Talk(analyser).device(frame(29, 1, TOKEN)).close()
    assert [row.stream for row in first.frames + second.frames] == [1, 2]
    assert [row.n for row in first.frames + second.frames] == [1, 2]
    assert analyser.finish()[-1].streams == 2
