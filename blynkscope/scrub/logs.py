"""A log without its secrets, in every notation in which they stand there."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator

from blynkscope.analysis.analyser import Analyser
from blynkscope.errors import CaptureError
from blynkscope.scrub.cells import Cells, readings
from blynkscope.scrub.edits import Edit, applied, count, settled
from blynkscope.scrub.gathering import frame_secrets
from blynkscope.scrub.matching import Matcher
from blynkscope.scrub.report import Report
from blynkscope.scrub.speech import Counts, Known, Place, Side, nothing_known
from blynkscope.scrub.spots import WHOLE_TOKEN, Spot, spots
from blynkscope.scrub.vault import Kind, Vault, is_masked
from blynkscope.sources.text import INPUT_MAX, TextSource
from blynkscope.wire.events import Line

_ESCAPES = re.compile(rb"(?m)^[^\n]*?\\(?:x|u00)[0-9A-Fa-f]{2}[^\n]*$")
_FOLDED = re.compile(rb"(?<![A-Za-z0-9_-])login -> ([A-Za-z0-9_-]{12,64})")
_FACTS = {"ssid": Kind.SSID, "host": Kind.HOST, "ip": Kind.ADDRESS}
_NUMERIC = re.compile(rb"[0-9.:]++")


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
        self.report = Report("log")

    def written(self) -> bytes:
        """The log without its secrets, as long as it was."""
        vault = self._vault
        for kind, secret, _ in self._secrets(self._data):
            vault.learn(kind, secret)
        raw = self.report.kind == "bytes"
        matcher = self._matcher = Matcher(vault)
        if raw:
            edits = _raw_edits(self._data, vault, matcher)
        else:
            probe, encode = _as_bytes(self._data)
            edits = settled(_text_edits(probe, vault, matcher))
        count(vault, edits)
        if raw:
            return applied(self._data, edits)
        return encode(edits)

    def left(self, written: bytes) -> dict[str, int]:
        """Secrets that are still in what was written, counted by kind: nothing, or there is a fault."""
        left: dict[str, int] = {}
        known: list[Kind] = []
        if self.report.kind == "bytes":
            for place in _raw_places(written, self._vault.hosts, self._matcher):
                if place.new is not None:
                    known.append(place.kind)
        else:
            probe, _ = _as_bytes(written)
            known += [kind for _, _, _, kind, _ in self._matcher(probe)]
            for cells in readings(probe):
                known += [kind for _, _, _, kind, _ in self._matcher(bytes(cells.values))]
        for kind in known:
            left[kind.value] = left.get(kind.value, 0) + 1
        for kind, secret, _ in self._secrets(written):
            if not self._vault.is_placeholder(kind, secret):
                left[kind.value] = left.get(kind.value, 0) + 1
        return left

    def _secrets(self, data: bytes) -> Iterator[tuple[Kind, bytes, int]]:
        """Everything secret that reading finds: in frames, in lines that mean something, by what stands around it."""
        hosts = self._vault.hosts
        source, analyser = TextSource(data, self._name), Analyser(findings=False)
        for batch in source:
            for event in batch:
                if isinstance(event, Line):
                    yield from _of_line(event)
                    if event.kind == "log-end" and event.facts.get("notation") == "raw bytes":
                        self.report.kind = "bytes"
            for kind, secret in frame_secrets(analyser.feed(batch), hosts=hosts):
                yield kind, secret, 0
        for kind, secret in frame_secrets(analyser.finish(), hosts=hosts):
            yield kind, secret, 0
        self.report.packets = source.packets
        if self.report.kind == "bytes":
            for place in _raw_places(data, hosts, nothing_known):
                yield place.kind, place.secret, 0
                for kind, secret in place.inside:
                    yield kind, secret, 0
            return
        probe, _ = _as_bytes(data)
        for start, end, kind in _text_spots(probe, hosts=hosts):
            yield kind, probe[start:end], start
        for cells in readings(probe):
            values = bytes(cells.values)
            for start, end, kind in spots(values, hosts=hosts):
                yield kind, values[start:end], start


def _of_line(line: Line) -> Iterator[tuple[Kind, bytes, int]]:
    for name, kind in _FACTS.items():
        value = line.facts.get(name)
        if isinstance(value, str) and value:
            raw = value.encode("latin-1", "replace")
            yield (Kind.ADDRESS if kind is Kind.HOST and _NUMERIC.fullmatch(raw) else kind), raw, 0


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


def _text_edits(text: bytes, vault: Vault, known: Known) -> Iterator[Edit]:
    for match in known(text):
        yield Edit(*match)
    for start, end, kind in _text_spots(text, hosts=vault.hosts):
        secret = text[start:end]
        new = vault.placeholder(kind, secret)
        if new != secret:
            yield Edit(start, end, new, kind, secret)
    for cells in readings(text):
        yield from _cell_edits(cells, text, vault, known)


def _cell_edits(cells: Cells, text: bytes, vault: Vault, known: Known) -> Iterator[Edit]:
    values = bytes(cells.values)
    found = [(start, end, new, kind, secret) for start, end, new, kind, secret in known(values)]
    for start, end, kind in spots(values, hosts=vault.hosts):
        secret = values[start:end]
        new = vault.placeholder(kind, secret)
        if new != secret and not is_masked(secret):
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
