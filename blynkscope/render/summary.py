"""The closing summary of a run, and what is counted for it along the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from blynkscope.analysis.pins import BAD, LADDER
from blynkscope.analysis.records import (
    FindingRecord,
    FrameRecord,
    MessageRecord,
    StreamRecord,
    SummaryRecord,
    WriteRecord,
)
from blynkscope.protocol import limits
from blynkscope.render.calls import failed
from blynkscope.render.console import MARKS, cells, fit, padded, wrapped
from blynkscope.render.handshakes import OPENED, fact_of
from blynkscope.render.notices import first_sentence, place_of
from blynkscope.render.options import Options
from blynkscope.render.safe import safe_line

STRENGTH = (*LADDER, *BAD)
"""States of a write: up to `confirmed` each proves more than the one before; the last three are failures."""
_SEVERITIES = ("error", "warning", "note")
_PINS_SHOWN = 12
_FINDINGS_SHOWN = 12
_FINDINGS_MAX = 256
_ADVISED = frozenset({"error", "warning"})
_TITLE_MAX = 400
_OPEN_MAX = 8 * limits.OPEN_WRITES_MAX
"""Writes of one generation whose states may still change; two generations are kept."""
_LABEL = 10
_INDENT = _LABEL + 2
_WIDEST = 120
_ONE_CLOCK = 366 * 86400
"""Seconds that one run may last; inputs farther apart than that were not stamped by one clock."""
_LONGEST_STATE = len("✗ 100000 contradicted")
_PROTOCOLS = {
    "tls": "TLS", "http": "HTTP", "websocket": "WebSocket", "mqtt": "MQTT", "ssh": "SSH", "particle": "Particle",
    "text": "plain text", "unknown": "an unknown protocol",
}  # fmt: skip
_MESSAGES = {"http": ("HTTP call", "HTTP calls"), "mqtt": ("MQTT packet", "MQTT packets")}
_PROTOCOLS_MAX = 16
_LOST = {
    "captures_damaged": ("capture damaged", "captures damaged"),
    "bytes_missing": ("byte missing", "bytes missing"),
    "bytes_skipped": ("byte skipped", "bytes skipped"),
    "frames_incomplete": ("frame incomplete", "frames incomplete"),
    "packets_dropped_kernel": ("packet dropped by the kernel", "packets dropped by the kernel"),
    "packets_dropped_interface": ("packet dropped by the interface", "packets dropped by the interface"),
    "packets_dropped_queue": ("packet dropped before it was read", "packets dropped before they were read"),
    "packets_unread": ("packet not read before the end", "packets not read before the end"),
    "packets_broken": ("packet broken", "packets broken"),
    "packets_encrypted": ("packet encrypted", "packets encrypted"),
    "packets_unknown_link": ("packet of an unknown link type", "packets of unknown link types"),
    "fragments_incomplete": ("incomplete set of IP fragments", "incomplete sets of IP fragments"),
    "segments_conflicting": ("TCP segment contradicting an earlier one", "TCP segments contradicting earlier ones"),
    "segments_after_close": ("TCP segment after its stream was closed", "TCP segments after their streams were closed"),
    "streams_evicted": ("stream no longer followed", "streams no longer followed"),
    "log_lines_unread": ("log line unread", "log lines unread"),
    "bytes_beyond_limit": ("byte beyond the limit", "bytes beyond the limit"),
}
"""What the counts of a summary's `lost` mean, for one and for several."""

Paint = Callable[[str, str], str]


class Tally:
    """Counts while records go by; all of it is bounded."""

    def __init__(self) -> None:
        self.summary: SummaryRecord | None = None
        self.unshown = 0
        """Lines of a log that were read and not shown."""
        self._frames = 0
        self._streams: set[int] = set()
        self._seen: set[int] = set()
        """Streams of which anything was shown."""
        self._first: float | None = None
        self._last = 0.0
        self._pins: dict[str, dict[str, int]] = {}
        # Two generations, so that making room costs nothing: the older one is dropped when the younger one is full.
        self._open: dict[int, tuple[str, str]] = {}
        self._older: dict[int, tuple[str, str]] = {}
        self._kinds: dict[tuple[str, str], tuple[str, str]] = {}
        self._findings: dict[tuple[str, str], list[int]] = {}
        self._advice: dict[tuple[str, str], tuple[str, str]] = {}
        """Where to look and the first thing to do, of each finding's first record."""
        self._severities: dict[str, str] = {}
        self._foreign: dict[str, set[int]] = {}
        self._read: set[int] = set()
        """Streams in which something inside another protocol was read."""
        self._messages: dict[str, list[int]] = {}
        """By protocol: how many, and how many of them failed."""

    def moment(self, time: float | None) -> None:
        """Something happened at this time."""
        if time is not None:
            if self._first is None:
                self._first = self._last = time
            elif time > self._last:
                self._last = time
            elif time < self._first:
                self._first = time

    def stream(self, record: StreamRecord) -> None:
        """Something happened to a stream; what is no Blynk is counted by its protocol."""
        self.moment(record.time)
        self._see(record.stream)
        self.opened(record)
        if record.kind in {"tls", "foreign"}:
            name = "tls" if fact_of(record) else str(record.detail.get("protocol", "unknown"))[:16]
            streams = self._foreign.setdefault(name, set())
            if len(streams) < limits.STREAMS_MAX:
                streams.add(record.stream)

    def opened(self, record: StreamRecord) -> None:
        """Keys that open a stream, or TLS of a proxy's own: it is no longer one that is only named."""
        fact = fact_of(record)
        keys = fact == "tls-keys" and record.detail.get("state") in OPENED
        # A proxy tells itself what became of the handshake; there is nothing to open where it failed.
        own = fact == "proxy-handshake-failed" or (fact == "tls-client-hello" and "agreed" in record.detail)
        if (keys or own or fact == "ws-upgraded") and len(self._read) < limits.STREAMS_MAX:
            self._read.add(record.stream)

    def message(self, record: MessageRecord) -> None:
        """Count a message of another protocol."""
        self.moment(record.time)
        self._see(record.stream)
        if record.protocol in self._messages or len(self._messages) < _PROTOCOLS_MAX:
            counts = self._messages.setdefault(record.protocol, [0, 0])
            counts[0] += 1
            counts[1] += failed(record)
        if len(self._read) < limits.STREAMS_MAX:
            self._read.add(record.stream)

    def _see(self, stream: int) -> None:
        if len(self._seen) < limits.STREAMS_MAX:
            self._seen.add(stream)

    def frame(self, record: FrameRecord) -> None:
        """Count a frame, and the pin that it writes."""
        self._frames += 1
        time = record.time
        if time is not None:
            if self._first is None:
                self._first = self._last = time
            elif time > self._last:
                self._last = time
            elif time < self._first:
                self._first = time
        if len(self._streams) < limits.STREAMS_MAX:
            self._streams.add(record.stream)
        if record.write is not None and record.sender != "server" and record.fields:
            self._written(record)

    def _written(self, record: FrameRecord) -> None:
        pins = (record.fields or {}).get("pins") or [{}]
        pin = str(pins[0].get("pin", "?"))[:16]
        state = str(record.write)
        if pin not in self._pins and len(self._pins) >= limits.OPEN_WRITES_MAX:
            pin = "other pins"
        states = self._pins.setdefault(pin, {})
        states[state] = states.get(state, 0) + 1
        if len(self._open) >= _OPEN_MAX:
            self._older, self._open = self._open, {}
            self._kinds.clear()
        # Thousands of writes share a few pins and states, so they share their pairs.
        kind = pin, state
        self._open[record.n] = self._kinds.setdefault(kind, kind)

    def settled(self, record: WriteRecord) -> str:
        """A write turned out to have another state than its row said. Returns its pin, or "" where that is unknown."""
        was = self._open.pop(record.frame, None) or self._older.pop(record.frame, None)
        if was is None:
            return ""
        pin, state = was
        states = self._pins[pin]
        states[state] -= 1
        states[record.state] = states.get(record.state, 0) + 1
        return pin

    def finding(self, record: FindingRecord) -> None:
        """Count a finding by its id and title."""
        self._severities[record.id] = record.severity
        key = record.id, record.title
        if key in self._findings or len(self._findings) < _FINDINGS_MAX:
            counts = self._findings.setdefault(key, [0, 0])
            if not counts[0] and record.severity in _ADVISED:
                self._advice[key] = place_of(record), safe_line(first_sentence(record.fix), _TITLE_MAX)
            counts[0] += 1
            counts[1] += record.count

    def lines(self, options: Options, *, advice: bool = True) -> list[str]:
        """The summary, ready to print.

        Args:
            options: Width and colour.
            advice: Say below each warning and error where to look and what to do first.
        """
        paint = options.palette.paint
        width = min(options.width, _WIDEST)
        lines = ["", paint("quiet", "── summary " + "─" * (width - 11)), *self._totals(paint, width)]
        if self.unshown:
            text = f"{self.unshown} other line{'' if self.unshown == 1 else 's'} (-v shows {_them(self.unshown)})"
            lines.append(_labelled("log", paint("quiet", text)))
        lines += self._finding_lines(paint, width, self._advice if advice else {})
        lines += self._write_lines(paint, width)
        # A stream whose frames are shown may have been opened by other means than those that a record tells of.
        foreign = {name: streams - self._read - self._streams for name, streams in self._foreign.items()}
        if any(foreign.values()):
            named = [
                f"{len(streams)} of {_PROTOCOLS.get(name, safe_line(name, 16))}"
                for name, streams in sorted(foreign.items())
                if streams
            ]
            text = f"{', '.join(named)}: named above, not opened"
            lines += _labelled_lines("streams", [paint("warning", line) for line in wrapped(text, width - _INDENT)])
        lost = self.summary.lost if self.summary else {}
        if any(lost.values()):
            counts = [("warning", _lost(name, count)) for name, count in lost.items() if count]
            lines += _labelled_lines("lost", _flowed(paint, counts, " · ", width - _INDENT))
        if self._findings:
            order = sorted(self._findings, key=lambda key: (_rank(self._severities[key[0]]), key[0]))
            lines.append(_labelled("more", paint("quiet", f"blynkscope explain {safe_line(order[0][0], 12)}")))
        return lines

    def _totals(self, paint: Paint, width: int) -> list[str]:
        seen = len(self._seen | self._streams)
        frames, streams = f"{self._frames}", f"{seen}"
        # The time is that of what is shown, so the counts are too; the run's are told beside them.
        if self.summary is not None:
            frames += f" of {self.summary.frames}" if self.summary.frames > self._frames else ""
            if seen >= limits.STREAMS_MAX:
                streams = f"{self.summary.streams}"
            elif self.summary.streams > seen:
                streams += f" of {self.summary.streams}"
        text = f"{frames} in {streams} stream{'' if streams == '1' else 's'}"
        if self._first is not None and self._last > self._first:
            seconds = self._last - self._first
            text += f" over {span(seconds)}" if seconds <= _ONE_CLOCK else ", several clocks"
        lines = _labelled_lines("frames", [paint("strong", line) for line in wrapped(text, width - _INDENT)])
        parts = []
        for name, (count, bad) in sorted(self._messages.items()):
            what = _MESSAGES.get(name) or (f"{safe_line(name, 16)} message", f"{safe_line(name, 16)} messages")
            parts.append(("strong", f"{count} {what[count != 1]}" + (f", {bad} failed" if bad else "")))
        return lines + _labelled_lines("others", _flowed(paint, parts, " · ", width - _INDENT))

    def _finding_lines(self, paint: Paint, width: int, advice: Mapping[tuple[str, str], tuple[str, str]]) -> list[str]:
        counts = dict.fromkeys(_SEVERITIES, 0)
        for (name, _), (times, _) in self._findings.items():
            severity = self._severities[name]
            counts[severity] = counts.get(severity, 0) + times
        if self.summary:
            counts |= self.summary.findings
        shown = [
            (severity, f"{MARKS[severity]} {counts[severity]} {severity}{'' if counts[severity] == 1 else 's'}")
            for severity in _SEVERITIES
            if counts.get(severity)
        ] or [("good", "none")]
        lines = _labelled_lines("findings", _flowed(paint, shown, " · ", width - _INDENT))
        order = sorted(self._findings.items(), key=lambda item: (_rank(self._severities[item[0][0]]), item[0]))
        for (name, title), (times, _) in order[:_FINDINGS_SHOWN]:
            severity = self._severities[name] if self._severities[name] in MARKS else "note"
            repeated = f" ({times} times)" if times > 1 else ""
            head = f"{MARKS[severity]} {safe_line(name, 8)}"
            margin = len(head) + 2
            first, *rest = wrapped(safe_line(title.rstrip(), _TITLE_MAX) + repeated, width - _INDENT - margin) or [""]
            lines.append(_labelled("", f"{paint(severity, head)}  {first}"))
            lines += [_labelled("", " " * margin + line) for line in rest]
            place, fix = advice.get((name, title), ("", ""))
            room = width - _INDENT - margin
            if place:
                lines.append(_labelled("", " " * margin + paint("quiet", fit(place, room))))
            if fix:
                lines.append(_labelled("", " " * margin + paint("good", fit(f"→ {fix}", room))))
        if len(order) > _FINDINGS_SHOWN:
            lines.append(_labelled("", paint("quiet", f"and {len(order) - _FINDINGS_SHOWN} more")))
        elsewhere = sum(counts.values()) - sum(times for times, _ in self._findings.values())
        if elsewhere > 0 and len(self._findings) < _FINDINGS_MAX:
            text = f"{elsewhere} about streams that are not shown"
            lines += [_labelled("", paint("quiet", line)) for line in wrapped(text, width - _INDENT)]
        return lines

    def _write_lines(self, paint: Paint, width: int) -> list[str]:
        lines: list[str] = []
        pins = sorted(self._pins.items(), key=lambda item: (len(item[0]), item[0]))
        widest = max((cells(safe_line(pin, 16)) for pin, _ in pins[:_PINS_SHOWN]), default=0)
        for pin, states in pins[:_PINS_SHOWN]:
            total = sum(states.values())
            parts = [(state, f"{MARKS[state]} {states[state]} {state}") for state in STRENGTH if states.get(state)]
            head = f"{padded(safe_line(pin, 16), widest)}  {total:>5} write{' ' if total == 1 else 's'}  "
            margin = cells(head)
            room = width - _INDENT - margin
            if room < _LONGEST_STATE:
                # Very narrow: the states get lines of their own.
                first, margin = "", 2
                rest = _flowed(paint, parts, "  ", width - _INDENT - margin)
            else:
                first, *rest = _flowed(paint, parts, "  ", room) or [""]
            lines.append(_labelled("" if lines else "writes", (head + first).rstrip()))
            lines += [_labelled("", " " * margin + line) for line in rest]
        if len(pins) > _PINS_SHOWN:
            lines.append(_labelled("", paint("quiet", f"and {len(pins) - _PINS_SHOWN} more pins")))
        if any(states.get(state) for _, states in pins for state in STRENGTH[:3]):
            note = "○ not acknowledged: Blynk answers no good write (blynkscope explain BS301)"
            lines += [_labelled("", paint("quiet", line)) for line in wrapped(note, width - _INDENT)]
        return lines


def _labelled(label: str, text: str) -> str:
    return f"  {label:<{_LABEL}}{text}"


def _labelled_lines(label: str, texts: list[str]) -> list[str]:
    """Lines of which the first has the label."""
    return [_labelled("" if at else label, text) for at, text in enumerate(texts)]


def _flowed(paint: Paint, parts: list[tuple[str, str]], between: str, room: int) -> list[str]:
    """Styled parts in lines of at most `room` columns. A part is broken only where it does not fit a line alone."""
    lines: list[str] = []
    taken = room
    for style, text in parts:
        size = cells(text)
        if taken + len(between) + size <= room:
            lines[-1] += between + paint(style, text)
            taken += len(between) + size
            continue
        pieces = wrapped(text, max(room, 1))
        lines += [paint(style, piece) for piece in pieces]
        taken = cells(pieces[-1]) if pieces else room
    return lines


def _lost(name: str, count: int) -> str:
    """A count of what was lost, in words."""
    one, several = _LOST.get(name) or (safe_line(name, 60).replace("_", " "),) * 2
    return f"{count} {one if count == 1 else several}"


def _them(count: int) -> str:
    return "it" if count == 1 else "them"


def _rank(severity: str) -> int:
    return _SEVERITIES.index(severity) if severity in _SEVERITIES else len(_SEVERITIES)


def span(seconds: float) -> str:
    """A duration for people: `63.2 s`, `12 min 5 s`, `3 d 4 h`."""
    if seconds < 120:
        return f"{seconds:.3g} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
