"""Text that is nothing but bytes in some notation → the bytes of each direction, in order."""

from __future__ import annotations

import re
from base64 import b64decode
from typing import NamedTuple

from blynkscope.errors import NotationError
from blynkscope.protocol import commands, limits
from blynkscope.protocol.model import Dialect, Sender
from blynkscope.wire import recognise
from blynkscope.wire.events import CLIENT, SERVER
from blynkscope.wire.framing import Framer, RawFrame
from blynkscope.wire.logs import packets
from blynkscope.wire.notation import parse_bytes

_PEERS = re.compile(r"peer([01])_\d+\b[^{;]*\{")
_YAML = re.compile(
    r"^ +peer: ([01])\n(?:^ +\w{1,20}: .{0,60}\n){0,4}^ +data: !!binary \|\n((?:^ {4,}[A-Za-z0-9+/=]{1,80}\n?)++)", re.M
)
"""A packet of a stream that Wireshark saved as YAML."""
_FOLLOWED = re.compile(r"([ \t]*)[0-9a-fA-F]{8}[ \t]{2}((?:[0-9a-fA-F]{2}[ ]{1,2}){1,16})(?:[ ].*)?\Z")
_INDENT = 4
"""Columns by which Wireshark and tshark set off the rows of the side that answers."""
_ROWS_MIN = 2
_ROW_MAX = 256
"""Characters of a row; longer lines are none."""
_HEX_LINE = re.compile(
    r"(?:[^0-9a-zA-Z]*+(?:0x)?[0-9a-fA-F]{2})++[^0-9a-zA-Z]*+\Z|.*(?:\\x[0-9a-fA-F]{2}|\{[0-9a-fA-F]{2}\})"
)
"""A line that may hold bytes: pairs of hex digits, escapes, or bytes in braces."""
_JOINED = 4096
"""Bytes of rows that are put together before the next run begins."""
_FROM_SERVER = frozenset({commands.RESPONSE, commands.REDIRECT, commands.DBG_PRINT})
_HEADER = 5
"""Bytes of a header, and of that of a TLS record."""
_OFF_BY = 8
"""Bytes by which the length of an example in a specification may be wrong: more, and it is something else."""
_PAIRS = re.compile(r"\s*+((?:[0-9a-fA-F]{2}[ ]?)++)\s*+")
SHORT_LOGIN = "login with short header"
"""The notation of a login that was typed with one byte each for id and length."""
_SHORT_MAX = 4096
_SHORT_HEAD = 3
_TOKEN = limits.TOKEN_LENGTH
_TOKENS = frozenset({_TOKEN // 2, _TOKEN})
"""Bytes of a token as its hex digits and as its characters."""
_SHARE = 0.5
"""Part of the lines that must hold bytes where the others are comments."""


class Example(NamedTuple):
    """One message that stands by itself between comments, as in a specification: `body` is what is there."""

    line: int
    direction: int
    cmd: int
    id: int
    word: int
    body: bytes


class Pasted(NamedTuple):
    """Bytes by direction, in order, and how they were written. `frames` counts the whole frames in them.

    `examples` are messages that stand apart from each other; then there are no runs.
    """

    runs: list[tuple[int, bytes]]
    notation: str
    notes: list[str]
    frames: int
    examples: list[Example] = []


def read(text: str) -> Pasted | None:
    """The bytes of a text, or None where it is no notation of bytes, or its bytes are nothing that is known."""
    if len(text) > limits.PASTE_MAX:
        return None
    two = _two_sided(text)
    if two is not None:
        runs, notation = two
        frames = sum(_cut(b"".join(data for side, data in runs if side == wanted))[0] for wanted in (CLIENT, SERVER))
        return Pasted(_turned(runs), notation, [], frames) if frames else None
    whole = _packets(text)
    if whole is not None:
        return whole
    examples = _examples(text)
    if examples is not None:
        return examples
    best: Pasted | None = None
    best_score = (0, 0)
    for candidate in (_whole(text), _lines(text)):
        if candidate is None:
            continue
        data, notation, notes = candidate
        frames, inside = _cut(data)
        head = recognise.name_bytes(data[: limits.NOISE_WINDOW])
        known = len(data) >= _HEADER and head.kind not in {"unknown", "text"}
        score = (frames, inside - len(data))
        if (frames or known) and (best is None or score > best_score):
            best, best_score = Pasted(_sides(data), notation, notes, frames), score
    return best or _dumps(text) or _short(text)


def _whole(text: str) -> tuple[bytes, str, list[str]] | None:
    try:
        parsed = parse_bytes(text)
    except NotationError:
        return None
    return parsed.data, parsed.notation, list(parsed.notes)


def _cut(data: bytes) -> tuple[int, int]:
    """Whole frames in bytes, and how many bytes are theirs."""
    framer = Framer(Dialect.HARDWARE, joined=recognise.name_bytes(data[: limits.NOISE_WINDOW]).kind != "hardware")
    bodies = [len(item.body) for item in [*framer.feed(data), *framer.finish()] if isinstance(item, RawFrame)]
    return len(bodies), sum(bodies) + _HEADER * len(bodies)


def side_of(data: bytes) -> int:
    """Who sends such bytes: the direction of the first frame that only one side sends; a device where none tells."""
    guess = recognise.name_bytes(data[: limits.NOISE_WINDOW])
    dialect = Dialect(guess.kind) if guess.is_blynk else Dialect.HARDWARE
    framer = Framer(dialect, joined=not guess.is_blynk)
    for item in [*framer.feed(data[: limits.HUNT_WINDOW]), *framer.finish()]:
        cmd = getattr(item, "cmd", None)
        if cmd is None:
            continue
        if cmd == commands.RESPONSE:
            return SERVER
        row = commands.find(cmd, dialect)
        if row is not None and len(row.senders) == 1:
            return SERVER if Sender.SERVER in row.senders else CLIENT
    if guess.kind == "http" and "status_line" in guess.detail:
        return SERVER
    return SERVER if guess.detail.get("handshake") == "ServerHello" else CLIENT


def _sides(data: bytes) -> list[tuple[int, bytes]]:
    """Bytes in one row, apart by direction where requests and answers stand in it one behind the other."""
    items = Framer(Dialect.HARDWARE).feed(data)
    frames = [item for item in items if isinstance(item, RawFrame)]
    sent = {frame.cmd for frame in frames}
    whole = bool(frames) and len(frames) == len(items) and frames[-1].end == len(data)
    asked = {frame.id for frame in frames if frame.cmd != commands.RESPONSE}
    answered = any(frame.id in asked for frame in frames if frame.cmd == commands.RESPONSE)
    asks = answered or sent & {commands.LOGIN, commands.HW_LOGIN, commands.PING}
    if not whole or commands.RESPONSE not in sent or not asks:
        return [(side_of(data), data)]
    runs: list[tuple[int, bytes]] = []
    at = 0
    for frame in frames:
        side = SERVER if frame.cmd in _FROM_SERVER or frame.body.startswith(b"pm") else CLIENT
        runs.append((side, data[at : frame.end]))
        at = frame.end
    return runs


def _turned(runs: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Sides as the contents tell them, where the first side that spoke was the server."""
    first = b"".join(data for side, data in runs if side == CLIENT)
    second = b"".join(data for side, data in runs if side == SERVER)
    if side_of(first) == SERVER and side_of(second) == CLIENT:
        return [(1 - side, data) for side, data in runs]
    return runs


def _two_sided(text: str) -> tuple[list[tuple[int, bytes]], str] | None:
    """Both directions of a followed stream, as Wireshark and tshark print it; None for anything else."""
    runs: list[tuple[int, bytes]] = []
    peers = list(_PEERS.finditer(text))
    if {match[1] for match in peers} == {"0", "1"}:
        for index, match in enumerate(peers):
            end = peers[index + 1].start() if index + 1 < len(peers) else len(text)
            close = text.find("}", match.end(), end)
            try:
                data = parse_bytes("{" + text[match.end() : close if close >= 0 else end] + "}").data
            except NotationError:
                continue
            runs.append((int(match[1]), data))
        return (runs, "Wireshark C arrays") if runs else None
    for match in _YAML.finditer(text):
        try:
            runs.append((int(match[1]), b64decode("".join(match[2].split()), validate=True)))
        except ValueError:
            continue
    if runs:
        return runs, "Wireshark YAML"
    lines = [line.rstrip() + "  " for line in text.split("\n") if len(line) <= _ROW_MAX]
    rows = [match for match in map(_FOLLOWED.match, lines) if match is not None]
    indents = {len(match[1].expandtabs(_INDENT)) for match in rows}
    if len(rows) < _ROWS_MIN or len(indents) != 2 or max(indents) - min(indents) != _INDENT:
        return None
    if len(rows) < _SHARE * sum(1 for line in lines if line.strip()):
        return None
    for row in rows:
        side = CLIENT if len(row[1].expandtabs(_INDENT)) == min(indents) else SERVER
        data = bytes.fromhex(row[2])
        if runs and runs[-1][0] == side and len(runs[-1][1]) < _JOINED:
            runs[-1] = (side, runs[-1][1] + data)
        else:
            runs.append((side, data))
    return runs, "Wireshark hex dump"


def _packets(text: str) -> Pasted | None:
    """Both directions of the first connection in a dump of packets; None for anything else."""
    segments = packets.read(text)
    if not segments:
        return None
    first = segments[0]
    ends = {first.source: CLIENT, first.target: SERVER}
    runs = [(ends[one.source], one.data) for one in segments if one.source in ends and one.target in ends]
    frames = sum(_cut(b"".join(data for side, data in runs if side == wanted))[0] for wanted in (CLIENT, SERVER))
    if not frames:
        return None
    others = len(segments) - len(runs)
    notes = [f"{others} segments of other connections were left out"] if others else []
    both = {side for side, _ in runs} == {CLIENT, SERVER}
    runs = _turned(runs) if both else [(side_of(b"".join(data for _, data in runs)), data) for _, data in runs]
    return Pasted(runs, "packet dump", notes, frames)


def _dumps(text: str) -> Pasted | None:
    """Dumps with offsets between lines of other text, each of whole messages; None for anything else."""
    found = packets.dumps(text)
    cuts = [_cut(data) for data in found]
    if not found or any(not frames or inside != len(data) for data, (frames, inside) in zip(found, cuts, strict=True)):
        return None
    runs = [run for data in found for run in _sides(data)]
    return Pasted(runs, "hex dump", ["lines without bytes were left out"], sum(frames for frames, _ in cuts))


def _short(text: str) -> Pasted | None:
    """A login typed by hand with one byte each for id and length, and with the token's digits as bytes."""
    rows = [match[1] for match in map(_PAIRS.fullmatch, text[:_SHORT_MAX].split("\n")) if match is not None]
    if len(rows) < _ROWS_MIN:
        return None
    head, token = (bytes.fromhex(row) for row in rows[:2])
    if len(head) != _SHORT_HEAD or head[0] not in commands.LOGINS or head[2] != _TOKEN or len(token) not in _TOKENS:
        return None
    note = "the header has 3 bytes, and Blynk's has 5: id and length take two bytes each (02 00 01 00 20)"
    if len(token) != _TOKEN:
        note += "; the token goes as its 32 characters, not as the 16 bytes that they would be as hex digits"
    return Pasted([(CLIENT, head + token)], SHORT_LOGIN, [note], 0)


def _lines(text: str) -> tuple[bytes, str, list[str]] | None:
    """The lines that hold bytes, where comments stand between them: file names, remarks, empty lines."""
    kept, left_out = [], 0
    for line in text.split("\n"):
        bare = line.strip()
        if bare and _HEX_LINE.match(bare):
            kept.append(line)
        elif bare:
            left_out += 1
    if not left_out or len(kept) < _SHARE * (len(kept) + left_out):
        return None
    found = _whole("\n".join(kept))
    if found is None:
        return None
    data, notation, notes = found
    told = "1 line without bytes was" if left_out == 1 else f"{left_out} lines without bytes were"
    return data, notation, [*notes, f"{told} left out"]


def _examples(text: str) -> Pasted | None:
    """Messages with comments between them, each with as many bytes as its author gave it; None for anything else."""
    blocks: list[tuple[int, list[str]]] = []
    apart, comments = True, 0
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.strip()
        if bare and _HEX_LINE.match(bare):
            if apart:
                blocks.append((number, []))
            blocks[-1][1].append(line)
            apart = False
        elif bare:
            comments += 1
            apart = True
    if comments < 1 or len(blocks) < _ROWS_MIN:
        return None
    found: list[Example] = []
    notation = ""
    for number, rows in blocks:
        parsed = _whole("\n".join(rows))
        if parsed is None:
            return None
        data, notation, _ = parsed
        example = _example(number, data)
        if example is None:
            return None
        found.append(example)
    lacking = [example for example in found if example.cmd and len(example.body) != example.word]
    return Pasted([], notation, [], len(found) - len(lacking), found)


def _example(line: int, data: bytes) -> Example | None:
    """The one message that the bytes are meant to be; None where they are several, or none."""
    if len(data) < _HEADER:
        return None
    cmd, ident, word = data[0], int.from_bytes(data[1:3], "big"), int.from_bytes(data[3:5], "big")
    row, body = commands.find(cmd, Dialect.HARDWARE), data[_HEADER:]
    if row is None or (not cmd and body):
        return None
    if cmd and abs(len(body) - word) > _OFF_BY and len(body) != word:
        return None
    return Example(line, side_of(data), cmd, ident, word, b"" if not cmd else body)
