"""The conversation as a sequence diagram, written as it comes: a lifeline for each party, an arrow for each frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TextIO

from blynkscope.analysis.records import (
    FindingRecord,
    FrameRecord,
    LinkRecord,
    LogRecord,
    MessageRecord,
    Record,
    StreamRecord,
    SummaryRecord,
    WriteRecord,
)
from blynkscope.protocol import limits
from blynkscope.protocol.statuses import SUCCESS
from blynkscope.render.calls import (
    CALL_MAX,
    caused,
    failed,
    link_text,
    number_of,
    reading_of,
    shortened,
    title_of,
    took,
)
from blynkscope.render.console import MARKS, cells, fit, wrapped
from blynkscope.render.handshakes import Offers, Told
from blynkscope.render.layering import Layers, Recognised
from blynkscope.render.lifelines import STYLES, Lifelines, Piece
from blynkscope.render.notices import PRINTED, frames_of, said
from blynkscope.render.options import Options
from blynkscope.render.parties import Parties
from blynkscope.render.rows import PROOFS
from blynkscope.render.safe import safe, safe_line
from blynkscope.render.spans import duration, elapsed
from blynkscope.render.summary import Tally

_WIDEST = 200
"""Columns beyond which lifelines stand no farther apart: the eye does not follow an arrow further."""
_NARROW = 80
"""Below this width numbers and times are kept short."""
_BOX_WIDEST = 100
_ARROW = 12
"""Columns of an arrow itself, with the spaces and the mark beside its tail."""
_LEAST = 24
"""Columns of a call below which it is cut at its end."""
_SETTLED_SHOWN = 8
"""Lines of a batch about writes that no arrow speaks of; a connection that breaks may lose a thousand at once."""
_UNPROVEN_FROM_SERVER = frozenset({"sent", "delivered"})


class Ladder:
    """The output `ladder`.

    Args:
        stream: Where to.
        options: Width, colour and the rest.
    """

    def __init__(self, stream: TextIO, options: Options) -> None:
        self._stream = stream
        self._options = options
        self._palette = options.palette
        self._width = min(options.width, _WIDEST)
        self._gutter = 14 if self._width < _NARROW else 18
        self._tally = Tally()
        self._recognised = Recognised(options.redactor)
        self._layers = Layers()
        self._offers = Offers()
        self._streams: dict[int, Parties] = {}
        self._headed: set[int] = set()
        self._nowhere = Lifelines(("", ""), self._gutter, self._width - 1, self._palette, hidden=True)
        self._drawn: dict[tuple[str, ...], Lifelines] = {}
        self._now = self._nowhere
        self._shown: tuple[int | None, tuple[str, ...]] = (None, ())
        self._first: float | None = None
        self._advised: set[str] = set()
        self._lines: list[str] = []
        # Of the batch that is being written, as in the table.
        self._told: set[int] = set()
        self._settled = 0
        self._untold: dict[str, int] = {}

    def write(self, records: Sequence[Record]) -> None:
        """Draw a batch of records."""
        proofs: dict[int | None, list[WriteRecord]] = {}
        for record in records:
            if type(record) is WriteRecord and record.state in PROOFS:
                proofs.setdefault(record.by, []).append(record)
        self._told.clear()
        self._untold.clear()
        self._settled = 0
        for record in records:
            if isinstance(record, WriteRecord):
                self._write(record)
                continue
            for one in self._recognised.pass_on(record):
                self._one(self._options.redactor.apply(one), proofs)
        for state, count in self._untold.items():
            self._beside(state, f"and {count} more {state}")
        self._flush()

    def close(self) -> None:
        """Write the closing summary."""
        for record in self._recognised.rest():
            self._one(self._options.redactor.apply(record), {})
        if not self._options.quiet:
            self._lines += self._tally.lines(self._options)
        self._flush()
        self._stream.flush()

    def _flush(self) -> None:
        if self._lines:
            text = "\n".join([*self._lines, ""])
            self._lines.clear()
            self._stream.write(text)
            self._stream.flush()

    # --- what is drawn ---

    def _one(self, record: Record, proofs: Mapping[int | None, Sequence[WriteRecord]]) -> None:
        if isinstance(record, FrameRecord):
            self._tally.frame(record)
            self._frame(record, proofs.get(record.n, ()))
        elif isinstance(record, StreamRecord):
            self._tally.stream(record)
            self._happened(record)
        elif isinstance(record, MessageRecord):
            self._tally.message(record)
            self._message(record)
        elif isinstance(record, LinkRecord):
            if not self._options.quiet:
                self._lines.append((self._blank + self._now.note([("quiet", f"→ {link_text(record)}")])).rstrip())
        elif isinstance(record, LogRecord):
            self._logged(record)
        elif isinstance(record, FindingRecord):
            self._tally.finding(record)
            self._found(record)
        elif isinstance(record, SummaryRecord):
            self._tally.summary = record

    def _message(self, record: MessageRecord) -> None:
        """An HTTP call with its answer, or an MQTT packet: one arrow."""
        stream = self._stream_of(record.stream)
        sender, receiver = stream.sides_of_message(record)
        self._select(record.stream, stream, {sender: record.src, receiver: record.dst})
        self._through(record.stream, record.via, record.protocol)
        bad = failed(record)
        text = safe(reading_of(record, CALL_MAX))
        if frames := caused(record):
            text += f" → {frames}"
        time = took(record)
        tails: list[Piece] = [("quiet", f"↩ {time}".rstrip()), ("quiet", "↩")] if time else []
        # The arrow, the name and the longest tail leave this much; what is cut is the URL, and not the answer.
        room = self._now.room() - len(title_of(record)) - len(time) - _ARROW
        text = shortened(f"{'✗ ' if bad else ''}{text}", record, max(room, _LEAST))
        label = [("strong", title_of(record)), ("error" if bad else "", f"  {text}".rstrip())]
        if record.answers is not None:
            tails.insert(0, ("quiet", f"↩ {number_of(record.answers)} {time}".rstrip()))
        now = self._now
        style = "error" if bad else STYLES.get(sender, "quiet")
        line = now.arrow(now.place(sender), now.place(receiver), label, [*tails, ("", "")], style)
        self._lines.append(self._margin(number_of(record.n), record.time) + line)

    def _through(self, stream: int, via: tuple[str, ...], inside: str) -> None:
        """Layers, before the first message that came through them."""
        layers = self._layers.news(stream, via, inside)
        if layers and not self._options.quiet:
            self._lines.append(self._blank + self._now.across(layers, "quiet", ends=False))

    def _frame(self, record: FrameRecord, proved: Sequence[WriteRecord]) -> None:
        stream = self._stream_of(record.stream)
        sender, receiver = stream.sides(record)
        self._select(record.stream, stream, {sender: record.src, receiver: record.dst})
        if len(record.via) > 1:
            self._through(record.stream, record.via, record.dialect)
        failed = record.status is not None and record.status != SUCCESS
        label = [
            ("strong", safe(record.name.removeprefix("MSG_"))),
            ("quiet", f" {record.id}"),
            (self._reading_style(record), f"  {self._reading(record)}".rstrip()),
        ]
        style = "error" if failed else STYLES.get(sender, "quiet")
        if proved:
            self._told.add(record.n)
        now = self._now
        line = now.arrow(now.place(sender), now.place(receiver), label, self._tails(record, proved), style)
        self._lines.append(self._margin(record.n, record.time) + line)

    def _reading(self, record: FrameRecord) -> str:
        # Long values are cut before they are looked at.
        text = record.text if len(record.text) <= self._width else record.text[: self._width] + "…"
        text = safe(text)
        if record.status is None:
            return text
        text = text.removesuffix(", answers nothing") or safe(f"{record.status} {record.status_name or ''}").rstrip()
        return text if record.status == SUCCESS else f"✗ {text}"

    def _reading_style(self, record: FrameRecord) -> str:
        if record.status is None:
            return ""
        return "good" if record.status == SUCCESS else "error"

    def _tails(self, record: FrameRecord, proved: Sequence[WriteRecord]) -> list[Piece]:
        """What became of a frame, in words of several lengths, longest first."""
        tails: list[Piece] = []
        if record.answers is not None:
            took = f" {duration(record.rtt_ms)}" if record.rtt_ms is not None else ""
            tails = [("quiet", f"↩ #{record.answers}{took}"), ("quiet", f"↩{took}"), ("quiet", "↩")]
        elif record.write in MARKS:
            state = str(record.write)
            if record.sender != "server" or state not in _UNPROVEN_FROM_SERVER:
                tails = [(state, f"{MARKS[state]} {state}"), (state, MARKS[state])]
        elif record.status is not None:
            tails = [("warning", "answers nothing"), ("warning", "↩ none"), ("warning", "?")]
        if proved:
            first = min(proved, key=lambda one: tuple(PROOFS).index(one.state))
            more = f" +{len(proved) - 1}" if len(proved) > 1 else ""
            proof = f"{MARKS[first.state]} #{first.frame}{more}"
            beside = [
                f"{MARKS[first.state]} {PROOFS[first.state]} #{first.frame}{more} · {text}" for _, text in tails[:2]
            ]
            tails = [(first.state, text) for text in (*beside, proof, MARKS[first.state])]
        return [*tails, ("", "")]

    def _happened(self, record: StreamRecord) -> None:
        stream = self._stream_of(record.stream)
        self._clock(record.time)
        if record.kind == "opened":
            stream.opened(record)
            return
        if record.sender in {"device", "app"}:
            stream.take(record.sender, "server")
        vain = self._offers.take(record)
        told = said(record)
        if (told.calm and self._options.quiet) or (told.extra and not self._options.verbose):
            return
        self._select(record.stream, stream)
        self._broken(record, told, told.lists if self._options.verbose else (vain,) if vain else ())

    def _broken(self, record: StreamRecord, told: Told, lists: Sequence[str]) -> None:
        """A stream ends, a layer tells of itself, or something is missing between two frames."""
        advice = told.advice
        style = "quiet" if told.calm else "warning"
        text = told.text.lstrip(", ")
        ends = record.kind == "closed"
        room = self._now.room()
        first, *rest = [text] if cells(text) <= room or ends else wrapped(text, room)
        self._lines.append(self._margin(None, record.time) + self._now.across(first, style, ends=ends))
        self._lines += [self._blank + self._now.note([(style, line)]) for line in rest]
        for listed in lists:
            self._lines += [self._blank + self._now.note([("quiet", line)]) for line in wrapped(listed, room)]
        if advice and not self._options.quiet and advice not in self._advised:
            if len(self._advised) < limits.OPEN_WRITES_MAX:
                self._advised.add(advice)
            self._lines += [self._blank + self._now.note([("quiet", line)]) for line in wrapped(advice, room)]

    def _logged(self, record: LogRecord) -> None:
        self._clock(record.time)
        if record.kind == PRINTED and not self._options.verbose:
            self._tally.unshown += 1
            return
        if self._options.quiet:
            return
        now = self._beneath(record.stream, waits=True)
        text = f"╌ {safe_line(record.kind, 24)}: {safe_line(record.text, self._width)} (line {record.line})"
        place = now.place("device" if "device" in now.parties else "client")
        self._lines.append((self._margin(None, record.time) + now.note([("quiet", text)], place)).rstrip())

    def _found(self, record: FindingRecord) -> None:
        """A finding, boxed: why and what to do in it, advice once."""
        now = self._beneath(record.stream)
        style = record.severity if record.severity in MARKS else "note"
        room = min(now.room(), _BOX_WIDEST)
        lines: list[Piece] = [("strong", line) for line in wrapped(safe(record.title), room - 2)]
        if frames := frames_of(record):
            lines += [("quiet", line) for line in wrapped(frames, room - 2)]
        lines += [("", line) for text in record.detail.split("\n") if text for line in wrapped(safe(text), room - 2)]
        if record.fix and (self._options.verbose or record.id + record.fix not in self._advised):
            if len(self._advised) < limits.OPEN_WRITES_MAX:
                self._advised.add(record.id + record.fix)
            fix = wrapped(safe(record.fix.replace("\n", " ")), room - 4)
            lines += [("good", ("  " if at else "→ ") + line) for at, line in enumerate(fix)]
        title = f"{MARKS[style]} {safe_line(record.id, 8)} {safe_line(record.severity, 8)}"
        painted = [self._palette.paint(kind, line) if kind else line for kind, line in lines]
        box = now.boxed(painted, [cells(line) for _, line in lines], style, (style, title), room)
        self._lines += [(self._blank + line).rstrip() for line in box]

    def _write(self, record: WriteRecord) -> None:
        """Count the state, and tell it where no arrow does."""
        pin = self._tally.settled(record)
        state = record.state
        if state not in MARKS or self._options.quiet:
            return
        told = record.by in self._told if state in PROOFS else state != "lost"
        if told and not self._options.verbose:
            return
        if self._settled >= _SETTLED_SHOWN and not self._options.verbose:
            self._untold[state] = self._untold.get(state, 0) + 1
            return
        self._settled += 1
        by = f" by #{record.by}" if record.by is not None else ""
        words = [f"#{record.frame}", safe_line(pin, 16) if pin else "", state]
        self._beside(state, " ".join(word for word in words if word) + by)

    def _beside(self, state: str, text: str) -> None:
        line = self._now.note([(state, MARKS[state]), ("quiet", f" {text}")])
        self._lines.append((self._blank + line).rstrip())

    # --- where it is drawn ---

    def _stream_of(self, number: int) -> Parties:
        stream = self._streams.get(number)
        if stream is None:
            if len(self._streams) >= limits.STREAMS_MAX:
                oldest = next(iter(self._streams))
                del self._streams[oldest]
                self._headed.discard(oldest)
            stream = self._streams[number] = Parties()
        return stream

    def _beneath(self, number: int | None, *, waits: bool = False) -> Lifelines:
        """The lifelines for what is no frame; none before a frame told who talks, as headings name the parties.

        Args:
            number: The stream; None for what concerns none.
            waits: Wait for the first frame on a captured stream too; otherwise its addresses are reason to begin.
        """
        if number is None:
            return self._nowhere
        stream = self._stream_of(number)
        if number not in self._headed and not stream.seen and (waits or stream.log):
            return self._nowhere
        self._select(number, stream)
        return self._now

    def _select(self, number: int, stream: Parties, addresses: dict[str, str | None] | None = None) -> None:
        """What comes now belongs to this stream: a heading where something else stood before."""
        parties = stream.columns()
        if self._shown == (number, parties):
            return
        lifelines = self._drawn.get(parties)
        if lifelines is None:
            lifelines = Lifelines(parties, self._gutter, self._width - 1, self._palette)
            self._drawn[parties] = lifelines
        again = number in self._headed and self._shown[0] != number
        known = {party: address for party, address in (addresses or {}).items() if address}
        labels = [] if again else [
            safe_line(known.get(party) or stream.address(party), 80) for party in parties
        ]  # fmt: skip
        if self._shown[0] is not None:
            self._lines.append("")
        self._lines += lifelines.heading(f"stream {number}", labels)
        if stream.joined and number not in self._headed:
            self._lines.append(self._blank + lifelines.across("seen from the middle on", "quiet", ends=False))
        self._headed.add(number)
        self._now = lifelines
        self._shown = number, parties

    # --- the left margin ---

    @property
    def _blank(self) -> str:
        return " " * self._gutter

    def _clock(self, time: float | None) -> None:
        if self._first is None:
            self._first = time

    def _margin(self, number: int | str | None, time: float | None) -> str:
        """Number and seconds, as many decimals as there is room for."""
        self._clock(time)
        front = "" if number is None else f"{number:>{4 if self._gutter < 18 else 5}}"
        room = self._gutter - 2 - max(len(front), 4 if self._gutter < 18 else 5)
        clock = ""
        if time is not None and self._first is not None:
            clock = elapsed(time - self._first, max(room - 1, 0))
        front = front.ljust(4 if self._gutter < 18 else 5)
        text = fit(f"{front}{clock:>{max(room, 0)}}", self._gutter - 1)
        return self._palette.paint("quiet", text.ljust(self._gutter - 1)) + " "
