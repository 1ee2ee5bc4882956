"""HTTP connections beside a device, told to the layers one by one: what becomes of their facts without an analyser."""

from types import SimpleNamespace

from blynkscope.analysis.devices import Devices
from blynkscope.analysis.http import HttpTalk, Relays
from blynkscope.analysis.lane import Lane
from blynkscope.wire.facts import Fact
from blynkscope.wire.http import HttpReader


class FakeRun:
    """As much of a run as calls need."""

    def __init__(self):
        self.relays, self.devices, self.messages = Relays(), Devices(), 0

    def next_message(self):
        self.messages += 1
        return self.messages


class Http:
    """One HTTP connection."""

    def __init__(self, run=None, number=2):
        self.run = run or FakeRun()
        client, server = Lane(0, "192.0.2.9:50000", "192.0.2.2:8080"), Lane(1, "192.0.2.2:8080", "192.0.2.9:50000")
        client.peer, server.peer = server, client
        self.lanes = (client, server)
        client.via = server.via = ("tcp",)
        self.stream = SimpleNamespace(
            run=self.run, number=number, via=("tcp",), lanes=self.lanes, client=client, server=server, source=0,
            device=None, opened=SimpleNamespace(server="192.0.2.2:8080"),
        )  # fmt: skip
        self.talk, self.readers = HttpTalk(self.stream), (HttpReader(True), HttpReader(False))
        self.records, self.through, self.time = [], [b"", b""], 100.0

    def _take(self, side, pieces, findings=()):
        for piece in pieces:
            if isinstance(piece, Fact):
                self.records += self.talk.take(self.lanes[side], piece, findings)
            else:
                self.through[side] += getattr(piece, "data", b"")
        return self

    def say(self, side, data, after=0.125, findings=()):
        self.time += after
        return self._take(side, self.readers[side].feed(data, self.time), findings)

    def client(self, data, **options):
        return self.say(0, data, **options)

    def server(self, data, **options):
        return self.say(1, data, **options)

    def gap(self, side, missing):
        return self._take(side, self.readers[side].gap(missing, self.time))

    def close(self):
        for side in (0, 1):
            self._take(side, self.readers[side].finish(self.time))
        self.records += self.talk.finish(self.time)
        return self

    def caused(self, n, key, values, after=0.01, device=None, stream=1, message_id=111):
        """The server relays a write to a device: frame `n`."""
        self.time += after
        other = SimpleNamespace(run=self.run, number=stream, device=device)
        links = self.run.relays.wrote(other, n, self.time, message_id, key, values)
        self.records += links
        return links

    @property
    def texts(self):
        return [record.text for record in self.records if hasattr(record, "text")]
