"""One stream: what each direction speaks, and the frames that are cut from its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blynkscope.analysis.records import LogRecord
from blynkscope.analysis.session import Happening
from blynkscope.analysis.unwrapping import Unwrapping
from blynkscope.protocol import limits
from blynkscope.protocol.model import Dialect, Sender
from blynkscope.wire.events import CLIENT, Closed, Gap, Line, Message, Opened, Overlap, Told
from blynkscope.wire.facts import Fact

if TYPE_CHECKING:
    from blynkscope.analysis.run import Run


class Conversation(Unwrapping):
    """The analysis of one stream. Fed with events, it appends records to the run.

    Args:
        run: The analysis that it belongs to: numbers, options and the list of records.
        opened: The event that began it.
    """

    __slots__ = ()

    def __init__(self, run: Run, opened: Opened) -> None:
        super().__init__(run, opened)
        if self._roles_known:
            self._label(self.server, Sender.SERVER)
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
        if lane.layers:
            self._through(lane, 0, data, time)
        else:
            self._bytes(lane, time, data)

    def gap(self, event: Gap) -> None:
        """Bytes of a direction are missing."""
        lane = self.lanes[event.direction]
        self._say("gap", event.time, lane, event.missing, {"reason": event.reason})
        for tell in self.hooks.gap:
            tell(self, lane, event)
        self._flush()
        lane.seen += event.missing
        if not lane.layers and lane.guess is None and not lane.prefix:
            self.joined = lane.peer.joined = True
        self._lacking(lane, 0, event.missing, event.time)

    def overlap(self, event: Overlap) -> None:
        """A retransmission carried other bytes."""
        lane = self.lanes[event.direction]
        self._say("overlap", event.time, lane, event.differing, {"offset": event.offset, "kept": "first"})

    def told(self, event: Told) -> None:
        """A fact that the source knows itself."""
        lane = self.lanes[event.direction or CLIENT]
        self._tell(lane, Fact(event.kind, event.time, event.detail), whole=event.direction is None)

    def close(self, event: Closed) -> None:
        """The stream is over."""
        for lane in self.lanes:
            self._finish_layers(lane, event.time)
            if lane.framer is not None:
                self._items(lane, lane.framer.finish(event.time))
            elif lane.hunter is not None:
                self._give_up(lane, event.time)
        self._finish_talk(event.time)
        ended = event.how not in {"end", "evicted"} and not self.log
        heard = event.heard if self.client is self.lanes[CLIENT] else event.heard[::-1]
        self.pins.end(event.time, ended=ended and event.followed, heard=heard)
        self.run.devices.closed(self, event.time, event.how)
        for tell in self.hooks.ended:
            tell(self, event)
        self._flush()
        closer = self.lanes[event.by] if event.by is not None else None
        total = {"client": self.client.seen, "server": self.server.seen}
        detail = {"how": event.how, "sent": total, "session": self._over(event)}
        self._say("closed", event.time, closer, sum(total.values()), detail)
