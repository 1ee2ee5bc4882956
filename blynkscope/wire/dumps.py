"""Hex dumps → bytes: xxd, `hexdump`, od, Wireshark's copy and follow functions and `tcpdump -x/-X`.

All are rows of an offset, hex digits and perhaps a gutter with the same bytes as characters. Offsets say how many
bytes a row must have, and the gutter repeats them: both tell digits of the data from characters that look like some.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from blynkscope.errors import NotationError
from blynkscope.protocol import limits

TWO_DIRECTIONS = "two directions of one stream are here, and bytes of both make no sense in a row; paste one of them"

Fail = Callable[[str, int, str], NotationError]

_COLON_ROW = re.compile(r"[ \t]*(?:0x)?([0-9a-fA-F]{3,16}):[ \t]*")
_SPACE_ROW = re.compile(r"[ \t]*([0-9a-fA-F]{4,16})(?:[ \t]+(?=[0-9a-fA-F]{2}(?:[ \t]|$))|[ \t]{2,}|[ \t]*$)")
_GROUP = re.compile(r"(?:[0-9a-fA-F]{2})+(?=[\s|>]|$)")
_HEADLINE = re.compile(r"\S.*\b(?:IP6?|ARP|In|Out)\b")
_FOLLOW_HEAD = re.compile(r"={20,}|Follow: |Filter: |Node [01]: ")
"""What tshark prints above the rows of a followed stream."""
_PEER_INDENT = 4
"""Columns by which the rows of the side that answered are set off in a followed stream."""
_WORD_ROW = re.compile(r"([0-9a-f]{7})((?:[ \t]+[0-9a-f]{4}){1,8}|(?:[ \t]+[0-9a-f]{2}){1,16})?[ \t]*")
"""A row of `hexdump` or `od -x`, whose words are numbers of 16 bits, or of `od -t x1`, whose words are bytes."""
_REPEATED = 16
"""Bytes for which a `*` stands again and again: a row of `hexdump` and of xxd."""
_LINE_MAX = 2048
"""Characters of a row, with offset, bytes and gutter."""
ROW_MAX = 256
"""Bytes of a row: no program prints more, and the search for the gutter stays short."""


@dataclass(frozen=True, slots=True)
class _Row:
    at: int
    offset: int
    start: int
    rest: str
    indent: int = 0


def parse(text: str, notes: list[str], fail: Fail) -> tuple[bytes, str] | None:
    """Bytes and name of the notation, or None where the text is no dump.

    Raises:
        NotationError: It is a dump, and a row of it cannot be read.
    """
    if (words := _words(text, notes, fail)) is not None:
        return words
    rows, skipped, colon = _rows(text)
    if not colon:
        skipped = [(at, line) for at, line in skipped if not _FOLLOW_HEAD.match(line)]
    if not rows or (skipped and not colon):
        return None
    if not colon and (second := _second_direction(rows)) is not None:
        raise fail(text, second.at, TWO_DIRECTIONS)
    if not colon and not _believable(rows):
        return None
    notation = _name(text, colon)
    for at, line in skipped:
        if notation != "tcpdump" and not _HEADLINE.match(line):
            raise fail(text, at, "this line is no row of the dump; leave it out")
    if skipped:
        notes.append(
            "1 line without bytes was left out"
            if len(skipped) == 1
            else f"{len(skipped)} lines without bytes were left out"
        )
    packets: list[bytearray] = []
    done = 0
    data = bytearray()
    base = 0
    repeated = False
    for index, row in enumerate(rows):
        if row.rest == "*":
            repeated = True
            continue
        if row.offset == 0 and data:
            packets.append(data)
            done += len(data)
            data = bytearray()
        if not data:
            base = row.offset
        missing = row.offset - base - len(data)
        if missing > 0 and repeated:
            if len(data) + missing > limits.PASTE_MAX:
                raise fail(text, row.at, f"the dump stands for more than {limits.PASTE_MAX} bytes")
            pattern = bytes(data[-_REPEATED:])
            data += (pattern * (missing // len(pattern) + 1))[:missing]
        elif missing > 0:
            notes.append(f"the offsets say that {missing} bytes are missing before {row.offset:04x}")
        repeated = False
        following = rows[index + 1].offset - row.offset if index + 1 < len(rows) else 0
        starred = index + 1 < len(rows) and rows[index + 1].rest == "*"
        data += _bytes(text, row, following if 0 < following <= ROW_MAX and not starred else None, fail)
        if done + len(data) > limits.PASTE_MAX:
            raise fail(text, row.at, f"the dump holds more than {limits.PASTE_MAX} bytes")
    packets.append(data)
    return _payloads([bytes(packet) for packet in packets], notes), notation


def _rows(text: str) -> tuple[list[_Row], list[tuple[int, str]], bool]:
    """Rows in order, the lines that are none, and whether offsets end in a colon."""
    found: dict[bool, tuple[list[_Row], list[tuple[int, str]]]] = {}
    for colon, pattern in ((True, _COLON_ROW), (False, _SPACE_ROW)):
        rows: list[_Row] = []
        skipped: list[tuple[int, str]] = []
        at = 0
        for line in text.split("\n"):
            bare = line.rstrip()
            if bare == "*" and rows:
                rows.append(_Row(at, rows[-1].offset, at, "*"))
            elif len(bare) <= _LINE_MAX and (match := pattern.match(bare)):
                indent = len(bare[: match.start(1)].expandtabs(_PEER_INDENT))
                rows.append(_Row(at, int(match.group(1), 16), at + match.end(), bare[match.end() :], indent))
            elif bare:
                skipped.append((at, bare))
            at += len(line) + 1
        if rows:
            found[colon] = rows, skipped
    if True in found and _plausible_colons(found[True][0]):
        return *found[True], True
    return (*found[False], False) if False in found else ([], [], False)


def _words(text: str, notes: list[str], fail: Fail) -> tuple[bytes, str] | None:
    """Rows with offsets of seven digits: only `hexdump` without -C (hex) and od (octal) print such.

    Raises:
        NotationError: It is such a dump, and its offsets do not fit its rows.
    """
    rows: list[tuple[str, list[str]]] = []
    at, place = 0, -1
    for line in text.split("\n"):
        bare = line.strip()
        if bare == "*" and rows:
            rows.append(("*", []))
        elif bare:
            match = _WORD_ROW.fullmatch(bare.lower()) if len(bare) <= _LINE_MAX else None
            if match is None:
                return None
            place = at if place < 0 else place
            rows.append((match.group(1), (match.group(2) or "").split()))
        at += len(line) + 1
    if not rows or not rows[0][1]:
        return None
    wide = len(rows[0][1][0]) > 2
    by_base = {base: _worded(rows, base) for base in ((16, 8) if wide else (8,))}
    for base, data in by_base.items():
        if data is None:
            continue
        if wide:
            notes.append("the words of 16 bits were read with their low byte first, as `hexdump` and `od -x` print")
        if base == 16 and by_base[8] not in {None, data}:
            notes.append("the offsets were read as hex, as `hexdump` prints; those of od are octal and would fit too")
        return data, "hexdump" if base == 16 else "od"
    if not wide:
        return None  # offsets in hex: rows as Wireshark has them
    raise fail(text, place, "the offsets do not fit the rows; paste all rows, or better the output of hexdump -C")


def _worded(rows: list[tuple[str, list[str]]], base: int) -> bytes | None:
    """The bytes, if all offsets in this base fit what the rows hold."""
    data = bytearray()
    start: int | None = None
    last, starred = b"", False
    wide = len(rows[0][1][0]) > 2
    for shown, words in rows:
        if shown == "*":
            starred = True
            continue
        if base == 8 and not set(shown) <= set("01234567"):
            return None
        offset = int(shown, base)
        start = offset if start is None else start
        missing = offset - start - len(data)
        if starred:
            if missing < 0 or offset - start > limits.PASTE_MAX or not last:
                return None
            data += (last * (missing // len(last) + 1))[:missing]
        elif missing == -1 and not words and wide and not data[-1]:
            del data[-1]  # the last word was filled up with a zero
        elif missing:
            return None
        starred = False
        last = b"".join(bytes.fromhex(word)[::-1] for word in words)
        data += last
    return bytes(data)


def _second_direction(rows: list[_Row]) -> _Row | None:
    """The first row of the other side in a followed stream: set off from the others, with offsets of its own."""
    real = [row for row in rows if row.rest != "*"]
    for index, (before, row) in enumerate(pairwise(real)):
        if abs(row.indent - real[0].indent) < _PEER_INDENT:
            continue
        # A first row that lost its blanks when it was marked for copying goes on in the second one.
        if index == 0 and row.offset > before.offset and all(other.indent == row.indent for other in real[1:]):
            return None
        sides = [[other for other in real if other.indent == indent] for indent in (before.indent, row.indent)]
        return row if any(map(_believable, sides)) else None
    return None


def _plausible_colons(rows: list[_Row]) -> bool:
    # Hex with colons between the bytes has more of them in the row; `1d00:0100` begins like an offset.
    return not any(re.match(r"[0-9a-fA-F]+:", row.rest) for row in rows) and (rows[0].offset == 0 or _steady(rows))


def _believable(rows: list[_Row]) -> bool:
    """Numbers without a colon are offsets if they begin at 0 or grow by what the rows hold."""
    return (rows[0].offset == 0 and bool(rows[0].rest) and (len(rows) == 1 or _steady(rows))) or (
        len(rows) > 1 and _steady(rows)
    )


def _steady(rows: list[_Row]) -> bool:
    if len(rows) < 2:
        return False
    steps = [after.offset - row.offset for row, after in pairwise(rows) if after.offset]
    starred = any(row.rest == "*" for row in rows)
    return all(step >= 0 for step in steps) and (starred or any(0 < step <= ROW_MAX for step in steps))


def _name(text: str, colon: bool) -> str:
    if colon:
        return "tcpdump" if re.search(r"^[ \t]*0x[0-9a-fA-F]+:", text, re.MULTILINE) else "xxd"
    return "hexdump -C" if re.search(r"^[0-9a-fA-F]{8}  .*\|", text, re.MULTILINE) else "Wireshark hex dump"


def _bytes(text: str, row: _Row, expected: int | None, fail: Fail) -> bytes:
    """The bytes of one row, without its gutter."""
    rest, at = row.rest, 0
    data = bytearray()
    while at < len(rest) and len(data) <= ROW_MAX:
        if expected is not None and len(data) >= expected:
            break
        begin = at
        while at < len(rest) and rest[at] in " \t":
            at += 1
        group = _GROUP.match(rest, at)
        # All programs set the gutter off by more than the one space that stands between bytes.
        wide = at - begin > 1 or rest[begin:at] == "\t"
        if group is None or (data and expected is None and wide and _is_gutter(rest[begin:], data)):
            at = begin
            break
        data += bytes.fromhex(group.group())
        at = group.end()
    gutter = rest[at:]
    if gutter.strip() and not _may_be_gutter(gutter, data):
        place = row.start + at + len(gutter) - len(gutter.lstrip())
        raise fail(text, place, "hex bytes of two digits were expected here")
    return bytes(data[:expected] if expected is not None else data)


def _rendering(data: bytes | bytearray) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in data)


def _is_gutter(rest: str, data: bytearray) -> bool:
    """Does the rest of a row repeat the bytes so far as characters? Trailing blanks get lost when text is copied."""
    shown = _rendering(data).rstrip()
    bare = rest.rstrip()
    # Followed streams have a blank in the middle of the gutter as well.
    halves = f"{shown[:8]} {shown[8:]}" if len(shown) > 8 else shown
    # A gutter that itself begins with blanks: they may be the bytes' own.
    forms = (shown, halves, f"|{shown}|")
    return any(bare.endswith(form) and not bare.removesuffix(form).strip() for form in forms if form)


def _may_be_gutter(gutter: str, data: bytearray) -> bool:
    bare = gutter.strip()
    if bare.startswith(("|", ">")):
        return True
    wide = gutter.startswith(("  ", "\t"))
    return bool(data) and len(bare) <= len(data) + 2 and (wide or len(bare) == len(data) or _is_gutter(gutter, data))


# --- packets ---


def _payloads(packets: list[bytes], notes: list[str]) -> bytes:
    """What the packets carry, if each is IPv4 with TCP (a matching checksum proves it); all bytes otherwise."""
    inner = [tcp_payload(packet) for packet in packets]
    if any(payload is None for payload in inner):
        return b"".join(packets)
    notes.append("the dump holds IP packets: their headers were left off")
    return b"".join(payload for payload in inner if payload)


def tcp_payload(packet: bytes) -> bytes | None:
    """Payload of an IPv4/TCP packet, with or without an Ethernet header; None where it is no such packet."""
    start = 14 if packet[12:14] == b"\x08\x00" else 0
    if len(packet) < start + 40 or packet[start] >> 4 != 4 or packet[start + 9] != 6:
        return None
    size = (packet[start] & 15) * 4
    total = int.from_bytes(packet[start + 2 : start + 4], "big")
    if size < 20 or total < size + 20 or len(packet) < start + size + 20 or _checksum(packet[start : start + size]):
        return None
    tcp = start + size
    return packet[tcp + (packet[tcp + 12] >> 4) * 4 : start + total]


def _checksum(header: bytes) -> int:
    total = sum(int.from_bytes(header[at : at + 2], "big") for at in range(0, len(header), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF
