"""Plays a session through the rules: frames in, commands out, with a clock of its own, and what each leg saw."""

import heapq
import math

from talk import frame, ping, status, write

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import FindingRecord
from blynkscope.faults import Applied, Close, Injector, Later, Pass, Reset, Send, Stall, load
from blynkscope.protocol.derived import HEADER_STRUCTS, WORD_STRUCTS
from blynkscope.protocol.model import Dialect
from blynkscope.wire.events import Acked, Closed, Data, Opened

TOKEN = b"6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"
LOGIN = frame(29, 1, TOKEN)
__all__ = ["LOGIN", "TOKEN", "Play", "frame", "one_rule", "parts_of", "ping", "status", "write"]


def one_rule(text):
    """A rule set of one rule, by the lines of its table."""
    return load("[[rule]]\n" + text)


def parts_of(wire, dialect=Dialect.HARDWARE):
    """cmd, id, word, body of one frame."""
    if dialect is Dialect.WEB:
        cmd, number = HEADER_STRUCTS[dialect].unpack_from(wire)
        if cmd:
            return cmd, number, len(wire) - 3, wire[3:]
        return 0, number, WORD_STRUCTS[dialect].unpack_from(wire, 3)[0], b""
    head = HEADER_STRUCTS[dialect]
    cmd, number, word = head.unpack_from(wire)
    return cmd, number, word, wire[head.size :]


class Play:
    def __init__(self, rules, connection=1, seed=None, dialect=Dialect.HARDWARE):
        self.injector = Injector(
            rules if not isinstance(rules, str) else one_rule(rules), connection, seed, opened=100.0
        )
        self.dialect = dialect
        self.time = 100.0
        self.timers = []
        self.log = []  # all commands
        self.sent = ([], [])  # (time, bytes) by direction
        self.told = []
        self.stalled = []
        self.ended = None
        opened = Opened(1, 100.0, "192.0.2.1:50000", "198.51.100.2:8080", 50000, 8080, True)
        self.legs = ([opened], [opened])  # events as the device's and the server's leg saw them
        self.offsets = {}

    # --- the session ---

    def wait(self, seconds):
        end = self.time + seconds
        while self.timers and self.timers[0][0] <= end and self.ended is None:
            due, token = heapq.heappop(self.timers)
            self.time = max(self.time, due)
            self._do(self.injector.timer(token, self.time), None)
        self.time = end
        return self

    def say(self, direction, *wires, after=1.0):
        for wire in wires:
            self.wait(after)
            if self.ended is not None:
                return self
            self._saw(direction, direction, wire)  # its own leg sees what a side says
            cmd, number, word, body = parts_of(wire, self.dialect)
            out = self.injector.frame(direction, self.dialect, cmd, number, word, body, wire, self.time)
            self._do(out, (direction, wire))
        return self

    def device(self, *wires, after=1.0):
        return self.say(0, *wires, after=after)

    def server(self, *wires, after=1.0):
        return self.say(1, *wires, after=after)

    def close(self, by=0):
        for leg in self.legs:
            leg.append(Closed(1, self.time, self.ended or "fin", by, (True, True)))
        self.injector.closed()
        return self

    def login(self):
        return self.device(LOGIN).server(status(1))

    # --- what came of it ---

    @property
    def to_server(self):
        return [data for _, data in self.sent[0]]

    @property
    def to_device(self):
        return [data for _, data in self.sent[1]]

    @property
    def times(self):
        """Of what went to the server, since the beginning."""
        return [round(time - 100.0, 6) for time, _ in self.sent[0]]

    @property
    def actions(self):
        return [one.action for one in self.told]

    def findings(self, leg=0):
        """Ids of what the analysis finds on the device's leg, or on the server's."""
        analyser = Analyser()
        records = analyser.feed(self.legs[leg])
        records += analyser.finish()
        return {record.id for record in records if isinstance(record, FindingRecord)}

    # --- the relay ---

    def _saw(self, leg, direction, data):
        if data:
            self.legs[leg].append(Data(1, direction, self.time, data))
            upto = self.offsets[leg, direction] = self.offsets.get((leg, direction), 0) + len(data)
            self.legs[leg].append(Acked(1, direction, self.time, upto))

    def _send(self, direction, data):
        assert self.ended is None
        self.sent[direction].append((self.time, data))
        self._saw(1 - direction, direction, data)

    def _do(self, commands, own):
        for one in commands:
            self.log.append((round(self.time, 6), one))
            if isinstance(one, Pass):
                self._send(*own)
                own = None
            elif isinstance(one, Send):
                self._send(one.direction, one.data)
            elif isinstance(one, Later):
                assert 0 <= one.delay < math.inf
                heapq.heappush(self.timers, (self.time + one.delay, one.token))
            elif isinstance(one, Applied):
                self.told.append(one)
            elif isinstance(one, Stall):
                self.stalled.append(one)
            elif isinstance(one, Close | Reset):
                self.ended = "fin" if isinstance(one, Close) else "reset"
