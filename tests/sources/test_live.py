"""The live source over a made-up backend: what it yields, when it ends, what it counts, how much memory it takes."""

import io
import itertools
import struct
from collections import Counter

import pytest
from captures_of import CAPTURES, undamaged
from hypothesis import given
from hypothesis import strategies as st
from live_flood import flood

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import FrameRecord, SummaryRecord, spelled_out
from blynkscope.sources import open_capture
from blynkscope.sources.capture import read_capture
from blynkscope.sources.live import Chunk, Counts, LiveSource, Stamp, open_backend
from blynkscope.sources.live.blocks import Blocks, BrokenStreamError
from blynkscope.sources.live.model import QUIET, NoBackendError, NoInterfaceError, Wanted
from blynkscope.sources.pcapng import PcapngWriter
from blynkscope.wire.events import Data, Gap, Secrets

NOW = 1_700_000_000.0
NO_LOSS = Counts()


def STANDS_STILL():
    """A clock by which it is never time to look around."""
    return -1.0


class Clock:
    """Moves on by what is waited for."""

    def __init__(self):
        self.time = 0.0

    def __call__(self):
        return self.time

    def now(self):
        return NOW + self.time


class Fake:
    """Gives chunks one after the other, then nothing."""

    name = "fake"

    def __init__(self, chunks, clock=None, *, counts=NO_LOSS, ended=None, at_once=1):
        self.interfaces = ("fake0",)
        self.ended = None
        self._chunks = iter(chunks)
        self._clock = clock
        self._counts = counts
        self._why = ended
        self._at_once = at_once
        self.closed = 0

    def read(self, timeout):
        chunks = list(itertools.islice(self._chunks, self._at_once))
        if chunks:
            return chunks
        if self._clock is not None:
            self._clock.time += timeout
        self.ended = self._why
        return []

    def counts(self):
        return self._counts

    def close(self):
        self.closed += 1

    def abandon(self):
        self.closed += 1


def chunks_of(path):
    with path.open("rb") as stream:
        for buffer, packets in read_capture(stream, path.name):
            yield Chunk(buffer, packets, [Stamp(round(packet[0] * 1e9), 0) for packet in packets])


def all_of(source):
    return [event for batch in source for event in batch]


def segment(time, seq, payload, *, back=False, flags=0x10):
    """A TCP segment over IPv4 and Ethernet between one device and its server."""
    ends = (bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2]))
    ports = (50000, 8080)
    if back:
        ends, ports = ends[::-1], ports[::-1]
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + len(payload), 0, 0, 64, 6, 0, *ends)
    tcp = struct.pack(">HHIIBBHHH", *ports, seq, 1, 0x50, flags, 65535, 0, 0)
    data = bytes(12) + b"\x08\x00" + ip + tcp + payload
    return time, data


def chunk(*packets):
    buffer, described, stamps = b"", [], []
    for time, data in packets:
        described.append((time, 1, len(buffer), len(buffer) + len(data), len(data)))
        stamps.append(Stamp(round(time * 1e9), 0))
        buffer += data
    return Chunk(buffer, described, stamps)


@pytest.mark.parametrize("path", undamaged(), ids=lambda path: path.name)
def test_the_events_are_those_of_a_capture(path):
    live = LiveSource(Fake(chunks_of(path), ended="over"), clock=STANDS_STILL)
    assert all_of(live) == [event for event in all_of(open_capture(path)) if not isinstance(event, Secrets)]
    assert live.broken == "over"
    assert live.packets > 0


def test_nothing_is_counted_twice_where_two_interfaces_show_the_same_packet():
    """On `any` a bridged packet is seen on the bridge and on its port, one right behind the other."""

    def twice(chunks):
        for one in chunks:
            pairs = [packet for packet in one.packets for _ in (0, 1)]
            yield Chunk(one.buffer, pairs, [stamp for stamp in one.stamps for _ in (0, 1)])

    compared = 0
    for path in undamaged():
        once, doubled = (
            records_of(LiveSource(Fake(chunks, ended="over"), clock=STANDS_STILL))
            for chunks in (chunks_of(path), twice(chunks_of(path)))
        )
        frames = [
            [(r.stream, r.sender, r.cmd, r.id, r.write) for r in got if isinstance(r, FrameRecord)]
            for got in (once, doubled)
        ]
        assert frames[0] == frames[1], path.name
        lost = [Counter(next(r.lost for r in got if isinstance(r, SummaryRecord))) for got in (once, doubled)]
        # A fragment that comes again behind its datagram waits for the others of a second one.
        assert lost[1].keys() - lost[0].keys() <= {"fragments_incomplete"}, path.name
        compared += bool(frames[0])
    assert compared > 10


def records_of(source):
    analyser = Analyser()
    records = [record for events in source for record in analyser.feed(events)]
    return spelled_out(records + analyser.finish(source.lost))


def test_a_duration_ends_it():
    clock = Clock()
    backend = Fake([], clock)
    source = LiveSource(backend, duration=5.0, clock=clock, now=clock.now)
    assert all_of(source) == []
    assert 5.0 <= clock.time <= 5.0 + QUIET + 0.2
    assert backend.closed == 1
    assert source.broken is None


def test_what_came_before_the_end_is_read_and_what_came_behind_it_is_not():
    clock = Clock()
    early = [chunk(segment(NOW - 1 + n / 10, 1 + n, b"x")) for n in range(5)]
    mixed = chunk(segment(NOW - 0.1, 6, b"x"), segment(NOW + 0.1, 7, b"y"))
    late = chunk(segment(NOW + 0.2, 8, b"y"))
    source = LiveSource(Fake([*early, mixed, late], clock), clock=clock, now=clock.now)
    batches = iter(source)
    next(batches)
    source.stop()
    data = [event for batch in batches for event in batch if isinstance(event, Data)]
    assert b"".join(event.data for event in data) == b"x" * 5
    assert source.packets == 6


def test_each_of_several_interfaces_is_read_to_the_end():
    clock = Clock()
    first = chunk(segment(NOW - 0.2, 1, b"x"))
    late = chunk(segment(NOW + 0.2, 2, b"y"))
    early, later = (
        Chunk(one.buffer, one.packets, [Stamp(one.stamps[0].time, 1)])
        for one in (chunk(segment(NOW - 0.1, 2, b"x")), chunk(segment(NOW + 0.2, 3, b"y")))
    )
    backend = Fake([first, late, early, late, later, early], clock)
    backend.interfaces = ("fake0", "fake1")
    source = LiveSource(backend, clock=clock, now=clock.now)
    batches = iter(source)
    next(batches)
    source.stop()
    assert b"".join(event.data for batch in batches for event in batch if isinstance(event, Data)) == b"x"
    assert source.packets == 2


def test_an_endless_flood_does_not_keep_it_from_its_end():
    clock = Clock()

    def flood():
        while True:
            clock.time += 0.5
            yield chunk(segment(NOW - 1, 1, b"x"))  # the clock of the packets stands still

    source = LiveSource(Fake(flood(), clock), clock=clock, now=clock.now)
    batches = iter(source)
    next(batches)
    source.stop()
    assert len(list(batches)) < 50
    assert source.packets + source.lost["packets_unread"] == clock.time / 0.5
    assert source.lost["packets_unread"] == 20


def test_a_hole_is_given_up_by_the_clock_where_nothing_more_comes():
    clock = Clock()
    opening = chunk(segment(NOW, 0, b"", flags=0x02), segment(NOW, 1, b"first"), segment(NOW, 106, b"last"))
    source = LiveSource(Fake([opening], clock), clock=clock, now=clock.now)
    batches = iter(source)
    seen = []
    while not any(isinstance(event, Gap) for event in seen):
        seen += next(batches)
        assert clock.time < 10
    assert clock.time == pytest.approx(3.0, abs=0.3)
    assert isinstance(seen[-1], Data)
    assert seen[-1].data == b"last"
    source.close()


def test_drops_are_counted_and_said():
    source = LiveSource(Fake([chunk(segment(NOW, 1, b"x"))], counts=Counts(1, 5, 2, 1), ended="gone"))
    all_of(source)
    assert source.lost == {"packets_dropped_kernel": 5, "packets_dropped_interface": 2, "packets_dropped_queue": 1}
    said = "\n".join(source.notes)
    assert "1 packets captured, 8 dropped: 5 by the kernel" in said
    assert "Error: fake0: the capture ended: gone" in said


def test_a_backend_that_does_not_tell_its_drops_is_said_to():
    source = LiveSource(Fake([], counts=None, ended="gone"))
    all_of(source)
    assert source.lost == {}
    assert "did not tell" in source.notes[0]


def test_closing_in_the_middle_ends_the_backend_once():
    backend = Fake([chunk(segment(NOW, 1, b"x"))] * 3)
    source = LiveSource(backend)
    next(iter(source))
    source.close()
    source.close()
    assert backend.closed == 1


def test_auto_says_what_each_way_lacks(monkeypatch):
    from blynkscope.errors import EnvironmentProblem
    from blynkscope.sources import live

    def refuse(wanted):
        raise EnvironmentProblem("do this")

    monkeypatch.setattr(live, "_MAKERS", {"one": refuse, "two": refuse})
    with pytest.raises(NoBackendError) as caught:
        open_backend(Wanted(("eth0",)))
    assert caught.value.problems == ["one: do this", "two: do this"]
    assert caught.value.exit_code == 4

    def missing(wanted):
        raise NoInterfaceError("'eth0'")

    monkeypatch.setattr(live, "_MAKERS", {"one": refuse, "two": missing})
    with pytest.raises(NoInterfaceError, match="no interface 'eth0'"):
        open_backend(Wanted(("eth0",)))


# --- dumpcap's stream ---


def pcapng(*packets):
    stream = io.BytesIO()
    writer = PcapngWriter(stream)
    writer.interface(1)
    for time, data in packets:
        writer.packet(0, time, data)
    writer.statistics(0, received=1, dropped=0, time=0)
    return stream.getvalue()


@given(st.lists(st.tuples(st.integers(0, 2**62), st.binary(max_size=40)), max_size=8), st.data())
def test_blocks_may_be_cut_anywhere(packets, draw):
    data = pcapng(*packets)
    blocks, got, at = Blocks(), [], 0
    while at < len(data):
        upto = draw.draw(st.integers(at + 1, len(data)))
        one = blocks.feed(data[at:upto])
        got += [
            (stamp.time, one.buffer[start:end])
            for (_, _, start, end, _), stamp in zip(one.packets, one.stamps, strict=True)
        ]
        at = upto
    assert got == packets
    assert blocks.described == 1


@given(st.binary(max_size=200), st.integers(0, 400))
def test_blocks_take_anything(noise, at):
    data = pcapng((1, b"abc"), (2, b"def"))
    blocks = Blocks()
    try:
        blocks.feed(data[:at] + noise + data[at:])
        blocks.feed(noise)
    except BrokenStreamError:
        pass


def test_blocks_know_every_resolution_of_time():
    compared = 0
    for path in CAPTURES.rglob("*.pcapng"):
        if path.name.startswith("damaged"):
            continue
        data = path.read_bytes()
        if data[8:12] != b"\x4d\x3c\x2b\x1a":
            continue  # big-endian: dumpcap writes in the order of its machine
        with path.open("rb") as stream:
            expected = [
                (packet[0], buffer[packet[2] : packet[3]])
                for buffer, batch in read_capture(stream, "x")
                for packet in batch
            ]
        try:
            one = Blocks().feed(data)
        except BrokenStreamError:
            continue  # a section of the other order follows
        compared += 1
        got = [(packet[0], one.buffer[packet[2] : packet[3]]) for packet in one.packets]
        if len(got) == len(expected):
            assert [data for _, data in got] == [data for _, data in expected]
            assert [time for time, _ in got] == [pytest.approx(time, abs=1e-6) for time, _ in expected]
    assert compared


# --- memory ---

FRAMES = 300_000
"""Two million take a minute and more: `python tests/live_flood.py` sends them. What grows with frames shows here too."""
GROWTH_MAX = 24 * 1024 * 1024
"""Bytes. The tables of streams, held writes and counts have caps, which the first third of the frames fills."""


def test_memory_stays_flat_over_many_frames():
    growth, frames = flood(FRAMES)
    assert frames == FRAMES
    assert growth < GROWTH_MAX
