"""One stream: what each direction speaks, and the frames that are cut from its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blynkscope.analysis.dialogue import Dialogue
from blynkscope.analysis.lane import Lane
from blynkscope.analysis.records import LogRecord
from blynkscope.analysis.session import Happening
from blynkscope.protocol import commands, limits
from blynkscope.protocol.model import Dialect, Sender
from blynkscope.protocol.ports import PARTICLE_PORT
from blynkscope.wire import recognise
from blynkscope.wire.events import CLIENT, Closed, Gap, Line, Message, Opened, Overlap
from blynkscope.wire.facts import Fact, FactReader
from blynkscope.wire.framing import Framer, Item, Malformed, RawFrame, Skipped

if TYPE_CHECKING:
    from blynkscope.analysis.run import Run


class Conversation(Dialogue):
    """The analysis of one stream. Fed with events, it appends records to the run.

    Args:
        run: The analysis that it belongs to: numbers, options and the list of records.
        opened: The event that began it.
    """

    __slots__ = ("server_spoke_first",)

    def __init__(self, run: Run, opened: Opened) -> None:
        super().__init__(run, opened)
        self.server_spoke_first: int | None = None
        if self._roles_known:
            self._label(self.server, Sender.SERVER)
        if run.dialect is not None:
            for lane in self.lanes:
                self._begin(lane, run.dialect, joined=False)
        detail: dict[str, Any] = {"client": opened.client, "server": opened.server, "handshake": opened.handshake}
        if self.log:
            detail["log"] = True
        self._say("opened", opened.time, None, 0, detail)
        self.session.happens(Happening.JOINED if self.joined else Happening.CONNECTED, opened.time)
        run.devices.opened(self)
        for tell in self.hooks.opened:
            tell(self)
        self._flush()

    # --- logs ---

    def message(self, event: Message) -> None:
        """A frame as a log tells it."""
        lane = self.lanes[event.direction]
        if lane.facts is None:
            self._begin(lane, self.run.dialect or Dialect.HARDWARE, joined=False)
        word = -1 if event.word is None else event.word
        body = event.body[: limits.HARDWARE_BODY_MAX]
        if event.cmd and (event.cut or 0 <= word != len(body)):
            if event.exact:
                for tell in self.hooks.misdeclared:
                    tell(self, lane, self.run.frames + 1, event.cmd, word, body)
            else:
                for tell in self.hooks.altered:
                    tell(self, lane, self.run.frames + 1, event.cmd, word, body, event.cut)
        # A log knows no offsets, and no acknowledgements of TCP.
        self._frames(lane, [(event.cmd, event.id, word, body, 1, event.time)])

    def line(self, event: Line) -> None:
        """A line of a log that means something."""
        self.run.out.append(LogRecord(self.number, event.time, event.line, event.kind, event.text))
        if event.kind == "ready" or (event.kind == "server" and event.facts.get("event") == "joined"):
            # The library or the server says that the login was accepted, whether or not its answer is in the log.
            self.session.happens(Happening.ANSWERED, event.time)
        for tell in self.hooks.logged:
            tell(self, event)
        self._flush()

    # --- bytes ---

    def data(self, direction: int, time: float | None, data: bytes) -> None:
        """The next bytes of a direction."""
        lane = self.lanes[direction]
        lane.seen += len(data)
        lane.heard_at = time
        other = lane.peer.framer
        if other is not None and other.busy:
            self._items(lane.peer, other.settle())
        framer = lane.framer
        if framer is None:
            if lane.guess is None:
                self._unknown(lane, time, data)
            elif lane.hunter is not None:
                self._hunt(lane, data, time)
            elif lane.reader is not None:
                self._tell(lane, lane.reader.feed(data, time))
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
        for tell in self.hooks.gap:
            tell(self, lane, event)
        self._flush()
        if lane.reader is not None:
            self._tell(lane, lane.reader.gap(event.missing, event.time))
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
            if lane.reader is not None:
                self._tell(lane, lane.reader.finish(event.time))
        ended = event.how not in {"end", "evicted"} and not self.log
        heard = event.heard if self.client is self.lanes[CLIENT] else event.heard[::-1]
        self.pins.end(event.time, ended=ended, heard=heard)
        self.run.devices.closed(self, event.time, event.how)
        for tell in self.hooks.ended:
            tell(self, event)
        self._flush()
        closer = self.lanes[event.by] if event.by is not None else None
        total = {"client": self.client.seen, "server": self.server.seen}
        detail = {"how": event.how, "sent": total, "session": self._over(event)}
        self._say("closed", event.time, closer, sum(total.values()), detail)

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
            for data, seen in chunks:
                if lane.reader is not None:
                    self._tell(lane, lane.reader.feed(data, seen))

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
        lane.reader = self._reader(lane, guess)
        for tell in self.hooks.recognised:
            tell(self, lane, guess, time)
        self._flush()

    def _reader(self, lane: Lane, guess: recognise.Guess) -> FactReader | None:
        """What goes on reading a direction that speaks another protocol, where rules want to know what it says."""
        if not self.hooks.told:
            return None
        client = lane.direction == CLIENT
        if guess.kind == "tls":
            from blynkscope.wire.tls import TlsReader

            return TlsReader(client)
        if guess.kind in {"http", "websocket"}:
            from blynkscope.wire.http import HttpReader

            return HttpReader(client)
        return None

    def _tell(self, lane: Lane, facts: list[Fact]) -> None:
        """Facts of another protocol, for the rules."""
        for fact in facts:
            if fact.kind == "tls-client-hello" and fact.detail.get("sni") and self.host is None:
                self.called(str(fact.detail["sni"]))
            elif fact.kind == "http-request" and fact.detail.get("host") and self.host is None:
                self.called(str(fact.detail["host"]).partition(":")[0])
            for tell in self.hooks.told:
                tell(self, lane, fact)
        self._flush()

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

    # --- frames ---

    def _items(self, lane: Lane, items: list[Item]) -> None:
        """Turn what the framer's general way cut into records."""
        for item in items:
            if isinstance(item, RawFrame):
                self._frames(lane, [(item.cmd, item.id, item.word, item.body, item.end, item.time)])
            else:
                self._trouble(lane, item)

    def _trouble(self, lane: Lane, item: Item) -> None:
        """What the framer cut that is no frame."""
        if isinstance(item, Skipped):
            guess = recognise.name_bytes(item.sample)
            detail = {"reason": "no frame begins here", "offset": item.start, "looks_like": guess.label, **guess.detail}
            self.run.lost["bytes_skipped"] += item.size
            self._say("resync", item.time, lane, item.size, detail)
            for tell in self.hooks.skipped:
                tell(self, lane, item)
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
            for tell in self.hooks.malformed:
                tell(self, lane, item)
        self._flush()
