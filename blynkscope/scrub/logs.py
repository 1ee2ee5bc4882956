"""A log without its secrets, in every notation in which they stand there."""

from __future__ import annotations

import codecs
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import Record
from blynkscope.errors import CaptureError
from blynkscope.scrub.cells import Cells, readings
from blynkscope.scrub.edits import Edit, applied, count, settled
from blynkscope.scrub.gathering import frame_places
from blynkscope.scrub.matching import Matcher, is_found_anywhere
from blynkscope.scrub.report import Report
from blynkscope.scrub.speech import Counts, Known, Place, Side, nothing_known
from blynkscope.scrub.spots import WHOLE_TOKEN, Spot, spots
from blynkscope.scrub.vault import SHORTEST_KNOWN, Kind, Vault
from blynkscope.sources.text import INPUT_MAX, TextSource
from blynkscope.wire.events import Line

_ESCAPES = re.compile(rb"(?m)^[^\n]*?\\(?:x|u00)[0-9A-Fa-f]{2}[^\n]*$")
_FOLDED = re.compile(rb"(?<![A-Za-z0-9_-])login -> ([A-Za-z0-9_-]{12,64})")
_FACTS = {"ssid": Kind.SSID, "host": Kind.HOST, "ip": Kind.ADDRESS}
_NUMERIC = re.compile(rb"[0-9.:]++")
_LINE = re.compile(rb"[^\n]*+(?:\n|\Z)")
_BODIES_MAX = 200
"""Frames with short secrets that are looked for: each takes a search of the whole log."""
_LINES_TOLD = 20
"""Lines of one kind that a message may name."""

Fact = tuple[Kind, bytes, int]
"""What a line names, and the number of the line."""
Bodies = dict[bytes, list[Spot]]


class LogScrub:
    """Takes the secrets out of a log, of pasted bytes, or of bytes as they went over the wire.

    Args:
        data: All of it.
        name: What to call it in messages.
        vault: Takes the secrets; says whether hosts are secret too.

    Raises:
        CaptureError: It is longer than a log may be.
    """

    def __init__(self, data: bytes, name: str, vault: Vault) -> None:
        if len(data) > INPUT_MAX:
            raise CaptureError(f"{name}: a log may have {INPUT_MAX} bytes: split it")
        self._name = name
        self._vault = vault
        self._data = data
        self._matcher = Matcher(vault)
        self._edits: list[Edit] = []
        self.report = Report("log")

    def written(self) -> bytes:
        """The log without its secrets, as long as it was."""
        vault = self._vault
        told = self._read(self._data)
        for kind, secret in told.frames:
            vault.learn(kind, secret)
        if self.report.kind == "bytes":
            return self._written_bytes()
        probe, encode = _as_bytes(self._data)
        for kind, value, _ in told.facts:
            vault.learn(kind, value)
        for start, end, kind in _text_spots(probe, hosts=vault.hosts):
            vault.learn(kind, probe[start:end])
        for cells in readings(probe):
            values = bytes(cells.values)
            for start, end, kind in spots(values, hosts=vault.hosts):
                vault.learn(kind, values[start:end])
        self._matcher = Matcher(vault)
        self._edits = settled(_text_edits(probe, _in_lines(probe, told.facts), told.bodies, vault, self._matcher))
        count(vault, self._edits)
        return encode(self._edits)

    def _written_bytes(self) -> bytes:
        vault = self._vault
        for place in _raw_places(self._data, vault.hosts, nothing_known):
            vault.learn(place.kind, place.secret)
            for kind, secret in place.inside:
                vault.learn(kind, secret)
        self._matcher = Matcher(vault)
        self._edits = _raw_edits(self._data, vault, self._matcher)
        count(vault, self._edits)
        return applied(self._data, self._edits)

    def left(self, written: bytes) -> dict[str, int]:
        """Secrets that are still in what was written, counted by kind: nothing, or there is a fault.

        It looks where `written` looked, and asks as that did what stays. `report.remaining_lines` gets the lines.
        """
        vault = self._vault
        told = self._read(written)
        probe, _ = _as_bytes(written)
        found = [(kind, probe.find(secret)) for kind, secret in told.frames if not vault.is_placeholder(kind, secret)]
        if self.report.kind == "bytes":
            for place in _raw_places(written, vault.hosts, self._matcher):
                if place.new is not None:
                    found.append((place.kind, -1))
            for place in _raw_places(written, vault.hosts, nothing_known):
                for kind, secret in ((place.kind, place.secret), *place.inside):
                    if not vault.is_placeholder(kind, secret):
                        found.append((kind, -1))
        else:
            found += self._left_in_text(probe, told.facts)
            self.report.remaining_lines = _lines_of(probe, found)
        return dict(Counter(kind.value for kind, _ in found))

    def _left_in_text(self, probe: bytes, facts: list[Fact]) -> Iterator[tuple[Kind, int]]:
        vault, covered = self._vault, _Covered(self._edits)
        for start, _, _, kind, _ in self._matcher(probe):
            yield kind, start
        for start, end, kind in (*_text_spots(probe, hosts=vault.hosts), *_in_lines(probe, facts)):
            if not (vault.is_placeholder(kind, probe[start:end]) or covered.all_of(range(start, end))):
                yield kind, start
        for cells in readings(probe):
            values = bytes(cells.values)
            for start, end, _, kind, _ in self._matcher(values):
                yield kind, min(cells.places(start, end), default=-1)
            for start, end, kind in spots(values, hosts=vault.hosts):
                if vault.is_placeholder(kind, values[start:end]):
                    continue
                places = cells.places(start, end)
                if not covered.all_of(places):
                    yield kind, min(places, default=-1)

    def _read(self, data: bytes) -> _Told:
        """What reading the frames and lines of a log finds."""
        told = _Told([], [], {})
        source, analyser = TextSource(data, self._name), Analyser(findings=False)
        for batch in source:
            for event in batch:
                if isinstance(event, Line):
                    told.facts.extend(_of_line(event))
                    if event.kind == "log-end" and event.facts.get("notation") == "raw bytes":
                        self.report.kind = "bytes"
            self._take(told, analyser.feed(batch))
        self._take(told, analyser.finish())
        self.report.packets = source.packets
        return told

    def _take(self, told: _Told, records: list[Record]) -> None:
        for head, body, found in frame_places(records, hosts=self._vault.hosts):
            told.frames.extend((kind, body[start:end]) for start, end, kind in found)
            short = [spot for spot in found if not is_found_anywhere(body[spot[0] : spot[1]])]
            if short and len(told.bodies) < _BODIES_MAX:
                told.bodies[head + body] = [(start + len(head), end + len(head), kind) for start, end, kind in short]
                if len(body) >= SHORTEST_KNOWN:
                    told.bodies[body] = short


class _Told(NamedTuple):
    """Secrets in the bodies of frames, and names in lines that mean something."""

    frames: list[tuple[Kind, bytes]]
    facts: list[Fact]
    bodies: Bodies
    """Frames with secrets that are too short to be looked for by themselves, and where those are."""


def _in_bodies(values: bytes, bodies: Bodies) -> Iterator[Spot]:
    """The secrets of frames wherever those stand in some bytes."""
    for body, found in bodies.items():
        at = values.find(body)
        while at >= 0:
            for start, end, kind in found:
                yield at + start, at + end, kind
            at = values.find(body, at + len(body))


class _Covered:
    """The bytes of a text that were replaced."""

    def __init__(self, edits: list[Edit]) -> None:
        self._edits = edits
        self._starts = [edit.start for edit in edits]

    def all_of(self, places: Iterable[int]) -> bool:
        """Whether every one of some places was replaced: what stands there is made up."""
        return all(self._has(place) for place in places)

    def _has(self, place: int) -> bool:
        at = bisect_right(self._starts, place) - 1
        return at >= 0 and place < self._edits[at].end


def _lines_of(text: bytes, found: list[tuple[Kind, int]]) -> dict[str, list[int]]:
    """The lines of places, by kind; places that are not known have none."""
    lines: dict[str, set[int]] = {}
    for kind, place in found:
        if place >= 0 and len(told := lines.setdefault(kind.value, set())) < _LINES_TOLD:
            told.add(text.count(b"\n", 0, place) + 1)
    return {kind: sorted(told) for kind, told in lines.items()}


def _of_line(line: Line) -> Iterator[Fact]:
    for name, kind in _FACTS.items():
        value = line.facts.get(name)
        if isinstance(value, str) and value:
            raw = value.encode("utf-8", "replace")
            yield (Kind.ADDRESS if kind is Kind.HOST and _NUMERIC.fullmatch(raw) else kind), raw, line.line


def _in_lines(text: bytes, facts: list[Fact]) -> list[Spot]:
    """Where the names stand that lines tell: the last place in their line."""
    if not facts:
        return []
    lines = [match.span() for match in _LINE.finditer(text)]
    found = []
    for kind, value, number in facts:
        if 0 < number <= len(lines):
            at = text.rfind(value, *lines[number - 1])
            if at >= 0:
                found.append((at, at + len(value), kind))
    return found


def _as_bytes(data: bytes) -> tuple[bytes, Callable[[list[Edit]], bytes]]:
    """The text with one byte a character, and what makes edits of it edits of the data."""
    if not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data, lambda edits: applied(data, edits)
    little = data.startswith(codecs.BOM_UTF16_LE)
    # A character outside of the basic plane is two units here, as in the data.
    low = 0 if little else 1
    units = zip(data[low::2], data[1 - low :: 2], strict=False)
    probe = bytes(char if not upper else 0xFF for char, upper in units)

    def encode(edits: list[Edit]) -> bytes:
        out = bytearray(data)
        for edit in edits:
            out[2 * edit.start + low : 2 * edit.end + low : 2] = edit.new
        return bytes(out)

    return probe, encode


def _text_spots(text: bytes, *, hosts: bool) -> Iterator[Spot]:
    """Spots of the text as it stands; lines with escapes are read with them resolved only."""
    plain = _ESCAPES.sub(lambda line: b" " * len(line[0]), text)
    yield from spots(plain, hosts=hosts)
    for match in WHOLE_TOKEN.finditer(plain):
        yield *match.span(), Kind.TOKEN
    for match in _FOLDED.finditer(plain):
        yield *match.span(1), Kind.TOKEN


def _text_edits(text: bytes, named: list[Spot], bodies: Bodies, vault: Vault, known: Known) -> Iterator[Edit]:
    for match in known(text):
        yield Edit(*match)
    for start, end, kind in (*_text_spots(text, hosts=vault.hosts), *named, *_in_bodies(text, bodies)):
        secret = text[start:end]
        new = vault.placeholder(kind, secret)
        if new != secret:
            yield Edit(start, end, new, kind, secret)
    for cells in readings(text):
        yield from _cell_edits(cells, text, bodies, vault, known)


def _cell_edits(cells: Cells, text: bytes, bodies: Bodies, vault: Vault, known: Known) -> Iterator[Edit]:
    values = bytes(cells.values)
    found = [(start, end, new, kind, secret) for start, end, new, kind, secret in known(values)]
    for start, end, kind in (*spots(values, hosts=vault.hosts), *_in_bodies(values, bodies)):
        secret = values[start:end]
        new = vault.placeholder(kind, secret)
        if new != secret:
            found.append((start, end, new, kind, secret))
    for start, end, new, kind, secret in found:
        for at in range(start, end):
            drawn = cells.rendered(at, new[at - start], text)
            if drawn is not None:
                yield Edit(drawn[0], drawn[0] + len(drawn[1]), drawn[1], kind, secret, at > start)


def _raw_places(data: bytes, hosts: bool, known: Known) -> list[Place]:
    places: list[Place] = []
    side = Side(places.append, known, Counts(), hosts=hosts)
    side.feed(data)
    side.finish()
    return places


def _raw_edits(data: bytes, vault: Vault, known: Known) -> list[Edit]:
    edits: list[Edit] = []
    for place in _raw_places(data, vault.hosts, known):
        new = place.new if place.new is not None else vault.placeholder(place.kind, place.secret)
        at = 0
        for piece in place.pieces:
            part = piece.masked(new[at : at + piece.size])
            at += piece.size
            if new != place.secret:
                edits.append(Edit(piece.at, piece.at + piece.size, part, place.kind, place.secret))
    return settled(edits)
