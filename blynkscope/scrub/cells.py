"""Bytes as text tells them: each byte with the characters that stand for it, so that it can be replaced in place.

A *reading* goes over a text in one notation and gives runs of cells. The same text may hold cells in several readings;
what belongs to no notation of a reading is no part of its runs.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator

RUN_MAX = 1 << 20
"""Cells of one run; a longer one is cut, with an overlap."""
OVERLAP = 16 * 1024

CHAR, HEX, FIXED = 0, 2, 255
"""How a byte is written: as itself, as two hex digits, in a way that is left alone; 12 and 13: as 2 or 3 digits."""
_DECIMAL = 10
_NEWLINE = 10

_SPOKEN = re.compile(rb"(?m)^[^\n\r<>]{0,80}?(?:-> [^\n\r<>]{0,24}?)?(<<|>>|<|>) ?([^\n\r]*+)")
_HEADER = re.compile(rb"[A-Za-z][A-Za-z0-9-]*+:(?: |\r?\Z)|[A-Z]{3,7} \S++ HTTP/\d|HTTP/\d(?:\.\d)? \d{3}(?!\d)")
"""What a client of HTTP prints behind `>` and `<`: a line that stands for itself."""
_GROUP = re.compile(rb"\[([0-9A-Fa-f]{2}(?:\|[0-9A-Fa-f]{2})*+)\]")
_ESCAPED = re.compile(rb"\\x([0-9A-Fa-f]{2})|\\u00([0-9A-Fa-f]{2})|%([0-9A-Fa-f]{2})|\\(0|[nrtabfv\\'\"/])", re.DOTALL)
_ESCAPED_LINE = re.compile(rb"(?m)^[^\n]*?(?:\\x|\\u00|%)[0-9A-Fa-f]{2}[^\n]*$")
_DUMP_LINE = re.compile(
    rb"(?m)^[^\S\n]*+(?:0x)?[0-9A-Fa-f]{4,8}:?[ \t]{1,4}"
    rb"((?:[0-9A-Fa-f]{2}(?:[0-9A-Fa-f]{2})?(?:[ \t]{1,2}|(?=[\r\n]|\Z)))++)([^\r\n]*+)"
)
_PAIRS = re.compile(
    rb"(?<![0-9A-Za-z])(?:(?:0x|\\x|[{\[])?(?:[0-9A-Fa-f]{2}){1,8}+(?![0-9A-Za-z])[}\]]?[\s,;:|-]{0,4}){6,}+"
)
_SOLID = re.compile(rb"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{2}){10,}+(?![0-9A-Za-z])")
_PAIR = re.compile(rb"[0-9A-Fa-f]{2}")
_NUMBERS = re.compile(rb"(?<![0-9A-Za-z.])\d{1,3}(?:[\s,;]{1,4}\d{1,3}(?![0-9A-Za-z.])){7,}+")
_NUMBER = re.compile(rb"\d{1,3}")


class Cells:
    """A run of bytes in a text."""

    __slots__ = ("_kinds", "_places", "values")

    def __init__(self) -> None:
        self.values = bytearray()
        self._places = array("Q")
        self._kinds = bytearray()

    def __len__(self) -> int:
        return len(self.values)

    def add(self, value: int, place: int, kind: int) -> None:
        """One more byte: its value, the place of its first character, how it is written."""
        self.values.append(value)
        self._places.append(place)
        self._kinds.append(kind)

    def chars(self, text: bytes, start: int, end: int) -> None:
        """Characters that stand for themselves."""
        self.values += text[start:end]
        self._places.extend(range(start, end))
        self._kinds += bytes(end - start)

    def places(self, start: int, end: int) -> list[int]:
        """Where the characters of some bytes begin, of those that can be replaced."""
        return [
            place for place, kind in zip(self._places[start:end], self._kinds[start:end], strict=True) if kind != FIXED
        ]

    def forget(self) -> None:
        """Keep the end only."""
        del self.values[:-OVERLAP], self._places[:-OVERLAP], self._kinds[:-OVERLAP]

    def rendered(self, at: int, byte: int, text: bytes) -> tuple[int, bytes] | None:
        """Where the characters of a byte are, and those of another byte in the same notation and length."""
        place, kind = self._places[at], self._kinds[at]
        if kind == FIXED:
            return None
        if kind == CHAR:
            return place, bytes([byte])
        if kind == HEX:
            upper = text[place : place + 2].upper() == text[place : place + 2]
            return place, (b"%02X" if upper else b"%02x") % byte
        digits = kind - _DECIMAL
        number = b"%d" % byte
        if len(number) != digits:
            # 48 to 90 are digits and capitals, 100 to 122 small letters.
            other = chr(byte).swapcase().encode()
            number = b"%d" % other[0]
            if len(number) != digits:
                number = b"120" if digits == 3 else b"88"
        return place, number


def readings(text: bytes) -> Iterator[Cells]:
    """All runs of all notations in a text whose bytes may be other than its characters."""
    yield from _spoken(text)
    yield from _escaped(text)
    yield from _dumps(text)
    for pattern in (_PAIRS, _SOLID):
        for match in pattern.finditer(text):
            cells = Cells()
            _hex_pairs(cells, text, *match.span())
            yield cells
    for match in _NUMBERS.finditer(text):
        cells = Cells()
        for number in _NUMBER.finditer(text, *match.span()):
            value = int(number[0])
            cells.add(value & 0xFF, number.start(), _DECIMAL + len(number[0]) if len(number[0]) > 1 else FIXED)
        yield cells


def _hex_pairs(cells: Cells, text: bytes, start: int, end: int) -> None:
    at = start
    while (pair := _PAIR.search(text, at, end)) is not None:
        if text[pair.start() : pair.start() + 2] in (b"0x", b"0X"):
            at = pair.start() + 2
            continue
        cells.add(int(pair[0], 16), pair.start(), HEX)
        at = pair.end()


def _spoken(text: bytes) -> Iterator[Cells]:
    """What each side says in a log of the C++ library: the lines behind `<` and behind `>`, one behind the other."""
    sides: dict[bytes, Cells] = {}
    for match in _SPOKEN.finditer(text):
        cells = sides.setdefault(match[1], Cells())
        at, end = match.span(2)
        header = _HEADER.match(text, at, end) is not None
        if header:
            cells.add(_NEWLINE, at, FIXED)
        if text[at - 1 : at] == b" " and text[at : at + 1] != b"[":
            at -= 1
        while at < end:
            group = _GROUP.search(text, at, end)
            stop = group.start() if group else end
            cells.chars(text, at, stop)
            if group is None:
                break
            for number in range(group.start(1), group.end(1), 3):
                cells.add(int(text[number : number + 2], 16), number, HEX)
            at = group.end()
        if header:
            cells.add(_NEWLINE, end, FIXED)
        if len(cells) > RUN_MAX:
            yield cells
            cells.forget()
    yield from sides.values()


def _escaped(text: bytes) -> Iterator[Cells]:
    """Lines with escapes."""
    for line in _ESCAPED_LINE.finditer(text):
        cells = Cells()
        at, end = line.span()
        for match in _ESCAPED.finditer(text, at, end):
            cells.chars(text, at, match.start())
            for number in (1, 2, 3):
                if match[number]:
                    cells.add(int(match[number], 16), match.start(number), HEX)
            if match[4]:
                cells.add(0 if match[4] == b"0" else match[4][0], match.start(4), FIXED)
            at = match.end()
        cells.chars(text, at, end)
        yield cells


def _dumps(text: bytes) -> Iterator[Cells]:
    """Dumps with offsets: their digits and, apart from them, their gutters."""
    digits, gutter = Cells(), Cells()
    for match in _DUMP_LINE.finditer(text):
        _hex_pairs(digits, text, *match.span(1))
        start, end = match.span(2)
        while start < end and text[start] in b" |":
            start += 1
        while end > start and text[end - 1] in b" |":
            end -= 1
        gutter.chars(text, start, end)
        if len(digits) > RUN_MAX:
            yield digits
            yield gutter
            digits.forget()
            gutter.forget()
    yield digits
    yield gutter
