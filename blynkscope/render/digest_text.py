"""The words and tables of the output `summary`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from blynkscope.analysis.records import FindingRecord
from blynkscope.protocol import limits
from blynkscope.render.console import MARKS, cells, fit, padded, wrapped
from blynkscope.render.notices import ENDINGS
from blynkscope.render.options import Options
from blynkscope.render.parties import Parties
from blynkscope.render.safe import safe, safe_line
from blynkscope.render.spans import duration as milliseconds
from blynkscope.render.sparkline import sparkline
from blynkscope.render.summary import span

_WIDEST = 120
_LABEL = 10
_INDENT = _LABEL + 2
_ROWS_SHOWN = 12
"""Rows of a table; the rest is counted."""
_NAME_LEAST = 8
_BARS_WIDEST = 72
_TEXT_MAX = 600
_FIX_MAX = 1000
_ADVISED = frozenset({"error", "warning"})
Calls = dict[tuple[str, str], list[int]]
"""Name and kind of messages → how many, and how many of them failed."""
_STATES = {"online": "good", "rejected": "error", "redirected": "warning"}


@dataclass(frozen=True, slots=True)
class StreamText:
    """What is told of a stream.

    Args:
        number: Its number.
        parties: Who took part.
        closed: The detail of its `closed` record, without secrets; None while it is open.
        frames: How many were shown.
        seconds: From its beginning to its end.
        findings: Different findings and how often each was raised.
        raised: All findings.
        layers: Through what its messages came; "" for TCP alone.
        handshake: Labels and texts about its TLS and its WebSocket.
        calls: Messages of other protocols, by name and kind: how many, and how many of them failed.
    """

    number: int
    parties: Parties
    closed: dict[str, Any] | None
    frames: int
    seconds: float | None
    findings: Sequence[tuple[FindingRecord, int]]
    raised: int
    layers: str = ""
    handshake: Sequence[tuple[str, str]] = ()
    calls: Mapping[tuple[str, str], Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceText:
    """What is told of a device: its number, connections (with the first ones' numbers), facts, and sums over them."""

    number: int
    connections: int
    streams: tuple[int, ...]
    facts: Mapping[str, str]
    states: Mapping[str, int]
    frames: int
    seconds: float
    unconfirmed: int
    findings: int


class Words:
    """Composes the sections for one width."""

    def __init__(self, options: Options) -> None:
        self._width = min(options.width, _WIDEST)
        self._paint = options.palette.paint
        self._advised: set[tuple[str, str]] = set()

    # --- sections ---

    def stream(self, text: StreamText) -> list[str]:
        """The section of a stream."""
        closed = text.closed or {}
        session: dict[str, Any] = closed.get("session") or {}
        state = safe_line(str(session.get("state") or ""), 24)
        device = session.get("device")
        title = f"stream {text.number}" + (f" · device {device}" if isinstance(device, int) else "")
        lines = self._heading(title, state, _STATES.get(state, "warning"))
        parties = text.parties
        if parties.client or parties.server:
            route = f"{parties.client or 'unknown'} → {parties.server or 'unknown'}"
            host = safe_line(str(session.get("host") or ""), 80)
            lines += self._said("route", route + (f" ({host})" if host and host not in route else ""))
        lines += self._said("client", self._client(session, parties))
        lines += self._said("layers", text.layers)
        for label, said in text.handshake:
            lines += self._said(label, said) if label else self._continued(said)
        lines += self._said("time", self._time(text, session, closed))
        lines += self._said("era", self._era(session.get("era") or {}))
        client = next((party for party in ("device", "app") if party in parties.seen), "client")
        lines += self._rate(session.get("rate") or {}, f" by the {client}")
        lines += self._messages(session, client, parties)
        lines += self._said("calls", self._calls(text.calls))
        lines += self._said("heartbeat", self._heartbeat(session.get("heartbeat") or {}))
        lines += self._pins(session.get("pins") or ())
        lines += self._findings(text.findings, text.raised)
        return lines

    def devices(self, texts: Sequence[DeviceText]) -> list[str]:
        """The section of the devices: a line or two each."""
        lines = self._heading("devices", "", "")
        for text in texts:
            named = " ".join(safe_line(text.facts[name], 40) for name in ("board", "library") if name in text.facts)
            states = ", ".join(
                f"{count} × {safe_line(state, 24)}" if count > 1 else safe_line(state, 24)  # noqa: RUF001
                for state, count in sorted(text.states.items(), key=lambda item: -item[1])
            )
            numbers = ", ".join(map(str, text.streams)) + (", …" if text.connections > len(text.streams) else "")
            word = "stream" if text.connections == 1 else "streams"
            facts = [named, f"{safe_line(text.facts['era'], 16)} era" if "era" in text.facts else ""]
            facts += [f"{text.connections} {word} ({numbers}): {states}", f"{span(text.seconds)} in all"]
            facts.append(_count(text.frames, "frame"))
            facts.append(f"{_count(text.unconfirmed, 'write')} unconfirmed" if text.unconfirmed else "")
            facts.append(_count(text.findings, "finding") if text.findings else "")
            lines += self._said(f"device {text.number}", " · ".join(fact for fact in facts if fact))
        return lines

    def run(
        self, rate: Mapping[str, Any], names: Mapping[str, int], findings: Sequence[tuple[FindingRecord, int]]
    ) -> list[str]:
        """The section of the whole run, before the closing summary."""
        if not names and not findings:
            return []
        lines = self._heading("run", "", "")
        lines += self._rate(rate, "")
        if names:
            order = sorted(names.items(), key=lambda item: (-item[1], item[0]))
            shown = [f"{_name(name)} {count}" for name, count in order[:_ROWS_SHOWN]]
            more = [f"and {len(order) - _ROWS_SHOWN} more names"] if len(order) > _ROWS_SHOWN else []
            lines += self._said("messages", " · ".join([*shown, *more]))
        lines += self._findings(findings, sum(times for _, times in findings))
        return lines

    def aside(self, text: str) -> list[str]:
        """A line about what is not shown."""
        return ["", *(self._paint("quiet", "  " + line) for line in wrapped(text, self._width - 2))]

    def without_frames(self, kinds: Sequence[tuple[str, int, Sequence[int]]]) -> list[str]:
        """Streams without Blynk frames: their protocol, how many, and the first ones' numbers."""
        parts = [
            f"{count} of {name} ({', '.join(map(str, numbers))}{', …' if count > len(numbers) else ''})"
            for name, count, numbers in kinds
        ]
        return self.aside(f"without a Blynk frame: {', '.join(parts)}")

    # --- lines of a stream ---

    def _client(self, session: Mapping[str, Any], parties: Parties) -> str:
        role = next((party for party in ("device", "app") if party in parties.seen), "")
        facts = [safe_line(str(session[name]), 60) for name in ("board", "library") if session.get(name)]
        if session.get("library"):
            facts[-1] = f"library {facts[-1]}"
        direct = "linked directly, without a server" if session.get("mode") == "direct" else ""
        return " · ".join(fact for fact in (role, *facts, direct) if fact)

    def _time(self, text: StreamText, session: Mapping[str, Any], closed: Mapping[str, Any]) -> str:
        seconds = session.get("duration") if session else text.seconds
        sums = {side: sum(counts.values()) for side, counts in (session.get("frames") or {}).items()}
        total = sum(sums.values()) if sums else text.frames
        facts = [span(seconds) if seconds is not None else "", _count(total, "frame")]
        if sums:
            facts[-1] += f" ({sums.get('client', 0)} there, {sums.get('server', 0)} back)"
        how = str(closed.get("how") or "")
        by = safe_line(str(closed.get("by") or ""), 12)
        facts.append(ENDINGS.get(how, safe_line(how, 40)) + (f" by {by}" if by and how in {"fin", "reset"} else ""))
        return " · ".join(fact for fact in facts if fact)

    def _era(self, era: Mapping[str, Any]) -> str:
        evidence = "; ".join(safe_line(str(item), 120) for item in (era.get("evidence") or ())[:_ROWS_SHOWN])
        name = {"legacy": "legacy", "iot": "Blynk IoT"}.get(str(era.get("era")), "")
        return f"{name}: {evidence}" if name and evidence else name or evidence

    def _rate(self, rate: Mapping[str, Any], whose: str) -> list[str]:
        if not rate.get("peak"):
            return []
        mean = rate.get("mean")
        peak = f"at most {rate['peak']} in a second"
        text = f"{mean:.2f} messages/s{whose} · {peak}" if mean is not None else peak + whose
        lines = self._said("rate", text)
        counts = rate.get("per_second") or []
        if len(counts) > 1:
            # The unit stands behind the bars.
            room = min(self._width - _INDENT - 14, _BARS_WIDEST)
            bars, step = sparkline(counts, room)
            each = step * (rate.get("bucket") or 1)
            lines.append(f"{'':{_INDENT}}{self._paint('key', bars)} {self._paint('quiet', f' {each} s each')}")
        return lines

    def _messages(self, session: Mapping[str, Any], client: str, parties: Parties) -> list[str]:
        sides: dict[str, dict[str, int]] = session.get("frames") or {}
        latency: dict[str, dict[str, Any]] = session.get("latency") or {}
        there, back = sides.get("client") or {}, sides.get("server") or {}
        names = sorted({*there, *back, *latency}, key=lambda name: (-there.get(name, 0) - back.get(name, 0), name))
        if not names:
            return []
        other = next((party for party in ("server", "app") if party in parties.seen and party != client), "server")
        wide = max(min(max(cells(_name(name)) for name in names[:_ROWS_SHOWN]), self._width - 46), _NAME_LEAST)
        heads = "".join(f"{head:>{width}}" for head, width in _columns(client, other))
        lines = [f"  {'messages':<{wide + 2}}{self._paint('quiet', heads)}"]
        for name in names[:_ROWS_SHOWN]:
            took = latency.get(name) or {}
            times = [milliseconds(took[key]) if took.get(key) is not None else "" for key in ("p50", "p95", "max")]
            texts = [str(side.get(name, 0) or "·") for side in (there, back)] + times
            row = "".join(f"{text:>{width}}" for text, (_, width) in zip(texts, _columns(client, other), strict=True))
            lines.append(f"    {padded(_name(name), wide)}{row}".rstrip())
        if len(names) > _ROWS_SHOWN:
            lines.append("    " + self._paint("quiet", f"and {len(names) - _ROWS_SHOWN} more names"))
        return lines

    def _heartbeat(self, beat: Mapping[str, Any]) -> str:
        facts = []
        if beat.get("announced") is not None:
            facts.append(f"{_number(beat['announced'])} s announced")
        if beat.get("observed") is not None:
            jitter = f" ± {_number(beat['jitter'])} s" if beat.get("jitter") is not None else ""
            facts.append(f"{_number(beat['observed'])} s{jitter} observed")
        if beat.get("pings"):
            facts.append(_count(int(beat["pings"]), "ping"))
        if beat.get("idle_limit") is not None:
            limit_of = f" ({safe_line(str(beat['limit_of']), 100)})" if beat.get("limit_of") else ""
            facts.append(f"the server's limit is {_number(beat['idle_limit'])} s of silence{limit_of}")
        return " · ".join(facts)

    def _pins(self, pins: Sequence[Mapping[str, Any]]) -> list[str]:
        if not pins:
            return []
        heads = f"{'writes':>8}{'unconfirmed':>13}  last value"
        lines = [f"  {'pins':<{_LABEL}}{self._paint('quiet', heads)}"]
        for pin in pins[:_ROWS_SHOWN]:
            name = padded(safe_line(str(pin.get("pin") or "?"), 16), _LABEL - 2)
            open_ = int(pin.get("unconfirmed") or 0)
            value = fit(safe_line(str(pin.get("value") or ""), 200), self._width - 46)
            by = safe_line(str(pin.get("by") or ""), 12)
            counted = f"{open_:>13}" if open_ else f"{'·':>13}"
            mark = self._paint("sent", counted) if open_ else self._paint("quiet", counted)
            end = "  " + value + self._paint("quiet", f" by {by}" if by else "")
            lines.append(f"    {name}{int(pin.get('writes') or 0):>8}{mark}{end}".rstrip())
        if len(pins) > _ROWS_SHOWN:
            lines.append("    " + self._paint("quiet", f"and {len(pins) - _ROWS_SHOWN} more pins"))
        return lines

    def _findings(self, findings: Sequence[tuple[FindingRecord, int]], raised: int) -> list[str]:
        order = sorted(findings, key=lambda item: (_rank(item[0].severity), item[0].id))
        lines: list[str] = []
        for record, times in order:
            style = record.severity if record.severity in MARKS else "note"
            head = f"{MARKS[style]} {safe_line(record.id, 8)}"
            margin = len(head) + 2
            title = safe_line(record.title, _TEXT_MAX) + (f" ({times} times)" if times > 1 else "")
            first, *rest = wrapped(title, self._width - _INDENT - margin)
            label = "" if lines else "findings"
            lines.append(f"  {label:<{_LABEL}}{self._paint(style, head)}  {self._paint('strong', first)}")
            rest = [self._paint("strong", line) for line in rest]
            detail = safe(record.detail[:_TEXT_MAX].replace("\n", " "))
            rest += [self._paint("quiet", line) for line in wrapped(detail, self._width - _INDENT - margin) if line]
            lines += [" " * (_INDENT + margin) + line for line in rest]
            lines += [" " * (_INDENT + margin) + line for line in self._fix(record, self._width - _INDENT - margin)]
        told = sum(times for _, times in findings)
        if raised > told:
            lines.append(" " * _INDENT + self._paint("quiet", f"and {raised - told} more"))
        return lines

    def _fix(self, record: FindingRecord, room: int) -> list[str]:
        """What to do about a warning or an error, once."""
        key = record.id, record.fix
        if record.severity not in _ADVISED or not record.fix or key in self._advised:
            return []
        if len(self._advised) < limits.OPEN_WRITES_MAX:
            self._advised.add(key)
        fix = wrapped(safe(record.fix[:_FIX_MAX].replace("\n", " ")), room - 2)
        return [self._paint("good", ("  " if at else "→ ") + line) for at, line in enumerate(fix)]

    # --- pieces ---

    def _heading(self, title: str, state: str, style: str) -> list[str]:
        paint = self._paint
        taken = 4 + cells(title) + (cells(state) + 3 if state else 0)
        line = paint("quiet", "── ") + paint("strong", title) + (paint("quiet", " · ") if state else "")
        return ["", line + paint(style or "quiet", state) + paint("quiet", " " + "─" * (self._width - taken))]

    def _calls(self, calls: Mapping[tuple[str, str], Sequence[int]]) -> str:
        order = sorted(calls.items(), key=lambda item: (-item[1][0], item[0]))
        shown = []
        for (name, kind), (count, bad) in order[:_ROWS_SHOWN]:
            words = [name, safe_line(kind, 40), str(count)]
            shown.append(" ".join(word for word in words if word) + (f" ({bad} failed)" if bad else ""))
        more = [f"and {len(order) - _ROWS_SHOWN} more kinds"] if len(order) > _ROWS_SHOWN else []
        return " · ".join([*shown, *more])

    def _continued(self, text: str) -> list[str]:
        return [" " * _INDENT + line for line in wrapped(text, self._width - _INDENT)]

    def _said(self, label: str, text: str) -> list[str]:
        if not text:
            return []
        indent = _INDENT if len(label) < _LABEL else len(label) + 3
        first, *rest = wrapped(text, self._width - indent)
        return [f"  {label:<{indent - 2}}{first}", *(" " * indent + line for line in rest)]


def _columns(client: str, server: str) -> tuple[tuple[str, int], ...]:
    return (client, 8), (server, 8), ("rtt p50", 9), ("p95", 9), ("max", 9)


def _name(name: str) -> str:
    return safe_line(name, 40).removeprefix("MSG_")


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _rank(severity: str) -> int:
    order = ("error", "warning", "note")
    return order.index(severity) if severity in order else len(order)
