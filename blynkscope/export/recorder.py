"""Writes what was decoded as a capture: the innermost bytes on clean synthetic TCP, findings as comments of packets.

A finding is known only when it comes, often at the end of its stream. So packets wait, within bounds, and comments
go to the frames that a finding is about, or, where these are written already, to a later packet of the stream.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import BinaryIO

from blynkscope.analysis.records import FindingRecord, FrameRecord, MessageRecord, Observed, Record, StreamRecord
from blynkscope.export.synthetic import CLIENT, SERVER, Connection, Endpoint, endpoint
from blynkscope.export.wrapping import frame_bytes, upgrade_answer, upgrade_request, web_message
from blynkscope.protocol import limits
from blynkscope.protocol.paths import DASHBOARD_PATH
from blynkscope.sources.pcapng import PcapngWriter

HELD_BYTES_MAX = 32 * 1024 * 1024
"""Bytes of frames that wait for findings: an hour of a busy server."""
HELD_MAX = 50_000
"""Frames that wait: with what is kept about each, about as much memory as the bytes."""
INTERFACES_MAX = 256
"""Streams with an interface of their own: Wireshark lists them all in one dialogue."""
COMMENTS_MAX = 32
"""Comments of one packet, and findings that wait for a place: what nobody can read at once is no help."""
PLAIN_PORT = 8081
"""Port of the server of a decrypted stream. On 443 and 9443 Wireshark would look for TLS, on 8080 for HTTP; 8442 would
tell of an old server."""
WEB_PORT = 8080
"""The same where frames travel in WebSocket, which begins with HTTP."""
_LOG_PORT = 8080
_ETHERNET = 1
_EPHEMERAL = 49152
_LOG_CLIENT, _LOG_SERVER = ip_address("192.0.2.1"), ip_address("192.0.2.2")
"""Addresses for documentation (RFC 5737), where the input told none."""
_EPOCH_TIMES = 1e8
"""Seconds from which on a time is one since the epoch, not since the beginning of a log."""
_OPEN, _DATA, _CLOSE = range(3)
_ENDS = frozenset({"fin", "reset"})


class _Stream:
    """One stream of the run: what is known of it, and its connection once there is one."""

    __slots__ = (
        "cipher", "client", "closed", "connection", "frames", "handshake", "interface", "key", "last", "log", "number",
        "path", "pending", "port", "senders", "server", "upgraded", "via", "web",
    )  # fmt: skip

    def __init__(self, number: int, client: str | None, server: str | None, handshake: bool, log: bool) -> None:
        self.number, self.client, self.server = number, client, server
        self.handshake, self.log = handshake, log
        self.via: tuple[str, ...] = ()
        self.cipher = ""
        self.path = DASHBOARD_PATH
        self.frames = 0
        self.senders = ["", ""]
        self.connection: Connection | None = None
        self.interface = 0
        self.port = 0
        self.key: tuple[Endpoint, Endpoint] | None = None
        self.last: _Entry | None = None
        """Its newest packet that is not written yet."""
        self.pending: list[str] = []
        """Comments for its next packet."""
        self.web = False
        self.upgraded = False
        self.closed = False


class _Entry:
    """Something that will be packets: an opening, a frame, an end."""

    __slots__ = ("comments", "data", "kind", "n", "side", "stream", "time", "web")

    def __init__(self, stream: _Stream, kind: int, time: float, side: int = CLIENT, data: bytes = b"") -> None:
        self.stream, self.kind, self.time, self.side, self.data = stream, kind, time, side, data
        self.comments: list[str] = []
        self.n: int | None = None
        self.web = False


class Recorder:
    """Records a run as pcapng. It holds tokens and passwords as the input does; `blynkscope redact` takes them out.

    Frames of logs get documentation addresses. The messages of other protocols (HTTP calls, MQTT) are left out.

    Args:
        stream: Binary output; it is neither flushed nor closed. What it raises (OSError) is passed on.
        name: The input, for descriptions.
    """

    def __init__(self, stream: BinaryIO, *, name: str) -> None:
        self._writer = PcapngWriter(stream)
        self._name = name
        self._streams: dict[int, _Stream] = {}
        self._held: deque[_Entry] = deque()
        self._bytes = 0
        self._by_frame: dict[int, _Entry] = {}
        self._homeless: list[str] = []
        """Comments about the run, and about streams without frames."""
        self._busy: set[tuple[Endpoint, Endpoint]] = set()
        self._interfaces = 0
        self._common: int | None = None
        self._now = 0.0
        self.frames = 0
        """Frames that were recorded."""
        self.left_out = 0
        """Messages of other protocols, which are not recorded."""

    def records(self, records: Sequence[Record]) -> None:
        """Take a batch of the analysis in: all records of the run, unfiltered, in their order."""
        for record in records:
            if isinstance(record, Observed | FrameRecord):
                self._frame(record)
            elif isinstance(record, StreamRecord):
                self._happened(record)
            elif isinstance(record, FindingRecord):
                self._finding(record)
            elif isinstance(record, MessageRecord):
                self.left_out += 1
        while self._held and (self._bytes > HELD_BYTES_MAX or len(self._held) > HELD_MAX):
            self._write(self._held.popleft())

    def close(self) -> None:
        """Write what still waits. The stream stays open."""
        for stream in self._streams.values():
            self._give_up(stream)
        first = next((entry for entry in self._held if entry.kind == _DATA), None)
        if first is not None:
            for text in self._homeless[:COMMENTS_MAX]:
                _comment(first, text)
        while self._held:
            self._write(self._held.popleft())

    # --- records ---

    def _happened(self, record: StreamRecord) -> None:
        detail, fact = record.detail, record.detail.get("fact")
        if record.kind == "opened":
            self._begin(record.stream, detail.get("client"), detail.get("server"), detail)
            self._hold(_Entry(self._streams[record.stream], _OPEN, self._time(record.time)))
            return
        stream = self._streams.get(record.stream)
        if stream is None:
            return
        if record.kind == "closed":
            stream.closed = True
            side = SERVER if record.sender == "server" else CLIENT
            if record.sender in stream.senders:
                side = stream.senders.index(record.sender)
            entry = _Entry(stream, _CLOSE, self._time(record.time), side, str(detail.get("how") or "").encode())
            self._hold(entry)
        elif fact == "tls-server-hello" and not detail.get("retry"):
            stream.cipher = str(detail.get("cipher") or "")[:80]
        elif fact == "ws-upgraded" and isinstance(detail.get("path"), str):
            stream.path = detail["path"][:512]

    def _begin(self, number: int, client: object, server: object, detail: dict[str, object]) -> None:
        if len(self._streams) >= 2 * limits.STREAMS_MAX:
            self._streams.pop(next(iter(self._streams)))
        ends = [end if isinstance(end, str) else None for end in (client, server)]
        handshake = detail.get("handshake") is not False
        self._streams[number] = _Stream(number, ends[0], ends[1], handshake, bool(detail.get("log")))

    def _frame(self, frame: Observed | FrameRecord) -> None:
        facts = frame.facts if isinstance(frame, Observed) else frame
        number = facts.stream
        stream = self._streams.get(number)
        if stream is None:
            ends = (facts.dst, facts.src) if facts.sender == "server" else (facts.src, facts.dst)
            self._begin(number, *ends, {"handshake": False, "log": "log" in facts.via})
            stream = self._streams[number]
        side = SERVER if facts.sender == "server" else CLIENT
        if facts.src is not None and facts.src != facts.dst and facts.src in {stream.client, stream.server}:
            side = CLIENT if facts.src == stream.client else SERVER
        if len(facts.via) > len(stream.via):
            stream.via = facts.via
        stream.senders[side] = facts.sender
        stream.frames += 1
        self.frames += 1
        data, note = frame_bytes(frame)
        entry = _Entry(stream, _DATA, self._time(frame.time), side, data)
        entry.n, entry.web = frame.n, facts.dialect == "web"
        stream.web = stream.web or entry.web
        entry.comments += stream.pending
        stream.pending = []
        if note:
            _comment(entry, note)
        self._by_frame[frame.n] = entry
        self._hold(entry)

    def _finding(self, record: FindingRecord) -> None:
        text = f"{record.id} {record.title}"
        entries = [entry for n in record.frames if (entry := self._by_frame.get(n)) is not None]
        for entry in entries:
            _comment(entry, text)
        if entries:
            return
        if record.frames:
            text += f" (frame{'' if len(record.frames) == 1 else 's'} before this one)"
        stream = self._streams.get(record.stream) if record.stream is not None else None
        if stream is not None and stream.last is not None and stream.frames:
            _comment(stream.last, text)
        elif stream is not None and len(stream.pending) < COMMENTS_MAX:
            stream.pending.append(text)
        elif len(self._homeless) < COMMENTS_MAX:
            self._homeless.append(text if record.stream is None else f"{text} (stream {record.stream})")

    def _give_up(self, stream: _Stream) -> None:
        """No packet of the stream comes any more: what waits for one is told elsewhere."""
        self._homeless += [f"{text} (stream {stream.number})" for text in stream.pending][:COMMENTS_MAX]
        del self._homeless[COMMENTS_MAX:]
        stream.pending = []

    def _time(self, time: float | None) -> float:
        """Where a log tells no time it is the one before."""
        if time is not None:
            self._now = max(float(time), 0.0)
        return self._now

    def _hold(self, entry: _Entry) -> None:
        self._held.append(entry)
        self._bytes += len(entry.data)
        if entry.kind == _DATA:
            entry.stream.last = entry

    # --- packets ---

    def _write(self, entry: _Entry) -> None:
        self._bytes -= len(entry.data)
        stream = entry.stream
        if stream.last is entry:
            stream.last = None
        if entry.n is not None:
            self._by_frame.pop(entry.n, None)
        if entry.kind == _CLOSE:
            self._end(entry)
            return
        if not stream.frames:
            # Where frames come after all, the opening is written with the first of them.
            return
        connection = stream.connection
        if connection is None:
            connection = self._connect(stream)
            if stream.handshake:
                self._packets(stream, entry.time, connection.open())
        if entry.kind == _OPEN:
            return
        data = entry.data
        if entry.web:
            if not stream.upgraded:
                stream.upgraded = True
                self._upgrade(stream, connection, entry.time)
            data = web_message(data, masked=entry.side == CLIENT)
        self._packets(stream, entry.time, connection.say(entry.side, data), "\n".join(entry.comments))

    def _upgrade(self, stream: _Stream, connection: Connection, time: float) -> None:
        host = (stream.server or "").rpartition(":")[0]
        note = "blynkscope: made up, so that the frames are read as WebSocket"
        self._packets(stream, time, connection.say(CLIENT, upgrade_request(stream.path, host)), note)
        self._packets(stream, time, connection.say(SERVER, upgrade_answer()), note)

    def _end(self, entry: _Entry) -> None:
        stream = entry.stream
        connection, how = stream.connection, entry.data.decode()
        if connection is not None:
            self._packets(
                stream,
                entry.time,
                connection.finish(entry.side)
                if how == "fin"
                else connection.reset(entry.side)
                if how == "reset"
                else connection.settle(),
            )
            stream.connection = None
        if stream.key is not None:
            self._busy.discard(stream.key)
        if self._streams.get(stream.number) is stream:
            del self._streams[stream.number]
            self._give_up(stream)

    def _packets(self, stream: _Stream, time: float, packets: Iterable[bytes], note: str = "") -> None:
        made, stamp = list(packets), _stamp(time)
        for place, packet in enumerate(made, 1):
            comment = note if place == len(made) and note else None
            self._writer.packet(stream.interface, stamp, packet, comment=comment)

    def _connect(self, stream: _Stream) -> Connection:
        """The connection of a stream, and the interface that says where it comes from."""
        client, server = endpoint(stream.client), endpoint(stream.server)
        if client is None or server is None or client[0].version != server[0].version or client == server:
            port = endpoint(f"192.0.2.2:{(stream.server or '').rpartition(':')[2]}")
            server = (_LOG_SERVER, port[1] if port is not None else _LOG_PORT)
            client = (_LOG_CLIENT, client[1] if client else _EPHEMERAL + stream.number % (0x10000 - _EPHEMERAL))
        stream.port = server[1]
        wrapped = any(layer.startswith("tls") for layer in stream.via)
        if wrapped:
            server = (server[0], WEB_PORT if stream.web else PLAIN_PORT)
        while (client, server) in self._busy:
            server = (server[0], server[1] % 0xFFFF + 1)
        stream.key = client, server
        self._busy.add(stream.key)
        stream.interface = self._interface(stream, server[1], wrapped)
        stream.connection = Connection(client, server, stream.number)
        return stream.connection

    def _interface(self, stream: _Stream, port: int, wrapped: bool) -> int:
        if self._interfaces >= INTERFACES_MAX:
            if self._common is None:
                text = f"blynkscope: further streams of {self._name}"
                self._common = self._writer.interface(_ETHERNET, name="further streams", description=text)
            return self._common
        self._interfaces += 1
        origin = "decrypted from" if wrapped else "told by the log" if stream.log else "from"
        layers = [layer for layer in stream.via if layer not in {"tcp", "log"}]
        facts = ", ".join([*layers, *([stream.cipher] if wrapped and stream.cipher else [])])
        moved = f"; its port {stream.port} is written as {port}" if stream.port != port else ""
        text = f"blynkscope: {origin} {self._name}, stream {stream.number}{f' ({facts})' if facts else ''}{moved}"
        return self._writer.interface(_ETHERNET, name=f"stream {stream.number}", description=text)


def _stamp(time: float) -> int:
    """Nanoseconds. Times since the epoch have a quarter of a microsecond as floats: the whole one is what was meant."""
    return round(time * 1e6) * 1000 if time >= _EPOCH_TIMES else round(time * 1e9)


def _comment(entry: _Entry, text: str) -> None:
    if text not in entry.comments and len(entry.comments) < COMMENTS_MAX:
        entry.comments.append(text)
