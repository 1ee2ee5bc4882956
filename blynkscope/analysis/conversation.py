"""One stream: what each direction speaks, its frames, what answers what, and how far each write got."""

from __future__ import annotations

from hashlib import blake2s
from typing import TYPE_CHECKING, Any

from blynkscope.analysis.acks import Request
from blynkscope.analysis.lane import Lane
from blynkscope.analysis.pins import DELIVERED, SENT, Pins, Write
from blynkscope.analysis.records import Facts, FindingRecord, Observed, StreamRecord
from blynkscope.analysis.roles import sent_by_client
from blynkscope.analysis.rule import StreamRule
from blynkscope.protocol import bodies, commands, limits
from blynkscope.protocol.model import Dialect, Sender
from blynkscope.protocol.ports import PARTICLE_PORT, SERVER_PORTS
from blynkscope.protocol.schema import readable
from blynkscope.protocol.statuses import SUCCESS
from blynkscope.wire import recognise
from blynkscope.wire.events import CLIENT, SERVER, Closed, Gap, Opened, Overlap
from blynkscope.wire.framing import Cut, Framer, Item, Malformed, RawFrame, Skipped

if TYPE_CHECKING:
    from blynkscope.analysis.run import Run

_WRITES = frozenset(code.encode() for code, operation in bodies.OPERATIONS.items() if operation.writes)
_SYNC_WRITES = {
    read.encode(): write.encode()
    for read, reading in bodies.OPERATIONS.items()
    for write, writing in bodies.OPERATIONS.items()
    if reading.shape == "pins" and writing.writes and reading.letter == writing.letter
}
"""The operation that answers each operation of a sync: vr by vw, and so on."""
_LOGINS = frozenset({commands.LOGIN, commands.HW_LOGIN})
_HW = commands.HW
_SYNC_PINS = 256
"""Pins that one sync is remembered to have asked for: as many as virtual pins there are."""
_ASKS_FOR_DATA = frozenset({b"rtc", b"utc", b"meta"})
"""Keys of INTERNAL messages that an INTERNAL answers; the others get a status or nothing."""
_REPLAY = b"vm"
_NONE: tuple[str, ...] = ()


class Conversation:
    """The analysis of one stream. Fed with events, it appends records to the run.

    Args:
        run: The analysis that it belongs to: numbers, options and the list of records.
        opened: The event that began it.
    """

    __slots__ = (
        "_roles_known", "_rules", "client", "joined", "lanes", "number", "opened", "pins",
        "run", "server", "server_spoke_first", "via",
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
        self.pins = Pins(run.out)
        self.server_spoke_first: int | None = None
        if self._roles_known:
            self._label(server, Sender.SERVER)
        if run.dialect is not None:
            for lane in self.lanes:
                self._begin(lane, run.dialect, joined=False)
        self._say(
            "opened",
            opened.time,
            None,
            0,
            {"client": opened.client, "server": opened.server, "handshake": opened.handshake},
        )

    # --- bytes ---

    def data(self, direction: int, time: float | None, data: bytes) -> None:
        """The next bytes of a direction."""
        lane = self.lanes[direction]
        lane.seen += len(data)
        other = lane.peer.framer
        if other is not None and other.busy:
            self._items(lane.peer, other.settle())
        framer = lane.framer
        if framer is None:
            if lane.guess is None:
                self._unknown(lane, time, data)
            elif lane.hunter is not None:
                self._hunt(lane, data, time)
            return
        cuts, rest = framer.cut(data, time)
        if cuts:
            self._frames(lane, cuts)
        if rest is not None:
            self._items(lane, framer.feed_rest(rest, time))
            if framer.buffered > limits.HEAVY_BUFFER:
                self.run.weigh(self, lane)

    def gap(self, event: Gap) -> None:
        """Bytes of a direction are missing."""
        lane = self.lanes[event.direction]
        self._say("gap", event.time, lane, event.missing, {"reason": event.reason})
        lane.seen += event.missing
        framer = lane.framer
        if framer is not None:
            self._items(lane, framer.gap(event.missing, event.time))
        elif lane.guess is None:
            if lane.prefix:
                self._recognised(lane, recognise.name_bytes(bytes(lane.prefix)), event.time)
                if lane.framer is not None:
                    self._items(lane, lane.framer.gap(event.missing, event.time))
            else:
                self.joined = True
                lane.start += event.missing
        lane.whole = False
        if lane.hunter is not None:
            hunter = lane.hunter
            items = hunter.gap(event.missing, event.time)
            if any(isinstance(item, RawFrame) for item in items):
                self._adopt(lane, hunter, items)

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
            elif lane.hunter is not None:
                self._give_up(lane, event.time)
        ended = event.how not in {"end", "evicted"}
        heard = event.heard if self.client is self.lanes[CLIENT] else event.heard[::-1]
        self.pins.end(event.time, ended=ended, heard=heard)
        for rule in self._rules:
            if (made := rule.ended(self)) is not None:
                self.run.out.append(made)
        closer = self.lanes[event.by] if event.by is not None else None
        total = {"client": self.client.seen, "server": self.server.seen}
        self._say("closed", event.time, closer, sum(total.values()), {"how": event.how, "sent": total})

    def drop_buffer(self, lane: Lane, time: float | None) -> None:
        """Give up the incomplete frame of a direction, because all buffers together are too large."""
        if lane.framer is not None:
            self._items(lane, lane.framer.finish(time, "given up: too many incomplete frames at once"))
            self._begin(lane, lane.dialect, joined=True, offset=lane.framer.offset)

    # --- recognition ---

    def _unknown(self, lane: Lane, time: float | None, data: bytes) -> None:
        if lane.direction == CLIENT and self.server_spoke_first is None:
            self.server_spoke_first = self.server.seen
        peer = lane.peer
        if peer.guess is None and peer.prefix:
            # The answer comes: what it answers is whole, even where more bytes could have told more.
            asked = recognise.name_bytes(bytes(peer.prefix))
            if asked.is_blynk:
                self._recognised(peer, asked, time)
                if peer.framer is not None and peer.framer.busy:
                    self._items(peer, peer.framer.settle())
        lane.prefix += data
        lane.chunks.append((data, time))
        guess = recognise.classify(bytes(lane.prefix))
        if guess is not None:
            self._recognised(lane, guess, time)

    def _recognised(self, lane: Lane, guess: recognise.Guess, time: float | None) -> None:
        lane.guess = guess
        chunks, lane.chunks = lane.chunks, []
        prefix = bytes(lane.prefix)
        lane.prefix = bytearray()
        if guess.is_blynk:
            framer = self._begin(lane, Dialect(guess.kind), joined=self.joined, offset=lane.start)
            for data, seen in chunks:
                self._items(lane, framer.feed(data, seen))
        elif guess.kind in {"unknown", "text"}:
            lane.hunter = Framer(Dialect.HARDWARE, joined=True, offset=lane.start)
            self._replay(lane, chunks)
        else:
            self._foreign(lane, guess, time, recognise.decisive(prefix))

    def _replay(self, lane: Lane, chunks: list[tuple[bytes, float | None]]) -> None:
        for data, seen in chunks:
            if lane.hunter is not None:
                self._hunt(lane, data, seen)
            elif lane.framer is not None:
                self._items(lane, lane.framer.feed(data, seen))

    def _hunt(self, lane: Lane, data: bytes, time: float | None) -> None:
        """Look for the first frame of a direction that began with something else."""
        hunter, run = lane.hunter, self.run
        assert hunter is not None
        # Where the stream was joined in the middle, a body of the greatest length may come first.
        window = limits.HUNT_WINDOW if self.joined else limits.NOISE_WINDOW
        room = window - lane.hunted
        head, rest = (data[:room], data[room:]) if len(data) > room else (data, b"")
        if self.joined:
            lane.chunks.append((head, time))
        lane.hunted += len(head)
        run.hunted += len(head)
        items = hunter.feed(head, time)
        if any(isinstance(item, RawFrame) for item in items):
            self._adopt(lane, hunter, items)
        elif lane.hunted >= window or run.hunted > limits.TOTAL_BUFFER_MAX:
            self._give_up(lane, time)
        if rest:
            self._replay(lane, [(rest, time)])

    def _adopt(self, lane: Lane, hunter: Framer, items: list[Item]) -> None:
        self._end_hunt(lane)
        self._begin(lane, hunter.dialect, joined=True)
        lane.framer = hunter
        self._items(lane, items)

    def _end_hunt(self, lane: Lane) -> None:
        lane.hunter = None
        lane.chunks = []
        self.run.hunted -= lane.hunted
        lane.hunted = 0

    def _give_up(self, lane: Lane, time: float | None) -> None:
        """No frame was found: the direction is foreign, named after what it began with or what its peer speaks."""
        hunter = lane.hunter
        assert hunter is not None
        items = hunter.finish(time)
        if any(isinstance(item, RawFrame) for item in items):
            self._adopt(lane, hunter, items)
            return
        if self.joined and lane.whole and hunter.dialect is Dialect.HARDWARE:
            # The same bytes again, for frames of the app dialect.
            second = Framer(Dialect.APP, joined=True, offset=lane.start)
            items = [item for data, seen in lane.chunks for item in second.feed(data, seen)]
            if not any(isinstance(item, RawFrame) for item in items):
                items += second.finish(time)
            if any(isinstance(item, RawFrame) for item in items):
                self._adopt(lane, second, items)
                return
        self._end_hunt(lane)
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
        self._foreign(lane, guess, time, lane.seen if lane.seen < limits.NOISE_WINDOW else limits.NOISE_WINDOW)

    def _foreign(self, lane: Lane, guess: recognise.Guess, time: float | None, size: int) -> None:
        kind = "tls" if guess.kind == "tls" else "foreign"
        if self._roles_known and lane.direction == CLIENT:
            self._label(lane, Sender.UNKNOWN)
        self._say(
            kind,
            time,
            lane,
            size,
            {"protocol": guess.kind, "label": guess.label, **guess.detail, "advice": guess.advice},
        )

    def _begin(self, lane: Lane, dialect: Dialect, *, joined: bool, offset: int = 0) -> Framer:
        """From here on the direction is cut into frames."""
        answers = not self._roles_known or lane.direction != CLIENT
        framer = lane.framer = Framer(dialect, joined=joined, answers=answers, offset=offset)
        lane.dialect = dialect
        lane.targeted = dialect is not Dialect.HARDWARE
        if lane.guess is None:
            lane.guess = recognise.APP if dialect is Dialect.APP else recognise.HARDWARE
        sender = Sender(lane.sender)
        if self._roles_known and lane.direction == CLIENT:
            sender = Sender.APP if dialect is Dialect.APP else Sender.DEVICE
        self._label(lane, sender)
        return framer

    def _label(self, lane: Lane, sender: Sender) -> None:
        """The direction's sender is known (or known to be unknown): its frames say so from now on."""
        lane.sender = sender.value
        era = self.run.era
        lane.facts = Facts(
            self.number, lane.src, lane.dst, sender.value, lane.dialect.value, self.via, era.value if era else None
        )

    # --- frames ---

    def _items(self, lane: Lane, items: list[Item]) -> None:
        """Turn what the framer's general way cut into records."""
        for item in items:
            if isinstance(item, RawFrame):
                self._frames(lane, [(item.cmd, item.id, item.word, item.body, item.end, item.time)])
            else:
                self._trouble(lane, item)

    def _frames(self, lane: Lane, cuts: list[Cut]) -> None:
        """The one loop that every frame goes through; pin writes, the bulk of all traffic, are dealt with in place."""
        if not self._roles_known:
            if len(cuts) > 1:
                # One by one: what is said of a frame must not depend on what came in the same segment behind it.
                for cut in cuts:
                    self._frames(lane, [cut])
                return
            self._guess_roles(lane, *cuts[0][:2], cuts[0][3])
        run, pins, facts, direction, targeted = self.run, self.pins, lane.facts, lane.direction, lane.targeted
        assert facts is not None
        # TCP goes by who opened the connection, which is not always who turned out to be the client.
        side = CLIENT if lane is self.lanes[CLIENT] else SERVER
        add, find_pin, acked = run.out.append, pins.pins.get, pins.acked[side]
        wait_for_ack, remember = pins.undelivered[side].append, lane.waiting.writes.append
        n, target = run.frames, b""
        for cmd, message_id, word, body, end, time in cuts:
            n += 1
            if cmd != _HW:
                if cmd:
                    self._request(lane, n, cmd, message_id, word, body, time)
                else:
                    self._response(lane, n, message_id, word, time)
                continue
            if targeted:
                target, _, operation = body.partition(b"\0")
                parts = operation.split(b"\0", 2)
            else:
                parts = body.split(b"\0", 2)
            if len(parts) < 2 or parts[0] not in _WRITES:
                if direction and parts[0] == _REPLAY and len(parts) > 1:
                    # Several values for a virtual pin, which a server replays when it is asked to.
                    key, values = b"vw" + parts[1], _kept(parts[2]) if len(parts) == 3 else None
                    if self._sync_answer(lane, facts, n, message_id, word, body, key, values, time):
                        continue
                elif not direction:
                    # Never answered when it is right; what is malformed is refused.
                    row = commands.find(_HW, lane.dialect, run.era)
                    lane.waiting.ask(Request(n, _HW, message_id, time, row))
                add(Observed(facts, n, time, _HW, message_id, word, body, None, None, None, _NONE))
                continue
            key = parts[0] + parts[1]
            values = parts[2] if len(parts) == 3 else None
            if word > limits.VALUES_KEPT:
                key, values = key[: limits.VALUES_KEPT], _kept(values)
            if direction and self._sync_answer(lane, facts, n, message_id, word, body, key, values, time):
                continue
            if targeted:
                key = target + b"\0" + key
            state = SENT if end > acked else DELIVERED
            write = Write(n, message_id, end, time, direction, key, values, state, state, None, None, False)
            if not direction or not self._roles_known:
                remember(write)
            wait_for_ack(write)
            pin = find_pin(key) or pins.new_pin(key)
            last, pin.last = pin.last, write
            add(Observed(facts, n, time, _HW, message_id, word, body, None, None, state, _NONE))
            if last is not None:
                pins.finish(pin, last)
        run.frames = n

    def _sync_answer(
        self, lane: Lane, facts: Facts, n: int, message_id: int, word: int, body: bytes, key: bytes,
        values: bytes | None, time: float | None,
    ) -> bool:  # fmt: skip
        """A server's write that carries the id of a sync answers it."""
        request = lane.peer.waiting.answered_by_sync(message_id, key, time)
        if request is None:
            return False
        rtt = _elapsed(request.sent_at, time)
        self.run.out.append(Observed(facts, n, time, _HW, message_id, word, body, request.n, rtt, None, _NONE))
        self.pins.passed(request.n, n, time)
        self.pins.synchronised(key, values, request.n, n, time)
        return True

    def _request(
        self, lane: Lane, n: int, cmd: int, message_id: int, word: int, body: bytes, time: float | None
    ) -> None:
        """Any other frame: it may answer one of the peer, and it may ask for an answer."""
        facts = lane.facts
        assert facts is not None
        answered = lane.peer.waiting.answered_by_frame(cmd, message_id) if lane.direction == SERVER else None
        answers = rtt = None
        if answered is not None:
            answers, rtt = answered.n, _elapsed(answered.sent_at, time)
        self.run.out.append(Observed(facts, n, time, cmd, message_id, word, body, answers, rtt, None, _NONE))
        if answered is not None:
            self.pins.passed(answered.n, n, time)
            return
        row = commands.find(cmd, lane.dialect, self.run.era)
        # Devices answer a server's PING and what they do not know.
        if lane.direction == CLIENT or not self._roles_known or row is None or cmd == commands.PING or cmd in _LOGINS:
            request = Request(n, cmd, message_id, time, row)
            if cmd == commands.HW_SYNC:
                operation, *wanted = body.split(b"\0")
                if wanted and operation in _SYNC_WRITES:
                    request.pins = {
                        (_SYNC_WRITES[operation] + pin)[: limits.VALUES_KEPT] for pin in wanted[:_SYNC_PINS]
                    }
            elif cmd == commands.INTERNAL:
                request.takes_frame = body.partition(b"\0")[0] in _ASKS_FOR_DATA
            elif cmd in _LOGINS:
                request.token = readable(body)
            lane.waiting.ask(request)

    def _response(self, lane: Lane, n: int, message_id: int, status: int, time: float | None) -> None:
        """A RESPONSE: what does it answer, and what does that prove?"""
        facts = lane.facts
        assert facts is not None
        found = lane.peer.waiting.answered_by_status(message_id, status)
        answers = rtt = None
        raised: list[FindingRecord] = []
        if found is not None:
            answers = found.n
            rtt = _elapsed(found.sent_at, time)
            if isinstance(found, Request):
                raised = [made for rule in self._rules if (made := rule.answered(self, found, status, n, time))]
        ids = tuple(made.id for made in raised)
        self.run.out.append(Observed(facts, n, time, 0, message_id, status, b"", answers, rtt, None, ids))
        if found is None:
            return
        self.run.out += raised
        if isinstance(found, Write) and status != SUCCESS:
            self.pins.rejected(found, n, time)
        if lane.direction == SERVER:
            self.pins.passed(found.n, n, time)

    def _guess_roles(self, lane: Lane, cmd: int, message_id: int, body: bytes) -> None:
        """No SYN and no telling port: who sends such a command, or such an answer?"""
        if cmd == commands.RESPONSE:
            # Devices hardly answer anything, servers nearly everything.
            client = lane.peer if lane.peer.waiting.asked(message_id) else None
        else:
            row = commands.find(cmd, lane.dialect, self.run.era)
            client = {True: lane, False: lane.peer, None: None}[sent_by_client(row, cmd, message_id, body)]
        if client is None:
            return
        self._roles_known = True
        if client.direction != CLIENT:
            self.lanes[0].direction, self.lanes[1].direction = SERVER, CLIENT
            self.client, self.server = self.server, self.client
            self.pins.swap()
        self._label(client, Sender.APP if client.dialect is Dialect.APP else Sender.DEVICE)
        self._label(client.peer, Sender.SERVER)

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
                facts |= {
                    "need": item.need,
                    "cmd": item.cmd,
                    "name": commands.command_name(item.cmd, lane.dialect, self.run.era),
                    "id": item.id,
                }
                facts |= {"length": item.word if item.cmd else None}
            self.run.lost["frames_incomplete"] += 1
            self._say("malformed", item.time, lane, item.have, facts)

    def _say(self, kind: str, time: float | None, lane: Lane | None, size: int, detail: dict[str, Any]) -> None:
        sender = lane.sender if lane is not None else Sender.UNKNOWN.value
        self.run.out.append(StreamRecord(kind, self.number, time, sender, size, detail))


def _kept(values: bytes | None) -> bytes | None:
    """Values as they are kept for a comparison: long ones as a digest, so that pins do not hold whole bodies."""
    if values is None or len(values) <= limits.VALUES_KEPT:
        return values
    return blake2s(values).digest()


def _elapsed(asked: float | None, answered: float | None) -> float | None:
    """Milliseconds between two times, to the microsecond."""
    return round((answered - asked) * 1000.0, 3) if asked is not None and answered is not None else None
