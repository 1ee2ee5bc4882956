"""The conversation as a Mermaid sequence diagram, as GitHub and many wikis draw it from a ```mermaid block.

Nothing that came from the wire is syntax: every character that Mermaid, its Markdown or HTML could take for some is
written as an entity code (`#59;`), and nothing but this module writes a line feed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TextIO

from blynkscope.analysis.records import (
    FindingRecord,
    FrameRecord,
    MessageRecord,
    Record,
    StreamRecord,
)
from blynkscope.protocol import limits
from blynkscope.protocol.statuses import SUCCESS
from blynkscope.render import proxied
from blynkscope.render.calls import failed, number_of, reading_of, title_of, took
from blynkscope.render.console import MARKS, wrapped
from blynkscope.render.handshakes import fact_of, in_words
from blynkscope.render.layering import layers_of
from blynkscope.render.notices import first_sentence
from blynkscope.render.options import Options
from blynkscope.render.parties import Parties
from blynkscope.render.safe import safe_line
from blynkscope.render.spans import duration

ARROWS_MAX = 200
"""Arrows of one diagram: more are no picture any more, and browsers take seconds to lay them out."""
TEXT_MAX = 45_000
"""Characters of one diagram. Mermaid refuses text of more than 50,000 (its `maxTextSize`)."""
_FOR_NOTES = 5_000
"""Characters that arrows leave for the findings, which often come last."""
PARTICIPANTS_MAX = 12
"""Lifelines of one diagram; those of further connections share the last ones."""
_SHARED = "_others"
_LABEL_MAX = 60
_CALL_MAX = 100
"""Characters of a call: a path is longer than a pin."""
_NOTED = frozenset({"tls-client-hello", "tls-server-hello", "tls-certificate", "tls-alert", "tls-keys", "ws-close"})
_NOTE_MAX = 300
_NOTE_LINE = 60
_CODED = re.compile(r"[^A-Za-z0-9 _.,:=/+()-]")
_WORDS = re.compile(r"\b(?:end|wrap|nowrap)\b|style|classDef", re.IGNORECASE | re.ASCII)
"""Words that Mermaid looks for wherever they stand."""
_PICTURES = frozenset("·…→←↩●○✗▲△▷✓\u203a")


def escaped(text: str) -> str:
    """Text that no Mermaid parser takes for anything but text, in one line.

    Characters other than letters, digits and harmless punctuation become `#NN;` (decimal code points), and so do the
    first letters of words that Mermaid knows. A colon means nothing behind the one that begins a message.
    """
    pieces = []
    at = 0
    # Words first: behind an entity's semicolon `end` would look like a word of its own.
    for match in _WORDS.finditer(text):
        pieces += [_CODED.sub(_code, text[at : match.start()]), f"#{ord(match[0][0])};", match[0][1:]]
        at = match.end()
    return "".join([*pieces, _CODED.sub(_code, text[at:])])


def _code(match: re.Match[str]) -> str:
    char = match[0]
    return char if char in _PICTURES else f"#{ord(char)};"


class Mermaid:
    """The output `mermaid`: plain Mermaid text, which begins with `sequenceDiagram`."""

    def __init__(self, stream: TextIO, options: Options) -> None:
        self._stream = stream
        self._options = options
        self._lines = ["sequenceDiagram"]
        self._written = 0
        self._arrows = 0
        self._left_out = {"frames": 0, "messages": 0, "findings": 0}
        self._names: dict[tuple[str, object], str] = {}
        self._streams: dict[int, Parties] = {}
        self._wrapped: set[int] = set()

    def write(self, records: Sequence[Record]) -> None:
        """Write a batch of records as arrows and notes."""
        for record in records:
            shown = self._options.redactor.apply(record)
            if isinstance(shown, FrameRecord):
                self._frame(shown)
            elif isinstance(shown, FindingRecord):
                self._finding(shown)
            elif isinstance(shown, StreamRecord):
                self._happened(shown)
            elif isinstance(shown, MessageRecord):
                self._message(shown)
        self._flush()

    def close(self) -> None:
        """Say what was left out."""
        parts = [f"{count} more {name}" for name, count in self._left_out.items() if count]
        if parts:
            over = self._over(None)
            self._add(f"Note over {over}: {escaped('and ' + ', '.join(parts) + ' that are not drawn')}")
        self._flush()

    def _flush(self) -> None:
        if self._lines:
            self._stream.write("\n".join([*self._lines, ""]))
            self._lines.clear()
        self._stream.flush()

    def _add(self, line: str) -> None:
        self._lines.append(line if line == "sequenceDiagram" else "    " + line)
        self._written += len(line) + 5

    def _fits(self, line: str, reserve: int) -> bool:
        return self._written + len(line) + 5 <= TEXT_MAX - reserve

    # --- records ---

    def _frame(self, record: FrameRecord) -> None:
        if self._arrows >= ARROWS_MAX:
            self._left_out["frames"] += 1
            return
        roles = self._streams.setdefault(record.stream, Parties()).sides(record)
        sender = self._participant(roles[0], record.src, record.stream)
        receiver = self._participant(roles[1], record.dst, record.stream)
        failed = record.status is not None and record.status != SUCCESS
        took = f" ({duration(record.rtt_ms)})" if record.rtt_ms is not None else ""
        mark = "✗ " if failed else ""
        state = f" {MARKS[record.write]}" if record.write in MARKS and record.sender != "server" else ""
        reading = "" if not record.text else f" {record.text[:_LABEL_MAX]}"
        text = safe_line(f"{mark}{record.name.removeprefix('MSG_')} {record.id}{reading}", _LABEL_MAX) + took + state
        arrow = "-->>" if record.answers is not None or record.status is not None else "->>"
        which = f"stream {record.stream}, " if _SHARED in sender + receiver else ""
        self._through(record.stream, layers_of(record.via, record.dialect))
        self._arrow(f"{sender}{arrow}{receiver}: {which}{escaped(text)}", "frames")

    def _arrow(self, line: str, what: str) -> None:
        if not self._fits(line, _FOR_NOTES):
            # Once the text is full no shorter arrow slips in behind a longer one that was left out.
            self._arrows = ARROWS_MAX
            self._left_out[what] += 1
            return
        self._arrows += 1
        self._add(line)

    def _message(self, record: MessageRecord) -> None:
        if self._arrows >= ARROWS_MAX:
            self._left_out["messages"] += 1
            return
        roles = self._streams.setdefault(record.stream, Parties()).sides_of_message(record)
        sender = self._participant(roles[0], record.src, record.stream)
        receiver = self._participant(roles[1], record.dst, record.stream)
        time = took(record)
        text = f"{'✗ ' if failed(record) else ''}{number_of(record.n)} {title_of(record)} "
        text = safe_line(text + reading_of(record, _CALL_MAX), _CALL_MAX) + (f" ({time})" if time else "")
        which = f"stream {record.stream}, " if _SHARED in sender + receiver else ""
        arrow = "-->>" if record.answers is not None else "->>"
        self._through(record.stream, layers_of(record.via, record.protocol))
        self._arrow(f"{sender}{arrow}{receiver}: {which}{escaped(text)}", "messages")

    def _through(self, stream: int, layers: str) -> None:
        """A note on layers before the first message that came through them."""
        if layers and stream not in self._wrapped and len(self._wrapped) < limits.STREAMS_MAX:
            self._wrapped.add(stream)
            self._note(stream, layers)

    def _note(self, stream: int, text: str) -> None:
        line = f"Note over {self._over(stream)}: " + "<br/>".join(escaped(piece) for piece in _pieces(text))
        if self._arrows < ARROWS_MAX and self._fits(line, _FOR_NOTES):
            self._arrows += 1
            self._add(line)

    def _finding(self, record: FindingRecord) -> None:
        mark = MARKS.get(record.severity, "▷")
        head = f"{mark} {safe_line(record.id, 8)} {safe_line(record.severity, 8)}: {safe_line(record.title, _NOTE_MAX)}"
        lines = [head, *([safe_line(record.detail, _NOTE_MAX)] if record.detail else [])]
        if record.fix:
            lines.append(f"→ {safe_line(first_sentence(record.fix), _NOTE_MAX)}")
        text = "<br/>".join(escaped(piece) for line in lines for piece in _pieces(line))
        over = self._over(record.stream)
        line = f"Note over {over}: {text}"
        if self._fits(line, _FOR_NOTES // 10):
            self._add(line)
        else:
            self._left_out["findings"] += 1

    def _happened(self, record: StreamRecord) -> None:
        if record.kind == "opened":
            if len(self._streams) < limits.STREAMS_MAX:
                self._streams.setdefault(record.stream, Parties()).opened(record)
            return
        if record.kind == "gap":
            line = f"Note over {self._over(record.stream)}: {record.bytes} bytes are not in the input"
            if self._arrows < ARROWS_MAX and self._fits(line, _FOR_NOTES):
                self._add(line)
        elif record.kind == "proxy":
            self._note(record.stream, safe_line(proxied.in_words(record).text, _NOTE_MAX))
        elif fact_of(record) in _NOTED or record.kind == "undecodable":
            told = in_words(record)
            if told is not None and not told.extra:
                self._note(record.stream, safe_line(told.text, _NOTE_MAX))
        elif record.kind == "closed":
            self._streams.pop(record.stream, None)

    # --- participants ---

    def _participant(self, role: str, address: str | None, stream: int) -> str:
        # A device is known by its connection, a server by its address.
        key: tuple[str, object] = (role, address) if role == "server" and address else (role, stream)
        name = self._names.get(key)
        if name is not None:
            return name
        if len(self._names) >= PARTICIPANTS_MAX:
            shared = (role, _SHARED)
            name = self._names.get(shared)
            if name is None:
                name = self._names[shared] = f"{role}{_SHARED}"
                self._add(f"participant {name} as more {role}s")
            return name
        name = self._names[key] = f"{role}{len(self._names) + 1}"
        label = (
            escaped(safe_line(address, _LABEL_MAX))
            if address
            else f"stream {stream}"
            if role != "server" and stream
            else ""
        )
        self._add(f"participant {name} as {role}" + (f"<br/>{label}" if label else ""))
        return name

    def _over(self, stream: int | None) -> str:
        """The participants that a note about a stream stands over."""
        if stream is not None:
            if stream not in self._streams:
                # The stream is over: its device is the one that was drawn for it.
                drawn = [name for (role, place), name in self._names.items() if place == stream and role != "server"]
                if drawn:
                    return drawn[-1]
            parties = self._streams.get(stream) or Parties()
            role = next(role for role in parties.columns() if role != "server")
            return self._participant(role, parties.address(role) or None, stream)
        names = list(self._names.values())
        if not names:
            return self._participant("client", None, 0)
        return names[0] if len(names) == 1 else f"{names[0]},{names[-1]}"


def _pieces(text: str) -> list[str]:
    """Text in lines of a note's width."""
    return wrapped(text, _NOTE_LINE)
