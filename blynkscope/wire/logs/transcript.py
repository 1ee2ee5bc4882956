"""A log, line by line → events: what was said on which connection and when, and what else the log tells."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Any

from blynkscope.protocol import commands
from blynkscope.wire import recognise
from blynkscope.wire.events import CLIENT, SERVER, Event, Line, Message
from blynkscope.wire.logs import brackets, decimal, known, libraries, lines, prose
from blynkscope.wire.logs.assembly import Draft, Lane, Slot, default_direction
from blynkscope.wire.logs.clock import Clock
from blynkscope.wire.logs.copies import Copies, shape
from blynkscope.wire.logs.model import Chunk, Content, Said, Told
from blynkscope.wire.logs.streams import BEGINS, OpenedSlot, Streams, is_server

_PATIENCE = 64
"""Lines after which the rest of a body is no longer waited for: user prints between header and body are few."""
_COPY_LINES = 8
"""Lines within which a message that was told field by field may be told again as bytes."""
_RESET_LINES = 16
"""Lines between the first words of a restart (boot noise, `ets Jan  8 2013`) and the first stamp of the new clock."""
_TEXT_MAX = 400
"""Characters of a line of text that are kept."""
_BREAKS = frozenset({
    "cmd-error", "cmd-skipped", "invalid-header-type", "packet-too-big", "bad-header-length", "login-timeout",
    "heartbeat-timeout", "disconnected", "connecting", "crash", "banner", "redirecting", "ble-connect",
    "ble-disconnect",
})  # fmt: skip
"""Kinds of text after which a body does not go on."""
_SETTLES = frozenset({"connecting", "disconnected", "login-timeout", "banner", "ble-connect", "crash", "reset"})
"""Kinds of text after which bytes out of step do not go on either."""
_GARBAGE = re.compile(r"[^\x09\x20-\x7e]")
_GARBAGE_MIN = 3
_WORDS = re.compile(r"[A-Za-z0-9]{2}|[\u00c0-\uffff]")
_ART = re.compile(r"[\s_/\\|()<>,.'*-]*\Z|\s*/\s*_\s*\)/.*\Z|[\s_/\\|,.'*()]*_/ ?/_[\s_/\\|]*\Z|.*_\\_\\\**\Z")
_GUTTER = re.compile(r"\b(?:dw|aw|vw|pm|dr|vr|ar)\.\d{1,3}(?:\.|\b)")
_GUTTER_MIN = 2
_LIBRARIES = (
    ("node-red", re.compile(r"blynk-(?:ws|iot)-client|SEND -> Cmd:|RECV <- Cmd:|Invalid HW cmd: Cmd:")),
    ("java-server", re.compile(r"\b(?:Incoming|Outgoing) (?:\w+Message\{)?id=|\b(?:TRACE|DEBUG) ?- ")),
    ("micropython", re.compile(r"Blynk Log:|(?:Outbound|Inbound|Server) Data(?: Packet)?\b")),
    (
        "blynklib",
        re.compile(
            r"[<>] \d+ \d+ \||\[ERROR\]: Auth stage|Authenticating device|Connected to blynk server"
            r"|for Python v\d"
            r"|Blynk authentication timed out"
            r"|onnection with the Blynk servers? |[Bb]lynk_?[Ll]ib(?:\.py|\.Blynk\w{0,20})\b"
        ),
    ),
    (
        "js",
        re.compile(
            r"[<>]  [A-Z][A-Z_]+ \d|blynk-library-js|node_modules/blynk-library|Could not login: [A-Z_]+\Z"
            r"|Connecting to(?: (?:TCP|SSL|TLS))?: \S+ \d+\Z"
        ),
    ),
    ("edgent", re.compile(r"\b[A-Z_]{4,} => [A-Z_]{4,}\b")),
)
_CPP_KINDS = frozenset({
    "banner", "ready", "login-timeout", "heartbeat-timeout", "packet-too-big", "cmd-error", "cmd-skipped",
    "invalid-header-type", "bad-header-length", "free-ram",
})  # fmt: skip

_TOLD_BEHIND = re.compile(r"(?<=\s)[<>] (?:Server|Outbound|Inbound|BIN) Data\b")
"""A print of a library behind words of the person who posts it."""
_QUOTES = dict.fromkeys(map(ord, "\u2018\u2019\u201a\u201b"), "'") | dict.fromkeys(map(ord, "\u201c\u201d\u201e"), '"')

_REMARK = re.compile(r"(?<![ \t])[ \t]++(?:\*\*[^*]{1,80}(?:\*\*)?+\Z|<[-=]{1,4}[^<]|\u2190|//[ ]|\(!{1,3}\))")
"""What a person writes behind a line: `**HERE**`, `<-- it stops here`, `// login`."""
_REMARKED = re.compile(r"(?<![ \t])[ \t]++(?://|#|<-|\u2190|\()")
"""The beginning of what a person writes behind a print that is told again."""
_PRINTS_MAX = 1024
"""Prints with stamps that a person may repeat."""
ReadLine = Callable[[str], list[Content] | None]
Tell = Callable[[str], Told | None]


class Transcript:
    """Reads the lines of one log. Never raises, whatever the lines are; what it keeps is bounded.

    Args:
        read_line: Reads a line of a library's log without its stamps.
        told: Names a line of text.
        stamped: The log's own lines have stamps: sentences without one are of the person who posts it.
    """

    def __init__(
        self, read_line: ReadLine = libraries.read_line, told: Tell = known.told, *, stamped: bool = False
    ) -> None:
        self._read_line = read_line
        self._told = told
        self._stamped = stamped
        self._prints: dict[str, None] = {}
        self._clock = Clock()
        self._queue: list[Slot | OpenedSlot | Event] = []
        self._streams = Streams(self._queue)
        self._lanes: dict[tuple[int | None, str], Lane] = {}
        self._touched: dict[Lane, int] = {}
        self._copies = Copies()
        self._waiting: deque[tuple[int, Slot]] = deque()
        self._body: Said | None = None
        self._held: Lane | None = None
        self._form = ""
        self._reset_line = 0
        self._unread = 0
        self._library = ""
        self.notation: str | None = None
        """How the first message was written: `cpp-brackets`, `cpp-msg`, `bytes` or `fields`."""
        self.lines = 0
        """Lines so far."""
        self.frames = 0
        """Messages that were given out so far."""
        self.crashed = False
        """Whether a crash was told: the numbers below it are addresses."""
        self.telling = 0
        """Lines of text that mean something."""
        self.gutter = False
        """Whether a line is the character column of a dump, whose dots may be any byte."""

    @property
    def library(self) -> str:
        """Whose log it is."""
        return self._library or "unknown"

    @property
    def streams(self) -> int:
        """Connections so far."""
        return self._streams.count

    @property
    def time(self) -> float | None:
        """The time of the last line."""
        return self._clock.time

    @property
    def unread(self) -> int:
        """Lines that look like messages and gave none."""
        return self._unread + sum(lane.skipped for lane in self._lanes.values())

    # --- in ---

    def line(self, text: str) -> None:
        """The next line, without its end."""
        self.lines += 1
        parts = lines.split_glued(lines.clean(text))
        for index, part in enumerate(parts):
            if len(parts) > 1 and index < len(parts) - 1 and _noisy(part):
                self._reset("boot noise")
            elif part.strip(" \t\0"):
                self._part(part)
        self._expire()

    def _part(self, part: str) -> None:
        stamp = lines.peel(part)
        time, restarted = self._clock.at(stamp)
        if restarted:
            self._reset("the clock restarted", repeats=True)
        text = stamp.text
        if part.lstrip().startswith("**") and text.rstrip().endswith("**"):
            text = text.rstrip()[:-2]
        stamped = stamp.board is not None and stamp.clock == "ms"
        if not text.strip(" \t\0"):
            return
        bare = stamp.board is None and stamp.wall is None
        if self._mended(text if bare else None):
            return
        if self._retold(text, bare):
            self._emit("user-print", known.masked(text), time)
            return
        if self._decimal(text, time) or self._print(text, stamped, time) or self._said(text, time):
            return
        if bare and any(lane.wrapped(text) for lane in self._lanes.values() if lane.slot is not None):
            return
        self._text(text.strip(" \t\0").removeprefix("** ").removesuffix("**").strip(), time, bare=bare)

    def _mended(self, text: str | None) -> bool:
        """A line without stamps behind a header that broke off; None for any other line. True if it was taken."""
        held, self._held = self._held, None
        return held is not None and held.mend(text)

    def _retold(self, text: str, bare: bool) -> bool:
        """Whether a person repeats a print of a log with stamps, without its stamp and with a remark behind it."""
        if not bare:
            if len(text) <= _TEXT_MAX and brackets.directed(text) is not None:
                self._prints[text.strip()] = None
                if len(self._prints) > _PRINTS_MAX:
                    del self._prints[next(iter(self._prints))]
            return False
        match = _REMARKED.search(text) if self._prints else None
        return match is not None and text[: match.start()].strip() in self._prints

    # --- the C++ library ---

    def _decimal(self, text: str, time: float | None) -> bool:
        """A line in the notation before 0.3.6, or the body behind it."""
        head, self._body = self._body, None
        said = decimal.header(text)
        if said is not None:
            self._cpp("cpp-msg")
            self._form = shape(text) + str(self.lines)
            draft = Draft(said.direction, said.cmd, said.id, said.word)
            draft.body = b""
            slot = self._add(draft, time)
            if said.follows:
                self._body = said
                slot.open = True
                self._waiting.append((self.lines + _COPY_LINES, slot))
            return True
        if head is None:
            return False
        arrow = "<" if head.direction == CLIENT else ">"
        slot = self._waiting[-1][1] if self._waiting else Slot(0, None)
        if not slot.open or not slot.drafts:
            return False
        slot.open = False
        if not text.startswith(arrow):
            return False
        printed = text[1:].encode("utf-8", "surrogatepass")
        slot.drafts[0].body = decimal.restore(head.cmd, printed, head.word or 0)
        return True

    def _print(self, text: str, stamped: bool, time: float | None) -> bool:
        """A line in bracket notation."""
        found = brackets.directed(text)
        if found is None or text.startswith((">>>", "<<<")):
            return False
        lane = self._lane(found.direction, "raw" if found.raw else "")
        likely = brackets.frame_like(text)
        torn = found.direction is not None and brackets.torn(found.text, sure=stamped)
        if torn:
            likely = True
        if found.direction is None:
            if not likely or not lane.begins(brackets.read(found.text)):
                return False
        elif not likely and not (lane.waits or (stamped and self._reads_nothing(text))):
            other = self._lanes.get((found.direction, "" if found.raw else "raw"))
            if not (brackets.has_bytes(text) and (stamped or (other is not None and other.waits))):
                return False
        elif not likely and not stamped and self._library != "cpp":
            return False
        self._cpp("cpp-brackets")
        self._form = "raw" if found.raw else "plain"
        self._touched[lane] = self.lines
        if torn:
            self._held = lane
            lane.hold(found.text, self.lines, time)
            return True
        lane.feed(found.text, self.lines, time)
        return True

    def _reads_nothing(self, text: str) -> bool:
        return self._read_line(text) is None

    def _cpp(self, notation: str) -> None:
        self._library = self._library or "cpp"
        self.notation = self.notation or notation

    def _lane(self, direction: int | None, layer: str) -> Lane:
        lane = self._lanes.get((direction, layer))
        if lane is None:
            lane = self._lanes[direction, layer] = Lane(direction, self._begin)
        return lane

    def _begin(self, slot: Slot) -> None:
        """A lane has found something: give it its place and its stream."""
        if not slot.drafts:
            slot.stream = self._streams.current or self._streams.begin(slot.time)
            self._queue.append(slot)
            return
        draft = slot.drafts[0]
        if draft.direction is None:
            draft.direction = _guessed(draft)
        form = self._form
        original = self._copies.original(draft, form, self.lines) if self._repeats() else None
        if original is not None:
            slot.dropped = True
            if original.open and original.drafts[0].body is not None:
                original.alias, original.open = slot, False
            return
        slot.stream = self._streams.message(draft.cmd, draft.direction, slot.time)
        self._copies.add(slot, form)
        self._queue.append(slot)

    def _repeats(self) -> bool:
        return self._form != "plain" or any(layer == "raw" for _, layer in self._lanes)

    # --- the logs of other libraries ---

    def _said(self, text: str, time: float | None) -> bool:
        contents = self._read_line(text)
        if contents is None and (match := _TOLD_BEHIND.search(text)):
            contents = self._read_line(text[match.start() :])
        if contents is None:
            return False
        self._form = shape(text)
        self._whose(text)
        for content in contents:
            if isinstance(content, Told):
                self._tell(content, time)
            elif isinstance(content, Chunk):
                self._bytes(content, time)
            else:
                self._fields(content, time)
        return True

    def _bytes(self, chunk: Chunk, time: float | None) -> None:
        guess = recognise.name_bytes(chunk.data)
        if guess.kind == "tls":
            self._tell(Told("tls-record", guess.label, {"bytes": chunk.data[:_TEXT_MAX].hex()}), time)
            return
        self.notation = self.notation or "bytes"
        lane = self._lane(chunk.direction, f"{chunk.layer}/{self._form}")
        self._touched[lane] = self.lines
        lane.feed_bytes(chunk.data, self.lines, time)

    def _fields(self, said: Said, time: float | None) -> None:
        self.notation = self.notation or "fields"
        direction = said.direction if said.direction is not None else default_direction(said.cmd)
        draft = Draft(direction, said.cmd, said.id, said.word)
        draft.body = said.body
        if direction is None:
            draft.direction = _guessed(draft)
        if self._copies.original(draft, self._form, self.lines) is not None:
            return
        slot = self._add(draft, time)
        if said.facts.get("copy"):
            slot.open = True
            self._waiting.append((self.lines + _COPY_LINES, slot))
        if "status_read" in said.facts:
            told = Told("frame", f"{said.facts['status_read']} is not a status here", dict(said.facts))
            self._tell(told, time)

    def _add(self, draft: Draft, time: float | None) -> Slot:
        slot = Slot(self.lines, time)
        slot.open = False
        slot.drafts.append(draft)
        slot.stream = self._streams.message(draft.cmd, draft.direction, time)
        self._copies.add(slot, self._form)
        self._queue.append(slot)
        return slot

    # --- text ---

    def _text(self, text: str, time: float | None, *, bare: bool) -> None:
        self._whose(text)
        plain = text.translate(_QUOTES)
        told = self._told(plain)
        if told is None and (match := _REMARK.search(plain)) and match.start():
            told = self._told(plain[: match.start()])
        if told is not None and self._stamped and bare and prose.mentions(plain, told):
            self._emit("user-print", known.masked(told.text), time)
            return
        if told is not None:
            self._tell(told, time)
            return
        if brackets.frame_like(text):
            self._unread += 1
        if len(_GUTTER.findall(text)) >= _GUTTER_MIN:
            self.gutter = True
            self._unread += 1
        if _WORDS.search(text) and not _ART.match(text):
            self._emit("user-print", known.masked(text), time)

    def _tell(self, told: Told, time: float | None) -> None:
        self.telling += 1
        kind = told.kind
        if kind in _CPP_KINDS:
            self._library = self._library or "cpp"
        elif kind == "particle":
            self._library = "particle"
        elif kind == "reset":
            self._restarted()
            self._reset_line = self.lines
        self.crashed = self.crashed or kind == "crash"
        if kind in _BREAKS:
            for lane in self._lanes.values():
                lane.settle() if kind in _SETTLES else lane.close()
        before = self._streams.current
        self._streams.text(told, time)
        if self._streams.current != before:
            self._copies.forget()
        if kind in BEGINS and told.facts.get("host") and not is_server(told):
            self._emit("wifi", told.text, time, {"ssid": told.facts["host"]})
        else:
            self._emit(kind, told.text, time, told.facts)

    def _emit(self, kind: str, text: str, time: float | None, facts: dict[str, Any] | None = None) -> None:
        line = Line(self._streams.current, time, self.lines, kind, text[:_TEXT_MAX], facts or {})
        self._queue.append(line)

    def _reset(self, cause: str, *, repeats: bool = False) -> None:
        """The board began anew. `repeats`: a sign of it that comes behind the others is no second restart."""
        if repeats and self._reset_line and self.lines - self._reset_line <= _RESET_LINES:
            self._reset_line = 0
            return
        self._restarted()
        self._reset_line = 0 if repeats else self.lines
        self._emit("reset", cause, self._clock.time, {"cause": cause})

    def _restarted(self) -> None:
        self._settle()
        self._copies.forget()
        self._streams.end(self._clock.time, "reused")

    def _whose(self, text: str) -> None:
        if self._library in ("", "cpp"):
            for name, pattern in _LIBRARIES:
                if pattern.search(text, 0, _TEXT_MAX):
                    if not self._library or name == "edgent":
                        self._library = name
                        self._streams.incoming_alone = name == "java-server"
                    return

    # --- out ---

    def _expire(self) -> None:
        for lane in self._lanes.values():
            if lane.waits and self.lines - self._touched.get(lane, 0) > _PATIENCE:
                lane.settle()
        while self._waiting and self._waiting[0][0] < self.lines:
            self._waiting.popleft()[1].open = False

    def _settle(self) -> None:
        self._mended(None)
        for lane in self._lanes.values():
            lane.settle()
        while self._waiting:
            self._waiting.popleft()[1].open = False

    def take(self) -> list[Event]:
        """The events that are certain by now, in the order of the log."""
        ready = 0
        while ready < len(self._queue) and not _waits(self._queue[ready]):
            ready += 1
        return self._resolved(ready)

    def finish(self) -> list[Event]:
        """The log is over: the events that are left, with the end of the connection."""
        self._settle()
        self._streams.end(self._clock.time)
        return self._resolved(len(self._queue))

    def _resolved(self, count: int) -> list[Event]:
        events: list[Event] = []
        for item in self._queue[:count]:
            if isinstance(item, OpenedSlot):
                events.append(item.event)
            elif isinstance(item, Slot):
                events += self._slot(item)
            else:
                events.append(item)
        del self._queue[:count]
        return events

    def _slot(self, slot: Slot) -> list[Event]:
        events: list[Event] = []
        for told in slot.told:
            events.append(Line(slot.stream, slot.time, slot.line, told.kind, told.text[:_TEXT_MAX], told.facts))
        for draft in (slot.alias or slot).drafts:
            self.frames += 1
            direction = CLIENT if draft.direction is None else draft.direction
            body = b"" if draft.cmd == commands.RESPONSE else draft.bytes()
            events.append(
                Message(slot.stream, direction, slot.time, draft.cmd, draft.id, draft.word, body, slot.line, draft.cut)
            )
        return events


def _waits(item: Slot | OpenedSlot | Event) -> bool:
    return isinstance(item, Slot) and item.waits


def _noisy(text: str) -> bool:
    """Noise of a serial line at another speed: most of it is no plain text."""
    return len(_GARBAGE.findall(text)) >= _GARBAGE_MIN


def _guessed(draft: Draft) -> int:
    """The direction of a message whose line does not tell it."""
    direction = default_direction(draft.cmd)
    if direction is not None:
        return direction
    body = draft.body if draft.body is not None else b"".join(piece.data for piece in draft.pieces)
    return SERVER if draft.cmd == commands.HW and body.startswith(b"pm") else CLIENT
