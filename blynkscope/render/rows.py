"""One frame as one line of the table. This is the hot path of a decode to the terminal: no regexes, no objects."""

from __future__ import annotations

from collections.abc import Sequence

from blynkscope.analysis.records import FrameRecord, MessageRecord, WriteRecord
from blynkscope.protocol import limits
from blynkscope.protocol.statuses import SUCCESS
from blynkscope.render.calls import CALL_MAX, briefer, caused, failed, number_of, reading_of, shortened, title_of, took
from blynkscope.render.console import MARKS, cells, fit, padded
from blynkscope.render.options import Options
from blynkscope.render.safe import safe
from blynkscope.render.spans import duration, elapsed

_TINY = 56
"""Below this width there is room for a number, a name and a reading only."""
_SMALL = 72
"""Below this width the reading needs the room that the time takes."""
_NARROW = 100
_WIDE = 160
_EDGE = 148
"""Column of the right edge on very wide terminals: the eye does not follow a line further."""
_ARROWS = {"device": "→", "app": "→", "server": "←"}
_ROUTES = {"device": "device → server", "app": "app → server", "server": "server → app"}
_ROUTE_OF_SERVER_TO_DEVICE = "server → device"
_TAIL = 17
"""Columns of what became of a frame, where there is room for all words: marks then stand in one column."""
_BAD = frozenset({"contradicted", "rejected", "lost"})
_UNPROVEN_FROM_SERVER = frozenset({"sent", "delivered"})
PROOFS = {"contradicted": "contradicts", "rejected": "rejects", "confirmed": "confirms"}
"""States of writes that a frame proves, and what that frame does to the write. Bad news is told first."""
_ORDER = {state: rank for rank, state in enumerate(PROOFS)}
_CLOCK = 10
"""Columns of a time."""
_BEFORE_TAIL = 2
"""Spaces between columns at the right edge."""


class Rows:
    """Composes rows for one width.

    Attributes:
        many_streams: True once a second stream was seen: from then on rows carry their stream's number.
    """

    def __init__(self, options: Options) -> None:
        width = options.width
        self.many_streams = False
        self._width = width
        self._edge = min(width, _EDGE)
        self._palette = options.palette
        self._verbose = options.verbose
        self._narrow = width < _NARROW
        self._small = width < _SMALL
        self._tiny = width < _TINY
        self._name_width = 8 if self._tiny else 12 if self._narrow else 14 if width < _WIDE else 22
        self._first: float | None = None
        self._names: dict[str, str] = {}
        on, off = self._palette.on, self._palette.off
        self._quiet, self._off = on["quiet"], off
        self._senders = {
            (name, dialect): self._sender(name, dialect)
            for name in ("device", "server", "app", "unknown")
            for dialect in ("hardware", "app", "web")
        }
        self._tails = {state: self._write_tail(state) for state in MARKS if state not in {"error", "warning", "note"}}
        nothing = "↩ none" if self._small else "answers nothing"
        self._unanswering = self._palette.paint("warning", nothing), len(nothing) if self._narrow else _TAIL
        # n, time and stream; then sender, name and id, with the spaces between them
        self._front = 5 + (0 if self._small else 1 + 10) + 1 + 3
        self._left = self._front + 1 + (1 if self._narrow else 15) + 2 + self._name_width
        self._left += 2 if self._tiny else 1 + 5 + 2
        self._room = self._edge - self._left

    def begin(self, time: float | None) -> None:
        """Times count from the first one that is given here."""
        if self._first is None:
            self._first = time

    def clock(self, time: float | None) -> str:
        """Seconds since the first record, ten columns wide; spaces where the time is not known."""
        if time is None:
            return "          "
        if self._first is None:
            self._first = time
        return f"{elapsed(time - self._first, _CLOCK):>{_CLOCK}}"

    def head(self) -> str:
        """The names of the columns."""
        route = " " if self._narrow else "direction      "
        time = "" if self._small else "       time"
        number = "" if self._tiny else "    id"
        text = f"    #{time}     {route}  {'message':<{self._name_width}}{number}  reading"
        return f"{self._quiet}{text}{self._off}"

    def row(self, record: FrameRecord, proved: Sequence[WriteRecord] = ()) -> str:
        """A frame as a line, without its line feed.

        Args:
            record: The frame.
            proved: The writes whose state this frame proves.
        """
        quiet, off = self._quiet, self._off
        name = self._names.get(record.name) or self._name(record.name)
        stream = f"{record.stream:3}" if self.many_streams else "   "
        sender = self._senders.get((record.sender, record.dialect)) or self._senders["unknown", "hardware"]
        time = "" if self._small else f" {self.clock(record.time)}"
        front = f"{record.n:5}{time} {stream}"
        number = "" if self._tiny else f" {quiet}{record.id:5}{off}"
        left = f"{quiet}{front}{off} {sender}  {name}{number}  "
        # Long numbers push a row to the right; what they take is the reading's loss.
        pushed = len(front) - self._front
        # What comes out of the ordinary is short or must be cut; long values are cut before they are looked at.
        text = record.text if len(record.text) <= self._width else record.text[: self._width] + "…"
        if not text.isprintable():
            text = safe(text)
        before = after = ""
        if record.status is not None:
            text, before = self._status(record, text)
            after = off if before else ""
        tail, size = self._tail(record)
        width = len(text) if text.isascii() else cells(text)
        if proved:
            tail, size = self._with_proof(proved, tail, size, self._room - pushed - width - _BEFORE_TAIL)
        whole = self._width - self._left - pushed
        if not tail:
            if not text:
                return left.rstrip()
            return left + before + (text if width <= whole else fit(text, whole)) + after
        gap = self._room - pushed - width - size
        if gap < _BEFORE_TAIL:
            room = max(whole - size - _BEFORE_TAIL, 0)
            if width > room:
                text = fit(text, room)
                width = cells(text)
            gap = max(min(room, self._room - pushed - size) - width, _BEFORE_TAIL)
        return f"{left}{before}{text}{after}{' ' * gap}{tail}"

    def message(self, record: MessageRecord) -> str:
        """A message of another protocol as a line: its number has an `m`, and an id is no part of it."""
        paint, quiet, off = self._palette.paint, self._quiet, self._off
        stream = f"{record.stream:3}" if self.many_streams else "   "
        dialect = "hardware" if record.protocol == "mqtt" else "app"
        sender = self._senders.get((record.sender, dialect)) or self._senders["unknown", "hardware"]
        if record.protocol == "http" and record.sender == "unknown":
            # Whoever it is: calls are made by clients.
            sender = self._palette.paint("unknown", "→" if self._narrow else f"{'client → server':<15}")
        time = "" if self._small else f" {self.clock(record.time)}"
        front = f"{number_of(record.n):>5}{time} {stream}"
        # Where every column counts, a call needs none for an id: its URL is long.
        number = "" if self._narrow and record.protocol == "http" else "" if self._tiny else " " * 6
        spared = 0 if self._tiny or number else 6
        # The name may take the room of the id that messages do not have.
        place = self._name_width + len(number)
        left = f"{quiet}{front}{off} {sender}  {padded(title_of(record, place), place)}  "
        bad = failed(record)
        text = ("✗ " if bad else "") + safe(reading_of(record, CALL_MAX))
        if frames := caused(record):
            text += f" → {frames}"
        tail = took(record) if not self._small else ""
        if record.answers is not None:
            tail = f"↩ {number_of(record.answers)} {tail}".rstrip()
        room = self._width - self._left + spared - (len(front) - self._front)
        style = "error" if bad else ""
        if tail and self._narrow and record.answers is None and record.protocol == "http":
            # How long it took is worth less than what was said, where that can be said in full.
            forms = [cells(one) for one in briefer(text, record)]
            if room - len(tail) - _BEFORE_TAIL < min(forms) <= room:
                tail = ""
        if not tail:
            text = shortened(text, record, max(room, 0))
            return (left + (paint(style, text) if style else text)).rstrip()
        size = max(len(tail), _TAIL) if record.answers is not None and not self._narrow else len(tail)
        text = shortened(text, record, max(room - size - _BEFORE_TAIL, 0))
        gap = max(min(self._room + spared - (len(front) - self._front), room) - size - cells(text), _BEFORE_TAIL)
        return f"{left}{paint(style, text) if style else text}{' ' * gap}{quiet}{tail}{off}"

    # --- parts of a row ---

    def _sender(self, sender: str, dialect: str) -> str:
        if self._narrow:
            return self._palette.paint(sender, _ARROWS.get(sender, "?"))
        to_device = sender == "server" and dialect == "hardware"
        route = _ROUTE_OF_SERVER_TO_DEVICE if to_device else _ROUTES.get(sender, "unknown")
        return self._palette.paint(sender, f"{route:<15}")

    def _name(self, name: str) -> str:
        # Names come from the command table, so that there are few; the limit holds for whoever else fills records.
        if len(self._names) > limits.OPEN_WRITES_MAX:
            self._names.clear()
        shown = padded(safe(name.removeprefix("MSG_")), self._name_width)
        self._names[name] = shown
        return shown

    def _status(self, record: FrameRecord, text: str) -> tuple[str, str]:
        """The words and the style of an answer: success is calm, an error is red and marked."""
        # That nothing was answered stands at the edge.
        text = text.removesuffix(", answers nothing") or f"{record.status} {safe(record.status_name or '')}".rstrip()
        if record.status == SUCCESS:
            return text, self._palette.on["good"]
        return f"✗ {text}", self._palette.on["error"]

    def _tail(self, record: FrameRecord) -> tuple[str, int]:
        """What became of the frame, and how many columns are kept for that."""
        if record.answers is not None:
            took = "" if record.rtt_ms is None or self._small else duration(record.rtt_ms)
            text = f"↩ #{record.answers} {took}" if self._narrow else f"↩ #{record.answers:<5}{took:>9}"
            text = text.rstrip()
            return f"{self._quiet}{text}{self._off}", len(text) if self._narrow else max(len(text), _TAIL)
        if record.write is not None:
            if record.sender == "server" and record.write in _UNPROVEN_FROM_SERVER:
                return "", 0
            return self._tails.get(record.write) or ("", 0)
        return self._unanswering if record.status is not None else ("", 0)

    def _with_proof(self, proved: Sequence[WriteRecord], tail: str, size: int, room: int) -> tuple[str, int]:
        """What the frame proves, before what became of it where the room lets both stand."""
        first = min(proved, key=_urgency)
        said = "" if self._narrow else f" {PROOFS[first.state]}"
        more = f" +{len(proved) - 1}" if len(proved) > 1 else ""
        text = f"{MARKS[first.state]}{said} #{first.frame}{more}"
        taken = len(text) if self._narrow else max(len(text), _TAIL)
        shown = self._palette.paint(first.state, text)
        if not tail or taken + _BEFORE_TAIL + size > room:
            return shown, taken
        return f"{shown}{' ' * (taken - len(text) + _BEFORE_TAIL)}{tail}", taken + _BEFORE_TAIL + size

    def _write_tail(self, state: str) -> tuple[str, int]:
        short = self._small or (self._narrow and state not in _BAD)
        text = MARKS[state] if short else f"{MARKS[state]} {state}"
        return self._palette.paint(state, text), len(text) if self._narrow else _TAIL


def _urgency(record: WriteRecord) -> int:
    return _ORDER[record.state]
