"""The output `summary`: what a run comes to, by stream, by device and as a whole. Nothing is written before its end.

What is kept is bounded: the first streams with Blynk frames are told one by one, of the others there are counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from blynkscope.analysis.records import (
    FindingRecord,
    FrameRecord,
    MessageRecord,
    Record,
    StreamRecord,
    SummaryRecord,
    WriteRecord,
)
from blynkscope.analysis.tempo import Tempo
from blynkscope.protocol import limits
from blynkscope.render.calls import failed, title_of
from blynkscope.render.digest_text import Calls, DeviceText, StreamText, Words
from blynkscope.render.handshakes import Handshake
from blynkscope.render.layering import layers_of
from blynkscope.render.options import Options
from blynkscope.render.parties import Parties
from blynkscope.render.safe import safe_line
from blynkscope.render.summary import Tally

STREAMS_SHOWN = 20
"""Streams with a section of their own, the first ones of the run: more is no summary. `--stream` shows any other."""
DEVICES_SHOWN = 50
"""Devices with a line of their own: about a screen."""
_FINDINGS_KEPT = 8
"""Different findings of one stream that are told."""
_NUMBERS_KEPT = 8
_KIND_MAX = 40
_KINDS_MAX = 64
"""Kinds of messages of one stream that are told apart: more than any of the protocols has."""
_NAMES_MAX = 512
"""Names of messages: more than all tables together have."""


@dataclass(slots=True)
class _Stream:
    parties: Parties = field(default_factory=Parties)
    frames: int = 0
    began: float | None = None
    ended: float | None = None
    closed: dict[str, Any] | None = None
    findings: list[tuple[FindingRecord, int]] = field(default_factory=list)
    raised: int = 0
    label: str = ""
    via: tuple[str, ...] = ()
    layers: str = ""
    handshake: Handshake = field(default_factory=Handshake)
    calls: Calls = field(default_factory=dict)

    @property
    def speaks(self) -> bool:
        """Is there something to tell of it, though no Blynk frame is in it?"""
        return bool(self.frames or self.findings or self.calls or self.handshake)

    def through(self, via: tuple[str, ...], inside: str) -> None:
        """A message came through these layers."""
        if via != self.via:
            self.via = via
            self.layers = layers_of(via, inside) or self.layers

    def call(self, record: MessageRecord) -> None:
        """A message of another protocol; it is counted by its kind."""
        self.through(record.via, record.protocol)
        key = title_of(record), record.kind[:_KIND_MAX]
        if key in self.calls or len(self.calls) < _KINDS_MAX:
            counts = self.calls.setdefault(key, [0, 0])
            counts[0] += 1
            counts[1] += failed(record)

    def found(self, record: FindingRecord) -> None:
        """A finding; the same one again is counted."""
        self.raised += 1
        for at, (known, times) in enumerate(self.findings):
            if (known.id, known.title) == (record.id, record.title):
                self.findings[at] = known, times + 1
                return
        if len(self.findings) < _FINDINGS_KEPT:
            self.findings.append((record, 1))


@dataclass(slots=True)
class _Device:
    connections: int = 0
    numbers: list[int] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    states: Counter[str] = field(default_factory=Counter)
    frames: int = 0
    seconds: float = 0.0
    unconfirmed: int = 0
    findings: int = 0


class Digest:
    """The output `summary`.

    Args:
        stream: Where to.
        options: Width, colour and the rest; `quiet` leaves the streams out.
    """

    def __init__(self, stream: TextIO, options: Options) -> None:
        self._stream = stream
        self._options = options
        self._tally = Tally()
        self._tempo = Tempo()
        self._names: Counter[str] = Counter()
        self._live: dict[int, _Stream] = {}
        self._kept: dict[int, _Stream] = {}
        self._devices: dict[int, _Device] = {}
        self._device_of: dict[int, int] = {}
        self._other: Counter[str] = Counter()
        self._others: dict[str, list[int]] = {}
        self._rest: Counter[str] = Counter()
        self._run = _Stream()

    def write(self, records: Sequence[Record]) -> None:
        """Take a batch in."""
        apply = self._options.redactor.apply
        for record in records:
            if isinstance(record, WriteRecord):
                self._tally.settled(record)
                continue
            shown = apply(record)
            if isinstance(shown, FrameRecord):
                self._frame(shown)
            elif isinstance(shown, StreamRecord):
                self._happened(shown)
            elif isinstance(shown, MessageRecord):
                self._message(shown)
            elif isinstance(shown, FindingRecord):
                self._found(shown)
            elif isinstance(shown, SummaryRecord):
                self._tally.summary = shown

    def close(self) -> None:
        """Write everything."""
        for number in list(self._live):
            self._over(number)
        words = Words(self._options)
        lines: list[str] = []
        if not self._options.quiet:
            lines += self._stream_lines(words)
            lines += self._device_lines(words)
        lines += words.run(self._tempo.summary(), self._names, self._run.findings)
        lines += self._tally.lines(self._options, advice=False)
        self._stream.write("\n".join([*lines, ""]).lstrip("\n"))
        self._stream.flush()

    # --- records ---

    def _frame(self, record: FrameRecord) -> None:
        self._tally.frame(record)
        self._tempo.take(1, record.time)
        if record.name in self._names or len(self._names) < _NAMES_MAX:
            self._names[record.name] += 1
        stream = self._live.get(record.stream) or self._begun(record.stream)
        stream.frames += 1
        stream.parties.sides(record)
        if record.via != stream.via:
            stream.through(record.via, record.dialect)
        if stream.began is None:
            stream.began = record.time
        stream.ended = record.time

    def _message(self, record: MessageRecord) -> None:
        self._tally.message(record)
        stream = self._live.get(record.stream) or self._begun(record.stream)
        stream.parties.sides_of_message(record)
        stream.call(record)
        if stream.began is None:
            stream.began = record.time
        stream.ended = record.time

    def _begun(self, number: int) -> _Stream:
        if number in self._kept:
            return self._kept[number]
        if len(self._live) >= limits.STREAMS_MAX:
            self._over(next(iter(self._live)))
        stream = self._live[number] = _Stream()
        return stream

    def _happened(self, record: StreamRecord) -> None:
        self._tally.moment(record.time)
        self._tally.opened(record)
        stream = self._live.get(record.stream) or self._begun(record.stream)
        stream.handshake.take(record)
        if record.kind == "opened":
            stream.parties.opened(record)
            stream.began = record.time
        elif record.kind in {"tls", "foreign"}:
            stream.label = stream.label or safe_line(str(record.detail.get("protocol") or "unknown"), 24)
        elif record.kind == "closed":
            stream.ended = record.time
            detail = dict(record.detail)
            if isinstance(detail.get("session"), dict):
                detail["session"] = self._cleaned(detail["session"])
            stream.closed = detail
            self._over(record.stream)

    def _cleaned(self, value: Any) -> Any:
        """Facts about a session hold pin values and names from the wire."""
        if isinstance(value, str):
            return self._options.redactor.text(value)
        if isinstance(value, dict):
            return {name: self._cleaned(item) for name, item in value.items()}
        return [self._cleaned(item) for item in value] if isinstance(value, list | tuple) else value

    def _found(self, record: FindingRecord) -> None:
        self._tally.finding(record)
        number = record.stream
        if number is None:
            self._run.found(record)
            return
        stream = self._live.get(number) or self._kept.get(number)
        if stream is None and len(self._kept) >= STREAMS_SHOWN and number > max(self._kept):
            self._rest["findings"] += 1
        else:
            # What was refused or never answered may have no other record.
            (stream or self._begun(number)).found(record)
        device = self._devices.get(self._device_of.get(number, 0))
        if device is not None:
            device.findings += 1

    def _over(self, number: int) -> None:
        """A stream is over: it goes to those that are told, or into the counts."""
        stream = self._live.pop(number, None)
        if stream is None:
            return
        session = (stream.closed or {}).get("session")
        if session:
            self._of_device(number, stream, session)
        if not session and not stream.speaks:
            name = stream.label or "no bytes"
            self._other[name] += 1
            numbers = self._others.setdefault(name, [])
            if len(numbers) < _NUMBERS_KEPT:
                numbers.append(number)
            return
        self._kept[number] = stream
        if len(self._kept) > STREAMS_SHOWN:
            # Connections end in another order than they begin; those with the lowest numbers stay.
            left_out = self._kept.pop(max(self._kept))
            self._rest["streams"] += 1
            self._rest["frames"] += left_out.frames
            self._rest["findings"] += left_out.raised

    def _of_device(self, number: int, stream: _Stream, session: dict[str, Any]) -> None:
        device_number = session.get("device")
        if not isinstance(device_number, int):
            return
        device = self._devices.get(device_number)
        if device is None:
            if len(self._devices) >= DEVICES_SHOWN:
                # As with streams: the lowest numbers stay.
                last = max(self._devices)
                self._rest["connections"] += 1 if device_number > last else self._devices.pop(last).connections
            if len(self._devices) >= DEVICES_SHOWN:
                return
            device = self._devices[device_number] = _Device()
        if len(self._device_of) < limits.STREAMS_MAX:
            self._device_of[number] = device_number
        device.connections += 1
        if len(device.numbers) < _NUMBERS_KEPT:
            device.numbers.append(number)
        era = (session.get("era") or {}).get("era")
        for name, value in (("board", session.get("board")), ("library", session.get("library")), ("era", era)):
            if value:
                device.facts[name] = str(value)
        device.states[str(session.get("state") or "unknown")[:24]] += 1
        device.frames += sum(sum(side.values()) for side in (session.get("frames") or {}).values())
        device.seconds += session.get("duration") or 0.0
        device.unconfirmed += sum(pin.get("unconfirmed", 0) for pin in session.get("pins") or ())
        device.findings += stream.raised

    # --- text ---

    def _stream_lines(self, words: Words) -> list[str]:
        lines: list[str] = []
        for number in sorted(self._kept):
            stream = self._kept[number]
            seconds = stream.ended - stream.began if stream.ended is not None and stream.began is not None else None
            text = StreamText(
                number, stream.parties, stream.closed, stream.frames, seconds, stream.findings, stream.raised,
                stream.layers, stream.handshake.lines(), stream.calls,
            )  # fmt: skip
            lines += words.stream(text)
        if rest := self._rest["streams"]:
            parts = [f"{rest} more stream{'' if rest == 1 else 's'} with {self._rest['frames']} frames"]
            if found := self._rest["findings"]:
                parts.append(f"{found} finding{'' if found == 1 else 's'}")
            lines += words.aside(f"and {' and '.join(parts)}: --stream N shows one of them")
        if self._other:
            kinds = [(name, count, self._others[name]) for name, count in sorted(self._other.items())]
            lines += words.without_frames(kinds)
        return lines

    def _device_lines(self, words: Words) -> list[str]:
        if not self._devices:
            return []
        texts = [
            DeviceText(
                number, device.connections, tuple(sorted(device.numbers)), device.facts, device.states, device.frames,
                device.seconds, device.unconfirmed, device.findings,
            )
            for number, device in sorted(self._devices.items())
        ]  # fmt: skip
        lines = words.devices(texts)
        if rest := self._rest["connections"]:
            lines += words.aside(f"and {rest} connection{'' if rest == 1 else 's'} of further devices")
        return lines
