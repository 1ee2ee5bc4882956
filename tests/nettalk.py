"""Several connections of one run, DNS among them, and what the analysis finds; and the findings of a capture."""

import struct

from captures_of import CAPTURES

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import FindingRecord, spelled_out
from blynkscope.sources import CaptureSource
from blynkscope.wire.events import Closed, Data, Datagram, Opened

BAD = ("warning", "error")


def of_capture(name):
    """The findings of a capture, by id."""
    analyser, found = Analyser(), {}
    with (CAPTURES / name).open("rb") as stream:
        records = [record for batch in CaptureSource(stream, name) for record in analyser.feed(batch)]
    for record in spelled_out(records + analyser.finish()):
        if isinstance(record, FindingRecord):
            found.setdefault(record.id, []).append(record)
    return found


class Connections:
    """Several connections of one run."""

    def __init__(self):
        self.analyser, self.records, self.number = Analyser(), [], 0

    def tell(self, *events):
        self.records += spelled_out(self.analyser.feed(list(events)))
        return self

    def attempt(self, how, *, at=100.0, last=None, client="192.0.2.1", server="192.0.2.2", port=8080):
        """A connection of which nothing but its SYN is there."""
        self.number += 1
        by = 1 if how == "refused" else None
        return self.tell(
            Opened(self.number, at, f"{client}:{50000 + self.number}", f"{server}:{port}", 50000 + self.number, port, True),
            Closed(self.number, at if last is None else last, how, by, (True, how != "unanswered")),
        )  # fmt: skip

    def talk(self, *, at=100.0, client="192.0.2.1", server="192.0.2.2", port=8080, how="fin", by=0, wires=(), end=None):
        """A connection on which the sides say `wires`, pairs of a side and bytes."""
        self.number += 1
        n = self.number
        self.tell(Opened(n, at, f"{client}:{50000 + n}", f"{server}:{port}", 50000 + n, port, True))
        for step, (side, data) in enumerate(wires, 1):
            self.tell(Data(n, side, at + step * 0.1, data))
        return self.tell(Closed(n, at + 1.0 if end is None else end, how, by, (True, True)))

    def dns(self, name, *, at=100.0, rcode=None, address=None, kind=1, client="192.0.2.1", resolver="192.0.2.53"):
        """A question; with `rcode` the answer to one."""
        question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
        question += struct.pack(">HH", kind, 1)
        flags = 0x0100 if rcode is None else 0x8180 | rcode
        answer = b""
        if address:
            answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + bytes(map(int, address.split(".")))
        data = struct.pack(">HHHHHH", 7, flags, 1, 1 if address else 0, 0, 0) + question + answer
        ends = (f"{client}:5353", f"{resolver}:53")
        return self.tell(Datagram(at, *(ends if rcode is None else ends[::-1]), data))

    def finish(self):
        self.records += spelled_out(self.analyser.finish())
        return self

    def findings(self, name):
        return [record for record in self.records if isinstance(record, FindingRecord) and record.id == name]

    @property
    def bad(self):
        return {record.id for record in self.records if isinstance(record, FindingRecord) and record.severity in BAD}
