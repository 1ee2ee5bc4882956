"""What a direction speaks, told from its first bytes; the frames that are cut from them, and what is no frame."""

from __future__ import annotations

from functools import partial
from typing import Any

from blynkscope.analysis.dialogue import Dialogue
from blynkscope.analysis.lane import Lane
from blynkscope.analysis.run import Run
from blynkscope.protocol import commands, limits
from blynkscope.protocol.model import Dialect, Sender
from blynkscope.protocol.ports import PARTICLE_PORT
from blynkscope.wire import recognise
from blynkscope.wire.events import CLIENT, Opened
from blynkscope.wire.framing import Framer, Item, Malformed, RawFrame, Skipped

_AROUND = frozenset({"tls", "websocket"})
"""What Blynk may be inside of, whatever dialect it is said to be."""


class Recognition(Dialogue):
    """Finds out what the directions of one stream speak, and cuts Blynk's bytes into frames."""

    __slots__ = ("server_spoke_first",)

    def __init__(self, run: Run, opened: Opened) -> None:
        super().__init__(run, opened)
        self.server_spoke_first: int | None = None

    def _bytes(self, lane: Lane, time: float | None, data: bytes) -> None:
        """The next innermost bytes of a direction: what all layers around them carried."""
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
                self.run.weigh(framer, partial(self.drop_buffer, lane, time))

    def _missing(self, lane: Lane, missing: int | None, time: float | None) -> None:
        """Innermost bytes are missing; None where nobody knows how many."""
        framer = lane.framer
        if framer is not None:
            self._items(lane, framer.gap(missing, time))
        elif lane.guess is None:
            if lane.prefix:
                self._recognised(lane, recognise.name_bytes(bytes(lane.prefix)), time)
                if lane.framer is not None:
                    self._items(lane, lane.framer.gap(missing, time))
            else:
                lane.joined = True
                lane.start += missing or 0
        lane.whole = False
        if lane.hunter is not None:
            hunter = lane.hunter
            items = hunter.gap(missing, time)
            if any(isinstance(item, RawFrame) for item in items):
                self._adopt(lane, hunter, items)

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
        if (
            peer.guess is not None
            and peer.guess.kind == recognise.MQTT.kind
            and len(peer.layers) == len(lane.layers) + 1
        ):
            # Its answers begin with a byte that could be anything: what they are is known by what was asked.
            lane.chunks.append((data, time))
            self._recognised(lane, recognise.MQTT, time)
            return
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
        forced = self.run.dialect
        if forced is not None and forced is not Dialect.WEB and guess.kind not in _AROUND:
            framer = self._begin(lane, forced, joined=False, offset=lane.start)
            for data, seen in chunks:
                self._items(lane, framer.feed(data, seen))
        elif guess.is_blynk:
            framer = self._begin(lane, Dialect(guess.kind), joined=lane.joined, offset=lane.start)
            for data, seen in chunks:
                self._items(lane, framer.feed(data, seen))
        elif guess.kind in {"unknown", "text"}:
            lane.hunter = Framer(Dialect.HARDWARE, joined=True, offset=lane.start)
            self._replay(lane, chunks)
        else:
            level = len(lane.layers)
            self._foreign(lane, guess, time, recognise.decisive(prefix))
            for data, seen in chunks:
                self._inside(lane, level, data, seen)

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
        window = limits.HUNT_WINDOW if lane.joined else limits.NOISE_WINDOW
        room = window - lane.hunted
        head, rest = (data[:room], data[room:]) if len(data) > room else (data, b"")
        if lane.joined:
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
        if lane.joined and lane.whole and hunter.dialect is Dialect.HARDWARE:
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
        if not self._roles_known and recognise.begun_by_client(guess):
            self._roles_known = True
            self._swap(lane)
            self._label(lane.peer, Sender.SERVER)
        if self._roles_known and lane.direction == CLIENT:
            self._label(lane, Sender.UNKNOWN)
        self._say(
            kind,
            time,
            lane,
            size,
            {"protocol": guess.kind, "label": guess.label, **guess.detail, "advice": guess.advice},
        )
        for tell in self.hooks.recognised:
            tell(self, lane, guess, time)
        self._flush()
        self._open_layer(lane, guess)

    def _open_layer(self, lane: Lane, guess: recognise.Guess) -> None:
        """What goes on reading a direction that speaks another protocol, where there is something for it."""

    def _inside(self, lane: Lane, level: int, data: bytes, time: float | None) -> None:
        """Bytes of a direction that was recognised as another protocol, for what goes on reading it at this level."""

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
