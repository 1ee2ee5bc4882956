"""A day's traffic in a minute: devices come, log in, write and go, through the live source, the analysis and an output."""

import io
import itertools
import struct
import time

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import SummaryRecord
from blynkscope.analysis.selection import Selection
from blynkscope.render.outputs import make
from blynkscope.render.redact import Redactor
from blynkscope.sources.live import Chunk, Counts, LiveSource, Stamp

PER_CONNECTION = 500
"""Frames of a connection, its login and the answer to that among them."""
AT_ONCE = 20
_DAY = 86_400.0
_PACKETS = 500


class Null(io.RawIOBase):
    """Takes everything and keeps nothing."""

    def writable(self):
        return True

    def write(self, data):
        return len(data)


def resident():
    """Bytes of this process that are in memory."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def _head(source, target, ports, seq, ack, flags, size):
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + size, 0, 0, 64, 6, 0, source, target)
    return bytes(12) + b"\x08\x00" + ip + struct.pack(">HHIIBBHHH", *ports, seq, ack, 0x50, flags, 65535, 0, 0)


def _connection(number):
    """The packets of one connection, in order."""
    device = struct.pack(">BBH", 10, number >> 16 & 0xFF, number & 0xFFFF)
    server = bytes([198, 51, 100, 20])
    port = 1024 + number % 60000
    up, down = (device, server, (port, 8080)), (server, device, (8080, port))
    yield _head(*up, 0, 0, 0x02, 0)
    yield _head(*down, 0, 1, 0x12, 0)
    yield _head(*up, 1, 1, 0x10, 0)
    token = b"%032x" % number
    sent, got = 1, 1
    wire = struct.pack(">BHH", 29, 1, 32) + token
    yield _head(*up, sent, got, 0x18, len(wire)) + wire
    sent += len(wire)
    answer = struct.pack(">BHH", 0, 1, 200)
    yield _head(*down, got, sent, 0x18, len(answer)) + answer
    got += len(answer)
    for count in range(PER_CONNECTION - 2):
        body = b"vw\0%d\0%d" % (count % 40, count)
        wire = struct.pack(">BHH", 20, count % 65000 + 2, len(body)) + body
        yield _head(*up, sent, got, 0x18, len(wire)) + wire
        sent += len(wire)
        if count % 10 == 9:
            yield _head(*down, got, sent, 0x10, 0)
    yield _head(*up, sent, got, 0x11, 0)
    yield _head(*down, got, sent + 1, 0x11, 0)
    yield _head(*up, sent + 1, got + 1, 0x10, 0)


class Day:
    """A backend that gives a day's traffic as fast as it is taken."""

    name = "day"
    interfaces = ("day0",)

    def __init__(self, frames):
        self.ended = None
        self._packets = self._interleaved(frames // PER_CONNECTION)
        self._step = _DAY / (frames * 1.2)
        self._now = 1_700_000_000.0

    def _interleaved(self, count):
        waiting = iter(range(count))
        live = [_connection(number) for number in itertools.islice(waiting, AT_ONCE)]
        while live:
            for one in list(live):
                packet = next(one, None)
                if packet is not None:
                    yield packet
                    continue
                live.remove(one)
                live += [_connection(number) for number in itertools.islice(waiting, 1)]

    def read(self, timeout):
        parts, packets, stamps, at = [], [], [], 0
        for data in itertools.islice(self._packets, _PACKETS):
            self._now += self._step
            packets.append((self._now, 1, at, at + len(data), len(data)))
            stamps.append(Stamp(int(self._now * 1e9), 0))
            parts.append(data)
            at += len(data)
        if not parts:
            self.ended = "the day is over"
            return []
        return [Chunk(b"".join(parts), packets, stamps)]

    def counts(self):
        return Counts()

    def close(self):
        pass

    def abandon(self):
        pass


def flood(frames, form="jsonl"):
    """Send so many frames; gives by how much memory grew behind the first third of them, and the frames of the summary."""
    source = LiveSource(Day(frames))
    analyser, selection = Analyser(), Selection(None)
    out = make(form, Null(), redactor=Redactor())
    base = peak = 0
    for events in source:
        out.write(selection.of(analyser.feed(events)))
        if analyser.run.frames > frames // 3:
            now = resident()
            base = base or now
            peak = max(peak, now)
    records = analyser.finish(source.lost)
    out.write(records)
    out.close()
    (summary,) = [record for record in records if isinstance(record, SummaryRecord)]
    return peak - base, summary.frames


if __name__ == "__main__":
    import sys

    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000
    for form in sys.argv[2:] or ["jsonl"]:
        begin = time.perf_counter()
        grown, seen = flood(count, form)
        print(f"{form}: {seen:,} frames in {time.perf_counter() - begin:.0f} s, memory grew by {grown / 1e6:.1f} MB")
