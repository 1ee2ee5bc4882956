"""Hand-made streams of events: what each side says, byte for byte, and what the analysis makes of it."""

import struct

import msgspec

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import FindingRecord, FrameRecord, WriteRecord, spelled_out
from blynkscope.wire.events import Acked, Closed, Data, Gap, Opened

TOKEN = b"6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"
HARDWARE, APP = ">BHH", ">BHI"


def frame(cmd, number, *parts, head=HARDWARE):
    body = b"\0".join(parts)
    return struct.pack(head, cmd, number, len(body)) + body


def write(number, pin, *values, head=HARDWARE, target=()):
    return frame(20, number, *target, b"vw", pin, *values, head=head)


def sync(number, *pins):
    return frame(16, number, *((b"vr", *pins) if pins else ()))


def ping(number, head=HARDWARE):
    return frame(6, number, head=head)


def status(number, code=200, head=HARDWARE):
    return struct.pack(head, 0, number, code)


class Talk:
    """One stream, told event by event."""

    def __init__(self, analyser=None, stream=1, *, handshake=True, ports=(50000, 8080), dialect=None):
        self.analyser = analyser or Analyser(dialect)
        self.stream = stream
        self.time = 100.0
        self.offsets = [0, 0]
        self.records = []
        ends = (f"192.0.2.1:{ports[0]}", f"192.0.2.2:{ports[1]}")
        self._tell(Opened(stream, self.time, *ends, *ports, handshake))

    def _tell(self, event):
        self.records += spelled_out(self.analyser.feed([event]))
        return self

    def say(self, side, *wires, after=1.0):
        """Each frame in a segment of its own."""
        for wire in wires:
            self.time += after
            self.offsets[side] += len(wire)
            self._tell(Data(self.stream, side, self.time, wire))
        return self

    def device(self, *wires, **options):
        return self.say(0, *wires, **options)

    def server(self, *wires, **options):
        return self.say(1, *wires, **options)

    def ack(self, side, upto=None):
        """TCP acknowledges what this side said."""
        self.time += 1.0
        return self._tell(Acked(self.stream, side, self.time, self.offsets[side] if upto is None else upto))

    def gap(self, side, missing):
        self.offsets[side] += missing
        return self._tell(Gap(self.stream, side, self.time, missing, "lost"))

    def close(self, how="fin", heard=(True, True), by=0):
        self.time += 1.0
        return self._tell(Closed(self.stream, self.time, how, by, heard))

    @property
    def frames(self):
        return [record for record in self.records if isinstance(record, FrameRecord)]

    @property
    def updates(self):
        return [record for record in self.records if isinstance(record, WriteRecord)]

    @property
    def said(self):
        """State of each write when its line was written, by frame."""
        return {record.n: record.write for record in self.frames if record.write is not None}

    @property
    def states(self):
        """Final state of each write, by frame."""
        return self.said | {record.frame: record.state for record in self.updates}

    def findings(self, name):
        return [record for record in self.records if isinstance(record, FindingRecord) and record.id == name]

    @property
    def plain(self):
        return msgspec.to_builtins(self.records)


def begin(**options):
    """A device that has logged in: frames 1 and 2."""
    return Talk(**options).device(frame(29, 1, TOKEN)).server(status(1))
