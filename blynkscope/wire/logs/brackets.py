"""The C++ library's way to print bytes: `<[14|00|03|00|06]vw[00]1[00]5`.

Printable bytes stand for themselves, runs of others are hex in brackets. `[`, `]` and `|` in a body are not escaped, so
a group in brackets may be bytes or the very characters. A text is therefore read into *pieces*, some with a second
reading, and `resolve` chooses those readings that give the declared length.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from blynkscope.protocol import commands
from blynkscope.wire.events import CLIENT, SERVER

_CHOICES_MAX = 48
"""Pieces with a second reading that are tried; of more, the first readings are taken."""
_SUMS_MAX = 384
"""Different lengths that are followed while readings are combined."""

_DIRECTED = re.compile(r"(?P<raw><<|>>)[ ]?|(?P<plain>[<>])")
_PAIRS = r"[0-9a-fA-F]{2}(?:[ ]?\|[ ]?[0-9a-fA-F]{2})*+"
_GROUP = re.compile(rf"\[({_PAIRS})\]")
_LOST_OPEN = re.compile(rf"[ ]?((?=[0-9a-fA-F]{{2}}[ ]?\|){_PAIRS})\]")
_LOST_CLOSE = re.compile(rf"\[({_PAIRS})[ \t]*+\Z")
_HEX = re.compile(r"[0-9a-fA-F]{2}")
_SPECIAL = re.compile(r"[\[\u2013\u2014\u2026\u2018\u2019\u201c\u201d]")
# What editors made of characters that the library prints as they are.
_DAMAGE: dict[str, tuple[bytes, bytes | None]] = {
    "\u2013": (b"--", b"-"), "\u2014": (b"---", b"--"), "\u2026": (b"...", None),
    "\u2018": (b"'", None), "\u2019": (b"'", None), "\u201c": (b'"', None), "\u201d": (b'"', None),
}  # fmt: skip
_FRAME_LIKE = re.compile(rf"(?:<<|>>|[<>])?[ ]?[^\[\]|]?(?:\[|(?=[0-9a-fA-F]{{2}}[ ]?\|)){_PAIRS}\]?")
_HEADER = 5
_LIKELY_COST = 4
"""What it costs to read separators as characters, against control characters, which no text holds."""
_COST = 1 << 20
"""Above every cost of a place in the print: of equal readings, the later ones are given up."""
_COMMON = frozenset(b"\0\n\r\t ")
_NULS_AS_TEXT = 2
"""Groups with a NUL that may be the very characters `[00]` in one body. A body that lacks more was cut short."""
_TORN = re.compile(r"\[(?P<whole>(?:[0-9a-fA-F]{2}[ ]?(?:\|[ ]?|(?=\Z))){0,5}+)[0-9a-fA-F]?[ \t]*+\Z")
"""A header that ends in the middle, as a line break inside of its group leaves it."""
_OPEN = re.compile(r"\[[0-9a-fA-F]{2}(?:[ ]?\|[ ]?[0-9a-fA-F]{2}){4,15}+")
"""A header, and perhaps the first bytes of the body, whose bracket does not close."""
_CLOSED_MAX = 4096
"""Characters of a print whose lost bracket is looked for, place by place: four times what boards send at once."""
_OPENING = 3
"""Bytes of a group without a direction that make it look like a header."""


_WRITES = frozenset({b"vw", b"dw", b"aw", b"vm"})
_FREE_TEXT = frozenset({
    commands.BRIDGE, commands.PROPERTY, commands.EMAIL, commands.NOTIFY, commands.TWEET, commands.SEND_SMS,
    commands.EVENT_LOG, commands.DBG_PRINT,
})  # fmt: skip
"""Commands with a text of the sketch in their body, in which `[00]` may stand as it is."""


class Piece(NamedTuple):
    """Bytes of a print, and the other bytes that they may be instead.

    `behind` is True for a group in brackets directly behind another one: of such two, one is characters, because the
    library would have printed one group.
    """

    data: bytes
    other: bytes | None = None
    behind: bool = False


Pieces = list[Piece]


class Print(NamedTuple):
    """One print of the library. `direction` is None where the arrow is lost, `raw` True for `>>` (a BLE chunk)."""

    direction: int | None
    text: str
    raw: bool = False


def directed(text: str) -> Print | None:
    """A line that begins with an arrow, and what it prints; also one that lost its arrow but begins like a header."""
    if match := _DIRECTED.match(text):
        direction = CLIENT if text[0] == "<" else SERVER
        return Print(direction, text[match.end() :], match["raw"] is not None)
    if (match := _GROUP.match(text) or _LOST_OPEN.match(text)) and len(match[1]) >= 3 * _OPENING - 1:
        return Print(None, text)
    return None


def frame_like(text: str) -> bool:
    """Whether a line begins as a printed frame does, whatever is wrong with the rest."""
    match = _FRAME_LIKE.match(text)
    return match is not None and match.group().count("|") >= _OPENING - 1


def torn(text: str, *, sure: bool) -> bool:
    """Whether a print is a header that breaks off in the middle; `sure`: also one that has no whole byte yet."""
    match = _TORN.match(text)
    if match is None:
        return False
    pairs = len(_HEX.findall(match["whole"]))
    return pairs < _HEADER and (sure or "|" in match["whole"])


def mended(first: str, rest: str) -> str | None:
    """A print whose header was broken over two lines; None where the second line does not end the header."""
    text = first.rstrip(" \t") + rest.lstrip(" \t")
    match = _GROUP.match(text)
    if match is None:
        return closed(text)
    return text if len(_hex(match[1])) >= _HEADER and match.end() > len(first.rstrip(" \t")) else None


def closed(text: str) -> str | None:
    """A print whose header lost its closing bracket, with the bracket; None where the length does not tell its place.

    `[14|00|03|00|07|vw[00]2[00]33` → `[14|00|03|00|07]vw[00]2[00]33`
    """
    match = _OPEN.match(text) if len(text) <= _CLOSED_MAX else None
    if match is None or text[match.end() : match.end() + 1] == "]":
        return None
    found: dict[bytes, str] = {}
    for pair in list(_HEX.finditer(match.group()))[_HEADER - 1 :]:
        front, rest = text[: pair.end()] + "]", text[pair.end() :]
        for body in dict.fromkeys((rest.removeprefix("|"), rest)):
            head, pieces = split(read(front + body), _HEADER)
            length = int.from_bytes(head[3:], "big") if head[0] else 0
            if pieces:
                data = resolve(pieces, length, separators(head[0], pieces))
            else:
                data = b"" if rest.strip() == "|" else None
            if data is not None:
                found.setdefault(head + data, front + body)
    return next(iter(found.values())) if len(found) == 1 else None


def has_bytes(text: str) -> bool:
    """Whether a byte in brackets is in it."""
    return _GROUP.search(text) is not None


def read(text: str) -> Pieces:
    """The pieces of a printed text."""
    pieces: Pieces = []
    at, last = 0, -1
    if match := _LOST_OPEN.match(text):
        pieces.append(Piece(_hex(match[1]), _plain(match.group())))
        at = last = match.end()
    while at < len(text):
        special = _SPECIAL.search(text, at)
        end = special.start() if special else len(text)
        if end > at:
            pieces.append(Piece(_plain(text[at:end])))
        if special is None:
            break
        if special.group() != "[":
            pieces.append(Piece(*_DAMAGE[special.group()]))
            at = end + 1
        elif match := _GROUP.match(text, end) or _LOST_CLOSE.match(text, end):
            behind = hexed = last == end
            if behind and not (pieces[-1].other is None or _is_hex(pieces[-1].data, pieces[-1].other)):
                hexed = False
            if hexed and _swapped(pieces, _hex(match[1])):
                pieces[-1], hexed = Piece(pieces[-1].other or b"", pieces[-1].data, pieces[-1].behind), False
            pieces.append(_group(match, first=not pieces, hexed=hexed, behind=behind))
            at = last = match.end()
        else:
            pieces.append(Piece(b"["))
            at = end + 1
    return pieces


def _swapped(pieces: Pieces, data: bytes) -> bool:
    """Of two groups side by side one is characters: whether that is rather the first one."""
    last = pieces[-1]
    header = len(pieces) == 1 and len(last.data) >= _OPENING
    return last.other is not None and not header and not _likely(last.data) and _likely(data)


def _plain(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _hex(pairs: str) -> bytes:
    return bytes(int(pair, 16) for pair in _HEX.findall(pairs))


def _group(match: re.Match[str], *, first: bool, hexed: bool, behind: bool) -> Piece:
    """A group in brackets: bytes, unless the library would have printed them otherwise.

    Args:
        match: The group.
        first: It begins the print, as headers do.
        hexed: Another group that is read as bytes ends where it begins.
        behind: Another group ends where it begins.
    """
    data, literal = _hex(match[1]), _plain(match.group())
    printable = any(0x20 < byte < 0x7F for byte in data)
    if hexed or (printable and not (first and len(data) >= _OPENING)):
        return Piece(literal, data, behind)
    return Piece(data, literal, behind)


def _is_hex(data: bytes, other: bytes) -> bool:
    """Whether a reading is the one as bytes: characters take three and more for each."""
    return len(data) < len(other)


def size(pieces: Sequence[Piece]) -> int:
    """Bytes by the first readings."""
    return sum(len(piece.data) for piece in pieces)


def joined(pieces: Sequence[Piece]) -> bytes:
    """The bytes by the first readings."""
    return b"".join(piece.data for piece in pieces)


def split(pieces: Sequence[Piece], count: int) -> tuple[bytes, Pieces]:
    """The first `count` bytes by the first readings, and the pieces behind them."""
    head = bytearray()
    for index, piece in enumerate(pieces):
        missing = count - len(head)
        if len(piece.data) > missing:
            head += piece.data[:missing]
            # Behind a header a group goes on with bytes: `[14|00|01|00|03|00]`.
            rest = piece if not missing else Piece(piece.data[missing:])
            return bytes(head), [rest, *pieces[index + 1 :]]
        head += piece.data
    return bytes(head), []


def whole(text: str) -> bool:
    """Whether a print holds a header and at least the body that it declares."""
    head, body = split(read(text), _HEADER)
    if len(head) < _HEADER:
        return False
    length = int.from_bytes(head[3:], "big") if head[0] else 0
    return size(body) >= length or resolve(body, length, separators(head[0], body)) is not None


def separators(cmd: int, pieces: Sequence[Piece]) -> int:
    """How many NULs of a body separate its parts for sure: in a write those around the pin, elsewhere all."""
    if cmd == commands.HW:
        return 2 if pieces and pieces[0].data[:2] in _WRITES else len(pieces)
    return 0 if cmd in _FREE_TEXT else len(pieces)


def resolve(pieces: Sequence[Piece], length: int, separators: int = 0) -> bytes | None:
    """The bytes in those readings that are `length` long together; None where no readings are.

    First readings are kept where that is possible. Where it is not, control characters are given up first, which no
    text holds, then from the end on.

    Args:
        pieces: The body.
        length: As its header declares it.
        separators: So many of the first groups with a NUL separate parts, and are no characters.
    """
    if size(pieces) == length:
        return joined(pieces)
    pieces = _separated(pieces, separators)
    return _chosen(pieces, length, strict=True) or _chosen(pieces, length, strict=False)


def _separated(pieces: Sequence[Piece], count: int) -> Sequence[Piece]:
    """The pieces without the second readings of NULs that must be NULs."""
    nuls = [at for at, piece in enumerate(pieces) if piece.other and 0 in min(piece.data, piece.other, key=len)]
    fixed = nuls[:count]
    # Who writes `[00]` into a value does it once or twice, at its end; more than that were cut off, not written out.
    fixed += [at for at in nuls[count:-_NULS_AS_TEXT] if not _beside(pieces, at)]
    if not fixed:
        return pieces
    sure = list(pieces)
    for at in fixed:
        piece = sure[at]
        sure[at] = Piece(min(piece.data, piece.other or piece.data, key=len), None, piece.behind)
    return sure


def _beside(pieces: Sequence[Piece], at: int) -> bool:
    """Whether a group touches another one: then one of them is characters."""
    return pieces[at].behind or (at + 1 < len(pieces) and pieces[at + 1].behind)


def _chosen(pieces: Sequence[Piece], length: int, *, strict: bool) -> bytes | None:
    """The cheapest readings of that length; `strict`: of two groups side by side, not both are bytes."""
    choices = [index for index, piece in enumerate(pieces) if piece.other is not None][-_CHOICES_MAX:]
    if not choices:
        return None
    least = sum(min(len(piece.data), len(piece.other)) if piece.other else len(piece.data) for piece in pieces)
    most = sum(max(len(piece.data), len(piece.other)) if piece.other else len(piece.data) for piece in pieces)
    if not least <= length <= most:
        return None
    first = choices[0]
    start = joined(pieces[:first])
    # By length and whether the last piece is a group read as bytes: what it cost, and the readings as a chain.
    states: dict[tuple[int, bool], tuple[int, tuple[Any, bytes] | None]] = {(len(start), False): (0, None)}
    for index in range(first, len(pieces)):
        piece = pieces[index]
        following: dict[tuple[int, bool], tuple[int, tuple[Any, bytes] | None]] = {}
        for reading in (piece.data, piece.other):
            if reading is None:
                continue
            hexed = piece.other is not None and len(reading) == min(len(piece.data), len(piece.other))
            extra = 0
            if reading is piece.other:
                shorter = min(piece.data, piece.other, key=len)
                extra = (_LIKELY_COST if _likely(shorter) else 1) * _COST + len(pieces) - index
            for (total, before), (cost, chain) in states.items():
                if strict and hexed and before and piece.behind:
                    continue
                key = (total + len(reading), hexed)
                if key[0] <= length and (key not in following or following[key][0] > cost + extra):
                    following[key] = (cost + extra, (chain, reading))
        states = following if len(following) <= _SUMS_MAX else dict(list(following.items())[:_SUMS_MAX])
    ends = [states[length, hexed] for hexed in (False, True) if (length, hexed) in states]
    if not ends:
        return None
    readings = []
    chain = min(ends, key=lambda end: end[0])[1]
    while chain is not None:
        chain, reading = chain
        readings.append(reading)
    return start + b"".join(reversed(readings))


def _likely(data: bytes) -> bool:
    """Whether bytes are what bodies hold beside text: separators, blanks, line ends, UTF-8."""
    return all(byte in _COMMON or byte >= 0x80 for byte in data)
