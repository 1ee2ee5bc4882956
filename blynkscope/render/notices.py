"""The lines between the rows: what happened to streams, lines of logs, findings."""

from __future__ import annotations

import re
from typing import Any

from blynkscope.analysis.records import FindingRecord, LinkRecord, LogRecord, StreamRecord, WriteRecord
from blynkscope.protocol import limits
from blynkscope.render import proxied
from blynkscope.render.calls import link_text
from blynkscope.render.console import MARKS, fit, wrapped
from blynkscope.render.handshakes import Offers, Told, in_words
from blynkscope.render.options import Options
from blynkscope.render.safe import safe, safe_line

_TEXT_WIDTH = 100
"""Columns of running text: wider lines are hard to read."""
_QUIET_KINDS = frozenset({"opened", "closed", "tls", "websocket"})
ENDINGS = {
    "fin": "closed",
    "reset": "reset",
    "reused": "gone: a new connection took its place",
    "evicted": "no longer followed",
    "refused": "refused",
    "unanswered": "never answered",
    "end": "still open when the input ended",
    "quit": "still open at the end",
}
_ERAS = {"legacy": "legacy server", "iot": "Blynk IoT"}
_FRAMES_SHOWN = 6
_VALUE_MAX = 200
_SENTENCE_END = re.compile(r"[.!?](?= [^ a-z])")
_LINE_NUMBER = re.compile(r"\b[Ll]ine ([0-9]{1,9})\b")
PRINTED = "user-print"
"""Kind of the log lines that a sketch printed: often hundreds, and rarely what is looked for."""


class Notices:
    """Composes the lines that are no rows.

    Args:
        options: Width, colour and the rest.
        lists: Name the cipher suites that a client offers with its hello, without being asked.
    """

    def __init__(self, options: Options, *, lists: bool = False) -> None:
        self._lists = lists or options.verbose > 0
        self._offers = Offers()
        self._width = options.width
        self._text = min(options.width, _TEXT_WIDTH)
        self._palette = options.palette
        self._quiet = options.quiet
        self._verbose = options.verbose
        self._advised: set[tuple[str, str]] = set()

    def stream(self, record: StreamRecord, clock: str) -> list[str]:
        """A stream record as one line, and more for lists and advice; none for what nobody asked for."""
        vain = self._offers.take(record)
        told = said(record)
        if told.extra and not self._verbose:
            return []
        if self._quiet and told.calm:
            return []
        mark = "──" if told.calm else "╌╌"
        text = f"{mark} stream {record.stream} {told.text}"
        style = "quiet" if told.calm else "warning"
        if told.calm and not told.wraps:
            lines = [self._palette.paint(style, f"      {clock} {fit(text, self._width - 17)}")]
        else:
            first, *rest = wrapped(text, self._width - 20)
            lines = [self._palette.paint(style, f"      {clock} {first}")]
            lines += [self._palette.paint(style, f"{'':20}{line}") for line in rest]
        lists = told.lists if self._lists else (vain,) if vain else ()
        for listed in lists:
            lines += [self._palette.paint("quiet", f"{'':20}{line}") for line in wrapped(listed, self._width - 20)]
        if told.advice and not self._quiet and self._new_advice(record.kind, told.advice):
            lines += self._indented(told.advice, 20, "quiet")
        return lines

    def layers(self, stream: int, layers: str, clock: str) -> str:
        """Through what the messages of a stream come, before the first of them."""
        return self._palette.paint("quiet", f"      {clock} {fit(f'── stream {stream} {layers}', self._width - 17)}")

    def link(self, record: LinkRecord) -> str:
        """A frame that a message caused, where the message's own line could not say so."""
        return self._palette.paint("quiet", fit(f"{'':17}→ {link_text(record)}", self._width))

    def log(self, record: LogRecord, clock: str) -> list[str]:
        """A line of a log that is no frame."""
        kind = safe_line(record.kind, 24)
        text = f"line {record.line} {kind}: {safe_line(record.text, self._width)}"
        return [self._palette.paint("quiet", f"      {clock} {fit('╌╌ ' + text, self._width - 17)}")]

    def write(self, record: WriteRecord) -> list[str]:
        """The final state of a write, for those who asked for more."""
        by = f" by #{record.by}" if record.by is not None else ""
        mark = MARKS.get(record.state, "·")
        style = record.state if record.state in MARKS else "quiet"
        return [self._palette.paint(style, f"{'':17}{mark} #{record.frame} is {safe_line(record.state, 20)}{by}")]

    def settled(self, record: WriteRecord, pin: str) -> str:
        """A write whose final state no row tells: `✗ #19 V6 lost`."""
        by = f" by #{record.by}" if record.by is not None else ""
        words = " ".join(word for word in (f"#{record.frame}", safe_line(pin, 16) if pin else "", record.state) if word)
        return self._beside(record.state, f"{words}{by}")

    def more_settled(self, state: str, count: int) -> str:
        """How many more writes ended alike."""
        return self._beside(state, f"and {count} more {state}")

    def _beside(self, state: str, text: str) -> str:
        return f"{'':17}{self._palette.paint(state, MARKS[state])} {self._palette.paint('quiet', text)}"

    def finding(self, record: FindingRecord) -> list[str]:
        """A finding: a line with mark, id and title; why and what to do below it."""
        paint = self._palette.paint
        style = record.severity if record.severity in MARKS else "note"
        head = f"{MARKS[style]} {safe_line(record.id, 8)} {safe_line(record.severity, 8)}"
        first, *rest = wrapped(safe(record.title), max(self._text - len(head) - 4, 20))
        frames = frames_of(record)
        lines = [f"  {paint(style, head)}  {paint('strong', first)}"]
        lines += [f"  {'':{len(head)}}  {paint('strong', line)}" for line in rest]
        if frames and len(head) + len((rest or [first])[-1]) + len(frames) + 6 <= self._text:
            lines[-1] += "  " + paint("quiet", frames)
        elif frames:
            lines += self._indented(frames, 4, "quiet")
        if record.detail:
            lines += self._indented(record.detail, 4, None)
        if record.fix and self._new_advice(record.id, record.fix):
            lines += self._indented(record.fix, 4, "good", "→ ")
        return lines

    def _new_advice(self, about: str, advice: str) -> bool:
        """Advice is given once; what a later finding of the same kind adds is its detail."""
        key = about, advice
        if self._verbose or key not in self._advised:
            if len(self._advised) < limits.OPEN_WRITES_MAX:
                self._advised.add(key)
            return True
        return False

    def _indented(self, text: str, indent: int, style: str | None, bullet: str = "") -> list[str]:
        lines: list[str] = []
        for paragraph in text.split("\n"):
            for line in wrapped(safe(paragraph), max(self._text - indent - len(bullet), 20)):
                start = bullet if not lines else " " * len(bullet)
                lines.append(" " * indent + (self._palette.paint(style, start + line) if style else start + line))
        return lines


def said(record: StreamRecord) -> Told:
    """A stream record in words: a fact of TLS or WebSocket, or something that happened to the stream."""
    if record.kind == "proxy":
        return proxied.in_words(record)
    told = in_words(record)
    if told is not None:
        return told
    detail = dict(record.detail)
    advice = safe_line(str(detail.pop("advice", "") or ""), 4 * _VALUE_MAX)
    text = happening(record, detail)
    return Told(text + _more(detail), record.kind in _QUIET_KINDS, advice=advice, wraps=record.kind == "closed")


def happening(record: StreamRecord, detail: dict[str, Any]) -> str:
    """What a stream record says, in words. Takes the facts that it uses out of `detail`."""
    kind = record.kind
    sender = "" if record.sender in {"", "unknown"} else f" from {safe_line(record.sender, 12)}"
    size = f"{record.bytes} byte{'' if record.bytes == 1 else 's'}"
    if kind == "opened":
        client, server = detail.pop("client", None) or detail.pop("src", None), detail.pop("server", None)
        server = server or detail.pop("dst", None)
        route = f" {_value(client)} → {_value(server)}" if client and server else ""
        joined = "" if detail.pop("handshake", True) else ", seen from the middle on"
        if detail.pop("log", False):
            return "told by a log" + (f", to {_value(server)}" if server else "")
        return f"opened{route}{joined}"
    if kind == "closed":
        how = detail.pop("how", None)
        by = detail.pop("by", None)
        words = ENDINGS.get(str(how), "closed" if how is None else f"closed ({_value(how)})")
        by = by or (record.sender if record.sender not in {"", "unknown"} else None)
        sent = detail.get("sent")
        if isinstance(sent, dict) and sent.keys() == {"client", "server"}:
            del detail["sent"]
            told = sent["client"] or sent["server"]
            size = f", {_value(sent['client'])} bytes there and {_value(sent['server'])} back" if told else ""
        else:
            size = ""
        size += _standing(detail.pop("session", None))
        return words + (f" by {_value(by)}" if by and how in {"fin", "reset"} else "") + size
    if kind == "gap":
        return f"{size}{sender} are not in the input"
    if kind == "resync":
        detail.pop("reason", None)
        detail.pop("offset", None)
        looks = detail.pop("looks_like", None)
        named = f", they look like {_value(looks)}" if looks and "unknown" not in str(looks) else ""
        return f"{size}{sender} skipped: they belong to no frame{named}"
    if kind == "malformed":
        detail.pop("offset", None)
        detail.pop("cmd", None)
        detail.pop("length", None)
        have, need = detail.pop("have", record.bytes), detail.pop("need", None)
        name, reason = detail.pop("name", None), detail.pop("reason", None)
        there = f"{_value(have)} of {_value(need)} bytes" if need else f"{_value(have)} bytes"
        return f"{_value(name) if name else 'frame'}{sender} is not whole ({there})" + (
            f": {_value(reason)}" if reason else ""
        )
    if kind == "foreign":
        protocol = detail.pop("protocol", None)
        label = detail.pop("label", None) or protocol
        return f"{size}{sender} are no Blynk" + (f": {_value(label)}" if label else "")
    if kind == "tls":
        for name in ("protocol", "content_type", "handshake", "record_length", "level", "alert", "alert_name"):
            detail.pop(name, None)
        return f"{_value(detail.pop('label', None) or 'TLS')}{sender}, not opened"
    return f"{safe_line(kind, 20)}{sender}"


def _standing(session: Any) -> str:
    """How far the conversation got, with whom: `, online, Blynk IoT`."""
    if not isinstance(session, dict):
        return ""
    state, era = session.get("state"), session.get("era")
    said = f", {safe_line(str(state), 16)}" if state else ""
    name = _ERAS.get(str(era.get("era"))) if isinstance(era, dict) else None
    return said + (f", {name}" if name else "")


def _more(detail: dict[str, Any]) -> str:
    """The facts that are left, as `name value`."""
    shown = [
        f"{safe_line(str(name), 40).replace('_', ' ')} {_value(value)}"
        for name, value in detail.items()
        if value not in (None, "", [], {}, ())
    ]
    return " · " + " · ".join(shown) if shown else ""


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return safe_line(", ".join(f"{name} {item}" for name, item in list(value.items())[:20]), _VALUE_MAX)
    if isinstance(value, list | tuple):
        return safe_line(", ".join(str(item) for item in value[:20]), _VALUE_MAX)
    return safe_line(str(value), _VALUE_MAX)


def first_sentence(text: str) -> str:
    """The first sentence of advice."""
    text = text.replace("\n", " ").strip()
    end = _SENTENCE_END.search(text)
    return text[: end.end()] if end else text


def line_of(detail: str) -> int | None:
    """The line of a log that a finding's detail names first; None where it names none."""
    found = _LINE_NUMBER.search(detail)
    return int(found[1]) if found else None


def place_of(record: FindingRecord) -> str:
    """Where to look, in few words: `frames #3, #5`, or `line 12`; "" where the finding does not tell."""
    line = None if record.frames else line_of(record.detail)
    return f"line {line}" if line is not None else frames_of(record)


def frames_of(record: FindingRecord) -> str:
    """`frames #3, #5, …`: where to look."""
    if not record.frames:
        return ""
    shown = ", ".join(f"#{number}" for number in record.frames[:_FRAMES_SHOWN])
    more = max(record.count, len(record.frames)) - len(record.frames[:_FRAMES_SHOWN])
    word = "frame" if len(record.frames) == 1 and more <= 0 else "frames"
    return f"{word} {shown}" + (f" and {more} more" if more > 0 else "")
