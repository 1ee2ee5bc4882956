"""The framer: the same items whatever the cuts, no byte unaccounted for, nothing unbounded, the way back into step."""

import itertools
import random
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from blynkscope.protocol import limits
from blynkscope.protocol.frames import HEADER_SIZE
from blynkscope.protocol.model import Dialect
from blynkscope.wire.framing import Framer, Malformed, RawFrame, Skipped, web_message

HARDWARE, APP, WEB = Dialect.HARDWARE, Dialect.APP, Dialect.WEB
TOKEN = b"6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"
BOUND = limits.RESYNC_WINDOW + 2 * limits.HARDWARE_BODY_MAX
"""Bytes that a framer of the hardware dialect may keep."""


def hw(cmd, number, body=b"", dialect=HARDWARE):
    return struct.pack(">BHH" if dialect is HARDWARE else ">BHI", cmd, number, len(body)) + body


def rsp(number, status, dialect=HARDWARE):
    return struct.pack(">BHH" if dialect is HARDWARE else ">BHI", 0, number, status)


def run(chunks, dialect=HARDWARE, joined=False):
    """Items of a stream, fed chunk by chunk; the time of a chunk is its number."""
    framer = Framer(dialect, joined=joined)
    items = []
    for time, chunk in enumerate(chunks):
        items += framer.feed(chunk, float(time))
    return items + framer.finish(float(len(chunks)))


def timeless(items):
    return [tuple(getattr(item, key) for key in item.__struct_fields__ if key != "time") for item in items]


def cut_at(data, places):
    places = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


def single(data):
    return [data[at : at + 1] for at in range(len(data))]


def frames_of(items):
    return [item for item in items if isinstance(item, RawFrame)]


def sizes(items, size):
    """Bytes that the items account for."""
    total = 0
    for item in items:
        if isinstance(item, RawFrame):
            total += size + len(item.body)
        elif isinstance(item, Skipped):
            total += item.size
        else:
            total += item.have
    return total


body = st.sampled_from(
    [b"", b"vw\x001\x0023.5", b"vw\x000\x001", b"vr\x001\x002", b"ver\x001.0\0h-beat\x0010\0", TOKEN, b"x" * 300]
) | st.binary(max_size=30)
good = st.builds(
    hw, st.sampled_from([2, 6, 13, 14, 15, 16, 17, 19, 20, 20, 20, 29, 41, 55, 64]), st.integers(0, 0xFFFF), body
)
answer = st.builds(rsp, st.integers(0, 0xFFFF), st.sampled_from([200, 200, 2, 9, 11]))
noise = st.sampled_from(
    [b"OK+CONN", b"OK+LOST\r\n", b"\xff", b"\x17\x03\x03\x00\x1d", b"\0", b"AT+CIPSEND=5\r\n", bytes(9)]
) | (st.binary(max_size=40))
stranger = st.builds(hw, st.sampled_from([99, 200, 255]), st.integers(0, 0xFFFF), body)
streams = st.lists(good | answer, max_size=12).map(b"".join)
noisy = st.lists(good | answer | noise | stranger, max_size=14).map(b"".join)


def same_whatever_the_cuts(data, places, dialect, joined=False):
    whole = run([data], dialect, joined)
    assert timeless(run(single(data), dialect, joined)) == timeless(whole)
    assert timeless(run(cut_at(data, places), dialect, joined)) == timeless(whole)
    assert timeless(run([b"", *cut_at(data, places), b""], dialect, joined)) == timeless(whole)
    # Each byte of a stream without gaps is in exactly one item.
    assert sizes(whole, HEADER_SIZE[dialect]) == len(data)
    at = 0
    for item in whole:
        if isinstance(item, RawFrame):
            start = item.end - HEADER_SIZE[dialect] - len(item.body)
            size = item.end - start
        else:
            start, size = item.start, item.size if isinstance(item, Skipped) else item.have
        if isinstance(item, Malformed):
            assert data[start : start + len(item.data)] == item.data
        assert start == at
        at += size
    return whole


places = st.lists(st.integers(0, 4000), max_size=12)


@settings(deadline=None, max_examples=150)
@given(st.lists(good | answer, max_size=12), places)
def test_frames_come_out_as_they_went_in(wires, cuts):
    items = same_whatever_the_cuts(b"".join(wires), cuts, HARDWARE)
    # A well-formed header is believed even where the body makes no sense for the command.
    believed = [item for item in items if isinstance(item, RawFrame)]
    if all(wire[0] in {0, 20, 15, 17, 19} for wire in wires):
        assert len(believed) == len(items) == len(wires)


@settings(deadline=None, max_examples=250)
@given(noisy, places, st.booleans())
@example(b"OK+CONN" + hw(29, 1, TOKEN), [3], False)
@example(hw(99, 1, b"ab") + hw(20, 2, b"vw\x001\x002"), [], False)
def test_noise_is_cut_the_same_way_whatever_the_cuts(data, cuts, joined):
    same_whatever_the_cuts(data, cuts, HARDWARE, joined)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=400), places, st.booleans(), st.sampled_from([HARDWARE, APP]))
def test_random_bytes_are_cut_the_same_way_whatever_the_cuts(data, cuts, joined, dialect):
    same_whatever_the_cuts(data, cuts, dialect, joined)


@settings(deadline=None, max_examples=100)
@given(st.data(), places, st.booleans())
def test_the_app_dialect_too(data, cuts, joined):
    wire = b"".join(
        data.draw(
            st.lists(
                st.builds(hw, st.sampled_from([2, 6, 7, 20, 24, 25, 99]), st.integers(0, 0xFFFF), body, st.just(APP))
                | st.builds(rsp, st.integers(0, 0xFFFF), st.sampled_from([200, 9]), st.just(APP))
                | noise,
                max_size=8,
            )
        )
    )
    same_whatever_the_cuts(wire, cuts, APP, joined)


@settings(deadline=None, max_examples=100)
@given(st.lists(good.filter(lambda wire: wire[0] == 20) | answer, min_size=1, max_size=10), places)
def test_a_frame_has_the_time_of_its_last_byte(wires, cuts):
    data = b"".join(wires)
    chunks = cut_at(data, cuts)
    ends, at = [], 0
    for wire in wires:
        at += len(wire)
        ends.append(at)
    seen, behind = [], 0
    for number, chunk in enumerate(chunks):
        behind += len(chunk)
        seen.append((behind, number))
    expected = [float(next(number for behind, number in seen if behind >= end)) for end in ends]
    assert [item.time for item in run(chunks)] == expected


@settings(deadline=None, max_examples=100)
@given(noisy, places, st.booleans())
def test_times_do_not_run_backwards_nor_leave_the_chunks(data, cuts, joined):
    chunks = cut_at(data, cuts)
    behind, ends = 0, []
    for chunk in chunks:
        behind += len(chunk)
        ends.append(behind)
    for item in frames_of(run(chunks, joined=joined)):
        assert item.time == float(next(number for number, end in enumerate(ends) if end >= item.end))


@settings(deadline=None, max_examples=60)
@given(noisy, st.integers(0, 400), st.integers(1, 400), places)
def test_with_a_gap_the_cuts_do_not_matter_either(data, place, missing, cuts):
    place %= len(data) + 1

    def items(before, after):
        framer = Framer(HARDWARE)
        found = [item for chunk in before for item in framer.feed(chunk, 0.0)]
        found += framer.gap(missing, 0.0)
        found += [item for chunk in after for item in framer.feed(chunk, 0.0)]
        found += framer.finish(0.0)
        assert framer.offset == len(data) + missing
        assert framer.buffered == 0
        return timeless(found)

    first, second = data[:place], data[place:]
    whole = items([first], [second])
    assert items(single(first), single(second)) == whole
    assert items(cut_at(first, cuts), cut_at(second, cuts)) == whole


# --- known cases --------------------------------------------------------------------------------------------------------


def test_a_length_of_65535_then_silence():
    framer = Framer()
    wire = struct.pack(">BHH", 20, 1, 0xFFFF) + b"vw\x001\0"
    assert framer.feed(wire, 1.0) == []
    assert framer.in_sync
    (item,) = framer.finish(2.0)
    assert isinstance(item, Malformed)
    assert (item.cmd, item.id, item.word, item.have, item.need) == (20, 1, 0xFFFF, len(wire), 5 + 0xFFFF)
    assert item.data == wire
    assert framer.buffered == 0


def test_a_body_of_65535_is_a_frame():
    wire = hw(20, 1, b"vw\x001\0" + b"x" * (0xFFFF - 5))
    (item,) = run(cut_at(wire, [1, 5, 6, 40000]))
    assert item.word == 0xFFFF
    assert len(item.body) == 0xFFFF


@pytest.mark.parametrize("place", [1, 2, 3, 4])
@pytest.mark.parametrize("dialect", [HARDWARE, APP])
def test_a_header_split_anywhere(place, dialect):
    wire = hw(20, 7, b"vw\x001\x002", dialect) + rsp(7, 200, dialect)
    for start in (place, len(wire) - HEADER_SIZE[dialect] + place):
        items = run([wire[:start], wire[start:]], dialect)
        assert [(item.cmd, item.id) for item in items] == [(20, 7), (0, 7)]


def test_a_hundred_thousand_frames_without_a_body():
    data = hw(6, 1) * 100_000
    framer = Framer()
    items = framer.feed(data, 0.0)
    assert len(items) == 100_000
    assert all(item.cmd == 6 and item.body == b"" for item in items)
    assert items[-1].end == len(data)
    assert framer.buffered == 0


def test_endless_single_bytes_keep_the_buffer_small():
    framer = Framer()
    for byte in single(hw(6, 1) * 4000):
        framer.feed(byte, 0.0)
        assert framer.buffered < 5
    assert framer.finish() == []


def test_a_response_with_an_unknown_status_is_a_frame_when_a_header_follows():
    assert [item.word for item in run([rsp(1, 77) + rsp(2, 200)])] == [77, 200]
    assert [item.word for item in run(single(rsp(1, 77) + rsp(2, 200)))] == [77, 200]


def test_an_unknown_status_at_the_end_of_the_stream_is_a_frame():
    assert [item.word for item in run([rsp(1, 200) + rsp(2, 77)])] == [200, 77]


def test_a_status_has_no_body():
    assert [(item.cmd, item.word, item.body) for item in run([rsp(1, 200) + hw(20, 1, b"vw\x001\x002")])] == [
        (0, 200, b""),
        (20, 6, b"vw\x001\x002"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "behind", [hw(20, 2, b"vw\x001\x002"), rsp(2, 200), hw(6, 2), b""], ids=["hw", "rsp", "ping", "end"]
)
def test_an_unknown_command_is_kept_as_a_frame(behind):
    wire = hw(6, 1) + hw(99, 1, b"whatever it is") + behind
    items = run(single(wire))
    assert all(isinstance(item, RawFrame) for item in items)
    assert (items[1].cmd, items[1].body) == (99, b"whatever it is")


def test_module_text_before_a_login_is_skipped_to_the_byte():
    items = run([b"OK+CONN" + hw(29, 1, TOKEN) + hw(20, 2, b"vw\x001\x002")])
    assert isinstance(items[0], Skipped)
    assert (items[0].start, items[0].size, items[0].sample) == (0, 7, b"OK+CONN")
    assert [item.cmd for item in items[1:]] == [29, 20]


def test_module_text_between_frames_is_skipped_to_the_byte():
    items = run([hw(29, 1, TOKEN) + b"OK+LOST" + hw(20, 2, b"vw\x001\x002") + hw(6, 3)])
    assert [type(item).__name__ for item in items] == ["RawFrame", "Skipped", "RawFrame", "RawFrame"]
    assert items[1].size == 7


def test_frames_that_a_wrong_length_swallowed_are_found_at_the_end():
    swallowed = hw(20, 5, b"vw\x001\x002") + hw(6, 6) + hw(20, 7, b"vw\x002\x003")
    wire = hw(6, 1) + struct.pack(">BHH", 20, 2, 4000) + b"vw\x009\x009" + swallowed
    items = run(single(wire))
    assert [(item.cmd, item.id) for item in frames_of(items)] == [(6, 1), (20, 5), (6, 6), (20, 7)]
    (lost,) = [item for item in items if isinstance(item, Malformed)]
    assert (lost.id, lost.need, lost.have) == (2, 4005, 11)
    assert lost.data == wire[5:16]


def test_a_gap_inside_a_body_keeps_the_framing():
    wire = hw(20, 1, b"vw\x001\0" + b"a" * 100)
    after = hw(20, 2, b"vw\x002\x003")
    framer = Framer()
    items = framer.feed(wire[:30], 1.0)
    items += framer.gap(20, 2.0)
    assert framer.in_sync
    items += framer.feed(wire[50:] + after, 3.0)
    items += framer.finish()
    lost, frame = items
    assert isinstance(lost, Malformed)
    assert (lost.id, lost.have, lost.need, lost.time) == (1, 30, len(wire), 1.0)
    assert (frame.id, frame.end, frame.time) == (2, len(wire) + len(after), 3.0)


def test_a_gap_to_the_end_of_a_body_keeps_the_framing():
    wire = hw(20, 1, b"vw\x001\0" + b"a" * 10)
    framer = Framer()
    items = framer.feed(wire[:8], 0.0) + framer.gap(len(wire) - 8, 0.0) + framer.feed(hw(6, 2), 0.0)
    assert framer.in_sync
    assert [type(item) for item in items] == [Malformed, RawFrame]


def test_two_gaps_inside_a_body():
    wire = hw(20, 1, b"vw\x001\0" + b"a" * 100)
    framer = Framer()
    items = (
        framer.feed(wire[:20])
        + framer.gap(10)
        + framer.feed(wire[30:40])
        + framer.gap(10)
        + framer.feed(wire[50:] + hw(6, 2))
    )
    assert [(type(item), item.id) for item in items] == [(Malformed, 1), (RawFrame, 2)]


@pytest.mark.parametrize("start", [0, 3, 10])
def test_a_gap_across_frames_finds_the_next_one(start):
    first = hw(20, 1, b"vw\x001\x002")
    framer = Framer()
    items = framer.feed(first + first[:start], 0.0)
    items += framer.gap(500, 0.0)
    assert not framer.in_sync
    items += framer.feed(b"1\x0099.5" + hw(20, 9, b"vw\x003\x004") + hw(6, 10), 0.0)
    items += framer.finish()
    assert [(item.cmd, item.id) for item in frames_of(items)] == [(20, 1), (20, 9), (6, 10)]
    (skipped,) = [item for item in items if isinstance(item, Skipped)]
    assert skipped.sample == b"1\x0099.5"
    assert framer.in_sync


def test_joined_in_the_middle_of_a_frame():
    items = run([hw(20, 1, b"vw\x001\x002")[7:] + hw(20, 2, b"vw\x001\x003") + rsp(2, 2)], joined=True)
    assert [type(item) for item in items] == [Skipped, RawFrame, RawFrame]
    assert items[1].id == 2


@pytest.mark.parametrize("dialect", [HARDWARE, APP])
def test_the_buffer_is_bounded_while_searching(dialect):
    source = random.Random(7)
    framer = Framer(dialect, joined=True)
    total = worst = 0
    for _ in range(400):
        chunk = source.randbytes(1000)
        total += sizes(framer.feed(chunk, 0.0), HEADER_SIZE[dialect])
        worst = max(worst, framer.buffered)
    total += sizes(framer.finish(), HEADER_SIZE[dialect])
    assert worst <= (BOUND if dialect is HARDWARE else BOUND + limits.APP_BODY_MAX)
    assert total == 400_000


def test_endless_bytes_that_are_no_frame_are_given_up_in_time():
    framer = Framer(joined=True)
    skipped = 0
    for _ in range(300):
        skipped += sum(item.size for item in framer.feed(b"\xff" * 1000))
        assert framer.buffered <= limits.RESYNC_WINDOW + 1000
    assert skipped > 0
    assert skipped + sum(item.size for item in framer.finish()) == 300_000


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("dialect", "unit"),
    [(HARDWARE, b"\x14"), (HARDWARE, b"\x14\0\0\xff\0"), (APP, b"\x14\0\0\0\0\xff\0"), (APP, b"\x18\0\0\0\0\x40\0")],
    ids=["hardware-dense", "hardware-long", "app-long", "app-zlib"],
)
def test_a_false_header_at_every_offset_costs_no_more_than_a_look(dialect, unit):
    # Each of these could be the beginning of a long frame, and none is: proving must not read each body to its end.
    data = b"\xff" + unit * (200_000 // len(unit))
    items = run([data[at : at + 1400] for at in range(0, len(data), 1400)], dialect, joined=True)
    assert sizes(items, HEADER_SIZE[dialect]) == len(data)


def test_the_app_dialect_takes_ten_megabytes_and_no_more():
    document = b"1\0" + b"x" * (limits.APP_BODY_MAX - 2)
    (item,) = run(cut_at(hw(22, 1, document, APP), [5_000_000]), APP)
    assert item.word == limits.APP_BODY_MAX
    for length in (limits.APP_BODY_MAX + 1, 0x80000000, 0xFFFFFFFF):
        framer = Framer(APP)
        items = framer.feed(
            struct.pack(">BHI", 22, 1, length) + b"x" * 2000 + hw(20, 2, b"1-0\0vw\x001\x002", APP), 0.0
        )
        assert not frames_of(items) or frames_of(items)[0].id == 2
        assert [item.id for item in frames_of(items + framer.finish())] == [2]


def test_finish_can_be_called_again_and_the_framer_goes_on():
    framer = Framer()
    framer.feed(hw(20, 1, b"vw\x001\x002")[:6])
    assert len(framer.finish()) == 1
    assert framer.finish() == []
    (item,) = framer.feed(hw(6, 2))
    assert item.id == 2


def test_the_web_dialect_has_no_framer():
    with pytest.raises(ValueError, match="web_message"):
        Framer(WEB)


# --- web messages -------------------------------------------------------------------------------------------------------


def test_a_web_message():
    item = web_message(b"\x14\x00\x02vw\x001\x002", 5.0, 100)
    assert item == RawFrame(20, 2, 6, b"vw\x001\x002", 100, 5.0)
    assert web_message(struct.pack(">BHI", 0, 3, 200), None, 7) == RawFrame(0, 3, 200, b"", 7, None)
    assert web_message(b"\x06\x00\x01") == RawFrame(6, 1, 0, b"", 0, None)


@pytest.mark.parametrize("data", [b"", b"\x14", b"\x14\0", b"\0\0\1", b"\0\0\1\0", b"\0\0\1\0\0\0\xc8\0"])
def test_a_malformed_web_message(data):
    item = web_message(data, 1.0, 50)
    assert isinstance(item, Malformed)
    assert (item.start, item.have, item.data, item.time) == (50 - len(data), len(data), data, 1.0)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=50))
def test_any_web_message_is_one_item(data):
    item = web_message(data, 1.0, len(data))
    if isinstance(item, RawFrame):
        assert (item.cmd == 0) == (item.body == b"" and len(data) == 7 and data[0] == 0)
    else:
        assert item.have == len(data)
