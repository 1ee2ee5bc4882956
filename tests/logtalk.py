"""Hand-made logs: the messages and lines that a log tells, connection by connection, and what the analysis makes of them.

log = LogTalk(host="blynk.cloud", port=80)
log.device(29, 1, TOKEN).status(1).line("ready", "Ready (ping: 8ms)", ping_ms=8).close().finish()
log.findings("BS202")
"""

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import FindingRecord, FrameRecord, LogRecord, StreamRecord, spelled_out
from blynkscope.wire.events import CLIENT, SERVER, Closed, Line, Message, Opened


class LogTalk:
    """One log, told event by event; `open` begins a further connection."""

    def __init__(self, analyser=None, *, host=None, port=0, opened=True):
        self.analyser = analyser or Analyser()
        self.time = 10.0
        self.number = 0
        self.at_line = 0
        self.stream = 0
        self.records = []
        if opened:
            self.open(host, port)

    def _tell(self, event):
        self.records += spelled_out(self.analyser.feed([event]))
        return self

    def open(self, host=None, port=0, after=1.0):
        """A connection begins; the one before, if it is open, ends as in a log: without a word."""
        self.time += after
        if self.stream:
            self.close()
        self.number += 1
        self.stream = self.number
        server = f"{host}:{port}" if host and port else host
        return self._tell(Opened(self.stream, self.time, None, server, 0, port, True, ("log",)))

    def _message(self, direction, cmd, number, word, body, cut, after):
        self.time += after
        self.at_line += 1
        return self._tell(Message(self.stream, direction, self.time, cmd, number, word, body, self.at_line, cut))

    def device(self, cmd, number, *parts, word=None, cut=False, after=1.0):
        """A message of the device; its length is that of the body unless `word` says another."""
        body = b"\0".join(parts)
        return self._message(CLIENT, cmd, number, len(body) if word is None else word, body, cut, after)

    def server(self, cmd, number, *parts, word=None, cut=False, after=0.1):
        """A message of the server."""
        body = b"\0".join(parts)
        return self._message(SERVER, cmd, number, len(body) if word is None else word, body, cut, after)

    def status(self, number, code=200, after=0.1):
        """The server answers."""
        return self._message(SERVER, 0, number, code, b"", False, after)

    def line(self, kind, text="", /, *, after=0.1, at=None, **facts):
        """A line of text that means something."""
        self.time += after
        self.at_line += 1
        return self._tell(Line(self.stream if at is None else at, self.time, self.at_line, kind, text or kind, facts))

    def close(self, how="end", by=None, after=0.0):
        """The connection is over."""
        self.time += after
        stream, self.stream = self.stream, 0
        return self._tell(Closed(stream, self.time, how, by, (True, True)))

    def finish(self):
        """The log is over."""
        if self.stream:
            self.close()
        self.records += spelled_out(self.analyser.finish())
        return self

    @property
    def frames(self):
        return [record for record in self.records if isinstance(record, FrameRecord)]

    @property
    def logged(self):
        return [record for record in self.records if isinstance(record, LogRecord)]

    @property
    def streams(self):
        return [record for record in self.records if isinstance(record, StreamRecord)]

    def findings(self, name):
        return [record for record in self.records if isinstance(record, FindingRecord) and record.id == name]

    @property
    def ids(self):
        """The ids of all findings in order."""
        return [record.id for record in self.records if isinstance(record, FindingRecord)]

    def of(self, *families):
        """The ids of the findings of these families (the hundreds), in order, without the notes on writes (BS301)."""
        return [name for name in self.ids if int(name[2]) in families and name != "BS301"]


def online(**options):
    """A log in which a device has logged in: frames 1 and 2."""
    token = b"6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"
    return LogTalk(**options).device(29, 1, token).status(1)
