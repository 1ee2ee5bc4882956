"""One stream: what each direction speaks, its frames, what answers what, and how far each write got."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from blynkscope.analysis.acks import Request, Waiting
from blynkscope.analysis.pins import Pins, Write
from blynkscope.analysis.records import SCHEMA, FrameRecord, StreamRecord
from blynkscope.protocol import bodies, commands, derived, limits
from blynkscope.protocol.model import Ack, Dialect, Era, Sender
from blynkscope.protocol.ports import PARTICLE_PORT, SERVER_PORTS
from blynkscope.protocol.statuses import status_name
from blynkscope.wire import recognise
from blynkscope.wire.events import CLIENT, SERVER, Closed, Gap, Opened, Overlap
from blynkscope.wire.framing import Framer, Item, Malformed, RawFrame, Skipped

if TYPE_CHECKING:
    from blynkscope.analysis.analyser import Run

WRITE_OPERATIONS = frozenset(code for code, operation in bodies.OPERATIONS.items() if operation.writes)
_STATUS_NAMES = tuple(status_name(code) for code in range(256))
_LOGINS = frozenset({commands.LOGIN, commands.HW_LOGIN})
_SELDOM = (commands.RESPONSE, commands.HW)


class StreamRule(Protocol):
    """A rule of `analysis.rules`: told of what happens on one stream, it reports findings."""

    def answered(self, stream: Conversation, request: Request, status: int, n: int, time: float | None) -> str | None:
        """A request was answered with a status; gives the id of the finding that this raises."""

    def ended(self, stream: Conversation) -> None:
        """The stream is over and all its writes are final."""


class Lane:
    """One direction of a stream."""

    __slots__ = (
        "chunks", "decode", "dialect", "direction", "dst", "framer", "frames", "guess", "hunters", "names", "peer", "prefix",
        "sender", "seen", "src", "waiting",
    )  # fmt: skip

    def __init__(self, direction: int, src: str | None, dst: str | None) -> None:
        self.direction = direction
        self.src = src
        self.dst = dst
        self.peer: Lane = self
        self.sender: str = Sender.UNKNOWN.value
        self.dialect: str = Dialect.HARDWARE.value
        self.decode: tuple[derived.Decoder, ...] = ()
        self.names: tuple[str, ...] = ()
        self.framer: Framer | None = None
        self.hunters: list[Framer] = []
        self.guess: recognise.Guess | None = None
        self.prefix = bytearray()
        self.chunks: list[tuple[bytes, float | None]] = []
        self.seen = 0
        self.frames = 0
        self.waiting = Waiting()


class Conversation:
    """The analysis of one stream. Fed with events, it appends records to the run.

    Args:
        run: The analysis that it belongs to: numbers, options and the list of records.
        opened: The event that began it.
    """

    __slots__ = (
        "_roles_known", "_rules", "client", "first_time", "handshake", "joined", "lanes", "number", "opened", "pins", "run",
        "server", "server_spoke_first", "via",
    )  # fmt: skip

    def __init__(self, run: Run, opened: Opened, rules: tuple[StreamRule, ...]) -> None:
        self.run = run
        self.opened = opened
        self.number = opened.stream
        self.via = opened.via
        self.joined = not opened.handshake
        self._rules = rules
        client = Lane(CLIENT, opened.client, opened.server)
        server = Lane(SERVER, opened.server, opened.client)
        client.peer, server.peer = server, client
        self.lanes = (client, server)
        self.client, self.server = client, server
        known_ports = (opened.server_port in SERVER_PORTS) != (opened.client_port in SERVER_PORTS)
        self._roles_known = opened.handshake or known_ports
        self.pins = Pins(run.after.append)
        self.server_spoke_first: int | None = None
        if self._roles_known:
            server.sender = Sender.SERVER.value
        if run.dialect is not None:
            for lane in self.lanes:
                self._begin(lane, run.dialect, joined=False)
        self._say("opened", opened.time, None, 0, {"client": opened.client, "server": opened.server, "handshake": opened.handshake})

    # --- bytes ---

    def data(self, direction: int, time: float | None, data: bytes) -> None:
        """The next bytes of a direction."""
        lane = self.lanes[direction]
        lane.seen += len(data)
        framer = lane.framer
        if framer is not None:
            items = framer.feed(data, time)
            if items:
                self._items(lane, items)
            if framer.buffered > limits.HEAVY_BUFFER:
                self.run.weigh(self, lane)
        elif lane.guess is None:
            self._unknown(lane, time, data)
        elif lane.hunters:
            self._hunt(lane, data, time)

    def gap(self, event: Gap) -> None:
        """Bytes of a direction are missing."""
        lane = self.lanes[event.direction]
        self._say("gap", event.time, lane, event.missing, {"reason": event.reason})
        lane.seen += event.missing
        if lane.framer is not None:
            self._items(lane, lane.framer.gap(event.missing, event.time))
        elif lane.guess is None:
            if lane.prefix:
                self._recognised(lane, recognise.name_bytes(bytes(lane.prefix)), event.time)
                if lane.framer is not None:
                    self._items(lane, lane.framer.gap(event.missing, event.time))
            else:
                self.joined = True
        for hunter in lane.hunters:
            hunter.gap(event.missing, event.time)

    def overlap(self, event: Overlap) -> None:
        """A retransmission carried other bytes."""
        lane = self.lanes[event.direction]
        self._say("overlap", event.time, lane, event.differing, {"offset": event.offset, "kept": "first"})

    def close(self, event: Closed) -> None:
        """The stream is over."""
        for lane in self.lanes:
            if lane.guess is None and lane.prefix:
                self._recognised(lane, recognise.name_bytes(bytes(lane.prefix)), event.time)
            if lane.framer is not None:
                self._items(lane, lane.framer.finish(event.time))
            elif lane.hunters:
                self._give_up(lane, event.time)
        ended = event.how not in {"end", "evicted"}
        self.pins.end(event.time, ended=ended, heard=event.heard)
        for rule in self._rules:
            rule.ended(self)
        self.run.tell_after()
        closer = self.lanes[event.by] if event.by is not None else None
        total = {"client": self.client.seen, "server": self.server.seen}
        self._say("closed", event.time, closer, sum(total.values()), {"how": event.how, "sent": total})

    def drop_buffer(self, lane: Lane, time: float | None) -> None:
        """Give up the incomplete frame of a direction, because all buffers together are too large."""
        if lane.framer is not None:
            self._items(lane, lane.framer.finish(time, "given up: too many incomplete frames at once"))
            self._begin(lane, Dialect(lane.dialect), joined=True)

    # --- recognition ---

    def _unknown(self, lane: Lane, time: float | None, data: bytes) -> None:
        if lane.direction == CLIENT and self.server_spoke_first is None:
            self.server_spoke_first = self.server.seen
        lane.prefix += data
        lane.chunks.append((data, time))
        guess = recognise.classify(bytes(lane.prefix))
        if guess is not None:
            self._recognised(lane, guess, time)

    def _recognised(self, lane: Lane, guess: recognise.Guess, time: float | None) -> None:
        lane.guess = guess
        chunks, lane.chunks = lane.chunks, []
        prefix = len(lane.prefix)
        lane.prefix = bytearray()
        if guess.is_blynk:
            framer = self._begin(lane, Dialect(guess.kind), joined=self.joined)
            for data, seen in chunks:
                self._items(lane, framer.feed(data, seen))
        elif guess.kind in {"unknown", "text"}:
            lane.hunters = [Framer(Dialect.HARDWARE, joined=True)]
            if self.joined:
                lane.hunters.append(Framer(Dialect.APP, joined=True))
            for data, seen in chunks:
                if lane.hunters:
                    self._hunt(lane, data, seen)
                elif lane.framer is not None:
                    self._items(lane, lane.framer.feed(data, seen))
        else:
            self._foreign(lane, guess, time, prefix)

    def _hunt(self, lane: Lane, data: bytes, time: float | None) -> None:
        """Look for the first frame of a direction that began with something else."""
        hits: list[tuple[int, Framer, list[Item]]] = []
        for hunter in lane.hunters:
            items = hunter.feed(data, time)
            first = next((item.end for item in items if isinstance(item, RawFrame)), None)
            if first is not None:
                hits.append((first, hunter, items))
        if hits:
            self._adopt(lane, *min(hits, key=lambda hit: hit[0])[1:])
        elif lane.hunters[0].offset > limits.HUNT_WINDOW:
            self._give_up(lane, time)

    def _adopt(self, lane: Lane, hunter: Framer, items: list[Item]) -> None:
        lane.hunters = []
        self._begin(lane, hunter.dialect, joined=True)
        lane.framer = hunter
        self._items(lane, items)

    def _give_up(self, lane: Lane, time: float | None) -> None:
        """No frame was found: the direction is foreign, named after what it began with or what its peer speaks."""
        hits = []
        for hunter in lane.hunters:
            items = hunter.finish(time)
            first = next((item.end for item in items if isinstance(item, RawFrame)), None)
            if first is not None:
                hits.append((first, hunter, items))
        if hits:
            self._adopt(lane, *min(hits, key=lambda hit: hit[0])[1:])
            return
        lane.hunters = []
        guess = lane.guess or recognise.UNKNOWN
        peer = lane.peer.guess
        particle = self.opened.server_port == PARTICLE_PORT or (
            self.server_spoke_first == 40 and lane.peer.guess is not None and not lane.peer.guess.is_blynk
        )
        if guess.kind == "unknown" and particle:
            guess = recognise.PARTICLE
        elif guess.kind == "unknown" and peer is not None and peer.kind in {"mqtt", "particle", "ssh", "tls"}:
            guess = recognise.Guess(peer.kind, f"{peer.kind} (by its peer)", {}, peer.advice)
        lane.guess = guess
        self._foreign(lane, guess, time, lane.seen)

    def _foreign(self, lane: Lane, guess: recognise.Guess, time: float | None, size: int) -> None:
        kind = "tls" if guess.kind == "tls" else "foreign"
        if self._roles_known and lane.direction == CLIENT:
            lane.sender = Sender.UNKNOWN.value
        self._say(kind, time, lane, size, {"protocol": guess.kind, "label": guess.label, **guess.detail, "advice": guess.advice})

    def _begin(self, lane: Lane, dialect: Dialect, *, joined: bool) -> Framer:
        """From here on the direction is cut into frames."""
        framer = lane.framer = Framer(dialect, joined=joined)
        lane.dialect = dialect.value
        lane.decode = derived.decoders(dialect, self.run.era)
        lane.names = derived.names(dialect, self.run.era)
        if lane.guess is None:
            lane.guess = recognise.APP if dialect is Dialect.APP else recognise.HARDWARE
        if self._roles_known and lane.direction == CLIENT:
            lane.sender = (Sender.APP if dialect is Dialect.APP else Sender.DEVICE).value
        return framer

    # --- frames ---

    def _items(self, lane: Lane, items: list[Item]) -> None:
        """Turn what the framer cut into records. The one loop that every frame goes through."""
        run = self.run
        add, after = run.out.append, run.after
        number, via, src, dst = self.number, self.via, lane.src, lane.dst
        for item in items:
            if type(item) is not RawFrame:
                self._trouble(lane, item)
                continue
            cmd, message_id, time = item.cmd, item.id, item.time
            n = run.frames = run.frames + 1
            lane.frames += 1
            if not self._roles_known:
                self._guess_roles(lane, cmd)
            if cmd == 0:
                self._response(lane, item, n)
                continue
            body = item.body
            fields, text = lane.decode[cmd](body)
            answers = rtt = write = None
            if cmd == 20:
                if fields is not None:
                    answers, rtt, write = self._hardware(lane, item, n, fields)
            else:
                answers, rtt = self._request(lane, item, n, fields)
            add(
                FrameRecord(
                    SCHEMA, n, time, number, src, dst, lane.sender, lane.dialect, via, cmd, lane.names[cmd], message_id,
                    item.word, None, None, body.hex(), fields, text, answers, rtt, write, (),
                )
            )  # fmt: skip
            if after:
                run.tell_after()

    def _hardware(
        self, lane: Lane, item: RawFrame, n: int, fields: dict[str, Any]
    ) -> tuple[int | None, float | None, str | None]:
        """A HW frame: a write, the answer to a sync, or neither. Gives (answers, rtt_ms, write)."""
        pins = fields.get("pins")
        if not pins or len(pins) != 1 or fields["op"] not in WRITE_OPERATIONS:
            return None, None, None
        entry = pins[0]
        pin = entry["pin"]
        direction = lane.direction
        if direction == SERVER:
            request = lane.peer.waiting.answered_by_sync(item.id, pin, item.time)
            if request is not None:
                self.pins.passed(request.index, n, item.time)
                self.pins.synchronised(pin, entry["values"], n, item.time)
                return request.n, _elapsed(request.time, item.time), None
        target = fields.get("target")
        key = pin if target is None else f"{target} {pin}"
        write = Write(n, item.id, lane.frames, item.end, key, entry["values"], item.time, direction)
        if direction == CLIENT:
            lane.waiting.wrote(write)
        return None, None, self.pins.add(write)

    def _request(
        self, lane: Lane, item: RawFrame, n: int, fields: dict[str, Any] | None
    ) -> tuple[int | None, float | None]:
        """Any other frame: it may answer one of the peer, and it may ask for an answer. Gives (answers, rtt_ms)."""
        cmd = item.cmd
        answered = lane.peer.waiting.answered_by_frame(cmd, item.id) if lane.direction == SERVER else None
        if answered is not None:
            self.pins.passed(answered.index, n, item.time)
            return answered.n, _elapsed(answered.time, item.time)
        if lane.direction == CLIENT or cmd == commands.PING or cmd in _LOGINS:
            row = commands.find(cmd, Dialect(lane.dialect), self.run.era)
            if row is None or row.ack is not Ack.NOTHING:
                request = Request(n, cmd, item.id, lane.frames, item.time, row)
                if cmd == commands.HW_SYNC and fields and fields.get("pins"):
                    request.pins = {pin["pin"] for pin in fields["pins"]}
                elif cmd in _LOGINS and fields:
                    request.token = fields.get("token")
                lane.waiting.ask(request)
        return None, None

    def _response(self, lane: Lane, item: RawFrame, n: int) -> None:
        status, time = item.word, item.time
        found = lane.peer.waiting.answered_by_status(item.id, status)
        answers = rtt = None
        raised: list[str] = []
        name = _STATUS_NAMES[status] if status < 256 else status_name(status)
        text = name if found is not None else f"{name}, answers nothing"
        if found is not None:
            answers = found.n
            if isinstance(found, Write):
                rtt = _elapsed(found.sent_at, time)
                if status != 200 and found.sender_lane == CLIENT:
                    self.pins.rejected(found, n, time)
            else:
                rtt = _elapsed(found.time, time)
                for rule in self._rules:
                    finding = rule.answered(self, found, status, n, time)
                    if finding:
                        raised.append(finding)
            if lane.direction == SERVER:
                self.pins.passed(found.index, n, time)
        record = FrameRecord(
            SCHEMA, n, time, self.number, lane.src, lane.dst, lane.sender, lane.dialect, self.via, 0, lane.names[0],
            item.id, None, status, name, "", None, text, answers, rtt, None, tuple(raised),
        )  # fmt: skip
        self.run.out.append(record)
        self.run.tell_after()

    def _guess_roles(self, lane: Lane, cmd: int) -> None:
        """No SYN and no telling port: who sends such a command?"""
        row = commands.find(cmd, Dialect(lane.dialect), self.run.era)
        if cmd == commands.RESPONSE or row is None:
            return
        if Sender.SERVER not in row.senders:
            client = lane
        elif row.senders == {Sender.SERVER}:
            client = lane.peer
        else:
            return
        self._roles_known = True
        if client.direction != CLIENT:
            self.lanes[0].direction, self.lanes[1].direction = SERVER, CLIENT
            self.client, self.server = self.server, self.client
        app = client.dialect == Dialect.APP.value
        client.sender = (Sender.APP if app else Sender.DEVICE).value
        client.peer.sender = Sender.SERVER.value

    def _trouble(self, lane: Lane, item: Item) -> None:
        """What the framer cut that is no frame."""
        if isinstance(item, Skipped):
            guess = recognise.name_bytes(item.sample)
            detail = {"reason": "no frame begins here", "offset": item.start, "looks_like": guess.label, **guess.detail}
            self.run.lost["bytes_skipped"] += item.size
            self._say("resync", item.time, lane, item.size, detail)
        elif isinstance(item, Malformed):
            facts: dict[str, Any] = {"reason": item.reason, "offset": item.start, "have": item.have}
            if item.cmd is not None:
                facts |= {"need": item.need, "cmd": item.cmd, "name": lane.names[item.cmd], "id": item.id}
                facts |= {"length": item.word if item.cmd else None}
            self.run.lost["frames_incomplete"] += 1
            self._say("malformed", item.time, lane, item.have, facts)

    def _say(self, kind: str, time: float | None, lane: Lane | None, size: int, detail: dict[str, Any]) -> None:
        sender = lane.sender if lane is not None else Sender.UNKNOWN.value
        self.run.out.append(StreamRecord(kind, self.number, time, sender, size, detail))


def _elapsed(asked: float | None, answered: float | None) -> float | None:
    """Milliseconds between two times, to the microsecond."""
    return round((answered - asked) * 1000.0, 3) if asked is not None and answered is not None else None


RuleFactory = Callable[["Run"], StreamRule]
