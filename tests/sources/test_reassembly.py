"""TCP reassembly against a model: what was sent comes out, or is reported missing; both paths agree on everything."""

import itertools

import pytest
from craft import ACK, FIN, PSH, RST, SYN, WRAP, Wire, acked, both_ways, of_kind, payload, read, sent, tcp
from craft import ethernet as ethernet_frame
from craft import ipv4 as ipv4_packet
from hypothesis import given, settings
from hypothesis import strategies as st

from blynkscope.analysis.analyser import Analyser
from blynkscope.protocol import limits
from blynkscope.sources.reassembly import serial_difference
from blynkscope.wire.events import Acked, Closed, Data, Gap, Opened, Overlap

isn = st.integers(0, WRAP - 1) | st.integers(WRAP - 300, WRAP - 1) | st.integers(WRAP // 2 - 300, WRAP // 2)


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [(0, 0, 0), (1, 0, 1), (0, 1, -1), (0, WRAP - 1, 1), (WRAP - 1, 0, -1), (WRAP // 2 - 1, 0, WRAP // 2 - 1),
     (WRAP // 2, 0, -WRAP // 2), (5, WRAP - 5, 10)],
)  # fmt: skip
def test_serial_arithmetic(a, b, distance):
    assert serial_difference(a, b) == distance


@st.composite
def conversations(draw, *, lossy):
    """Two byte streams in segments that are cut, repeated, swapped and (where lossy) dropped; and what a reader can know."""
    streams = [draw(st.binary(max_size=400)) for _ in range(2)]
    segments = []
    for side, data in enumerate(streams):
        cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
        edges = [0, *cuts, len(data)]
        parts = [(start, end) for start, end in itertools.pairwise(edges) if end > start]
        for start, end in list(parts):
            # Sent again later, perhaps with a bit more on either side.
            if draw(st.integers(0, 5)) == 0:
                parts.append((max(0, start - draw(st.integers(0, 9))), min(len(data), end + draw(st.integers(0, 9)))))
        if lossy:
            parts = [part for part in parts if draw(st.integers(0, 4))]
        segments += [(side, start, end) for start, end in parts]
    order = draw(st.permutations(range(len(segments)))) if draw(st.booleans()) else list(range(len(segments)))
    # Disorder is bounded: each segment moves by a few places only where the permutation is not taken whole.
    segments = [segments[place] for place in order]
    segments = draw(st.permutations(segments)) if len(segments) < 6 else segments
    return streams, segments, draw(st.tuples(isn, isn)), draw(st.lists(st.booleans(), min_size=40, max_size=40))


def play(streams, segments, isns, acks, *, close):
    wire = Wire(isns)
    wire.handshake()
    seen = [set(), set()]
    upto = [0, 0]
    for turn, (side, start, end) in enumerate(segments):
        # What the receiver has in one piece is what it can acknowledge.
        ack = upto[1 - side]
        wire.send(side, start, streams[side][start:end], ack=ack, flags=ACK | PSH)
        seen[side].update(range(start, end))
        while upto[side] in seen[side]:
            upto[side] += 1
        if acks[turn % len(acks)]:
            wire.send(1 - side, 0 if not seen[1 - side] else max(seen[1 - side]) + 1, ack=upto[side])
    if close:
        wire.send(0, len(streams[0]), ack=upto[1], flags=FIN | ACK)
        wire.send(1, len(streams[1]), ack=upto[0], flags=FIN | ACK)
    return wire, seen, upto


@settings(deadline=None, max_examples=250)
@given(conversations(lossy=False), st.booleans())
def test_without_loss_all_bytes_come_out_once_and_in_order(conversation, close):
    streams, segments, isns, acks = conversation
    wire, _, upto = play(streams, segments, isns, acks, close=close)
    events = both_ways(wire.packets)
    assert [sent(events, side) for side in (0, 1)] == streams
    assert not of_kind(events, Gap)
    assert not of_kind(events, Overlap)
    for side in (0, 1):
        offsets = acked(events, side)
        assert offsets == sorted(set(offsets))
        assert all(offset <= upto[side] for offset in offsets)


@settings(deadline=None, max_examples=250)
@given(conversations(lossy=True), st.booleans())
def test_with_loss_what_is_missing_is_reported_to_the_byte(conversation, close):
    streams, segments, isns, acks = conversation
    wire, seen, _ = play(streams, segments, isns, acks, close=close)
    events = both_ways(wire.packets)
    got, missing = payload(events)
    for side in (0, 1):
        known = {offset: streams[side][offset] for offset in seen[side]}
        assert got[side] == known
        end = len(streams[side]) if close else max(seen[side], default=-1) + 1
        assert missing[side] == set(range(end)) - seen[side]
    lost = sum(event.missing for event in of_kind(events, Gap))
    assert lost == read(wire.packets).flows.counts.gap_bytes


@settings(deadline=None, max_examples=100)
@given(st.binary(min_size=1, max_size=200), st.integers(1, 60), isn)
def test_a_frame_has_the_time_of_the_packet_that_completes_it(data, size, start):
    wire = Wire((start, 9))
    wire.handshake()
    expected = []
    for at in range(0, len(data), size):
        wire.send(0, at, data[at : at + size], ack=0)
        expected.append((wire.time, data[at : at + size]))
    events = both_ways(wire.packets)
    assert [(event.time, event.data) for event in of_kind(events, Data)] == expected


def test_a_late_segment_keeps_its_own_time():
    wire = Wire()
    wire.handshake()
    wire.send(0, 3, b"def", ack=0, time=2000.0)
    wire.send(0, 0, b"abc", ack=0, time=2000.1)
    events = both_ways(wire.packets)
    # The second piece was seen first; what is told is when its bytes were on the wire.
    assert [(event.data, event.time) for event in of_kind(events, Data)] == [(b"abc", 2000.1), (b"def", 2000.0)]


# --- overlaps -----------------------------------------------------------------------------------------------------------


def test_of_conflicting_bytes_the_first_are_kept_in_order():
    wire = Wire()
    wire.handshake()
    wire.send(0, 0, b"abcdef", ack=0)
    wire.send(0, 3, b"DEFghi", ack=0)
    events = both_ways(wire.packets)
    assert sent(events, 0) == b"abcdefghi"
    assert [(event.offset, event.differing, event.direction) for event in of_kind(events, Overlap)] == [(3, 3, 0)]


def test_of_conflicting_bytes_the_first_are_kept_behind_a_hole():
    wire = Wire()
    wire.handshake()
    wire.send(0, 4, b"efgh", ack=0)
    wire.send(0, 2, b"cdEFGHij", ack=0)
    wire.send(0, 0, b"ab", ack=0)
    events = both_ways(wire.packets)
    assert sent(events, 0) == b"abcdefghij"
    assert [(event.offset, event.differing) for event in of_kind(events, Overlap)] == [(4, 4)]


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_the_first_byte_at_each_place_wins(data):
    """Segments with random content at random places; the model keeps the first byte at each offset."""
    wire = Wire()
    wire.handshake()
    kept = {}
    delivered = 0
    for _ in range(data.draw(st.integers(1, 12))):
        at = data.draw(st.integers(max(0, delivered - 20), 60))
        content = data.draw(st.binary(min_size=2, max_size=12))
        wire.send(0, at, content, ack=0)
        for offset, byte in enumerate(content, at):
            kept.setdefault(offset, byte)
        while delivered in kept:
            delivered += 1
    events = both_ways(wire.packets)
    got, missing = payload(events)
    assert got[0] == kept
    assert missing[0] == set(range(max(kept) + 1)) - set(kept)


def test_a_keep_alive_is_no_conflict():
    wire = Wire()
    wire.handshake()
    wire.send(0, 0, b"abc", ack=0)
    wire.send(1, 0, ack=3)
    wire.send(0, 2, b"\0", ack=0)
    wire.send(0, 2, b"", ack=0)
    wire.send(1, 0, ack=3)
    wire.send(0, 3, b"def", ack=0)
    events = both_ways(wire.packets)
    assert sent(events, 0) == b"abcdef"
    assert not of_kind(events, Overlap)
    assert not of_kind(events, Gap)


# --- holes --------------------------------------------------------------------------------------------------------------


def test_a_hole_is_given_up_after_a_while():
    wire = Wire()
    wire.handshake()
    wire.send(0, 3, b"def", ack=0, time=2000.0)
    wire.send(0, 6, b"ghi", ack=0, time=2000.0 + limits.REORDER_SECONDS)
    events = read(wire.packets).events
    assert payload(events)[1][0] == {0, 1, 2}
    (gap,) = of_kind(events, Gap)
    assert (gap.missing, gap.reason, gap.time) == (3, "lost", 2000.0 + limits.REORDER_SECONDS)
    assert sent(events, 0) == b"defghi"
    # What comes after that is old.
    wire.send(0, 0, b"abc", ack=0)
    assert sent(both_ways(wire.packets), 0) == b"defghi"


def test_a_hole_that_was_acknowledged_is_given_up_soon():
    wire = Wire()
    wire.handshake()
    wire.send(0, 3, b"def", ack=0, time=2000.0)
    wire.send(1, 0, ack=6, time=2000.01)
    assert not of_kind(read(wire.packets).events, Gap) or of_kind(read(wire.packets).events, Gap)[0].time == 2000.01
    wire.send(0, 6, b"ghi", ack=0, time=2000.0 + limits.ACKED_HOLE_SECONDS)
    (gap,) = of_kind(both_ways(wire.packets), Gap)
    assert (gap.missing, gap.reason) == (3, "lost")


def test_many_segments_behind_a_hole_are_not_all_kept(monkeypatch):
    monkeypatch.setattr(limits, "REORDER_SEGMENTS", 10)
    wire = Wire()
    wire.handshake()
    for number in range(100):
        wire.send(0, 10 + 4 * number, b"xx", ack=0, time=2000.0)
    reader = read(wire.packets)
    assert of_kind(reader.events, Gap)[0].reason == "reordering limit"
    assert len(payload(reader.events)[0][0]) == 200
    assert all(len(half.held) <= 10 for half in reader.flows.halves.values())


def test_many_bytes_behind_holes_are_not_all_kept(monkeypatch):
    monkeypatch.setattr(limits, "TOTAL_BUFFER_MAX", 5000)
    wires = [Wire(ports=(40000 + number, 8080)) for number in range(40)]
    packets = []
    for wire in wires:
        wire.handshake()
        wire.send(0, 10, b"x" * 400, ack=0, time=2000.0)
        packets += wire.packets
    reader = read(packets, general=True)
    gaps = of_kind(reader.events, Gap)
    assert len(gaps) == 40
    assert {gap.reason for gap in gaps} == {"lost", "reordering limit"}
    assert sum(len(event.data) for event in of_kind(reader.events, Data)) == 40 * 400


def test_the_window_of_one_direction_is_bounded(monkeypatch):
    monkeypatch.setattr(limits, "STREAM_BUFFER_MAX", 1000)
    wire = Wire()
    wire.handshake()
    wire.send(0, 10, b"x" * 1400, ack=0)
    wire.send(0, 0, b"y" * 10, ack=0)
    events = both_ways(wire.packets)
    assert [event.reason for event in of_kind(events, Gap)] == ["reordering limit"]


def test_bytes_that_the_capture_cut_off_are_a_gap():
    wire = Wire()
    wire.handshake()
    wire.send(0, 0, b"abcdefghij", ack=0, keep=14 + 40 + 4)
    wire.send(0, 10, b"kl", ack=0)
    events = both_ways(wire.packets)
    got, missing = payload(events)
    assert bytes(got[0].values()) == b"abcdkl"
    assert missing[0] == {4, 5, 6, 7, 8, 9}
    assert [event.reason for event in of_kind(events, Gap)] == ["snaplen"]


def test_bytes_that_the_capture_cut_off_behind_a_hole():
    wire = Wire()
    wire.handshake()
    wire.send(0, 2, b"cdefgh", ack=0, keep=14 + 40 + 3)
    wire.send(0, 0, b"ab", ack=0)
    wire.send(0, 8, b"ij", ack=0)
    got, missing = payload(both_ways(wire.packets))
    assert bytes(got[0].values()) == b"abcdeij"
    assert missing[0] == {5, 6, 7}


# --- acknowledgements ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [1000, WRAP - 3])
def test_acknowledged_offsets(start):
    wire = Wire((start, start))
    wire.handshake()
    wire.send(0, 0, b"abcdef", ack=0)
    wire.send(1, 0, ack=2, time=3000.0)
    wire.send(1, 0, b"xy", ack=6)
    wire.send(1, 2, ack=6)
    wire.send(1, 2, ack=4)
    wire.send(0, 6, ack=2)
    events = both_ways(wire.packets)
    assert acked(events, 0) == [2, 6]
    assert acked(events, 1) == [2]
    assert of_kind(events, Acked)[0].time == 3000.0


def test_an_acknowledgement_comes_before_the_data_of_its_segment():
    wire = Wire()
    wire.handshake()
    wire.send(0, 0, b"abc", ack=0)
    wire.send(1, 0, b"xyz", ack=3)
    events = [event for event in both_ways(wire.packets) if isinstance(event, Data | Acked)]
    assert [type(event).__name__ for event in events] == ["Data", "Acked", "Data"]


def test_acknowledgements_do_not_run_backwards():
    wire = Wire()
    wire.handshake()
    wire.send(0, 0, b"abcdef", ack=0)
    for ack in (3, 1, 6, 3, 6):
        wire.send(1, 0, ack=ack)
    assert acked(both_ways(wire.packets), 0) == [3, 6]


# --- beginning and end --------------------------------------------------------------------------------------------------


def test_a_whole_connection():
    wire = Wire()
    wire.handshake()
    wire.send(0, 0, b"abc", ack=0)
    wire.send(0, 3, ack=0, flags=FIN | ACK)
    wire.send(1, 0, b"late", ack=4)
    wire.send(1, 4, ack=4, flags=FIN | ACK)
    wire.send(0, 4, ack=5)
    events = both_ways(wire.packets)
    (opened,), (closed,) = of_kind(events, Opened), of_kind(events, Closed)
    assert opened.handshake
    assert (opened.client, opened.server) == ("192.0.2.1:50000", "192.0.2.2:8080")
    assert (closed.how, closed.by, closed.heard) == ("fin", 0, (True, True))
    assert (sent(events, 0), sent(events, 1)) == (b"abc", b"late")
    assert events[-1] is closed


def test_data_before_a_fin_that_was_lost_is_a_gap():
    wire = Wire()
    wire.handshake()
    wire.send(0, 5, ack=0, flags=FIN | ACK)
    wire.send(1, 0, ack=6, flags=FIN | ACK)
    wire.send(0, 6, ack=1)
    (gap,) = of_kind(both_ways(wire.packets), Gap)
    assert (gap.direction, gap.missing) == (0, 5)


def test_data_after_a_fin_is_counted_and_not_taken():
    wire = Wire()
    wire.handshake()
    wire.send(0, 0, b"abc", ack=0, flags=FIN | ACK)
    wire.send(0, 4, b"more", ack=0)
    assert sent(both_ways(wire.packets), 0) == b"abc"
    assert read(wire.packets).flows.counts.after_close == 1


def test_data_after_a_reset_is_counted_and_not_taken():
    wire = Wire()
    wire.handshake()
    wire.send(0, 0, b"abc", ack=0)
    wire.send(1, 0, ack=3, flags=RST | ACK)
    wire.send(0, 3, b"more", ack=0)
    events = both_ways(wire.packets)
    assert sent(events, 0) == b"abc"
    assert [(event.how, event.by) for event in of_kind(events, Closed)] == [("reset", 1)]
    assert read(wire.packets).flows.counts.after_close == 1


def test_an_acknowledgement_behind_the_end_is_not_told():
    wire = Wire()
    wire.handshake()
    wire.send(0, 0, b"abc", ack=0)
    wire.send(0, 3, ack=0, flags=RST | ACK)
    wire.send(1, 0, ack=3)
    events = both_ways(wire.packets)
    assert isinstance(events[-1], Closed)
    assert Analyser().feed(events)[-1].kind == "closed"


def test_refused_and_unanswered():
    wire = Wire()
    wire.send(0, -1, flags=SYN)
    wire.send(1, -1, ack=0, flags=RST | ACK)
    other = Wire(ports=(50001, 8080))
    other.send(0, -1, flags=SYN)
    other.send(0, -1, flags=SYN)
    events = both_ways(wire.packets + other.packets)
    assert [(event.stream, event.how) for event in of_kind(events, Closed)] == [(1, "refused"), (2, "unanswered")]
    assert [event.heard for event in of_kind(events, Closed)] == [(True, True), (True, False)]
    assert len(of_kind(events, Opened)) == 2


def test_ports_that_are_used_again():
    first, second = Wire((1000, 5000)), Wire((900_000, 700_000))
    first.handshake()
    first.send(0, 0, b"one", ack=0)
    second.handshake()
    second.send(0, 0, b"two", ack=0)
    events = both_ways(first.packets + second.packets)
    assert (sent(events, 0, 1), sent(events, 0, 2)) == (b"one", b"two")
    assert [event.how for event in of_kind(events, Closed)] == ["reused", "end"]


def test_a_repeated_syn_is_the_same_connection():
    wire = Wire()
    wire.send(0, -1, flags=SYN)
    wire.send(0, -1, flags=SYN)
    wire.send(1, -1, ack=0, flags=SYN | ACK)
    wire.send(1, -1, ack=0, flags=SYN | ACK)
    wire.send(0, 0, b"abc", ack=0)
    events = both_ways(wire.packets)
    assert len(of_kind(events, Opened)) == 1
    assert sent(events, 0) == b"abc"


def test_an_answer_captured_before_its_syn():
    wire = Wire()
    wire.send(1, -1, ack=0, flags=SYN | ACK)
    wire.send(0, -1, flags=SYN)
    wire.send(0, 0, b"abc", ack=0)
    events = both_ways(wire.packets)
    (opened,) = of_kind(events, Opened)
    assert opened.server_port == 8080
    assert opened.handshake
    assert sent(events, 0) == b"abc"


def test_joined_in_the_middle():
    wire = Wire()
    wire.send(1, 100, b"tail", ack=50)
    wire.send(0, 50, b"next", ack=104)
    events = both_ways(wire.packets)
    (opened,) = of_kind(events, Opened)
    assert not opened.handshake
    assert (opened.client_port, opened.server_port) == (50000, 8080)
    assert (sent(events, 0), sent(events, 1)) == (b"next", b"tail")
    assert acked(events, 1) == [4]


def test_one_direction_alone():
    wire = Wire()
    wire.send(0, -1, flags=SYN)
    wire.send(0, 0, b"abc", ack=0)
    wire.send(0, 3, b"def", ack=20)
    events = both_ways(wire.packets)
    assert sent(events, 0) == b"abcdef"
    assert of_kind(events, Closed)[0].heard == (True, False)


# --- many connections ---------------------------------------------------------------------------------------------------


def test_the_connections_silent_longest_make_room(monkeypatch):
    monkeypatch.setattr(limits, "STREAMS_MAX", 8)
    packets = []
    for number in range(20):
        wire = Wire(ports=(40000 + number, 8080))
        wire.time = 1000.0 + number
        wire.handshake()
        packets += wire.packets
    events = both_ways(packets)
    closed = of_kind(events, Closed)
    assert len(of_kind(events, Opened)) == len(closed) == 20
    assert [event.stream for event in closed] == list(range(1, 21))
    assert [event.how for event in closed].count("evicted") == 12
    assert read(packets).flows.counts.evicted == 12


def test_closed_connections_make_room_first(monkeypatch):
    monkeypatch.setattr(limits, "STREAMS_MAX", 8)
    busy = Wire(ports=(30000, 8080))
    busy.handshake()
    packets = list(busy.packets)
    for number in range(30):
        wire = Wire(ports=(40000 + number, 8080))
        wire.time = 2000.0 + number
        wire.handshake()
        wire.send(0, 0, ack=0, flags=RST | ACK)
        packets += wire.packets
    reader = read(packets)
    assert reader.flows.counts.evicted == 0
    assert [event.how for event in of_kind(reader.events, Closed)] == ["reset"] * 30 + ["end"]


def test_a_hundred_thousand_half_open_connections_stay_within_the_limit():
    head = ethernet_frame(ipv4_packet(bytes([198, 51, 100, 1]), bytes([192, 0, 2, 2]), tcp(1, 8080, 7, 0, SYN)))
    packets = []
    for number in range(100_000):
        source = (0x0A000000 + number).to_bytes(4, "big")
        packets.append((1000.0 + number / 1e4, head[:26] + source + head[30:], len(head)))
    reader = read(packets[:50_000], general=True)
    assert not reader.flows.connections
    from blynkscope.sources.packets import PacketReader

    reader = PacketReader()
    buffer = b"".join(data for _, data, _ in packets)
    size = len(head)
    worst = 0
    for place, (time, _, wire) in enumerate(packets):
        reader.packet(buffer, (time, 1, place * size, place * size + size, wire))
        worst = max(worst, len(reader.flows.connections))
    assert worst <= limits.STREAMS_MAX
    assert len(reader.flows.halves) <= 2 * limits.STREAMS_MAX
    reader.finish()
    ended = [event.how for event in of_kind(reader.events, Closed)]
    assert len(ended) == 100_000
    assert ended.count("evicted") == reader.flows.counts.evicted == 100_000 - ended.count("unanswered")


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_no_segments_whatever_break_it(data):
    """Random flags, numbers and data on few connections: both paths agree, each stream is closed once, and at its end."""
    packets, time = [], 1000.0
    for _ in range(data.draw(st.integers(1, 25))):
        side = data.draw(st.integers(0, 1))
        wire = Wire((0, 0), (data.draw(st.sampled_from([5, 50000])), 8080))
        time += data.draw(st.sampled_from([-5.0, 0.0, 0.01, 1.0, 4.0]))
        wire.send(
            side, data.draw(st.integers(-3, 60) | st.integers(0, WRAP - 1)), data.draw(st.binary(max_size=9)),
            ack=data.draw(st.integers(-3, 60) | st.integers(0, WRAP - 1)),
            flags=data.draw(st.sampled_from([ACK, ACK, ACK, SYN, SYN | ACK, FIN | ACK, RST, RST | ACK, FIN, 0, 0xFF])),
            time=time, keep=data.draw(st.sampled_from([None, None, 54, 56])),
        )  # fmt: skip
        packets += wire.packets
    open_streams, closed = set(), set()
    for event in both_ways(packets):
        if isinstance(event, Opened):
            open_streams.add(event.stream)
        else:
            assert event.stream in open_streams - closed
        if isinstance(event, Closed):
            closed.add(event.stream)
        if isinstance(event, Data):
            assert event.data
        if isinstance(event, Gap):
            assert event.missing > 0
    assert open_streams == closed


def test_what_is_answered_comes_before_its_answer():
    """A segment is missing from the capture alone: the peer acknowledged it, and answers what came behind it."""
    wire = Wire((1000, 5000))
    wire.handshake()
    wire.send(0, 0, b"first", ack=0)
    wire.send(0, 15, b"behind", ack=0)
    wire.send(1, 0, b"answer", ack=21)
    told = [event for event in both_ways(wire.packets) if isinstance(event, Data | Gap)]
    assert [(event.direction, event.data if isinstance(event, Data) else event.missing) for event in told] == [
        (0, b"first"),
        (0, 10),
        (0, b"behind"),
        (1, b"answer"),
    ]


@pytest.mark.parametrize("late", [b"", b"late bytes"])
def test_an_end_by_fin_that_a_kernel_follows_with_a_reset(late):
    """The client closed; what the server says after that is answered by the client's kernel, with RST."""
    wire = Wire()
    wire.handshake()
    wire.send(0, 0, b"abc", ack=0)
    wire.send(0, 3, ack=0, flags=FIN | ACK)
    wire.send(1, 0, late, ack=4)
    wire.send(0, 4, ack=0, flags=RST)
    assert [(event.how, event.by) for event in of_kind(both_ways(wire.packets), Closed)] == [("fin", 0)]


def test_a_reset_that_answers_a_fin_is_a_reset():
    wire = Wire()
    wire.handshake()
    wire.send(0, 0, b"abc", ack=0)
    wire.send(0, 3, ack=0, flags=FIN | ACK)
    wire.send(1, 0, ack=4, flags=RST | ACK)
    assert [(event.how, event.by) for event in of_kind(both_ways(wire.packets), Closed)] == [("reset", 1)]


def test_resets_behind_both_fins_belong_to_who_closed_first():
    wire = Wire()
    wire.handshake()
    wire.send(1, 0, b"abc", ack=0, flags=FIN | ACK)
    wire.send(0, 0, ack=3, flags=FIN | ACK)
    wire.send(0, 1, ack=3, flags=RST | ACK)
    assert [(event.how, event.by) for event in of_kind(both_ways(wire.packets), Closed)] == [("fin", 1)]
